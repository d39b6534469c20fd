//! What a worker is told by other threads.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::snapshot::{EndpointId, Snapshot, UpstreamId};
use crate::measure::live::Inquiry;
use crate::proxy::health::HealthStatus;
use crate::proxy::load::{Loads, MemberSet};
use crate::reactor::mailbox::Latest;
use crate::reactor::token::Token;

/// What a worker is told by other threads.
#[derive(Debug)]
pub enum Command<S> {
    /// Serve the backlog once more, close the listeners, finish what is in flight, and abort the
    /// rest when `timeouts.drain` is over.
    Drain(Idle),
    /// Abort everything now.
    Stop,
    /// A connection that another worker accepted.
    Adopt(S, Newcomer),
    /// Tell what you hold, or do something to one exchange or endpoint.
    Inquire(Inquiry),
    /// A new generation of the configuration, for every request from now on.
    Reload(Arc<Snapshot>, Loads),
    /// An upstream has other endpoints from now on: the latest set, which may be younger than the message.
    Members(UpstreamId, Arc<Latest<Arc<MemberSet>>>),
    /// A permit for this upstream came free on another worker: the first waiter here may have it.
    Call(UpstreamId),
    /// What the active checks say of an endpoint now.
    Health(UpstreamId, EndpointId, HealthStatus),
    /// Another worker has found that the model of an endpoint is there.
    Loaded(UpstreamId, EndpointId),
    /// The server of an upstream, which is started when it is asked for, stands otherwise than before.
    Woken(UpstreamId),
    /// What the connection of this name waits for is there.
    Nudge(Token),
    /// The port of an endpoint was away, and answers again.
    Reachable(UpstreamId, EndpointId),
    /// Other gateways say that an endpoint fails.
    Suspect(UpstreamId, EndpointId),
}

/// A connection that was accepted, and has no place yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newcomer {
    pub address: SocketAddr,
    /// It came to a listener of `server.tls`.
    pub sealed: bool,
}

/// What a drain means to clients that are not being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// They are told at once that nothing more comes.
    Leave,
    /// A client that sends a request within its timeouts is answered once more, and told that its
    /// connection ends: it may be sending that request at this moment.
    MayAsk,
}
