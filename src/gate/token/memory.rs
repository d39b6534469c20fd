//! Memory: tokens that a worker has seen, so that a signature is checked once.
//!
//! What is kept is the digest of a token, who came by it, and until when that holds; the token itself is
//! nowhere.
//!
//! * A token that was believed is forgotten when its issuer has other keys, or none that are young enough:
//!   it is proven anew. Whether it has expired is asked each time.
//! * One that was not is remembered for some seconds, and apart: whoever sends wrong ones drives out no
//!   good one.
//! * Bounded: the oldest goes first.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::fault::TokenFault;
use super::{GateTime, Proven};
use crate::clock::Instant;
use crate::gate::key::KeyDigest;

/// Good tokens of one worker. Each is some hundred bytes beside what its subject has used.
pub const GOOD_MAX: usize = 4_096;
/// Wrong ones.
pub const WRONG_MAX: usize = 1_024;
/// How long one is remembered as wrong: its time may have come by then.
const WRONG_FOR: Duration = Duration::from_secs(5);
/// The same, where it may be right as soon as its issuer answers.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);

/// The tokens that one worker has seen.
#[derive(Debug)]
pub struct TokenMemory {
    good: Remembered<Proven>,
    wrong: Remembered<(TokenFault, Instant)>,
}

impl Default for TokenMemory {
    fn default() -> TokenMemory {
        TokenMemory { good: Remembered::of(GOOD_MAX), wrong: Remembered::of(WRONG_MAX) }
    }
}

impl TokenMemory {
    /// Who comes by this token, or why nobody does. `None`: it has to be proven.
    pub fn recall(&self, token: KeyDigest, at: GateTime) -> Option<Result<&Proven, TokenFault>> {
        if let Some(proven) = self.good.entries.get(&token) {
            let issuer = &proven.issuer;
            let age_max = issuer.settings.keys_age_max;
            if issuer.keys.are_still(proven.version, age_max, at.unix) {
                return Some(proven.window.at(at.unix).map(|()| proven));
            }
        }
        let (fault, until) = *self.wrong.entries.get(&token)?;
        (at.now < until).then_some(Err(fault))
    }

    /// Keeps what was found out of a token.
    pub fn keep(&mut self, token: KeyDigest, found: Result<Proven, TokenFault>, at: GateTime) {
        match found {
            Ok(proven) => self.good.keep(token, proven),
            Err(fault) => {
                let passes = matches!(fault, TokenFault::Key | TokenFault::Unavailable);
                let lasts = if passes { UNKNOWN_FOR } else { WRONG_FOR };
                self.wrong.keep(token, (fault, at.now + lasts));
            }
        }
    }

    /// Another configuration is in force, by which nothing of this was decided.
    pub fn clear(&mut self) {
        *self = TokenMemory::default();
    }
}

/// What is known by the digest of something, the oldest of it forgotten first.
#[derive(Debug)]
pub(in crate::gate) struct Remembered<T> {
    entries: HashMap<KeyDigest, T>,
    /// Every entry once, the oldest first.
    order: VecDeque<KeyDigest>,
    most: usize,
}

impl<T> Remembered<T> {
    pub(in crate::gate) fn of(most: usize) -> Remembered<T> {
        Remembered { entries: HashMap::new(), order: VecDeque::new(), most }
    }

    pub(in crate::gate) fn get(&self, token: KeyDigest) -> Option<&T> {
        self.entries.get(&token)
    }

    pub(in crate::gate) fn keep(&mut self, token: KeyDigest, value: T) {
        if self.entries.insert(token, value).is_some() {
            return;
        }
        self.order.push_back(token);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}
