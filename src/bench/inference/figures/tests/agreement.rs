//! What aiperf and guidellm say of a server, and what we say of it, by a recorded run.
//!
//! `tests/agreement/` has a file for each tool and server: in its first line what the tool itself has told, and what
//! the server told of its own speed (`server_…`), where it does; then a line for each of its requests: when it was
//! sent, when its first and its last chunk came, in milliseconds, and its tokens.
//! `benches/end_to_end/agreement.py --keep` makes them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::*;

const SERVERS: [&str; 2] = ["llama", "mock"];
const TOOLS: [&str; 3] = ["sluicegate", "aiperf", "guidellm"];

type Figures = BTreeMap<String, f64>;

struct Recorded {
    /// What the tool has told.
    told: Figures,
    /// What the server has told of itself.
    server: Figures,
    /// The tool's requests as outcomes of ours.
    outcomes: Vec<Outcome>,
}

fn recorded(server: &str, tool: &str) -> Recorded {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agreement");
    let text = std::fs::read_to_string(folder.join(format!("{server}-{tool}.jsonl")));
    let text = text.expect("it is recorded");
    let mut lines = text.lines();
    let all: Figures = serde_json::from_str(lines.next().expect("a line")).expect("figures");
    let (server, told) = all.into_iter().partition(|(name, _)| name.starts_with("server_"));
    Recorded { told, server, outcomes: lines.map(outcome_of).collect() }
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

/// The latencies of a run in the server's own times of that run, where it tells them: it is not equally fast at all
/// times, and no two tools can ask it at once.
fn paced_figures_of(run: Recorded) -> Figures {
    let mut figures = figures_of(run.outcomes);
    let own = |name: &str| run.server.get(name).copied().unwrap_or(1.0);
    let (prompt, token) = (own("server_prompt_tokens_ms"), own("server_token_ms"));
    for (name, by) in [("ttft_mean", prompt), ("ttft_p50", prompt), ("itl_mean", token)] {
        *figures.get_mut(name).expect("it is reckoned") /= by;
    }
    if !run.server.is_empty() {
        // Of both, and told by them.
        figures.remove("e2e_mean");
    }
    figures
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
            let run = recorded(server, tool);
            assert!(run.told.len() >= 3 && run.outcomes.len() >= 30, "{server}, {tool}");
            let differ = differences(&figures_of(run.outcomes), &run.told, 0.005);
            assert!(differ.is_empty(), "{server}, {tool}: {differ:#?}");
        }
    }
}

#[test]
fn three_tools_agree_on_the_same_server() {
    for server in SERVERS {
        let ours = paced_figures_of(recorded(server, "sluicegate"));
        for tool in &TOOLS[1..] {
            let theirs = paced_figures_of(recorded(server, tool));
            let differ = differences(&ours, &theirs, 0.05);
            assert!(differ.is_empty(), "{server}, ours to {tool}: {differ:#?}");
        }
    }
}

/// The pace of the mock is known: 400 ms to the first token, and 20 ms to each behind it.
#[test]
fn the_figures_of_a_paced_server_are_its_pace() {
    let ours = figures_of(recorded("mock", "sluicegate").outcomes);
    let pace = [("ttft_p50", 400.0), ("itl_mean", 20.0), ("e2e_mean", 400.0 + 31.0 * 20.0)];
    let pace = pace.map(|(name, figure)| (name.to_owned(), figure)).into();
    let differ = differences(&ours, &pace, 0.05);
    assert!(differ.is_empty(), "{differ:#?}");
}
