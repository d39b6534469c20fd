//! Changes of the configuration while something is going on: nothing that is under way notices.

use std::time::Duration;

use crate::harness::scenario::{LATENCY, Simulation, TARGET};
use crate::harness::{endpoint, server_address};
use crate::seed;
use sluicegate::config::snapshot::{ExchangeTimeouts, Listed, Snapshot, Target};
use sluicegate::sim::{Answer, Manner, Visit};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Leads the upstream to server `index`, which is made here.
fn moved_to(world: &Simulation, index: usize, body: &str) -> impl FnOnce(&mut Snapshot) + use<> {
    let answer = Answer::new().body(body.as_bytes());
    world.world.server(server_address(index), Manner::Serve, move |_| answer.clone());
    move |snapshot| {
        snapshot.upstreams[0].endpoints = vec![endpoint(index)];
    }
}

/// The timeouts of the one link of the one route.
fn timeouts_of(snapshot: &mut Snapshot) -> &mut ExchangeTimeouts {
    match &mut snapshot.routes[0].target {
        Target::Chain(chain) => &mut chain.links[0].timeouts,
        Target::Service(_) | Target::Models(_) => panic!("the route leads to an upstream"),
    }
}

#[test]
fn a_stream_runs_on_in_its_pace_and_the_next_request_obeys_the_new_one() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.tokens(50, "tok", 100 * MILLISECOND).end_chunks())
        .upstream(|u| u.stall());
    let client = world.start(Visit::new().get(TARGET).await_answers().get(TARGET));
    // Connect and request: both are on their way for two latencies; then each token for two.
    world.run_for(5 * LATENCY + LATENCY / 2);
    for token in 1..=50 {
        assert_eq!(world.received(client).body(), "tok".repeat(token), "token {token}");
        world.reload(|snapshot| {
            // The stream would be cut between any two tokens, its head would be too long.
            let timeouts = timeouts_of(snapshot);
            timeouts.inter_event = Some(MILLISECOND);
            timeouts.ttft = Some(SECOND);
            snapshot.limits.head_bytes = 1024;
        });
        world.run_for(100 * MILLISECOND - Duration::from_nanos(1));
    }
    let started = world.world.time();
    world.run();
    let answer = world.received(client);
    assert_eq!(answer.statuses(), [200, 504]);
    assert_eq!(answer.code(), "ttft_timeout");
    assert!(world.world.time() - started < 5 * SECOND, "the new limit, not the old of 20 s");
    world.assert_clean();
}

#[test]
fn idle_connections_are_used_on_and_a_queue_keeps_its_order() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.body(b"first"))
        .upstream(|u| u.pause(2 * SECOND).body(b"second"))
        .upstream(|u| u.body(b"third"))
        .upstream(|u| u.body(b"fourth"))
        .configure(|snapshot| snapshot.upstreams[0].pool.connections = 1);
    let first = world.client().get(TARGET).finish();
    assert_eq!(first.body(), "first");
    world.reload(|_| {});
    let clients = [0, 1, 2].map(|_| {
        let client = world.start(Visit::new().get(TARGET));
        world.run_for(MILLISECOND);
        world.reload(|snapshot| timeouts_of(snapshot).total = Some(60 * SECOND));
        client
    });
    world.run();
    let bodies = clients.map(|client| world.received(client).body());
    assert_eq!(bodies, ["second", "third", "fourth"]);
    assert_eq!(world.requests(), [4], "one connection, through all generations");
    world.assert_clean();
}

#[test]
fn room_that_a_new_limit_makes_is_used_at_once() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.pause(5 * SECOND).body(b"slow"))
        .upstream(|u| u.body(b"fast"))
        .configure(|snapshot| snapshot.upstreams[0].pool.connections = 1);
    let slow = world.start(Visit::new().get(TARGET));
    world.run_for(MILLISECOND);
    let fast = [0, 1].map(|_| world.start(Visit::new().get(TARGET)));
    world.run_for(MILLISECOND);
    world.reload(|snapshot| snapshot.upstreams[0].pool.connections = 3);
    world.run_for(MILLISECOND);
    assert_eq!(fast.map(|client| world.received(client).body()), ["fast", "fast"]);
    world.run();
    assert_eq!(world.received(slow).body(), "slow");
    world.assert_clean();
}

#[test]
fn an_endpoint_that_is_gone_finishes_its_streams_and_gets_nothing_new() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.body(b"old"))
        .upstream(|u| u.tokens(20, "tok", 100 * MILLISECOND).end_chunks());
    // Two connections to the old server: one will be idle, one in the middle of a stream.
    let idle = world.start(Visit::new().get(TARGET).await_answers().pause(SECOND / 4));
    let stream = world.start(Visit::new().get(TARGET));
    world.run_for(SECOND / 2);
    let to_another = moved_to(&world, 1, "new");
    world.reload(to_another);
    world.run_for(MILLISECOND);
    let ended = |world: &Simulation, session: usize| world.world.sessions()[session].ended_at;
    assert!(ended(&world, 0).is_some(), "nobody will use it again");
    assert!(ended(&world, 1).is_none(), "somebody does");
    let next = world.client().get(TARGET).finish();
    assert_eq!(next.body(), "new");
    world.run();
    world.run_for(MILLISECOND);
    assert_eq!(world.received(stream).body(), "tok".repeat(20));
    assert_eq!(world.received(idle).body(), "old");
    assert!(ended(&world, 1).is_some(), "not kept: its endpoint is gone");
    world.assert_clean();
}

#[test]
fn a_name_that_moves_takes_its_idle_connections_along_and_leaves_its_streams() {
    let name = "models.internal:80";
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.body(b"old"))
        .upstream(|u| u.tokens(20, "tok", 100 * MILLISECOND).end_chunks())
        .configure(|snapshot| {
            let upstream = &mut snapshot.upstreams[0];
            let (authority, addresses) = (name.to_owned(), vec![server_address(0)]);
            let base = String::new();
            upstream.listed = vec![Listed {
                authority,
                base,
                is_name: true,
                addresses,
                weight: 1,
                priority: 0,
                tls: None,
            }];
            upstream.endpoints[0].authority = name.to_owned();
        });
    world.world.server(server_address(1), Manner::Serve, |_| Answer::new().body(b"new"));
    let idle = world.start(Visit::new().get(TARGET).await_answers().pause(SECOND / 4));
    let stream = world.start(Visit::new().get(TARGET));
    world.run_for(SECOND / 2);
    let ended = |world: &Simulation, session: usize| world.world.sessions()[session].ended_at;
    // It has another address beside the old one: nothing that is there is touched.
    world.look_up(name, &[server_address(1), server_address(0)]);
    world.run_for(MILLISECOND);
    assert_eq!([ended(&world, 0), ended(&world, 1)], [None, None]);
    // The old one belongs to somebody else now.
    world.look_up(name, &[server_address(1)]);
    world.run_for(MILLISECOND);
    assert!(ended(&world, 0).is_some(), "what is idle is closed");
    assert!(ended(&world, 1).is_none(), "a stream finishes");
    for _ in 0..4 {
        assert_eq!(world.client().get(TARGET).finish().body(), "new");
    }
    world.run();
    world.run_for(MILLISECOND);
    assert_eq!(world.received(stream).body(), "tok".repeat(20));
    assert_eq!(world.received(idle).body(), "old");
    assert!(ended(&world, 1).is_some(), "and its connection is not kept");
    world.assert_clean();
}

#[test]
fn an_upstream_that_is_gone_serves_those_who_came_for_it() {
    // The second waits for the first's connection when its upstream is taken away.
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.tokens(20, "tok", 100 * MILLISECOND).end_chunks())
        .upstream(|u| u.body(b"waited"))
        .configure(|snapshot| snapshot.upstreams[0].pool.connections = 1);
    let clients = [0, 1].map(|_| {
        let client = world.start(Visit::new().get(TARGET));
        world.run_for(MILLISECOND);
        client
    });
    let to_another = moved_to(&world, 1, "another");
    world.reload(|snapshot| {
        to_another(snapshot);
        snapshot.upstreams[0].name = "another".into();
    });
    assert_eq!(world.client().get(TARGET).finish().body(), "another");
    world.run();
    let bodies = clients.map(|client| world.received(client).body());
    assert_eq!(bodies, ["tok".repeat(20), "waited".into()]);
    world.assert_clean();
}
