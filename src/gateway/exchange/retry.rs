//! Retry: takes a request back from where it is, and begins another attempt somewhere else.
//!
//! * Every attempt gives back what it held (connection, permit) before the next one begins.

use std::time::Duration;

use crate::config::snapshot::Condition;
use crate::flow::relay::FlowState;
use crate::gateway::Gateway;
use crate::gateway::record::exchange::{Busy, Exchange, Gather};
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::verdict::{Failed, Step};
use crate::measure::hops;
use crate::proxy::breaker::Outcome;
use crate::proxy::retry::Cause;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    /// Takes the request back from where it failed, and notes where and why that was.
    pub(crate) fn withdraw(&mut self, token: Token, failed: &Failed, cx: &mut Cx<N>) {
        let now = cx.now;
        let Some(exchange) = self.exchange_mut(token) else { return };
        if exchange.trace.is_some() {
            let answered =
                exchange.attempt.response.as_ref().map_or(0, |_| exchange.attempt.status);
            let status = failed.status().unwrap_or(answered);
            exchange.end_send(status, Some(failed.reason()), now);
        }
        let cause = failed.cause(exchange.commit.is_held());
        let outcome = failed.outcome(exchange);
        if failed.leaves_open(exchange) {
            // The next endpoint is asked when the whole body is here.
            exchange.gather = Gather::Whole;
        }
        if let Some(status @ (429 | 503)) = failed.status() {
            let until = exchange.attempt.retry_after.map(|told| now + told);
            exchange.aside_mut().busy = Some(Busy { status, until });
        }
        let Exchange { attempt, tries, .. } = exchange;
        tries.slow_before |= cause == Some(Cause::Failed(Condition::TtftTimeout));
        if let Some(pick) = &attempt.pick
            && cause != Some(Cause::Loading)
        {
            tries.tried.add(pick.endpoint());
        }
        self.desk.tally.retry_causes[hops::index_of(cause)].add(1);
        self.take_back(token, outcome, cx);
    }

    /// Takes the request back from where it is, and gives back what the attempt held.
    pub(crate) fn take_back(&mut self, token: Token, outcome: Outcome, cx: &mut Cx<N>) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return };
        if exchange.attempt.response.is_some() {
            let continued = exchange.commit.is_passed();
            exchange.note_wasted(if continued { "continuation" } else { "retry" });
        }
        let peer = std::mem::replace(&mut exchange.peer, Peer::Nobody);
        exchange.keep_onlookers();
        exchange.forget_questions();
        let pick = std::mem::take(&mut exchange.attempt).pick;
        exchange.commit.end_attempt();
        if exchange.request.state == FlowState::Cut {
            exchange.request.state = FlowState::Open;
        }
        let home = exchange.upstream().map(|upstream| upstream.id);
        match peer {
            Peer::Upstream(connection) => {
                let Some(upstream) = self.upstreams.get_mut(connection) else { return };
                // The outbox held back a part of the answer: now it gets the request again.
                exchange.outbox.clear(&mut self.desk.buffers);
                exchange.outbox = std::mem::take(&mut upstream.socket.outbox);
                exchange.outbox.strip(&mut self.desk.buffers);
                self.close_upstream(connection, cx);
            }
            Peer::Seeking { line: Line::Queued | Line::Called, .. } => {
                if let Some(home) = home {
                    self.leave_queue(token, home, cx);
                }
            }
            Peer::AwaitingModel { .. } => {
                if let Some(home) = home {
                    self.groups[home].stop_awaiting(token);
                }
            }
            Peer::Seeking { line: Line::New, .. }
            | Peer::Pausing { .. }
            | Peer::Responder { .. }
            | Peer::Nobody => {}
        }
        if let Some(home) = home {
            self.learn(home, pick, outcome, cx);
        }
    }

    /// Begins another attempt at the same upstream; `free`: it does not count against `retry.attempts`.
    pub(crate) fn begin_attempt(
        &mut self,
        token: Token,
        after: Duration,
        fresh: bool,
        free: bool,
        cx: &mut Cx<N>,
    ) {
        let now = cx.now;
        let Some(exchange) = self.exchange_mut(token) else { return };
        let counted = u8::from(!free);
        exchange.tries.at_upstream = exchange.tries.at_upstream.saturating_add(counted);
        exchange.tries.in_all = exchange.tries.in_all.saturating_add(1);
        exchange.tries.replayed = false;
        exchange.timeline.seek(now);
        exchange.peer = if after.is_zero() {
            Peer::Seeking { fresh, line: Line::New }
        } else {
            Peer::Pausing { until: now + after, fresh }
        };
        log::debug!("{}: attempt {}", exchange.id, exchange.tries.in_all);
        self.desk.tally.retries.add(1);
    }

    /// Goes on with an attempt whose pause is over.
    pub(crate) fn resume(&mut self, token: Token, cx: &mut Cx<N>) -> Step {
        let now = cx.now;
        if let Some(exchange) = self.exchange_mut(token)
            && let Peer::Pausing { fresh, .. } = exchange.peer
        {
            exchange.timeline.seek(now);
            exchange.peer = Peer::Seeking { fresh, line: Line::New };
        }
        Step::Again
    }

    /// Begins the first attempt at another upstream of the route; `None`: the next upstream. `made`: an
    /// attempt was made at this one.
    pub(crate) fn go_to_link(
        &mut self,
        token: Token,
        link: Option<usize>,
        made: bool,
        cx: &mut Cx<N>,
    ) {
        let now = cx.now;
        let Some(exchange) = self.exchange_mut(token) else { return };
        exchange.link = link.unwrap_or(exchange.link + 1);
        exchange.tries.in_all = exchange.tries.in_all.saturating_add(u8::from(made));
        exchange.tries.at_upstream = 1;
        exchange.tries.replayed = false;
        if let Some(aside) = &mut exchange.aside {
            aside.model_wait = None;
        }
        exchange.timeline.seek(now);
        exchange.peer = Peer::Seeking { fresh: false, line: Line::New };
        log::debug!("{}: on to upstream {} of its route", exchange.id, exchange.link + 1);
        if let Some(upstream) = exchange.upstream().map(|upstream| upstream.id) {
            self.groups[upstream].budget.on_request(now);
        }
        self.desk.tally.failovers.add(1);
    }
}
