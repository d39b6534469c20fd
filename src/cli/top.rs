//! `sluicegate top`: the live view of a running gateway, in a terminal.
//!
//! It reads the same server-sent events as the dashboard, one a second, and draws a screen for
//! each. Where standard output is no terminal it prints one plain screen and ends.
//!
//! Absent on purpose: keys and colours that a terminal may not have. Ctrl-C ends it.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::{Exit, complain};
use crate::escape::escaped;
use crate::files;

/// `sluicegate top`
#[derive(Args, Clone, Debug)]
pub struct TopArguments {
    /// The gateway's admin address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub admin: SocketAddr,
    /// The file with its token, where it asks for one
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Streams shown
    #[arg(long, value_name = "COUNT", default_value_t = 25)]
    pub rows: usize,
    /// Print one screen and end
    #[arg(long)]
    pub once: bool,
}

/// A token is a line.
const TOKEN_FILE_MAX: u64 = 4 << 10;
/// A gateway that says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters of a figure, and of a name that nothing stands behind in a column of its own.
const FIGURE: usize = 20;
const NAME: usize = 64;
/// To the upper left corner; and from here to the end of the screen nothing.
const HOME: &str = "\x1b[H";
const CLEAR_REST: &str = "\x1b[0J";
const CLEAR_LINE: &str = "\x1b[K";

pub fn execute(arguments: &TopArguments) -> Exit {
    match follow(arguments) {
        Ok(()) => Exit::Success,
        // Whoever reads us, `head` for one, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => {
            complain(&format!("{}: {error}", arguments.admin));
            Exit::Failure
        }
    }
}

fn follow(arguments: &TopArguments) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let once = arguments.once || !out.is_terminal();
    let mut events = Events::open(arguments)?;
    if !once {
        write!(out, "{HOME}{CLEAR_REST}")?;
    }
    while let Some(view) = events.next()? {
        let screen = screen(&view, arguments.rows);
        if once {
            return out.write_all(screen.as_bytes());
        }
        // Drawn over what is there: a screen that is cleared first would flicker.
        let lines = screen.lines().map(|line| format!("{line}{CLEAR_LINE}\n"));
        write!(out, "{HOME}{}{CLEAR_REST}", lines.collect::<String>())?;
        out.flush()?;
    }
    Err(io::Error::other("the gateway has ended"))
}

/// The events of an admin address.
struct Events {
    lines: io::Lines<BufReader<TcpStream>>,
}

impl Events {
    fn open(arguments: &TopArguments) -> io::Result<Events> {
        let mut stream = TcpStream::connect_timeout(&arguments.admin, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let authorization = match &arguments.token_file {
            Some(file) => {
                let token = files::read(file, TOKEN_FILE_MAX)?;
                let token = String::from_utf8_lossy(&token);
                format!("Authorization: Bearer {}\r\n", token.trim_end())
            }
            None => String::new(),
        };
        let admin = arguments.admin;
        // HTTP/1.0 is answered without chunks, so a line of the answer is a line of an event.
        write!(stream, "GET /events HTTP/1.0\r\nHost: {admin}\r\n{authorization}\r\n")?;
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next().transpose()?.unwrap_or_default();
        if !status.contains(" 200 ") {
            let body: String = lines
                .skip_while(|line| line.as_ref().is_ok_and(|it| !it.is_empty()))
                .map_while(Result::ok)
                .collect();
            let value: Value = serde_json::from_str(&body).unwrap_or_default();
            let message = value["error"]["message"].as_str().unwrap_or(&status).to_owned();
            return Err(io::Error::other(message));
        }
        Ok(Events { lines })
    }

    /// The next view; `None`: there are no more.
    fn next(&mut self) -> io::Result<Option<Value>> {
        for line in &mut self.lines {
            if let Some(data) = line?.strip_prefix("data: ") {
                return serde_json::from_str(data).map(Some).map_err(io::Error::other);
            }
        }
        Ok(None)
    }
}

/// What one view looks like.
fn screen(view: &Value, rows_max: usize) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, so the result says nothing.
    let _ = draw(&mut out, view, rows_max);
    out
}

fn draw(out: &mut String, view: &Value, rows_max: usize) -> std::fmt::Result {
    let state = if view["ready"] == true { "serving" } else { "draining" };
    let number = |name: &str| view[name].as_f64().unwrap_or_default();
    writeln!(
        out,
        "sluicegate {}   {state}   up {}",
        shown(&view["version"], 32),
        span(1000.0 * number("uptime_seconds")),
    )?;
    writeln!(
        out,
        "tokens/s {}{:.0}   events/s {:.0}   requests/s {:.1}   streams {:.0}   clients {:.0}   upstream connections {:.0}",
        mark(&view["tokens_per_second_estimated"]),
        number("tokens_per_second"),
        number("events_per_second"),
        number("exchanges_per_second"),
        number("active"),
        number("clients"),
        number("upstream_connections"),
    )?;
    for (name, key) in [("first event", "ttft"), ("between events", "itl"), ("loop lag", "lag")] {
        let figures = ["p50", "p90", "p99"].map(|quantile| micros(&view[key][quantile]));
        let [p50, p90, p99] = figures;
        writeln!(out, "{name:<15} p50 {p50:>9}   p90 {p90:>9}   p99 {p99:>9}")?;
    }
    let waited = &view["waited_ms"];
    let owners = ["upstream", "client", "gateway"];
    let each = owners.map(|owner| waited[owner].as_f64().unwrap_or_default());
    let total: f64 = each.iter().sum::<f64>().max(1.0);
    let shares = owners.iter().zip(each);
    let shares = shares.map(|(owner, time)| format!("{owner} {:.1}%", 100.0 * time / total));
    writeln!(out, "{:<15} {}\n", "waited for", shares.collect::<Vec<_>>().join("   "))?;
    for worker in list(&view["workers"]) {
        writeln!(
            out,
            "worker {:<3} {:>6} streams {:>9} tokens/s {:>6} buffers{}",
            shown(&worker["worker"], FIGURE),
            shown(&worker["active"], FIGURE),
            format!(
                "{}{}",
                mark(&worker["tokens_estimated"]),
                shown(&worker["tokens_per_second"], FIGURE)
            ),
            shown(&worker["buffers"], FIGURE),
            if worker["answered"] == true { "" } else { "   does not answer" },
        )?;
    }
    for upstream in list(&view["upstreams"]) {
        writeln!(
            out,
            "upstream {:<20} {:>5} open {:>5} idle {:>5} waiting",
            shown(&upstream["name"], NAME),
            shown(&upstream["open"], FIGURE),
            shown(&upstream["idle"], FIGURE),
            shown(&upstream["waiting"], FIGURE),
        )?;
    }
    table(out, list(&view["streams"]), rows_max)
}

fn table(out: &mut String, streams: &[Value], rows_max: usize) -> std::fmt::Result {
    writeln!(
        out,
        "\n{:<26} {:<18} {:<32} {:<20} {:>10} {:>8} {:>10} {:<9} {:>9}",
        "REQUEST", "CLIENT", "ENDPOINT", "PHASE", "AGE", "TOKENS", "GAP", "WAITS FOR", "BUFFERED"
    )?;
    for stream in streams.iter().take(rows_max) {
        let text = |name: &str, max: usize| shown(&stream[name], max);
        writeln!(
            out,
            "{:<26} {:<18} {:<32} {:<20} {:>10} {:>8} {:>10} {:<9} {:>9}",
            text("request_id", 26),
            text("client", 18),
            text("endpoint", 32),
            text("phase", 20),
            span(stream["age_ms"].as_f64().unwrap_or_default()),
            match &stream["tokens"] {
                Value::Null => "-".to_owned(),
                tokens => format!("{}{}", mark(&stream["tokens_estimated"]), shown(tokens, FIGURE)),
            },
            span(stream["gap_ms"].as_f64().unwrap_or_default()),
            text("waits_for", 9),
            text("buffered_bytes", FIGURE),
        )?;
    }
    if streams.len() > rows_max {
        writeln!(out, "… and {} more", streams.len() - rows_max)?;
    }
    Ok(())
}

/// Before a number of tokens that are data events: no server has told yet.
fn mark(estimated: &Value) -> &'static str {
    if *estimated == true { "~" } else { "" }
}

/// A value of somebody else's: an id is chosen by a client, and who answers at the admin address may
/// be anybody. So it is as long as there is room for, and what acts on a terminal is escaped.
fn shown(value: &Value, max: usize) -> String {
    match value {
        Value::String(text) => escaped(text).chars().take(max).collect(),
        Value::Number(number) => number.to_string().chars().take(max).collect(),
        Value::Null => "-".to_owned(),
        _ => "?".to_owned(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn micros(value: &Value) -> String {
    match value.as_u64() {
        None => "-".to_owned(),
        Some(micros @ ..1_000) => format!("{micros} µs"),
        Some(micros @ ..1_000_000) => format!("{:.1} ms", micros as f64 / 1e3),
        Some(micros) => format!("{:.1} s", micros as f64 / 1e6),
    }
}

fn span(millis: f64) -> String {
    match millis {
        ..1_000.0 => format!("{millis:.0} ms"),
        ..60_000.0 => format!("{:.1} s", millis / 1e3),
        ..3_600_000.0 => format!("{:.0} min {:.0} s", (millis / 6e4).floor(), millis / 1e3 % 60.0),
        _ => format!("{:.0} h {:.0} min", (millis / 3.6e6).floor(), millis / 6e4 % 60.0),
    }
}

#[cfg(test)]
mod tests {
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
                for changed in items.first().map(|item| with_every(value, item)).unwrap_or_default()
                {
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
        let lines = screen(&view, 5).lines().count();
        let evil = "\x1b[2J\n\r\x07\x7f\u{9b}31m\u{202e}\u{2066}\u{2028}".repeat(100);
        for evil in [json!(evil), json!([evil]), json!({ "name": evil }), json!(1e300), json!(-1)] {
            for view in with_every(&evil, &view) {
                let screen = screen(&view, 5);
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
        let screen = screen(&view, 2);
        assert!(screen.contains("serving   up 1 h 2 min"), "{screen}");
        assert!(
            screen.contains("850 µs") && screen.contains("12.3 ms") && screen.contains("4.0 s")
        );
        assert!(screen.contains("upstream 90.0%   client 10.0%   gateway 0.0%"), "{screen}");
        assert!(screen.contains("does not answer"), "{screen}");
        assert!(screen.contains(" ~7 ") && !screen.contains("null"), "{screen}");
        assert!(screen.contains("tokens/s ~5   events/s 4 "), "{screen}");
        assert!(screen.contains("id-2") && !screen.contains("id-3"), "{screen}");
        assert!(screen.contains("1 min 2 s") && screen.ends_with("… and 1 more\n"), "{screen}");
    }
}
