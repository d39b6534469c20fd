//! Connections that hold places at the admin address: a liveness probe comes through all the same.

use std::time::{Duration, Instant};

use crate::admin::Watched;
use crate::harness::{Config, Peer, Upstream};

/// More than there are places.
const MANY: usize = 300;
/// Far less than the timers of the admin address, and enough for a busy machine.
const SOON: Duration = Duration::from_secs(6);

fn watched() -> Watched {
    Watched::with(Config::to(Upstream::serve(|_| {})))
}

/// The probe of a supervisor: a new connection each time.
fn expect_alive(watched: &Watched) {
    for _ in 0..3 {
        let begun = Instant::now();
        let answer = watched.get("/healthz");
        assert_eq!((answer.status(), answer.text()), (200, "ok\n"));
        assert!(begun.elapsed() < SOON, "a probe had to wait for {:?}", begun.elapsed());
    }
}

#[test]
fn silent_connections_give_way_to_a_probe() {
    let watched = watched();
    let _held: Vec<Peer> = (0..MANY).map(|_| Peer::connect(watched.admin())).collect();
    expect_alive(&watched);
}

#[test]
fn connections_between_two_requests_give_way_to_a_probe() {
    let watched = watched();
    let mut held: Vec<Peer> = Vec::new();
    // These have all been answered, and are kept alive.
    for _ in 0..250 {
        let mut peer = Peer::connect(watched.admin());
        peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(peer.read_response().status(), 200);
        held.push(peer);
    }
    for _ in 250..MANY {
        let mut peer = Peer::connect(watched.admin());
        peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        held.push(peer);
    }
    expect_alive(&watched);
}

#[test]
fn heads_that_drip_give_way_to_a_probe() {
    let watched = watched();
    let held = (0..MANY).map(|_| {
        let mut peer = Peer::connect(watched.admin());
        peer.send("GET /healthz HTTP/1.1\r\nHo");
        peer
    });
    let _held: Vec<Peer> = held.collect();
    expect_alive(&watched);
}

#[test]
fn live_views_leave_room_for_a_probe() {
    let watched = watched();
    let mut held: Vec<Peer> = Vec::new();
    let mut statuses = Vec::new();
    for _ in 0..MANY {
        let mut peer = Peer::connect(watched.admin());
        peer.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        statuses.push(peer.read_head().status());
        held.push(peer);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 256 - 64);
    assert!(statuses.iter().all(|status| [200, 503].contains(status)));
    expect_alive(&watched);
    let refused = watched.get("/metrics");
    assert_eq!(
        (refused.status(), refused.json()["error"]["code"].as_str()),
        (503, Some("admin_busy"))
    );
    // Who leaves makes room.
    drop(held);
    watched.wait("/metrics", |answer| (answer.status() == 200).then_some(()));
}
