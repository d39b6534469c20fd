//! What speaks against believing a report. Pure: figures in, sentences out.

use super::machine::Machine;
use super::report::{Percentiles, RoundReport, TargetReport};

/// A generator that was busier than this has hardly any rest to be on time with.
const BUSY: f64 = 0.8;
/// A thread that waited longer than this for a core shared it with somebody.
const WAITING: f64 = 0.05;
/// Rounds of one target that differ more than this differ by more than what is compared.
const SPREAD: f64 = 1.25;

/// Everything doubtful about these measurements. `threads` is how many want to run at once, as
/// far as we know of them.
pub fn doubts(machine: &Machine, threads: usize, targets: &[TargetReport]) -> Vec<String> {
    let mut doubts = Vec::new();
    let cores = machine.allowed.len().max(1);
    if threads > cores {
        doubts.push(format!(
            "{threads} busy threads (generator, servers) share {cores} cores: latencies hold the \
             scheduler's queue; compare CPU figures, or use a machine with more cores"
        ));
    }
    if let Some(governor) = machine.governor.as_deref().filter(|name| *name != "performance") {
        doubts.push(format!(
            "the cores run under the governor `{governor}`: nearly idle ones clock down; \
             `performance` keeps figures comparable"
        ));
    }
    for target in targets {
        for round in &target.rounds {
            doubts.extend(
                of_round(round).into_iter().map(|doubt| format!("{}: {doubt}", target.name)),
            );
        }
        doubts.extend(of_spread(target));
    }
    doubts.dedup();
    doubts
}

fn of_round(round: &RoundReport) -> Vec<String> {
    let mut doubts = Vec::new();
    let generator = &round.generator;
    if generator.busy_share > BUSY {
        doubts.push(format!(
            "the generator was busy {:.0} % of the time: it was the bottleneck, not the server",
            generator.busy_share * 100.0
        ));
    }
    if let Some(share) = generator.waiting_share.filter(|share| *share > WAITING) {
        doubts.push(format!(
            "the generator waited {:.0} % of the time for a core: give it one of its own (--cpu)",
            share * 100.0
        ));
    }
    let main = round.token_latency.or(round.request_latency).or(round.first_token);
    if let Some((turn, latency)) = generator.turn.zip(main)
        && is_late(&turn, &latency)
    {
        doubts.push(format!(
            "turns of the generator took up to {} µs at p99, latencies {} µs: much of it may be \
             the generator's own",
            turn.p99 / 1_000,
            latency.p99 / 1_000
        ));
    }
    if let Some(process) = &round.process {
        let share = process.waiting_ns as f64 / 1e9 / round.seconds.max(1e-9);
        if share > WAITING {
            doubts.push(format!(
                "the server waited {:.0} % of the time for a core, which is in its latencies",
                share * 100.0
            ));
        }
    }
    if round.failures.total > 0 {
        doubts.push(format!(
            "{} requests failed (connect {}, broken {}, protocol {}, silent {}, status {})",
            round.failures.total,
            round.failures.connect,
            round.failures.broken,
            round.failures.protocol,
            round.failures.silent,
            round.failures.status
        ));
    }
    if round.unfinished > 0 {
        doubts.push(format!(
            "{} requests were due and unanswered in the end; they count with the time they had \
             waited so far",
            round.unfinished
        ));
    }
    if round.illegible_stamps > 0 {
        doubts.push(format!(
            "{} tokens had no legible stamp: is it our mock that answers? (--server any)",
            round.illegible_stamps
        ));
    }
    if round.tokens == 0 && round.requests == 0 && round.connections_at_end == 0 {
        doubts.push("nothing was measured".to_owned());
    }
    doubts
}

fn is_late(turn: &Percentiles, latency: &Percentiles) -> bool {
    turn.p99.saturating_mul(2) > latency.p99
}

/// Rounds that disagree.
fn of_spread(target: &TargetReport) -> Option<String> {
    let name = ["cpu_ns_per_token", "cpu_ns_per_request", "token_latency_p50_ns"]
        .into_iter()
        .find(|name| target.median.contains_key(name))?;
    let values = target.rounds.iter().filter_map(|round| round.figures().get(name).copied());
    let (low, high) =
        values.fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    (target.rounds.len() > 1 && high > low * SPREAD).then(|| {
        format!(
            "{}: rounds differ by a factor of {:.2} in {name}: differences below that mean nothing",
            target.name,
            high / low
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::generator::Round;
    use crate::bench::process::CpuTime;
    use crate::bench::record::Record;
    use crate::bench::report::Accounts;
    use crate::clock::Instant;
    use std::time::Duration;

    fn machine() -> Machine {
        Machine { cpu: None, cores: 2, allowed: vec![0, 1], kernel: None, governor: None }
    }

    fn target(
        latency: Duration,
        turn: Duration,
        busy: Duration,
        waiting: Duration,
    ) -> TargetReport {
        let mut record = Record::new(Instant::ZERO, false, false);
        record.on_token(Some(Instant::ZERO), None, Instant::ZERO + latency);
        record.on_turn(turn, Instant::ZERO);
        let round = Round { record, measured: Duration::from_secs(1), busy, open: 1 };
        let generator = Some(CpuTime { running: busy, waiting });
        let accounts = Accounts { generator, ..Accounts::default() };
        TargetReport::new("t", "http://t", vec![RoundReport::new(&round, accounts)])
    }

    const LITTLE: Duration = Duration::from_micros(1);
    const MUCH: Duration = Duration::from_millis(900);

    #[test]
    fn a_generator_that_had_time_raises_no_doubt() {
        let calm = target(Duration::from_micros(100), LITTLE, LITTLE, LITTLE);
        assert_eq!(doubts(&machine(), 2, &[calm]), Vec::<String>::new());
    }

    #[test]
    fn a_generator_without_time_is_doubted() {
        let cases = [
            (target(MUCH * 10, LITTLE, MUCH, LITTLE), "was the bottleneck"),
            (target(MUCH * 10, LITTLE, LITTLE, MUCH), "for a core"),
            (target(LITTLE * 4, LITTLE * 3, LITTLE, LITTLE), "the generator's own"),
        ];
        for (target, expected) in cases {
            let doubts = doubts(&machine(), 1, &[target]);
            assert!(doubts.len() == 1 && doubts[0].contains(expected), "{expected}: {doubts:?}");
        }
    }

    #[test]
    fn crowded_cores_and_slow_clocks_are_doubted() {
        let machine = Machine { governor: Some("powersave".to_owned()), ..machine() };
        let doubts = doubts(&machine, 3, &[]);
        assert_eq!(doubts.len(), 2, "{doubts:?}");
        assert!(doubts[0].contains("share 2 cores") && doubts[1].contains("powersave"));
    }
}
