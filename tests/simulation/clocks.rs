//! Gateways under a wall clock that jumps: hours ahead and back, over midnight and the end of a month. Intervals
//! go by the other clock, so nothing of what is done, and when, may differ; budgets go by the day and the month
//! that the wall clock says, and neither come back nor vanish ([docs/fleet.md](../../docs/fleet.md#clocks)).

use std::sync::Arc;
use std::time::Duration;

use crate::harness::network::{Bug, Sabotaged};
use crate::harness::scenario::{Simulation, TARGET};
use crate::harness::seeds::{self, LASTS};
use crate::harness::server_address;
use crate::replay;
use sluicegate::clock::Instant;
use sluicegate::config::defaults;
use sluicegate::config::snapshot::{Gate, KeyMode, KeySettings, Snapshot};
use sluicegate::gate::key::KeyDigest;
use sluicegate::gate::table::KeyTable;
use sluicegate::http::timestamp;
use sluicegate::reactor::net::Net;
use sluicegate::sim::plan::{Plan, Seals};
use sluicegate::sim::{Answer, Manner, Random, Visit, WallClock, World};

const SECOND: Duration = Duration::from_secs(1);
const KEY: &str = "Authorization: Bearer sg-one\r\n";

/// The world of a seed under this wall clock, as a worker with this bug meets it.
fn played(seed: u64, wall: WallClock, bug: Bug) -> seeds::Report {
    let plan = Plan { seals: Seals::default(), ..Plan::draw(seed) };
    let world = World::with_faults(plan.seed, plan.faults.clone());
    world.set_wall_clock(wall);
    seeds::run_in(world, &plan, false, |world| Sabotaged::new(world, bug), |_| {}, None)
}

#[test]
fn a_wall_clock_that_jumps_changes_no_call() {
    for seed in 0..60 {
        let steady = played(seed, WallClock::steady(), Bug::None);
        let jumping = played(seed, WallClock::jumping(seed, LASTS), Bug::None);
        assert_eq!(jumping.verdict.map(|_| ()), Ok(()), "{}", replay(seed));
        assert_eq!(jumping.digest, steady.digest, "{}", replay(seed));
    }
}

#[test]
fn intervals_by_the_wall_clock_are_found() {
    // Where it does not jump both clocks say the same.
    let digest = |wall, bug| played(1, wall, bug).digest;
    let right = digest(WallClock::steady(), Bug::None);
    assert_eq!(digest(WallClock::steady(), Bug::GoesByTheWallClock), right);
    let found = (0..200).find_map(|seed| {
        let wall = WallClock::jumping(seed, LASTS);
        let reason = played(seed, wall, Bug::GoesByTheWallClock).verdict.err()?;
        Some((seed, reason))
    });
    let (seed, reason) = found.expect("found");
    println!("seed {seed}: {reason}");
    // A clock that went back holds up every timer.
    assert!(reason.contains("not over"), "{reason}");
}

/// Lets in who has the one key, which has these limits.
fn limited(snapshot: &mut Snapshot, limit: impl FnOnce(&mut KeySettings)) {
    let mut key = KeySettings::unlimited("team", KeyDigest::of(b"sg-one"));
    limit(&mut key);
    snapshot.gate.gate = Arc::new(Gate { keys: KeyTable::new([key]), ..Gate::default() });
    snapshot.routes.iter_mut().for_each(|route| route.keys = KeyMode::Required);
}

/// The digest of a world, and what each of its clients has had, and when.
type Served = (u64, Vec<(Vec<u16>, Vec<Instant>)>);

/// For three minutes more clients come than the key lets in; one of three servers refuses for a while, and says
/// nothing for another.
fn served(seed: u64, wall: WallClock) -> Served {
    let mut random = Random::new(seed);
    let mut world = Simulation::new(seed).configure(|snapshot| {
        limited(snapshot, |key| {
            key.requests_per_minute = Some(30);
            key.tokens_per_minute = Some(3_000);
            key.concurrency = Some(4);
        });
        let upstream = &mut snapshot.upstreams[0];
        upstream.breaker = Some(defaults::BREAKER);
    });
    world.world.set_wall_clock(wall);
    for index in 1..=3 {
        let every = random.duration(SECOND / 20..=SECOND / 2);
        world.world.server(server_address(index), Manner::Serve, move |_| {
            Answer::new().tokens(10, "token ", every).end_chunks()
        });
    }
    world.members(&[1, 2, 3]);
    let mut clients = Vec::new();
    for second in 0..180 {
        let manner = match second / 20 % 3 {
            0 => Manner::Serve,
            1 => Manner::Refuse,
            _ => Manner::Silent,
        };
        world.world.set_manner(server_address(1), manner);
        for _ in 0..random.below(3) {
            let visit = Visit::new().after(random.duration(Duration::ZERO..=SECOND));
            clients.push(world.start(visit.request("GET", TARGET, KEY).await_answers()));
        }
        world.run_for(SECOND);
    }
    world.run();
    let received = clients.iter().map(|client| world.received(*client));
    let received = received.map(|all| (all.statuses(), all.answered)).collect();
    let digest = world.world.digest();
    world.assert_clean();
    (digest, received)
}

#[test]
fn rates_breakers_and_timers_do_not_see_that_the_wall_clock_jumps() {
    let (mut let_in, mut refused) = (0, 0);
    for seed in 0..12 {
        let steady = served(seed, WallClock::steady());
        let jumping = served(seed, WallClock::jumping(seed, 180 * SECOND));
        assert_eq!(jumping, steady, "seed {seed}");
        let is = |status: u16| steady.1.iter().filter(|(all, _)| *all == [status]).count();
        let_in += is(200);
        refused += is(429);
        // A full bucket, and three minutes and a bit of new requests.
        assert!(is(200) <= 30 + 3 * 30 + 5, "{}", is(200));
    }
    assert!(let_in > 12 * 60 && refused > 12 * 20, "{let_in} were let in, {refused} refused");
}

/// The number of the day, or of the month, that the wall clock is in.
fn period(unix: Duration, monthly: bool) -> u64 {
    let day = timestamp::written(unix.as_secs());
    let number = |at: std::ops::Range<usize>| day[at].parse::<u64>().expect("a number");
    match monthly {
        true => number(0..4) * 12 + number(5..7),
        false => unix.as_secs() / 86_400,
    }
}

#[test]
fn a_budget_neither_comes_back_nor_vanishes_under_a_clock_that_jumps() {
    const BUDGET: u64 = 100;
    const COST: u64 = 10;
    let (mut answered, mut refused, mut begun, mut went_back) = (0, 0, 0, 0);
    for seed in 0..60 {
        let monthly = seed % 2 == 1;
        let mut random = Random::new(seed ^ 0xb0d6);
        let mut world = Simulation::new(seed)
            .configure(|snapshot| {
                limited(snapshot, |key| match monthly {
                    true => key.tokens_per_month = Some(BUDGET),
                    false => key.tokens_per_day = Some(BUDGET),
                });
            })
            .upstream(|u| {
                let usage = r#"{"prompt_tokens":4,"completion_tokens":6,"total_tokens":10}"#;
                let body = format!(r#"{{"choices":[],"usage":{usage}}}"#);
                u.field("Content-Type", "application/json").body(body.as_bytes())
            });
        world.world.set_wall_clock(WallClock::jumping(seed, SECOND));
        // What the page says: the period that is counted, and what is spent of it.
        let (mut counted, mut spent) = (0, 0);
        let is_counted = |counted, number| counted == number || counted == number + 1;
        for _ in 0..80 {
            if random.chance(80) {
                let to = WallClock::jump(&mut random, world.world.time_of_day());
                world.world.wall_clock_says(to);
            }
            world.run_for(random.duration(Duration::ZERO..=SECOND));
            let number = period(world.world.time_of_day(), monthly);
            let has_left = !is_counted(counted, number) || spent < BUDGET;
            let fields = format!("{KEY}Content-Type: application/json\r\nContent-Length: 2\r\n");
            let ask =
                |visit: Visit| visit.request("POST", TARGET, &fields).raw(b"{}").await_answers();
            let status = world.client().does(ask).finish().status();
            let expected = if has_left { 200 } else { 429 };
            let wall = timestamp::written(world.world.time_of_day().as_secs());
            assert_eq!(status, expected, "seed {seed}: {spent} of {counted} are spent, at {wall}");
            if !has_left {
                refused += 1;
                continue;
            }
            answered += 1;
            // It is paid at its end.
            let number = period(world.world.time_of_day(), monthly);
            if is_counted(counted, number) {
                went_back += u32::from(counted > number);
                spent += COST;
            } else {
                begun += 1;
                (counted, spent) = (number, COST);
            }
        }
        world.assert_clean();
    }
    let seen = (answered, refused, begun, went_back);
    assert!(answered > 600 && refused > 600 && begun > 100 && went_back > 20, "{seen:?}");
}
