//! The other pages of `top`: what the dashboard shows, as lines of text.

use std::fmt::{self, Write};

use serde_json::Value;

use super::{FIGURE, NAME, list, mark, shown, span};

/// What a page is drawn of: the live view, and the document that the page asks for.
pub(super) struct Told<'a> {
    pub view: &'a Value,
    pub document: &'a Value,
    pub rows: usize,
}

/// Each upstream with its endpoints.
pub(super) fn upstreams(out: &mut String, told: &Told<'_>) -> fmt::Result {
    writeln!(
        out,
        "{:<28} {:<24} {:<10} {:<9} {:>9} {:>7} {:>7} {:>12}",
        "UPSTREAM", "ENDPOINT", "STATE", "BREAKER", "IN FLIGHT", "WEIGHT", "SHARE", "FIRST TOKEN"
    )?;
    for upstream in list(&told.view["upstreams"]) {
        writeln!(
            out,
            "{:<28} {} open, {} idle, {} waiting",
            shown(&upstream["name"], 28),
            shown(&upstream["open"], FIGURE),
            shown(&upstream["idle"], FIGURE),
            shown(&upstream["waiting"], FIGURE),
        )?;
        for endpoint in list(&upstream["endpoints"]) {
            let state = match (endpoint["draining"] == true, endpoint["up"] == true) {
                (true, _) => "draining",
                (false, true) => "up",
                (false, false) => "out",
            };
            let share = endpoint["weight_share"].as_f64().unwrap_or_default();
            writeln!(
                out,
                "{:<28} {:<24} {:<10} {:<9} {:>9} {:>7} {:>7} {:>12}",
                "",
                shown(&endpoint["endpoint"], 24),
                state,
                shown(&endpoint["breaker"], 9),
                shown(&endpoint["in_flight"], 9),
                shown(&endpoint["weight"], 7),
                format!("{:.0} %", 100.0 * share),
                endpoint["ttft_ms"].as_f64().map_or("-".to_owned(), span),
            )?;
        }
    }
    Ok(())
}

/// Each code that has happened, with what to do and its last example.
pub(super) fn errors(out: &mut String, told: &Told<'_>) -> fmt::Result {
    writeln!(out, "{:>9}  {:<28} {:<27} WHAT TO DO", "COUNT", "CODE", "LAST")?;
    let codes = list(&told.document["codes"]);
    for code in codes.iter().take(told.rows) {
        writeln!(
            out,
            "{:>9}  {:<28} {:<27} {}",
            shown(&code["count"], 9),
            shown(&code["code"], 28),
            shown(&code["examples"][0]["time"], 27),
            shown(&code["hint"], 130),
        )?;
    }
    more(out, codes.len(), told.rows, "nothing has failed since the start")
}

/// What models and keys were asked for.
pub(super) fn usage(out: &mut String, told: &Told<'_>) -> fmt::Result {
    writeln!(
        out,
        "{:<28} {:<18} {:<18} {:>9} {:>11} {:>12} {:>8} {:>11} {:>12}",
        "MODEL",
        "UPSTREAM",
        "KEY",
        "REQUESTS",
        "TOKENS IN",
        "TOKENS OUT",
        "ERRORS",
        "FIRST",
        "COST"
    )?;
    let mut series: Vec<&Value> = list(&told.document["series"]).iter().collect();
    series.sort_by_key(|row| std::cmp::Reverse(row["requests"].as_u64()));
    for row in series.iter().take(told.rows) {
        let model = if row["model"].is_null() { &row["model_asked"] } else { &row["model"] };
        let estimated = Value::from(row["tokens_estimated"].as_u64().unwrap_or_default() > 0);
        let errors = row["errors"].as_object();
        let errors: u64 =
            errors.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
        writeln!(
            out,
            "{:<28} {:<18} {:<18} {:>9} {:>11} {:>12} {:>8} {:>11} {:>12}",
            shown(model, 28),
            shown(&row["upstream"], 18),
            shown(&row["key"], 18),
            shown(&row["requests"], 9),
            shown(&row["tokens_in"], 11),
            format!("{}{}", mark(&estimated), shown(&row["tokens_out"], 11)),
            errors,
            row["ttft_ms"].as_f64().map_or("-".to_owned(), span),
            shown(&row["cost"], 12),
        )?;
    }
    more(out, series.len(), told.rows, "nothing has been asked yet")
}

/// What is obeyed, and the last reads.
pub(super) fn configuration(out: &mut String, told: &Told<'_>) -> fmt::Result {
    let state = told.document;
    writeln!(
        out,
        "generation {} of {}, since {}",
        shown(&state["generation"], FIGURE),
        shown(&state["source"], 200),
        shown(&state["since"], FIGURE),
    )?;
    if let Some(refused) = state["refused"].as_object() {
        writeln!(out, "refused at {}:", shown(&refused["at"], FIGURE))?;
        for reason in list(&refused["reasons"]).iter().take(told.rows) {
            writeln!(out, "  {}", shown(reason, 200))?;
        }
    }
    writeln!(out, "\n{:<22} {:<16} {:<NAME$} WHY", "READ", "BECAME", "FROM")?;
    for read in list(&state["history"]).iter().take(told.rows) {
        let became = match &read["generation"] {
            Value::Null => "refused".to_owned(),
            generation => format!("generation {}", shown(generation, FIGURE)),
        };
        writeln!(
            out,
            "{:<22} {became:<16} {:<NAME$} {}",
            shown(&read["at"], FIGURE),
            shown(&read["source"], NAME),
            read["reasons"].get(0).map_or("-".to_owned(), |reason| shown(reason, 160)),
        )?;
    }
    Ok(())
}

fn more(out: &mut String, all: usize, rows: usize, none: &str) -> fmt::Result {
    match all {
        0 => writeln!(out, "{none}"),
        _ if all > rows => writeln!(out, "… and {} more", all - rows),
        _ => Ok(()),
    }
}
