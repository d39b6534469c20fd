//! `sluicegate top`: the live view of a running gateway, in a terminal.
//!
//! It reads the same server-sent events as the dashboard, one a second, and draws a screen for
//! each. Where standard output is no terminal it prints one plain screen and ends. The pages are the
//! dashboard's, each at a key.
//!
//! A screen is cut to the window that it is drawn in, and the terminal has its modes again whichever way
//! this ends: by `q` or Ctrl-C, by a signal, with the gateway.
//!
//! Absent on purpose: colours that a terminal may not have.

mod fleet;
mod pages;
#[cfg(test)]
mod tests;
mod window;

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use self::pages::Told;
use self::window::{draw_over, fitted};
use super::admin::{AdminArguments, Connection};
use super::{Exit, complain};
use crate::escape::escaped;
use crate::sys::{self, Signals, TerminalSize};

/// `sluicegate top`
#[derive(Args, Clone, Debug)]
pub struct TopArguments {
    #[command(flatten)]
    pub at: AdminArguments,
    /// Rows of a list at most; a window shows as many as it has room for
    #[arg(long, value_name = "COUNT", default_value_t = 25)]
    pub rows: usize,
    /// Print one screen and end
    #[arg(long)]
    pub once: bool,
    /// The page to begin with; where there is a terminal, keys 1 to 7 show the others
    #[arg(long, value_name = "PAGE", default_value = "overview")]
    pub page: TopPage,
    /// The same as `--page fleet`: the gateways of its fleet, and how they share limits
    #[arg(long, conflicts_with = "page")]
    pub fleet: bool,
}

/// A gateway that says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters of a figure, and of a name that nothing stands behind in a column of its own.
const FIGURE: usize = 20;
const NAME: usize = 64;

pub fn execute(arguments: &TopArguments) -> Exit {
    match follow(arguments) {
        Ok(()) => Exit::Success,
        // Whoever reads us, `head` for one, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            complain(&arguments.at.admin.unheard(&error));
            Exit::Failure
        }
        Err(error) => {
            complain(&format!("{}: {error}", arguments.at.admin));
            Exit::Failure
        }
    }
}

/// What there is to look at, each at its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TopPage {
    Overview,
    Streams,
    Upstreams,
    Errors,
    Models,
    Configuration,
    Fleet,
}

impl TopPage {
    const ALL: [TopPage; 7] = [
        TopPage::Overview,
        TopPage::Streams,
        TopPage::Upstreams,
        TopPage::Errors,
        TopPage::Models,
        TopPage::Configuration,
        TopPage::Fleet,
    ];

    /// Short enough for all of them in a line of 80 columns.
    fn name(self) -> &'static str {
        match self {
            TopPage::Overview => "overview",
            TopPage::Streams => "streams",
            TopPage::Upstreams => "upstreams",
            TopPage::Errors => "errors",
            TopPage::Models => "models",
            TopPage::Configuration => "config",
            TopPage::Fleet => "fleet",
        }
    }

    /// What it is drawn of beside the live view.
    fn document(self) -> Option<&'static str> {
        match self {
            TopPage::Overview | TopPage::Streams | TopPage::Upstreams => None,
            TopPage::Errors => Some("/errors"),
            TopPage::Models => Some("/usage"),
            TopPage::Configuration => Some("/config/state"),
            TopPage::Fleet => Some("/fleet"),
        }
    }
}

/// What `top` waits for.
enum Happened {
    View(Value),
    Key(u8),
    Over(io::Error),
}

fn follow(arguments: &TopArguments) -> io::Result<()> {
    let once = arguments.once || !io::stdout().is_terminal();
    let mut events = Events::open(arguments)?;
    let mut page = if arguments.fleet { TopPage::Fleet } else { arguments.page };
    if once {
        let ended = || io::Error::other("the gateway has ended");
        let view = events.next()?.ok_or_else(ended)?;
        let screen = screen(&view, page, &document(arguments, page), arguments.rows);
        return io::stdout().write_all(screen.as_bytes());
    }
    let keys = Keys::begin()?;
    let (tell, happened) = mpsc::channel();
    if keys.told {
        let tell = tell.clone();
        thread::spawn(move || read_keys(&tell));
    }
    thread::spawn(move || read_views(events, &tell));
    let mut out = io::stdout();
    draw_over(&mut out, "")?;
    let ended = show(arguments, &mut page, keys.told, happened, &mut out);
    // What the shell says next begins a line of its own.
    writeln!(out)?;
    ended
}

/// Draws each view, and the page of each key, until one of them ends it.
fn show(
    arguments: &TopArguments,
    page: &mut TopPage,
    has_keys: bool,
    happened: mpsc::Receiver<Happened>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut view = Value::Null;
    for happened in happened {
        match happened {
            Happened::View(next) => view = next,
            // Ctrl-C, Ctrl-D and `q`.
            Happened::Key(3 | 4 | b'q') => return Ok(()),
            Happened::Key(key) => match TopPage::ALL.get(usize::from(key.wrapping_sub(b'1'))) {
                Some(chosen) => *page = *chosen,
                None => continue,
            },
            Happened::Over(error) => return Err(error),
        }
        if !view.is_null() {
            let document = document(arguments, *page);
            let bar = if has_keys { tabs(*page) } else { String::new() };
            let drawn = |rows| format!("{bar}{}", screen(&view, *page, &document, rows));
            draw_over(out, &fitted(TerminalSize::now(), arguments.rows, drawn))?;
        }
    }
    Ok(())
}

/// Keys that are told one by one until this is dropped, or a signal ends the process.
struct Keys {
    held: Arc<Mutex<Option<sys::KeysOneByOne>>>,
    /// Whether standard input is a terminal.
    told: bool,
}

impl Keys {
    fn begin() -> io::Result<Keys> {
        // Caught first: none ends the process between here and there.
        let signals = Signals::of_a_terminal()?;
        let keys = sys::KeysOneByOne::begin()?;
        let told = keys.is_some();
        let held = Arc::new(Mutex::new(keys));
        let at_signal = Arc::clone(&held);
        signals.then(move |_| {
            // The rest of the process may be waiting for a terminal that takes nothing.
            drop(at_signal.lock().unwrap_or_else(PoisonError::into_inner).take());
            process::exit(0);
        })?;
        Ok(Keys { held, told })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The pages with their keys.
fn tabs(page: TopPage) -> String {
    let tabs = TopPage::ALL.iter().zip(1..).map(|(tab, key)| match *tab == page {
        true => format!("[{key} {}]", tab.name()),
        false => format!("{key} {}", tab.name()),
    });
    format!("{}  q quits\n\n", tabs.collect::<Vec<_>>().join(" "))
}

fn read_keys(tell: &mpsc::Sender<Happened>) {
    for key in io::stdin().lock().bytes().map_while(Result::ok) {
        if tell.send(Happened::Key(key)).is_err() {
            return;
        }
    }
}

fn read_views(mut events: Events, tell: &mpsc::Sender<Happened>) {
    loop {
        let happened = match events.next() {
            Ok(Some(view)) => Happened::View(view),
            Ok(None) => Happened::Over(io::Error::other("the gateway has ended")),
            Err(error) => Happened::Over(error),
        };
        let over = matches!(happened, Happened::Over(_));
        if tell.send(happened).is_err() || over {
            return;
        }
    }
}

/// What a page asks for; what is not to be had is nothing.
fn document(arguments: &TopArguments, page: TopPage) -> Value {
    let asked = page.document().map(|path| Events::ask(arguments, path));
    let Some(Ok(events)) = asked else { return Value::Null };
    let text: String =
        events.lines.map_while(Result::ok).skip_while(|line| !line.is_empty()).collect();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The events of an admin address.
struct Events {
    lines: io::Lines<BufReader<Box<dyn Connection>>>,
}

impl Events {
    fn open(arguments: &TopArguments) -> io::Result<Events> {
        Events::ask(arguments, "/events")
    }

    /// The answer to a look, its head gone but for the fields.
    fn ask(arguments: &TopArguments, path: &str) -> io::Result<Events> {
        let mut lines = arguments.at.get(path, PATIENCE)?.lines();
        let status = lines.next().transpose()?.unwrap_or_default();
        if !status.contains(" 200 ") {
            let body: String = lines
                .skip_while(|line| line.as_ref().is_ok_and(|it| !it.is_empty()))
                .map_while(Result::ok)
                .collect();
            let value: Value = serde_json::from_str(&body).unwrap_or_default();
            let message = value["error"]["message"].as_str().map_or_else(
                || format!("it answers {status:?}: is that the [admin] listen of a gateway?"),
                str::to_owned,
            );
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
fn screen(view: &Value, page: TopPage, document: &Value, rows: usize) -> String {
    let mut out = String::new();
    let told = Told { view, document, rows };
    // Writing to a String cannot fail, so the results say nothing.
    let _ = match page {
        TopPage::Overview => draw(&mut out, view, rows),
        TopPage::Streams => table(&mut out, list(&view["streams"]), rows),
        TopPage::Upstreams => pages::upstreams(&mut out, &told),
        TopPage::Errors => pages::errors(&mut out, &told),
        TopPage::Models => pages::usage(&mut out, &told),
        TopPage::Configuration => pages::configuration(&mut out, &told),
        TopPage::Fleet => fleet::draw(&mut out, document, rows),
    };
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

/// What tells how a stream goes stands first: a narrow window cuts off the rest.
fn table(out: &mut String, streams: &[Value], rows_max: usize) -> std::fmt::Result {
    writeln!(
        out,
        "\n{:<26} {:>10} {:>8} {:>10} {:<9} {:<20} {:<32} {:<18} {:>9}",
        "REQUEST", "AGE", "TOKENS", "GAP", "WAITS FOR", "PHASE", "ENDPOINT", "CLIENT", "BUFFERED"
    )?;
    for stream in streams.iter().take(rows_max) {
        let text = |name: &str, max: usize| shown(&stream[name], max);
        writeln!(
            out,
            "{:<26} {:>10} {:>8} {:>10} {:<9} {:<20} {:<32} {:<18} {:>9}",
            text("request_id", 26),
            span(stream["age_ms"].as_f64().unwrap_or_default()),
            match &stream["tokens"] {
                Value::Null => "-".to_owned(),
                tokens => format!("{}{}", mark(&stream["tokens_estimated"]), shown(tokens, FIGURE)),
            },
            span(stream["gap_ms"].as_f64().unwrap_or_default()),
            text("waits_for", 9),
            text("phase", 20),
            text("endpoint", 32),
            text("client", 18),
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
    if *estimated == true { "≈" } else { "" }
}

/// A value of somebody else's: an id is chosen by a client, and who answers at the admin address may
/// be anybody. So it is as long as there is room for, and what acts on a terminal is escaped.
fn shown(value: &Value, max: usize) -> String {
    match value {
        Value::String(text) => cut(&escaped(text), max),
        Value::Number(number) => cut(&number.to_string(), max),
        Value::Null => "-".to_owned(),
        _ => "?".to_owned(),
    }
}

/// As much as there is room for; a mark stands where there was more.
fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
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
