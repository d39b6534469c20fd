//! Outages: what a fleet of clients makes of an upstream that fails for a while.

use std::time::Duration;

use crate::harness::network::{Bug, Sabotaged};
use crate::harness::scenario::{Simulation, TARGET};
use crate::harness::{GENEROUS, Gateway, server_address, snapshot};
use crate::seed;
use sluicegate::clock::Instant;
use sluicegate::config::defaults;
use sluicegate::config::snapshot::BreakerSettings;
use sluicegate::sim::plan::GatewayPlan;
use sluicegate::sim::{Answer, Manner, Visit, World};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Lets a client ask every 50 ms, so many times.
fn ask_steadily(world: &mut Simulation, times: u32) {
    for nth in 0..times {
        world.start(Visit::new().after(50 * MILLISECOND * nth).get(TARGET));
    }
    world.run();
}

/// When requests reached the server, in order.
fn reached(world: &Simulation) -> Vec<Instant> {
    let sessions = world.world.sessions();
    let mut times: Vec<Instant> =
        sessions.iter().flat_map(|session| session.reached.iter().map(|it| it.at)).collect();
    times.sort();
    times
}

#[test]
fn an_open_breaker_lets_one_probe_out_at_a_time() {
    // Each request takes half a second to fail, and ten more come meanwhile.
    let mut world = Simulation::new(seed!())
        .upstream(|u: Answer| u.pause(500 * MILLISECOND).reset())
        .configure(|snapshot| {
            // Open is open, although nobody else could answer.
            snapshot.upstreams[0].breaker =
                Some(BreakerSettings { panic: 100, ..defaults::BREAKER });
        });
    let start = world.world.time();
    ask_steadily(&mut world, 800);
    let times = reached(&world);
    // Until five have failed, nobody knows better: those of the first three quarters of a second.
    let known = start + 800 * MILLISECOND;
    let (before, probes): (Vec<Instant>, Vec<Instant>) =
        times.iter().partition(|time| **time < known);
    assert!((5..=20).contains(&before.len()), "{before:?}");
    // Then one at a time, each after twice as long, a tenth more or less.
    assert!((2..=4).contains(&probes.len()), "{probes:?}");
    let mut last = known;
    for (nth, probe) in probes.iter().enumerate() {
        let open = defaults::BREAKER.open * 2u32.pow(nth as u32);
        assert!(*probe - last > open * 85 / 100, "probe {nth} came after {:?}", *probe - last);
        last = *probe;
    }
    world.assert_clean();
}

#[test]
fn an_outage_is_not_doubled_by_retries() {
    let mut world = Simulation::new(seed!()).upstream(|u| u.reset()).configure(|snapshot| {
        snapshot.upstreams[0].breaker = None;
        snapshot.upstreams[0].retry.attempts = 4;
    });
    let start = world.world.time();
    ask_steadily(&mut world, 600);
    let times = reached(&world);
    // Twenty percent of 600, and ten for each of the thirty seconds.
    let allowed = 600 + 600 / 5 + 10 * 31;
    assert!(times.len() <= allowed, "{} requests, {allowed} allowed", times.len());
    assert!(times.len() > 650, "some were tried again: {}", times.len());
    // And in no second more than its share.
    for second in 0..30 {
        let (from, to) = (start + SECOND * second, start + SECOND * (second + 1));
        let count = times.iter().filter(|time| (from..to).contains(time)).count();
        assert!(count <= 2 * 20, "{count} requests in second {second}");
    }
    world.assert_clean();
}

#[test]
fn without_a_budget_nothing_is_tried_again() {
    let mut world = Simulation::new(seed!()).upstream(|u| u.reset()).configure(|snapshot| {
        snapshot.upstreams[0].breaker = None;
        snapshot.upstreams[0].retry.attempts = 4;
        snapshot.upstreams[0].retry.budget = 0;
    });
    ask_steadily(&mut world, 50);
    assert_eq!(reached(&world).len(), 50);
    world.assert_clean();
}

/// What became of a POST whose second write meets a RST, in the same turn as its first: its status, and
/// how many connections its servers saw.
fn cut_behind_a_write(answer: Answer) -> (u16, usize) {
    let world = World::new(seed!());
    for server in 0..2 {
        let answer = answer.clone();
        world.server(server_address(server), Manner::Serve, move |_| answer.clone());
    }
    let plan = GatewayPlan { endpoints: 2, attempts: 2, ..GENEROUS };
    let mut snapshot = snapshot(&plan);
    let upstream = &mut snapshot.upstreams[0];
    (upstream.retry.post, upstream.pool.replay_stale_post) = (false, false);
    let net = Sabotaged::new(world.clone(), Bug::FailsBehindAWrite);
    let mut gateway = Gateway::new(world.clone(), net, snapshot);
    let client = world.client(Visit::new().post(TARGET, &"x".repeat(200_000)));
    let limit = world.time() + 3600 * SECOND;
    assert_eq!(gateway.turn_until(limit, |world, _| world.clients_are_done()), Ok(()));
    let status = world.see(client).reader.messages.last().map_or(0, |message| message.status());
    (status, world.sessions().len())
}

#[test]
fn a_write_that_fails_behind_another_is_no_failed_connect() {
    let early = Answer::new().status("413 Too Large").body(b"too large");
    assert_eq!(cut_behind_a_write(early), (413, 1), "the answer decides");
    let none = Answer::new().close();
    assert_eq!(cut_behind_a_write(none), (502, 1), "it has been heard, and is not sent again");
}
