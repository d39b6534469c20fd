//! The screen of a fleet: its gateways, how they share limits, and which endpoints they call broken.

use std::fmt::Write as _;

use serde_json::Value;

use super::{FIGURE, list, shown};

/// What one answer of `/fleet` looks like.
pub(super) fn draw(out: &mut String, fleet: &Value, rows_max: usize) -> std::fmt::Result {
    if fleet["configured"] != true {
        return writeln!(out, "this gateway knows of no other: its configuration has no [fleet]");
    }
    let store = if fleet["away"] == true { "AWAY" } else { "answers" };
    let settling = if fleet["settling"] == true { "   settling" } else { "" };
    let members = list(&fleet["members"]);
    writeln!(
        out,
        "{}   store {store}, read {} ago{settling}   gateways {}\n",
        shown(&fleet["store"], 80),
        seconds(&fleet["known_seconds_ago"]),
        members.len(),
    )?;
    writeln!(
        out,
        "{:<28} {:<8} {:>10} {:>7} {:>7} {:>7} {:>9} {:>6} {:>6} {:>9} {:>9}  ADMIN",
        "GATEWAY",
        "VERSION",
        "REVISION",
        "BEHIND",
        "STREAMS",
        "REQ/S",
        "TOKENS/S",
        "LOAD",
        "SKEW",
        "CLOCK",
        "SAID"
    )?;
    for member in members.iter().take(rows_max) {
        let (load, mark) = (&member["load"], if member["self"] == true { "*" } else { "" });
        let state = if member["draining"] == true { " draining" } else { "" };
        writeln!(
            out,
            "{:<28} {:<8} {:>10} {:>7} {:>7} {:>7} {:>9} {:>6} {:>6} {:>9} {:>9}  {}{state}",
            format!("{}{mark}", shown(&member["name"], 27)),
            shown(&member["version"], 8),
            shown(&member["revision"], 10),
            shown(&member["revision_behind"], 7),
            shown(&load["streams"], FIGURE),
            shown(&load["requests_per_second"], 7),
            shown(&load["tokens_per_second"], 9),
            shown(&load["against_mean"], 6),
            shown(&member["workers"]["skew"], 6),
            seconds(&member["clock"]["ahead_seconds"]),
            seconds(&member["said_seconds_ago"]),
            shown(&member["admin"], 40),
        )?;
    }
    limits(out, list(&fleet["limits"]), rows_max)?;
    hints(out, &fleet["hints"], rows_max)
}

/// Endpoints that others call broken; `null`: this gateway hears no hints.
fn hints(out: &mut String, hints: &Value, rows_max: usize) -> std::fmt::Result {
    let hints = list(hints);
    if !hints.is_empty() {
        writeln!(
            out,
            "\n{:<28} {:<32} {:>8} {:>6}",
            "UPSTREAM", "CALLED BROKEN", "TOLD BY", "HEARD"
        )?;
    }
    for hint in hints.iter().take(rows_max) {
        writeln!(
            out,
            "{:<28} {:<32} {:>8} {:>6}",
            shown(&hint["upstream"], 28),
            shown(&hint["endpoint"], 32),
            shown(&hint["told_by"], 8),
            if hint["heard"] == true { "yes" } else { "no" },
        )?;
    }
    Ok(())
}

fn limits(out: &mut String, limits: &[Value], rows_max: usize) -> std::fmt::Result {
    if !limits.is_empty() {
        writeln!(
            out,
            "\n{:<32} {:<12} {:>14} {:>14} {:>14} {:>14}",
            "KEY", "LIMIT OF", "LIMIT", "HELD", "IN FORCE HERE", "ASKED FOR"
        )?;
    }
    for limit in limits.iter().take(rows_max) {
        let figure = |name: &str| shown(&limit[name], 14);
        writeln!(
            out,
            "{:<32} {:<12} {:>14} {:>14} {:>14} {:>14}",
            shown(&limit["key"], 32),
            shown(&limit["limit_of"], 12),
            figure("limit"),
            figure("held"),
            figure("in_force_here"),
            figure("demand"),
        )?;
    }
    Ok(())
}

fn seconds(value: &Value) -> String {
    match value.as_f64() {
        Some(seconds) if seconds.abs() < 1e6 => format!("{seconds:.1} s"),
        Some(_) => "?".to_owned(),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::acts;
    use serde_json::json;

    fn fleet(text: &str) -> Value {
        json!({
            "configured": true, "store": text, "away": true, "known_seconds_ago": 3.25,
            "settling": true,
            "members": [
                { "name": "edge-1", "self": true, "version": text, "revision": 310,
                  "revision_behind": 0, "load": { "streams": 12, "against_mean": 1.5 },
                  "workers": { "skew": 1.1 }, "clock": null, "said_seconds_ago": 1e300,
                  "admin": text, "draining": true },
                { "name": text, "clock": { "ahead_seconds": -7.0 } },
            ],
            "limits": [{ "key": text, "limit_of": "requests", "limit": 600, "held": 590,
                         "in_force_here": 300, "demand": 900 }],
            "hints": [
                { "upstream": text, "endpoint": text, "told_by": 2, "heard": true },
                { "upstream": "llama", "endpoint": "10.0.1.8:8000", "told_by": 1, "heard": false },
            ],
        })
    }

    fn screen(fleet: &Value, rows: usize) -> String {
        let mut out = String::new();
        draw(&mut out, fleet, rows).expect("writing to a String cannot fail");
        out
    }

    #[test]
    fn a_fleet_is_drawn_with_as_many_rows_as_wanted() {
        let all = screen(&fleet("x"), 9);
        assert!(all.contains("store AWAY, read 3.2 s ago   settling   gateways 2"), "{all}");
        assert!(all.contains("edge-1* ") && all.contains(" draining"), "{all}");
        assert!(all.contains(" -7.0 s ") && !all.contains("null"), "{all}");
        assert!(all.contains(" 600 ") && all.lines().any(|it| it.ends_with(" 900")), "{all}");
        let hint = all.lines().last().expect("hints stand last");
        let words: Vec<&str> = hint.split_whitespace().collect();
        assert_eq!(words, ["llama", "10.0.1.8:8000", "1", "no"], "{all}");
        assert!(all.lines().any(|it| it.ends_with("       2    yes")), "{all}");
        // One gateway and one hint less.
        assert_eq!(screen(&fleet("x"), 1).lines().count() + 2, all.lines().count());
        for none in [json!([]), Value::Null] {
            let mut quiet = fleet("x");
            quiet["hints"] = none;
            assert!(!screen(&quiet, 9).contains("BROKEN"), "nobody calls anything broken");
        }
        let none = screen(&json!({ "configured": false }), 9);
        assert!(none.contains("no [fleet]"), "{none}");
    }

    #[test]
    fn what_another_gateway_says_acts_on_no_terminal() {
        let evil = "\x1b[2J\n\r\u{202e}".repeat(50);
        let drawn = screen(&fleet(&evil), 9);
        assert!(!drawn.replace('\n', "").contains(acts), "{drawn:?}");
        assert_eq!(drawn.lines().count(), screen(&fleet("x"), 9).lines().count());
    }
}
