//! The report for people, and as CSV.

use std::fmt::Write;

use super::figures::{LevelReport, Spread};
use super::report::Report;

/// The report as text. Writing into a string does not fail, so results of `writeln!` are let go.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", headline(report));
    let _ = writeln!(text, "{}\n", load(report));
    let rows: Vec<Vec<String>> = std::iter::once(head(report))
        .chain(report.levels.iter().map(|level| row(report, level)))
        .collect();
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in &rows {
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match index {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text.push('\n');
    if let Some(level) = &report.saturated_at {
        let _ =
            writeln!(text, "saturated from {level} on: more load brought hardly more throughput");
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// Who was asked.
pub fn headline(report: &Report) -> String {
    let endpoint = &report.endpoint;
    let model = if endpoint.model.is_empty() {
        String::new()
    } else {
        format!(", model {}", endpoint.model)
    };
    let way = if endpoint.stream { "streamed" } else { "in one piece" };
    format!("{} at {}{model}, {way}", endpoint.api, endpoint.url)
}

/// The load in a line.
pub fn load(report: &Report) -> String {
    let load = &report.load;
    let mut text = format!("prompts {}, answers {} tokens", load.prompts, load.output_tokens);
    if let Some(share) = load.prefix_share {
        let groups = load.prefix_groups.unwrap_or(1);
        let _ = write!(text, ", {:.0} % of a prompt shared in {groups} group(s)", share * 100.0);
    }
    if let Some(requests) = load.requests {
        let _ = write!(text, ", {requests} requests");
    }
    if let Some(seconds) = load.duration_seconds {
        let _ = write!(text, ", {seconds} s");
    }
    if load.warm_up_seconds > 0.0 {
        let _ = write!(text, " after {} s of warm-up", load.warm_up_seconds);
    }
    let _ = write!(text, ", seed {}", load.seed);
    text
}

fn head(report: &Report) -> Vec<String> {
    let mut head = ["load", "ok", "failed", "req/s", "tok/s"].map(str::to_owned).to_vec();
    if report.levels.iter().any(|level| level.goodput.is_some()) {
        head.extend(["good/s", "good"].map(str::to_owned));
    }
    let timed = if report.endpoint.stream {
        &["TTFT p50", "p99", "ITL p50", "p99", "TPOT p50", "E2E p50", "p99 (ms)"][..]
    } else {
        &["E2E p50", "p99 (ms)"][..]
    };
    head.extend(timed.iter().map(|name| (*name).to_owned()));
    head
}

fn row(report: &Report, level: &LevelReport) -> Vec<String> {
    let mark = if level.saturated { " *" } else { "" };
    let mut row = vec![
        format!("{}{mark}", level.label),
        level.requests.succeeded.to_string(),
        (level.requests.failed + level.requests.unfinished).to_string(),
        number(Some(level.requests_per_second)),
        number(level.output_tokens_per_second),
    ];
    if report.levels.iter().any(|level| level.goodput.is_some()) {
        row.push(number(level.goodput.as_ref().map(|good| good.requests_per_second)));
        let share = level.goodput.as_ref().map(|good| format!("{:.0} %", good.share * 100.0));
        row.push(share.unwrap_or_else(|| "–".to_owned()));
    }
    let p50 = |spread: Option<Spread>| number(spread.map(|spread| spread.p50));
    let p99 = |spread: Option<Spread>| number(spread.map(|spread| spread.p99));
    if report.endpoint.stream {
        row.extend([p50(level.ttft_ms), p99(level.ttft_ms), p50(level.itl_ms), p99(level.itl_ms)]);
        row.push(p50(level.tpot_ms));
    }
    row.extend([p50(level.e2e_ms), p99(level.e2e_ms)]);
    row
}

/// With as many digits as say something.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 1_000.0 => format!("{value:.0}"),
        Some(value) if value >= 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// A line for each level, behind one of names. Times are milliseconds; what was not measured is empty.
pub fn csv(report: &Report) -> String {
    let mut text = String::new();
    for (index, level) in report.levels.iter().enumerate() {
        let cells = cells(level);
        if index == 0 {
            let names: Vec<&str> = cells.iter().map(|(name, _)| name.as_str()).collect();
            let _ = writeln!(text, "{}", names.join(","));
        }
        let values: Vec<&str> = cells.iter().map(|(_, value)| value.as_str()).collect();
        let _ = writeln!(text, "{}", values.join(","));
    }
    text
}

fn cells(level: &LevelReport) -> Vec<(String, String)> {
    let told = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value}"));
    let mut cells: Vec<(String, String)> = [
        ("load", format!("\"{}\"", level.label.replace('"', "\"\""))),
        ("arrivals", level.arrivals.to_owned()),
        ("concurrency", told(level.concurrency.map(|count| count as f64))),
        ("rate", told(level.rate)),
        ("seconds", told(Some(level.seconds))),
        ("succeeded", level.requests.succeeded.to_string()),
        ("failed", level.requests.failed.to_string()),
        ("unfinished", level.requests.unfinished.to_string()),
        ("requests_per_second", told(Some(level.requests_per_second))),
        ("output_tokens_per_second", told(level.output_tokens_per_second)),
        ("total_tokens_per_second", told(level.total_tokens_per_second)),
        (
            "goodput_requests_per_second",
            told(level.goodput.as_ref().map(|it| it.requests_per_second)),
        ),
        ("goodput_share", told(level.goodput.as_ref().map(|it| it.share))),
        ("concurrency_mean", told(Some(level.concurrency_mean))),
        ("input_tokens_mean", told(level.tokens.input.map(|it| it.mean))),
        ("output_tokens_mean", told(level.tokens.output.map(|it| it.mean))),
        ("output_counted_by", level.tokens.output_counted_by.unwrap_or_default().to_owned()),
        ("saturated", level.saturated.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    for (name, spread) in spreads(level) {
        let of = |pick: fn(Spread) -> f64| told(spread.map(pick));
        cells.push((format!("{name}_mean"), of(|it| it.mean)));
        cells.push((format!("{name}_p50"), of(|it| it.p50)));
        cells.push((format!("{name}_p90"), of(|it| it.p90)));
        cells.push((format!("{name}_p95"), of(|it| it.p95)));
        cells.push((format!("{name}_p99"), of(|it| it.p99)));
        cells.push((format!("{name}_max"), of(|it| it.max)));
    }
    cells
}

fn spreads(level: &LevelReport) -> [(&'static str, Option<Spread>); 7] {
    [
        ("ttft_ms", level.ttft_ms),
        ("itl_ms", level.itl_ms),
        ("tpot_ms", level.tpot_ms),
        ("e2e_ms", level.e2e_ms),
        ("ttft_from_send_ms", level.ttft_from_send_ms),
        ("e2e_from_send_ms", level.e2e_from_send_ms),
        ("send_delay_ms", level.send_delay_ms),
    ]
}
