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

use std::time::Duration;

use crate::clock::Instant;
use crate::flow::relay::Budget;
use crate::gateway::Gateway;
use crate::gateway::client::connection::HANDSHAKE;
use crate::gateway::client::request::Opened;
use crate::gateway::command::Life;
use crate::gateway::record::downstream::State;
use crate::gateway::record::peer::{Peer, Progress};
use crate::gateway::record::verdict::{Failed, Step};
use crate::gateway::steady::Short;
use crate::http::head::{HeadError, may_be_complete};
use crate::measure::stall::Owner;
use crate::proxy::exchange::{Timer, Waiting, deadline};
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault, UpstreamFault};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::wire::pool::Room;
use crate::wire::socket::Fill;

/// How long a lingering connection is read in all, and how long while it is silent.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// How long a connection that was accepted at the last moment of a drain may take to send its request,
/// which is on the way, and is served.
const GREETING: Duration = Duration::from_secs(1);

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
                Step::Again if !budget.is_spent() => match self.advance(token, &mut budget, cx) {
                    Some(step) => step,
                    None => return,
                },
                Step::Again | Step::Yield => {
                    self.desk.tally.budget_spent.add(1);
                    self.enqueue(token, &mut cx.run);
                    break;
                }
                Step::Wait => break,
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

    /// One step, by the state of the connection. `None`: it is closed.
    fn advance(&mut self, token: Token, budget: &mut Budget, cx: &mut Cx<N>) -> Option<Step> {
        Some(match self.downstreams.get(token)?.state {
            State::Handshake { .. } => {
                self.await_handshake_of_client(token, cx);
                Step::Wait
            }
            State::Idle { .. } | State::Head { .. } => self.receive_head(token, budget, cx),
            State::Exchange => self.advance_exchange(token, budget, cx),
            State::Replying { then, .. } => self.write_reply(token, then, cx),
            State::Lingering { .. } => self.linger(token, budget, cx),
            State::Closed => return None,
        })
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

    /// What the exchange of a connection waits for, if it has one.
    fn waiting(&self, token: Token) -> Option<Waiting> {
        let exchange = self.downstreams.get(token)?.exchange.as_deref()?;
        let upstream = match exchange.peer {
            Peer::Upstream(upstream) => self.upstreams.get(upstream),
            _ => None,
        };
        Some(exchange.waiting(upstream, self.has_unsent_request(token)))
    }

    /// Waits for a request, reads its head, and opens the exchange.
    fn receive_head(&mut self, token: Token, budget: &mut Budget, cx: &mut Cx<N>) -> Step {
        loop {
            let Some(downstream) = self.downstreams.get(token) else { return Step::Wait };
            let unscanned = downstream.socket.unscanned();
            let examined = downstream.examined as usize;
            let limit = self.snapshot.limits.head_bytes;
            if unscanned.len() > examined {
                // Some mistakes can be seen in the first bytes, before the head is whole.
                if examined == 0 || unscanned.len() >= limit || may_be_complete(unscanned, examined)
                {
                    budget.spend(0);
                    match self.open_exchange(token, cx) {
                        Opened::Exchange => return Step::Again,
                        Opened::Faulty(fault) => return Step::Over(Err(Fault::Downstream(fault))),
                        Opened::Refused(error) => return self.refuse_head(token, error, cx),
                        Opened::Incomplete => {}
                    }
                }
                let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
                let unscanned = downstream.socket.unscanned();
                downstream.examined = unscanned.len() as u32;
                // These bytes may have come behind the request before, in one read. An empty line is
                // not yet a request.
                let begun = !b"\r\n".starts_with(unscanned);
                if begun && let State::Idle { .. } = downstream.state {
                    downstream.state = State::Head { since: cx.now };
                }
            }
            let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
            if downstream.socket.ready.errored() {
                return self.close_downstream(token, cx);
            }
            if !downstream.socket.readable() {
                // An idle client is told that nothing more comes, unless its next request is here.
                let idle = matches!(downstream.state, State::Idle { .. });
                return if idle && self.dismisses_idle() {
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
            Some(Peer::Pausing { until, .. }) if *until > cx.now => Step::Wait,
            Some(Peer::Pausing { .. }) => self.resume(token, cx),
            Some(Peer::Responder { .. }) => self.advance_responder(token, budget, cx),
            Some(Peer::Nobody) | None => Step::Wait,
        }
    }

    /// Gives the connection the deadline of its state.
    pub(crate) fn arm(&mut self, token: Token, cx: &mut Cx<N>) {
        let waiting = self.waiting(token);
        self.arm_for(token, waiting.as_ref(), cx);
    }

    fn arm_for(&mut self, token: Token, waiting: Option<&Waiting>, cx: &mut Cx<N>) {
        let at = match self.downstreams.get(token) {
            Some(downstream) if downstream.state != State::Closed => {
                self.deadline_of(token, waiting, cx)
            }
            _ => return,
        };
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.alarm.set(at, token, &mut cx.wheel);
        }
    }

    fn deadline_of(&self, token: Token, waiting: Option<&Waiting>, cx: &Cx<N>) -> Instant {
        let Some(downstream) = self.downstreams.get(token) else { return Instant::NEVER };
        let timeouts = &self.snapshot.timeouts;
        match downstream.state {
            State::Idle { since } => since.after(timeouts.client_idle),
            State::Handshake { since } => {
                let limit = since + HANDSHAKE;
                if self.dismisses_idle() { limit.min(cx.now + GREETING) } else { limit }
            }
            State::Head { since } => {
                let silent = downstream.socket.unscanned().is_empty();
                let limit = since.after(timeouts.head);
                if silent && self.dismisses_idle() { limit.min(cx.now + GREETING) } else { limit }
            }
            State::Replying { since, .. } => since.after(timeouts.exchange.client_write),
            State::Lingering { since, heard } => (since + LINGER).min(heard + LINGER_SILENCE),
            State::Closed => Instant::NEVER,
            State::Exchange => {
                let timer = waiting.and_then(|waiting| self.timer_of(token, waiting));
                let timer = timer.map_or(Instant::NEVER, |(at, _)| at);
                timer.min(self.wakes(token)).min(self.heartbeat_at(token))
            }
        }
    }

    /// The thread did not run for `lost`: the instants that timers count from move by that.
    #[cold]
    pub(crate) fn excuse(&mut self, lost: Duration, cx: &mut Cx<N>) {
        for token in self.downstreams.tokens() {
            if let Some(downstream) = self.downstreams.get_mut(token) {
                downstream.excuse(lost);
            }
            self.arm(token, cx);
        }
        if let Life::Draining { deadline, .. } = &mut self.life {
            *deadline += lost;
        }
    }

    /// When a pause between attempts, or the sleep of a responder, ends.
    fn wakes(&self, token: Token) -> Instant {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_ref());
        match exchange.map(|exchange| &exchange.peer) {
            Some(Peer::Pausing { until, .. }) => *until,
            Some(Peer::Responder { progress: Progress::Sleeping(until), .. }) => *until,
            _ => Instant::NEVER,
        }
    }

    /// The timer that runs for an exchange that waits like this.
    fn timer_of(&self, token: Token, waiting: &Waiting) -> Option<(Instant, Timer)> {
        let exchange = self.downstreams.get(token)?.exchange.as_ref()?;
        Some(deadline(waiting, &exchange.timeline, exchange.timeouts()))
    }

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
