//! Spent: what keys have used up of their budgets, kept in a file over a restart.
//!
//! The workers add to words that they share (`gate/budget.rs`); a thread here looks at them once a second
//! and writes the file when they have changed. So a crash forgets a second, and an end nothing.
//!
//! * What is of another day or month than today's is not kept: it counts for nothing.
//! * A successor reads the file when it starts. From then on the file is its own: who has handed over
//!   writes no more.
//! * A file that cannot be read, or is none of ours, is told in the log, and budgets begin at nothing.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::snapshot::{Gate, Snapshot};
use crate::files::{self, Unread};
use crate::gate::budget::Period;
use crate::gate::token::subjects::{SubjectId, SubjectSpent};

/// How often is looked for what has changed.
const INTERVAL: Duration = Duration::from_secs(1);
const FILE_BYTES_MAX: u64 = 64 << 20;
const PERIODS: [Period; 2] = [Period::Day, Period::Month];

/// Keeps the file, from another thread.
#[derive(Debug)]
pub struct SpentKeeper {
    gate: Arc<Mutex<Arc<Gate>>>,
    /// Whether the file is to be written once more.
    stop: Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SpentKeeper {
    /// Gives the keys what the file says that they have spent, and keeps the file from now on. `None`:
    /// there is to be none.
    pub fn start(
        snapshot: &Snapshot,
        unix: impl Fn() -> u64 + Send + 'static,
    ) -> io::Result<Option<SpentKeeper>> {
        let Some(path) = snapshot.gate.spent_file.clone() else { return Ok(None) };
        restore(&path, &snapshot.gate.gate, unix());
        let gate = Arc::new(Mutex::new(Arc::clone(&snapshot.gate.gate)));
        let (stop, stopped) = mpsc::channel();
        let watched = Arc::clone(&gate);
        let keeps = move || {
            let mut file = SpentFile { path, written: None, failed: false };
            loop {
                let told = stopped.recv_timeout(INTERVAL);
                let now = Arc::clone(&watched.lock().unwrap_or_else(PoisonError::into_inner));
                if matches!(told, Err(RecvTimeoutError::Timeout) | Ok(true)) {
                    file.keep(&now, unix());
                }
                if told != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("spent".into()).spawn(keeps)?;
        Ok(Some(SpentKeeper { gate, stop, thread: Mutex::new(Some(thread)) }))
    }

    /// Keeps what the keys of this generation spend.
    pub fn follow(&self, snapshot: &Snapshot) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        *gate = Arc::clone(&snapshot.gate.gate);
    }

    /// A successor keeps the file.
    pub fn retire(&self) {
        // One that has ended writes no more either.
        let _ = self.stop.send(false);
    }

    /// Writes the file once more, if it is still ours.
    pub fn finish(&self) {
        let _ = self.stop.send(true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic of the thread has been told.
        let _ = thread.map(JoinHandle::join);
    }
}

#[derive(Debug)]
struct SpentFile {
    path: PathBuf,
    /// What it holds.
    written: Option<String>,
    /// The last writing has failed, which was told.
    failed: bool,
}

impl SpentFile {
    fn keep(&mut self, gate: &Gate, unix: u64) {
        let text = text_of(gate, unix);
        if self.written.as_ref() == Some(&text) {
            return;
        }
        match files::replace(&self.path, &text) {
            Ok(()) => (self.written, self.failed) = (Some(text), false),
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    let path = self.path.display();
                    log::error!("{path}: what keys have spent cannot be kept: {error}");
                }
            }
        }
    }
}

/// What the keys have spent in the periods that this second lies in.
fn text_of(gate: &Gate, unix: u64) -> String {
    let mut keys = serde_json::Map::new();
    for key in gate.keys.keys() {
        let mut row = serde_json::Map::new();
        for period in PERIODS {
            let (tokens, cost) = key.used.spent(period, unix);
            if tokens > 0 || cost > 0 {
                let number = period.number(unix);
                let spent = json!({ "number": number, "tokens": tokens, "cost_billionths": cost });
                row.insert(period.name().to_owned(), spent);
            }
        }
        if !row.is_empty() {
            keys.insert(key.settings.name.clone(), Value::Object(row));
        }
    }
    let mut issuers = serde_json::Map::new();
    for SubjectSpent { id, spent } in gate.subjects.spent(unix) {
        let mut row = serde_json::Map::new();
        for (period, (tokens, cost)) in PERIODS.into_iter().zip(spent) {
            if tokens > 0 || cost > 0 {
                let number = period.number(unix);
                let spent = json!({ "number": number, "tokens": tokens, "cost_billionths": cost });
                row.insert(period.name().to_owned(), spent);
            }
        }
        let subjects = issuers.entry(id.issuer).or_insert_with(|| json!({}));
        if let Some(subjects) = subjects.as_object_mut() {
            subjects.insert(id.name, Value::Object(row));
        }
    }
    let document = match issuers.is_empty() {
        true => json!({ "keys": keys }),
        false => json!({ "keys": keys, "issuers": issuers }),
    };
    let mut text = format!("{document:#}");
    text.push('\n');
    text
}

fn restore(path: &Path, gate: &Gate, unix: u64) {
    let told = |why: &str| {
        log::error!("{}: {why}: budgets begin at nothing", path.display());
    };
    let bytes = match files::read(path, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(Unread::Failed(error)) if error.kind() == ErrorKind::NotFound => return,
        Err(unread) => return told(&unread.to_string()),
    };
    let Ok(document) = serde_json::from_slice::<Value>(&bytes) else {
        return told("this is no JSON");
    };
    for key in gate.keys.keys() {
        for period in PERIODS {
            let row = &document["keys"][&key.settings.name][period.name()];
            let number = period.number(unix);
            if row["number"].as_u64() == Some(number) {
                let [tokens, cost] = ["tokens", "cost_billionths"].map(|it| row[it].as_u64());
                key.used.spend(period, number, tokens.unwrap_or(0), cost.unwrap_or(0));
            }
        }
    }
    // Those of an issuer that is not here now may be wanted again: they are kept as the others are.
    let issuers = document["issuers"].as_object().into_iter().flatten();
    for (issuer, subjects) in issuers {
        for (name, subject) in subjects.as_object().into_iter().flatten() {
            for period in PERIODS {
                let (row, number) = (&subject[period.name()], period.number(unix));
                if row["number"].as_u64() == Some(number) {
                    let [tokens, cost] = ["tokens", "cost_billionths"].map(|it| row[it].as_u64());
                    let id = SubjectId { issuer: issuer.clone(), name: name.clone() };
                    let (tokens, cost) = (tokens.unwrap_or(0), cost.unwrap_or(0));
                    gate.subjects.restore(id, period, number, tokens, cost);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::{KeyDigest, KeySettings, KeyTable};

    /// 2026-12-01T12:00:00Z
    const NOON: u64 = 1_796_126_400;

    fn gate() -> Gate {
        let keys =
            ["a", "b"].map(|name| KeySettings::unlimited(name, KeyDigest::of(name.as_bytes())));
        Gate { keys: KeyTable::new(keys), passes_keys: false, guess_tokens: 0, ..Gate::default() }
    }

    fn spent(gate: &Gate, period: Period, unix: u64) -> Vec<(u64, u64)> {
        gate.keys.keys().iter().map(|key| key.used.spent(period, unix)).collect()
    }

    #[test]
    fn what_was_spent_is_found_again_as_long_as_it_counts() {
        let path = std::env::temp_dir().join(format!("sluicegate-spent-{}", std::process::id()));
        let mut file = SpentFile { path: path.clone(), written: None, failed: false };
        let before = gate();
        let used = &before.keys.keys()[0].used;
        for period in PERIODS {
            used.spend(period, period.number(NOON), 70, 9);
        }
        file.keep(&before, NOON);
        let after = gate();
        restore(&path, &after, NOON + 60);
        assert_eq!(spent(&after, Period::Day, NOON), [(70, 9), (0, 0)]);
        assert_eq!(spent(&after, Period::Month, NOON), [(70, 9), (0, 0)]);
        // Those who came by tokens as well.
        let id = SubjectId { issuer: "corp".into(), name: "a|b\"".into() };
        before.subjects.restore(id, Period::Month, Period::Month.number(NOON), 5, 6);
        file.keep(&before, NOON);
        let later = gate();
        restore(&path, &later, NOON + 60);
        assert_eq!(later.subjects.spent(NOON + 60), before.subjects.spent(NOON));
        assert_eq!(later.subjects.spent(NOON).len(), 1);
        let tomorrow = gate();
        restore(&path, &tomorrow, NOON + 86_400);
        assert_eq!(spent(&tomorrow, Period::Day, NOON + 86_400), [(0, 0), (0, 0)]);
        assert_eq!(spent(&tomorrow, Period::Month, NOON + 86_400), [(70, 9), (0, 0)]);
        for broken in [
            "",
            "[]",
            "{\"keys\":[1],\"issuers\":{\"a\":{\"b\":[]},\"c\":1}}",
            "{\"keys\":{\"a\":{\"day\":{\"number\":-1}}}}",
        ] {
            files::replace(&path, broken).expect("a folder for temporary files");
            let none = gate();
            restore(&path, &none, NOON);
            assert_eq!(spent(&none, Period::Day, NOON), [(0, 0), (0, 0)], "{broken}");
        }
        std::fs::remove_file(path).expect("ours");
    }
}
