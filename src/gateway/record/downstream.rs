//! The record of a client's connection.

use std::net::IpAddr;

use crate::clock::Instant;
use crate::config::snapshot::HalfClose;
use crate::gateway::record::exchange::Exchange;
use crate::reactor::timer::Alarm;
use crate::wire::socket::Socket;

/// A client's connection. With its generation it fits two cache lines: [`crate::reactor::slots`].
pub struct Downstream<S> {
    pub socket: Socket<S>,
    pub state: State,
    pub alarm: Alarm,
    pub address: IpAddr,
    pub requests: u32,
    /// Bytes of an incomplete head in which no end of it was found.
    pub examined: u32,
    /// It begins with a preamble of the PROXY protocol, which has not come yet.
    pub awaits_preamble: bool,
    pub proof: super::proof::Proof,
    /// It stands in the worker's ready queue.
    pub queued: bool,
    /// How many buffers it waits for, among the worker's thirsty; 0: it does not wait.
    pub thirst: u32,
    /// Boxed: an idle client has none.
    pub exchange: Option<Box<Exchange>>,
}

/// Where a client's connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of the next request has arrived.
    Idle {
        since: Instant,
    },
    /// Part of a head has arrived, its first byte at `began`, or the first one is awaited (`NEVER`).
    Head {
        since: Instant,
        began: Instant,
    },
    /// Its session is not established: nothing can be said.
    Handshake {
        since: Instant,
    },
    Exchange,
    /// The exchange is over; the rest of a reply waits to be written.
    Replying {
        since: Instant,
        then: After,
    },
    /// FIN is sent; what still arrives is read and dropped.
    Lingering {
        since: Instant,
        heard: Instant,
    },
    Closed,
}

/// What follows when everything has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Reuse,
    Linger,
}

impl<S> Downstream<S> {
    /// Whether a client that is owed an answer has left. In a tunnel a FIN is passed on, and is no leaving.
    pub fn has_left(&self) -> bool {
        let ready = self.socket.ready;
        let Some(exchange) = &self.exchange else { return ready.errored() };
        match exchange.tunnel {
            Some(tunnel) => ready.errored() && !(ready.read_closed() && tunnel.downstream_shut),
            None => {
                let cancels = exchange.snapshot.server.half_close == HalfClose::Cancel;
                ready.errored() || (ready.read_closed() && cancels)
            }
        }
    }
}
