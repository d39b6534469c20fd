//! Each request as a line of JSON, for figures that nobody here has thought of.

use serde_json::{Value, json};

use super::figures::millis;
use super::load::Seen;
use super::outcome::Outcome;
use super::report::Report;
use crate::clock::Instant;

/// A line for each request that was due in the measured time. Times are milliseconds since that began.
pub fn lines(report: &Report, seen: &[Seen]) -> String {
    let mut text = String::new();
    for (level, seen) in report.levels.iter().zip(seen) {
        for outcome in seen.outcomes.iter().filter(|outcome| outcome.due >= seen.from) {
            text.push_str(&line(&level.label, outcome, seen.from).to_string());
            text.push('\n');
        }
    }
    text
}

fn line(level: &str, outcome: &Outcome, from: Instant) -> Value {
    let since = |at: Instant| millis(at - from);
    json!({
        "level": level,
        "job": outcome.job,
        "due_ms": since(outcome.due),
        "sent_ms": since(outcome.sent),
        "first_ms": outcome.first.map(since),
        "last_ms": outcome.last.map(since),
        "end_ms": since(outcome.end),
        "ttft_ms": outcome.ttft().map(millis),
        "tpot_ms": outcome.tpot().map(millis),
        "e2e_ms": millis(outcome.e2e()),
        "max_gap_ms": outcome.longest_gap.map(millis),
        "chunks": outcome.chunks,
        "input_tokens": outcome.usage.input,
        "output_tokens": outcome.usage.output,
        "input_asked": outcome.asked_input,
        "output_asked": outcome.asked_output,
        "failure": outcome.result.err().map(|failure| failure.name()),
    })
}
