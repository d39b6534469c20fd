//! One process takes the place of another, and nobody is turned away.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::harness::{Config, End, Gateway, PATIENCE, Peer, Upstream, signal};
use crate::reload::{streams, watch_stream};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// A server that answers every request with this body.
pub fn says(body: &'static str) -> SocketAddr {
    Upstream::serve(move |mut peer| {
        loop {
            peer.receive(Duration::from_secs(3600));
            if peer.unread().is_empty() {
                return;
            }
            peer.read_request();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    })
}

fn get(gateway: &Gateway) -> String {
    let mut client = gateway.connect();
    client.send(GET);
    client.read_response().text().to_owned()
}

/// Tells the latest process to hand over, and waits until its successor serves.
pub fn hand_over(gateway: &Gateway) -> Pid {
    let before = gateway.successors();
    let incumbent = before.last().copied().unwrap_or(gateway.pid());
    kill_process(incumbent, Signal::USR2).expect("it runs");
    gateway.expect_in_log("handed over to process", before.len() + 1);
    *gateway.successors().last().expect("it was named")
}

/// Waits until a process that is not our child is gone.
fn expect_gone(pid: Pid) {
    let deadline = Instant::now() + PATIENCE;
    // Orphans that nobody waits for stay as zombies where there is no init.
    let gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        test_kill_process(pid).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
    };
    while !gone() {
        assert!(Instant::now() < deadline, "process {pid:?} does not end");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_successor_has_the_new_configuration_and_the_old_one_finishes() {
    let old = Upstream::listen();
    let mut gateway = Gateway::to(old.address());
    let mut streaming = gateway.connect();
    streaming.send(GET);
    let mut server = old.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    streaming.read_until("one\r\n");
    let mut kept = gateway.connect();
    kept.send(GET);
    let mut second = old.accept();
    second.read_request();
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
    kept.read_response();

    // What a reload would refuse: twice the workers, a buffer pool of another size.
    let new = Config { limits: "buffer_bytes = \"2MiB\"".into(), ..Config::to(says("new")) };
    gateway.rewrite(&new.text().replace("workers = 1", "workers = 2"));
    hand_over(&gateway);
    // In the turn in which the old one stops accepting.
    assert_eq!(second.read_end(), End::Fin, "nothing is pooled any more");
    for _ in 0..20 {
        assert_eq!(get(&gateway), "new", "whoever comes now is the successor's");
    }
    // A client that was idle may ask once more, on the connection that it has.
    kept.send(GET);
    let mut third = old.accept();
    third.read_request();
    third.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
    let answer = kept.read_response();
    assert_eq!((answer.text(), answer.field("connection")), ("old", Some("close")));
    assert_eq!(kept.read_end(), End::Fin);

    assert_eq!(gateway.wait_exit(Duration::ZERO), None, "a stream is still running");
    server.send("3\r\ntwo\r\n0\r\n\r\n");
    streaming.read_until("0\r\n\r\n");
    assert_eq!(streaming.read_end(), End::Fin);
    drop((streaming, kept));
    assert_eq!(gateway.wait_exit(PATIENCE).expect("it ends").code(), Some(0));
    assert_eq!(get(&gateway), "new", "it outlives its predecessor");
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    let config = Config::to(says("old"));
    let mut gateway = config.start();
    for (number, (text, reason)) in [
        ("nonsense".to_owned(), "TOML syntax"),
        (config.text().replace("127.0.0.1:0", "192.0.2.1:80"), "cannot listen on 192.0.2.1:80"),
    ]
    .into_iter()
    .enumerate()
    {
        gateway.rewrite(&text);
        signal(&gateway, Signal::USR2);
        gateway.expect_in_log("hand-over failed, serving on: it ended before", number + 1);
        gateway.wait_for_log(reason);
        assert_eq!(get(&gateway), "old");
    }
    gateway.rewrite(&config.text());
    hand_over(&gateway);
    assert_eq!(gateway.wait_exit(PATIENCE).expect("it ends").code(), Some(0));
    assert_eq!(get(&gateway), "old");
}

/// Clients that ask again and again; each connection carries `requests` of them.
struct Load {
    clients: Vec<JoinHandle<Vec<String>>>,
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Load {
    fn on(address: SocketAddr, clients: usize, requests: usize) -> Load {
        let (over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let client = |_| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            thread::spawn(move || {
                let mut failures = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    if let Err(failure) = visit(address, requests, &answered) {
                        failures.push(failure);
                    }
                }
                failures
            })
        };
        Load { clients: (0..clients).map(client).collect(), over, answered }
    }

    /// Stops it. Returns how many requests were answered, and every one that was not.
    fn end(self) -> (usize, Vec<String>) {
        self.over.store(true, Ordering::Relaxed);
        let failures = self.clients.into_iter().flat_map(|one| one.join().expect("no panic"));
        let failures = failures.collect();
        (self.answered.load(Ordering::Relaxed), failures)
    }
}

/// One connection. It may be closed behind an answer that says so, and only there.
fn visit(address: SocketAddr, requests: usize, answered: &AtomicUsize) -> Result<(), String> {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    for _ in 0..requests {
        stream.write_all(GET.as_bytes()).map_err(|error| format!("write: {error}"))?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nhere") {
            let mut bytes = [0; 1024];
            match stream.read(&mut bytes) {
                Ok(0) => return Err(format!("closed: {}", String::from_utf8_lossy(&answer))),
                Ok(count) => answer.extend(&bytes[..count]),
                Err(error) => return Err(format!("read: {error}")),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            return Err(String::from_utf8_lossy(&answer).into_owned());
        }
        answered.fetch_add(1, Ordering::Relaxed);
        if String::from_utf8_lossy(&answer).to_lowercase().contains("connection: close") {
            return Ok(());
        }
    }
    Ok(())
}

/// A fleet of workers is replaced under load, three times, with more and with fewer of them.
#[test]
fn a_rolling_hand_over_under_load_fails_no_request_and_delays_no_stream() {
    const EVENTS: usize = 150;
    let config = Config {
        more: format!(
            "[[upstream]]\nname = \"streams\"\nendpoints = [\"{}\"]\n\
             [[route]]\npath = \"/stream\"\nupstream = \"streams\"\n",
            streams(EVENTS)
        ),
        ..Config::to(says("here"))
    };
    let with =
        |workers: usize| config.text().replace("workers = 1", &format!("workers = {workers}"));
    let mut gateway = Gateway::start(&with(2));
    let streaming: Vec<_> = (0..4).map(|_| watch_stream(&gateway, "/stream", EVENTS)).collect();
    let once = Load::on(gateway.address(), 3, 1);
    let often = Load::on(gateway.address(), 3, 1000);
    let first = gateway.pid();
    let mut retired = vec![first];
    for workers in [3, 1, 2] {
        thread::sleep(Duration::from_millis(300));
        gateway.rewrite(&with(workers));
        retired.push(hand_over(&gateway));
    }
    thread::sleep(Duration::from_millis(300));
    for (load, least) in [(once, 300), (often, 300)] {
        let (answered, failures) = load.end();
        println!("{answered} requests answered");
        assert_eq!(failures, Vec::<String>::new(), "of {answered} requests");
        assert!(answered > least, "{answered}");
    }
    for stream in streaming {
        let late = stream.join().expect("the stream is whole");
        assert!(late < Duration::from_millis(200), "an event was {late:?} late");
    }
    assert_eq!(gateway.wait_exit(PATIENCE).expect("it ends").code(), Some(0));
    let incumbent = retired.pop().expect("there is one");
    retired.into_iter().skip(1).for_each(expect_gone);
    kill_process(incumbent, Signal::TERM).expect("it serves");
    expect_gone(incumbent);
    TcpStream::connect(gateway.address()).expect_err("nobody holds the sockets any more");
}

#[test]
fn connections_in_the_queue_are_the_successors() {
    // The old process stands still when they come, and is killed: what it had not accepted yet is
    // in the sockets, and the sockets are shared.
    let gateway = Gateway::to(says("here"));
    let first = gateway.pid();
    hand_over(&gateway);
    expect_gone(first);
    let second = *gateway.successors().last().expect("one");
    kill_process(second, Signal::STOP).expect("it runs");
    let mut clients: Vec<Peer> = (0..20).map(|_| gateway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    kill_process(second, Signal::CONT).expect("it runs");
    kill_process(second, Signal::USR2).expect("it runs");
    for mut client in clients {
        assert_eq!(client.read_response().text(), "here");
    }
}

#[test]
fn an_order_to_end_reaches_a_process_that_is_handing_over() {
    let mut gateway = Gateway::to(says("here"));
    signal(&gateway, Signal::USR2);
    gateway.terminate();
    assert_eq!(gateway.wait_exit(PATIENCE).expect("it ends").code(), Some(0));
    // Once it has drained, it neither reloads nor hands over; while it does, it says so.
    let upstream = Upstream::listen();
    let mut gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    gateway.terminate();
    gateway.wait_for_log("draining; a second signal aborts");
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("the configuration is not read again");
    signal(&gateway, Signal::USR2);
    gateway.wait_for_log("nothing left to hand over");
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.read_response().status(), 200);
    assert_eq!(gateway.wait_exit(PATIENCE).expect("it ends").code(), Some(0));
}

/// Starts the gateway as systemd does: the listener is descriptor 3, and is named in the
/// environment.
pub fn activated(config: &str, listener: &TcpListener, variables: &[(&str, String)]) -> Gateway {
    let inherited = rustix::io::dup(listener).expect("a descriptor without CLOEXEC");
    let number = inherited.as_raw_fd();
    Gateway::start_with(config, |command| {
        let binary = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let script = format!(
            "exec 3<&{number}; [ {number} = 3 ] || exec {number}<&-; \
             export LISTEN_PID=$$; exec \"$0\" \"$@\""
        );
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).arg(binary).args(arguments);
        shell.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "http");
        shell.envs(variables.iter().map(|(name, value)| (name, value)));
        shell.stdin(Stdio::null()).stderr(Stdio::piped());
        *command = shell;
    })
}

#[test]
fn a_socket_from_a_service_manager_is_served_by_every_worker_and_outlives_restarts() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a socket");
    // Its queue fills before anybody is there.
    let mut early = Peer::connect(address);
    early.send(GET);
    let config = Config::to(says("here")).text().replace("127.0.0.1:0", &address.to_string());
    let config = config.replace("workers = 1", "workers = 2");
    let name = std::env::temp_dir().join(format!("sluicegate-activated-{}", std::process::id()));
    let manager = UnixDatagram::bind(&name).expect("a free name");
    manager.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let heard = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let variables = [("NOTIFY_SOCKET", name.to_string_lossy().into_owned())];
    let mut gateway = activated(&config, &listener, &variables);
    assert_eq!(early.read_response().text(), "here");
    assert_eq!(heard(), "READY=1");
    for _ in 0..20 {
        assert_eq!(get(&gateway), "here");
    }
    // A hand-over: the manager learns of its new charge.
    let successor = hand_over(&gateway);
    assert_eq!(heard(), format!("READY=1\nMAINPID={}", successor.as_raw_nonzero()));
    assert_eq!(get(&gateway), "here");
    drop(early);
    assert_eq!(gateway.wait_exit(PATIENCE).expect("it ends").code(), Some(0));
    kill_process(successor, Signal::TERM).expect("it runs");
    assert_eq!(heard(), "STOPPING=1");
    expect_gone(successor);
    // Between two lives of the service, connections wait.
    let mut between = Peer::connect(address);
    between.send(GET);
    let _next = activated(&config, &listener, &variables);
    assert_eq!(between.read_response().text(), "here");
    std::fs::remove_file(&name).expect("ours");
}

#[test]
fn a_socket_that_the_configuration_does_not_name_is_told() {
    let stray = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = stray.local_addr().expect("a socket");
    let config = Config::to(says("here")).text();
    // "127.0.0.1:0" would take any socket of that address.
    let own = TcpListener::bind("127.0.0.2:0").expect("a free port");
    let own_address = own.local_addr().expect("a socket");
    drop(own);
    let gateway = activated(&config.replace("127.0.0.1:0", &own_address.to_string()), &stray, &[]);
    gateway.wait_for_log(&format!("the socket on {address} that we were given is not in"));
    assert_eq!(get(&gateway), "here");
}

#[test]
fn kill_minus_nine_cuts_what_runs_and_nothing_looks_whole() {
    let upstream = Upstream::listen();
    let config = Config::to(upstream.address());
    let mut gateway = config.start();
    let address = gateway.address();
    let cases = [
        ("Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n", "one\r\n"),
        ("Content-Length: 6\r\n\r\none", "one"),
        // Until close, and given chunks: its end cannot be taken for the end.
        ("\r\none", "one\r\n"),
    ];
    let streams = cases.map(|(answer, last)| {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        server.send(format!("HTTP/1.1 200 OK\r\n{answer}"));
        client.read_until(last);
        (client, server)
    });
    signal(&gateway, Signal::KILL);
    gateway.wait_exit(PATIENCE).expect("it ends");
    for (mut client, mut server) in streams {
        client.read_end();
        assert!(client.unread().is_empty(), "no clean end: {}", client.transcript());
        server.read_end();
    }
    let again = Gateway::start(&config.text().replace("127.0.0.1:0", &address.to_string()));
    let mut client = again.connect();
    client.send(GET);
    upstream.accept().read_request();
}

#[test]
fn an_old_process_that_is_killed_while_it_drains_takes_only_its_own_along() {
    let upstream = Upstream::listen();
    let mut gateway = Gateway::to(upstream.address());
    let mut streaming = gateway.connect();
    streaming.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    streaming.read_until("one\r\n");
    gateway.rewrite(&Config::to(says("new")).text());
    hand_over(&gateway);
    signal(&gateway, Signal::KILL);
    gateway.wait_exit(PATIENCE).expect("it ends");
    streaming.read_end();
    assert!(streaming.unread().is_empty(), "no clean end: {}", streaming.transcript());
    assert_eq!(get(&gateway), "new");
}

#[test]
fn a_successor_that_dies_is_told_of_while_its_predecessor_drains() {
    let upstream = Upstream::listen();
    let mut gateway = Gateway::to(upstream.address());
    let mut streaming = gateway.connect();
    streaming.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    let successor = hand_over(&gateway);
    kill_process(successor, Signal::KILL).expect("it runs");
    gateway.wait_for_log("which serves in our place, ended");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(streaming.read_response().status(), 200);
    assert_eq!(gateway.wait_exit(PATIENCE).expect("it ends").code(), Some(0));
}
