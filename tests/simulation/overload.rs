//! Overload: too many who are slow on purpose, and too little room. The others are served.

use std::time::Duration;

use crate::harness::scenario::{Simulation, TARGET};
use crate::seed;
use sluicegate::clock::Instant;
use sluicegate::sim::{Act, ClientId, Reading, Visit};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The least pool there can be: room for sixteen new heads.
const FEW: usize = 64 * 16 * 1024;

/// A head that comes byte by byte for `seconds`, and then is whole.
fn drip(seconds: u32) -> Visit {
    let mut visit = Visit::new().ask(Default::default()).raw(b"GET /relay/it HTTP/1.1\r\nX: ");
    for _ in 0..10 * seconds {
        visit = visit.raw(b"x").pause(100 * MILLISECOND);
    }
    visit.raw(b"\r\nHost: x\r\n\r\n")
}

/// Clients that ask every 100 ms from the first second on, and when each of them comes.
fn honest(world: &mut Simulation, count: u32) -> Vec<(Instant, ClientId)> {
    let start = world.world.time();
    let mut come = |nth| {
        let after = SECOND + 100 * MILLISECOND * nth;
        (start + after, world.start(Visit::new().after(after).get(TARGET)))
    };
    (0..count).map(&mut come).collect()
}

/// Asserts that each was answered within this time.
fn expect_served(world: &Simulation, clients: &[(Instant, ClientId)], within: Duration) {
    for (came, client) in clients {
        let received = world.received(*client);
        assert_eq!(received.statuses(), [200], "{}", received.code());
        let took = received.answered[0] - *came;
        assert!(took < within, "it took {took:?}");
    }
}

#[test]
fn heads_that_drip_give_way_to_those_that_do_not() {
    let mut world =
        Simulation::new(seed!()).configure(|snapshot| snapshot.limits.buffer_bytes = FEW);
    let slow: Vec<ClientId> = (0..200).map(|_| world.start(drip(8))).collect();
    let clients = honest(&mut world, 50);
    world.run();
    expect_served(&world, &clients, 500 * MILLISECOND);
    let statuses = |client: &ClientId| world.received(*client).statuses();
    let refused = slow.iter().filter(|client| statuses(client) == [503]).count() as u64;
    assert!(refused > 100, "{refused} of 200 gave way");
    assert_eq!(world.gateway().counters.heads_shed.get(), refused, "nobody else was refused");
    world.assert_clean();
}

#[test]
fn who_has_asked_nothing_is_not_told_that_there_was_no_buffer_for_it() {
    const LONG: usize = 3 << 20;
    let mut world = Simulation::new(seed!())
        .configure(|snapshot| {
            snapshot.limits.buffer_bytes = 1;
            snapshot.timeouts.client_idle = Some(2 * SECOND);
        })
        .upstream(|u| u.body(&[b'x'; LONG]));
    let visit = Visit::new().expecting(LONG).get(TARGET);
    let idle = world.start(visit.clone().await_answers().then(Act::AwaitEnd));
    world.run_for(SECOND);
    // Those who do not read hold all the buffers there are, and events tell of what is not there.
    let mut world = world.faults(|faults| faults.spurious_event = 500);
    for _ in 0..8 {
        world.start(visit.clone().read(Reading::Never).then(Act::AwaitEnd));
    }
    world.run_for(10 * SECOND);
    assert!(world.gateway().counters.buffers_dry.get() > 0, "there were too many buffers");
    assert_eq!(world.received(idle).statuses(), [200]);
}

#[test]
fn a_head_that_drips_is_left_alone_where_nobody_waits() {
    let mut world =
        Simulation::new(seed!()).configure(|snapshot| snapshot.limits.buffer_bytes = FEW);
    let slow: Vec<ClientId> = (0..10).map(|_| world.start(drip(8))).collect();
    let clients = honest(&mut world, 50);
    world.run();
    expect_served(&world, &clients, 10 * MILLISECOND);
    for client in slow {
        assert_eq!(world.received(client).statuses(), [200]);
    }
    world.assert_clean();
}

#[test]
fn the_silent_give_way_where_there_is_no_place_and_those_who_have_asked_do_not() {
    let mut world = Simulation::new(seed!()).configure(|snapshot| snapshot.limits.connections = 50);
    let ask_twice = Visit::new().get(TARGET).await_answers().pause(6 * SECOND).get(TARGET);
    let kept: Vec<ClientId> = (0..5).map(|_| world.start(ask_twice.clone())).collect();
    world.run_for(100 * MILLISECOND);
    for _ in 0..200 {
        world.start(Visit::new().then(Act::AwaitEnd));
    }
    let clients = honest(&mut world, 20);
    world.run();
    // Each round lets fifty in, and those are asked to leave a second later.
    expect_served(&world, &clients, 6 * SECOND);
    for client in kept {
        assert_eq!(world.received(client).statuses(), [200, 200]);
    }
    assert!(world.gateway().counters.silent_shed.get() >= 150);
    world.assert_clean();
}

#[test]
fn where_nothing_can_be_accepted_for_a_while_nothing_is_lost() {
    // EMFILE or ENOBUFS, in one call of four.
    let mut world = Simulation::new(seed!()).faults(|faults| faults.accept_exhausted = 250);
    let clients = honest(&mut world, 50);
    world.run();
    expect_served(&world, &clients, SECOND);
    let rests = world.gateway().counters.accepts_exhausted.get();
    assert!(rests > 10, "it rested {rests} times");
    world.assert_clean();
}
