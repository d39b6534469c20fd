//! What others say: an endpoint that fails at other gateways is tried before it fails many here.
//!
//! | the breaker | what is heard does |
//! |---|---|
//! | closed | it is suspect: the next request is a trial, and goes there as any other would |
//! | closed, and an answer began here in the last [`ANSWERS`] | nothing: what is seen counts, not what is heard |
//! | closed for less than [`SETTLED`] | nothing: it has been tried of late |
//! | open, half-open, resting | nothing: it is known |
//!
//! * A trial that fails opens the breaker, as a probe does. One that is answered ends the doubt, at full
//!   weight; so does any other answer.
//! * While a trial is out, requests go elsewhere, and here where there is nobody else or nobody has room. So a
//!   doubt takes no room from anybody, and refuses nobody.
//! * A doubt that nothing comes of ends by itself, after [`LASTS`].

use std::time::Duration;

use super::{Admits, Breaker, State};
use crate::clock::Instant;
use crate::proxy::breaker::beside;

/// For so long an answer speaks against what others say.
pub const ANSWERS: Duration = Duration::from_secs(5);
/// A breaker that has closed is not doubted again for so long.
pub const SETTLED: Duration = Duration::from_secs(60);
/// A doubt that no request has settled ends.
pub const LASTS: Duration = Duration::from_secs(30);

impl Breaker {
    /// Others say that it fails. Whether that is news here.
    pub fn suspect(&mut self, now: Instant) -> bool {
        let since_answer = beside::stamp(now).wrapping_sub(self.answered_at);
        let answers = u128::from(since_answer) < ANSWERS.as_millis();
        let State::Closed { since } = self.state else { return false };
        let settled = since.is_none_or(|since| now.since(since) >= SETTLED);
        if answers || !settled || self.asking || now < self.rests_until {
            return false;
        }
        self.state = State::Suspect { until: now + LASTS, probing: false };
        true
    }

    /// Whether others doubt it, and nobody here knows better yet.
    pub fn is_suspect(&self, now: Instant) -> bool {
        matches!(self.state, State::Suspect { until, .. } if now < until)
    }

    /// The state in which its probe is out, or its trial, or back again.
    pub(super) fn probed(&self, probing: bool) -> State {
        match self.state {
            State::Suspect { until, .. } => State::Suspect { until, probing },
            _ => State::HalfOpen { probing },
        }
    }
}

pub(super) fn admits(until: Instant, probing: bool, now: Instant) -> Admits {
    match probing {
        _ if now >= until => Admits::Yes,
        false => Admits::Probe,
        true => Admits::Reserve,
    }
}
