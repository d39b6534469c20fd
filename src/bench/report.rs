//! The report: what was measured, as figures with names. This is also the JSON.
//!
//! * A figure that was not measured is absent, never zero.
//! * Rounds are summed up by the median of each figure over the rounds; percentiles of rounds are
//!   never averaged and never subtracted.
//! * A ratio is the median of one target over the median of the first.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::generator::Round;
use super::machine::Machine;
use super::plan::Shape;
use super::process::CpuTime;
use super::record::Record;

/// Figures that are compared, in the order in which they are printed.
pub const FIGURES: &[&str] = &[
    "token_latency_p50_ns",
    "token_latency_p99_ns",
    "first_token_p50_ns",
    "first_token_p99_ns",
    "token_gap_p50_ns",
    "token_gap_p99_ns",
    "request_latency_p50_ns",
    "request_latency_p99_ns",
    "tokens_per_second",
    "requests_per_second",
    "bytes_per_second",
    "background_bytes_per_second",
    "cpu_ns_per_token",
    "cpu_ns_per_request",
    "cpu_ns_per_byte",
    "memory_bytes_per_connection",
];

/// Figures by name.
pub type Figures = BTreeMap<&'static str, f64>;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub machine: Machine,
    pub plan: PlanReport,
    pub targets: Vec<TargetReport>,
    /// Every target but the first, against the first.
    pub ratios: Vec<Ratio>,
    /// What speaks against believing the figures.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    pub shape: &'static str,
    /// `closed` or `open`.
    pub arrivals: &'static str,
    pub requests_per_second_due: Option<f64>,
    pub connections: usize,
    pub token_rate: Option<f64>,
    pub tokens_per_answer: Option<u64>,
    pub token_bytes: Option<u32>,
    /// Of each large body.
    pub bulk_bytes: Option<u64>,
    pub warm_up_seconds: f64,
    pub duration_seconds: f64,
    pub rounds: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct TargetReport {
    pub name: String,
    pub url: String,
    pub median: Figures,
    pub rounds: Vec<RoundReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RoundReport {
    pub seconds: f64,
    pub connections_at_end: usize,
    pub tokens: u64,
    pub requests: u64,
    pub bytes: u64,
    pub background_bytes: u64,
    pub unfinished: u64,
    pub illegible_stamps: u64,
    pub failures: FailuresReport,
    pub token_latency: Option<Percentiles>,
    pub first_token: Option<Percentiles>,
    pub token_gap: Option<Percentiles>,
    pub request_latency: Option<Percentiles>,
    pub process: Option<ProcessReport>,
    pub generator: GeneratorReport,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct FailuresReport {
    pub total: u64,
    pub connect: u64,
    pub broken: u64,
    pub protocol: u64,
    pub silent: u64,
    pub status: u64,
}

/// All in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProcessReport {
    pub cpu_ns: u64,
    /// Ready to run, without a core.
    pub waiting_ns: u64,
    /// Before the first connection.
    pub memory_before: Option<u64>,
    /// While the connections stand.
    pub memory_at_end: Option<u64>,
}

/// How hard the measuring itself was. Shares are of the measured time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GeneratorReport {
    pub busy_share: f64,
    pub cpu_share: Option<f64>,
    /// Ready to run, without a core.
    pub waiting_share: Option<f64>,
    pub turn: Option<Percentiles>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    pub target: String,
    pub to: String,
    pub figures: Figures,
}

/// What was read of the process and of our own thread around one round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accounts {
    pub process: Option<CpuTime>,
    pub memory_before: Option<u64>,
    pub memory_at_end: Option<u64>,
    pub generator: Option<CpuTime>,
}

impl Percentiles {
    pub fn of(histogram: &Histogram<u64>) -> Option<Percentiles> {
        let at = |quantile| histogram.value_at_quantile(quantile);
        (!histogram.is_empty()).then(|| Percentiles {
            count: histogram.len(),
            mean: histogram.mean(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max(),
        })
    }
}

impl RoundReport {
    pub fn new(round: &Round, accounts: Accounts) -> RoundReport {
        let Round { record, measured, busy, open } = round;
        let share = |part: Duration| part.as_secs_f64() / measured.as_secs_f64().max(1e-9);
        let failures = &record.failures;
        RoundReport {
            seconds: measured.as_secs_f64(),
            connections_at_end: *open,
            tokens: record.tokens,
            requests: record.requests,
            bytes: record.bytes,
            background_bytes: record.background_bytes,
            unfinished: record.unfinished,
            illegible_stamps: record.illegible,
            failures: FailuresReport {
                total: failures.total(),
                connect: failures.connect,
                broken: failures.broken,
                protocol: failures.protocol,
                silent: failures.silent,
                status: failures.status,
            },
            token_latency: Percentiles::of(&record.token),
            first_token: Percentiles::of(&record.first_token),
            token_gap: Percentiles::of(&record.gap),
            request_latency: Percentiles::of(&record.request),
            process: accounts.process.map(|time| ProcessReport {
                cpu_ns: time.running.as_nanos() as u64,
                waiting_ns: time.waiting.as_nanos() as u64,
                memory_before: accounts.memory_before,
                memory_at_end: accounts.memory_at_end,
            }),
            generator: GeneratorReport {
                busy_share: share(*busy),
                cpu_share: accounts.generator.map(|time| share(time.running)),
                waiting_share: accounts.generator.map(|time| share(time.waiting)),
                turn: Percentiles::of(&record.turn),
            },
        }
    }

    /// Everything in this round that can be compared, of what `shape` is about.
    pub fn figures(&self, shape: Shape) -> Figures {
        let mut figures = Figures::new();
        let mut put = |name, value: Option<f64>| {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                figures.insert(name, value);
            }
        };
        let per = |total: u64, count: u64| (count > 0).then(|| total as f64 / count as f64);
        let rate = |count: u64| (count > 0).then(|| count as f64 / self.seconds);
        let cpu_per = |count| self.process.and_then(|process| per(process.cpu_ns, count));
        let p50 = |it: &Option<Percentiles>| it.map(|it| it.p50 as f64);
        let p99 = |it: &Option<Percentiles>| it.map(|it| it.p99 as f64);
        if shape.is_paced() {
            put("token_latency_p50_ns", p50(&self.token_latency));
            put("token_latency_p99_ns", p99(&self.token_latency));
            put("first_token_p50_ns", p50(&self.first_token));
            put("first_token_p99_ns", p99(&self.first_token));
            put("token_gap_p50_ns", p50(&self.token_gap));
            put("token_gap_p99_ns", p99(&self.token_gap));
        }
        if shape.is_stream() {
            put("tokens_per_second", rate(self.tokens));
        }
        if matches!(shape, Shape::Streams | Shape::Firehose) {
            put("cpu_ns_per_token", cpu_per(self.tokens));
        }
        if shape == Shape::Fairness {
            put("background_bytes_per_second", rate(self.background_bytes));
        }
        if matches!(shape, Shape::Unary | Shape::Churn | Shape::Streams) || shape.is_bulk() {
            put("request_latency_p50_ns", p50(&self.request_latency));
            put("request_latency_p99_ns", p99(&self.request_latency));
            put("requests_per_second", rate(self.requests));
        }
        if matches!(shape, Shape::Unary | Shape::Churn) {
            put("cpu_ns_per_request", cpu_per(self.requests));
        }
        if shape == Shape::Firehose || shape.is_bulk() {
            put("bytes_per_second", rate(self.bytes));
            put("cpu_ns_per_byte", cpu_per(self.bytes));
        }
        if matches!(shape, Shape::Idle | Shape::Streams) {
            put("memory_bytes_per_connection", self.memory_per_connection());
        }
        figures
    }

    fn memory_per_connection(&self) -> Option<f64> {
        let process = self.process?;
        let grown = process.memory_at_end?.saturating_sub(process.memory_before?);
        (self.connections_at_end > 0).then(|| grown as f64 / self.connections_at_end as f64)
    }
}

impl TargetReport {
    pub fn new(shape: Shape, name: &str, url: &str, rounds: Vec<RoundReport>) -> TargetReport {
        let figures: Vec<Figures> = rounds.iter().map(|round| round.figures(shape)).collect();
        let (name, url) = (name.to_owned(), url.to_owned());
        TargetReport { name, url, median: medians(&figures), rounds }
    }

    /// Whether any round has seen anything.
    pub fn is_empty(&self) -> bool {
        self.rounds.iter().all(|round| {
            let seen = round.tokens + round.requests;
            seen == 0 && (round.connections_at_end == 0 || round.failures.total > 0)
        })
    }
}

/// The median of each figure over the rounds that have it.
fn medians(rounds: &[Figures]) -> Figures {
    let median_of = |name: &&'static str| {
        let values = rounds.iter().filter_map(|figures| figures.get(name).copied());
        median(values.collect()).map(|value| (*name, value))
    };
    FIGURES.iter().filter_map(median_of).collect()
}

/// The middle value, or the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    // An even number of values that is not zero: there is one below the upper middle.
    values.get(middle.wrapping_sub(1)).map(|lower| (lower + upper) / 2.0)
}

/// Every target's medians over those of the first.
pub fn ratios(targets: &[TargetReport]) -> Vec<Ratio> {
    let Some((first, others)) = targets.split_first() else { return Vec::new() };
    let against_first = |target: &TargetReport| Ratio {
        target: target.name.clone(),
        to: first.name.clone(),
        figures: ratio(&target.median, &first.median),
    };
    others.iter().map(against_first).collect()
}

fn ratio(figures: &Figures, to: &Figures) -> Figures {
    let each = figures.iter().filter_map(|(name, value)| {
        let base = to.get(name).copied().filter(|base| *base > 0.0)?;
        Some((*name, value / base))
    });
    each.collect()
}

/// The histograms of a record that hold anything, by name.
pub fn histograms(record: &Record) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
    let all = [
        ("token_latency", &record.token),
        ("first_token", &record.first_token),
        ("token_gap", &record.gap),
        ("request_latency", &record.request),
    ];
    all.into_iter().filter(|(_, histogram)| !histogram.is_empty())
}

#[cfg(test)]
mod tests;
