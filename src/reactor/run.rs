//! Run: who is driven next, and what is freed at the end of the turn.
//!
//! * A token may be queued more than once; whoever wants it once keeps a flag in its record.
//! * Heavy work (a handshake) stands in a lane of its own: one piece a turn, behind all that is light.

use std::collections::VecDeque;

use crate::reactor::token::Token;

/// The queues of one turn.
#[derive(Debug, Default)]
pub struct Run {
    ready: VecDeque<Token>,
    heavy: VecDeque<Token>,
    reaped: Vec<Token>,
}

impl Run {
    /// Drives it in the next run.
    #[inline]
    pub fn push(&mut self, token: Token) {
        self.ready.push_back(token);
    }

    /// Drives it when there is time for something long.
    pub fn push_heavy(&mut self, token: Token) {
        self.heavy.push_back(token);
    }

    /// Has it freed at the end of this turn.
    pub fn reap(&mut self, token: Token) {
        self.reaped.push(token);
    }

    /// Whether nobody is queued.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.heavy.is_empty()
    }

    /// How many are queued for the light lane.
    #[inline]
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether the light lane is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// How many are to be freed at the end of this turn.
    pub fn reaped(&self) -> usize {
        self.reaped.len()
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<Token> {
        self.ready.pop_front()
    }

    #[inline]
    pub(crate) fn next_heavy(&mut self) -> Option<Token> {
        self.heavy.pop_front()
    }

    /// One of those that are to be freed, the last first.
    #[inline]
    pub fn next_reaped(&mut self) -> Option<Token> {
        self.reaped.pop()
    }
}
