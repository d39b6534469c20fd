//! Issuers: the keys of those whose tokens open, read again and again.
//!
//! ```text
//!   thread of an issuer ── GET ──▶ its JWK set        every `refresh`, sooner where its answer says so
//!          ▲        └──── IssuerKeys::put ──▶ workers, with the next token that they prove
//!          └── a worker: a token names a key that is not known
//! ```
//!
//! | what came | what follows |
//! |---|---|
//! | a set with keys that count | they are those of the issuer; asked again after `refresh`, or after `Cache-Control: max-age` if that is sooner, but for [`AGAIN`] |
//! | no answer, another status than 200, a redirect, a document that is too long or no set | the keys that are known stay, as long as `keys_age_max` says; asked again after a second, and after twice as long each time, [`PAUSE_MAX`] at most |
//! | a token with a key that is not known | asked at once, if [`AGAIN`] has passed since it was asked last |
//!
//! * Each issuer has a thread, so one that does not answer holds up no other.
//! * A redirect is not followed: where keys are is a matter of the configuration.
//! * One line tells that it fails, one that it is well again, one that keys have changed. No key and no
//!   token stands in them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::client::{Ask, AskFailure, Whereabouts};
use crate::config::snapshot::{IssuerKeys, IssuerSettings, KeySource, KeysPlace, Snapshot};
use crate::files;
use crate::gate::token::jwks::{KeySet, NoKeySet};
use crate::sys;

#[cfg(test)]
mod tests;

/// For the whole of an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// No document is longer: a hundred keys of 8192 bits fit into it.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// Nobody can have an issuer asked more often than so, whatever tokens they send.
const AGAIN: Duration = Duration::from_secs(10);
/// The pause behind a failure; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Reads the keys of all issuers of a process.
#[derive(Default)]
pub struct IssuerWatch(Mutex<Vec<Reader>>);

/// The thread of one issuer.
struct Reader {
    keys: Arc<IssuerKeys>,
    source: KeySource,
    thread: Thread,
    stopped: Arc<AtomicBool>,
}

impl Drop for Reader {
    /// It ends when its question is over; nobody waits for it.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl IssuerWatch {
    /// Reads the keys of the issuers of this generation from now on.
    pub fn follow(&self, snapshot: &Snapshot) -> io::Result<()> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *readers);
        for (issuer, source) in snapshot.gate.gate.issuers.iter().zip(&snapshot.gate.key_sources) {
            let same = |it: &Reader| Arc::ptr_eq(&it.keys, &issuer.keys) && it.source == *source;
            readers.push(match old.iter().position(same) {
                Some(at) => old.swap_remove(at),
                None => Reader::start(&issuer.settings, &issuer.keys, source)?,
            });
        }
        Ok(())
    }

    /// Ends all of them.
    pub fn stop(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Reader {
    fn start(
        settings: &IssuerSettings,
        keys: &Arc<IssuerKeys>,
        source: &KeySource,
    ) -> io::Result<Reader> {
        let stopped = Arc::<AtomicBool>::default();
        let read = Reading {
            settings: settings.clone(),
            keys: Arc::clone(keys),
            source: source.clone(),
            failed: 0,
        };
        let over = Arc::clone(&stopped);
        let name = format!("issuer-{}", settings.name);
        let thread = thread::Builder::new().name(name).spawn(move || read.run(&over))?;
        let thread = thread.thread().clone();
        let reader = thread.clone();
        keys.on_want(move || reader.unpark());
        Ok(Reader { keys: Arc::clone(keys), source: source.clone(), thread, stopped })
    }
}

/// Why there are no keys.
#[derive(Debug)]
enum NoKeys {
    Asked(AskFailure),
    File(String),
    Document(NoKeySet),
}

impl std::fmt::Display for NoKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoKeys::Asked(AskFailure::Status(status @ 300..=399)) => {
                write!(f, "status {status}: a redirect is not followed")
            }
            NoKeys::Asked(failure) => failure.fmt(f),
            NoKeys::File(why) => f.write_str(why),
            NoKeys::Document(why) => why.fmt(f),
        }
    }
}

struct Reading {
    settings: IssuerSettings,
    keys: Arc<IssuerKeys>,
    source: KeySource,
    /// How many times in a row there was no answer.
    failed: u32,
}

impl Reading {
    fn run(mut self, over: &AtomicBool) {
        // What a file says was read with the configuration.
        let now = Instant::now();
        let mut asked = now.checked_sub(AGAIN).unwrap_or(now);
        let mut due = match self.source.place {
            KeysPlace::File(_) => Instant::now() + self.source.refresh,
            KeysPlace::Url { .. } => Instant::now(),
        };
        while !over.load(Ordering::Acquire) {
            let now = Instant::now();
            if self.keys.heard() {
                due = due.min(asked + AGAIN);
            }
            if now < due {
                thread::park_timeout(due - now);
                continue;
            }
            let pause = self.read();
            // What was asked for while it was read, it may have been.
            self.keys.heard();
            asked = Instant::now();
            due = asked + pause;
        }
    }

    /// Reads them once. How long to wait before the next time.
    fn read(&mut self) -> Duration {
        let name = &self.settings.name;
        match self.fetch() {
            Ok((set, fresh)) => {
                if std::mem::take(&mut self.failed) > 0 {
                    log::info!("issuer {name}: its keys are read again");
                }
                let (count, flaws) = (set.len(), set.flaws.join("; "));
                if self.keys.put(set, sys::time_of_day().as_secs()) {
                    log::info!("issuer {name}: {count} keys");
                    if !flaws.is_empty() {
                        log::warn!("issuer {name}: passed over: {flaws}");
                    }
                }
                let sooner = fresh.map_or(self.source.refresh, |fresh| fresh.max(AGAIN));
                sooner.min(self.source.refresh)
            }
            Err(why) => {
                if self.failed == 0 {
                    let age = self.keys.age(sys::time_of_day().as_secs());
                    let until = match age {
                        None => "its tokens are refused until they can be".to_owned(),
                        Some(_) => {
                            let most = self.settings.keys_age_max.as_secs();
                            format!("those that are known count for {most} s at most")
                        }
                    };
                    let place = &self.source.place;
                    log::error!(
                        "issuer {name}: its keys cannot be read at {place}: {why}; {until}"
                    );
                }
                self.failed = self.failed.saturating_add(1);
                let doubled = PAUSE * (1 << self.failed.saturating_sub(1).min(5));
                doubled.min(PAUSE_MAX).min(self.source.refresh)
            }
        }
    }

    /// The keys, and for how long an answer says that they hold.
    fn fetch(&self) -> Result<(KeySet, Option<Duration>), NoKeys> {
        let (document, fresh) = match &self.source.place {
            KeysPlace::File(path) => {
                let read = files::read(path, DOCUMENT_BYTES_MAX as u64);
                (read.map_err(|why| NoKeys::File(why.to_string()))?, None)
            }
            KeysPlace::Url { authority, path, tls } => {
                let dialer = match tls {
                    None => None,
                    Some(files) => {
                        let dialer = files.dialer(authority, sys::time_of_day());
                        Some(dialer.map_err(|flaw| NoKeys::File(flaw.to_string()))?)
                    }
                };
                let port = if tls.is_some() { ":443" } else { ":80" };
                let ask = Ask {
                    to: Whereabouts::Name(authority),
                    tls: dialer.as_ref(),
                    host: authority.strip_suffix(port).unwrap_or(authority),
                    path,
                    agent: "sluicegate-issuers",
                    lines: "",
                    rules: None,
                    post: None,
                    timeout: TIMEOUT,
                };
                let answer = ask.begin().map_err(NoKeys::Asked)?;
                if answer.status != 200 {
                    return Err(NoKeys::Asked(AskFailure::Status(answer.status)));
                }
                let fresh = answer.field("cache-control").and_then(|told| max_age(&told));
                (answer.document(DOCUMENT_BYTES_MAX).map_err(NoKeys::Asked)?, fresh)
            }
        };
        let set = KeySet::read(&document, &self.settings.algorithms).map_err(NoKeys::Document)?;
        Ok((set, fresh))
    }
}

/// `max-age` of a `Cache-Control` (RFC 9111 §5.2.2.1).
pub(super) fn max_age(field: &str) -> Option<Duration> {
    let mut directives = field.split(',').map(str::trim);
    let seconds = directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().trim_matches('"'))
    })?;
    seconds.parse().ok().map(Duration::from_secs)
}
