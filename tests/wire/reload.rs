//! A new configuration for a gateway that is busy.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Config, End, Gateway, PATIENCE, Peer, Stopwatch, Upstream, signal};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
/// An event that is later than this was held up by something.
pub const LATE: Duration = Duration::from_millis(100);
const PACE: Duration = Duration::from_millis(20);

/// A server that answers every request with this body.
fn says(body: &'static str) -> SocketAddr {
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

/// A server that answers with a stream: `count` numbered events, one every [`PACE`].
pub fn streams(count: usize) -> SocketAddr {
    Upstream::serve(move |mut peer| {
        peer.read_request();
        peer.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
        );
        let begin = Instant::now();
        for number in 0..count {
            let due = begin + PACE * number as u32;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let event = format!("data: {number}.\n\n");
            if peer.try_send(format!("{:x}\r\n{event}\r\n", event.len())).is_err() {
                return;
            }
        }
        peer.send("0\r\n\r\n");
        peer.receive(PATIENCE);
    })
}

/// Asks for a stream and reads it to its end, in a thread of its own. Tells by how much the latest
/// event was late: later than the one that came soonest, each compared with when it was due; waits
/// for a CPU left out.
pub fn watch_stream(gateway: &Gateway, path: &'static str, count: usize) -> JoinHandle<Duration> {
    let (mut client, begun) = (gateway.connect(), Stopwatch::of(gateway.pid()));
    thread::spawn(move || {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.read_until("0\r\n\r\n");
        let arrivals = (0..count as u32)
            .map(|number| client.arrival_of(&format!("data: {number}.\n")) - PACE * number);
        let arrivals: Vec<Instant> = arrivals.collect();
        let late = arrivals.iter().max().zip(arrivals.iter().min());
        let late = late.map_or(PATIENCE, |(last, first)| *last - *first);
        late.saturating_sub(begun.waited())
    })
}

fn get(gateway: &Gateway) -> String {
    let mut client = gateway.connect();
    client.send(GET);
    client.read_response().text().to_owned()
}

/// Tells the gateway to reload, and waits until it has.
fn reload(gateway: &Gateway, generation: u32) {
    signal(gateway, Signal::HUP);
    gateway.wait_for_log(&format!("generation {generation} is in force"));
}

#[test]
fn streams_run_on_over_reloads() {
    const EVENTS: usize = 100;
    let config = Config::to(streams(EVENTS));
    let gateway = config.start();
    let clients: Vec<_> = (0..4).map(|_| watch_stream(&gateway, "/a", EVENTS)).collect();
    thread::sleep(5 * PACE);
    for generation in 1..=20 {
        // Each would cut the streams if it were theirs.
        let timeouts = format!("inter_event = \"{generation}ms\"");
        gateway.rewrite(&Config { timeouts, ..config.clone() }.text());
        reload(&gateway, generation);
        thread::sleep(PACE);
    }
    for client in clients {
        let late = client.join().expect("the stream is whole");
        assert!(late < LATE, "an event was {late:?} late");
    }
}

#[test]
fn the_next_request_obeys_the_new_configuration() {
    let (old, new) = (Upstream::listen(), says("new"));
    let config = Config::to(old.address());
    let gateway = config.start();
    // One connection to the old server idle, one in the middle of an answer, one client waiting.
    let mut kept = gateway.connect();
    kept.send(GET);
    let mut idle = old.accept();
    idle.read_request();
    idle.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
    assert_eq!(kept.read_response().text(), "old");
    let mut streaming = gateway.connect();
    streaming.send(GET);
    idle.read_request();
    idle.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nold");
    streaming.read_until("old");
    let mut second = gateway.connect();
    second.send(GET);
    let mut spare = old.accept();
    spare.read_request();
    spare.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
    second.read_response();

    gateway.rewrite(&Config::to(new).text());
    reload(&gateway, 1);
    assert_eq!(spare.read_end(), End::Fin, "idle, and its endpoint is gone");
    kept.send(GET);
    assert_eq!(kept.read_response().text(), "new", "on the connection it had");
    assert_eq!(get(&gateway), "new");
    idle.send("end");
    streaming.read_until("end");
    assert_eq!(idle.read_end(), End::Fin, "in use to its last byte, and not kept");
    streaming.send(GET);
    assert_eq!(streaming.read_response().text(), "new");
}

#[test]
fn a_limit_of_addresses_counts_those_who_were_here_before_it() {
    let text = Config::to(says("ok")).text();
    let gateway = Gateway::start(&text);
    let mut held: Vec<Peer> = (0..2).map(|_| knock(&gateway).expect("no limit")).collect();
    let limits = [
        ("per_address = { connections = 2 }", "it begins"),
        ("per_address = { connections = 2, ipv4_prefix = 24 }", "other households"),
        (
            "trusted_proxies = [\"192.0.2.1\"]\n\
             per_address = { connections = 2, ipv4_prefix = 24 }",
            "other proxies",
        ),
    ];
    for (generation, (limit, what)) in (1..).zip(limits) {
        gateway.rewrite(&format!("{text}\n[gate]\n{limit}\n"));
        reload(&gateway, generation);
        // The worker may take it up a moment after that was said.
        assert!((0..100).any(|_| knock(&gateway).is_none()), "{what}: a third");
        // Who leaves makes room for one, and for no more than that.
        for place in 0..2 {
            held.remove(0);
            let next = (0..1_000).find_map(|_| knock(&gateway));
            held.push(next.unwrap_or_else(|| panic!("{what}: place {place} is free")));
            assert!(knock(&gateway).is_none(), "{what}: another at place {place}");
        }
    }
}

/// A connection that is let in, and says that it stays.
fn knock(gateway: &Gateway) -> Option<Peer> {
    let stream = std::net::TcpStream::connect(gateway.address()).ok()?;
    let mut client = Peer::of(stream);
    client.try_send(GET).ok()?;
    client.receive(PATIENCE);
    client.received().starts_with(b"HTTP/1.1 200").then_some(client)
}

#[test]
fn a_bad_file_is_refused_whole_and_the_old_one_serves_on() {
    let config = Config::to(says("old"));
    let gateway = config.start();
    let text = config.text();
    let line = |key: &str| 1 + text.lines().position(|line| line.contains(key)).expect("a line");
    for (number, (from, to, told)) in [
        ("[route]", "[rout]", format!("{}: rout: unknown key", line("[[route]]"))),
        ("name = \"scripted\"", "name = 7", format!("{}: upstream[0].name", line("name ="))),
        ("listen =", "listen", format!("{}: TOML syntax", line("listen"))),
        ("127.0.0.1:0", "127.0.0.2:0", format!("{}: server.listen: cannot change", line("listen"))),
        ("workers = 1", "workers = 2", format!("{}: server.workers: cannot", line("workers"))),
        ("[limits]", "[limits]\nbuffer_bytes = \"2MiB\"", "limits.buffer_bytes: cannot".into()),
        ("workers = 1", "workers = 1\naccept = \"balanced\"", "server.accept: cannot".into()),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(text.contains(from));
        // What else the file says would show at once.
        let other = text.replace(from, to).replace(&config.endpoint, "127.0.0.1:9");
        gateway.rewrite(&other);
        signal(&gateway, Signal::HUP);
        gateway.expect_in_log("refused; generation 0 stays", number + 1);
        gateway.wait_for_log(&told);
        assert_eq!(get(&gateway), "old");
    }
    gateway.rewrite(&Config::to(says("new")).text());
    reload(&gateway, 1);
    assert_eq!(get(&gateway), "new");
}

#[test]
fn a_file_that_needs_more_descriptors_than_there_are_is_refused() {
    let config = Config::to(says("old"));
    let gateway = Gateway::start_with(&config.text(), |command| {
        let binary = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "ulimit -n 3000; exec \"$0\" \"$@\""]).arg(binary).args(arguments);
        shell.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        *command = shell;
    });
    // More than fs.nr_open lets anybody have, whatever the limit is.
    let limits = "connections = 1000000".into();
    gateway.rewrite(&Config { limits, ..config }.text());
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("refused; generation 0 stays");
    gateway.wait_for_log("file descriptors");
    assert_eq!(get(&gateway), "old");
}

#[test]
fn a_changed_file_is_noticed_where_that_is_asked_for() {
    let watched = |server: &str, body| Config { server: server.into(), ..Config::to(says(body)) };
    let gateway = watched("watch = \"100ms\"", "old").start();
    let next = watched("watch = \"off\"", "new").text();
    gateway.rewrite(&next);
    gateway.wait_for_log("has changed");
    gateway.wait_for_log("generation 1 is in force");
    assert_eq!(get(&gateway), "new");
    // And it is obeyed too: nobody looks any more.
    gateway.rewrite(&watched("watch = \"100ms\"", "newer").text());
    thread::sleep(Duration::from_millis(400));
    assert_eq!(get(&gateway), "new");
    reload(&gateway, 2);
    assert_eq!(get(&gateway), "newer");
}

/// The messages that a service manager gets, until one holds `last`.
fn told(socket: &UnixDatagram, last: &str) -> Vec<String> {
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut messages = Vec::new();
    loop {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).expect("a message");
        let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let is_last = message.contains(last);
        messages.push(message);
        if is_last {
            return messages;
        }
    }
}

#[test]
fn a_service_manager_is_told() {
    let name = std::env::temp_dir().join(format!("sluicegate-notify-wire-{}", std::process::id()));
    let socket = UnixDatagram::bind(&name).expect("a free name");
    let config = Config::to(says("here"));
    let gateway = Gateway::start_with(&config.text(), |command| {
        command.env("NOTIFY_SOCKET", &name);
    });
    assert_eq!(told(&socket, "READY"), ["READY=1"]);
    assert_eq!(get(&gateway), "here", "ready is ready");
    for text in [config.text(), "nonsense".into()] {
        gateway.rewrite(&text);
        signal(&gateway, Signal::HUP);
        let messages = told(&socket, "READY");
        assert_eq!(messages.len(), 2);
        let micros = messages[0].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("the time");
        assert!(micros.parse::<u64>().is_ok());
    }
    gateway.terminate();
    assert_eq!(told(&socket, "STOPPING"), ["STOPPING=1"]);
    std::fs::remove_file(&name).expect("ours");
}

#[test]
fn relative_paths_begin_at_the_file_after_a_reload_too() {
    let name = format!("sluicegate-wire-reload-{}.txt", std::process::id());
    let text = std::env::temp_dir().join(&name);
    std::fs::write(&text, "the first words").expect("a temporary file");
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("a port")
    };
    let route = format!("fallback = {{ file = \"{name}\" }}");
    let gateway = Config { route, ..Config::to(nobody) }.start();
    assert_eq!(get(&gateway), "the first words");
    std::fs::write(&text, "other words").expect("a temporary file");
    reload(&gateway, 1);
    assert_eq!(get(&gateway), "other words");
    std::fs::remove_file(&text).expect("ours");
}
