//! Memory: answers of the authoriser that a worker has seen, so that a request with one costs a hash and a
//! look, and no lock.
//!
//! * Bounded: the oldest goes first.
//! * It is of one generation of the configuration: another one may read other limits out of an answer.

use std::sync::Arc;

use super::Comer;
use crate::clock::Instant;
use crate::gate::Principal;
use crate::gate::key::{ApiKey, KeyDigest};
use crate::gate::refusal::GateRefusal;
use crate::gate::token::memory::Remembered;

/// What follows from an answer.
#[derive(Clone, Debug)]
pub struct Judged {
    pub who: Result<Arc<ApiKey>, GateRefusal>,
    /// What has to be shown instead.
    pub challenge: Option<Arc<str>>,
    pub until: Instant,
}

impl Judged {
    pub(super) fn known(self, remembered: bool) -> Comer {
        let Judged { who, challenge, .. } = self;
        Comer { who: who.map(|key| Principal::authorised(&key)), challenge, remembered }
    }
}

/// The answers that one worker has seen.
#[derive(Debug)]
pub struct AnswerMemory(Remembered<Judged>);

/// No worker keeps more, whatever the configuration says: what it has forgotten the foyer knows.
pub const ANSWERS_MAX: usize = 4_096;

impl Default for AnswerMemory {
    fn default() -> AnswerMemory {
        AnswerMemory(Remembered::of(ANSWERS_MAX))
    }
}

impl AnswerMemory {
    /// What is known of this question. `None`: it has to be asked.
    pub fn recall(&self, question: KeyDigest, now: Instant) -> Option<&Judged> {
        self.0.get(question).filter(|judged| now < judged.until)
    }

    /// Keeps what follows from an answer, as long as that holds.
    pub fn keep(&mut self, question: KeyDigest, judged: &Judged, now: Instant) {
        if now < judged.until {
            self.0.keep(question, judged.clone());
        }
    }

    /// Another configuration is in force.
    pub fn clear(&mut self) {
        *self = AnswerMemory::default();
    }
}
