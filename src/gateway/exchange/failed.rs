//! Failed: what follows when an attempt did not bring the answer that it should.
//!
//! Until a byte of the final response is with the client nothing is lost. The request is taken back
//! from the connection it was written to and goes to another one: a fresh one, another endpoint, the
//! next upstream of the route, or the predefined answer that ends the chain. The verdict is
//! [`crate::proxy::retry`]'s; here it is carried out.
//!
//! * Every attempt gives back what it held (connection, permit) before the next one begins.
//! * A request that was not kept to its last byte is not sent again.
//! * Where no attempt follows, the client gets what the server did say, or an error of ours if it said
//!   nothing.

use std::borrow::Cow;
use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::Condition;
use crate::gateway::Gateway;
use crate::gateway::record::exchange::{Busy, Exchange, Gather};
use crate::gateway::record::peer::{Line, Peer, ResponderState};
use crate::gateway::record::request_body::NEAR_MAX;
use crate::gateway::record::request_body::look;
use crate::gateway::record::translation::Translation;
use crate::gateway::record::verdict::{Failed, Step};
use crate::http::rewrite;
use crate::proxy::breaker::Outcome;
use crate::proxy::endpoints;
use crate::proxy::fault::{Fault, LocalFault, UpstreamFault};
use crate::proxy::group::Group;
use crate::proxy::retry::{self, Cause, RetryDecision, RetryEnd, stale};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::responder::canned::{self, Caller};
use crate::service::Observer;
use crate::service::canned::AnswerForm;

/// How long after a server that is started when it is asked for has refused a connection it is looked for
/// again, if nobody says before that it is there.
const GONE_PAUSE: Duration = Duration::from_millis(250);

impl<N: Net> Gateway<N> {
    /// Decides what follows the failed attempt of the exchange of `token`.
    #[cold]
    pub(crate) fn failed(&mut self, token: Token, failed: Failed, cx: &mut Cx<N>) -> Step {
        if self.replays_for_stale(token, &failed, cx) {
            return Step::Again;
        }
        let failed = self.behind_the_end(token, failed);
        let failed = match self.continue_stream(token, failed, cx) {
            Ok(step) => return step,
            Err(failed) => self.with_retry_after(token, failed, cx),
        };
        match self.verdict(token, &failed, cx) {
            RetryDecision::Retry { after, fresh, free, .. } => {
                self.withdraw(token, &failed, cx);
                self.begin_attempt(token, after, fresh, free, cx);
                Step::Again
            }
            RetryDecision::Next => {
                let next = self.next_of(token, cx);
                self.withdraw(token, &failed, cx);
                self.go_to_link(token, next, failed.was_made(), cx);
                Step::Again
            }
            RetryDecision::Larger => {
                let larger = self.exchange_mut(token).and_then(|exchange| exchange.chain()?.larger);
                self.withdraw(token, &failed, cx);
                self.go_to_link(token, larger, true, cx);
                Step::Again
            }
            RetryDecision::Wait => {
                let loads = matches!(failed, Failed::Unwanted(Cause::Loading));
                let pause = if loads { Duration::ZERO } else { GONE_PAUSE };
                self.withdraw(token, &failed, cx);
                self.await_model(token, cx.now + pause, cx)
            }
            RetryDecision::Back => {
                let left = self.left_of(token, cx);
                self.withdraw(token, &failed, cx);
                self.go_to_link(token, left, failed.was_made(), cx);
                if let Some(exchange) = self.exchange_mut(token) {
                    exchange.aside_mut().came_back = true;
                }
                Step::Again
            }
            RetryDecision::Final(why) => self.give_up(token, failed, why, cx),
        }
    }

    /// Tells a stream that broke from a stream that was whole and only lacks the end of its message.
    fn behind_the_end(&self, token: Token, failed: Failed) -> Failed {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        let whole = exchange.is_some_and(|exchange| {
            let observer =
                exchange.attempt.response.as_ref().and_then(|it| it.watch.observer.as_ref());
            exchange.commit.is_passed() && observer.is_some_and(Observer::is_whole)
        });
        match failed {
            Failed::Fault(Fault::Upstream(
                UpstreamFault::Truncated
                | UpstreamFault::Reset(_)
                | UpstreamFault::Chunk(_)
                | UpstreamFault::InterEventTimeout,
            )) if whole => Failed::Fault(Fault::Upstream(UpstreamFault::Unterminated)),
            failed => failed,
        }
    }

    /// Sets what was lacking and the `Retry-After` of a request that has waited in the queue in vain.
    fn with_retry_after(&self, token: Token, failed: Failed, cx: &Cx<N>) -> Failed {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        match (&failed, exchange.and_then(|exchange| Some((exchange, exchange.upstream()?)))) {
            (
                Failed::Fault(Fault::Local(LocalFault::QueueTimeout { .. })),
                Some((exchange, upstream)),
            ) => {
                let Group { queue, admission, .. } = &self.groups[upstream.id];
                let retry_after = queue.retry_after(exchange.priority, cx.now, admission);
                let lack = queue.lack();
                Failed::Fault(Fault::Local(LocalFault::QueueTimeout { retry_after, lack }))
            }
            _ => failed,
        }
    }

    fn verdict(&mut self, token: Token, failed: &Failed, cx: &mut Cx<N>) -> RetryDecision {
        let unknown = RetryDecision::Final(RetryEnd::NotNamed);
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return unknown;
        };
        let Some(upstream) = exchange.upstream() else { return unknown };
        let Some(cause) = failed.cause(exchange.commit.is_held()) else {
            let fails =
                matches!(failed.outcome(exchange), Outcome::Fault | Outcome::TimedOut { .. });
            let out = fails && exchange.is_in_doubt() && !exchange.commit.is_passed();
            return if out { RetryDecision::Final(RetryEnd::Out) } else { unknown };
        };
        // A request of which nothing has left is all here, kept or not.
        let kept = self.keeps_request(exchange) || !exchange.attempt.sent;
        let continuing = exchange.is_continuing();
        let next = self.next_link(exchange, cx).is_some();
        let next_answers = self.answers_further_on(exchange, cx);
        let Exchange { attempt, tries, .. } = exchange;
        let mut tried = tries.tried.clone();
        if let Some(pick) = &attempt.pick {
            tried.add(pick.endpoint());
        }
        let unheard = failed.leaves_open(exchange)
            || !attempt.sent && cause == Cause::Failed(Condition::Connect);
        let search = self.in_search(exchange, &tried, cx);
        let request = endpoints::Search { unheard: unheard && search.unheard, ..search };
        let nobody = cause == Cause::Failed(Condition::Connect)
            || matches!(failed, Failed::Fault(Fault::Local(LocalFault::NoUpstream { .. })));
        let first = search.unheard && !tries.replayed && !attempt.sent;
        let back = !next && nobody && first && self.link_left(exchange, &tried, cx).is_some();
        let group = &mut self.groups[upstream.id];
        // The pick goes back when the verdict is known: a final answer holds it to its last byte.
        let ended = attempt.pick.as_ref().map(|pick| (pick, failed.outcome(exchange)));
        let (elsewhere, here) = group.endpoints.prospects(&request, ended, cx.now);
        // A server that has just gone, and is started again: the request waits for it.
        let gone = cause == Cause::Failed(Condition::Connect)
            && !attempt.sent
            && group.endpoints.ask_again();
        let cause = if gone { Cause::Loading } else { cause };
        let facts = retry::RetryFacts {
            cause,
            committed: exchange.commit.is_passed(),
            sent: attempt.sent,
            reused: attempt.reused,
            kept,
            idempotent: exchange.idempotent,
            attempts: u32::from(tries.at_upstream),
            slow_before: tries.slow_before,
            unheard,
            in_doubt: exchange.is_in_doubt(),
            elsewhere,
            here,
            next,
            next_answers,
            back,
            larger: exchange.has_larger() && !continuing,
            retry_after: attempt.retry_after,
            deadline: exchange.timeline.started.after(exchange.timeouts().total),
        };
        let draw = self.chance.draw();
        retry::decide(&facts, &upstream.retry, &mut group.budget, cx.now, draw)
    }

    /// A reused connection may have been closed by the server at the very moment the request was
    /// written to it, or hold what was left of the answer before. That is nobody's failure: the request
    /// is sent on a fresh one, once.
    fn replays_for_stale(&mut self, token: Token, failed: &Failed, cx: &mut Cx<N>) -> bool {
        let (fault, left_over) = match failed {
            Failed::Lost(fault) => (fault, false),
            Failed::Fault(Fault::Upstream(fault @ UpstreamFault::Head(_))) => (fault, true),
            Failed::Fault(_) | Failed::Unwanted(_) => return false,
        };
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return false;
        };
        let attempt = stale::StaleFacts {
            reused: exchange.attempt.reused,
            answered: exchange.attempt.answered && !left_over,
            replayed: exchange.tries.replayed,
            sent: exchange.attempt.sent,
            idempotent: exchange.idempotent,
            kept: self.keeps_request(exchange) || !exchange.attempt.sent,
        };
        let Some(upstream) = exchange.upstream() else { return false };
        if stale::on_connection_lost(attempt, upstream.pool.replay_stale_post)
            != stale::ReplayDecision::ReplayFresh
        {
            return false;
        }
        let reason = fault.of_a_pooled_connection();
        log::debug!("{}: {reason}; replayed on a fresh connection", exchange.id);
        self.desk.tally.stale_replays.add(1);
        let now = cx.now;
        if let Some(exchange) = self.exchange_mut(token) {
            exchange.end_send(0, Some("stale_connection"), now);
        }
        self.take_back(token, Outcome::Abandoned, cx);
        if let Some(exchange) = self.exchange_mut(token) {
            exchange.tries.replayed = true;
            exchange.timeline.seek(now);
            exchange.peer = Peer::Seeking { fresh: true, line: Line::New };
        }
        true
    }

    /// The upstream that the exchange goes on to.
    fn next_of(&self, token: Token, cx: &Cx<N>) -> Option<usize> {
        let exchange = self.downstreams.get(token)?.exchange.as_deref()?;
        self.next_link(exchange, cx)
    }

    /// The upstream that the exchange comes back to.
    fn left_of(&self, token: Token, cx: &Cx<N>) -> Option<usize> {
        let exchange = self.downstreams.get(token)?.exchange.as_deref()?;
        self.link_left(exchange, &exchange.tries.tried, cx)
    }

    /// No attempt follows: the failure, the predefined answer or the unwanted answer is given.
    fn give_up(&mut self, token: Token, failed: Failed, why: RetryEnd, cx: &mut Cx<N>) -> Step {
        match self.exchange_mut(token) {
            Some(exchange) if why == RetryEnd::NotKept => exchange.tell_not_kept(),
            Some(exchange) if exchange.tries.in_all > 1 || why == RetryEnd::Budget => {
                log::debug!("{}: no further attempt: {}", exchange.id, why.code());
            }
            _ => {}
        }
        if let Some(fault) = self.fault_behind(token, &failed, cx) {
            return self.end(token, Err(fault), cx);
        }
        if why.may_degrade() && self.falls_back(token, &failed, cx) {
            return Step::Again;
        }
        if let Some(fault) = self.best_answer(token, &failed, cx) {
            self.withdraw(token, &failed, cx);
            return self.end(token, Err(fault), cx);
        }
        match failed {
            Failed::Lost(fault) => self.end(token, Err(Fault::Upstream(fault)), cx),
            Failed::Fault(fault) => self.end(token, Err(fault), cx),
            // The answer that was not wanted is the answer.
            Failed::Unwanted(_) => {
                if let Some(exchange) = self.exchange_mut(token) {
                    exchange.commit.decide();
                }
                Step::Again
            }
        }
    }

    /// What a server has said to the request before, where the last attempt has brought no answer: it
    /// tells the client more than that.
    fn best_answer(&self, token: Token, failed: &Failed, cx: &Cx<N>) -> Option<Fault> {
        let exchange = self.downstreams.get(token)?.exchange.as_deref()?;
        let Busy { status, until } = exchange.aside.as_ref()?.busy?;
        let unanswered = match failed {
            Failed::Lost(_) => true,
            Failed::Fault(fault @ Fault::Upstream(_)) => Cause::of(fault).is_some(),
            Failed::Fault(Fault::Local(LocalFault::NoUpstream { .. })) => true,
            Failed::Fault(_) | Failed::Unwanted(_) => false,
        };
        if !unanswered || exchange.commit.is_passed() {
            return None;
        }
        log::info!("{}: {}; the {status} of before is told", exchange.id, failed.reason());
        let retry_after = until.map(|until| until - cx.now);
        Some(Fault::Upstream(UpstreamFault::Busy { status, retry_after }))
    }

    /// Decides for the predefined answer of the route, if there is one that the client can be given.
    fn falls_back(&mut self, token: Token, failed: &Failed, cx: &mut Cx<N>) -> bool {
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
        self.withdraw(token, failed, cx);
        let Some(exchange) = self.exchange_mut(token) else { return false };
        // Whether a stream or a document was asked for may stand in the part that has not come yet.
        exchange.aside_mut().degraded = Some(reason);
        exchange.end_naming();
        exchange.gather = Gather::Whole;
        exchange.peer = Peer::Seeking { fresh: false, line: Line::New };
        true
    }

    /// Begins the predefined answer that was decided on, now that the request is here.
    pub(crate) fn degrades(&mut self, token: Token, cx: &mut Cx<N>) -> bool {
        let degraded =
            self.exchange_mut(token).and_then(|exchange| exchange.aside.as_mut()?.degraded.take());
        let Some(reason) = degraded else { return false };
        let (now, serial) = (cx.now, self.chance.draw());
        let epoch = cx.net.time_of_day().saturating_sub(now - Instant::ZERO).as_secs();
        let told = self.tells_models();
        let Some(downstream) = self.downstreams.get_mut(token) else { return false };
        // A part of a body too long to be kept was on its way to the upstream.
        downstream.socket.drop_pending(&mut self.desk);
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return false };
        let Some(fallback) = exchange.chain().and_then(|chain| chain.fallback.clone()) else {
            return false;
        };
        let mut kept = std::mem::take(&mut exchange.outbox);
        if told {
            exchange.learn_model_asked(&kept, &[]);
        }
        // Of a request whose beginning was not kept nothing can be told.
        let body = match kept.has_draft() {
            true => exchange.payload_in(&kept, NEAR_MAX),
            false => Vec::new(),
        };
        let look = look(&body, 0);
        let own = exchange.named_model().map(Cow::into_owned);
        let memo = exchange.translation().and_then(Translation::asked).map(|it| it.1.memo.clone());
        // What the route has put into the request is not for its client.
        let own_wish = look.include_usage() && !exchange.hides_usage();
        let include_usage = memo.as_ref().map_or(own_wish, |memo| memo.include_usage);
        let draft = kept.draft();
        let path = exchange.path_in(&draft);
        let dialect = exchange.dialect;
        let asked = AnswerForm {
            dialect,
            path: &path,
            stream: dialect.streams(&path, rewrite::query_of(&draft), look.stream()),
            include_usage,
        };
        let asked_for = memo.as_ref().map(|memo| memo.model.as_str());
        let model = own.as_deref().or(asked_for).or(look.model());
        let caller = Caller { asked, model, reason, serial, epoch };
        let mut responder = canned::respond(&fallback, &caller, now);
        if !exchange.request.is_open() {
            responder.on_request_end(now);
        }
        exchange.peer = Peer::Responder { responder, progress: ResponderState::Running };
        drop(draft);
        kept.clear(&mut self.desk.buffers);
        self.desk.tally.fallbacks.add(1);
        true
    }
}
