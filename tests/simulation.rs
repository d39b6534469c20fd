//! The production reactor in ten thousand worlds made from seeds.
//!
//! | variable | effect |
//! |---|---|
//! | `SIM_SEED=n` | replays one seed and prints its plan and its trace |
//! | `SIM_SEEDS=n` | so many seeds instead of ten thousand |
//! | `SIM_SECONDS=n` | fresh seeds for so long: the nightly mode |
//! | `SIM_PLAIN=1` | no connection is sealed |

#[path = "simulation/authoriser.rs"]
mod authoriser;
#[path = "simulation/availability.rs"]
mod availability;
#[path = "simulation/clocks.rs"]
mod clocks;
#[path = "simulation/coalesce.rs"]
mod coalesce;
#[path = "simulation/continuation.rs"]
mod continuation;
#[path = "simulation/crew.rs"]
mod crew;
#[path = "simulation/fallback.rs"]
mod fallback;
#[path = "simulation/first_event.rs"]
mod first_event;
#[path = "simulation/gateways.rs"]
mod gateways;
mod harness;
#[path = "simulation/members.rs"]
mod members;
#[path = "simulation/outage.rs"]
mod outage;
#[path = "simulation/overload.rs"]
mod overload;
#[path = "simulation/plugins.rs"]
mod plugins;
#[path = "simulation/real_sessions.rs"]
mod real_sessions;
#[path = "simulation/reload.rs"]
mod reload;
#[path = "simulation/scenarios.rs"]
mod scenarios;
#[path = "simulation/sessions.rs"]
mod sessions;
#[path = "simulation/timers.rs"]
mod timers;
#[path = "simulation/tokens.rs"]
mod tokens;
#[path = "simulation/translation.rs"]
mod translation;
#[path = "simulation/waking.rs"]
mod waking;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use harness::network::{Bug, Sabotaged};
use harness::seeds::{self, Report};
use harness::{GENEROUS, Gateway, snapshot};
use sluicegate::config::snapshot::{CommitAt, Snapshot};
use sluicegate::sim::World;
use sluicegate::sim::oracle::Tally;
use sluicegate::sim::plan::{Plan, Seals};

/// So many failures are enough to look at.
const FAILURES_MAX: usize = 10;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// The world of a seed.
fn plan(seed: u64) -> Plan {
    let plan = Plan::draw(seed);
    match variable("SIM_PLAIN") {
        Some(1..) => Plan { seals: Seals::default(), ..plan },
        _ => plan,
    }
}

fn run(seed: u64) -> Report {
    seeds::run(&plan(seed), false, |world| world)
}

fn replay(seed: u64) -> String {
    format!("SIM_SEED={seed} cargo test --test simulation seeds -- --nocapture")
}

/// What became of many seeds.
struct Sweep {
    count: u64,
    failures: Vec<(u64, String)>,
    /// Of the traces of all of them, in any order: a change that is to change nothing leaves it.
    digest: u64,
}

/// Runs seeds from `first` on, on two threads, while `go_on` says so.
fn sweep(first: u64, go_on: impl Fn(u64) -> bool + Sync) -> Sweep {
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let (done, digests) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let count = next.fetch_add(1, Ordering::Relaxed);
                    let mut failures_known = failures.lock().expect("no panic under the lock");
                    if !go_on(count) || failures_known.len() >= FAILURES_MAX {
                        return;
                    }
                    drop(failures_known);
                    let seed = first + count;
                    let outcome = std::panic::catch_unwind(|| run(seed));
                    done.fetch_add(1, Ordering::Relaxed);
                    let reason = match outcome {
                        Ok(Report { verdict: Ok(_), digest, .. }) => {
                            // The seed turns it, so that two worlds cannot change places.
                            let turned = digest.rotate_left((seed % 64) as u32);
                            digests.fetch_add(turned.wrapping_mul(2 * seed + 1), Ordering::Relaxed);
                            continue;
                        }
                        Ok(Report { verdict: Err(reason), .. }) => reason,
                        Err(_) => "the worker panicked".into(),
                    };
                    failures_known = failures.lock().expect("no panic under the lock");
                    failures_known.push((seed, reason));
                }
            });
        }
    });
    Sweep {
        count: done.into_inner(),
        failures: failures.into_inner().expect("no panic under the lock"),
        digest: digests.into_inner(),
    }
}

#[test]
fn seeds() {
    if let Some(seed) = variable("SIM_SEED") {
        let plan = plan(seed);
        println!("{plan:#?}");
        let report = seeds::run(&plan, true, |world| world);
        println!("{}", report.trace);
        println!("seed {seed}: {:?}", report.verdict);
        assert!(report.verdict.is_ok());
        return;
    }
    let started = Instant::now();
    let Sweep { count, failures, digest } = match variable("SIM_SECONDS") {
        Some(seconds) => {
            let since_epoch = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
            let limit = Duration::from_secs(seconds);
            sweep(since_epoch.as_nanos() as u64, |_| started.elapsed() < limit)
        }
        None => {
            let total = variable("SIM_SEEDS").unwrap_or(10_000);
            sweep(0, |count| count < total)
        }
    };
    for (seed, reason) in &failures {
        println!("seed {seed}: {reason}\n    {}", replay(*seed));
    }
    println!("{count} seeds in {:.1?}, digest of their traces {digest:016x}", started.elapsed());
    assert!(failures.is_empty(), "{} seeds failed", failures.len());
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..200 {
        assert_eq!(run(seed).digest, run(seed).digest, "{}", replay(seed));
    }
}

/// A sweep proves little if nothing happens in it.
#[test]
fn the_worlds_are_full_of_life() {
    let mut sum = Tally::default();
    for seed in 0..1_000 {
        sum += run(seed).verdict.expect("these seeds pass");
    }
    for (what, count, least) in [
        ("whole answers", sum.whole, 4_000),
        ("whole answers that were owed", sum.owed, 2_500),
        ("answers cut short", sum.cut, 200),
        ("errors of the gateway's own", sum.refused, 200),
        ("requests without an answer", sum.unanswered, 100),
        ("replays on a fresh connection", sum.replayed, 100),
        ("further attempts", sum.retried, 500),
        ("whole answers after a failed attempt", sum.rescued, 150),
        ("answers of a later upstream", sum.failed_over, 50),
        ("errors of a server's own when all attempts had failed", sum.given_up, 30),
        ("answers that an open breaker refused", sum.broken, 5),
        ("tunnels", sum.tunnels, 20),
        ("breakers that opened", sum.opened, 300),
        ("breakers that closed again", sum.closed, 100),
        ("turns with a probe", sum.probes, 2_000),
    ] {
        assert!(count >= least, "{count} {what} in a thousand worlds: {sum:?}");
    }
}

/// The first seed whose world shows the bug, and what gave it away.
fn find(bug: Bug) -> Option<(u64, String)> {
    (0..5_000).find_map(|seed| {
        let report = seeds::run(&Plan::draw(seed), false, |world| Sabotaged::new(world, bug));
        report.verdict.err().map(|reason| (seed, reason))
    })
}

#[test]
fn a_layer_that_changes_nothing_is_not_noticed() {
    for seed in 0..200 {
        let plan = Plan::draw(seed);
        let layered = seeds::run(&plan, false, |world| Sabotaged::new(world, Bug::None));
        assert_eq!(layered.digest, run(seed).digest, "{}", replay(seed));
    }
}

#[test]
fn a_forgotten_readiness_bit_is_found() {
    for bug in [Bug::ForgetsWritable, Bug::ForgetsReadable { nth: 5 }] {
        let (seed, reason) = find(bug).unwrap_or_else(|| panic!("{bug:?} was not found"));
        println!("{bug:?}: seed {seed}: {reason}");
        assert!(reason.contains("was owed an answer"), "{reason}");
    }
}

#[test]
fn a_dirty_connection_in_the_pool_is_found() {
    let (seed, reason) = find(Bug::PoolsDirty).expect("found");
    println!("seed {seed}: {reason}");
    assert!(reason.contains("an answer that nobody asked for"), "{reason}");
}

#[test]
fn a_dropped_end_behind_the_last_bytes_is_found() {
    let (seed, reason) = find(Bug::DropsEnd).expect("found");
    println!("seed {seed}: {reason}");
    assert!(reason.contains("was owed an answer"), "{reason}");
}

#[test]
fn timers_that_are_believed_while_bytes_wait_are_found() {
    // Most worlds show sooner that it does not accept, either.
    let found = (0..5_000).find_map(|seed| {
        let deaf = |world| Sabotaged::new(world, Bug::DoesNotListen);
        let reason = seeds::run(&Plan::draw(seed), false, deaf).verdict.err()?;
        reason.contains("was owed an answer").then_some((seed, reason))
    });
    let (seed, reason) = found.expect("found");
    println!("seed {seed}: {reason}");
}

/// The first seed whose world shows that the worker keeps other rules than its plan.
fn find_mistake(mistake: impl Fn(&mut Snapshot)) -> Option<(u64, String)> {
    (0..5_000).find_map(|seed| {
        let plan = Plan::draw(seed);
        let report = seeds::run_with(&plan, false, |world| world, &mistake);
        report.verdict.err().map(|reason| (seed, reason))
    })
}

#[test]
fn an_attempt_too_many_is_found() {
    let (seed, reason) = find_mistake(|snapshot| {
        for upstream in &mut snapshot.upstreams {
            upstream.retry.attempts += 1;
        }
    })
    .expect("found");
    println!("seed {seed}: {reason}");
    assert!(reason.contains("reached upstream") && reason.contains("times"), "{reason}");
}

#[test]
fn an_attempt_too_few_is_found() {
    let (seed, reason) = find_mistake(|snapshot| {
        for upstream in &mut snapshot.upstreams {
            upstream.retry.attempts = 1;
        }
    })
    .expect("found");
    println!("seed {seed}: {reason}");
    assert!(reason.contains("was owed an answer"), "{reason}");
}

#[test]
fn a_commit_too_early_is_found() {
    let (seed, reason) = find_mistake(|snapshot| {
        for route in &mut snapshot.routes {
            route.commit = CommitAt::Head;
        }
    })
    .expect("found");
    println!("seed {seed}: {reason}");
    assert!(reason.contains("was owed an answer"), "{reason}");
}

#[test]
fn a_budget_that_is_not_kept_is_found() {
    let (seed, reason) = find_mistake(|snapshot| {
        for upstream in &mut snapshot.upstreams {
            upstream.retry.budget = 100;
        }
    })
    .expect("found");
    println!("seed {seed}: {reason}");
    assert!(reason.contains("% are allowed"), "{reason}");
}

#[test]
fn a_second_exchange_at_an_endpoint_that_is_out_is_found() {
    // It asks endpoints that are out in an outage, where its plan says that it never does.
    let (seed, reason) = find_mistake(|snapshot| {
        for breaker in snapshot.upstreams.iter_mut().filter_map(|it| it.breaker.as_mut()) {
            breaker.panic = 0;
        }
    })
    .expect("found");
    println!("seed {seed}: {reason}");
    assert!(reason.contains("were let in at an endpoint that is"), "{reason}");
}

#[test]
fn a_permit_that_is_not_given_back_is_found() {
    let world = World::new(1);
    let snapshot = snapshot(&GENEROUS);
    let upstream = snapshot.upstreams[0].clone();
    let mut gateway = Gateway::new(world.clone(), world, snapshot);
    assert_eq!(gateway.assert_clean(), Ok(()));
    let (load, _) = gateway.loads.of(&upstream);
    let permit = load.try_begin(0, &upstream.admission);
    assert_eq!(gateway.assert_clean(), Err("1 permits are not home".into()));
    drop(permit);
    assert_eq!(gateway.assert_clean(), Ok(()));
}
