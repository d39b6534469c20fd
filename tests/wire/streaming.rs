//! A token is at the client before the next one is made; a client that stops reading stops its own
//! upstream and nobody else; a client that leaves frees its upstream at once.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::{Config, End, Gateway, Peer, Upstream, WATCH};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// What must happen in the turn of its cause takes no longer, on a machine that runs other tests.
const AT_ONCE: Duration = Duration::from_millis(500);

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A gateway, and both ends of a request that the upstream has read.
fn asked(upstream: &Upstream, request: &str) -> (Gateway, Peer, Peer) {
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send(request);
    let mut server = upstream.accept();
    server.read_head();
    (gateway, client, server)
}

/// Frame by frame, with a pause between them: sent, seen, and only then the next one is sent. A
/// gateway that collects a second frame before it passes the first one on never gets it.
fn in_lockstep(from: &mut Peer, to: &mut Peer, frame: impl Fn(usize) -> String) -> Vec<Duration> {
    let mut delays: Vec<Duration> = (0..25)
        .map(|number| {
            let token = format!("<token {number}>");
            let sent = Instant::now();
            from.send(frame(number));
            to.read_until(&token);
            std::thread::sleep(Duration::from_millis(4));
            to.arrival_of(&token).saturating_duration_since(sent)
        })
        .collect();
    delays.sort();
    delays
}

#[test]
fn each_frame_arrives_before_the_next_one_is_sent() {
    let token = |number: usize| format!("<token {number}>");
    let chunked = |number| chunk(&token(number));
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                  Transfer-Encoding: chunked\r\n\r\n";
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    let until_close = "HTTP/1.1 200 OK\r\n\r\n";
    let request_1_0 = "GET /a HTTP/1.0\r\n\r\n";
    type Frame<'a> = &'a dyn Fn(usize) -> String;
    let event = |number| chunk(&format!("data: {}\n\n", token(number)));
    let cases: [(&str, &str, &str, Frame); 6] = [
        ("chunked", GET, CHUNKED, &chunked),
        ("events", GET, events, &event),
        ("length", GET, length, &token),
        ("until close", GET, until_close, &token),
        ("chunked to HTTP/1.0", request_1_0, CHUNKED, &chunked),
        ("until close to HTTP/1.0", request_1_0, until_close, &token),
    ];
    for (what, request, head, frame) in cases {
        let upstream = Upstream::listen();
        let (_gateway, mut client, mut server) = asked(&upstream, request);
        // The head does not wait for the first frame.
        server.send(head);
        assert_eq!(client.read_head().status(), 200);
        let delays = in_lockstep(&mut server, &mut client, frame);
        println!("{what}: median {:?}, worst {:?}", delays[12], delays[24]);
        assert!(delays[6] < Duration::from_millis(20), "{what}: {delays:?}");
    }
}

#[test]
fn an_upload_arrives_frame_by_frame_too() {
    let upload = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let upstream = Upstream::listen();
    let (_gateway, mut client, mut server) = asked(&upstream, upload);
    let frame = |number| chunk(&format!("<token {number}>"));
    let delays = in_lockstep(&mut client, &mut server, frame);
    assert!(delays[6] < Duration::from_millis(20), "{delays:?}");
    // And an answer may begin while the request goes on.
    server.send(format!("{CHUNKED}{}", chunk("<early>")));
    client.read_until("<early>");
    client.send(chunk("<late>"));
    server.read_until("<late>");
}

#[test]
fn part_of_a_chunk_is_not_kept_back() {
    let upstream = Upstream::listen();
    let (_gateway, mut client, mut server) = asked(&upstream, GET);
    server.send(CHUNKED);
    client.read_head();
    // The client has each piece, to the byte, before the next one leaves.
    for piece in ["5", "\r", "\nhe", "llo", "\r", "\n3\r\nyou\r\n0", "\r\n", "\r\n"] {
        server.send(piece);
        assert_eq!(String::from_utf8_lossy(&client.read(piece.len())), piece);
    }
    client.expect_silence();
    client.send(GET);
    server.read_request();
}

/// With Nagle's algorithm the second of two small frames waits until the first is acknowledged,
/// and a kernel that has seen its side of a connection answer before delays that for 40 ms.
#[test]
fn small_frames_do_not_wait_for_acknowledgements() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    let mut server = None;
    let pause = || std::thread::sleep(Duration::from_millis(2));
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for number in 0..40 {
        client.send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        let server = server.get_or_insert_with(|| upstream.accept());
        server.read_head();
        let three_frames = |from: &mut Peer, to: &mut Peer, delays: &mut Vec<Duration>| {
            for frame in ["a", "b", "c"] {
                let token = format!("<{number}{frame}>");
                pause();
                let sent = Instant::now();
                from.send(chunk(&token));
                to.read_until(&token);
                delays.push(to.arrival_of(&token).saturating_duration_since(sent));
            }
            from.send("0\r\n\r\n");
            to.read_until("0\r\n\r\n");
        };
        three_frames(&mut client, server, &mut up);
        server.send(CHUNKED);
        client.read_head();
        three_frames(server, &mut client, &mut down);
    }
    for (what, delays) in [("up", up), ("down", down)] {
        // A frame that waits does so every time, whichever of the three it is.
        for frame in 0..3 {
            let mut delays: Vec<_> = delays.iter().skip(frame).step_by(3).collect();
            delays.sort();
            println!("{what}, frame {frame}: median {:?}, worst {:?}", delays[20], delays[39]);
            assert!(*delays[10] < Duration::from_millis(30), "{what}, frame {frame}: {delays:?}");
        }
    }
}

/// Writes until everything between the two ends is full. Gives the bytes that fit.
fn flood(mut stream: &TcpStream, data: &[u8]) -> usize {
    stream.set_nonblocking(true).expect("a socket");
    let (mut sent, mut moved) = (0, Instant::now());
    while moved.elapsed() < Duration::from_millis(200) {
        match stream.write(&data[sent % data.len()..]) {
            Ok(count) => {
                sent += count;
                moved = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
    stream.set_nonblocking(false).expect("a socket");
    sent
}

/// The most the kernel may hold for one socket, in each of the directions.
fn kernel_buffers() -> usize {
    let most = |name: &str| -> usize {
        let path = format!("/proc/sys/net/ipv4/{name}");
        let text = std::fs::read_to_string(path).expect("a limit of the kernel");
        text.split_whitespace().last().and_then(|most| most.parse().ok()).expect("a number")
    };
    most("tcp_rmem") + most("tcp_wmem")
}

#[test]
fn a_client_that_stops_reading_stops_its_upstream_and_nobody_else() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let open = || {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_head();
        server.send(CHUNKED);
        client.read_head();
        (client, server)
    };
    let (mut lively, mut lively_server) = open();
    let (mut stuck, stuck_server) = open();
    let before = gateway.memory_now();
    let frame: Vec<u8> = chunk(&"x".repeat(9_993)).into_bytes();
    let sent = flood(stuck_server.stream(), &frame);
    let grown = gateway.memory_now().saturating_sub(before);
    println!("the upstream could write {sent} bytes; the gateway grew by {grown}");
    // Two connections' worth of kernel buffers, and one buffer of the gateway's.
    assert!(sent < 2 * kernel_buffers(), "{sent} bytes");
    assert!(grown < 1 << 20, "the gateway grew by {grown} bytes");

    let delays =
        in_lockstep(&mut lively_server, &mut lively, |number| chunk(&format!("<token {number}>")));
    assert!(delays[6] < Duration::from_millis(20), "{delays:?}");

    // When it reads on, nothing is missing.
    let all = stuck.read(sent);
    for (index, bytes) in all.chunks(frame.len()).enumerate() {
        assert_eq!(bytes, &frame[..bytes.len()], "frame {index}");
    }
    stuck.expect_silence();
}

#[test]
fn an_upstream_that_stops_reading_stops_its_client() {
    let upload = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    let upstream = Upstream::listen();
    let limits = "replay_bytes = \"1MiB\"".to_owned();
    let gateway = Config { limits, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    client.send(upload);
    let mut server = upstream.accept();
    server.read_head();
    let before = gateway.memory_now();
    let data: Vec<u8> = (0..9_973).map(|number| (number % 251) as u8).collect();
    let sent = flood(client.stream(), &data);
    let grown = gateway.memory_now().saturating_sub(before);
    println!("the client could write {sent} bytes; the gateway grew by {grown}");
    assert!(sent < 2 * kernel_buffers(), "{sent} bytes");
    // What is kept for a replay (limits.replay_bytes) comes on top here.
    assert!(grown < 3 << 20, "the gateway grew by {grown} bytes");
    let all = server.read(sent);
    assert!(all.chunks(data.len()).all(|bytes| bytes == &data[..bytes.len()]));
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaving {
    Fin,
    Reset,
}

impl Leaving {
    const BOTH: [Leaving; 2] = [Leaving::Fin, Leaving::Reset];

    fn go(self, client: Peer) -> Instant {
        let left = Instant::now();
        match self {
            Leaving::Fin => drop(client),
            Leaving::Reset => client.reset(),
        }
        left
    }
}

fn assert_cancelled(gateway: &Gateway, server: &mut Peer, left: Instant) {
    server.read_end();
    assert!(left.elapsed() < AT_ONCE, "{:?}", left.elapsed());
    gateway.wait_for_log("499 client_gone");
}

#[test]
fn a_client_that_leaves_while_it_waits_for_a_connection_leaves_the_queue() {
    for leaving in Leaving::BOTH {
        let upstream = Upstream::listen();
        let config = Config {
            upstream: "pool = { connections = 1 }".to_owned(),
            ..Config::to(upstream.address())
        };
        let gateway = config.start();
        let mut first = gateway.connect();
        first.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        let mut queued = gateway.connect();
        queued.send(GET);
        queued.expect_silence();
        let left = leaving.go(queued);
        gateway.wait_for_log("499 client_gone");
        assert!(left.elapsed() < AT_ONCE, "{:?}", left.elapsed());
        server.send(OK);
        assert_eq!(first.read_response().status(), 200);
        server.expect_silence();
    }
}

#[test]
fn a_client_that_leaves_while_its_upstream_is_connected_closes_that_socket() {
    // A listener whose queue is full drops what knocks.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    socket.listen(0).expect("a socket");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("a socket");
    let patience = Duration::from_millis(200);
    let full = std::iter::from_fn(|| TcpStream::connect_timeout(&address, patience).ok());
    let _full: Vec<TcpStream> = full.take(100).collect();

    let gateway = Gateway::to(address);
    let idle = gateway.descriptors();
    for leaving in Leaving::BOTH {
        let mut client = gateway.connect();
        client.send(GET);
        client.expect_silence();
        assert_eq!(gateway.descriptors(), idle + 2);
        let left = leaving.go(client);
        while gateway.descriptors() > idle {
            assert!(left.elapsed() < AT_ONCE, "{:?}", left.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    gateway.wait_for_log("499 client_gone");
}

#[test]
fn a_client_that_leaves_inside_its_request_cancels_it() {
    for leaving in Leaving::BOTH {
        let upload = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf";
        let upstream = Upstream::listen();
        let (gateway, client, mut server) = asked(&upstream, upload);
        server.read_until("half");
        let left = leaving.go(client);
        assert_cancelled(&gateway, &mut server, left);
    }
}

/// Its FIN would wait behind the bytes that nobody takes; its RST does not.
#[test]
fn a_client_that_resets_while_its_upstream_does_not_read_cancels_too() {
    let upload = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    let upstream = Upstream::listen();
    let (gateway, client, mut server) = asked(&upstream, upload);
    flood(client.stream(), &[b'b'; 10_000]);
    let left = Leaving::Reset.go(client);
    gateway.wait_for_log("499 client_gone");
    assert!(left.elapsed() < AT_ONCE, "{:?}", left.elapsed());
    server.read_end();
}

#[test]
fn a_client_that_leaves_before_the_answer_cancels_it() {
    for leaving in Leaving::BOTH {
        let upstream = Upstream::listen();
        let (gateway, client, mut server) = asked(&upstream, GET);
        let left = leaving.go(client);
        assert_cancelled(&gateway, &mut server, left);
    }
}

#[test]
fn a_client_that_leaves_inside_the_answer_cancels_it() {
    for leaving in Leaving::BOTH {
        let upstream = Upstream::listen();
        let (gateway, mut client, mut server) = asked(&upstream, GET);
        server.send(format!("{CHUNKED}{}", chunk("token")));
        client.read_until("token");
        let left = leaving.go(client);
        assert_cancelled(&gateway, &mut server, left);
    }
}

#[test]
fn a_client_that_leaves_although_it_reads_nothing_cancels_its_answer() {
    for leaving in Leaving::BOTH {
        let upstream = Upstream::listen();
        let (gateway, client, mut server) = asked(&upstream, GET);
        server.send(CHUNKED);
        flood(server.stream(), &chunk(&"x".repeat(9_993)).into_bytes());
        let left = leaving.go(client);
        assert_cancelled(&gateway, &mut server, left);
    }
}

fn tunnel(upstream: &Upstream) -> (Gateway, Peer, Peer) {
    let (gateway, mut client, mut server) = asked(upstream, UPGRADE);
    server.send(SWITCHED);
    assert_eq!(client.read_head().status(), 101);
    (gateway, client, server)
}

#[test]
fn a_reset_ends_a_tunnel_whatever_is_stuck_in_it() {
    for stuck in [false, true] {
        let upstream = Upstream::listen();
        let (gateway, client, mut server) = tunnel(&upstream);
        if stuck {
            flood(client.stream(), &[b'b'; 10_000]);
        }
        let left = Leaving::Reset.go(client);
        gateway.wait_for_log("499 client_gone");
        assert!(left.elapsed() < AT_ONCE, "{:?}", left.elapsed());
        server.read_end();
    }
}

#[test]
fn a_fin_ends_one_direction_of_a_tunnel() {
    for client_first in [true, false] {
        let upstream = Upstream::listen();
        let (_gateway, mut client, mut server) = tunnel(&upstream);
        let (first, second) =
            if client_first { (&mut client, &mut server) } else { (&mut server, &mut client) };
        first.send("last words");
        first.finish();
        second.read_until("last words");
        assert_eq!(second.read_end(), End::Fin);
        first.expect_silence();
        second.send("and an answer");
        first.read_until("and an answer");
        second.finish();
        assert_eq!(first.read_end(), End::Fin);
    }
}

#[test]
fn with_half_close_allowed_a_fin_only_ends_the_request() {
    let upstream = Upstream::listen();
    let config =
        Config { server: "half_close = \"allow\"".into(), ..Config::to(upstream.address()) };
    let gateway = config.start();
    let idle = gateway.descriptors();
    for first_token_before in [false, true] {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        if first_token_before {
            server.send(format!("{CHUNKED}{}", chunk("one")));
            client.read_until("one");
        }
        client.finish();
        std::thread::sleep(WATCH);
        if !first_token_before {
            server.send(format!("{CHUNKED}{}", chunk("one")));
            client.read_until("one");
        }
        server.expect_silence();
        server.send(format!("{}0\r\n\r\n", chunk("two")));
        client.read_until("two\r\n0\r\n\r\n");
        assert_eq!(client.read_end(), End::Fin, "no request can follow");
        drop(server);
    }
    // A reset still says that nobody listens.
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    client.finish();
    server.expect_silence();
    let left = Leaving::Reset.go(client);
    assert_cancelled(&gateway, &mut server, left);
    while gateway.descriptors() > idle {
        assert!(left.elapsed() < AT_ONCE, "{} descriptors are left", gateway.descriptors());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One that is there passes over the question; for one that is gone its kernel answers.
#[test]
fn a_half_closed_client_is_asked_whether_it_is_there() {
    let upstream = Upstream::listen();
    let config =
        Config { server: "half_close = \"probe\"".into(), ..Config::to(upstream.address()) };
    let gateway = config.start();
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    client.finish();
    client.read_until("HTTP/1.1 102 Processing\r\n\r\n");
    server.expect_silence();
    server.send(OK);
    assert_eq!(client.read_response().status(), 200);
    assert_eq!(client.read_end(), End::Fin);

    let mut client = gateway.connect();
    client.send(GET);
    server.read_request();
    let left = Leaving::Fin.go(client);
    assert_cancelled(&gateway, &mut server, left);
}

/// Requests that came in one packet before the FIN are all answered.
#[test]
fn with_half_close_allowed_pipelined_requests_are_answered_behind_the_fin() {
    let upstream = Upstream::listen();
    let config =
        Config { server: "half_close = \"allow\"".into(), ..Config::to(upstream.address()) };
    let gateway = config.start();
    let mut client = gateway.connect();
    client.send([GET, GET, GET].concat());
    client.finish();
    let mut server = upstream.accept();
    for _ in 0..3 {
        server.read_request();
        server.send(OK);
        assert_eq!(client.read_response().status(), 200);
    }
    assert_eq!(client.read_end(), End::Fin);
}
