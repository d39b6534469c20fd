//! Outline: how each connection of a worker stands at a moment, for whoever draws its turns.
//!
//! It only looks, and nobody calls it where requests are served.

use crate::clock::Instant;
use crate::gateway::Gateway;
use crate::gateway::record::commit::Commit;
use crate::gateway::record::downstream::{Downstream, State};
use crate::gateway::record::peer::Peer;
use crate::proxy::exchange::{Phase, Timer, deadline};
use crate::reactor::net::Net;
use crate::reactor::readiness::Readiness;
use crate::reactor::timer::Alarm;
use crate::reactor::token::Token;
use crate::wire::socket::Socket;

/// One connection, of a client or to a server.
#[derive(Clone, Debug)]
pub struct Outline {
    pub token: Token,
    pub ready: Readiness,
    pub alarm: Alarm,
    /// Bytes that were read from it, and have not been passed on.
    pub held: usize,
    pub side: Side,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client {
        state: State,
        exchange: Option<Underway>,
    },
    Server {
        /// Its first write has succeeded.
        connected: bool,
        /// The client's connection that it serves; `None`: it is idle, or closed.
        owner: Option<Token>,
        closed: bool,
    },
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Underway {
    pub phase: Phase,
    /// The timer that ends first, and when; [`Instant::NEVER`]: none runs.
    pub timer: (Instant, Timer),
    pub commit: Commit,
}

impl<N: Net> Gateway<N> {
    /// Every connection that has a slot: clients first.
    pub fn outlines(&self) -> Vec<Outline> {
        let clients = self.downstreams.iter().map(|(token, downstream)| {
            let side =
                Side::Client { state: downstream.state, exchange: self.stage(token, downstream) };
            Outline::of(token, &downstream.socket, downstream.alarm, side)
        });
        let servers = self.upstreams.iter().map(|(token, upstream)| {
            let (connected, owner, closed) = (upstream.connected, upstream.owner, upstream.closed);
            let side = Side::Server { connected, owner, closed };
            Outline::of(token, &upstream.socket, upstream.alarm, side)
        });
        clients.chain(servers).collect()
    }

    fn stage(&self, token: Token, downstream: &Downstream<N::Stream>) -> Option<Underway> {
        let exchange = downstream.exchange.as_deref()?;
        let upstream = match exchange.peer {
            Peer::Upstream(connection) => self.upstreams.get(connection),
            _ => None,
        };
        let waiting = exchange.waiting(upstream, self.has_unsent_request(token));
        let timer = deadline(&waiting, &exchange.timeline, exchange.timeouts());
        Some(Underway { phase: waiting.phase, timer, commit: exchange.commit })
    }
}

impl Outline {
    fn of<S>(token: Token, socket: &Socket<S>, alarm: Alarm, side: Side) -> Outline {
        let inbound = socket.inbound.as_ref();
        let held = inbound.map_or(0, |buffer| buffer.pending().len() + buffer.unscanned().len());
        Outline { token, ready: socket.ready, alarm, held, side }
    }
}
