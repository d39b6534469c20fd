//! The record of one try to have a request answered.

use std::time::Duration;

use crate::config::snapshot::EndpointId;
use crate::proxy::endpoints::{Pick, Tried};

/// One try to have the request answered by one endpoint, and how many there have been.
#[derive(Debug)]
pub struct Attempt {
    /// Attempts at this upstream, this one included; a replay for a stale connection is none.
    pub at_upstream: u8,
    /// At all upstreams.
    pub in_all: u8,
    /// The endpoints that have failed.
    pub tried: Tried,
    /// The right to this attempt, and the endpoint it goes to. Given back when it has ended.
    pub pick: Option<Pick>,
    /// The link and the endpoint whose `Host` the request has; no endpoint: the link's first.
    pub hosted: (u32, Option<EndpointId>),
    /// An earlier attempt ended by a slow first token.
    pub slow_before: bool,
    /// What the answer's `Retry-After` says.
    pub retry_after: Option<Duration>,
    /// The connection had carried a request before.
    pub reused: bool,
    /// The request was sent again because a reused connection died.
    pub replayed: bool,
    /// The kernel has taken a byte of the request on this connection.
    pub sent: bool,
    /// A byte of a response has been read.
    pub answered: bool,
    /// No other will follow: whatever comes is the answer.
    pub last: bool,
}

impl Attempt {
    pub fn first() -> Attempt {
        Attempt {
            at_upstream: 1,
            in_all: 1,
            tried: Tried::none(),
            pick: None,
            hosted: (0, None),
            slow_before: false,
            retry_after: None,
            reused: false,
            replayed: false,
            sent: false,
            answered: false,
            last: false,
        }
    }
}
