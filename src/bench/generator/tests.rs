//! The generator in simulated worlds: the clock is virtual, so what it measures is exact.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::*;
use crate::bench::target::{Asking, Dialect};
use crate::sim::{Answer, Faults, Manner, Random, World};

const URL: &str = "http://198.51.100.1:80/stream";
const MOCK: Dialect =
    Dialect::Mock { token_rate: 0.0, tokens: Some(1), token_bytes: 26, bulk_bytes: 0 };
const TOKEN: [u8; 26] = [b'x'; 26];
/// There, or back.
const LATENCY: Duration = Duration::from_millis(5);
const ROUND_TRIP: u64 = 2 * LATENCY.as_nanos() as u64;

fn server() -> SocketAddr {
    ([198, 51, 100, 1], 80).into()
}

/// A world without faults.
fn world(latency: Duration) -> World {
    World::with_faults(1, Faults { latency: latency..=latency, ..Faults::none() })
}

fn plan(shape: Shape, connections: usize, arrivals: Arrivals, seconds: u64) -> Plan {
    Plan {
        shape,
        connections,
        arrivals,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(seconds),
        silence: Duration::from_secs(5),
        outlasting: false,
    }
}

/// Everything that a watch is told.
#[derive(Default)]
struct Told {
    windows: usize,
    ends: usize,
    progress: Vec<RoundProgress>,
}

impl RoundWatcher for Told {
    fn on_window(&mut self) {
        self.windows += 1;
    }

    fn on_progress(&mut self, progress: RoundProgress) {
        assert_eq!(self.ends, 0);
        self.progress.push(progress);
    }

    fn on_end(&mut self) {
        self.ends += 1;
    }
}

/// One round in `world`, whose server answers as `respond` says. Nothing is left of it.
fn round(
    world: &World,
    plan: &Plan,
    dialect: Dialect,
    mut respond: impl FnMut() -> Answer + 'static,
) -> (Round, Told) {
    world.server(server(), Manner::Serve, move |_| respond());
    let asking = Asking { method: "POST".to_owned(), ..Asking::default() };
    let target = Target::new("t", URL, dialect, plan.shape, &asking).expect("a target");
    let mut told = Told::default();
    let round = play(world.clone(), plan, &target, &mut told).expect("a world does not fail");
    assert_eq!((world.violations(), world.descriptors()), (Vec::new(), 0));
    assert_eq!((told.windows, told.ends), (1, 1));
    (round, told)
}

fn at_once() -> Answer {
    Answer::new().body(&TOKEN)
}

/// What a histogram, which keeps three digits, may make of it.
fn about(nanos: u64) -> RangeInclusive<u64> {
    nanos - nanos / 1000..=nanos + nanos / 1000
}

#[test]
fn a_closed_loop_asks_again_as_soon_as_it_is_answered() {
    let world = world(LATENCY);
    let plan = plan(Shape::Unary, 3, Arrivals::Closed, 1);
    let (round, told) = round(&world, &plan, MOCK, at_once);
    let record = &round.record;
    assert_eq!((round.open, record.failures.total()), (3, 0));
    assert_eq!((round.measured, round.busy), (Duration::from_secs(1), Duration::ZERO));
    assert!((3 * 99..=3 * 101).contains(&record.requests), "{}", record.requests);
    for length in [record.request.min(), record.request.max()] {
        assert!(about(ROUND_TRIP).contains(&length), "{length}");
    }
    let seen: Vec<_> = told.progress.iter().map(|at| at.elapsed.as_millis() / 250).collect();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn streams_are_timed_to_the_pace_of_their_server() {
    let world = world(LATENCY);
    let every = Duration::from_millis(10);
    let plan = Plan { outlasting: true, ..plan(Shape::Streams, 5, Arrivals::Closed, 2) };
    let answer = move || Answer::new().tokens(1_000, "token", every);
    let (round, _) = round(&world, &plan, Dialect::Any, answer);
    let record = &round.record;
    assert_eq!((round.open, record.failures.total(), record.first_token.len()), (5, 0, 5));
    assert!(about(ROUND_TRIP).contains(&record.first_token.max()));
    assert!((5 * 199..=5 * 201).contains(&record.tokens), "{}", record.tokens);
    for gap in [record.gap.min(), record.gap.max()] {
        assert!(about(10_000_000).contains(&gap), "{gap}");
    }
}

/// One connection, and a server that once, in the 400th request, stands still for a second.
fn through_a_stall(arrivals: Arrivals, latency: Duration) -> Round {
    let world = world(latency);
    world.polls_take(Duration::from_micros(20));
    let mut asked = 0;
    let respond = move || {
        asked += 1;
        match asked {
            400 => Answer::new().pause(Duration::from_secs(1)).body(&TOKEN),
            _ => at_once(),
        }
    };
    round(&world, &plan(Shape::Unary, 1, arrivals, 10), MOCK, respond).0
}

#[test]
fn an_open_loop_sees_a_stall_in_every_request_that_was_due_in_it() {
    let latency = Duration::from_micros(50);
    let round = through_a_stall(Arrivals::Open { rate: 100.0 }, latency);
    let (record, request) = (&round.record, &round.record.request);
    assert_eq!(record.failures.total(), 0);
    assert!((1_000..=1_001).contains(&request.len()), "{}", request.len());
    assert!(record.unfinished <= 1, "the one that is due at the very end: {}", record.unfinished);
    // Asked within a poll of the instant at which it is due, though polls sleep milliseconds.
    let median = request.value_at_quantile(0.5);
    assert!((99_000..150_000).contains(&median), "{median}");
    // A tenth of all requests waited, half a second on average.
    let p95 = request.value_at_quantile(0.95);
    assert!((490_000_000..520_000_000).contains(&p95), "{p95}");

    let blind = through_a_stall(Arrivals::Closed, LATENCY).record.request;
    let p99 = blind.value_at_quantile(0.99);
    assert!(about(ROUND_TRIP).contains(&p99), "a closed loop has one slow request: {p99}");
    assert!(blind.max() >= 1_000_000_000, "{}", blind.max());
}

#[test]
fn what_stood_still_was_the_generator_and_not_its_server() {
    let world = world(LATENCY);
    world.freeze_at(world.time() + Duration::from_secs(2), Duration::from_secs(10));
    let slow = || Answer::new().pause(Duration::from_secs(13)).body(&TOKEN);
    // Five seconds of silence are a failure. It is three, and ten in which nobody listened.
    let plan = plan(Shape::Unary, 1, Arrivals::Closed, 14);
    let (round, _) = round(&world, &plan, MOCK, slow);
    assert_eq!((round.record.failures.total(), round.record.requests), (0, 1));
}

#[test]
fn a_server_that_says_nothing_has_failed_once_for_each_connection() {
    let world = world(LATENCY);
    let plan = plan(Shape::Unary, 2, Arrivals::Closed, 9);
    let (round, _) = round(&world, &plan, MOCK, || Answer::new().stall());
    let failures = round.record.failures;
    assert_eq!((failures.silent, failures.total()), (2, 2), "{failures:?}");
    assert_eq!((round.open, round.record.requests), (2, 0), "others were opened in their place");
}

/// A poll that takes long finds the reset and the end of the patience at once.
#[test]
fn a_connection_that_breaks_as_its_silence_ends_has_failed_once() {
    let world = world(LATENCY);
    world.polls_take(Duration::from_millis(20));
    let plan = plan(Shape::Unary, 10, Arrivals::Closed, 8);
    let silence = plan.silence;
    let (round, _) = round(&world, &plan, MOCK, move || Answer::new().pause(silence).reset());
    let failures = round.record.failures;
    assert!(failures.broken > 0 && failures.total() == 10, "{failures:?}");
}

#[test]
fn whatever_the_network_does_every_request_has_one_end() {
    let shapes = [Shape::Unary, Shape::Churn, Shape::Idle, Shape::Fairness];
    // Not at once, or there would be too many requests to remember.
    let answer = || Answer::new().pause(Duration::from_millis(10)).body(&TOKEN);
    for seed in 0..100 {
        let faults = Faults::draw(&mut Random::new(seed));
        let play = || {
            let world = World::with_faults(seed, faults.clone());
            world.polls_take(Duration::from_micros(50));
            let shape = shapes[seed as usize % shapes.len()];
            let arrivals = match seed % 3 {
                0 if shape != Shape::Idle => Arrivals::Open { rate: 50.0 },
                _ => Arrivals::Closed,
            };
            let plan = plan(shape, 4, arrivals, 1);
            let (round, _) = round(&world, &plan, MOCK, answer);
            (round.record, world.digest())
        };
        let (record, digest) = play();
        let failures = record.failures;
        assert_eq!((failures.broken, failures.protocol, failures.status), (0, 0, 0), "seed {seed}");
        assert!(faults.may_refuse() || failures.total() == 0, "seed {seed}: {failures:?}");
        assert_eq!(digest, play().1, "seed {seed}");
    }
}
