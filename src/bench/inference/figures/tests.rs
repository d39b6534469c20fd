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
    let level = |concurrency: Option<usize>, rate: Option<f64>, tokens: f64, requests: f64| {
        let report =
            LevelReport::new(&plan(Process::Closed { concurrency: 1 }), &seen(Vec::new()), None);
        let requests_ended = Requests { ended: 1, succeeded: 1, failed: 0, unfinished: 0 };
        LevelReport {
            concurrency,
            rate,
            requests: requests_ended,
            output_tokens_per_second: Some(tokens),
            requests_per_second: requests,
            ..report
        }
    };
    let marks = |mut levels: Vec<LevelReport>| {
        mark_saturation(&mut levels);
        levels.iter().map(|level| level.saturated).collect::<Vec<_>>()
    };
    let closed = [(1, 100.0), (2, 195.0), (4, 370.0), (8, 400.0), (16, 395.0)];
    let closed = closed.map(|(count, tokens)| level(Some(count), None, tokens, 1.0));
    assert_eq!(marks(closed.to_vec()), [false, false, false, true, true]);
    let open = [(1.0, 1.0), (2.0, 1.97), (4.0, 2.5)];
    let open = open.map(|(rate, requests)| level(None, Some(rate), requests * 100.0, requests));
    assert_eq!(marks(open.to_vec()), [false, false, true]);
}
