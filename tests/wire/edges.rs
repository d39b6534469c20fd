//! Bytes that no edge will announce: what lies in a buffer or in a receive queue already must not
//! wait for something else to happen.

use std::time::{Duration, Instant};

use crate::harness::{Config, End, Gateway, PATIENCE, Standstill, Upstream};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The gateway stands still while the rest of a request and its early answer are on the way, so it
/// finds both in one turn. The request takes the whole budget of the drive, 64 KiB; the answer's
/// edge is spent.
#[test]
fn an_answer_is_not_forgotten_when_its_request_takes_the_whole_budget() {
    const BODY: usize = 64 * 1024;
    let upstream = Upstream::listen();
    let config = Config { timeouts: "ttft = \"1m\"".into(), ..Config::to(upstream.address()) };
    let gateway = config.start();
    let mut client = gateway.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n"));
    let mut server = upstream.accept();
    server.read_head();

    let standstill = Standstill::of(&gateway);
    server.send(OK);
    client.send(vec![b'x'; BODY]);
    std::thread::sleep(Duration::from_millis(100));
    standstill.end();

    assert_eq!(client.read_response().status(), 200);
}

/// What has arrived of the next request behind the one that is being answered is part of a head,
/// and heads have their own time.
#[test]
fn part_of_a_pipelined_head_is_not_idleness() {
    let upstream = Upstream::listen();
    let timeouts = "head = \"300ms\"\nclient_idle = \"1m\"".into();
    let gateway = Config { timeouts, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    client.send("GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHo");
    let mut server = upstream.accept();
    server.read_request();
    server.send(OK);
    assert_eq!(client.read_response().status(), 200);
    let begin = Instant::now();
    assert_eq!(client.read_response().status(), 408);
    assert!(begin.elapsed() < PATIENCE);
    assert_eq!(client.read_end(), End::Fin);
}

/// A head that has outgrown its buffer, while there are buffers for others and not enough for it,
/// waits asleep.
#[test]
fn a_head_that_waits_for_room_costs_nothing_and_gets_it() {
    let upstream = Upstream::listen();
    let limits = "buffer_bytes = \"1MiB\"\nhead_bytes = \"512KiB\"".into();
    let timeouts = "head = \"1m\"".into();
    let gateway = Config { limits, timeouts, ..Config::to(upstream.address()) }.start();
    // 64 buffers in all. 40 others hold one each, this one sixteen: eight are left, enough for one
    // read and what follows from it. To double takes sixteen besides.
    let others: Vec<_> = (0..40)
        .map(|_| {
            let mut other = gateway.connect();
            other.send("GET / HTTP/1.1\r\nHo");
            other
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let mut client = gateway.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(300_000)));
    std::thread::sleep(Duration::from_millis(200));

    let before = gateway.cpu_time();
    std::thread::sleep(Duration::from_millis(500));
    let spent = gateway.cpu_time() - before;
    assert!(spent < Duration::from_millis(100), "{spent:?} of 500 ms for nothing");

    drop(others);
    client.send("\r\n\r\n");
    let mut server = upstream.accept();
    server.read_request();
    server.send(OK);
    assert_eq!(client.read_response().status(), 200);
}

/// A client that has finished before it is refused is read to its end all the same: what it sent
/// and nobody read would make the close a RST, which takes the answer with it.
#[test]
fn a_refusal_reaches_a_client_that_has_finished_already() {
    let gateway = Gateway::to(Upstream::listen().address());
    let mut client = gateway.connect();
    let standstill = Standstill::of(&gateway);
    client.send(["nonsense\r\n\r\n".as_bytes(), &[b'x'; 100 * 1024]].concat());
    client.finish();
    standstill.end();
    assert_eq!(client.read_response().status(), 400);
    assert_eq!(client.read_end(), End::Fin);
}

/// Requests are kept for a replay, and there are more of them than buffers: their answers pass all
/// the same, whether the requests are with the server or wait for a connection.
#[test]
fn requests_that_wait_leave_buffers_to_their_answers() {
    const CLIENTS: usize = 200;
    for pool in ["", "pool = { connections = 1 }"] {
        let server = Upstream::serve(|mut peer| {
            loop {
                peer.receive(PATIENCE);
                if peer.unread().is_empty() {
                    return;
                }
                peer.read_request();
                std::thread::sleep(Duration::from_millis(if pool.is_empty() { 500 } else { 2 }));
                peer.send(OK);
            }
        });
        let limits = "buffer_bytes = \"1MiB\"".into();
        let gateway = Config { limits, upstream: pool.into(), ..Config::to(server) }.start();
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| gateway.connect()).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        let begin = Instant::now();
        for client in &mut clients {
            assert_eq!(client.read_response().status(), 200);
        }
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }
}

/// Heads that never end hold every buffer there is: who comes behind them is told so.
#[test]
fn a_request_that_no_buffer_came_free_for_is_refused_and_not_dropped() {
    let limits = "buffer_bytes = \"1MiB\"".into();
    let timeouts = "head = \"2s\"".into();
    let server = Upstream::serve(|_| {});
    let gateway = Config { limits, timeouts, ..Config::to(server) }.start();
    let mut stuck: Vec<_> = (0..100).map(|_| gateway.connect()).collect();
    for client in &mut stuck {
        client.send("GET / HT");
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut statuses: Vec<u16> =
        stuck.iter_mut().map(|client| client.read_response().status()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    assert_eq!(statuses, [408, 503]);
}
