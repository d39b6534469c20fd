//! The production reactor in ten thousand worlds made from seeds.
//!
//! | variable | effect |
//! |---|---|
//! | `SIM_SEED=n` | replays one seed and prints its plan and its trace |
//! | `SIM_SEEDS=n` | so many seeds instead of ten thousand |
//! | `SIM_SECONDS=n` | fresh seeds for so long: the nightly mode |

mod harness;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use harness::network::{Bug, Sabotaged};
use harness::seeds::{self, Report};
use sluicegate::sim::plan::Plan;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn run(seed: u64) -> Report {
    seeds::run(&Plan::draw(seed), false, |world| world)
}

fn replay(seed: u64) -> String {
    format!("SIM_SEED={seed} cargo test --test simulation seeds -- --nocapture")
}

/// Runs seeds from `first` on, on two threads, while `go_on` says so. Returns how many were run and
/// what failed.
fn sweep(first: u64, go_on: impl Fn(u64) -> bool + Sync) -> (u64, Vec<(u64, String)>) {
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let count = next.fetch_add(1, Ordering::Relaxed);
                    let mut failures_known = failures.lock().expect("no panic under the lock");
                    if !go_on(count) || failures_known.len() >= 400 {
                        return;
                    }
                    drop(failures_known);
                    let seed = first + count;
                    let outcome = std::panic::catch_unwind(|| run(seed));
                    let reason = match outcome {
                        Ok(Report { verdict: Ok(_), .. }) => continue,
                        Ok(Report { verdict: Err(reason), .. }) => reason,
                        Err(_) => "the worker panicked".into(),
                    };
                    failures_known = failures.lock().expect("no panic under the lock");
                    failures_known.push((seed, reason));
                }
            });
        }
    });
    (next.into_inner(), failures.into_inner().expect("no panic under the lock"))
}

#[test]
fn seeds() {
    if let Some(seed) = variable("SIM_SEED") {
        let plan = Plan::draw(seed);
        println!("{plan:#?}");
        let report = seeds::run(&plan, true, |world| world);
        println!("{}", report.trace);
        println!("seed {seed}: {:?}", report.verdict);
        assert!(report.verdict.is_ok());
        return;
    }
    let started = Instant::now();
    let (count, failures) = match variable("SIM_SECONDS") {
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
    println!("{count} seeds in {:.1?}", started.elapsed());
    assert!(failures.is_empty(), "{} seeds failed", failures.len());
}
