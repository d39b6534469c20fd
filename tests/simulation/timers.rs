//! Timers: what each of them counts from, and what is not believed when nothing ran for a while.

use std::time::Duration;

use crate::harness::scenario::{Simulation, TARGET};
use crate::seed;
use sluicegate::config::defaults;
use sluicegate::config::snapshot::{BreakerSettings, ExchangeTimeouts, Snapshot};
use sluicegate::gateway::command::Idle;
use sluicegate::sim::{Answer, Visit};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Changes the timeouts of an exchange wherever they are in force.
fn timeouts(snapshot: &mut Snapshot, change: impl Fn(&mut ExchangeTimeouts)) {
    use sluicegate::config::snapshot::Target;
    change(&mut snapshot.timeouts.exchange);
    for upstream in &mut snapshot.upstreams {
        change(&mut upstream.timeouts);
    }
    for route in &mut snapshot.routes {
        change(&mut route.timeouts);
        if let Target::Chain(chain) = &mut route.target {
            chain.links.iter_mut().for_each(|link| change(&mut link.timeouts));
        }
    }
}

/// One fault, and the endpoint is out for a minute.
fn strict(snapshot: &mut Snapshot) {
    let (consecutive, open) = (1, 60 * SECOND);
    snapshot.upstreams[0].breaker =
        Some(BreakerSettings { consecutive, open, ..defaults::BREAKER });
}

/// Timers of two seconds.
fn impatient(snapshot: &mut Snapshot) {
    strict(snapshot);
    let two = Some(2 * SECOND);
    timeouts(snapshot, |timeouts| {
        *timeouts = ExchangeTimeouts {
            body: two,
            client_write: two,
            connect: two,
            ttft: two,
            inter_event: two,
            ..*timeouts
        };
    });
}

/// Events for ten seconds, one every 100 ms.
fn ten_seconds(answer: Answer) -> Answer {
    let stream = answer.field("Content-Type", "text/event-stream");
    stream.tokens(100, "data: x\n\n", 100 * MILLISECOND).end_chunks()
}

// What they count from.

#[test]
fn the_time_in_the_queue_is_no_time_of_the_connect() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.field("Connection", "close").pause(6500 * MILLISECOND).body(b"first"))
        .upstream(|u| u.field("Connection", "close").body(b"second"))
        .faults(|faults| faults.latency = 400 * MILLISECOND..=400 * MILLISECOND)
        .configure(|snapshot| {
            strict(snapshot);
            snapshot.upstreams[0].admission.max_concurrency = Some(1);
            snapshot.upstreams[0].admission.queue_timeout = 30 * SECOND;
        });
    let first = world.start(Visit::new().get(TARGET));
    let second = world.start(Visit::new().after(SECOND).get(TARGET));
    world.run();
    assert_eq!(world.received(first).statuses(), [200]);
    assert_eq!(world.received(second).statuses(), [200], "{}", world.received(second).code());
    assert_eq!(world.gateway().counters.breaker_opened.get(), 0, "nobody is to blame");
    world.assert_clean();
}

#[test]
fn a_second_attempt_has_the_whole_time_to_connect() {
    // The first attempt takes four seconds of the five to fail, and the second one to connect.
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.pause(4800 * MILLISECOND).reset())
        .upstream(|u| u.body(b"second"))
        .faults(|faults| faults.latency = 400 * MILLISECOND..=400 * MILLISECOND)
        .configure(|snapshot| snapshot.upstreams[0].retry.attempts = 2);
    let answer = world.client().get(TARGET).finish();
    assert_eq!(answer.statuses(), [200], "{}", answer.code());
    world.assert_clean();
}

// When nothing ran for a while.

#[test]
fn a_standstill_cuts_no_stream_and_opens_no_breaker() {
    for (at, lasts) in [(1000, 4000), (1050, 1900), (1950, 60_000), (0, 4000), (9900, 4000)] {
        let mut world = Simulation::new(seed!()).upstream(ten_seconds).configure(impatient);
        let clients: Vec<_> = (0..6).map(|_| world.start(Visit::new().get(TARGET))).collect();
        let begin = world.world.time();
        world.world.freeze_at(begin + at * MILLISECOND, lasts * MILLISECOND);
        world.run();
        for client in clients {
            let answer = world.received(client);
            assert_eq!(answer.statuses(), [200], "{at}+{lasts}: {}", answer.code());
            assert!(answer.is_whole(), "{at}+{lasts}");
        }
        assert_eq!(world.gateway().counters.breaker_opened.get(), 0, "{at}+{lasts}");
        world.assert_clean();
    }
}

#[test]
fn the_end_that_came_in_a_standstill_is_heard_before_any_timer() {
    // Until close: the FIN is the end, and nothing but a read tells of it.
    let answer =
        |u: Answer| u.head().raw(b"half ").pause(1500 * MILLISECOND).raw(b"and half").close();
    let mut world = Simulation::new(seed!()).upstream(answer).configure(impatient);
    let begin = world.world.time();
    world.world.freeze_at(begin + SECOND, 10 * SECOND);
    let answer = world.client().get(TARGET).finish();
    assert_eq!((answer.body().as_str(), answer.is_whole()), ("half and half", true));
    world.assert_clean();
}

#[test]
fn bytes_that_many_sockets_hold_are_all_heard_however_few_a_poll_tells_of() {
    let mut world = Simulation::new(seed!())
        .upstream(ten_seconds)
        .configure(impatient)
        .faults(|faults| faults.batch_max = 2);
    let clients: Vec<_> = (0..8).map(|_| world.start(Visit::new().get(TARGET))).collect();
    let begin = world.world.time();
    world.world.freeze_at(begin + SECOND, 4 * SECOND);
    world.run();
    for client in clients {
        assert!(world.received(client).is_whole());
    }
    world.assert_clean();
}

#[test]
fn a_server_that_stood_still_as_well_has_the_rest_of_its_time() {
    // A laptop's worth of processes, stopped together: the next event is as late as everything.
    let answer = |u: Answer| {
        let stream = u.field("Content-Type", "text/event-stream").chunk("data: a\n\n");
        stream.pause(5 * SECOND).chunk("data: b\n\n").end_chunks()
    };
    let mut world = Simulation::new(seed!()).upstream(answer).configure(impatient);
    let begin = world.world.time();
    world.world.freeze_at(begin + 500 * MILLISECOND, 4 * SECOND);
    let answer = world.client().get(TARGET).finish();
    assert!(answer.is_whole(), "{}", answer.code());
    world.assert_clean();
}

#[test]
fn a_server_that_is_silent_after_a_standstill_is_not_waited_for_for_ever() {
    let answer = |u: Answer| {
        let stream = u.field("Content-Type", "text/event-stream").chunk("data: a\n\n");
        stream.stall()
    };
    let mut world = Simulation::new(seed!()).upstream(answer).configure(impatient);
    let begin = world.world.time();
    world.world.freeze_at(begin + SECOND, 4 * SECOND);
    let answer = world.client().get(TARGET).finish();
    assert!(!answer.is_whole());
    let ended = answer.ended_at.expect("it was cut") - begin;
    assert!(ended > 5 * SECOND && ended < 8 * SECOND, "{ended:?}");
    world.assert_clean();
}

#[test]
fn a_drain_has_the_time_it_was_given() {
    let mut world = Simulation::new(seed!())
        .upstream(ten_seconds)
        .configure(|snapshot| snapshot.timeouts.drain = Some(11 * SECOND));
    let client = world.start(Visit::new().get(TARGET));
    world.run_for(SECOND);
    world.drain(Idle::Leave);
    world.world.freeze_at(world.world.time() + SECOND, 20 * SECOND);
    world.run();
    assert!(world.received(client).is_whole());
    world.assert_clean();
}

#[test]
fn a_client_that_stood_in_line_is_seated_before_it_is_refused() {
    // Its place comes free and its time runs out in one turn.
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.pause(3 * SECOND).body(b"first"))
        .upstream(|u| u.body(b"second"))
        .configure(|snapshot| {
            snapshot.upstreams[0].admission.max_concurrency = Some(1);
            snapshot.upstreams[0].admission.queue_timeout = 4 * SECOND;
        });
    world.start(Visit::new().get(TARGET));
    let second = world.start(Visit::new().after(100 * MILLISECOND).get(TARGET));
    world.world.freeze_at(world.world.time() + SECOND, 10 * SECOND);
    world.run();
    assert_eq!(world.received(second).statuses(), [200], "{}", world.received(second).code());
    world.assert_clean();
}
