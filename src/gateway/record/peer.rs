//! Who answers an exchange, and where that stands.

use crate::clock::Instant;
use crate::reactor::token::Token;
use crate::responder::Responder;

/// Who answers.
#[derive(Debug)]
pub enum Peer {
    /// No connection yet; with `fresh`, a pooled one will not do.
    Seeking {
        fresh: bool,
        turn: Turn,
    },
    Upstream(Token),
    /// Between two attempts.
    Pausing {
        until: Instant,
        /// As for `Seeking`.
        fresh: bool,
    },
    Responder {
        responder: Box<dyn Responder>,
        progress: Progress,
    },
    /// Nobody: the exchange ends with a reply of our own.
    Nobody,
}

/// Where somebody stands who seeks a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has not asked yet.
    New,
    /// It stands in the upstream's queue.
    Queued,
    /// A place came free and it was called out of the queue. If it leaves now, the place is the
    /// next one's, who would not hear of it otherwise.
    Called,
}

/// Where a responder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Running,
    /// It asked not to be asked before then.
    Sleeping(Instant),
    NeedsBody,
    Ended,
}
