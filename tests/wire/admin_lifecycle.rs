//! The admin address while the gateway changes its configuration, gives way, and ends.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::handover::{hand_over, says};
use crate::harness::{Config, End, Gateway, Message, PATIENCE, Peer, Upstream, signal};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
const READYZ: &str = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A file with an admin token.
struct Token(PathBuf);

impl Token {
    fn of(token: &str) -> Token {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-admin-life-{}-{number}.token", std::process::id());
        let file = Token(std::env::temp_dir().join(name));
        file.change(token);
        file
    }

    fn change(&self, token: &str) {
        std::fs::write(&self.0, format!("{token}\n")).expect("a temporary file");
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn admin_at(address: impl ToString, config: Config) -> Config {
    let more = format!("[admin]\nlisten = \"{}\"\n", address.to_string());
    Config { more, ..config }
}

/// A port that nobody has at the moment.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a socket")
}

fn admin_of(gateway: &Gateway) -> SocketAddr {
    let line = gateway.wait_for_log("admin on http://");
    let (_, address) = line.split_once("admin on http://").expect("an address");
    address.trim().parse().expect("an address")
}

fn ask(admin: SocketAddr, request: &str) -> Message {
    let mut peer = Peer::connect(admin);
    peer.send(request);
    peer.read_response()
}

fn look(admin: SocketAddr, path: &str) -> Message {
    ask(admin, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn metric(page: &Message, name: &str) -> f64 {
    let samples = page.text().lines().filter(|line| line.starts_with(&format!("{name}{{")));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn get(gateway: &Gateway) -> String {
    let mut client = gateway.connect();
    client.send(GET);
    client.read_response().text().to_owned()
}

/// Asks on new connections for as long as it lasts, and keeps what went wrong.
struct Scraper {
    over: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Scraper {
    fn on(admin: SocketAddr) -> Scraper {
        let over = Arc::<AtomicBool>::default();
        let end = Arc::clone(&over);
        let scrape = move || -> io::Result<bool> {
            let mut stream = TcpStream::connect(admin)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let request = METRICS.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes())?;
            let mut page = String::new();
            stream.read_to_string(&mut page)?;
            Ok(page.starts_with("HTTP/1.1 200 ") && page.contains("\nsluicegate_workers "))
        };
        let thread = thread::spawn(move || {
            let (mut answered, mut failures) = (0, Vec::new());
            while !end.load(Ordering::Relaxed) {
                match scrape() {
                    Ok(true) => answered += 1,
                    Ok(false) => failures.push("no page of metrics".to_owned()),
                    Err(error) => failures.push(error.to_string()),
                }
                thread::sleep(Duration::from_millis(1));
            }
            (answered, failures)
        });
        Scraper { over, thread }
    }

    fn end(self) -> (usize, Vec<String>) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

#[test]
fn the_admin_pages_follow_a_reload() {
    let token = Token::of("the-token-of-before");
    let config = |body| {
        let mut config = admin_at("127.0.0.1:0", Config::to(says(body)));
        config.more += &format!("token_file = \"{}\"\n", token.0.display());
        config
    };
    let gateway = config("old").start();
    let admin = admin_of(&gateway);
    // A scraper that keeps its connection, and a live view.
    let mut scraper = Peer::connect(admin);
    scraper.send(METRICS);
    assert_eq!(scraper.read_response().status(), 200);
    let mut view = Peer::connect(admin);
    view.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    view.read_until("data: ");
    assert_eq!(get(&gateway), "old");
    let set_level = |token: &str| {
        ask(
            admin,
            &format!(
                "PUT /loglevel HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
                 Content-Length: 5\r\n\r\ndebug"
            ),
        )
        .status()
    };
    assert_eq!(set_level("the-token-of-before"), 200);

    token.change("the-token-of-after");
    let next = config("new");
    gateway.rewrite(&next.text());
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    assert_eq!(get(&gateway), "new");
    // The order is in the admin thread's mail before the log tells of it.
    let deadline = Instant::now() + PATIENCE;
    while !look(admin, "/config").text().contains(&next.endpoint) {
        assert!(Instant::now() < deadline, "{}", look(admin, "/config").text());
    }
    assert_eq!(set_level("the-token-of-before"), 401);
    assert_eq!(set_level("the-token-of-after"), 200);
    // Nobody was disturbed, and nothing that was counted is forgotten.
    scraper.send(METRICS);
    assert_eq!(metric(&scraper.read_response(), "sluicegate_exchanges_total"), 2.0);
    view.read_until("data: ");
}

#[test]
fn a_reload_cannot_move_the_admin_address() {
    let config = admin_at("127.0.0.1:0", Config::to(says("old")));
    let gateway = config.start();
    let admin = admin_of(&gateway);
    let elsewhere = free_address();
    for (number, next) in [
        admin_at(elsewhere, config.clone()),
        Config { more: String::new(), ..config.clone() },
        Config { more: config.more.clone() + "[access_log]\nto = \"stdout\"\n", ..config.clone() },
    ]
    .into_iter()
    .enumerate()
    {
        gateway.rewrite(&Config { endpoint: "127.0.0.1:9".into(), ..next }.text());
        signal(&gateway, Signal::HUP);
        gateway.expect_in_log("refused; generation 0 stays", number + 1);
        assert_eq!(get(&gateway), "old");
        assert_eq!(look(admin, "/readyz").status(), 200);
    }
    assert_eq!(gateway.count_in_log("admin.listen: cannot change while the gateway runs"), 2);
    assert_eq!(gateway.count_in_log("access_log.to: cannot change while the gateway runs"), 1);
    TcpStream::connect(elsewhere).expect_err("nobody listens there");
}

#[test]
fn after_a_hand_over_the_admin_address_is_the_successors() {
    // As in production: a port with a number, which only one process can bind.
    let address = free_address();
    let upstream = Upstream::listen();
    let mut gateway = admin_at(address, Config::to(upstream.address())).start();
    let admin = admin_of(&gateway);
    assert_eq!(admin, address);
    let mut streaming = gateway.connect();
    streaming.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    streaming.read_until("one\r\n");
    let mut kept = Peer::connect(admin);
    kept.send(METRICS);
    assert_eq!(metric(&kept.read_response(), "sluicegate_exchanges_active"), 1.0);
    let mut view = Peer::connect(admin);
    view.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    view.read_until("data: ");

    let scraper = Scraper::on(admin);
    thread::sleep(Duration::from_millis(100));
    let new = admin_at(address, Config::to(says("new")));
    gateway.rewrite(&new.text());
    let successor = hand_over(&gateway);
    // Whoever looks at the old process is sent to the new one.
    assert_eq!(kept.read_end(), End::Fin);
    let sent = Instant::now();
    view.read_end();
    assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
    assert!(look(admin, "/config").text().contains(&new.endpoint), "the successor's");
    let page = look(admin, "/metrics");
    assert_eq!(metric(&page, "sluicegate_exchanges_active"), 0.0, "it has no streams of ours");
    thread::sleep(Duration::from_millis(100));
    let (answered, failures) = scraper.end();
    println!("{answered} pages");
    assert_eq!(failures, Vec::<String>::new(), "of {answered} pages");
    assert!(answered > 20, "{answered}");

    // The old process finishes what it has, unseen.
    assert_eq!(gateway.wait_exit(Duration::ZERO), None);
    server.send("3\r\ntwo\r\n0\r\n\r\n");
    streaming.read_until("two\r\n0\r\n\r\n");
    assert_eq!(gateway.wait_exit(PATIENCE).expect("it ends").code(), Some(0));
    assert_eq!(look(admin, "/readyz").status(), 200);
    assert_eq!(get(&gateway), "new");
    // And once more, by a process that has inherited the socket itself.
    kill_process(successor, Signal::USR2).expect("it runs");
    gateway.expect_in_log("handed over to process", 2);
    assert_eq!(look(admin, "/readyz").status(), 200);
    assert_eq!(get(&gateway), "new");
}

/// Both processes have the listening socket, so some are taken by the old one to the last.
#[test]
fn whoever_came_just_before_a_hand_over_is_answered_by_the_old_process() {
    let upstream = Upstream::listen();
    let gateway = admin_at(free_address(), Config::to(upstream.address())).start();
    let mut early = Peer::connect(admin_of(&gateway));
    // It has its place when one behind it has been answered.
    let mut behind = Peer::connect(admin_of(&gateway));
    behind.send(READYZ);
    assert_eq!(behind.read_response().status(), 200);
    hand_over(&gateway);
    // The admin thread has been told when it lets go of an idle connection.
    assert_eq!(behind.read_end(), End::Fin);
    // The old process has nothing to finish but this.
    early.send(READYZ);
    let answer = early.read_response();
    assert_eq!((answer.status(), answer.field("connection")), (200, Some("close")));
}

#[test]
fn a_hand_over_can_move_the_admin_address_and_close_it() {
    let config = admin_at("127.0.0.1:0", Config::to(says("here")));
    let gateway = config.start();
    let (before, after) = (admin_of(&gateway), free_address());
    gateway.rewrite(&admin_at(after, config.clone()).text());
    hand_over(&gateway);
    assert_eq!(look(after, "/readyz").status(), 200);
    gateway.wait_for_log(&format!("the socket on {before} that we were given is not in"));
    expect_closed(before);
    gateway.rewrite(&Config { more: String::new(), ..config }.text());
    hand_over(&gateway);
    expect_closed(after);
    assert_eq!(get(&gateway), "here");
}

#[test]
fn a_successor_that_cannot_start_leaves_the_admin_address_alone() {
    let gateway = admin_at(free_address(), Config::to(says("here"))).start();
    let admin = admin_of(&gateway);
    let scraper = Scraper::on(admin);
    gateway.rewrite("nonsense");
    signal(&gateway, Signal::USR2);
    gateway.wait_for_log("hand-over failed, serving on: it ended before");
    let (answered, failures) = scraper.end();
    assert_eq!(failures, Vec::<String>::new(), "of {answered} pages");
    assert_eq!(look(admin, "/readyz").status(), 200);
}

/// The old process closes its sockets in the turn in which it is told to.
fn expect_closed(address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "somebody listens on {address}");
        thread::sleep(Duration::from_millis(1));
    }
}
