//! Endpoints come and go while streams run, as a source tells them: no stream is lost.

use std::time::Duration;

use crate::harness::scenario::{Simulation, TARGET};
use crate::harness::server_address;
use crate::seed;
use sluicegate::clock::Instant;
use sluicegate::config::defaults;
use sluicegate::config::snapshot::{Balance, Belief, FoundMember};
use sluicegate::proxy::membership::Membership;
use sluicegate::sim::{Answer, Manner, Visit};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const SERVERS: usize = 5;

/// A gateway in front of several servers, 1 and on, of which the first is there from the beginning.
fn world(seed: u64, answer: Answer) -> Simulation {
    let mut world = Simulation::new(seed).configure(|snapshot| {
        let upstream = &mut snapshot.upstreams[0];
        upstream.balance = Balance::RoundRobin;
        upstream.breaker = Some(defaults::BREAKER);
        upstream.pool.connections = 1_000;
    });
    for index in 1..=SERVERS {
        let answer = answer.clone();
        world.world.server(server_address(index), Manner::Serve, move |_| answer.clone());
    }
    world.members(&[1]);
    world
}

#[test]
fn endpoints_come_and_go_under_streams_and_none_is_lost() {
    let answer = Answer::new().tokens(30, "tok", 100 * MILLISECOND).end_chunks();
    let mut world = world(seed!(), answer);
    let mut clients = Vec::new();
    for round in 0..40 {
        clients.push(world.start(Visit::new().get(TARGET)));
        clients.push(world.start(Visit::new().get(TARGET)));
        world.run_for(25 * MILLISECOND);
        // Each is there for two rounds, and gone for three.
        world.members(&[1 + round % SERVERS, 1 + (round + 1) % SERVERS]);
        world.run_for(25 * MILLISECOND);
    }
    world.run();
    for client in clients {
        assert_eq!(world.received(client).statuses(), [200]);
        assert_eq!(world.received(client).body(), "tok".repeat(30));
    }
    world.assert_clean();
}

#[test]
fn one_that_comes_starts_slowly_and_one_that_comes_back_does_not() {
    let mut world = world(seed!(), Answer::new().body(b"ok"));
    let ask = |world: &mut Simulation, times: usize| -> usize {
        let before = world.requests_at(2);
        for _ in 0..times {
            assert_eq!(world.client().get(TARGET).finish().body(), "ok");
        }
        world.requests_at(2) - before
    };
    world.run_for(20 * SECOND);
    world.members(&[1, 2]);
    let slow = ask(&mut world, 40);
    assert!((1..15).contains(&slow), "{slow} of 40 went to the newcomer");
    world.run_for(20 * SECOND);
    assert!((18..=22).contains(&ask(&mut world, 40)), "its slow start is over");
    world.members(&[1]);
    assert_eq!(ask(&mut world, 10), 0, "it has left");
    world.members(&[1, 2]);
    assert!((18..=22).contains(&ask(&mut world, 40)), "it is the one that it was");
    world.members(&[1]);
    world.run_for(61 * SECOND);
    world.members(&[1, 2]);
    let slow = ask(&mut world, 40);
    assert!((1..15).contains(&slow), "{slow} of 40 went to the stranger");
    world.assert_clean();
}

#[test]
fn a_set_in_doubt_changes_nothing_until_it_is_confirmed() {
    let belief = Belief { shrink: 0.5, confirm: 30 * SECOND, empty: false };
    let member = |index: &usize| FoundMember::at(server_address(*index).to_string());
    let set = |servers: &[usize]| -> Vec<FoundMember> { servers.iter().map(member).collect() };
    let mut world = world(seed!(), Answer::new().body(b"ok"));
    let mut membership = Membership::default();
    let mut tell = |world: &mut Simulation, told: Option<&[usize]>, at: u64| {
        let now = Instant::ZERO + Duration::from_secs(at);
        match told {
            Some(told) => membership.told(set(told), &belief, now),
            None => membership.on_time(now),
        };
        let all: Vec<usize> = (1..=SERVERS).collect();
        let here = |index: &&usize| membership.in_force().contains(&member(index));
        let servers: Vec<usize> = all.iter().filter(here).copied().collect();
        world.members(&servers);
        servers.len()
    };
    assert_eq!(tell(&mut world, Some(&[1, 2, 3, 4]), 0), 4);
    assert_eq!(tell(&mut world, Some(&[1]), 1), 4);
    let before = world.requests_at(3);
    for _ in 0..100 {
        assert_eq!(world.client().get(TARGET).finish().body(), "ok");
    }
    assert!(world.requests_at(3) > before, "it is still asked");
    assert_eq!(tell(&mut world, None, 30), 4);
    assert_eq!(tell(&mut world, None, 31), 1);
    let before = world.requests_at(3);
    for _ in 0..20 {
        assert_eq!(world.client().get(TARGET).finish().body(), "ok");
    }
    assert_eq!(world.requests_at(3), before, "it is not asked any more");
    world.assert_clean();
}
