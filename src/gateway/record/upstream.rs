//! The record of a connection to an inference server.

use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, UpstreamId};
use crate::reactor::timer::Alarm;
use crate::reactor::token::Token;
use crate::wire::socket::Socket;

/// A connection to an inference server. With its generation it fits two cache lines: [`crate::reactor::slots`].
pub struct UpstreamConnection<S> {
    pub socket: Socket<S>,
    pub alarm: Alarm,
    pub upstream: UpstreamId,
    pub endpoint: EndpointId,
    pub opened: Instant,
    /// When it was last given back to the pool, or opened.
    pub released: Instant,
    pub requests: u32,
    /// The first write has succeeded: the connection stands.
    pub connected: bool,
    /// The server's `Keep-Alive: timeout=N`, in seconds.
    pub announced: Option<u32>,
    /// The downstream it serves; `None`: it is idle in the pool.
    pub owner: Option<Token>,
    /// It will not come back to the pool, and its place there is free.
    pub uncounted: bool,
    pub closed: bool,
}
