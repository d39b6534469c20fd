//! What follows when a deadline has passed. What has come speaks first: whoever is queued is driven
//! before its deadline is believed.

use crate::clock::Instant;
use crate::gateway::Gateway;
use crate::gateway::record::downstream::State;
use crate::gateway::record::proof::Proof;
use crate::gateway::record::verdict::Failed;
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault, UpstreamFault};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    /// The exchange's next timer, if it has an exchange.
    fn exchange_deadline(&self, token: Token) -> Option<(Instant, Fault)> {
        let (at, timer) = self.timer_of(token, &self.waiting(token)?)?;
        Some((at, timer.fault()))
    }

    /// The deadline of the connection's state has passed.
    pub(crate) fn on_deadline(&mut self, token: Token, cx: &mut Cx<N>) {
        if self.downstreams.get(token).is_some_and(|downstream| downstream.queued) {
            // It has bytes to read, or a place to take: that comes before its deadline.
            self.advance_client(token, cx);
            if self.deadline_of(token, self.waiting(token).as_ref(), cx) > cx.now {
                return;
            }
        }
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        match downstream.state {
            // Its request has come, and there was never a buffer to read it with. But the event that
            // told of bytes may have been wrong, and a client that has asked nothing must not be
            // answered: it would take that for the answer to its next request.
            State::Head { .. } | State::Idle { .. }
                if downstream.thirst != 0 && !downstream.socket.is_silent(&mut self.desk) =>
            {
                self.refuse(token, &Fault::Local(LocalFault::Buffers), cx);
                self.enqueue(token, &mut cx.run);
            }
            State::Head { .. } if downstream.proof == Proof::Asked => {
                self.give_up_answer(token, cx);
            }
            State::Head { .. } if !downstream.socket.unscanned().is_empty() => {
                let fault = Fault::Downstream(DownstreamFault::HeadTimeout);
                self.refuse(token, &fault, cx);
                self.enqueue(token, &mut cx.run);
            }
            State::Exchange => {
                let now = cx.now;
                let overdue = move |(at, _): &(Instant, Fault)| *at <= now;
                let mut late = self.exchange_deadline(token).filter(overdue);
                if late.is_some() && self.learn_what_is_awaited(token) {
                    late = self.exchange_deadline(token).filter(overdue);
                }
                if matches!(late, Some((_, Fault::Downstream(DownstreamFault::WriteTimeout)))) {
                    self.try_to_write(token, cx);
                    late = self.exchange_deadline(token).filter(overdue);
                }
                if let Some((_, fault)) = late {
                    self.failed(token, Failed::Fault(self.owned(token, fault)), cx);
                } else {
                    self.beat(token, cx);
                }
                // If no timer was late, a pause or a sleep is over.
                self.enqueue(token, &mut cx.run);
            }
            State::Closed => {}
            _ => {
                self.close_downstream(token, cx);
            }
        }
    }

    /// Turns the fault of a timer into one of ours, if the bytes are here and no buffer to read them.
    fn owned(&self, token: Token, fault: Fault) -> Fault {
        let thirsty = self.downstreams.get(token).is_some_and(|downstream| downstream.thirst != 0);
        match fault {
            Fault::Upstream(UpstreamFault::TotalTimeout) => fault,
            _ if thirsty => Fault::Local(LocalFault::Buffers),
            fault => fault,
        }
    }

    /// Writes to a client that is about to be given up. The kernel tells of room only when a third of
    /// its send buffer is free, which may be megabytes, but takes bytes as soon as there is any room.
    /// So only a write tells a slow reader from a client that does not read.
    fn try_to_write(&mut self, token: Token, cx: &mut Cx<N>) {
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.socket.ready.suppose_writable();
            self.advance_client(token, cx);
        }
    }
}
