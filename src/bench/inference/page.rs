//! The report as a page: one file that needs nothing else.
//!
//! * No script, no font, no address: it can be sent by mail and opened in ten years.
//! * Light or dark as the reader has it; every number of a chart stands in a table too.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::chart::{Across, Chart, Series};
use super::figures::{LevelReport, Spread, millis};
use super::load::Seen;
use super::outcome::Outcome;
use super::print::{self, number};
use super::report::Report;
use crate::bench::plot::{self, Caption, Curve, escaped};
use crate::bench::record::{histogram, keep};

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#fff;--card:#f6f7f8;--text:#1c2126;--faint:#5b646d;--line:#d9dde1;\
--accent:#0072b2;--warn:#8a4b00}\
@media(prefers-color-scheme:dark){:root{--page:#14171a;--card:#1c2126;--text:#e6e8ea;--faint:#a3abb3;\
--line:#343b42;--accent:#56b4e9;--warn:#f0b35a}}\
*{box-sizing:border-box}body{margin:0 auto;padding:2rem 1.25rem 4rem;max-width:76rem;background:var(--page);\
color:var(--text);font:15px/1.5 system-ui,sans-serif}h1{font-size:1.5rem;margin:0 0 .25rem}\
h2{font-size:1.15rem;margin:2.5rem 0 .75rem}p{margin:.25rem 0}.faint{color:var(--faint)}\
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.75rem;margin:1.5rem 0}\
.tile{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem}\
.tile b{display:block;font-size:1.5rem;font-weight:600}.tile span{color:var(--faint);font-size:.8rem}\
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(26rem,100%),1fr));gap:1rem}\
.charts figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.5rem}\
svg{display:block;width:100%;height:auto}.scroll{overflow-x:auto}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.8rem}\
caption{text-align:left;color:var(--faint);padding-bottom:.35rem}\
th,td{padding:.35rem .4rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}\
th:first-child,td:first-child{text-align:left}td.told{text-align:left;white-space:normal}\
thead th{color:var(--faint);font-weight:600}tr.saturated th::after{content:' saturated';color:var(--warn);\
font-weight:600;font-size:.8rem}.warnings{border-left:4px solid var(--warn);padding:.25rem 1rem;\
background:var(--card)}.warnings li{margin:.3rem 0}dt{font-weight:600;margin-top:.5rem}dd{margin:0;\
color:var(--faint)}\
.c-title{fill:var(--text);font:600 15px system-ui,sans-serif}.c-text{fill:var(--text);\
font:12px system-ui,sans-serif}.c-faint{fill:var(--faint);font:12px system-ui,sans-serif}\
.c-grid{stroke:var(--line)}.c-axis{stroke:var(--faint)}.c-line{fill:none;stroke-width:2}\
.wide{grid-template-columns:1fr}.charts .page{fill:none}";

/// The page. `seen` belongs to the levels of the report.
pub fn html(report: &Report, seen: &[Seen]) -> String {
    let mut text = String::new();
    let title = print::headline(report);
    let _ = writeln!(
        text,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<main>\n\
         <h1>{title}</h1>\n<p>{load}</p>\n<p class=\"faint\">{when}, sluicegate {version}, {cores} cores{cpu}</p>",
        title = escaped(&title),
        load = escaped(&print::load(report)),
        when = escaped(&report.started_at),
        version = escaped(report.version),
        cores = report.machine.cores,
        cpu =
            report.machine.cpu.as_ref().map_or(String::new(), |cpu| format!(" ({})", escaped(cpu))),
    );
    tiles(report, &mut text);
    warnings(report, &mut text);
    levels(report, &mut text);
    if report.levels.len() > 1 {
        section("Over load", "charts", &over_load(report), &mut text);
    }
    section("Percentiles", "charts wide", &percentiles(report, seen), &mut text);
    section("Over time", "charts", &over_time(report, seen), &mut text);
    failures(report, &mut text);
    text.push_str(DEFINITIONS);
    text.push_str("</main>\n</body></html>\n");
    text
}

const DEFINITIONS: &str = "<h2>What the figures mean</h2>\n<dl>\
<dt>TTFT</dt><dd>From when the request was sent to its first part of an answer that is not empty; with a \
planned arrival, from when it was due.</dd>\
<dt>ITL</dt><dd>Time between two parts of one answer, over all of them.</dd>\
<dt>TPOT</dt><dd>For each request, the time from its first to its last part over its tokens but one.</dd>\
<dt>E2E</dt><dd>From when the request was sent, or due, to the end of its answer.</dd>\
<dt>Goodput</dt><dd>Requests a second that were answered within all objectives.</dd></dl>\n";

fn section(title: &str, class: &str, charts: &[String], text: &mut String) {
    if charts.is_empty() {
        return;
    }
    let _ = writeln!(text, "<h2>{title}</h2>\n<div class=\"{class}\">");
    for chart in charts {
        let _ = writeln!(text, "<figure>{chart}</figure>");
    }
    text.push_str("</div>\n");
}

/// The best of each, in large.
fn tiles(report: &Report, text: &mut String) {
    let most = |of: &dyn Fn(&LevelReport) -> Option<f64>| {
        let each = report.levels.iter().filter_map(|level| of(level).map(|value| (value, level)));
        each.max_by(|(one, _), (other, _)| one.total_cmp(other))
    };
    let least = |of: &dyn Fn(&LevelReport) -> Option<f64>| {
        let each = report.levels.iter().filter_map(|level| of(level).map(|value| (value, level)));
        each.min_by(|(one, _), (other, _)| one.total_cmp(other))
    };
    let p50 = |spread: Option<Spread>| spread.map(|spread| spread.p50);
    let good = |level: &LevelReport| level.goodput.as_ref().map(|good| good.requests_per_second);
    let all = [
        ("output tokens/s, most", most(&|level| level.output_tokens_per_second)),
        ("requests/s, most", most(&|level| Some(level.requests_per_second))),
        ("good requests/s, most", most(&good)),
        ("ms TTFT p50, least", least(&|level| p50(level.ttft_ms))),
        ("ms TPOT p50, least", least(&|level| p50(level.tpot_ms))),
        ("ms E2E p50, least", least(&|level| p50(level.e2e_ms))),
    ];
    text.push_str("<div class=\"tiles\">\n");
    for (name, best) in all {
        let Some((value, level)) = best else { continue };
        let _ = writeln!(
            text,
            "<div class=\"tile\"><b>{}</b><span>{name}<br>at {}</span></div>",
            number(Some(value)),
            escaped(&level.label),
        );
    }
    text.push_str("</div>\n");
}

fn warnings(report: &Report, text: &mut String) {
    if report.warnings.is_empty() {
        return;
    }
    text.push_str(
        "<div class=\"warnings\" role=\"note\"><p><b>Before you believe this</b></p><ul>\n",
    );
    for warning in &report.warnings {
        let _ = writeln!(text, "<li>{}</li>", escaped(warning));
    }
    text.push_str("</ul></div>\n");
}

fn levels(report: &Report, text: &mut String) {
    let names = [
        "load",
        "ok",
        "failed",
        "unfinished",
        "req/s",
        "tok/s",
        "in flight",
        "goodput/s",
        "TTFT p50",
        "p90",
        "p99",
        "ITL p50",
        "p99",
        "TPOT p50",
        "p99",
        "E2E p50",
        "p99",
    ];
    text.push_str(
        "<h2>Levels</h2>\n<div class=\"scroll\"><table><caption>Latencies in milliseconds</caption>\
         <thead><tr>",
    );
    for name in names {
        let _ = write!(text, "<th scope=\"col\">{name}</th>");
    }
    text.push_str("</tr></thead><tbody>\n");
    for level in &report.levels {
        let of = |spread: Option<Spread>, pick: fn(Spread) -> f64| number(spread.map(pick));
        let (p50, p90, p99) = (|it: Spread| it.p50, |it: Spread| it.p90, |it: Spread| it.p99);
        let cells = [
            level.requests.succeeded.to_string(),
            level.requests.failed.to_string(),
            level.requests.unfinished.to_string(),
            number(Some(level.requests_per_second)),
            number(level.output_tokens_per_second),
            number(Some(level.concurrency_mean)),
            number(level.goodput.as_ref().map(|good| good.requests_per_second)),
            of(level.ttft_ms, p50),
            of(level.ttft_ms, p90),
            of(level.ttft_ms, p99),
            of(level.itl_ms, p50),
            of(level.itl_ms, p99),
            of(level.tpot_ms, p50),
            of(level.tpot_ms, p99),
            of(level.e2e_ms, p50),
            of(level.e2e_ms, p99),
        ];
        let mark = if level.saturated { " class=\"saturated\"" } else { "" };
        let _ = write!(text, "<tr{mark}><th scope=\"row\">{}</th>", escaped(&level.label));
        for cell in cells {
            let _ = write!(text, "<td>{cell}</td>");
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table></div>\n");
}

/// A line for each percentile, over the levels.
fn over_load(report: &Report) -> Vec<String> {
    let places: Vec<String> = report
        .levels
        .iter()
        .map(|level| match (level.concurrency, level.rate) {
            (Some(count), _) => count.to_string(),
            (None, Some(rate)) => format!("{rate}/s"),
            (None, None) => level.label.clone(),
        })
        .collect();
    let series = |name: &str, of: &dyn Fn(&LevelReport) -> Option<f64>| Series {
        name: name.to_owned(),
        points: report
            .levels
            .iter()
            .enumerate()
            .filter_map(|(place, level)| of(level).map(|value| (place as f64, value)))
            .collect(),
    };
    let spread = |of: fn(&LevelReport) -> Option<Spread>| {
        vec![
            series("p50", &|level| of(level).map(|it| it.p50)),
            series("p90", &|level| of(level).map(|it| it.p90)),
            series("p99", &|level| of(level).map(|it| it.p99)),
        ]
    };
    let good = |level: &LevelReport| level.goodput.as_ref().map(|good| good.requests_per_second);
    let has_goodput = report.levels.iter().any(|level| level.goodput.is_some());
    let mut requests = vec![series("all", &|level| Some(level.requests_per_second))];
    requests.extend(has_goodput.then(|| series("good", &good)));
    let tokens = vec![series("output tokens", &|level| level.output_tokens_per_second)];
    let unit = |what: &'static str| (what, places.clone());
    [
        ("Output tokens", unit("tokens/s"), tokens),
        ("Requests", unit("requests/s"), requests),
        ("Time to first token", unit("ms"), spread(|level| level.ttft_ms)),
        ("Time between tokens", unit("ms"), spread(|level| level.itl_ms)),
        ("Time per output token", unit("ms"), spread(|level| level.tpot_ms)),
        ("Time to the whole answer", unit("ms"), spread(|level| level.e2e_ms)),
    ]
    .into_iter()
    .filter_map(|(title, (unit, places), series)| {
        Chart { title, unit, across: Across::Places(places), series }.svg()
    })
    .collect()
}

/// The requests of a level that were measured and answered.
fn answered(seen: &Seen) -> impl Iterator<Item = &Outcome> {
    let measured = seen.outcomes.iter().filter(|outcome| outcome.due >= seen.from);
    measured.filter(|outcome| outcome.result.is_ok())
}

/// A curve for each level.
fn percentiles(report: &Report, seen: &[Seen]) -> Vec<String> {
    let curves = |of: &dyn Fn(&Seen) -> Histogram<u64>| -> Vec<Curve> {
        let each = report.levels.iter().zip(seen);
        each.filter_map(|(level, seen)| Curve::of(&level.label, &of(seen))).collect()
    };
    let requests = |of: fn(&Outcome) -> Option<Duration>| {
        curves(&move |seen| {
            let mut all = histogram();
            answered(seen).filter_map(of).for_each(|length| keep(&mut all, length));
            all
        })
    };
    let subtitle = print::load(report);
    [
        ("Time to first token", requests(Outcome::ttft)),
        ("Time between tokens", curves(&|seen| drawable(&seen.gaps))),
        ("Time to the whole answer", requests(|outcome| Some(outcome.e2e()))),
    ]
    .into_iter()
    .filter(|(_, curves)| !curves.is_empty())
    .map(|(title, curves)| plot::svg(Caption { title, subtitle: &subtitle }, &curves))
    .collect()
}

/// Two chunks in one read have no time between them, which no logarithm has a place for: what is shorter
/// than a tenth of a millisecond is drawn there.
fn drawable(gaps: &Histogram<u64>) -> Histogram<u64> {
    const SHORTEST: u64 = 100_000;
    let mut all = histogram();
    for step in gaps.iter_recorded() {
        let value = step.value_iterated_to().max(SHORTEST);
        all.saturating_record_n(value, step.count_at_value());
    }
    all
}

/// Each request where it was sent.
fn over_time(report: &Report, seen: &[Seen]) -> Vec<String> {
    let charts = report.levels.iter().zip(seen).filter_map(|(level, seen)| {
        let points = |of: fn(&Outcome) -> Option<Duration>| -> Vec<(f64, f64)> {
            let each = answered(seen)
                .filter_map(|it| Some(((it.due - seen.from).as_secs_f64(), millis(of(it)?))));
            each.collect()
        };
        let series =
            [("TTFT", points(Outcome::ttft)), ("E2E", points(|outcome| Some(outcome.e2e())))];
        let series = series.into_iter().filter(|(_, points)| !points.is_empty());
        let series = series.map(|(name, points)| Series { name: name.to_owned(), points });
        let title = format!("Requests at {}, by when they were sent", level.label);
        let across = Across::Seconds(level.seconds);
        Chart { title: &title, unit: "ms", across, series: series.collect() }.svg()
    });
    charts.collect()
}

fn failures(report: &Report, text: &mut String) {
    let mut rows = String::new();
    for level in &report.levels {
        for (name, failure) in &level.failures {
            let _ = writeln!(
                rows,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"told\">{}</td></tr>",
                escaped(&level.label),
                escaped(name),
                failure.count,
                escaped(failure.example.as_deref().unwrap_or("–")),
            );
        }
    }
    if !rows.is_empty() {
        let _ = writeln!(
            text,
            "<h2>Failures</h2>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">load</th>\
             <th scope=\"col\">kind</th><th scope=\"col\">count</th><th scope=\"col\">the first of them said</th>\
             </tr></thead><tbody>\n{rows}</tbody></table></div>",
        );
    }
}
