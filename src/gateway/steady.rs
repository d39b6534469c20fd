//! Steady: the short way of a token.
//!
//! Nearly every drive finds the same: a response under way, its request gone, its first event with
//! the client, and neither side ended or in the other's way. All there is to do then is to pass on
//! what has come, and to note that it did. The short way does that with both records borrowed once.
//!
//! * It decides nothing. If the relay stops for any reason but an empty source, the long way
//!   ([`crate::gateway::drive`]) goes on from there, as if the short way had not been.
//! * It moves no alarm. While a stream goes on, its deadlines only move away. The alarm fires at an
//!   old deadline; the next drive finds it spent, goes the long way and arms it anew.

use crate::flow::relay::{Budget, Rest, relay};
use crate::gateway::Gateway;
use crate::gateway::attempt::transfer::broken_response;
use crate::gateway::record::downstream::{Downstream, State};
use crate::gateway::record::peer::Peer;
use crate::gateway::record::verdict::Failed;
use crate::measure::stall::Owner;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

/// How much of a drive the short way has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    All,
    /// Not all, perhaps nothing: the long way goes on.
    Maybe,
}

impl<N: Net> Gateway<N> {
    /// Passes on what has come of a response that is under way.
    #[inline]
    pub(crate) fn pass_on(
        &mut self,
        token: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Result<Short, Failed> {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Ok(Short::Maybe) };
        let Some(connection) = downstream.steady() else { return Ok(Short::Maybe) };
        let Some(upstream) = self.upstreams.get_mut(connection) else { return Ok(Short::Maybe) };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return Ok(Short::Maybe) };
        let Some(response) = &mut exchange.attempt.response else { return Ok(Short::Maybe) };
        if !upstream.socket.outbox.is_empty() {
            return Ok(Short::Maybe);
        }
        let before = response.progress();
        let client = &mut downstream.socket;
        let moved = relay(&mut upstream.socket, client, response, u64::MAX, budget, &mut self.desk)
            .map_err(broken_response)?;
        exchange.note_progress(before, &moved, cx.now, &self.desk.tally);
        if moved.rest != Rest::SourceEmpty {
            return Ok(Short::Maybe);
        }
        let (before, passed) = exchange.ledger.charge(Owner::Upstream, cx.now);
        self.desk.tally.waited[before as usize].add(passed);
        Ok(Short::All)
    }
}

impl<S> Downstream<S> {
    /// The connection of its response, if there is nothing to do but to pass on what comes.
    fn steady(&self) -> Option<Token> {
        let ready = self.socket.ready;
        let other = self.state != State::Exchange || self.alarm.is_spent();
        if other || ready.read_closed() || ready.errored() {
            return None;
        }
        let exchange = self.exchange.as_deref()?;
        let under_way = exchange.commit.is_steady()
            && !exchange.request.is_open()
            && exchange.tunnel.is_none()
            && exchange.timeline.client_blocked.is_none();
        match exchange.peer {
            Peer::Upstream(connection) if under_way => Some(connection),
            _ => None,
        }
    }
}
