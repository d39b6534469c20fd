//! A client's connection apart from its exchange: its handshake, the last bytes of an answer, the parting,
//! the end.

use std::time::Duration;

use crate::flow::budget::Budget;
use crate::gateway::Gateway;
use crate::gateway::record::downstream::{After, State};
use crate::gateway::record::verdict::Step;
use crate::reactor::net::{Net, Stream};
use crate::reactor::token::{Kind, Token};
use crate::reactor::turn::Cx;
use crate::wire::socket::Fill;

/// How long a client may take for its handshake.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

impl<N: Net> Gateway<N> {
    /// Writes what is left of an answer whose exchange is over.
    pub(crate) fn write_reply(&mut self, token: Token, then: After, cx: &mut Cx<N>) -> Step {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        downstream.socket.parting = then == After::Linger;
        if downstream.socket.flush_end(None, &mut self.desk).is_err() {
            return self.close_downstream(token, cx);
        }
        if downstream.socket.has_unsent() {
            return Step::Wait;
        }
        match then {
            After::Reuse => {
                downstream.state = State::Idle { since: cx.now };
                Step::Again
            }
            After::Linger => self.part(token, cx),
        }
    }

    /// Sends FIN, and reads on until the client ends too. Closing with unread bytes would send RST, and
    /// RST destroys what the client has not read yet. There may be unread bytes in front of a FIN of
    /// the client's, too.
    pub(crate) fn part(&mut self, token: Token, cx: &mut Cx<N>) -> Step {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        if downstream.socket.ready.errored()
            || downstream.socket.shutdown_write(&mut self.desk).is_err()
        {
            return self.close_downstream(token, cx);
        }
        downstream.state = State::Lingering { since: cx.now, heard: cx.now };
        Step::Again
    }

    pub(crate) fn linger(&mut self, token: Token, budget: &mut Budget, cx: &mut Cx<N>) -> Step {
        loop {
            let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
            downstream.socket.drop_inbound(&mut self.desk);
            if downstream.socket.go_on_shutting_down(&mut self.desk).is_err() {
                return self.close_downstream(token, cx);
            }
            if !downstream.socket.readable() {
                return Step::Wait;
            }
            if budget.is_spent() {
                return Step::Yield;
            }
            match downstream.socket.fill(&mut self.desk) {
                Ok(Fill::Bytes(count) | Fill::Sealed(count)) => {
                    budget.spend(count);
                    if let State::Lingering { heard, .. } = &mut downstream.state {
                        *heard = cx.now;
                    }
                }
                Ok(Fill::WouldBlock | Fill::Full) => return Step::Wait,
                Ok(Fill::Dry) => return self.wait_for_read(token),
                // Our own farewell is still on its way.
                Ok(Fill::Closed) if downstream.socket.is_shutting_down() => return Step::Wait,
                Ok(Fill::Closed) | Err(_) => return self.close_downstream(token, cx),
            }
        }
    }

    /// The handshake of a client goes on in the heavy lane.
    pub(crate) fn await_handshake_of_client(&mut self, token: Token, cx: &mut Cx<N>) {
        if let Some(downstream) = self.downstreams.get_mut(token)
            && downstream.socket.enter_heavy_lane()
        {
            cx.run.push_heavy(token);
        }
    }

    pub(crate) fn set_state(&mut self, token: Token, state: State) {
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.state = state;
        }
    }

    /// Ends a connection in the middle of a message. Where the message ends with the connection, only
    /// RST tells that it is not whole. Elsewhere the framing tells, and RST could destroy bytes that the
    /// client has not read yet: so the connection lingers.
    pub(crate) fn abort(&mut self, token: Token, until_close: bool, cx: &mut Cx<N>) -> Step {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        if until_close {
            downstream.socket.stream.reset_on_drop();
        } else if !downstream.has_left() {
            return self.part(token, cx);
        }
        self.close_downstream(token, cx)
    }

    /// Whether the client has sent bytes that will not be answered.
    pub(crate) fn has_sent_more(&self, token: Token) -> bool {
        self.downstreams.get(token).is_some_and(|downstream| {
            downstream.socket.readable() || !downstream.socket.unscanned().is_empty()
        })
    }

    /// Closes a client's connection at the end of this turn.
    pub(crate) fn close_downstream(&mut self, token: Token, cx: &mut Cx<N>) -> Step {
        debug_assert_eq!(token.kind(), Kind::Downstream);
        if let Some(downstream) = self.downstreams.get_mut(token)
            && downstream.state != State::Closed
        {
            debug_assert!(downstream.exchange.is_none(), "an exchange ends before its connection");
            let before = std::mem::replace(&mut downstream.state, State::Closed);
            if matches!(before, State::Idle { .. }) {
                downstream.socket.bid_farewell(&mut self.desk);
            }
            downstream.socket.give_buffers_home(&mut self.desk);
            if matches!(before, State::Handshake { .. }) {
                self.handshakes.ended();
            }
            let gate = &self.generations.latest().gate.gate;
            if gate.addresses.is_some() && !downstream.awaits_preamble {
                gate.leave(downstream.address);
            }
            self.authorising.forget(token);
            cx.run.reap(token);
        }
        Step::Wait
    }
}
