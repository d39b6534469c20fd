//! Run: who is driven next, and what is freed at the end of the turn.
//!
//! * A token may be queued more than once; a handler that wants it once keeps a flag in its record.
//! * Heavy work (a handshake) stands in a lane of its own: one piece a turn, behind all light work.

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
    /// Queues a token for the next run.
    #[inline]
    pub fn push(&mut self, token: Token) {
        self.ready.push_back(token);
    }

    /// Queues a token whose drive takes long: one such drive is made in a turn.
    pub fn push_heavy(&mut self, token: Token) {
        self.heavy.push_back(token);
    }

    /// Has the slot of a token freed at the end of this turn.
    pub fn reap(&mut self, token: Token) {
        self.reaped.push(token);
    }

    /// Whether both lanes are empty.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.heavy.is_empty()
    }

    /// How many tokens are in the light lane.
    #[inline]
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// The tokens in the light lane, in their order.
    pub fn queued(&self) -> impl Iterator<Item = Token> {
        self.ready.iter().copied()
    }

    /// Whether the light lane is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// How many slots are to be freed at the end of this turn.
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

    /// The next token whose slot is to be freed; the last one queued comes first.
    #[inline]
    pub fn next_reaped(&mut self) -> Option<Token> {
        self.reaped.pop()
    }
}
