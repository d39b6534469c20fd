//! The preamble of the PROXY protocol, where a load balancer in front of us says whose connection it is.
//!
//! It comes before all else on the connection, a handshake included, and belongs to the time that a head or
//! a handshake may take.

use crate::gate::preamble::{self, Preamble};
use crate::gateway::Gateway;
use crate::reactor::net::{Net, Stream};
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

/// What became of the bytes that may hold a preamble.
pub(crate) enum Introduced {
    /// The connection goes on as its client's.
    Done,
    /// More has to come.
    Waits,
    /// It is none, or its client is not let in: the connection is closed.
    Refused,
}

impl<N: Net> Gateway<N> {
    /// Reads the preamble of a connection, and has it be its client's from then on.
    #[cold]
    pub(crate) fn introduce(&mut self, token: Token, cx: &mut Cx<N>) -> Introduced {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Introduced::Refused };
        // In front of a handshake it stands in plain, among the bytes that are to be opened.
        let sealed = downstream.socket.is_shaking_hands();
        let here = match sealed {
            true => downstream.socket.unopened(),
            false => downstream.socket.unscanned(),
        };
        let (length, client) = match preamble::read(here) {
            Preamble::Partial => return Introduced::Waits,
            Preamble::Whole { length, client } => (length, client),
            Preamble::Broken => {
                log::info!("{}: no preamble of the PROXY protocol", downstream.address);
                return self.turn_out(token, cx);
            }
        };
        match sealed {
            true => downstream.socket.discard_unopened(length, &mut self.desk),
            false => downstream.socket.discard(length, &mut self.desk),
        }
        (downstream.awaits_preamble, downstream.examined) = (false, 0);
        if let Some(client) = client {
            downstream.address = client;
        }
        let address = downstream.address;
        let gate = &self.generations.latest().gate.gate;
        if gate.looks_at_addresses() && !gate.admits_connection(address, cx.now) {
            // What was not counted is not to be taken away.
            if let Some(downstream) = self.downstreams.get_mut(token) {
                downstream.awaits_preamble = true;
            }
            return self.turn_out(token, cx);
        }
        Introduced::Done
    }

    fn turn_out(&mut self, token: Token, cx: &mut Cx<N>) -> Introduced {
        self.desk.tally.connections_refused.add(1);
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.socket.stream.reset_on_drop();
        }
        self.close_downstream(token, cx);
        Introduced::Refused
    }
}
