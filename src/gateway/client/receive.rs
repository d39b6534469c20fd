//! The head of a request: read until it is whole, and no further than it may be long.

use crate::clock::Instant;
use crate::flow::budget::Budget;
use crate::gateway::Gateway;
use crate::gateway::client::preamble::Introduced;
use crate::gateway::client::request::Opened;
use crate::gateway::record::downstream::State;
use crate::gateway::record::verdict::Step;
use crate::http::head::{HeadError, may_be_complete};
use crate::proxy::fault::Fault;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::wire::buffers::Room;
use crate::wire::socket::Fill;

impl<N: Net> Gateway<N> {
    /// Waits for a request, reads its head, and opens the exchange.
    pub(crate) fn receive_head(
        &mut self,
        token: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Step {
        loop {
            if let Some(step) = self.look_at_head(token, budget, cx) {
                return step;
            }
            let limit = self.generations.latest().limits.head_bytes;
            let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
            if downstream.socket.ready.errored() {
                return self.close_downstream(token, cx);
            }
            if !downstream.socket.readable() {
                // An idle client is told that nothing more comes, unless its next request is here.
                let idle = matches!(downstream.state, State::Idle { .. });
                return if idle && self.life.dismisses_idle() {
                    self.part(token, cx)
                } else {
                    Step::Wait
                };
            }
            if budget.is_spent() {
                return Step::Yield;
            }
            let needs = self.desk.buffers.begin_reserve();
            if downstream.socket.inbound.is_none() && self.desk.buffers.left() < needs {
                return self.wait_for_buffer(token, needs);
            }
            match downstream.socket.fill(&mut self.desk) {
                Ok(Fill::Bytes(count) | Fill::Sealed(count)) => budget.spend(count),
                Ok(Fill::WouldBlock) => return Step::Wait,
                Ok(Fill::Dry) => return self.wait_for_read(token),
                Ok(Fill::Full) => {
                    let Some(buffer) = &mut downstream.socket.inbound else { return Step::Wait };
                    match self.desk.buffers.make_room(buffer, limit) {
                        Room::Made => {}
                        Room::AtLimit => {
                            return self.refuse_head(token, HeadError::HeadTooLarge, cx);
                        }
                        Room::Dry { needs } => return self.wait_for_buffer(token, needs),
                    }
                }
                Ok(Fill::Closed) | Err(_) => return self.close_downstream(token, cx),
            }
        }
    }

    /// Opens the exchange if what is here may be a whole head. `None`: more has to be read.
    #[inline]
    fn look_at_head(&mut self, token: Token, budget: &mut Budget, cx: &mut Cx<N>) -> Option<Step> {
        let downstream = self.downstreams.get(token)?;
        if downstream.awaits_preamble && !downstream.socket.unscanned().is_empty() {
            match self.introduce(token, cx) {
                Introduced::Done => {}
                Introduced::Waits => return None,
                Introduced::Refused => return Some(Step::Wait),
            }
        }
        let downstream = self.downstreams.get(token)?;
        if downstream.proof.is_awaited() {
            return Some(self.wait_for_proof(token, cx));
        }
        let unscanned = downstream.socket.unscanned();
        let examined = downstream.examined as usize;
        let limit = self.generations.latest().limits.head_bytes;
        if unscanned.len() <= examined {
            return None;
        }
        // Some mistakes can be seen in the first bytes, before the head is whole.
        if examined == 0 || unscanned.len() >= limit || may_be_complete(unscanned, examined) {
            budget.spend(0);
            match self.open_exchange(token, cx) {
                Opened::Exchange => return Some(Step::Again),
                Opened::Faulty(fault) => return Some(Step::Over(Err(Fault::Downstream(fault)))),
                Opened::Refused(error) => return Some(self.refuse_head(token, error, cx)),
                Opened::Unproven => {
                    self.await_proof(token, cx);
                    return Some(Step::Wait);
                }
                Opened::Unasked(question) => return Some(self.await_answer(token, *question, cx)),
                Opened::Incomplete => {}
            }
        }
        let downstream = self.downstreams.get_mut(token)?;
        let unscanned = downstream.socket.unscanned();
        downstream.examined = unscanned.len() as u32;
        // These bytes may have come behind the request before, in one read. An empty line is not yet a
        // request.
        let begun = !b"\r\n".starts_with(unscanned);
        match downstream.state {
            State::Idle { .. } if begun => {
                downstream.state = State::Head { since: cx.now, began: cx.now };
            }
            State::Head { since, began: Instant::NEVER } if begun => {
                downstream.state = State::Head { since, began: cx.now };
            }
            _ => {}
        }
        None
    }
}

impl State {
    /// When the first byte of a head came: what a client waits before it says anything is no step of a request.
    pub fn head_began(self) -> Option<Instant> {
        match self {
            State::Head { began, .. } => Some(began).filter(|began| *began != Instant::NEVER),
            _ => None,
        }
    }
}
