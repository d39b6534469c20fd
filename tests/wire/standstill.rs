//! Standstill: the process is stopped for longer than its timers, and goes on.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Config, End, Gateway, Mock, Peer, Standstill, Upstream};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST_CHUNK: &str = "0\r\n\r\n";
/// Timers of two seconds, and a breaker that opens at the first fault.
const TIMERS: &str =
    "ttft = \"2s\"\ninter_event = \"2s\"\nclient_write = \"2s\"\nbody = \"2s\"\nconnect = \"2s\"";
const STRICT: &str = "retry = \"off\"\nbreaker = { consecutive = 1, open = \"60s\" }";
/// Twice that.
const STOPPED: Duration = Duration::from_secs(4);

fn event(number: u32) -> String {
    let data = format!("data: {number}\n\n");
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A server that sends sixty events, one every tenth of a second, whoever asks.
fn metronome() -> SocketAddr {
    Upstream::serve(|mut peer| {
        while peer.next_request().is_some() {
            peer.send(HEAD);
            for number in 0..60 {
                peer.send(event(number));
                thread::sleep(Duration::from_millis(100));
            }
            peer.send(LAST_CHUNK);
        }
    })
}

fn patient(upstream: SocketAddr) -> Gateway {
    let (timeouts, upstream_text) = (TIMERS.to_owned(), STRICT.to_owned());
    Config { timeouts, upstream: upstream_text, ..Config::to(upstream) }.start()
}

fn ask(gateway: &Gateway) -> Peer {
    let mut client = gateway.connect();
    client.send(GET);
    client
}

#[test]
fn a_gateway_that_was_stopped_cuts_no_stream_and_blames_nobody() {
    let gateway = patient(metronome());
    let mut clients: Vec<Peer> = (0..12).map(|_| ask(&gateway)).collect();
    for client in &mut clients {
        client.read_until(&event(0));
    }
    let stopped = Standstill::of(&gateway);
    thread::sleep(STOPPED);
    stopped.end();
    for client in &mut clients {
        client.read_until(&event(59));
        client.read_until(LAST_CHUNK);
    }
    assert_eq!(gateway.count_in_log("is out for"), 0, "no breaker opens");
    assert_eq!(gateway.count_in_log("timeout"), 0, "no timer is believed");
    gateway.wait_for_log("nothing ran for");
}

#[test]
fn the_answers_and_the_ends_that_came_meanwhile_are_heard_first() {
    // One has its answer's head still to come, one its end, one has sent half a request.
    let upstream = Upstream::listen();
    let gateway = patient(upstream.address());
    let mut waiting = ask(&gateway);
    let mut first = upstream.accept();
    first.read_request();
    let mut ending = ask(&gateway);
    let mut second = upstream.accept();
    second.read_request();
    second.send("HTTP/1.0 200 OK\r\n\r\nhalf ");
    ending.read_until("half ");
    let mut uploading = gateway.connect();
    uploading.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
    let mut third = upstream.accept();
    third.read_until("ab");
    let stopped = Standstill::of(&gateway);
    first.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    second.send("and half");
    drop(second);
    uploading.send("cd");
    thread::sleep(STOPPED);
    stopped.end();
    assert_eq!(waiting.read_response().text(), "ok");
    ending.read_until("and half");
    ending.read_until(LAST_CHUNK);
    third.read_until("cd");
    third.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(uploading.read_response().text(), "ok");
    assert_eq!(gateway.count_in_log("is out for"), 0, "no breaker opens");
}

#[test]
fn what_stood_still_together_goes_on_together() {
    // The server is stopped with the gateway, and says the next thing late: as the whole laptop is.
    let upstream = Upstream::listen();
    let gateway = patient(upstream.address());
    let mut client = ask(&gateway);
    let mut server = upstream.accept();
    server.read_request();
    server.send(format!("{HEAD}{}", event(0)));
    client.read_until(&event(0));
    let stopped = Standstill::of(&gateway);
    thread::sleep(STOPPED);
    stopped.end();
    thread::sleep(Duration::from_millis(300));
    server.send(format!("{}{LAST_CHUNK}", event(1)));
    client.read_until(&event(1));
    client.read_until(LAST_CHUNK);
}

#[test]
fn a_server_that_is_stopped_is_waited_for_as_long_as_its_timers_say() {
    let mock = Mock::start(&[]);
    let gateway = patient(mock.address());
    let path = "/stream?rate=10&tokens=20&first_token=1ms";
    let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    // Shorter than the timer: nobody notices.
    let mut client = gateway.connect();
    client.send(&request);
    assert_eq!(client.read_head().status(), 200);
    let stopped = mock.stop();
    thread::sleep(Duration::from_millis(800));
    stopped.end();
    client.read_until(LAST_CHUNK);
    // Longer: its stream is cut when the timer says so, and not before.
    let mut client = gateway.connect();
    client.send(&request);
    client.read_head();
    client.read(1);
    let stopped = mock.stop();
    let since = Instant::now();
    assert!(matches!(client.read_end(), End::Fin | End::Reset));
    let passed = since.elapsed();
    assert!(passed > Duration::from_millis(1500), "too early: {passed:?}");
    gateway.wait_for_log("inter_event_timeout");
    stopped.end();
}

#[test]
fn checks_that_a_standstill_interrupted_take_nobody_out() {
    // Every check is answered in time, with as much to spare for a busy machine; those that are under way
    // when the gateway stops, too late.
    let address = Upstream::serve(|mut peer| {
        if peer.next_request().is_some() {
            thread::sleep(Duration::from_millis(300));
            let _ = peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let checks =
        "health = { interval = \"600ms\", timeout = \"590ms\", unhealthy = 1, healthy = 1 }";
    let upstream = format!("{STRICT}\n{checks}");
    let gateway = Config { upstream, ..Config::to(address) }.start();
    thread::sleep(Duration::from_millis(1_000));
    let before = gateway.count_in_log("is unwell");
    for _ in 0..4 {
        let stopped = Standstill::of(&gateway);
        thread::sleep(Duration::from_millis(900));
        stopped.end();
        // Long enough for the check that is made again, and no multiple of the interval.
        thread::sleep(Duration::from_millis(1_037));
    }
    let log = gateway.log();
    let late: Vec<_> = log.iter().filter(|line| line.contains("no answer in time")).collect();
    assert_eq!((before, late.len()), (0, 0), "{late:?}");
}
