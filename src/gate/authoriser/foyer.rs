//! The foyer: what the authoriser is asked now, by whom it is awaited, and which answers hold, for all
//! workers together.
//!
//! ```text
//!   worker ──ask──▶ known: at once │ asked already: waits with the others │ new: into the line
//!   thread ◀──────── line ── begin ── … the authoriser … ── settle ──▶ slot ──wake──▶ every waiting worker
//! ```
//!
//! * However many wait for a question, it is asked once.
//! * A question for which nobody waits any more is not asked.
//! * A line that is full, or has nobody at its end, is a question that has failed: nobody is let in by that.
//! * A lock is held for a look-up, when a worker meets a question that it does not know.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::AuthAnswer;
use super::question::AuthQuestion;
use crate::clock::Instant;
use crate::gate::key::KeyDigest;
use crate::gate::token::memory::Remembered;

/// Questions that wait for a thread.
pub const LINE_MAX: usize = 8_192;

/// Has whoever waits come again; called on any thread, once.
pub type Wake = Box<dyn FnOnce() + Send>;

/// An answer, and until when it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    pub answer: AuthAnswer,
    pub until: Instant,
}

impl Decided {
    /// Nothing was decided, and nobody has to remember that.
    pub fn failed(now: Instant) -> Decided {
        Decided { answer: AuthAnswer::Failed, until: now }
    }
}

/// Where the answer to one question will lie.
#[derive(Default)]
pub struct Slot(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    decided: Option<Decided>,
    wakes: Vec<Wake>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}

impl Slot {
    /// The answer, once it is there.
    pub fn look(&self) -> Option<Decided> {
        self.lock().decided.clone()
    }

    fn put(&self, decided: Decided) {
        let wakes = {
            let mut waiting = self.lock();
            waiting.decided = Some(decided);
            std::mem::take(&mut waiting.wakes)
        };
        wakes.into_iter().for_each(|wake| wake());
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question in the line.
#[derive(Debug)]
pub struct AuthAsking {
    pub question: AuthQuestion,
    slot: Arc<Slot>,
}

/// What becomes of a question.
#[derive(Debug)]
pub enum AuthAsked {
    /// It was answered before, or cannot be.
    Known(Decided),
    /// The answer will lie there. `new`: nobody else has asked it.
    Waits { slot: Arc<Slot>, new: bool },
}

/// What is asked, and what is known.
pub struct Foyer(Mutex<Inner>);

struct Inner {
    /// `None`: there is nobody who asks.
    line: Option<SyncSender<AuthAsking>>,
    asked: HashMap<KeyDigest, Arc<Slot>>,
    known: Remembered<Decided>,
}

impl std::fmt::Debug for Foyer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Foyer")
    }
}

impl Foyer {
    /// Keeps so many answers.
    pub fn of(size: usize) -> Foyer {
        let known = Remembered::of(size);
        Foyer(Mutex::new(Inner { line: None, asked: HashMap::new(), known }))
    }

    /// Takes questions from now on; they come out there.
    pub fn open(&self) -> Receiver<AuthAsking> {
        let (line, end) = sync_channel(LINE_MAX);
        self.lock().line = Some(line);
        end
    }

    /// Takes none any more. What is in the line still comes out.
    pub fn close(&self) {
        self.lock().line = None;
    }

    /// Asks, or waits with those who have.
    pub fn ask(&self, question: AuthQuestion, wake: Wake, now: Instant) -> AuthAsked {
        let mut inner = self.lock();
        let digest = question.digest;
        if let Some(known) = inner.known.get(digest).filter(|known| now < known.until) {
            return AuthAsked::Known(known.clone());
        }
        if let Some(slot) = inner.asked.get(&digest) {
            let slot = Arc::clone(slot);
            slot.lock().wakes.push(wake);
            return AuthAsked::Waits { slot, new: false };
        }
        let slot = Arc::<Slot>::default();
        slot.lock().wakes.push(wake);
        let asking = AuthAsking { question, slot: Arc::clone(&slot) };
        let taken = inner.line.as_ref().is_some_and(|line| line.try_send(asking).is_ok());
        if !taken {
            return AuthAsked::Known(Decided::failed(now));
        }
        inner.asked.insert(digest, Arc::clone(&slot));
        AuthAsked::Waits { slot, new: true }
    }

    /// Whether a question that has come out of the line is still to be asked.
    pub fn begin(&self, asking: &AuthAsking) -> bool {
        let mut inner = self.lock();
        // The table and the question itself hold it as well.
        let awaited = Arc::strong_count(&asking.slot) > 2;
        if !awaited {
            inner.asked.remove(&asking.question.digest);
        }
        awaited
    }

    /// The answer to a question is here.
    pub fn settle(&self, asking: AuthAsking, decided: Decided, now: Instant) {
        let AuthAsking { question, slot } = asking;
        let mut inner = self.lock();
        inner.asked.remove(&question.digest);
        if now < decided.until {
            inner.known.keep(question.digest, decided.clone());
        }
        drop(inner);
        slot.put(decided);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
