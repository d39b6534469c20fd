//! Drive: advances one client's connection as far as readiness and budget allow.
//!
//! ```text
//!   Handshake ──▶ Head | Closed                    where a session seals the bytes
//!   Head ──▶ Exchange ──▶ Idle ──▶ Head …          one request after another
//!     │          ├──▶ Lingering | Closed             no more after this one, or cut short
//!     └──────────┴──▶ Replying ──▶ Idle | Lingering  an answer of our own
//! ```
//!
//! A drive ends when the next move is somebody else's: the kernel's, a peer's, the clock's. At its
//! end the connection has a deadline, whatever its state.

use crate::flow::relay::Budget;
use crate::gateway::Gateway;
use crate::gateway::record::downstream::State;
use crate::gateway::record::peer::Peer;
use crate::gateway::record::verdict::Step;
use crate::gateway::steady::Short;
use crate::measure::stall::Owner;
use crate::proxy::fault::{DownstreamFault, Fault};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

mod deadline;
mod overdue;

impl<N: Net> Gateway<N> {
    /// Drives a client's connection as far as it goes.
    pub(crate) fn advance_client(&mut self, token: Token, cx: &mut Cx<N>) {
        let mut budget = Budget::of_a_drive(cx.run.is_empty());
        match self.pass_on(token, &mut budget, cx) {
            Ok(Short::All) => {}
            Ok(Short::Maybe) => self.drive_on(token, Step::Again, budget, cx),
            Err(failed) => {
                self.drive_on(token, Step::Failed(failed), budget, cx);
            }
        }
    }

    /// The long way. It is no part of the short way, so that a token touches little code and stack.
    #[inline(never)]
    pub(super) fn drive_on(
        &mut self,
        token: Token,
        mut step: Step,
        mut budget: Budget,
        cx: &mut Cx<N>,
    ) {
        loop {
            step = match step {
                Step::Again if !budget.is_spent() => self.advance(token, &mut budget, cx),
                Step::Again | Step::Yield => {
                    self.desk.tally.budget_spent.add(1);
                    self.enqueue(token, &mut cx.run);
                    break;
                }
                Step::Wait => break,
                Step::Gone => return,
                Step::Thirsty(needs) => {
                    self.wait_for_buffer(token, needs);
                    break;
                }
                Step::Failed(failed) => self.failed(token, failed, cx),
                Step::Over(outcome) => self.end(token, outcome, cx),
            };
        }
        self.end_drive(token, cx);
    }

    /// One step, by the state of the connection.
    #[inline]
    fn advance(&mut self, token: Token, budget: &mut Budget, cx: &mut Cx<N>) -> Step {
        match self.downstreams.get(token).map_or(State::Closed, |downstream| downstream.state) {
            State::Handshake { .. } => {
                self.await_handshake_of_client(token, cx);
                Step::Wait
            }
            State::Idle { .. } | State::Head { .. } => self.receive_head(token, budget, cx),
            State::Exchange => self.advance_exchange(token, budget, cx),
            State::Replying { then, .. } => self.write_reply(token, then, cx),
            State::Lingering { .. } => self.linger(token, budget, cx),
            State::Closed => Step::Gone,
        }
    }

    /// The end of a drive. Charges the time since the last one to whoever was waited for, notes who
    /// is now, and gives the connection the deadline of that.
    fn end_drive(&mut self, token: Token, cx: &mut Cx<N>) {
        let waiting = self.waiting(token);
        if let Some(waiting) = &waiting
            && let Some(downstream) = self.downstreams.get_mut(token)
            && let Some(exchange) = downstream.exchange.as_deref_mut()
        {
            let held_up = downstream.queued || downstream.thirst != 0;
            let blocked = exchange.timeline.client_blocked.is_some();
            let owner = Owner::of(waiting, blocked, held_up);
            let (before, passed) = exchange.ledger.charge(owner, cx.now);
            self.desk.tally.waited[before as usize].add(passed);
        }
        self.arm_for(token, waiting.as_ref(), cx);
    }

    fn advance_exchange(&mut self, token: Token, budget: &mut Budget, cx: &mut Cx<N>) -> Step {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        if downstream.has_left() {
            return Step::Over(Err(Fault::Downstream(DownstreamFault::Gone)));
        }
        if downstream.socket.ready.read_closed() {
            self.probe_half_close(token);
        }
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        match downstream.exchange.as_ref().map(|exchange| &exchange.peer) {
            Some(Peer::Upstream(upstream)) => {
                let upstream = *upstream;
                self.advance_proxied(token, upstream, budget, cx)
            }
            Some(Peer::Seeking { .. }) => match self.gather(token, budget, cx) {
                Some(step) => step,
                None if self.degrades(token, cx) => Step::Again,
                None => self.seek_upstream(token, cx),
            },
            Some(Peer::AwaitingModel { again }) if *again <= cx.now => self.seek_again(token, cx),
            Some(Peer::AwaitingModel { .. }) => {
                self.gather(token, budget, cx).unwrap_or(Step::Wait)
            }
            Some(Peer::Pausing { until, .. }) if *until > cx.now => Step::Wait,
            Some(Peer::Pausing { .. }) => self.resume(token, cx),
            Some(Peer::Responder { .. }) => self.advance_responder(token, budget, cx),
            Some(Peer::Nobody) | None => Step::Wait,
        }
    }
}
