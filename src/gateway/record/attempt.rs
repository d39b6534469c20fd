//! The record of one try to have a request answered.

use std::time::Duration;

use crate::flow::relay::{Flow, ResponseWatchers};
use crate::measure::journal::Hops;
use crate::proxy::endpoints::Pick;
use crate::proxy::exchange::Awaited;

mod tries;

pub use tries::Tries;

/// One try to have the request answered by one endpoint. It dies whole: the next one begins with a
/// new record. In memory as it is written here: what the passing of a token touches comes first.
#[derive(Debug)]
#[repr(C)]
pub struct Attempt {
    /// Any byte of its response is progress, and not only an event that says something.
    pub by_bytes: bool,
    pub awaited: Awaited,
    /// The response, from its final head on.
    pub response: Option<Flow<ResponseWatchers>>,
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
