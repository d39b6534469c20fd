//! What outlives an attempt: how often a request has been tried, and where.

use crate::config::snapshot::EndpointId;
use crate::proxy::endpoints::Tried;

/// How often a request has been tried, and where.
#[derive(Debug)]
pub struct Tries {
    /// Attempts at this upstream, this one included; a replay for a stale connection is none.
    pub at_upstream: u8,
    /// Attempts at all upstreams.
    pub in_all: u8,
    /// The endpoints that have failed.
    pub tried: Tried,
    /// The endpoint that was asked last, or that has refused to be asked.
    pub endpoint: Option<EndpointId>,
    /// An earlier attempt ended by a slow first token.
    pub slow_before: bool,
    /// The request was sent again because a reused connection died.
    pub replayed: bool,
}

impl Tries {
    /// The tries of a request during its first attempt.
    pub fn first() -> Tries {
        Tries {
            at_upstream: 1,
            in_all: 1,
            tried: Tried::none(),
            endpoint: None,
            slow_before: false,
            replayed: false,
        }
    }
}
