//! Who answers an exchange, and where that stands.

use crate::clock::Instant;
use crate::reactor::token::Token;
use crate::responder::Responder;

/// Who answers.
#[derive(Debug)]
pub enum Peer {
    /// It has no connection yet. `fresh`: an idle one from the pool will not do.
    Seeking {
        fresh: bool,
        line: Line,
    },
    Upstream(Token),
    /// Between two attempts.
    Pausing {
        until: Instant,
        /// As for `Seeking`.
        fresh: bool,
    },
    /// It waits until the model of its upstream is there.
    AwaitingModel {
        /// When it looks again, if nobody tells it before.
        again: Instant,
    },
    Responder {
        responder: Box<dyn Responder>,
        progress: ResponderState,
    },
    /// Nobody: the exchange ends with a reply of our own.
    Nobody,
}

/// Where an exchange stands that seeks a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// It has not asked yet.
    New,
    /// It stands in the upstream's queue.
    Queued,
    /// A place came free and the exchange was called out of the queue. If it leaves now, the next
    /// waiter has to be called, which would not hear of the place otherwise.
    Called,
}

/// Where a responder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponderState {
    Running,
    /// It wants its next step then, and not before.
    Sleeping(Instant),
    NeedsBody,
    Ended,
}
