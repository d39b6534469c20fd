//! Starting, refusing to start, draining, aborting, and the limits of one process.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{
    Config, End, Gateway, PATIENCE, Peer, Standstill, Upstream, run, signal, sluicegate,
};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that answers every request with [`OK`].
fn friendly() -> SocketAddr {
    Upstream::serve(|mut peer| {
        loop {
            peer.receive(Duration::from_secs(3600));
            if peer.unread().is_empty() {
                return;
            }
            peer.read_request();
            peer.send(OK);
        }
    })
}

/// A file with this text, removed when the test ends.
struct File(std::path::PathBuf);

impl File {
    fn of(text: &str) -> File {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("sluicegate-lifecycle-{}-{number}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a temporary file");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn listening_on(address: &str) -> String {
    format!(
        "[server]\nlisten = [\"{address}\"]\nworkers = 1\n[limits]\nconnections = 10\n\
         [[upstream]]\nname = \"u\"\nendpoints = [\"127.0.0.1:9\"]\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\n"
    )
}

fn exit_code(gateway: &mut Gateway, patience: Duration) -> Option<i32> {
    gateway.wait_exit(patience).expect("the gateway ends").code()
}

/// Both signals mean the same, so both run through the whole of a drain.
fn a_drain_after(order: Signal) {
    let upstream = Upstream::listen();
    let mut gateway = Gateway::to(upstream.address());
    let mut idle = gateway.connect();
    idle.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send(OK);
    assert_eq!(idle.read_response().status(), 200);
    let mut streaming = gateway.connect();
    streaming.send(GET);
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    streaming.read_until("one\r\n");
    let mut waiting = gateway.connect();
    waiting.send(GET);
    let mut second = upstream.accept();
    second.read_request();

    signal(&gateway, order);
    gateway.wait_for_log("draining");
    assert_eq!(idle.read_end(), End::Fin, "an idle client is told at once");
    // The doors close in the turn that tells the idle ones.
    let refused = TcpStream::connect(gateway.address()).expect_err("the listener is closed");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

    second.send(OK);
    let answer = waiting.read_response();
    assert_eq!((answer.status(), answer.field("connection")), (200, Some("close")));
    assert_eq!(waiting.read_end(), End::Fin);
    assert_eq!(second.read_end(), End::Fin, "nothing is pooled any more");

    streaming.expect_silence();
    server.send("3\r\ntwo\r\n");
    streaming.read_until("two\r\n");
    assert_eq!(gateway.wait_exit(Duration::ZERO), None, "a stream is still running");
    server.send("0\r\n\r\n");
    streaming.read_until("0\r\n\r\n");
    assert_eq!(streaming.read_end(), End::Fin);
    drop((idle, waiting, streaming));
    assert_eq!(exit_code(&mut gateway, PATIENCE), Some(0));
}

#[test]
fn sigterm_drains() {
    a_drain_after(Signal::TERM);
}

#[test]
fn sigint_drains() {
    a_drain_after(Signal::INT);
}

#[test]
fn with_nothing_in_flight_a_drain_is_over_at_once() {
    let mut gateway = Gateway::to(friendly());
    let started = Instant::now();
    gateway.terminate();
    assert_eq!(exit_code(&mut gateway, PATIENCE), Some(0));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

/// Several rounds, because it is the scheduler who decides in which turn the order is read.
#[test]
fn what_was_sent_before_the_drain_is_answered() {
    let address = friendly();
    for _ in 0..5 {
        let mut gateway = Gateway::to(address);
        let mut kept: Vec<Peer> = (0..5).map(|_| gateway.connect()).collect();
        for client in &mut kept {
            client.send(GET);
            client.read_response();
        }
        let standstill = Standstill::of(&gateway);
        let mut backlog: Vec<Peer> = (0..20).map(|_| gateway.connect()).collect();
        kept.iter_mut().chain(&mut backlog).for_each(|client| client.send(GET));
        gateway.terminate();
        standstill.end();
        for mut client in kept.into_iter().chain(backlog) {
            assert_eq!(client.read_response().status(), 200);
            assert_eq!(client.read_end(), End::Fin);
        }
        assert_eq!(exit_code(&mut gateway, PATIENCE), Some(0));
    }
}

/// Two workers pass the backlog to and fro while both of them drain.
#[test]
fn what_was_sent_before_the_drain_is_answered_by_balanced_workers_too() {
    let address = friendly();
    // With few connections, all of them may be one worker's while the other is already done.
    for count in [40, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6] {
        let mut gateway = two_workers(address, "accept = \"balanced\"");
        let standstill = Standstill::of(&gateway);
        let mut backlog: Vec<Peer> = (0..count).map(|_| gateway.connect()).collect();
        backlog.iter_mut().for_each(|client| client.send(GET));
        gateway.terminate();
        standstill.end();
        for mut client in backlog {
            assert_eq!(client.read_response().status(), 200);
        }
        assert_eq!(exit_code(&mut gateway, PATIENCE), Some(0));
    }
}

#[test]
fn a_half_sent_request_is_waited_for_in_a_drain() {
    let mut gateway = Gateway::to(friendly());
    let mut client = gateway.connect();
    client.send("GET /a HTTP/1.1\r\n");
    std::thread::sleep(Duration::from_millis(50));
    gateway.terminate();
    gateway.wait_for_log("draining");
    client.expect_silence();
    client.send("Host: x\r\n\r\n");
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.field("connection")), (200, Some("close")));
    drop(client);
    assert_eq!(exit_code(&mut gateway, PATIENCE), Some(0));
}

#[test]
fn the_deadline_of_a_drain_aborts_what_is_left() {
    let upstream = Upstream::listen();
    let config = Config { timeouts: "drain = \"300ms\"".into(), ..Config::to(upstream.address()) };
    let mut gateway = config.start();
    let mut streaming = gateway.connect();
    streaming.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    streaming.read_until("one\r\n");
    let mut waiting = gateway.connect();
    waiting.send(GET);
    let mut second = upstream.accept();
    second.read_request();

    let ordered = Instant::now();
    gateway.terminate();
    assert_eq!(waiting.read_response().status(), 503, "no byte was out: it can be told");
    assert!(ordered.elapsed() >= Duration::from_millis(300), "{:?}", ordered.elapsed());
    streaming.read_end();
    assert!(streaming.unread().is_empty(), "no clean end: {}", streaming.transcript());
    assert_eq!(server.read_end(), End::Fin);
    assert_eq!(second.read_end(), End::Fin);
    assert_eq!(exit_code(&mut gateway, PATIENCE), Some(0));
    assert!(ordered.elapsed() < Duration::from_secs(2), "{:?}", ordered.elapsed());
}

#[test]
fn a_second_signal_aborts_and_the_exit_code_tells() {
    let upstream = Upstream::listen();
    let mut gateway = Gateway::to(upstream.address());
    let mut streaming = gateway.connect();
    streaming.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    streaming.read_until("one\r\n");
    gateway.terminate();
    gateway.wait_for_log("draining");
    streaming.expect_silence();
    signal(&gateway, Signal::INT);
    streaming.read_end();
    assert!(streaming.unread().is_empty(), "no clean end: {}", streaming.transcript());
    assert_eq!(exit_code(&mut gateway, PATIENCE), Some(1));
}

#[test]
fn a_signal_right_behind_the_start_drains_too() {
    for _ in 0..10 {
        let mut gateway = Gateway::start(&listening_on("127.0.0.1:0"));
        gateway.terminate();
        assert_eq!(exit_code(&mut gateway, PATIENCE), Some(0));
    }
}

#[test]
fn a_taken_port_is_named_with_the_key_or_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a socket").to_string();
    let port = address.rsplit(':').next().expect("a port");
    let file = File::of(&listening_on(&address));
    for (arguments, named) in [
        (&["run", "--config", file.path()][..], "[server] listen"),
        (&["mock", "--connections", "10", "--listen", &address], "--listen"),
        (&["demo", "--mock-listen", "127.0.0.1:0", "--listen", &address], "--listen"),
        (&["demo", "--listen", "127.0.0.1:0", "--mock-listen", &address], "--mock-listen"),
    ] {
        let ended = sluicegate(arguments);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        for part in [&format!("port {port} is taken"), named] {
            assert!(ended.stderr.contains(part), "{part:?} is not in {ended:?}");
        }
    }
}

#[test]
fn two_gateways_do_not_share_a_port() {
    let first = Gateway::to(friendly());
    let file = File::of(&listening_on(&first.address().to_string()));
    let second = sluicegate(&["run", "--config", file.path()]);
    assert_eq!(second.status.code(), Some(1));
    assert!(second.stderr.contains("is taken"), "{second:?}");
    let mut client = first.connect();
    client.send(GET);
    assert_eq!(client.read_response().status(), 200, "the first is unharmed");
}

#[test]
fn no_configuration_is_an_error_and_not_a_default_proxy() {
    let missing = sluicegate(&["run", "--config", "/nowhere/gate.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stderr.contains("/nowhere/gate.toml"), "{missing:?}");
    let none = sluicegate(&["run"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(none.stderr.contains("--config"), "{none:?}");
    let empty = File::of("");
    let empty = sluicegate(&["run", "--config", empty.path()]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(empty.stderr.contains("empty"), "{empty:?}");
}

#[test]
fn check_prints_what_run_would_do() {
    let file = File::of(&listening_on("127.0.0.1:1234"));
    let checked = sluicegate(&["check", "--config", file.path()]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    for part in ["127.0.0.1:1234", "inter_event", "replay_stale_post", "connections"] {
        assert!(checked.stdout.contains(part), "{part:?} is not in {checked:?}");
    }
    // What it prints is a configuration that means the same.
    let again = File::of(&checked.stdout);
    let again = sluicegate(&["check", "--config", again.path()]);
    assert_eq!(again.stdout, checked.stdout);
}

#[test]
fn every_command_has_help_and_a_version() {
    for command in [&[][..], &["run"], &["check"], &["demo"], &["mock"]] {
        for (flag, part) in [("--help", "Usage:"), ("--version", env!("CARGO_PKG_VERSION"))] {
            let told = sluicegate(&[command, &[flag]].concat());
            assert_eq!(told.status.code(), Some(0), "{told:?}");
            assert!(told.stdout.contains(part), "{told:?}");
        }
    }
}

#[test]
fn at_the_connection_limit_the_backlog_waits_and_is_served() {
    let limits = "connections = 2".into();
    let gateway = Config { limits, ..Config::to(friendly()) }.start();
    let mut inside: Vec<Peer> = (0..2).map(|_| gateway.connect()).collect();
    for client in &mut inside {
        client.send(GET);
        assert_eq!(client.read_response().status(), 200);
    }
    let mut outside: Vec<Peer> = (0..3).map(|_| gateway.connect()).collect();
    outside.iter_mut().for_each(|client| client.send(GET));
    outside[0].expect_silence();
    // Each that leaves lets one in, at once and not by the grace of some timer.
    for mut client in outside {
        drop(inside.remove(0));
        let left = Instant::now();
        assert_eq!(client.read_response().status(), 200);
        assert!(left.elapsed() < Duration::from_millis(500), "{:?}", left.elapsed());
        inside.push(client);
    }
}

#[test]
fn too_few_descriptors_are_told_before_anything_listens() {
    let text = listening_on("127.0.0.1:0").replace("connections = 10", "connections = 1000000");
    let file = File::of(&text);
    for (arguments, named) in [
        (["run", "--config", file.path()], "[limits] connections"),
        (["mock", "--connections", "90000000"], "--connections"),
    ] {
        // The kernel grants nobody more than fs.nr_open; the shell's limit makes it certain.
        let shell = "ulimit -n 500; exec \"$0\" \"$@\"";
        let binary = env!("CARGO_BIN_EXE_sluicegate");
        let mut command = Command::new("sh");
        let ended = run(command.args(["-c", shell, binary]).args(arguments));
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        for part in ["file descriptors", "ulimit -Hn", named] {
            assert!(ended.stderr.contains(part), "{part:?} is not in {ended:?}");
        }
    }
}

#[test]
fn ipv6_is_served() {
    let upstream = TcpListener::bind("[::1]:0");
    assert!(upstream.is_ok(), "this machine has no IPv6 loopback");
    let config = listening_on("[::1]:0").replace("127.0.0.1:9", &friendly().to_string());
    let gateway = Gateway::start(&config);
    assert!(gateway.address().is_ipv6());
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.read_response().status(), 200);
}

#[test]
fn a_worker_that_spins_serves_and_drains() {
    let server = "spin = \"200us\"".into();
    let mut gateway = Config { server, ..Config::to(friendly()) }.start();
    let mut client = gateway.connect();
    for _ in 0..20 {
        client.send(GET);
        assert_eq!(client.read_response().status(), 200);
        std::thread::sleep(Duration::from_millis(1));
    }
    gateway.terminate();
    assert_eq!(client.read_end(), End::Fin);
    drop(client);
    assert_eq!(exit_code(&mut gateway, PATIENCE), Some(0));
}

fn two_workers(upstream: SocketAddr, server: &str) -> Gateway {
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n{server}\n\
         [limits]\nconnections = 500\n\
         [[upstream]]\nname = \"u\"\nendpoints = [\"{upstream}\"]\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\n"
    ))
}

/// Which worker served a request: ids that are made begin with the worker's own number.
fn worker_of(client: &mut Peer) -> String {
    client.send(GET);
    let id = client.read_response().field("x-request-id").expect("an id").to_owned();
    id[..8].to_owned()
}

#[test]
fn both_workers_serve_and_balancing_spreads_connections_evenly() {
    let address = friendly();
    let spread = |server: &str| {
        let gateway = two_workers(address, server);
        let mut clients: Vec<Peer> = Vec::new();
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..100 {
            let mut client = gateway.connect();
            *counts.entry(worker_of(&mut client)).or_insert(0) += 1;
            clients.push(client);
        }
        let counts: Vec<u32> = counts.into_values().collect();
        println!("{server:?}: {counts:?}");
        counts
    };
    assert_eq!(spread("").iter().sum::<u32>(), 100);
    let balanced = spread("accept = \"balanced\"");
    // A difference of one is not worth the trip, and one more may be on its way.
    assert!(balanced.len() == 2 && balanced.iter().all(|count| (48..=52).contains(count)));
}

#[test]
fn a_balanced_worker_whose_clients_have_left_takes_the_next_ones() {
    let gateway = two_workers(friendly(), "accept = \"balanced\"");
    let mut clients: Vec<(String, Peer)> = Vec::new();
    for _ in 0..40 {
        let mut client = gateway.connect();
        clients.push((worker_of(&mut client), client));
    }
    let emptied = clients[0].0.clone();
    clients.retain(|(worker, _)| *worker != emptied);
    std::thread::sleep(Duration::from_millis(50));
    for _ in 0..15 {
        let mut client = gateway.connect();
        assert_eq!(worker_of(&mut client), emptied);
        clients.push((emptied.clone(), client));
    }
}

/// The kernel hashes a burst as it likes; what it did unevenly is made even.
#[test]
fn a_burst_is_balanced_too() {
    let gateway = two_workers(friendly(), "accept = \"balanced\"");
    for _ in 0..3 {
        let standstill = Standstill::of(&gateway);
        let mut clients: Vec<Peer> = (0..60).map(|_| gateway.connect()).collect();
        standstill.end();
        let mut counts = std::collections::BTreeMap::new();
        for client in &mut clients {
            *counts.entry(worker_of(client)).or_insert(0) += 1;
        }
        let counts: Vec<u32> = counts.into_values().collect();
        assert!(
            counts.len() == 2 && counts.iter().all(|count| (29..=31).contains(count)),
            "{counts:?}"
        );
        println!("{counts:?}");
        drop(clients);
        std::thread::sleep(Duration::from_millis(50));
    }
}
