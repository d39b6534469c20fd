//! Attempt: what follows when an endpoint did not answer a request as it should.
//!
//! Until a byte of the final response is with the client nothing is lost. The request is taken back
//! from the connection it was written to and goes to another one: a fresh one, another endpoint, the
//! next upstream of the route, or the predefined answer that ends the chain. The verdict is
//! [`crate::proxy::retry`]'s; here it is carried out.
//!
//! * Every attempt gives back what it held (connection, permit) before the next one begins.
//! * A request that was not kept to its last byte is not sent again.
//! * Where nothing can follow, what the upstream did say is the answer, an error of ours if it said
//!   nothing.

use super::drive::Step;
use super::exchange::{Exchange, Peer, Turn};
use super::net::Net;
use super::outbox::Outbox;
use super::relay::FlowState;
use super::token::Token;
use super::worker::Worker;
use crate::config::snapshot::{Commit, Condition};
use crate::proxy::fault::{Fault, LocalFault, UpstreamFault};
use crate::proxy::retry::{self, Attempt, Facts, Verdict};
use std::time::Duration;

/// How an attempt failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection to the upstream is lost before the head of its answer was complete.
    Lost(UpstreamFault),
    Fault(Fault),
    /// There is an answer, and another attempt may bring a better one.
    Unwanted {
        condition: Condition,
        /// The server's `Retry-After`.
        retry_after: Option<Duration>,
    },
}

impl<N: Net> Worker<N> {
    /// The attempt that the exchange of `token` is at has failed.
    pub(super) fn failed(&mut self, token: Token, failed: Failed) -> Step {
        if self.replays_for_stale(token, &failed) {
            return Step::Again;
        }
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return Step::Wait;
        };
        let (condition, retry_after) = match &failed {
            Failed::Unwanted { condition, retry_after } => (Some(*condition), *retry_after),
            Failed::Lost(fault) | Failed::Fault(Fault::Upstream(fault)) => {
                (condition_of(fault, exchange.held), None)
            }
            Failed::Fault(_) => (None, None),
        };
        match self.verdict(exchange, &failed, condition, retry_after) {
            Verdict::Again { after } => {
                self.withdraw(token);
                self.begin_attempt(token, after);
                Step::Again
            }
            Verdict::Next => {
                self.withdraw(token);
                self.go_to_link(token, None);
                Step::Again
            }
            Verdict::Final => self.give_up(token, failed),
        }
    }

    fn verdict(
        &self,
        exchange: &Exchange,
        failed: &Failed,
        condition: Option<Condition>,
        retry_after: Option<Duration>,
    ) -> Verdict {
        let (Some(upstream), Some(chain)) = (exchange.upstream(), exchange.chain()) else {
            return Verdict::Final;
        };
        let local = matches!(failed, Failed::Fault(Fault::Local(LocalFault::Saturated)));
        let facts = Facts {
            committed: exchange.committed,
            condition,
            retry_after,
            attempts: u32::from(exchange.attempt.at_upstream),
            kept: self.keeps_request(exchange),
            sent: exchange.attempt.sent,
            idempotent: exchange.idempotent,
            untried: (0..upstream.endpoints.len())
                .any(|index| !exchange.attempt.has_tried(index) && index != exchange.endpoint),
            more_links: exchange.link + 1 < chain.links.len(),
            upstream_unavailable: local,
        };
        retry::decide(&facts, &upstream.retry)
    }

    /// Whether the request can be sent again, to its first byte.
    pub(super) fn keeps_request(&self, exchange: &Exchange) -> bool {
        match exchange.peer {
            Peer::Upstream(connection) => {
                self.upstreams.get(connection).is_some_and(|up| up.socket.outbox.keeps())
            }
            _ => exchange.outbox.keeps(),
        }
    }

    /// A reused connection may have been closed by the server at the very moment the request was
    /// written to it. That is nobody's failure: the request is sent on a fresh one, once.
    fn replays_for_stale(&mut self, token: Token, failed: &Failed) -> bool {
        let Failed::Lost(fault) = failed else { return false };
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return false;
        };
        let attempt = Attempt {
            reused: exchange.attempt.reused,
            answered: exchange.attempt.answered,
            replayed: exchange.attempt.replayed,
            sent: exchange.attempt.sent,
            idempotent: exchange.idempotent,
            kept: self.keeps_request(exchange),
        };
        let Some(upstream) = exchange.upstream() else { return false };
        if retry::on_connection_lost(attempt, upstream.pool.replay_stale_post)
            != retry::Stale::ReplayFresh
        {
            return false;
        }
        let reason = fault.of_a_pooled_connection();
        log::debug!("{}: {reason}; replayed on a fresh connection", exchange.id);
        self.desk.tally.stale_replays.add(1);
        self.withdraw(token);
        let now = self.now;
        if let Some(exchange) = self.exchange_mut(token) {
            exchange.attempt.replayed = true;
            exchange.timeline.sought = now;
            exchange.peer = Peer::Seeking { fresh: true, turn: Turn::New };
        }
        true
    }

    /// Takes the request back from where it is and gives up what the attempt held.
    fn withdraw(&mut self, token: Token) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return };
        let peer = std::mem::replace(&mut exchange.peer, Peer::Nobody);
        let attempt = &mut exchange.attempt;
        (attempt.answered, attempt.sent) = (false, false);
        (exchange.held, exchange.first_event, exchange.examined) = (false, false, 0);
        exchange.response = None;
        if exchange.request.state == FlowState::Cut {
            exchange.request.state = FlowState::Open;
        }
        let home = exchange.upstream().map(|upstream| upstream.id);
        match peer {
            Peer::Upstream(connection) => {
                let Some(upstream) = self.upstreams.get_mut(connection) else { return };
                // What was held back of an answer gives way to the request.
                exchange.outbox.clear(&mut self.desk.buffers);
                exchange.outbox = std::mem::take(&mut upstream.socket.outbox);
                if exchange.outbox.keeps() {
                    exchange.outbox.rewind();
                }
                self.close_upstream(connection);
            }
            Peer::Seeking { turn: Turn::Queued, .. } => {
                if let Some(home) = home {
                    self.groups[home].pool.leave(token);
                }
            }
            Peer::Seeking { turn: Turn::Called, .. } => {
                if let Some(home) = home {
                    self.wake_waiting(home);
                }
            }
            Peer::Seeking { turn: Turn::New, .. }
            | Peer::Pausing { .. }
            | Peer::Responder { .. }
            | Peer::Nobody => {}
        }
    }

    /// Another attempt at the same upstream.
    fn begin_attempt(&mut self, token: Token, after: Duration) {
        let now = self.now;
        let Some(exchange) = self.exchange_mut(token) else { return };
        let endpoint = exchange.endpoint;
        exchange.attempt.note_tried(endpoint);
        exchange.attempt.at_upstream = exchange.attempt.at_upstream.saturating_add(1);
        exchange.attempt.in_all = exchange.attempt.in_all.saturating_add(1);
        exchange.attempt.replayed = false;
        exchange.timeline.sought = now;
        exchange.peer = if after.is_zero() {
            Peer::Seeking { fresh: false, turn: Turn::New }
        } else {
            Peer::Pausing { until: now + after }
        };
        log::debug!("{}: attempt {}", exchange.id, exchange.attempt.in_all);
        self.desk.tally.retries.add(1);
    }

    /// The pause before an attempt is over.
    pub(super) fn resume(&mut self, token: Token) -> Step {
        let now = self.now;
        if let Some(exchange) = self.exchange_mut(token) {
            exchange.timeline.sought = now;
            exchange.peer = Peer::Seeking { fresh: false, turn: Turn::New };
        }
        Step::Again
    }

    /// The first attempt at another upstream of the route; `None`: the next one.
    fn go_to_link(&mut self, token: Token, link: Option<usize>) {
        let now = self.now;
        let Some(exchange) = self.exchange_mut(token) else { return };
        exchange.link = link.unwrap_or(exchange.link + 1);
        exchange.attempt.at_upstream = 1;
        exchange.attempt.in_all = exchange.attempt.in_all.saturating_add(1);
        exchange.attempt.tried = 0;
        exchange.attempt.replayed = false;
        exchange.timeline.sought = now;
        exchange.peer = Peer::Seeking { fresh: false, turn: Turn::New };
        log::debug!("{}: on to upstream {} of its route", exchange.id, exchange.link + 1);
        self.desk.tally.failovers.add(1);
    }

    /// No attempt follows.
    fn give_up(&mut self, token: Token, failed: Failed) -> Step {
        match failed {
            Failed::Lost(fault) => self.end(token, Err(Fault::Upstream(fault))),
            Failed::Fault(fault) => self.end(token, Err(fault)),
            Failed::Unwanted { .. } => {
                if let Some(exchange) = self.exchange_mut(token) {
                    exchange.attempt.last = true;
                }
                Step::Again
            }
        }
    }

    /// Whether another attempt, or the predefined answer, can still take the place of this one.
    pub(super) fn can_be_rescued(&self, exchange: &Exchange) -> bool {
        let (Some(upstream), Some(chain)) = (exchange.upstream(), exchange.chain()) else {
            return false;
        };
        let again = u32::from(exchange.attempt.at_upstream) < upstream.retry.attempts;
        let elsewhere = again || exchange.link + 1 < chain.links.len();
        !exchange.attempt.last
            && (chain.fallback.is_some() || elsewhere && self.keeps_request(exchange))
    }

    /// Whether the head of an event stream is kept from the client until the first data event.
    pub(super) fn holds_back(&self, exchange: &Exchange) -> bool {
        let commit = exchange.route.map(|route| exchange.snapshot.routes[route].commit);
        commit == Some(Commit::FirstEvent) && self.can_be_rescued(exchange)
    }

    /// From here on there is no other answer: what was held back is on its way, the request is
    /// forgotten.
    pub(super) fn commit(&mut self, token: Token, connection: Token) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return };
        exchange.committed = true;
        let buffers = &mut self.desk.buffers;
        if std::mem::take(&mut exchange.held) {
            let mut held: Outbox = std::mem::take(&mut exchange.outbox);
            held.append_to(&mut downstream.socket.outbox, buffers);
        }
        if let Some(upstream) = self.upstreams.get_mut(connection) {
            upstream.socket.outbox.forget(buffers);
        }
    }
}

/// What a fault is called in `retry.on`. `held`: the head of an answer had come.
fn condition_of(fault: &UpstreamFault, held: bool) -> Option<Condition> {
    match fault {
        UpstreamFault::Connect(_) | UpstreamFault::ConnectTimeout => Some(Condition::Connect),
        UpstreamFault::TtftTimeout => Some(Condition::TtftTimeout),
        UpstreamFault::Head(_) => Some(Condition::BadAnswer),
        UpstreamFault::Reset(_)
        | UpstreamFault::Closed
        | UpstreamFault::Chunk(_)
        | UpstreamFault::Truncated
        | UpstreamFault::InterEventTimeout
            if held =>
        {
            Some(Condition::EmptyStream)
        }
        UpstreamFault::Reset(_) | UpstreamFault::Closed | UpstreamFault::WriteTimeout => {
            Some(Condition::Reset)
        }
        UpstreamFault::Chunk(_)
        | UpstreamFault::Truncated
        | UpstreamFault::InterEventTimeout
        | UpstreamFault::TotalTimeout
        | UpstreamFault::BrokenOff => None,
    }
}

impl UpstreamFault {
    fn of_a_pooled_connection(&self) -> &'static str {
        match self {
            UpstreamFault::Connect(_) => "the pooled connection refused a write",
            UpstreamFault::Closed => "the pooled connection was closed",
            _ => "the pooled connection was reset",
        }
    }
}
