//! A report for people: a table, the ratios, the doubts.

use std::fmt::Write;

use super::report::{FIGURES, Figures, PlanReport, Report, RoundReport, TargetReport};

/// The report as text. Writing into a string does not fail, so results of `writeln!` are let go.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    head(report, &mut text);
    table(&report.targets, &mut text);
    ratios(report, &mut text);
    for target in &report.targets {
        if let Some(line) = counts(target) {
            let _ = writeln!(text, "{}: {line}", target.name);
        }
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn head(report: &Report, text: &mut String) {
    let machine = &report.machine;
    let unknown = || "unknown".to_owned();
    let _ = writeln!(
        text,
        "{} cores ({} allowed), {}, kernel {}, governor {}",
        machine.cores,
        machine.allowed.len(),
        machine.cpu.clone().unwrap_or_else(unknown),
        machine.kernel.clone().unwrap_or_else(unknown),
        machine.governor.clone().unwrap_or_else(|| "none".to_owned()),
    );
    let _ = writeln!(text, "{}\n", plan(&report.plan));
}

/// The load in a line.
pub fn plan(plan: &PlanReport) -> String {
    let mut text = format!("{}, {} connections", plan.shape, plan.connections);
    if let Some(rate) = plan.token_rate {
        let _ = write!(text, ", {rate} tokens/s each");
    }
    if let Some(bytes) = plan.bulk_bytes {
        let _ = write!(text, ", bodies of {bytes} bytes");
    }
    match plan.requests_per_second_due {
        Some(rate) => {
            let _ = write!(text, ", open loop at {rate} requests/s");
        }
        None if plan.shape != "idle" => text.push_str(", closed loop"),
        None => {}
    }
    let _ = write!(
        text,
        ", {} × {} s after {} s of warm-up",
        plan.rounds, plan.duration_seconds, plan.warm_up_seconds
    );
    text
}

/// Figures down, targets across.
fn table(targets: &[TargetReport], text: &mut String) {
    let measured = FIGURES
        .iter()
        .filter(|name| targets.iter().any(|target| target.median.contains_key(**name)));
    let _ = write!(text, "{:<30}", "median of rounds");
    for target in targets {
        let _ = write!(text, "{:>16}", target.name);
    }
    text.push('\n');
    for name in measured {
        let (label, _) = label(name);
        let _ = write!(text, "{label:<30}");
        for target in targets {
            let _ = write!(text, "{:>16}", cell(name, &target.median));
        }
        text.push('\n');
    }
    text.push('\n');
}

fn ratios(report: &Report, text: &mut String) {
    for ratio in &report.ratios {
        let _ = writeln!(text, "{} / {} (ratios of medians)", ratio.target, ratio.to);
        for name in FIGURES {
            if let Some(value) = ratio.figures.get(name) {
                let _ = writeln!(text, "{:<30}{value:>16.3}", label(name).0);
            }
        }
        text.push('\n');
    }
}

/// How a figure is called, and how many of its units make one that is printed.
fn label(name: &str) -> (String, f64) {
    let (name, scale) = match name.strip_suffix("_ns") {
        Some(latency) => (format!("{latency} µs"), 1_000.0),
        None if name == "cpu_ns_per_byte" => ("cpu ns per byte".to_owned(), 1.0),
        None => match name.strip_prefix("cpu_ns_") {
            Some(per) => (format!("cpu µs {per}"), 1_000.0),
            None => (name.to_owned(), 1.0),
        },
    };
    (name.replace('_', " "), scale)
}

fn cell(name: &str, figures: &Figures) -> String {
    let Some(value) = figures.get(name) else { return "–".to_owned() };
    let value = value / label(name).1;
    match value {
        value if value >= 10_000.0 => format!("{value:.0}"),
        value if value >= 100.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// How much the figures rest on.
fn counts(target: &TargetReport) -> Option<String> {
    let sum = |of: fn(&RoundReport) -> u64| target.rounds.iter().map(of).sum::<u64>();
    let generator = target.rounds.last()?.generator;
    let mut text = format!(
        "{} tokens, {} requests, {} failures in {} rounds; generator busy {:.0} %",
        sum(|round| round.tokens),
        sum(|round| round.requests),
        sum(|round| round.failures.total),
        target.rounds.len(),
        generator.busy_share * 100.0,
    );
    if let Some(turn) = generator.turn {
        let _ = write!(text, ", turns {} µs at p99", turn.p99 / 1_000);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_printed_in_units_people_use() {
        let figures = Figures::from([
            ("token_latency_p50_ns", 123_456.0),
            ("cpu_ns_per_token", 9_870.0),
            ("cpu_ns_per_byte", 0.341),
            ("tokens_per_second", 20_000.4),
        ]);
        let row = |name| (label(name).0, cell(name, &figures));
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(row("token_latency_p50_ns"), pair("token latency p50 µs", "123.5"));
        assert_eq!(row("cpu_ns_per_token"), pair("cpu µs per token", "9.87"));
        assert_eq!(row("cpu_ns_per_byte"), pair("cpu ns per byte", "0.34"));
        assert_eq!(row("tokens_per_second"), pair("tokens per second", "20000"));
        assert_eq!(cell("request_latency_p99_ns", &figures), "–");
    }

    #[test]
    fn every_label_fits_its_column() {
        for name in FIGURES {
            assert!(label(name).0.chars().count() < 30, "{name}");
        }
    }
}
