use super::*;
use crate::escape::acts;
use serde_json::json;

/// The view with `value` in the place of every value that is no container, and of these too.
fn with_every(value: &Value, view: &Value) -> Vec<Value> {
    let mut views = Vec::new();
    match view {
        Value::Object(members) => {
            for (name, member) in members {
                for changed in with_every(value, member) {
                    let mut members = members.clone();
                    members.insert(name.clone(), changed);
                    views.push(Value::Object(members));
                }
            }
        }
        Value::Array(items) => {
            for changed in items.first().map(|item| with_every(value, item)).unwrap_or_default() {
                views.push(Value::Array(vec![changed]));
            }
        }
        _ => {}
    }
    views.push(value.clone());
    views
}

#[test]
fn what_a_hostile_admin_address_says_acts_on_no_terminal() {
    let view = json!({
        "ready": true, "version": "1", "uptime_seconds": 1, "active": 3,
        "ttft": { "p50": 1 }, "itl": {}, "lag": {}, "waited_ms": { "upstream": 9 },
        "workers": [{ "worker": 0, "active": 3, "tokens_per_second": 1, "buffers": 1, "answered": true }],
        "upstreams": [{ "name": "u", "open": 1, "idle": 1, "waiting": 1 }],
        "streams": [{
            "request_id": "id", "client": "10.0.0.1", "endpoint": "a:1", "phase": "streaming",
            "age_ms": 61_500, "tokens": 7, "gap_ms": 12, "waits_for": "upstream",
            "buffered_bytes": 0,
        }],
    });
    let lines = screen(&view, TopPage::Overview, &Value::Null, 5).lines().count();
    let evil = "\x1b[2J\n\r\x07\x7f\u{9b}31m\u{202e}\u{2066}\u{2028}".repeat(100);
    for evil in [json!(evil), json!([evil]), json!({ "name": evil }), json!(1e300), json!(-1)] {
        for view in with_every(&evil, &view) {
            let screen = screen(&view, TopPage::Overview, &Value::Null, 5);
            assert!(!screen.replace('\n', "").contains(acts), "{screen:?}");
            assert!(screen.lines().count() <= lines, "{screen}");
            assert!(screen.lines().all(|line| line.chars().count() < 1_000), "{screen}");
        }
    }
}

#[test]
fn a_view_is_drawn_with_as_many_rows_as_wanted() {
    let stream = |number: u32| {
        json!({
            "request_id": format!("id-{number}"), "client": "10.0.0.1", "endpoint": "a:1",
            "phase": "streaming", "age_ms": 61_500, "tokens": if number == 1 { json!(7) } else { json!(null) }, "tokens_estimated": true, "gap_ms": 12,
            "waits_for": "upstream", "buffered_bytes": 0,
        })
    };
    let view = json!({
        "ready": true, "version": "1", "uptime_seconds": 3_700, "active": 3,
        "tokens_per_second": 5.2, "tokens_per_second_estimated": true, "events_per_second": 4.0,
        "ttft": { "p50": 850, "p90": 12_300, "p99": 4_000_000 }, "itl": {}, "lag": {},
        "waited_ms": { "upstream": 900, "client": 100, "gateway": 0 },
        "workers": [{
            "worker": 0, "active": 3, "answered": false, "tokens_per_second": 5, "buffers": 0,
        }],
        "upstreams": [], "streams": [stream(1), stream(2), stream(3)],
    });
    let screen = screen(&view, TopPage::Overview, &Value::Null, 2);
    assert!(screen.contains("serving   up 1 h 2 min"), "{screen}");
    assert!(screen.contains("850 µs") && screen.contains("12.3 ms") && screen.contains("4.0 s"));
    assert!(screen.contains("upstream 90.0%   client 10.0%   gateway 0.0%"), "{screen}");
    assert!(screen.contains("does not answer"), "{screen}");
    assert!(screen.contains(" ≈7 ") && !screen.contains("null"), "{screen}");
    assert!(screen.contains("tokens/s ≈5   events/s 4 "), "{screen}");
    assert!(screen.contains("id-2") && !screen.contains("id-3"), "{screen}");
    assert!(screen.contains("1 min 2 s") && screen.ends_with("… and 1 more\n"), "{screen}");
}

#[test]
fn each_page_is_drawn_and_what_it_is_told_acts_on_no_terminal() {
    let view = json!({
        "upstreams": [{ "name": "llama", "open": 1, "idle": 1, "waiting": 1, "endpoints": [
            { "endpoint": "a:1", "up": true, "draining": false, "breaker": "closed", "in_flight": 3,
              "weight": 1, "weight_share": 1.0, "ttft_ms": 120 },
        ] }],
        "streams": [],
    });
    let pages = [
        (
            TopPage::Upstreams,
            json!(null),
            "a:1                      up         closed            3",
        ),
        (
            TopPage::Errors,
            json!({ "codes": [{ "code": "no_route", "count": 7, "hint": "check the path",
                    "examples": [{ "time": "2026-12-01T00:00:00.000000Z" }] }] }),
            "7  no_route                     2026-12-01T00:00:00.000000Z check the path",
        ),
        (
            TopPage::Models,
            json!({ "series": [{ "model_asked": "m", "model": null, "upstream": "llama", "key": "team",
                    "requests": 2, "tokens_in": 5, "tokens_out": 9, "tokens_estimated": 9,
                    "errors": { "killed": 1 }, "ttft_ms": 120.5, "cost": "0.1" }] }),
            "≈9",
        ),
        (
            TopPage::Configuration,
            json!({ "generation": 3, "source": "gate.toml", "since": "then",
                    "refused": { "at": "now", "reasons": ["line 3: no"] },
                    "history": [{ "at": "now", "source": "gate.toml", "generation": null, "reasons": ["line 3: no"] }] }),
            "refused          gate.toml",
        ),
        (
            TopPage::Fleet,
            json!({ "configured": true, "store": "etcd://a/b", "away": true,
                    "members": [{ "name": "edge-1", "draining": true, "version": "0.1.0", "revision": 310,
                        "revision_behind": 2, "load": { "streams": 12, "requests_per_second": 3.1,
                        "tokens_per_second": 410.0, "against_mean": 1.3 } }],
                    "limits": [{ "key": "team-a", "limit_of": "requests", "limit": 600,
                        "in_force_here": 300, "held": 600, "demand": 700 }] }),
            "edge-1                       0.1.0           310       2      12     3.1     410.0    1.3",
        ),
    ];
    let evil = json!("\x1b[2J\n\r\x07\u{202e}".repeat(50));
    for (page, document, expected) in pages {
        let drawn = screen(&view, page, &document, 5);
        assert!(drawn.contains(expected), "{page:?}: {drawn}");
        let lines = drawn.lines().count();
        for document in with_every(&evil, &document) {
            let screen = screen(&view, page, &document, 5);
            assert!(!screen.replace('\n', "").contains(acts), "{screen:?}");
            assert!(screen.lines().count() <= lines + 1, "{screen}");
        }
        for view in with_every(&evil, &view) {
            let screen = screen(&view, page, &document, 5);
            assert!(!screen.replace('\n', "").contains(acts), "{screen:?}");
        }
        assert!(!screen(&Value::Null, page, &Value::Null, 5).is_empty());
    }
    assert!(tabs(TopPage::Errors).contains("[4 errors]"));
    let bar = tabs(TopPage::Errors);
    assert!(bar.lines().all(|line| line.chars().count() < 80), "a window cuts it off: {bar}");
}

#[test]
fn a_name_that_is_cut_has_a_mark_where_it_was_cut() {
    let name = "meta-llama/Llama-3.3-70B-Instruct";
    let usage = json!({ "series": [{ "model": name, "requests": 1 }] });
    let drawn = screen(&json!({}), TopPage::Models, &usage, 5);
    assert!(drawn.contains("meta-llama/Llama-3.3-70B-In… "), "{drawn}");
    assert_eq!(shown(&json!(name), name.len()), name, "one that fits is whole");
    assert_eq!(shown(&json!(123_456), 4), "123…");
}

#[test]
fn a_screen_fits_its_window() {
    let window = |columns, rows| Some(sys::TerminalSize { columns, rows });
    let stream =
        |number: u32| json!({ "request_id": format!("id-{number}"), "client": "c".repeat(18) });
    let view = json!({
        "workers": [{ "worker": 0 }, { "worker": 1 }],
        "streams": (0..40).map(stream).collect::<Vec<_>>(),
    });
    let drawn = |rows| format!("bar\n\n{}", screen(&view, TopPage::Overview, &Value::Null, rows));
    let whole = fitted(None, 25, drawn);
    assert_eq!(whole, drawn(25), "a pipe gets all of it");
    for (columns, rows) in [(80, 24), (200, 60), (40, 12), (20, 3), (2, 1)] {
        let shown = fitted(window(columns, rows), 25, drawn);
        let widest = shown.lines().map(|line| line.chars().count()).max();
        assert!(widest < Some(columns), "{columns} columns: {shown}");
        assert!(shown.lines().count() <= rows, "{rows} rows: {shown}");
        let mut written = Vec::new();
        draw_over(&mut written, &shown).expect("a vector takes all");
        let feeds = written.iter().filter(|byte| **byte == b'\n').count();
        assert!(feeds < rows, "the window moves up: {shown}");
    }
    let usual = fitted(window(80, 24), 25, drawn);
    assert!(usual.starts_with("bar\n\nsluicegate "), "the head stays: {usual}");
    let last = usual.lines().last().expect("a line");
    assert!(last.starts_with("… and ") && usual.lines().count() == 24, "{usual}");
    for heading in ["REQUEST", "AGE", "TOKENS", "GAP", "WAITS FOR"] {
        assert!(usual.contains(heading), "{heading} is cut off: {usual}");
    }
    assert!(fitted(window(200, 60), 25, drawn).contains("id-24"), "as many as were asked for");
    assert!(fitted(window(40, 3), 25, drawn).ends_with('…'), "what is cut off has a mark");
}
