//! TCP keepalive: the kernel's timer runs on both sides, as the configuration says.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Config, Gateway, PATIENCE, Peer, Upstream, signal};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// The timer of the socket between these two ports, as /proc tells it: its kind (2: keepalive) and
/// the seconds until it fires.
fn timer(local: u16, remote: u16) -> Option<(u8, f64)> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let (local, remote) = (format!(":{local:04X}"), format!(":{remote:04X}"));
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let same = fields[1].ends_with(&local) && fields[2].ends_with(&remote);
        let (kind, when) = fields[5].split_once(':')?;
        // In hundredths: USER_HZ is 100 everywhere.
        let ticks = u64::from_str_radix(when, 16).ok()?;
        same.then(|| (kind.parse().unwrap_or(0), ticks as f64 / 100.0))
    })
}

/// Waits until the acknowledgements are through and the timer is what is expected.
fn expect(local: SocketAddr, remote: SocketAddr, kind: u8, seconds: std::ops::Range<f64>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let timer = timer(local.port(), remote.port()).expect("the socket is in the table");
        if timer.0 == kind && (kind == 0 || seconds.contains(&timer.1)) {
            return;
        }
        assert!(Instant::now() < deadline, "{timer:?}, not {kind} in {seconds:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asks, and looks at both of the gateway's sockets while nothing moves.
fn expect_both(gateway: &Gateway, upstream: &Upstream, kind: u8, seconds: std::ops::Range<f64>) {
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    let ends = |peer: &Peer| {
        let stream = peer.stream();
        (stream.local_addr().expect("a socket"), stream.peer_addr().expect("a socket"))
    };
    let (client_end, gateway_end) = ends(&client);
    expect(gateway_end, client_end, kind, seconds.clone());
    let (server_end, gateway_end) = ends(&server);
    expect(gateway_end, server_end, kind, seconds);
}

#[test]
fn it_is_on_where_nothing_is_said() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    expect_both(&gateway, &upstream, 2, 40.0..60.1);
}

#[test]
fn it_is_as_the_file_says_and_a_reload_changes_it() {
    let upstream = Upstream::listen();
    let with = |keepalive: &str| Config {
        server: format!("tcp_keepalive = {keepalive}"),
        ..Config::to(upstream.address())
    };
    let gateway = with("{ idle = \"20m\", interval = \"5s\", probes = 3 }").start();
    expect_both(&gateway, &upstream, 2, 1100.0..1200.1);
    gateway.rewrite(&with("\"off\"").text());
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    expect_both(&gateway, &upstream, 0, 0.0..0.1);
}
