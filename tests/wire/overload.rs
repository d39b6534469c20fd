//! Too many clients, slow on purpose or silent, and too few of everything: the others are served.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use crate::harness::{Config, End, Gateway, PATIENCE, Peer, Upstream};
use crate::reload::{streams, watch_stream};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that answers every GET with [`OK`], and takes in everything else.
fn friendly() -> SocketAddr {
    Upstream::serve(|peer| {
        let mut stream = peer.stream().try_clone().expect("a socket");
        stream.set_nonblocking(false).expect("a socket");
        stream.set_read_timeout(None).expect("a socket");
        let mut bytes = [0; 64 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            let asked =
                bytes[..count].starts_with(b"GET ") && bytes[..count].ends_with(b"\r\n\r\n");
            if asked && stream.write_all(OK.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// A server that answers `/large` without end, and everything else with [`OK`].
fn endless() -> SocketAddr {
    Upstream::serve(|mut peer| {
        loop {
            peer.receive(Duration::from_secs(3600));
            if peer.unread().is_empty() {
                return;
            }
            if !String::from_utf8_lossy(peer.unread()).starts_with("GET /large") {
                peer.read_request();
                peer.send(OK);
                continue;
            }
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
            while peer.try_send(&chunk).is_ok() {}
            return;
        }
    })
}

/// Connections that say `first`, then `drop` again and again, and come back when they are closed.
struct Slow {
    over: Arc<AtomicBool>,
    returned: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Slow {
    fn start(address: SocketAddr, count: usize, first: Vec<u8>, drop: &'static [u8]) -> Slow {
        let (over, returned) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (end, again) = (Arc::clone(&over), Arc::clone(&returned));
        let come = move || {
            let mut stream = TcpStream::connect(address).expect("there is a place");
            stream.set_nonblocking(true).expect("a socket");
            // What does not fit is not said: it is not about the bytes.
            let _ = stream.write(&first);
            stream
        };
        let mut streams: Vec<TcpStream> = (0..count).map(|_| come()).collect();
        let thread = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                for stream in &mut streams {
                    let gone = stream.peek(&mut [0]).is_ok();
                    if gone || stream.write_all(drop).is_err() {
                        again.fetch_add(1, Ordering::Relaxed);
                        *stream = come();
                    }
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        Slow { over, returned, thread }
    }

    /// How many had to come again.
    fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        self.returned.load(Ordering::Relaxed)
    }
}

/// Asks `count` times on new connections. Returns the longest time an answer took.
fn ask(gateway: &Gateway, count: usize) -> Duration {
    let asked = (0..count).map(|_| {
        let begin = Instant::now();
        let mut client = gateway.connect();
        client.send(GET);
        assert_eq!(client.read_response().status(), 200);
        begin.elapsed()
    });
    asked.max().unwrap_or_default()
}

fn few_buffers(server: SocketAddr) -> Config {
    let limits = "buffer_bytes = \"1MiB\"".into();
    Config { limits, ..Config::to(server) }
}

/// Asserts that the gateway takes no more memory than it has said at its start.
fn expect_within_bound(gateway: &Gateway, before: u64) {
    let (bound, grown) = (gateway.memory_bound(), gateway.memory_now().saturating_sub(before));
    println!("{} KiB more, at most {} KiB", grown >> 10, bound >> 10);
    assert!(grown < bound, "{grown} bytes");
}

#[test]
fn heads_that_drip_do_not_keep_others_from_being_read() {
    let head = |padding: usize| {
        format!("GET /a HTTP/1.1\r\nHost: x\r\nX-Padding: {}", "x".repeat(padding)).into_bytes()
    };
    // A few bytes each; and as long as a head may be, where each takes four buffers.
    for (count, padding) in [(200, 0), (50, 60_000)] {
        let gateway = few_buffers(friendly()).start();
        let before = gateway.memory_now();
        ask(&gateway, 1);
        let slow = Slow::start(gateway.address(), count, head(padding), b"y");
        thread::sleep(Duration::from_millis(500));
        let longest = ask(&gateway, 30);
        let returned = slow.end();
        println!("{count} heads: the longest answer took {longest:?}, {returned} gave way");
        assert!(longest < Duration::from_millis(1500), "{longest:?}");
        assert!(returned > 0, "there was no need for anybody to give way");
        expect_within_bound(&gateway, before);
    }
}

#[test]
fn a_dripping_head_is_left_alone_where_nobody_needs_its_buffer() {
    let gateway = few_buffers(friendly()).start();
    let slow = Slow::start(gateway.address(), 20, b"GET /a HTTP/1.1\r\nX-Padding: ".to_vec(), b"y");
    ask(&gateway, 20);
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(slow.end(), 0);
}

#[test]
fn bodies_that_drip_do_not_keep_others_from_being_read() {
    let gateway = few_buffers(friendly()).start();
    let before = gateway.memory_now();
    ask(&gateway, 1);
    // Kept for a replay, each of them would take two thirds of all buffers.
    let mut first = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n".to_vec();
    first.resize(700_000, b'x');
    let slow = Slow::start(gateway.address(), 100, first, b"y");
    thread::sleep(Duration::from_millis(500));
    let longest = ask(&gateway, 100);
    slow.end();
    assert!(longest < Duration::from_millis(1500), "{longest:?}");
    expect_within_bound(&gateway, before);
}

#[test]
fn clients_that_never_read_keep_one_buffer_each_and_no_other_client() {
    const DEAF: usize = 40;
    let gateway = few_buffers(endless()).start();
    let before = gateway.memory_now();
    ask(&gateway, 1);
    let mut deaf: Vec<Peer> = (0..DEAF).map(|_| gateway.connect()).collect();
    for client in &mut deaf {
        client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    // Until the kernel's own buffers are full on the way to each.
    thread::sleep(Duration::from_secs(2));
    let longest = ask(&gateway, 100);
    assert!(longest < Duration::from_millis(1500), "{longest:?}");
    expect_within_bound(&gateway, before);
}

#[test]
fn silent_connections_give_way_when_there_is_no_place_left() {
    let limits = "connections = 100".into();
    let gateway = Config { limits, ..Config::to(friendly()) }.start();
    let kept: Vec<Peer> = (0..10).map(|_| gateway.connect()).collect();
    let mut kept: Vec<Peer> = kept
        .into_iter()
        .map(|mut client| {
            client.send(GET);
            client.read_response();
            client
        })
        .collect();
    let mut silent: Vec<Peer> = (0..300).map(|_| gateway.connect()).collect();
    let longest = ask(&gateway, 30);
    println!("the longest answer took {longest:?}");
    assert!(longest < Duration::from_secs(8), "{longest:?}");
    assert_eq!(silent[0].read_end(), End::Fin, "the oldest goes first");
    // Whoever has been answered once is not silent.
    for client in &mut kept {
        client.send(GET);
        assert_eq!(client.read_response().status(), 200);
    }
}

/// Lets the gateway open `count` more descriptors, and returns the limit it had.
fn limit_descriptors(gateway: &Gateway, count: usize) -> Rlimit {
    let path = format!("/proc/{}/fd", gateway.pid().as_raw_nonzero());
    let entries = std::fs::read_dir(path).expect("a running process").flatten();
    let open: Vec<u64> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The limit is on their numbers, and the test's own surroundings leave gaps in those.
    let last = (0..).filter(|number| !open.contains(number)).nth(count).expect("no end");
    let old = getrlimit(Resource::Nofile);
    let new = Rlimit { current: Some(last), maximum: old.maximum };
    prlimit(Some(gateway.pid()), Resource::Nofile, new).expect("it is our child")
}

#[test]
fn out_of_descriptors_it_rests_and_recovers() {
    const EVENTS: usize = 150;
    let gateway = Config {
        more: format!(
            "[[upstream]]\nname = \"streams\"\nendpoints = [\"{}\"]\n\
             [[route]]\npath = \"/stream\"\nupstream = \"streams\"\n",
            streams(EVENTS)
        ),
        upstream: "pool = { idle_per_endpoint = 0 }".into(),
        ..Config::to(friendly())
    }
    .start();
    let stream = watch_stream(&gateway, "/stream", EVENTS);
    let mut known = gateway.connect();
    known.send(GET);
    assert_eq!(known.read_response().status(), 200);
    thread::sleep(Duration::from_millis(100));

    let usual = limit_descriptors(&gateway, 3);
    let mut crowd: Vec<Peer> = (0..30).map(|_| gateway.connect()).collect();
    gateway.wait_for_log("accepting rests for 100 ms");
    let cpu = gateway.cpu_time();
    thread::sleep(Duration::from_secs(1));
    let spent = gateway.cpu_time() - cpu;
    assert!(spent < Duration::from_millis(200), "{spent:?} of CPU in a second of waiting");
    // It is our fault, and whoever is inside is told so.
    known.send(GET);
    let answer = known.read_response();
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "descriptors_exhausted");

    let begin = Instant::now();
    prlimit(Some(gateway.pid()), Resource::Nofile, usual).expect("it is our child");
    let mut served = 0;
    for client in &mut crowd {
        // The reserve has let some in, to show them out.
        if client.try_send(GET).is_ok() {
            client.receive(PATIENCE);
            served += usize::from(client.received().starts_with(b"HTTP/1.1 200 "));
        }
    }
    println!("{served} of 30 were served, {:?} after", begin.elapsed());
    assert!(served >= 10, "{served}");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(ask(&gateway, 20) < Duration::from_millis(1500));
    let late = stream.join().expect("the stream is whole");
    assert!(late < Duration::from_millis(200), "an event was {late:?} late");
}
