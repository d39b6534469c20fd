//! Every timer: that it ends what it should, when it should, with its own status and code before
//! the commit, and with an answer that nobody takes for whole after it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::{Config, End, Gateway, Message, Peer, Upstream};

/// What the timer under test is set to.
const LIMIT: Duration = Duration::from_millis(300);
/// How late it may be on a machine that runs other tests as well.
const LATE: Duration = Duration::from_millis(1200);

/// Often enough to keep a timer from running out that a busy machine cannot make it too seldom, and
/// so many times that it would have.
const OFTEN: Duration = Duration::from_millis(40);
const TIMES: usize = 10;

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const UPLOAD: &str = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const UPGRADE: &str = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// `since`: before what started the timer was sent, so that no thread that was late makes the timer
/// look early.
fn assert_in_time(since: Instant) {
    let passed = since.elapsed();
    assert!(passed >= LIMIT, "too early: {passed:?}");
    assert!(passed < LIMIT + LATE, "too late: {passed:?}");
}

fn assert_error(response: &Message, status: u16, code: &str) {
    assert_eq!(
        (response.status(), response.json()["error"]["code"].as_str()),
        (status, Some(code)),
        "{response:?}"
    );
}

/// The connection ends, and not behind the end of the message.
fn assert_aborted(client: &mut Peer) {
    client.read_end();
    assert!(!client.received().ends_with(b"0\r\n\r\n"), "{}", client.transcript());
}

fn with_timeouts(upstream: &Upstream, timeouts: &str) -> Config {
    Config { timeouts: timeouts.to_owned(), ..Config::to(upstream.address()) }
}

/// Runs a scenario with one timer set to [`LIMIT`], in each of the places where it can be set. The
/// closest place to the route is in force.
fn wherever_it_is_set(timer: &str, upstream: SocketAddr, scenario: impl Fn(&Gateway)) {
    let set = |value: &str| format!("timeouts = {{ {timer} = \"{value}\" }}");
    let plain = Config::to(upstream);
    for config in [
        Config { timeouts: format!("{timer} = \"300ms\""), ..plain.clone() },
        Config { timeouts: format!("{timer} = \"off\""), upstream: set("300ms"), ..plain.clone() },
        Config {
            timeouts: format!("{timer} = \"1ms\""),
            upstream: set("20m"),
            route: set("300ms"),
            ..plain
        },
    ] {
        println!("{config:?}");
        scenario(&config.start());
    }
}

#[test]
fn head() {
    let upstream = Upstream::listen();
    let gateway = with_timeouts(&upstream, "head = \"300ms\"").start();
    let mut client = gateway.connect();
    let started = Instant::now();
    client.send("GET /a HTTP/1.1\r\nHos");
    let refusal = client.read_response();
    assert_in_time(started);
    assert_error(&refusal, 408, "head_timeout");
    assert_eq!(refusal.field("connection"), Some("close"));
    assert_eq!(client.read_end(), End::Fin);
}

#[test]
fn a_head_that_drips_has_no_more_time_than_another() {
    let upstream = Upstream::listen();
    let gateway = with_timeouts(&upstream, "head = \"300ms\"").start();
    let mut client = gateway.connect();
    let started = Instant::now();
    for byte in "GET /a HTTP/1.1\r\nHost: a-long-name\r\n".bytes() {
        if client.try_send([byte]).is_err() {
            break;
        }
        client.receive(Duration::from_millis(30));
        if !client.unread().is_empty() {
            break;
        }
    }
    assert_error(&client.read_response(), 408, "head_timeout");
    assert_in_time(started);
}

#[test]
fn a_client_that_never_says_anything_is_closed_without_a_word() {
    let upstream = Upstream::listen();
    let gateway = with_timeouts(&upstream, "head = \"300ms\"").start();
    let mut client = gateway.connect();
    let started = Instant::now();
    assert_eq!(client.read_end(), End::Fin);
    assert_in_time(started);
    assert!(client.received().is_empty(), "{}", client.transcript());
}

#[test]
fn client_idle() {
    let upstream = Upstream::listen();
    let gateway = with_timeouts(&upstream, "client_idle = \"300ms\"").start();
    let mut client = gateway.connect();
    let mut idle = Instant::now();
    for _ in 0..TIMES {
        std::thread::sleep(OFTEN);
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        idle = Instant::now();
        server.send(OK.replace("200 OK\r\n", "200 OK\r\nConnection: close\r\n"));
        assert_eq!(client.read_response().status(), 200);
    }
    assert_eq!(client.read_end(), End::Fin);
    assert_in_time(idle);
    assert!(client.unread().is_empty(), "{}", client.transcript());
}

#[test]
fn body() {
    let upstream = Upstream::listen();
    wherever_it_is_set("body", upstream.address(), |gateway| {
        let mut client = gateway.connect();
        client.send(UPLOAD);
        let mut server = upstream.accept();
        server.read_until("half");
        // Each byte gives it new life.
        let mut silent = Instant::now();
        for number in 0..TIMES {
            std::thread::sleep(OFTEN);
            silent = Instant::now();
            client.send(format!("<{number}>"));
            server.read_until(&format!("<{number}>"));
        }
        let refusal = client.read_response();
        assert_in_time(silent);
        assert_error(&refusal, 408, "body_timeout");
        assert_eq!(refusal.field("connection"), Some("close"));
        server.read_end();
    });
}

#[test]
fn a_body_that_falls_silent_behind_its_answer_is_cut_off() {
    let upstream = Upstream::listen();
    let gateway = with_timeouts(&upstream, "body = \"300ms\"").start();
    let mut client = gateway.connect();
    let silent = Instant::now();
    client.send(UPLOAD);
    let mut server = upstream.accept();
    server.read_until("half");
    server.send(format!("{CHUNKED}{}", chunk("one")));
    assert_aborted(&mut client);
    assert_in_time(silent);
    server.read_end();
}

/// A server whose queue of connections is full: the kernel drops what knocks, and says nothing.
fn deaf() -> (TcpListener, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    socket.listen(0).expect("a socket");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("a socket");
    let queue = std::iter::from_fn(|| {
        TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()
    });
    let queue: Vec<_> = queue.take(100).collect();
    assert!(queue.len() < 100, "the queue is never full");
    (listener, queue)
}

#[test]
fn connect() {
    let (listener, _queue) = deaf();
    let address = listener.local_addr().expect("a socket");
    wherever_it_is_set("connect", address, |gateway| {
        let mut client = gateway.connect();
        let asked = Instant::now();
        client.send(GET);
        let refusal = client.read_response();
        assert_in_time(asked);
        assert_error(&refusal, 504, "connect_timeout");
        // The request was whole, so the client may go on.
        assert_eq!(refusal.field("connection"), None);
        client.send(GET);
        assert_error(&client.read_response(), 504, "connect_timeout");
    });
}

#[test]
fn ttft_before_the_head() {
    let upstream = Upstream::listen();
    wherever_it_is_set("ttft", upstream.address(), |gateway| {
        let mut client = gateway.connect();
        let written = Instant::now();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        assert_error(&client.read_response(), 504, "ttft_timeout");
        assert_in_time(written);
        server.read_end();
    });
}

#[test]
fn ttft_runs_from_the_end_of_the_request() {
    let upstream = Upstream::listen();
    let gateway = with_timeouts(&upstream, "ttft = \"300ms\"").start();
    let mut client = gateway.connect();
    client.send(
        "POST /a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Length: 4\r\n\r\n",
    );
    let mut server = upstream.accept();
    let mut written = Instant::now();
    for byte in ["a", "b", "c", "d"] {
        std::thread::sleep(Duration::from_millis(150));
        written = Instant::now();
        client.send(byte);
    }
    server.read_request();
    assert_error(&client.read_response(), 504, "ttft_timeout");
    assert_in_time(written);
}

#[test]
fn ttft_behind_the_head_is_an_abort_and_comments_do_not_help() {
    let upstream = Upstream::listen();
    for (head, filler) in [(CHUNKED, ""), (EVENTS, ""), (EVENTS, ": ping\n\n")] {
        println!("{head:?} {filler:?}");
        // What is no stream by its head has the time of a document.
        let limit = if head == EVENTS { "ttft" } else { "response" };
        let gateway = with_timeouts(&upstream, &format!("{limit} = \"300ms\"")).start();
        let mut client = gateway.connect();
        let written = Instant::now();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        server.send(head);
        while !filler.is_empty() && server.try_send(chunk(filler)).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
            assert!(written.elapsed() < LIMIT + LATE, "comments keep it alive");
        }
        assert_aborted(&mut client);
        assert_in_time(written);
    }
}

#[test]
fn an_upstream_that_does_not_take_the_request() {
    let upstream = Upstream::listen();
    let gateway = with_timeouts(&upstream, "ttft = \"300ms\"").start();
    let mut client = gateway.connect();
    client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
    let server = upstream.accept();
    let stream = client.stream().try_clone().expect("a socket");
    std::thread::spawn(move || {
        use std::io::Write;
        let bytes = vec![b'b'; 1 << 20];
        while (&stream).write_all(&bytes).is_ok() {}
    });
    assert_error(&client.read_response(), 504, "upstream_write_timeout");
    drop(server);
}

#[test]
fn inter_event_is_fed_by_events_and_by_nothing_else() {
    let upstream = Upstream::listen();
    wherever_it_is_set("inter_event", upstream.address(), |gateway| {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        server.send(EVENTS);
        let mut last = Instant::now();
        for number in 0..TIMES {
            std::thread::sleep(OFTEN);
            last = Instant::now();
            server.send(chunk(&format!("data: {number}\n\n")));
            client.read_until(&format!("data: {number}\n\n"));
        }
        // Comments, other fields and an event that never ends are no events.
        server.send(chunk(": ping\n\nid: 7\n\n"));
        while server.try_send(chunk("data: more\n")).is_ok() {
            std::thread::sleep(Duration::from_millis(40));
            assert!(last.elapsed() < LIMIT + LATE, "comments keep it alive");
        }
        assert_aborted(&mut client);
        assert_in_time(last);
    });
}

#[test]
fn inter_event_is_fed_by_bytes_where_there_are_no_events() {
    let upstream = Upstream::listen();
    for head in
        [CHUNKED, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"]
    {
        println!("{head:?}");
        let gateway = with_timeouts(&upstream, "inter_event = \"300ms\"").start();
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        server.send(head);
        if head == CHUNKED {
            server.send("64\r\n");
        }
        let mut last = Instant::now();
        for number in 0..TIMES {
            std::thread::sleep(OFTEN);
            last = Instant::now();
            server.send(format!("<{number}>"));
            client.read_until(&format!("<{number}>"));
        }
        assert_aborted(&mut client);
        assert_in_time(last);
        server.read_end();
    }
}

/// What ends with its connection and is cut off has to look like it.
#[test]
fn an_http_1_0_client_sees_a_reset_and_not_an_end() {
    let upstream = Upstream::listen();
    let gateway = with_timeouts(&upstream, "inter_event = \"300ms\"").start();
    let mut client = gateway.connect();
    client.send("GET /a HTTP/1.0\r\n\r\n");
    let mut server = upstream.accept();
    server.read_request();
    server.send(format!("{CHUNKED}{}", chunk("one")));
    client.read_until("one");
    assert_eq!(client.read_end(), End::Reset);
}

/// Fills every buffer between a server and a client that does not read. Gives the bytes it took.
fn flood(server: &mut Peer) -> usize {
    let stream = server.stream();
    stream.set_nonblocking(true).expect("a socket");
    let data = chunk(&"x".repeat(65_000));
    let (mut sent, mut offset, mut moved) = (0, 0, Instant::now());
    while moved.elapsed() < Duration::from_millis(100) {
        use std::io::Write;
        match { stream }.write(&data.as_bytes()[offset..]) {
            Ok(count) => {
                sent += count;
                offset = (offset + count) % data.len();
                moved = Instant::now();
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    stream.set_nonblocking(false).expect("a socket");
    sent
}

#[test]
fn client_write() {
    let upstream = Upstream::listen();
    wherever_it_is_set("client_write", upstream.address(), |gateway| {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        server.send(CHUNKED);
        client.read_until("\r\n\r\n");
        let sent = flood(&mut server);
        let blocked = Instant::now();
        server.read_end();
        assert!(blocked.elapsed() < LIMIT + LATE, "{:?}", blocked.elapsed());
        gateway.wait_for_log("client_write_timeout, cut short");
        assert_aborted(&mut client);
        assert!(client.received().len() < sent);
    });
}

/// As long as it takes something it reads, and its pauses are not the upstream's silence. The kernel
/// tells of room when a third of megabytes is free, which takes this one longer than the limit. (A
/// client that reads much less in that time looks like one that does not: its own kernel opens a
/// closed window when a sixteenth of the receive buffer is free.)
#[test]
fn a_slow_reader_is_not_one_that_does_not_read() {
    const SLOW: usize = 40_000;
    let upstream = Upstream::listen();
    let timeouts = "client_write = \"2s\"\ninter_event = \"300ms\"";
    let gateway = with_timeouts(&upstream, timeouts).start();
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send(CHUNKED);
    std::thread::spawn(move || {
        let data = chunk(&"x".repeat(65_000));
        while server.try_send(&data).is_ok() {}
    });
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(6) {
        client.read(SLOW);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!gateway.log().iter().any(|line| line.contains("cut short")), "{:#?}", gateway.log());
}

#[test]
fn total_before_the_head() {
    let upstream = Upstream::listen();
    wherever_it_is_set("total", upstream.address(), |gateway| {
        let mut client = gateway.connect();
        let started = Instant::now();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        assert_error(&client.read_response(), 504, "total_timeout");
        assert_in_time(started);
        server.read_end();
    });
}

#[test]
fn total_ends_the_liveliest_stream() {
    let upstream = Upstream::listen();
    let gateway = with_timeouts(&upstream, "total = \"300ms\"").start();
    let mut client = gateway.connect();
    let started = Instant::now();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send(EVENTS);
    while server.try_send(chunk("data: token\n\n")).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
        assert!(started.elapsed() < LIMIT + LATE, "it goes on");
    }
    assert_aborted(&mut client);
    assert_in_time(started);
}

#[test]
fn total_counts_the_time_in_the_queue() {
    let upstream = Upstream::listen();
    let mut config = with_timeouts(&upstream, "total = \"300ms\"");
    config.upstream = "pool = { connections = 1 }".to_owned();
    config.more = "[[route]]\npath = \"/patient\"\nupstream = \"scripted\"\n\
                   timeouts = { total = \"off\" }"
        .to_owned();
    let gateway = config.start();
    let mut first = gateway.connect();
    first.send(GET.replace("/a", "/patient"));
    let mut server = upstream.accept();
    server.read_request();
    let mut client = gateway.connect();
    let started = Instant::now();
    client.send(GET);
    assert_error(&client.read_response(), 504, "total_timeout");
    assert_in_time(started);
    server.send(OK);
    assert_eq!(first.read_response().status(), 200);
}

#[test]
fn tunnel_idle_and_no_other_timer_runs_in_a_tunnel() {
    let upstream = Upstream::listen();
    wherever_it_is_set("tunnel_idle", upstream.address(), |gateway| {
        let mut client = gateway.connect();
        client.send(UPGRADE);
        let mut server = upstream.accept();
        server.read_head();
        server.send(SWITCHED);
        assert_eq!(client.read_head().status(), 101);
        // Bytes in either direction keep it open.
        let mut silent = Instant::now();
        for _ in 0..TIMES {
            std::thread::sleep(OFTEN);
            client.send("ping");
            server.read_until("ping");
            std::thread::sleep(OFTEN);
            silent = Instant::now();
            server.send("pong");
            client.read_until("pong");
        }
        client.read_end();
        assert_in_time(silent);
        server.read_end();
    });
}

#[test]
fn a_tunnel_outlives_the_timers_of_a_request() {
    let upstream = Upstream::listen();
    let timeouts = "total = \"2s\"\ninter_event = \"2s\"\nttft = \"2s\"\nbody = \"2s\"";
    let gateway = with_timeouts(&upstream, timeouts).start();
    let mut client = gateway.connect();
    client.send(UPGRADE);
    let mut server = upstream.accept();
    server.read_head();
    server.send(SWITCHED);
    client.read_head();
    std::thread::sleep(Duration::from_secs(3));
    client.send("ping");
    server.read_until("ping");
    server.send("pong");
    client.read_until("pong");
}

/// Each of them is "off" here, and the test takes longer than none of them would allow.
#[test]
fn what_is_off_does_not_end_anything() {
    let upstream = Upstream::listen();
    let off = ["head", "client_idle", "body", "client_write", "connect", "ttft", "inter_event"];
    let off: String = off.iter().map(|timer| format!("{timer} = \"off\"\n")).collect();
    let gateway = with_timeouts(&upstream, &off).start();
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send("GET /a HTTP/1.1\r\n");
        std::thread::sleep(Duration::from_millis(100));
        client.send("Host: x\r\nConnection: close\r\n\r\n");
        let mut server = upstream.accept();
        server.read_request();
        std::thread::sleep(Duration::from_millis(100));
        server.send(CHUNKED);
        std::thread::sleep(Duration::from_millis(100));
        server.send("0\r\n\r\n");
        assert_eq!(client.read_response().status(), 200);
        client = gateway.connect();
    }
}
