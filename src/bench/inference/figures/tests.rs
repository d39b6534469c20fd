mod agreement;

use super::*;
use crate::bench::inference::arrivals::Process;
use crate::bench::inference::outcome::{Failure, outcome};
use crate::bench::inference::reading::Usage;
use crate::clock::Instant;

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn plan(process: Process) -> Plan {
    Plan {
        process,
        in_flight_max: 2,
        requests: None,
        duration: None,
        warm_up: Duration::ZERO,
        silence: Duration::from_secs(1),
        grace: Duration::from_secs(1),
    }
}

/// Measured from 1,000 to 2,000 ms.
fn seen(outcomes: Vec<Outcome>) -> Seen {
    Seen {
        outcomes,
        told: [(Failure::Status(429), "slow down".to_owned())].into(),
        until: at(2_000),
        ..Seen::from(at(1_000))
    }
}

#[test]
fn percentiles_lie_between_their_neighbours() {
    let spread = Spread::of((1..=5).map(f64::from).collect()).expect("values");
    assert_eq!((spread.min, spread.p50, spread.max, spread.mean), (1.0, 3.0, 5.0, 3.0));
    assert!((spread.p90 - 4.6).abs() < 1e-9, "{}", spread.p90);
    assert!((spread.deviation - 2.0_f64.sqrt()).abs() < 1e-9);
    assert_eq!(Spread::of(Vec::new()), None);
}

#[test]
fn the_warm_up_counts_for_rates_only_as_far_as_it_reaches_into_the_measured_time() {
    // Begun in the warm-up: half of its ten chunks came in the measured time.
    let early = Outcome { chunks_measured: 5, ..outcome(500, 600, 1_400, 1_400, 10) };
    let inside = outcome(1_100, 1_200, 1_900, 1_900, 8);
    // Ends behind the measured time, and is waited for.
    let late = Outcome { chunks_measured: 2, ..outcome(1_800, 1_900, 2_700, 2_700, 9) };
    let report = LevelReport::new(
        &plan(Process::Closed { concurrency: 2 }),
        &seen(vec![early, inside, late]),
        None,
    );
    assert_eq!((report.requests.ended, report.requests.succeeded), (2, 2));
    assert_eq!(report.requests_per_second, 2.0, "those that ended in it");
    assert_eq!(report.output_tokens_per_second, Some(15.0));
    let e2e = report.e2e_ms.expect("answers");
    assert_eq!((e2e.count, e2e.min, e2e.max), (2, 800.0, 900.0));
    // 0.4 s of the first, 0.8 of the second, 0.2 of the third, in a second.
    assert!((report.concurrency_mean - 1.4).abs() < 1e-9, "{}", report.concurrency_mean);
    assert_eq!(report.tokens.output_counted_by, Some("chunks"));
    assert!(report.send_delay_ms.is_none(), "a closed loop has no plan to be late for");
}

#[test]
fn failures_are_told_apart_and_have_no_latency() {
    let mut refused = outcome(1_100, 1_200, 1_300, 1_300, 3);
    refused.result = Err(Failure::Status(429));
    let usage = Usage { input: Some(12), output: Some(40) };
    let whole = Outcome { usage, ..outcome(1_100, 1_200, 1_900, 1_900, 8) };
    let seen = seen(vec![refused.clone(), refused, whole]);
    let objectives = Objectives::read("ttft=100ms", |_| Ok(Duration::from_millis(100)));
    let objectives = objectives.expect("a limit");
    let report =
        LevelReport::new(&plan(Process::Closed { concurrency: 2 }), &seen, Some(&objectives));
    assert_eq!((report.requests.ended, report.requests.failed), (3, 2));
    let failure = &report.failures["status_429"];
    assert_eq!((failure.count, failure.example.as_deref()), (2, Some("slow down")));
    assert_eq!(report.e2e_ms.map(|spread| spread.count), Some(1));
    assert_eq!(report.tokens.output_counted_by, Some("usage"));
    assert_eq!(report.tokens.input.map(|spread| spread.mean), Some(12.0));
    let goodput = report.goodput.expect("objectives");
    assert!((goodput.share - 1.0 / 3.0).abs() < 1e-9 && goodput.requests_per_second == 1.0);
}

#[test]
fn an_open_loop_says_both_from_when_it_was_due_and_from_when_it_was_sent() {
    let late = Outcome { sent: at(1_300), ..outcome(1_100, 1_400, 1_900, 1_900, 8) };
    let report = LevelReport::new(&plan(Process::poisson(1.0)), &seen(vec![late]), None);
    let p50 = |spread: Option<Spread>| spread.map(|spread| spread.p50);
    assert_eq!((p50(report.ttft_ms), p50(report.ttft_from_send_ms)), (Some(300.0), Some(100.0)));
    assert_eq!((p50(report.e2e_ms), p50(report.e2e_from_send_ms)), (Some(800.0), Some(600.0)));
    assert_eq!((p50(report.send_delay_ms), report.label.as_str()), (Some(200.0), "1 requests/s"));
}

#[test]
fn saturation_is_where_more_load_brings_hardly_more() {
    let level = |concurrency: usize, tokens: f64| {
        let report =
            LevelReport::new(&plan(Process::Closed { concurrency: 1 }), &seen(Vec::new()), None);
        LevelReport {
            concurrency: Some(concurrency),
            output_tokens_per_second: Some(tokens),
            ..report
        }
    };
    let closed = [(1, 100.0), (2, 195.0), (4, 370.0), (8, 400.0), (16, 395.0)];
    let mut levels = closed.map(|(count, tokens)| level(count, tokens));
    mark_saturation(&mut levels);
    assert_eq!(levels.map(|level| level.saturated), [false, false, false, true, true]);
}

/// An open level of which so many requests were due, at `rate`, one after another over 30 s, and each was
/// answered after what `took` says of its instant.
fn open_level(rate: f64, due: u64, took: impl Fn(u64) -> u64) -> bool {
    let (from, length) = (10_000, 30_000);
    let outcomes = (0..due).map(|number| {
        let at = from + number * length / due;
        let end = at + took(at - from);
        outcome(at, at + 10, end, end, 8)
    });
    let seen =
        Seen { outcomes: outcomes.collect(), until: at(from + length), ..Seen::from(at(from)) };
    let mut levels = [LevelReport::new(&plan(Process::poisson(rate)), &seen, None)];
    mark_saturation(&mut levels);
    levels[0].saturated
}

#[test]
fn an_idle_server_is_not_saturated_because_chance_asks_it_less() {
    // Poisson's ten in 30 s are six now and then.
    assert!(!open_level(0.33, 6, |_| 200));
    assert!(!open_level(0.33, 1, |_| 200));
    // Slow, and not behind: those that are due at the end end later, as each does.
    assert!(!open_level(10.0, 300, |_| 12_000));
    assert!(!open_level(0.33, 10, |_| 29_000));
}

#[test]
fn a_server_that_does_not_follow_an_open_load_is_saturated() {
    // It answers three quarters of what comes, or half: who comes later waits longer.
    assert!(open_level(10.0, 300, |at| 200 + at / 3));
    assert!(open_level(1.0, 30, |at| 1_000 + at));
    // It follows with what it has, and refuses a fifth.
    let refused = |number: u64| Outcome {
        result: if number.is_multiple_of(5) { Err(Failure::Status(429)) } else { Ok(()) },
        ..outcome(
            1_000 + number * 10,
            1_001 + number * 10,
            1_002 + number * 10,
            1_002 + number * 10,
            1,
        )
    };
    let seen = self::seen((0..90).map(refused).collect());
    let mut levels = [LevelReport::new(&plan(Process::poisson(90.0)), &seen, None)];
    mark_saturation(&mut levels);
    assert!(levels[0].saturated);
    // A few that fail of themselves are no load that is too much.
    let seen = self::seen((0..9).map(refused).collect());
    let mut levels = [LevelReport::new(&plan(Process::poisson(9.0)), &seen, None)];
    mark_saturation(&mut levels);
    assert!(!levels[0].saturated, "{:?}", levels[0].requests);
}
