//! The authoriser, asked: threads that may block take questions from the foyer, and lay answers there.
//!
//! ```text
//!   foyer ──line──▶ one of `concurrency` threads ── GET ──▶ the authoriser
//!     ▲                        └── judge ──▶ settle ──▶ workers
//!     └── a worker: a request of which nobody here knows whose it is
//! ```
//!
//! * A question is asked once. What becomes of it when there is no answer the workers know: nobody is let in.
//! * A redirect is not followed: who is asked is a matter of the configuration.
//! * Of an answer the head is read, and nothing behind it.
//! * One line tells that it fails, one that it answers again. No credential stands in them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::client::{Ask, AskFailure, Whereabouts};
use crate::config::snapshot::{AuthPlace, Authoriser, Snapshot, TlsDialer};
use crate::gate::authoriser::answer::{AuthAnswer, judge};
use crate::gate::authoriser::foyer::{AuthAsking, Decided, Foyer};
use crate::sys;

/// Who asks for all workers of a process.
#[derive(Default)]
pub struct AuthoriserPool(Mutex<Option<Running>>);

/// The threads that ask one authoriser.
struct Running {
    foyer: Arc<Foyer>,
    line: Arc<Line>,
}

impl Drop for Running {
    /// They end when their questions are over; nobody waits for them.
    fn drop(&mut self) {
        self.foyer.close();
    }
}

impl AuthoriserPool {
    /// Asks the authoriser of this generation from now on, if it has one.
    pub fn follow(&self, snapshot: &Snapshot) -> io::Result<()> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = &snapshot.gate;
        let Some((authoriser, place)) = gate.gate.authoriser.as_ref().zip(gate.auth_place.as_ref())
        else {
            *running = None;
            return Ok(());
        };
        match &*running {
            // Files of TLS may be others under the same names.
            Some(known) if Arc::ptr_eq(&known.foyer, &authoriser.foyer) => known.line.dial_anew(),
            _ => *running = Some(start(authoriser, place)?),
        }
        Ok(())
    }

    /// Ends it.
    pub fn stop(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn start(authoriser: &Arc<Authoriser>, place: &AuthPlace) -> io::Result<Running> {
    let foyer = Arc::clone(&authoriser.foyer);
    let line = Arc::new(Line {
        authoriser: Arc::clone(authoriser),
        place: place.clone(),
        dialer: Mutex::default(),
        fails: AtomicBool::new(false),
    });
    line.dial_anew();
    let running = Running { foyer: Arc::clone(&foyer), line: Arc::clone(&line) };
    let end = Arc::new(Mutex::new(foyer.open()));
    for number in 0..place.concurrency {
        let (line, end) = (Arc::clone(&line), Arc::clone(&end));
        let name = format!("auth-{number}");
        thread::Builder::new().name(name).spawn(move || line.run(&end))?;
    }
    Ok(running)
}

/// Why it has not decided.
#[derive(Debug)]
enum Undecided {
    Asked(AskFailure),
    /// It says yes to somebody whom nobody can name, or gives them what nobody can count.
    Unclear(&'static str),
    /// Its TLS files cannot be read.
    Files,
}

impl std::fmt::Display for Undecided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Undecided::Asked(AskFailure::Status(status @ 300..=399)) => {
                write!(f, "status {status}: a redirect is not followed")
            }
            Undecided::Asked(AskFailure::Status(status)) => {
                write!(f, "status {status} is neither yes nor no")
            }
            Undecided::Asked(failure) => failure.fmt(f),
            Undecided::Unclear(why) => write!(f, "its yes is not understood: {why}"),
            Undecided::Files => f.write_str("the files for TLS to it cannot be read"),
        }
    }
}

/// What its threads share.
struct Line {
    authoriser: Arc<Authoriser>,
    place: AuthPlace,
    dialer: Mutex<Option<Arc<TlsDialer>>>,
    /// The last answer that came decided nothing, and that was told.
    fails: AtomicBool,
}

impl Line {
    /// Reads the files of TLS. What cannot be read leaves those that were.
    fn dial_anew(&self) {
        let Some(files) = &self.place.tls else { return };
        match files.dialer(&self.place.authority, sys::time_of_day()) {
            Ok(dialer) => {
                let mut known = self.dialer.lock().unwrap_or_else(PoisonError::into_inner);
                *known = Some(Arc::new(dialer));
            }
            Err(flaw) => log::error!("authoriser: {flaw}"),
        }
    }

    /// Asks what comes out of the line, until nothing can any more.
    fn run(&self, end: &Mutex<Receiver<AuthAsking>>) {
        let foyer = &self.authoriser.foyer;
        loop {
            let next = end.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(asking) = next else { return };
            if !foyer.begin(&asking) {
                continue;
            }
            let (answer, holds) = match self.ask(&asking.question.lines) {
                Ok((AuthAnswer::Unclear(why), holds)) => {
                    self.tell(Some(&Undecided::Unclear(why)));
                    (AuthAnswer::Unclear(why), holds)
                }
                Ok(answer) => {
                    self.tell(None);
                    answer
                }
                Err(why) => {
                    self.tell(Some(&why));
                    (AuthAnswer::Failed, Duration::ZERO)
                }
            };
            let now = sys::now();
            foyer.settle(asking, Decided { answer, until: now + holds }, now);
        }
    }

    /// What it says, and how long that holds.
    fn ask(&self, lines: &str) -> Result<(AuthAnswer, Duration), Undecided> {
        let AuthPlace { authority, path, tls, .. } = &self.place;
        let dialer = self.dialer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if tls.is_some() && dialer.is_none() {
            return Err(Undecided::Files);
        }
        let port = if tls.is_some() { ":443" } else { ":80" };
        let ask = Ask {
            to: Whereabouts::Name(authority),
            tls: dialer.as_deref(),
            host: authority.strip_suffix(port).unwrap_or(authority),
            path,
            agent: "sluicegate-auth",
            lines,
            rules: None,
            post: None,
            timeout: self.authoriser.settings.timeout,
        };
        let told = ask.begin().map_err(Undecided::Asked)?;
        let judged = judge(&self.authoriser.settings, told.status, &|name| told.fields(name));
        match judged.0 {
            AuthAnswer::Failed => Err(Undecided::Asked(AskFailure::Status(told.status))),
            _ => Ok(judged),
        }
    }

    /// Tells that it fails, and why, or that it does not any more.
    fn tell(&self, why: Option<&Undecided>) {
        let failed = self.fails.swap(why.is_some(), Ordering::Relaxed);
        let AuthPlace { authority, path, .. } = &self.place;
        match why {
            Some(why) if !failed => log::error!(
                "authoriser: {authority}{path}: {why}; requests that it has not decided about are \
                 refused"
            ),
            None if failed => log::info!("authoriser: it decides again"),
            _ => {}
        }
    }
}
