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
use super::exchange::{Exchange, Gather, Peer, Progress, Turn};
use super::gather::look;
use super::hops;
use super::net::Net;
use super::relay::FlowState;
use super::token::Token;
use super::worker::Worker;
use crate::clock::Instant;
use crate::config::snapshot::Condition;
use crate::http::rewrite;
use crate::proxy::breaker::Outcome;
use crate::proxy::endpoints;
use crate::proxy::exchange::Awaited;
use crate::proxy::fault::{Fault, LocalFault, UpstreamFault};
use crate::proxy::group::Group;
use crate::proxy::retry::{self, Cause, Verdict, Why, stale};
use crate::responder::canned::{self, Caller};
use crate::service::canned::Asked;
use std::time::Duration;

/// How an attempt failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection to the upstream is lost before the head of its answer was complete.
    Lost(UpstreamFault),
    Fault(Fault),
    /// There is an answer, and another attempt may bring a better one.
    Unwanted(Cause),
}

impl<N: Net> Worker<N> {
    /// The attempt that the exchange of `token` is at has failed.
    #[cold]
    pub(super) fn failed(&mut self, token: Token, failed: Failed) -> Step {
        if self.replays_for_stale(token, &failed) {
            return Step::Again;
        }
        let failed = self.behind_the_end(token, failed);
        let failed = match self.go_on(token, failed) {
            Ok(step) => return step,
            Err(failed) => self.with_retry_after(token, failed),
        };
        match self.verdict(token, &failed) {
            Verdict::Retry { after, fresh, free, .. } => {
                self.withdraw(token, &failed);
                self.begin_attempt(token, after, fresh, free);
                Step::Again
            }
            Verdict::Next => {
                let next = self.next_of(token);
                self.withdraw(token, &failed);
                self.go_to_link(token, next, failed.was_made());
                Step::Again
            }
            Verdict::Larger => {
                let larger = self.exchange_mut(token).and_then(|exchange| exchange.chain()?.larger);
                self.withdraw(token, &failed);
                self.go_to_link(token, larger, true);
                Step::Again
            }
            Verdict::Final(why) => self.give_up(token, failed, why),
        }
    }

    /// Puts in what was lacking and when it is worth to come again, for one that has waited in vain.
    fn with_retry_after(&self, token: Token, failed: Failed) -> Failed {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        match (&failed, exchange.and_then(|exchange| Some((exchange, exchange.upstream()?)))) {
            (
                Failed::Fault(Fault::Local(LocalFault::QueueTimeout { .. })),
                Some((exchange, upstream)),
            ) => {
                let Group { queue, admission, .. } = &self.groups[upstream.id];
                let retry_after = queue.retry_after(exchange.priority, self.now, admission);
                let lack = queue.lack();
                Failed::Fault(Fault::Local(LocalFault::QueueTimeout { retry_after, lack }))
            }
            _ => failed,
        }
    }

    fn verdict(&mut self, token: Token, failed: &Failed) -> Verdict {
        let unknown = Verdict::Final(Why::NotNamed);
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return unknown;
        };
        let Some(upstream) = exchange.upstream() else { return unknown };
        let Some(cause) = failed.cause(exchange.held) else { return unknown };
        // What has not begun to leave is all here, kept or not.
        let kept = self.keeps_request(exchange) || !exchange.attempt.sent;
        let continuing = exchange.is_continuing();
        let next = self.next_link(exchange).is_some();
        let attempt = &exchange.attempt;
        let mut tried = attempt.tried.clone();
        if let Some(pick) = &attempt.pick {
            tried.add(pick.endpoint());
        }
        let unheard = failed.leaves_open(exchange)
            || !attempt.sent && cause == Cause::Failed(Condition::Connect);
        let search = self.in_search(exchange, &tried);
        let request = endpoints::Request { unheard: unheard && search.unheard, ..search };
        let group = &mut self.groups[upstream.id];
        // Its pick goes back once the verdict is known: a final answer holds it to its last byte.
        let ended = attempt.pick.as_ref().map(|pick| (pick, failed.outcome(exchange)));
        let (elsewhere, here) = group.endpoints.prospects(&request, ended, self.now);
        let facts = retry::Attempt {
            cause,
            committed: exchange.committed,
            sent: attempt.sent,
            reused: attempt.reused,
            kept,
            idempotent: exchange.idempotent,
            attempts: u32::from(attempt.at_upstream),
            slow_before: attempt.slow_before,
            unheard,
            elsewhere,
            here,
            next,
            larger: exchange.has_larger() && !continuing,
            retry_after: attempt.retry_after,
            deadline: exchange.timeline.started.after(exchange.timeouts().total),
        };
        let draw = self.random.draw();
        retry::decide(&facts, &upstream.retry, &mut group.budget, self.now, draw)
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
        let attempt = stale::Attempt {
            reused: exchange.attempt.reused,
            answered: exchange.attempt.answered,
            replayed: exchange.attempt.replayed,
            sent: exchange.attempt.sent,
            idempotent: exchange.idempotent,
            kept: self.keeps_request(exchange) || !exchange.attempt.sent,
        };
        let Some(upstream) = exchange.upstream() else { return false };
        if stale::on_connection_lost(attempt, upstream.pool.replay_stale_post)
            != stale::Verdict::ReplayFresh
        {
            return false;
        }
        let reason = fault.of_a_pooled_connection();
        log::debug!("{}: {reason}; replayed on a fresh connection", exchange.id);
        self.desk.tally.stale_replays.add(1);
        let now = self.now;
        if let Some(exchange) = self.exchange_mut(token) {
            exchange.end_send(0, Some("stale_connection"), now);
        }
        self.take_back(token, Outcome::Abandoned);
        if let Some(exchange) = self.exchange_mut(token) {
            exchange.attempt.replayed = true;
            exchange.timeline.seek(now);
            exchange.peer = Peer::Seeking { fresh: true, turn: Turn::New };
        }
        true
    }

    /// Takes the request back from where it failed, and notes where that was.
    pub(super) fn withdraw(&mut self, token: Token, failed: &Failed) {
        let now = self.now;
        let Some(exchange) = self.exchange_mut(token) else { return };
        if exchange.trace.is_some() {
            let answered = exchange.response.as_ref().map_or(0, |_| exchange.status);
            let status = failed.status().unwrap_or(answered);
            exchange.end_send(status, Some(failed.reason()), now);
        }
        let cause = failed.cause(exchange.held);
        let outcome = failed.outcome(exchange);
        if failed.leaves_open(exchange) {
            // The next one is asked when there is something to ask.
            exchange.gather = Gather::Whole;
        }
        let attempt = &mut exchange.attempt;
        attempt.slow_before |= cause == Some(Cause::Failed(Condition::TtftTimeout));
        if let Some(pick) = &attempt.pick {
            attempt.tried.add(pick.endpoint());
        }
        self.desk.tally.retry_causes[hops::index_of(cause)].add(1);
        self.take_back(token, outcome);
    }

    /// Takes the request back from where it is and gives up what the attempt held.
    fn take_back(&mut self, token: Token, outcome: Outcome) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return };
        let peer = std::mem::replace(&mut exchange.peer, Peer::Nobody);
        let attempt = &mut exchange.attempt;
        (attempt.answered, attempt.sent) = (false, false);
        attempt.retry_after = None;
        let pick = attempt.pick.take();
        (exchange.first_event, exchange.settled) = (false, false);
        (exchange.held, exchange.examined) = (false, 0);
        (exchange.awaited, exchange.by_bytes) = (Awaited::Unknown, false);
        exchange.part_with_response();
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
            Peer::Seeking { turn: Turn::Queued | Turn::Called, .. } => {
                if let Some(home) = home {
                    self.leave_queue(token, home);
                }
            }
            Peer::Seeking { turn: Turn::New, .. }
            | Peer::Pausing { .. }
            | Peer::Responder { .. }
            | Peer::Nobody => {}
        }
        if let Some(home) = home {
            self.learn(home, pick, outcome);
        }
    }

    /// Another attempt at the same upstream; `free`: as far as its number goes, the same one.
    pub(super) fn begin_attempt(&mut self, token: Token, after: Duration, fresh: bool, free: bool) {
        let now = self.now;
        let Some(exchange) = self.exchange_mut(token) else { return };
        let counted = u8::from(!free);
        exchange.attempt.at_upstream = exchange.attempt.at_upstream.saturating_add(counted);
        exchange.attempt.in_all = exchange.attempt.in_all.saturating_add(1);
        exchange.attempt.replayed = false;
        exchange.timeline.seek(now);
        exchange.peer = if after.is_zero() {
            Peer::Seeking { fresh, turn: Turn::New }
        } else {
            Peer::Pausing { until: now + after, fresh }
        };
        log::debug!("{}: attempt {}", exchange.id, exchange.attempt.in_all);
        self.desk.tally.retries.add(1);
    }

    /// The pause before an attempt is over.
    pub(super) fn resume(&mut self, token: Token) -> Step {
        let now = self.now;
        if let Some(exchange) = self.exchange_mut(token)
            && let Peer::Pausing { fresh, .. } = exchange.peer
        {
            exchange.timeline.seek(now);
            exchange.peer = Peer::Seeking { fresh, turn: Turn::New };
        }
        Step::Again
    }

    /// The upstream that an exchange goes on to.
    fn next_of(&self, token: Token) -> Option<usize> {
        let exchange = self.downstreams.get(token)?.exchange.as_deref()?;
        self.next_link(exchange)
    }

    /// The first attempt at another upstream of the route; `None`: the next one. `made`: there was one
    /// at this upstream.
    pub(super) fn go_to_link(&mut self, token: Token, link: Option<usize>, made: bool) {
        let now = self.now;
        let Some(exchange) = self.exchange_mut(token) else { return };
        exchange.link = link.unwrap_or(exchange.link + 1);
        exchange.attempt.in_all = exchange.attempt.in_all.saturating_add(u8::from(made));
        exchange.attempt.at_upstream = 1;
        exchange.attempt.replayed = false;
        exchange.timeline.seek(now);
        exchange.peer = Peer::Seeking { fresh: false, turn: Turn::New };
        log::debug!("{}: on to upstream {} of its route", exchange.id, exchange.link + 1);
        if let Some(upstream) = exchange.upstream().map(|upstream| upstream.id) {
            self.groups[upstream].budget.on_request(now);
        }
        self.desk.tally.failovers.add(1);
    }

    /// No attempt follows.
    fn give_up(&mut self, token: Token, failed: Failed, why: Why) -> Step {
        match self.exchange_mut(token) {
            Some(exchange) if why == Why::NotKept => exchange.tell_not_kept(),
            Some(exchange) if exchange.attempt.in_all > 1 || why == Why::Budget => {
                log::debug!("{}: no further attempt: {}", exchange.id, why.code());
            }
            _ => {}
        }
        if let Some(fault) = self.fault_behind(token, &failed) {
            return self.end(token, Err(fault));
        }
        if why.may_degrade() && self.falls_back(token, &failed) {
            return Step::Again;
        }
        match failed {
            Failed::Lost(fault) => self.end(token, Err(Fault::Upstream(fault))),
            Failed::Fault(fault) => self.end(token, Err(fault)),
            // Then it is the answer.
            Failed::Unwanted(_) => {
                if let Some(exchange) = self.exchange_mut(token) {
                    exchange.attempt.last = true;
                }
                Step::Again
            }
        }
    }

    /// Lets the predefined answer of the route take the upstreams' place, if there is one.
    fn falls_back(&mut self, token: Token, failed: &Failed) -> bool {
        let Some(exchange) = self.exchange_mut(token) else { return false };
        let Some(fallback) = exchange.chain().and_then(|chain| chain.fallback.as_ref()) else {
            return false;
        };
        // The client has the head of a stream: an error document cannot follow it.
        if exchange.is_prefaced() && !fallback.is_stream() {
            return false;
        }
        let reason = failed.reason();
        log::info!("{}: {reason}; the predefined answer is given", exchange.id);
        self.withdraw(token, failed);
        let Some(exchange) = self.exchange_mut(token) else { return false };
        // What the caller asked for, a stream or a document, may stand in what has not come yet.
        exchange.aside_mut().degraded = Some(reason);
        exchange.end_naming();
        exchange.gather = Gather::Whole;
        exchange.peer = Peer::Seeking { fresh: false, turn: Turn::New };
        true
    }

    /// Begins the predefined answer, once the request is here, if it was decided on.
    pub(super) fn degrades(&mut self, token: Token) -> bool {
        let degraded =
            self.exchange_mut(token).and_then(|exchange| exchange.aside.as_mut()?.degraded.take());
        let Some(reason) = degraded else { return false };
        let (now, serial) = (self.now, self.random.draw());
        let epoch = self.net.time_of_day().saturating_sub(now - Instant::ZERO).as_secs();
        let told = self.tells_models();
        let Some(downstream) = self.downstreams.get_mut(token) else { return false };
        // Of a body too long to be kept, some was on its way to the upstream.
        downstream.socket.drop_pending(&mut self.desk);
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return false };
        let Some(fallback) = exchange.chain().and_then(|chain| chain.fallback.clone()) else {
            return false;
        };
        let mut kept = std::mem::take(&mut exchange.outbox);
        if told {
            exchange.learn_model_asked(&kept, &[]);
        }
        let request = kept.copy(LOOK_MAX);
        let (path, _) = rewrite::path_and_body(&request);
        let look = look(&request, exchange.kept_framing(), 0);
        let own = exchange.own_model();
        let path = String::from_utf8_lossy(path);
        let dialect = exchange.dialect;
        let asked = Asked {
            dialect,
            path: &path,
            stream: dialect.streams(&path, look.stream()),
            include_usage: look.include_usage(),
        };
        let model = own.as_deref().or(look.model());
        let caller = Caller { asked, model, reason, serial, epoch };
        let mut responder = canned::respond(&fallback, &caller, now);
        if !exchange.request.is_open() {
            responder.on_request_end(now);
        }
        exchange.peer = Peer::Responder { responder, progress: Progress::Running };
        kept.clear(&mut self.desk.buffers);
        self.desk.tally.fallbacks.add(1);
        true
    }
}

/// How far a request is read to learn what was asked for.
const LOOK_MAX: usize = 64 * 1024;

impl Failed {
    /// Whether there was an attempt: without a place nobody has been asked.
    fn was_made(&self) -> bool {
        !matches!(self, Failed::Fault(Fault::Local(_)) | Failed::Unwanted(Cause::NoPlace))
    }

    /// Whether the connection was lost while the client was waited for: nobody can tell whose fault
    /// that was.
    fn leaves_open(&self, exchange: &Exchange) -> bool {
        match self {
            Failed::Lost(fault) | Failed::Fault(Fault::Upstream(fault)) => {
                exchange.lacks_request() && fault.is_of_a_lost_connection()
            }
            Failed::Fault(_) | Failed::Unwanted(_) => false,
        }
    }

    /// The status of the answer that was not wanted, where that was why.
    fn status(&self) -> Option<u16> {
        match self {
            Failed::Unwanted(Cause::Failed(Condition::Status(status))) => Some(*status),
            _ => None,
        }
    }

    /// What it says of the endpoint.
    fn outcome(&self, exchange: &Exchange) -> Outcome {
        match self {
            Failed::Lost(fault) | Failed::Fault(Fault::Upstream(fault)) => {
                exchange.outcome_of(fault)
            }
            Failed::Fault(_) => Outcome::Abandoned,
            Failed::Unwanted(Cause::Failed(Condition::Status(status))) => {
                exchange.outcome_of_status(*status)
            }
            Failed::Unwanted(Cause::PromptTooLong) => Outcome::ClientError,
            Failed::Unwanted(_) => exchange.reported_error().unwrap_or(Outcome::Fault),
        }
    }

    /// One word for it.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Failed::Lost(UpstreamFault::Connect(_)) => "upstream_connect",
            Failed::Lost(UpstreamFault::Closed) => "upstream_closed",
            Failed::Lost(_) => "upstream_reset",
            Failed::Fault(fault) => fault.code(),
            Failed::Unwanted(Cause::Failed(Condition::Status(_))) => "upstream_status",
            Failed::Unwanted(Cause::Failed(Condition::ErrorEvent)) => "upstream_error_event",
            Failed::Unwanted(Cause::Failed(_)) => "upstream_empty_stream",
            Failed::Unwanted(Cause::PromptTooLong) => "prompt_too_long",
            Failed::Unwanted(Cause::NoPlace) => "no_upstream",
        }
    }

    /// What a retry calls it; `None`: nothing that another attempt could mend. `held`: the head of
    /// an answer had come.
    fn cause(&self, held: bool) -> Option<Cause> {
        let cause = match self {
            Failed::Unwanted(cause) => return Some(*cause),
            Failed::Fault(fault) => Cause::of(fault)?,
            // Only the name of the fault counts.
            Failed::Lost(UpstreamFault::Connect(_)) => Cause::Failed(Condition::Connect),
            Failed::Lost(_) => Cause::Failed(Condition::Reset),
        };
        match cause {
            Cause::Failed(Condition::Reset | Condition::BadAnswer) if held => {
                Some(Cause::Failed(Condition::EmptyStream))
            }
            cause => Some(cause),
        }
    }
}

impl UpstreamFault {
    /// Whether it ended a connection that stood.
    pub(super) fn is_of_a_lost_connection(&self) -> bool {
        matches!(self, UpstreamFault::Closed | UpstreamFault::Reset(_) | UpstreamFault::Truncated)
    }

    fn of_a_pooled_connection(&self) -> &'static str {
        match self {
            UpstreamFault::Connect(_) => "the pooled connection refused a write",
            UpstreamFault::Closed => "the pooled connection was closed",
            _ => "the pooled connection was reset",
        }
    }
}
