//! Whose request waits for the authoriser (`client/authorising.rs`), and what this worker knows of its answers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Instant;
use crate::gate::authoriser::foyer::{Decided, Slot};
use crate::gate::authoriser::memory::{AnswerMemory, Judged};
use crate::gate::key::KeyDigest;
use crate::reactor::token::Token;

/// What a worker has of the authoriser.
#[derive(Default)]
pub(crate) struct Authorising {
    memory: AnswerMemory,
    /// Connections whose request has not begun. Nothing is in here where nobody is asked.
    waiting: HashMap<Token, Standing>,
}

/// How the request of a connection stands.
enum Standing {
    Asked { slot: Arc<Slot>, question: KeyDigest, since: Instant },
    Answered(Judged),
}

impl Authorising {
    pub(crate) fn memory(&self) -> &AnswerMemory {
        &self.memory
    }

    /// A connection waits for this answer from now on.
    pub(crate) fn park(
        &mut self,
        token: Token,
        slot: Arc<Slot>,
        question: KeyDigest,
        since: Instant,
    ) {
        self.waiting.insert(token, Standing::Asked { slot, question, since });
    }

    /// The answer that a connection waits for, if it is there; its question, and since when it has waited.
    pub(crate) fn look(&self, token: Token) -> Option<(Decided, KeyDigest, Instant)> {
        match self.waiting.get(&token)? {
            Standing::Asked { slot, question, since } => Some((slot.look()?, *question, *since)),
            Standing::Answered(_) => None,
        }
    }

    /// What follows for a connection, and for whoever asks the same as long as that holds.
    pub(crate) fn learn(
        &mut self,
        token: Token,
        question: Option<KeyDigest>,
        judged: Judged,
        now: Instant,
    ) {
        if let Some(question) = question {
            self.memory.keep(question, &judged, now);
        }
        self.waiting.insert(token, Standing::Answered(judged));
    }

    /// What was said to the request of a connection, once.
    pub(crate) fn take(&mut self, token: Token) -> Option<Judged> {
        if self.waiting.is_empty() {
            return None;
        }
        match self.waiting.remove(&token)? {
            Standing::Answered(judged) => Some(judged),
            Standing::Asked { .. } => None,
        }
    }

    /// A connection is no more.
    pub(crate) fn forget(&mut self, token: Token) {
        if !self.waiting.is_empty() {
            self.waiting.remove(&token);
        }
    }

    /// Another configuration is in force: whose requests have waited under the last one.
    pub(crate) fn renew(&mut self) -> Vec<Token> {
        self.memory.clear();
        self.waiting.drain().map(|(token, _)| token).collect()
    }
}
