//! Invented rounds, and what becomes of them.

use super::*;
use crate::bench::record::Failure;
use crate::clock::Instant;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// `tokens` tokens that took 1, 2, 3 … microseconds, in two seconds.
fn round(tokens: u64) -> Round {
    let mut record = Record::new(Instant::ZERO, false, false);
    for token in 1..=tokens {
        let sent = at(1_000_000);
        record.on_token(Some(sent), None, sent + Duration::from_micros(token));
    }
    record.on_failure(Failure::Silent, at(5));
    let (measured, busy) = (Duration::from_secs(2), Duration::from_secs(1));
    Round { record, measured, busy, open: 4 }
}

fn accounts(cpu: Duration) -> Accounts {
    Accounts {
        process: Some(CpuTime { running: cpu, waiting: Duration::ZERO }),
        memory_before: Some(1_000),
        memory_at_end: Some(5_000),
        generator: Some(CpuTime { running: Duration::from_millis(500), waiting: Duration::ZERO }),
    }
}

#[test]
fn a_round_becomes_figures() {
    let report = RoundReport::new(&round(1_000), accounts(Duration::from_millis(3)));
    assert_eq!(report.failures.silent, 1);
    assert_eq!((report.generator.busy_share, report.generator.cpu_share), (0.5, Some(0.25)));
    let figures = report.figures(Shape::Streams);
    assert_eq!(figures["tokens_per_second"], 500.0);
    assert_eq!(figures["cpu_ns_per_token"], 3_000.0);
    assert_eq!(figures["memory_bytes_per_connection"], 1_000.0);
    // Three digits: within a thousandth.
    for (name, exact) in [("token_latency_p50_ns", 500_000.0), ("token_latency_p99_ns", 990_000.0)]
    {
        assert!((figures[name] / exact - 1.0).abs() < 0.002, "{name}: {}", figures[name]);
    }
    for absent in ["cpu_ns_per_request", "first_token_p50_ns", "requests_per_second"] {
        assert!(!figures.contains_key(absent), "{absent} was not measured");
    }
}

#[test]
fn every_figure_has_a_place_in_the_table() {
    let round = RoundReport::new(&round(3), accounts(Duration::from_millis(3)));
    use Shape::{Churn, Fairness, Firehose, Idle, Streams, Unary};
    for shape in [Unary, Streams, Firehose, Churn, Idle, Fairness] {
        let figures = round.figures(shape);
        assert!(figures.keys().all(|name| FIGURES.contains(name)), "{figures:?}");
    }
}

#[test]
fn a_target_that_only_failed_has_measured_nothing() {
    let target = |tokens, open| {
        let round = Round { open, ..round(tokens) };
        let rounds = vec![RoundReport::new(&round, Accounts::default())];
        TargetReport::new(Shape::Streams, "t", "http://t", rounds)
    };
    assert!(target(0, 0).is_empty() && target(0, 4).is_empty());
    assert!(!target(1, 0).is_empty());
}

#[test]
fn the_median_is_the_middle_one() {
    assert_eq!(median(vec![]), None);
    assert_eq!(median(vec![3.0]), Some(3.0));
    assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(vec![4.0, 100.0, 1.0, 2.0]), Some(3.0));
}

#[test]
fn ratios_are_of_medians_and_only_of_what_both_have() {
    let target = |name: &str, cpus: &[u64], generous: bool| {
        let rounds = cpus.iter().map(|cpu| {
            let accounts = accounts(Duration::from_millis(*cpu));
            let process = accounts.process.filter(|_| generous);
            RoundReport::new(&round(1_000), Accounts { process, ..accounts })
        });
        TargetReport::new(Shape::Streams, name, "http://x", rounds.collect())
    };
    let base = target("base", &[2, 90, 4], true);
    let twice = target("twice", &[8, 1, 9], true);
    let blind = target("blind", &[1], false);
    let ratios = ratios(&[base, twice, blind]);
    assert_eq!(ratios.len(), 2);
    assert_eq!((ratios[0].target.as_str(), ratios[0].to.as_str()), ("twice", "base"));
    assert_eq!(ratios[0].figures["cpu_ns_per_token"], 2.0);
    assert_eq!(ratios[0].figures["token_latency_p50_ns"], 1.0);
    assert!(!ratios[1].figures.contains_key("cpu_ns_per_token"));
}
