//! Beside a predefined answer: how an endpoint that is out is asked before that is given.
//!
//! A breaker spares a request an endpoint that would fail it, for one that would not. A predefined
//! answer is no such endpoint: it refuses kindly. So what the breaker can spare a client is the time in
//! which the endpoint fails, and nothing else. It decides by that.
//!
//! | the endpoint was put out by | requests |
//! |---|---|
//! | an answer (5xx, an error), a lost connection, no HTTP | are sent to it, [`ASKED_MAX`] at a time; within a second of an answer to anybody, as many as come |
//! | silence, no connection | one at a time, a second after the last one ended: an early probe |
//! | its 429, its checks | the same: it is to be left alone, or is away |
//! | refused credentials | none |
//!
//! * One client can make a server fail its requests, and the server fails them soon. Those of others
//!   find a place at once, and the first that is answered closes the breaker.
//! * A server that fails everybody, and takes its time over it, keeps [`ASKED_MAX`] clients waiting, as
//!   many again when a probe has failed meanwhile, and all others none. It cannot have answered anybody
//!   of late.
//! * A request that is sent on these terms and fails teaches nothing; but where no connection came to
//!   stand the endpoint is away from then on, and where no answer came in time it is silent.

use std::time::Duration;

use super::{Breaker, Errand, OpenedBy, Outcome, State, Ticket};
use crate::clock::Instant;

/// So many requests may be at an endpoint that fails, of one worker's.
pub(super) const ASKED_MAX: u8 = 8;
/// For so long after an answer an endpoint that fails is known to answer somebody, and so soon after it
/// was put out another one is probed.
const EARLY: Duration = Duration::from_secs(1);

/// An instant in milliseconds, small enough for the record. It comes again after 49 days; then an
/// endpoint that fails may be asked for a second as if it had just answered.
pub(super) fn stamp(now: Instant) -> u32 {
    (now.as_nanos() / 1_000_000) as u32
}

impl Breaker {
    /// Whoever was to be told of the probe that is out will not be told: its endpoint has left.
    pub fn forget_probe(&mut self) {
        if let State::HalfOpen { probing } = &mut self.state {
            *probing = false;
        }
        if let State::Suspect { .. } = self.state {
            self.state = State::Closed { since: None };
        }
    }

    /// Whether a request that only a predefined answer stands in for is sent to it although it is out.
    /// It begins with [`Breaker::begin_asked`].
    pub fn may_be_asked(&self, now: Instant) -> bool {
        let out = matches!(self.state, State::Open { .. } | State::HalfOpen { probing: true });
        let since_answer = stamp(now).wrapping_sub(self.answered_at);
        let answers = u128::from(since_answer) < EARLY.as_millis();
        out && self.fails_soon && now >= self.rests_until && (answers || self.asked < ASKED_MAX)
    }

    /// A request is sent although it is out.
    pub fn begin_asked(&mut self) -> Ticket {
        self.asked = self.asked.saturating_add(1);
        Ticket { epoch: self.epoch, errand: Errand::Asked }
    }

    /// One of those has ended, and none of its epoch was answered before.
    pub(super) fn end_asked(&mut self, outcome: Outcome) {
        self.asked = self.asked.saturating_sub(1);
        if matches!(outcome, Outcome::TimedOut { .. }) {
            self.fails_soon = false;
        }
    }

    /// Whether a request may be sent to one that is out before its time is over, to see whether it is
    /// well. It begins with [`Breaker::begin_early`].
    pub fn may_probe_early(&self, now: Instant) -> bool {
        match self.state {
            State::Open { cause: OpenedBy::Unauthorized, .. }
            | State::Suspect { probing: true, .. }
            | State::HalfOpen { probing: true } => false,
            _ => !self.asking && now >= self.kept_out_at + EARLY,
        }
    }

    /// A probe is sent before its time.
    pub fn begin_early(&mut self) -> Ticket {
        match self.state {
            State::Closed { .. } | State::Suspect { .. } => self.asking = true,
            _ => self.state = State::HalfOpen { probing: true },
        }
        Ticket { epoch: self.epoch, errand: Errand::Early }
    }

    pub(super) fn end_early(&mut self, now: Instant) {
        self.asking = false;
        self.kept_out_at = now;
    }
}
