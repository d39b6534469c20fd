//! The report of a campaign: what was asked for, what each level gave, what speaks against it.

use serde::Serialize;

use super::figures::LevelReport;
use crate::bench::machine::Machine;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub version: &'static str,
    /// RFC 3339.
    pub started_at: String,
    pub machine: Machine,
    pub endpoint: EndpointReport,
    pub load: LoadReport,
    pub levels: Vec<LevelReport>,
    /// The first level at which more load has brought hardly more.
    pub saturated_at: Option<String>,
    /// What speaks against believing the figures.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct EndpointReport {
    pub api: &'static str,
    pub url: String,
    pub path: String,
    pub model: String,
    pub stream: bool,
    pub tls: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// How prompts were made, or the file that they are from.
    pub prompts: String,
    pub output_tokens: String,
    pub prefix_share: Option<f64>,
    pub prefix_groups: Option<u32>,
    pub seed: u64,
    pub requests: Option<u64>,
    pub duration_seconds: Option<f64>,
    pub warm_up_seconds: f64,
    pub timeout_seconds: f64,
    pub in_flight_max: usize,
}

/// A generator that was busier than this was the bottleneck, maybe.
const BUSY: f64 = 0.8;
/// Sent later than this without having to wait for a place.
const LATE_MS: f64 = 10.0;
/// The server counts so much more or less than was asked for.
const OFF: f64 = 0.25;
/// Fewer samples than this have no p99.
const FEW: u64 = 100;

/// Everything doubtful about these levels, each kind once, about the level with most reason.
pub fn doubts(levels: &[LevelReport]) -> Vec<String> {
    let kinds = [failed, unfinished, busy, late, by_chunks, off, few];
    let of_kind = |doubt: &fn(&LevelReport) -> Doubt| {
        let each = levels.iter().filter_map(|level| {
            doubt(level).map(|(gravity, text)| (gravity, format!("{}: {text}", level.label)))
        });
        each.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, text)| text)
    };
    kinds.iter().filter_map(of_kind).collect()
}

/// A doubt, and how grave it is among its like.
type Doubt = Option<(f64, String)>;

fn failed(level: &LevelReport) -> Doubt {
    let failed = level.requests.failed;
    (failed > 0).then(|| {
        let kinds = level.failures.iter().map(|(name, report)| match &report.example {
            Some(example) => format!("{} × {name} ({example})", report.count),
            None => format!("{} × {name}", report.count),
        });
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        (failed as f64, format!("{failed} of {} requests failed: {kinds}", level.requests.ended))
    })
}

fn unfinished(level: &LevelReport) -> Doubt {
    let count = level.requests.unfinished;
    (count > 0).then(|| {
        let text = format!(
            "{count} requests had no answer when the patience ended, and are in no latency: the load is \
             more than the server takes, or --grace is too short"
        );
        (count as f64, text)
    })
}

fn busy(level: &LevelReport) -> Doubt {
    let share = level.generator_busy_share;
    (share > BUSY).then(|| {
        let percent = share * 100.0;
        let text = format!(
            "the generator was busy {percent:.0} % of the time: it may have been the bottleneck"
        );
        (share, text)
    })
}

fn late(level: &LevelReport) -> Doubt {
    let delay = level.send_delay_ms.filter(|delay| delay.p99 > LATE_MS)?;
    let text = format!(
        "requests were sent {:.0} ms late at p99: -c bounds what is in flight, or the generator had no \
         core; latencies count from when they were due",
        delay.p99
    );
    Some((delay.p99, text))
}

fn by_chunks(level: &LevelReport) -> Doubt {
    let by = level.tokens.output_counted_by.filter(|by| *by != "usage")?;
    let whose = if by == "chunks" { "the server has" } else { "some answers have" };
    let text = format!("{whose} told no usage, so a chunk is counted as a token");
    Some((1.0, text))
}

fn off(level: &LevelReport) -> Doubt {
    let (asked, counted) = level.tokens.input_asked_mean.zip(level.tokens.input)?;
    let share = counted.mean / asked;
    let text = format!(
        "prompts made for {asked:.0} tokens have {:.0} in the server's count: words are not tokens, and \
         chats have a template",
        counted.mean
    );
    ((share - 1.0).abs() > OFF).then(|| ((share - 1.0).abs(), text))
}

fn few(level: &LevelReport) -> Doubt {
    let count = level.requests.succeeded;
    let text = format!("{count} answers are too few for a p99: it is among the last of them");
    (count > 0 && count < FEW).then(|| (-(count as f64), text))
}
