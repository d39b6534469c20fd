//! What the real binary holds: ten thousand paced streams, and few beside one that takes all it
//! can get. A crate of its own, because nothing else should run meanwhile.
//!
//! The times are printed to be read; they are asserted only so far that a stream which waits for
//! another one is found on any machine.

#[allow(dead_code, unused_imports)]
#[path = "wire/harness/mod.rs"]
mod harness;

#[path = "capacity/crowd.rs"]
mod crowd;

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crowd::crowd;
use harness::{Config, Gateway, Mock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const STREAMS: usize = 10_000;

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As many descriptors as this process may have; its children inherit them.
fn raise_descriptor_limit() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Without the capability this fails where the hard limit is lower, and changes nothing.
    let wanted = Rlimit { current: Some(40_000), maximum: Some(40_000) };
    if maximum.is_none_or(|maximum| maximum >= 40_000)
        || setrlimit(Resource::Nofile, wanted).is_err()
    {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize)
}

fn stream(query: &str) -> String {
    format!("POST /stream?stamp=1&{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn the_mock_server_holds_ten_thousand_paced_streams() {
    let _alone = one_at_a_time();
    let limit = raise_descriptor_limit();
    assert!(limit >= STREAMS + 200, "at most {limit} descriptors: raise the hard limit");
    let mock = Mock::start(&["--connections", "10000"]);
    let before = mock.memory_now();
    let mut grown = 0;
    let request = stream("rate=1&tokens=5&first_token=2s");
    let report = crowd(mock.address(), STREAMS, &request, || grown = mock.memory_now() - before);
    report.show("the mock server alone");
    println!("{} bytes of memory a stream", grown / STREAMS as u64);
    assert!(report.failed.is_empty(), "{} failed: {:?}", report.failed.len(), report.failed[0]);
    assert_eq!(report.delays.len(), 5 * STREAMS);
    assert!(report.delay(0.99) < Duration::from_secs(1));
    assert!(grown < 8192 * STREAMS as u64, "{grown} bytes");
}

#[test]
fn the_gateway_holds_ten_thousand_paced_streams() {
    let _alone = one_at_a_time();
    // Two sockets a stream, and some for the process itself.
    let limit = raise_descriptor_limit();
    let streams = STREAMS.min((limit - 100) / 2);
    assert!(streams >= 9_000, "at most {limit} descriptors: raise the hard limit");
    if streams < STREAMS {
        println!("{limit} descriptors allow {streams} streams");
    }
    let mock = Mock::start(&["--connections", "10000"]);
    let gateway = Config {
        limits: format!("connections = {streams}"),
        upstream: format!("pool = {{ connections = {streams}, idle_per_endpoint = 1000 }}"),
        ..Config::to(mock.address())
    }
    .start();
    let before = gateway.memory_now();
    let mut grown = 0;
    let request = stream("rate=1&tokens=5&first_token=3s");
    let report =
        crowd(gateway.address(), streams, &request, || grown = gateway.memory_now() - before);
    report.show("through the gateway");
    println!("{} bytes of memory a stream", grown / streams as u64);
    assert!(report.failed.is_empty(), "{} failed: {:?}", report.failed.len(), report.failed[0]);
    assert_eq!(report.delays.len(), 5 * streams);
    assert!(report.delay(0.99) < Duration::from_secs(2));
    // No buffer is held by a stream that waits for its next token.
    assert!(grown < 4096 * streams as u64, "{grown} bytes");
    println!("peak {} MiB", gateway.memory_peak() >> 20);
}

/// Reads as fast as it can, until the process ends.
fn firehose(gateway: &Gateway) -> Arc<AtomicU64> {
    use std::io::Write;
    let mut client = TcpStream::connect(gateway.address()).expect("the gateway accepts");
    let request = stream("rate=0&tokens=1000000000&token_bytes=16384");
    client.write_all(request.replace("/stream", "/firehose").as_bytes()).expect("a socket");
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(bytes @ 1..) = client.read(&mut buffer) {
            count.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    });
    taken
}

#[test]
fn a_firehose_does_not_hold_up_two_hundred_paced_streams() {
    let _alone = one_at_a_time();
    // Servers of their own: it is the gateway that has to be fair.
    let mock = Mock::start(&["--connections", "1000"]);
    let hose = Mock::start(&["--connections", "10"]);
    let config = Config {
        more: format!(
            "[[upstream]]\nname = \"hose\"\nendpoints = [\"{}\"]\n\
             [[route]]\npath = \"/firehose\"\nupstream = \"hose\"\nrewrite = \"/stream\"\n",
            hose.address()
        ),
        ..Config::to(mock.address())
    };
    let gateway = config.start();
    let request = stream("rate=50&tokens=150");
    let alone = crowd(gateway.address(), 200, &request, || {});
    alone.show("alone");
    let taken = firehose(&gateway);
    let beside = crowd(gateway.address(), 200, &request, || {});
    beside.show("beside a firehose");
    let taken = taken.load(Ordering::Relaxed);
    println!("the firehose gave {} MiB meanwhile", taken >> 20);
    assert!(taken > 100 << 20, "it was no firehose: {taken} bytes");
    for report in [alone, beside] {
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        assert_eq!(report.delays.len(), 200 * 150);
        assert!(report.delay(0.99) < Duration::from_millis(100), "{:?}", report.delay(0.99));
    }
}

#[test]
fn ten_thousand_silent_connections_cost_their_places_and_no_more() {
    const PLACES: usize = 10_000;
    let _alone = one_at_a_time();
    let limit = raise_descriptor_limit();
    assert!(limit >= PLACES + 1_000, "at most {limit} descriptors: raise the hard limit");
    let mock = Mock::start(&["--connections", "1000"]);
    let gateway = Config {
        limits: format!("connections = {PLACES}"),
        timeouts: "head = \"60s\"".into(),
        ..Config::to(mock.address())
    }
    .start();
    let request = stream("rate=50&tokens=50");
    let alone = crowd(gateway.address(), 100, &request, || {});
    alone.show("alone");
    let before = gateway.memory_now();
    let connect = || TcpStream::connect(gateway.address()).expect("the gateway accepts");
    let mut silent: Vec<TcpStream> = (0..PLACES - 200).map(|_| connect()).collect();
    let beside = crowd(gateway.address(), 100, &request, || {});
    beside.show("beside the silent ones");
    let grown = gateway.memory_now().saturating_sub(before);
    println!("{} bytes of memory each", grown / silent.len() as u64);
    assert!(grown < 2048 * PLACES as u64, "{grown} bytes, more than a place may take");
    // Every place is taken, and they are all silent: the oldest make room.
    silent.extend((0..400).map(|_| connect()));
    let full = crowd(gateway.address(), 100, &request, || {});
    full.show("without a place left");
    for report in [alone, beside, full] {
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        assert_eq!(report.delays.len(), 100 * 50);
        assert!(report.delay(0.99) < Duration::from_millis(100), "{:?}", report.delay(0.99));
    }
}
