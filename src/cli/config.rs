//! `sluicegate config`: a configuration in a store, read and changed.
//!
//! What is asked for goes to standard output, and can be put back as it is; what became of a change
//! goes to standard error. A change is made against what was read before it: who comes second is told
//! so, and loses nothing.

mod canary;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use similar::TextDiff;

use self::canary::{CanaryLine, Trying};
use super::check::{tell_refused, tell_warnings};
use super::{Exit, complain};
use crate::config::folder_of;
use crate::config::parts::{ConfigText, WHOLE, is_part_name};
use crate::escape::escaped;
use crate::lifecycle::place::{StorePlace, read_file};
use crate::lifecycle::source::{compile, follow};
use crate::lifecycle::store::EtcdFailure;
use crate::lifecycle::store::canary::CanaryOutcome;
use crate::lifecycle::store::record::{
    Author, ChangeRecord, Parts, PushOutcome, StoreContents, history, statuses,
};
use crate::sys;

/// `sluicegate config`
#[derive(Args, Clone, Debug)]
pub struct ConfigArguments {
    #[command(subcommand)]
    action: Action,
}

/// Where the store is.
#[derive(Args, Clone, Debug)]
struct Store {
    /// etcd://[USER@]HOST:PORT[,HOST:PORT]/PREFIX, etcds:// under TLS; the password stands in
    /// SLUICEGATE_STORE_PASSWORD
    #[arg(long, value_name = "STORE")]
    store: StorePlace,
}

/// Who makes a change, and why.
#[derive(Args, Clone, Debug)]
struct Why {
    /// Why, in a line
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    message: String,
    /// Who makes the change [default: the user's name and the host's]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

const DIFF: &str = "\
Exit codes:
  0  a push would change nothing
  1  it would change what is shown
  2  the arguments were not understood
  3  nothing could be compared: the file cannot be read, the store is away or refuses";

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Put a file into the store, as the whole configuration or as a part of it
    Push {
        file: PathBuf,
        /// The part: config, upstreams/NAME, routes/NAME, prices/NAME or keys/NAME
        #[arg(long, value_name = "PART", default_value = WHOLE)]
        part: String,
        /// Put it there although it, or what it makes of the whole, is refused on this machine
        #[arg(long)]
        unchecked: bool,
        #[command(flatten)]
        trying: Trying,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        store: Store,
    },
    /// Take a part out of the store
    Remove {
        /// The part: upstreams/NAME, routes/NAME, prices/NAME, keys/NAME or config
        part: String,
        /// Take it out although what is left is refused on this machine
        #[arg(long)]
        unchecked: bool,
        #[command(flatten)]
        trying: Trying,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        store: Store,
    },
    /// Print what the store holds, or one part of it
    Pull {
        /// The part: config, upstreams/NAME, routes/NAME, prices/NAME or keys/NAME
        #[arg(long, value_name = "PART")]
        part: Option<String>,
        #[command(flatten)]
        store: Store,
    },
    /// Show what a push of this file would change
    #[command(after_help = DIFF)]
    Diff {
        file: PathBuf,
        /// The part: config, upstreams/NAME, routes/NAME, prices/NAME or keys/NAME
        #[arg(long, value_name = "PART", default_value = WHOLE)]
        part: String,
        #[command(flatten)]
        store: Store,
    },
    /// Check what the store holds, as a gateway on this machine would
    Validate {
        #[command(flatten)]
        store: Store,
    },
    /// Tell what each running gateway says of itself
    Status {
        #[command(flatten)]
        store: Store,
    },
    /// Tell who changed what, and when; the latest last
    History {
        #[command(flatten)]
        store: Store,
    },
    /// Tell how the change stands that a share of the gateways tries, or what became of the last one
    Canary {
        #[command(flatten)]
        store: Store,
    },
    /// Give the change that a share of the gateways tries to all of them
    Promote {
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        store: Store,
    },
    /// Take the change back that a share of the gateways tries
    Abort {
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        store: Store,
    },
    /// Make everything as a change of the history left it, in a new change
    Rollback {
        /// The number of that change
        number: u64,
        /// Do it although that is refused on this machine
        #[arg(long)]
        unchecked: bool,
        #[command(flatten)]
        trying: Trying,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        store: Store,
    },
}

/// Why a command has not done it.
enum Failed {
    Store(EtcdFailure),
    /// Refused, for these reasons.
    Refused(Vec<String>),
    Plain(String),
    /// The caller reads no more, or cannot be written to.
    Output(io::Error),
}

impl From<EtcdFailure> for Failed {
    fn from(failure: EtcdFailure) -> Failed {
        Failed::Store(failure)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Output(error)
    }
}

pub fn execute(arguments: &ConfigArguments) -> Exit {
    let (place, done) = match &arguments.action {
        Action::Push { file, part, unchecked, trying, why, store } => {
            let how = How { unchecked: *unchecked, trying, why };
            (&store.store, push(&store.store, file, part, how))
        }
        Action::Remove { part, unchecked, trying, why, store } => {
            let how = How { unchecked: *unchecked, trying, why };
            (&store.store, remove(&store.store, part, how))
        }
        Action::Pull { part, store } => (&store.store, pull(&store.store, part.as_deref())),
        Action::Diff { file, part, store } => (&store.store, diff(&store.store, file, part)),
        Action::Validate { store } => (&store.store, validate(&store.store)),
        Action::Status { store } => (&store.store, tell_status(&store.store)),
        Action::History { store } => (&store.store, tell_history(&store.store)),
        Action::Canary { store } => (&store.store, canary::tell(&store.store)),
        Action::Promote { why, store } => {
            (&store.store, canary::decide(&store.store, CanaryOutcome::Promoted, why))
        }
        Action::Abort { why, store } => {
            (&store.store, canary::decide(&store.store, CanaryOutcome::Stopped, why))
        }
        Action::Rollback { number, unchecked, trying, why, store } => {
            let how = How { unchecked: *unchecked, trying, why };
            (&store.store, roll_back(&store.store, *number, how))
        }
    };
    match done {
        Ok(exit) => exit,
        Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(failed) => {
            match failed {
                Failed::Store(failure) => complain(&format!("{place}: {failure}")),
                Failed::Refused(reasons) => {
                    let _ = tell_refused(place, &reasons);
                }
                Failed::Plain(reason) => complain(&reason),
                Failed::Output(error) => complain(&error),
            }
            match arguments.action {
                Action::Diff { .. } => Exit::NotCompared,
                _ => Exit::Failure,
            }
        }
    }
}

/// How a change is made.
#[derive(Clone, Copy)]
struct How<'a> {
    /// Without a check on this machine.
    unchecked: bool,
    trying: &'a Trying,
    why: &'a Why,
}

/// What a store holds, read for a change.
struct PartsSession<'a> {
    place: &'a StorePlace,
    held: StoreContents,
    parts: Parts,
}

impl PartsSession<'_> {
    fn open(place: &StorePlace) -> Result<PartsSession<'_>, Failed> {
        let held = StoreContents::read(place)?;
        let parts = held.parts().map_err(|reason| Failed::Refused(vec![reason]))?;
        Ok(PartsSession { place, held, parts })
    }

    /// Checks what the parts make, where relative paths begin in `folder`, and tells what is odd.
    fn check(&self, folder: PathBuf) -> Result<(), Failed> {
        if self.parts.is_empty() {
            return Err(Failed::Refused(vec![format!("{}: there is nothing here", self.place)]));
        }
        let parts = self.parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
        let text = ConfigText::of_parts(&self.place.to_string(), parts).map_err(Failed::Refused)?;
        let loaded = compile(&text, folder.clone()).map_err(Failed::Refused)?;
        tell_warnings(&text, &loaded.warnings)?;
        Ok(())
    }

    /// Tells what gateways that obey the store now would say of the parts. What is tried has to be
    /// something that they can obey.
    fn check_running(&self, folder: PathBuf, is_tried: bool) -> Result<(), Failed> {
        let parts = self.parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
        let text = ConfigText::of_parts(&self.place.to_string(), parts).map_err(Failed::Refused)?;
        let running = self.held.text().and_then(|held| compile(&held, folder.clone()).ok());
        let Some(running) = running else { return Ok(()) };
        match follow(&text, &running.snapshot, folder) {
            Err(reasons) if is_tried => Err(Failed::Refused(reasons)),
            Err(reasons) => {
                for reason in reasons {
                    writeln!(io::stderr(), "warning: {reason}")?;
                }
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Makes the parts what they are now, or has that tried, and says so.
    fn save(mut self, how: How<'_>, folder: PathBuf, default: &str) -> Result<Exit, Failed> {
        let (place, why) = (self.place, how.why);
        // Before anything else: what is under way explains what else is odd.
        if let Some(canary) = self.held.canary.running() {
            return Err(canary::under_way(place, canary.number));
        }
        if !how.unchecked {
            self.check(folder.clone())?;
            self.check_running(folder, how.trying.is_wanted())?;
        }
        let message = if why.message.is_empty() { default } else { &why.message };
        let author =
            Author { by: why.by.clone().unwrap_or_else(someone), message: message.to_owned() };
        let (done, gateways) = match how.trying.trial(place)? {
            None => (self.held.change(self.parts, author)?, None),
            Some(trial) => {
                let (done, gateways) = self.held.begin_canary(self.parts, author, &trial)?;
                (done, Some(gateways.join(", ")))
            }
        };
        match (done, gateways) {
            (PushOutcome::Made(number, revision), None) => {
                eprintln!("{place}: change {number}, revision {revision}");
                Ok(Exit::Success)
            }
            (PushOutcome::Made(number, _), Some(gateways)) => {
                let told = format!("{place}: change {number} goes to {gateways} first");
                eprintln!("{}", escaped(&told));
                Ok(Exit::Success)
            }
            (PushOutcome::Nothing, _) => {
                eprintln!("{place}: it is so already");
                Ok(Exit::Success)
            }
            (PushOutcome::UnderWay(number), _) => Err(canary::under_way(place, number)),
            (PushOutcome::Lost, _) => Err(Failed::Plain(format!(
                "{place}: somebody else has changed it meanwhile; nothing was written, try again"
            ))),
        }
    }
}

/// `user@host`
fn someone() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let host = sys::host_name().unwrap_or_else(|| "somewhere".to_owned());
    format!("{}@{host}", user.as_deref().unwrap_or("somebody"))
}

fn text_of_file(file: &Path) -> Result<String, Failed> {
    read_file(file).map(|text| text.text().to_owned()).map_err(Failed::Refused)
}

fn push(place: &StorePlace, file: &Path, part: &str, how: How<'_>) -> Result<Exit, Failed> {
    if !is_part_name(part) {
        return Err(Failed::Plain(format!(
            "{part:?} is no part: parts are config, upstreams/NAME, routes/NAME, prices/NAME, keys/NAME"
        )));
    }
    let text = text_of_file(file)?;
    let mut session = PartsSession::open(place)?;
    session.parts.insert(part.to_owned(), text);
    session.save(how, folder_of(file), &format!("push {part}"))
}

fn remove(place: &StorePlace, part: &str, how: How<'_>) -> Result<Exit, Failed> {
    let mut session = PartsSession::open(place)?;
    if session.parts.remove(part).is_none() {
        return Err(Failed::Plain(format!("{place}: there is no {part:?}")));
    }
    session.save(how, std::env::current_dir().unwrap_or_default(), &format!("remove {part}"))
}

fn pull(place: &StorePlace, part: Option<&str>) -> Result<Exit, Failed> {
    let session = PartsSession::open(place)?;
    let mut out = io::stdout().lock();
    match part {
        Some(part) => match session.parts.get(part) {
            Some(text) => out.write_all(text.as_bytes())?,
            None => return Err(Failed::Plain(format!("{place}: there is no {part:?}"))),
        },
        None => {
            let parts = session.parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
            let text = ConfigText::of_parts(&place.to_string(), parts).map_err(Failed::Refused)?;
            out.write_all(text.text().as_bytes())?;
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}

fn diff(place: &StorePlace, file: &Path, part: &str) -> Result<Exit, Failed> {
    let text = text_of_file(file)?;
    let session = PartsSession::open(place)?;
    let held = session.parts.get(part).map_or("", String::as_str);
    if held == text {
        return Ok(Exit::Success);
    }
    let difference = TextDiff::from_lines(held, &text);
    let from = format!("{place}/{part}");
    let to = escaped(&file.display().to_string()).into_owned();
    let mut out = io::stdout().lock();
    write!(out, "{}", difference.unified_diff().header(&from, &to))?;
    out.flush()?;
    Ok(Exit::Failure)
}

fn validate(place: &StorePlace) -> Result<Exit, Failed> {
    let folder = std::env::current_dir().unwrap_or_default();
    let session = PartsSession::open(place)?;
    session.check(folder.clone())?;
    session.check_running(folder, false)?;
    eprintln!("{place}: good");
    Ok(Exit::Success)
}

fn tell_status(place: &StorePlace) -> Result<Exit, Failed> {
    let mut out = io::stdout().lock();
    let statuses = statuses(place)?;
    if statuses.is_empty() {
        eprintln!("{place}: no gateway has said anything of itself here");
    }
    for status in statuses {
        let word = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        let stands = if status["in_force"] == true { "in force" } else { "refused" };
        let tried = match status["obeys"] == "candidate" {
            true => format!("  tries change {}", status["canary"]["number"]),
            false => String::new(),
        };
        let line = format!("{}  revision {}  {stands}{tried}", word("gateway"), status["revision"]);
        writeln!(out, "{}", escaped(&line))?;
        for reason in status["refused"].as_array().into_iter().flatten() {
            writeln!(out, "  {}", escaped(reason.as_str().unwrap_or_default()))?;
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}

fn tell_history(place: &StorePlace) -> Result<Exit, Failed> {
    let mut out = io::stdout().lock();
    let changes = history(place)?;
    if changes.is_empty() {
        eprintln!("{place}: nobody has changed anything here");
    }
    for change in changes {
        writeln!(out, "{}", HistoryLine(&change))?;
    }
    if let Some(canary) = StoreContents::read(place)?.canary.running() {
        writeln!(out, "{}", escaped(&CanaryLine(canary).to_string()))?;
    }
    out.flush()?;
    Ok(Exit::Success)
}

/// A change in one line.
struct HistoryLine<'a>(&'a ChangeRecord);

impl fmt::Display for HistoryLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChangeRecord { number, revision, by, at, message, changed, .. } = self.0;
        let mut line =
            format!("{number}  revision {revision}  {at}  {by}  {}  {message}", changed.join(","));
        if let Some(decision) = &self.0.canary {
            line.push_str("  ");
            canary::decided(&mut line, decision)?;
        }
        // Somebody may have put escapes of a terminal there.
        f.write_str(&escaped(&line))
    }
}

fn roll_back(place: &StorePlace, number: u64, how: How<'_>) -> Result<Exit, Failed> {
    let mut session = PartsSession::open(place)?;
    let changes = history(place)?;
    let Some(change) = changes.into_iter().find(|change| change.number == number) else {
        return Err(Failed::Plain(format!("{place}: the history has no change {number}")));
    };
    if change.was_stopped() {
        return Err(Failed::Plain(format!(
            "{place}: change {number} was stopped while it was tried, and has left nothing to go back to"
        )));
    }
    session.parts = change.parts;
    let folder = std::env::current_dir().unwrap_or_default();
    session.save(how, folder, &format!("rollback to {number}"))
}
