//! What aiperf and guidellm say of a server, and what we say of it, by a recorded run.
//!
//! `tests/agreement/` has a file for each tool and server: in its first line what the tool itself has told, and a line
//! for each of its requests: when it was sent, when its first and its last chunk came, in milliseconds, and its tokens.
//! `benches/end_to_end/agreement.py --keep` makes them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::*;

const SERVERS: [&str; 1] = ["mock"];
const TOOLS: [&str; 3] = ["sluicegate", "aiperf", "guidellm"];

type Figures = BTreeMap<String, f64>;

/// What the tool has told, and its requests as outcomes of ours.
fn recorded(server: &str, tool: &str) -> (Figures, Vec<Outcome>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agreement");
    let text = std::fs::read_to_string(folder.join(format!("{server}-{tool}.jsonl")));
    let text = text.expect("it is recorded");
    let mut lines = text.lines();
    let told = serde_json::from_str(lines.next().expect("a line")).expect("figures");
    (told, lines.map(outcome_of).collect())
}

fn outcome_of(line: &str) -> Outcome {
    let row: Value = serde_json::from_str(line).expect("JSON");
    let at = |name: &str| {
        let millis = row[name].as_f64().expect("a moment");
        Instant::from_nanos((millis * 1e6).round() as u64)
    };
    let tokens = row["tokens"].as_f64().expect("a count") as u64;
    Outcome {
        due: at("start"),
        sent: at("start"),
        first: Some(at("first")),
        last: Some(at("last")),
        end: at("last"),
        usage: Usage { output: Some(tokens), ..Usage::default() },
        ..outcome(0, 0, 0, 0, tokens)
    }
}

/// The same figures of requests, by our definitions.
fn figures_of(outcomes: Vec<Outcome>) -> Figures {
    let until = outcomes.iter().map(|it| it.end).max().expect("requests");
    let seen = Seen { outcomes, until, ..Seen::from(Instant::ZERO) };
    let report = LevelReport::new(&plan(Process::Constant { rate: 1.0 }), &seen, None);
    let mean = |spread: Option<Spread>| spread.map_or(f64::NAN, |spread| spread.mean);
    let figures = [
        ("ttft_mean", mean(report.ttft_ms)),
        ("ttft_p50", report.ttft_ms.map_or(f64::NAN, |spread| spread.p50)),
        ("itl_mean", mean(report.tpot_ms)),
        ("e2e_mean", mean(report.e2e_ms)),
        ("requests_per_second", report.requests_per_second),
        ("tokens_per_second", report.output_tokens_per_second.unwrap_or(f64::NAN)),
    ];
    figures.map(|(name, figure)| (name.to_owned(), figure)).into()
}

/// The figures of `others` that are in `ours`, where they differ by more than `most` of them.
fn differences(ours: &Figures, others: &Figures, most: f64) -> Vec<String> {
    let differ = |(name, other): (&String, &f64)| {
        let ratio = ours[name] / other;
        let agrees = (ratio - 1.0).abs() <= most;
        (!agrees).then(|| format!("{name}: {} to {other}, {ratio:.4}", ours[name]))
    };
    others.iter().filter_map(differ).collect()
}

#[test]
fn our_definitions_make_of_the_records_of_other_tools_what_they_tell() {
    for server in SERVERS {
        for tool in TOOLS {
            let (told, outcomes) = recorded(server, tool);
            assert!(told.len() >= 3 && outcomes.len() >= 30, "{server}, {tool}");
            let differ = differences(&figures_of(outcomes), &told, 0.005);
            assert!(differ.is_empty(), "{server}, {tool}: {differ:#?}");
        }
    }
}

#[test]
fn three_tools_agree_on_the_same_server() {
    for server in SERVERS {
        let ours = figures_of(recorded(server, "sluicegate").1);
        for tool in &TOOLS[1..] {
            let theirs = figures_of(recorded(server, tool).1);
            let differ = differences(&ours, &theirs, 0.05);
            assert!(differ.is_empty(), "{server}, ours to {tool}: {differ:#?}");
        }
    }
}

/// The pace of the mock is known: 400 ms to the first token, and 20 ms to each behind it.
#[test]
fn the_figures_of_a_paced_server_are_its_pace() {
    let ours = figures_of(recorded("mock", "sluicegate").1);
    let pace = [("ttft_p50", 400.0), ("itl_mean", 20.0), ("e2e_mean", 400.0 + 31.0 * 20.0)];
    let pace = pace.map(|(name, figure)| (name.to_owned(), figure)).into();
    let differ = differences(&ours, &pace, 0.05);
    assert!(differ.is_empty(), "{differ:#?}");
}
