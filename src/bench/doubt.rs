//! What speaks against believing a report. Pure: figures in, sentences out.

use super::machine::Machine;
use super::report::{FailuresReport, Percentiles, RoundReport, TargetReport};

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
        doubts
            .extend(of_rounds(target).into_iter().map(|doubt| format!("{}: {doubt}", target.name)));
        doubts.extend(of_spread(target));
    }
    doubts
}

/// Each doubt once, about the round that gives most reason for it.
fn of_rounds(target: &TargetReport) -> Vec<String> {
    let kinds = [busy, waiting, late, crowded_server, failed, behind, illegible];
    let worst = kinds.into_iter().filter_map(|doubt| {
        let each = target.rounds.iter().filter_map(doubt);
        each.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, sentence)| sentence)
    });
    let empty = target.is_empty().then(|| "nothing was measured".to_owned());
    worst.chain(empty).collect()
}

/// A doubt about one round, and how grave it is among its like.
type Doubt = Option<(f64, String)>;

fn busy(round: &RoundReport) -> Doubt {
    let share = round.generator.busy_share;
    (share > BUSY).then(|| {
        let percent = share * 100.0;
        let sentence = format!(
            "the generator was busy {percent:.0} % of the time: it was the bottleneck, not the \
             server"
        );
        (share, sentence)
    })
}

fn waiting(round: &RoundReport) -> Doubt {
    let share = round.generator.waiting_share.filter(|share| *share > WAITING)?;
    let percent = share * 100.0;
    let sentence = format!(
        "the generator waited {percent:.0} % of the time for a core: give it one of its own (--cpu)"
    );
    Some((share, sentence))
}

fn late(round: &RoundReport) -> Doubt {
    let latency = round.token_latency.or(round.request_latency).or(round.first_token)?;
    let turn = round.generator.turn?;
    is_late(&turn, &latency).then(|| {
        let sentence = format!(
            "the generator was at work for {} µs at p99 when it woke up, and latencies are {} µs: \
             much of them may be its own",
            turn.p99 / 1_000,
            latency.p99 / 1_000
        );
        (turn.p99 as f64 / latency.p99.max(1) as f64, sentence)
    })
}

fn crowded_server(round: &RoundReport) -> Doubt {
    let share = round.process?.waiting_ns as f64 / 1e9 / round.seconds.max(1e-9);
    (share > WAITING).then(|| {
        let percent = share * 100.0;
        let sentence = format!(
            "the server waited {percent:.0} % of the time for a core, which is in its latencies"
        );
        (share, sentence)
    })
}

fn failed(round: &RoundReport) -> Doubt {
    let FailuresReport { total, connect, broken, protocol, silent, status } = round.failures;
    (total > 0).then(|| {
        let sentence = format!(
            "{total} requests failed in one round (connect {connect}, broken {broken}, protocol \
             {protocol}, silent {silent}, status {status})"
        );
        (total as f64, sentence)
    })
}

/// More were due than there are connections: they have queued in the generator.
fn behind(round: &RoundReport) -> Doubt {
    (round.unfinished > round.connections_at_end as u64).then(|| {
        let sentence = format!(
            "{} requests were due and unanswered at the end of a round: the rate is more than \
             the server, or the connections, can take; they count with the time they had waited",
            round.unfinished
        );
        (round.unfinished as f64, sentence)
    })
}

fn illegible(round: &RoundReport) -> Doubt {
    (round.illegible_stamps > 0).then(|| {
        let sentence = format!(
            "{} tokens had no legible stamp: is it our mock that answers? (--server any)",
            round.illegible_stamps
        );
        (round.illegible_stamps as f64, sentence)
    })
}

fn is_late(turn: &Percentiles, latency: &Percentiles) -> bool {
    turn.p99.saturating_mul(2) > latency.p99
}

/// Rounds that disagree.
fn of_spread(target: &TargetReport) -> Option<String> {
    let per = |round: &RoundReport| {
        let work = round.tokens.max(round.requests);
        let cpu = round.process.filter(|_| work > 0)?.cpu_ns;
        Some(cpu as f64 / work as f64)
    };
    let latency = |round: &RoundReport| Some(round.token_latency?.p50 as f64);
    let factor = |of: &dyn Fn(&RoundReport) -> Option<f64>| {
        let values = target.rounds.iter().filter_map(of);
        let (low, high) = values
            .fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if low > 0.0 { high / low } else { 1.0 }
    };
    let (name, spread) = [("CPU", factor(&per)), ("median latency", factor(&latency))]
        .into_iter()
        .find(|(_, factor)| *factor > SPREAD)?;
    Some(format!(
        "{}: rounds differ by a factor of {spread:.2} in {name}: differences below that mean \
         nothing",
        target.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::generator::Round;
    use crate::bench::plan::Shape;
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
        TargetReport::new(Shape::Streams, "t", "http://t", vec![RoundReport::new(&round, accounts)])
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
            (target(LITTLE * 4, LITTLE * 3, LITTLE, LITTLE), "may be its own"),
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
