//! The record of one try to have a request answered.

use std::time::Duration;

use crate::config::snapshot::EndpointId;
use crate::flow::relay::Flow;
use crate::flow::relay::Watched;
use crate::measure::journal::Hops;
use crate::proxy::endpoints::{Pick, Tried};
use crate::proxy::exchange::Awaited;

/// One try to have the request answered by one endpoint. It dies whole: the next one begins with a
/// new record. In memory as it is written here: what the passing of a token touches comes first.
#[derive(Debug)]
#[repr(C)]
pub struct Attempt {
    /// Any byte of its response is progress, and not only an event that says something.
    pub by_bytes: bool,
    pub awaited: Awaited,
    /// The response, from its final head on.
    pub response: Option<Flow<Watched>>,
    /// When it reached which step.
    pub hops: Hops,
    /// The right to this attempt, and its endpoint. It is given back when the attempt has ended.
    pub pick: Option<Pick>,
    /// What the answer's `Retry-After` says.
    pub retry_after: Option<Duration>,
    /// Bytes of an incomplete response head that were looked at and held no end of it.
    pub examined: u32,
    /// The status of the response; 0: there is none yet.
    pub status: u16,
    /// The connection had carried a request before.
    pub reused: bool,
    /// The kernel has taken a byte of the request on this connection.
    pub sent: bool,
    /// A byte of a response has been read.
    pub answered: bool,
    /// The server keeps the connection after its response.
    pub keep_alive: bool,
}

impl Attempt {
    /// An attempt that has not found its endpoint yet.
    pub fn new() -> Attempt {
        Attempt {
            by_bytes: false,
            awaited: Awaited::Unknown,
            response: None,
            hops: Hops::NONE,
            pick: None,
            retry_after: None,
            examined: 0,
            status: 0,
            reused: false,
            sent: false,
            answered: false,
            keep_alive: false,
        }
    }
}

impl Default for Attempt {
    fn default() -> Attempt {
        Attempt::new()
    }
}

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
