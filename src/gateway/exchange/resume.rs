//! Resume: a stream that breaks between two events goes on with another server.
//!
//! Optional (`continue = { … }` of a route). From the first event on the client has a part of an
//! answer, and no other answer can take its place. But some requests can carry the text so far, and
//! ask for the rest.
//!
//! ```text
//!   streaming ── the server fails, between two events ──▶ seeking: the request, with the text in it
//!       ▲                                                       │            │
//!       └──── its first event: a comment, then its events ◀─────┘            └─▶ nobody: the error event
//! ```
//!
//! * Nothing of the second answer is with the client until its first event, so failures on the way
//!   are retried as those of any request ([`crate::gateway::exchange::failed`]). If nobody continues
//!   the stream, its client is told the fault that broke it, and the stream has no end.
//! * The head of the second answer is dropped, as behind a head of ours
//!   ([`crate::gateway::exchange::preface`]).
//! * Only streams of such routes keep a copy of their request and of their text, and pay for it from
//!   one purse. A stream that finds the purse empty cannot be continued.

use std::time::Duration;

use crate::gateway::Gateway;
use crate::gateway::record::kept_stream::Remainder;
use crate::gateway::record::verdict::{Failed, Step};
use crate::proxy::endpoints;
use crate::proxy::fault::{Fault, UpstreamFault};
use crate::proxy::retry::continuation::{
    ContinueDecision, ContinueFacts, StreamBreak, Whom, decide,
};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::wire::outbox::Outbox;

/// How long an upstream is not asked to continue a stream after it has refused to.
const REFUSED: Duration = Duration::from_secs(60);

impl<N: Net> Gateway<N> {
    /// Asks another server for the rest of a broken stream, if the client has a part of it and it can
    /// be continued; else gives the failure back.
    pub(crate) fn continue_stream(
        &mut self,
        token: Token,
        failed: Failed,
        cx: &mut Cx<N>,
    ) -> Result<Step, Failed> {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        let (Some(exchange), Failed::Fault(fault)) = (exchange, &failed) else {
            return Err(failed);
        };
        if !exchange.commit.is_passed() || exchange.continuation().is_none() {
            return Err(failed);
        }
        let text = exchange.text_is_known();
        // Where buffers are scarce, answers need them more than a second request does.
        let fit = text && self.desk.buffers.may_keep();
        let rest = if fit { exchange.rest() } else { None };
        let rest = rest.filter(|rest| self.desk.buffers.may_hold(rest.length()));
        let verdict = self.whom_to_ask(token, fault, text, rest.is_some(), cx);
        match (verdict, rest, failed) {
            (Some(ContinueDecision::Ask(whom)), Some(rest), Failed::Fault(fault)) => {
                self.ask_for_the_rest(token, fault, rest, whom, cx);
                Ok(Step::Again)
            }
            (verdict, _, failed) => {
                if let (Some(ContinueDecision::End(why)), Some(exchange)) =
                    (verdict, self.exchange_mut(token))
                {
                    log::debug!("{}: not continued: {}", exchange.id, why.code());
                }
                Err(failed)
            }
        }
    }

    fn whom_to_ask(
        &mut self,
        token: Token,
        fault: &Fault,
        text: bool,
        fit: bool,
        cx: &mut Cx<N>,
    ) -> Option<ContinueDecision> {
        let exchange = self.downstreams.get(token)?.exchange.as_deref()?;
        let upstream = exchange.upstream()?;
        let continuation = exchange.continuation()?;
        let (place, takes) = (
            self.place_in(token, exchange).is_some(),
            self.takes_text(exchange, exchange.link, cx),
        );
        let next = self.next_link(exchange, cx);
        let mut tried = exchange.tries.tried.clone();
        if let Some(pick) = &exchange.attempt.pick {
            tried.add(pick.endpoint());
        }
        let request = endpoints::Search { unheard: false, ..self.in_search(exchange, &tried, cx) };
        let group = &mut self.groups[upstream.id];
        let ended =
            exchange.attempt.pick.as_ref().map(|pick| (pick, exchange.outcome(Some(fault))));
        let (elsewhere, here) = group.endpoints.prospects(&request, ended, cx.now);
        let facts = ContinueFacts {
            blame: StreamBreak::of(fault),
            place,
            text,
            fit,
            made: continuation.made,
            most: exchange.continues()?.attempts,
            idempotent: exchange.idempotent,
            takes,
            elsewhere,
            here,
            next,
            deadline: exchange.timeline.started.after(exchange.timeouts().total),
        };
        let draw = self.chance.draw();
        Some(decide(&facts, &upstream.retry, &mut group.budget, cx.now, draw))
    }

    fn ask_for_the_rest(
        &mut self,
        token: Token,
        fault: Fault,
        rest: Remainder,
        whom: Whom,
        cx: &mut Cx<N>,
    ) {
        if let Some(exchange) = self.exchange_mut(token) {
            let code = fault.code();
            log::info!("{}: {code}: {fault}; somebody is asked for the rest", exchange.id);
            exchange.note_part(&rest);
        }
        let failed = Failed::Fault(fault);
        self.withdraw(token, &failed, cx);
        let buffers = &mut self.desk.buffers;
        let exchange = self
            .downstreams
            .get_mut(token)
            .and_then(|downstream| downstream.exchange.as_deref_mut());
        let Some(exchange) = exchange else { return };
        exchange.outbox.clear(buffers);
        exchange.outbox = Outbox::keeping(buffers);
        exchange.outbox.stow(&rest.draft, buffers);
        exchange.replace_body(&rest.body, buffers);
        if let (Some(continuation), Failed::Fault(fault)) = (exchange.continuation_mut(), failed) {
            continuation.fault = Some(fault);
            continuation.request.clear();
        }
        self.desk.tally.continuations_asked.add(1);
        match whom {
            Whom::Elsewhere => self.begin_attempt(token, Duration::ZERO, false, false, cx),
            Whom::Same { after } => self.begin_attempt(token, after, true, false, cx),
            Whom::Next(link) => self.go_to_link(token, Some(link), true, cx),
        }
        // The request for the rest has attempts of its own.
        if let Some(exchange) = self.exchange_mut(token) {
            exchange.tries.at_upstream = 1;
        }
    }

    /// The fault that broke a stream which nobody continues: that is what its client is told.
    pub(crate) fn fault_behind(
        &mut self,
        token: Token,
        failed: &Failed,
        cx: &mut Cx<N>,
    ) -> Option<Fault> {
        let exchange = self.exchange_mut(token).filter(|exchange| exchange.is_continuing())?;
        if matches!(failed, Failed::Fault(Fault::Downstream(_))) {
            return None;
        }
        log::info!("{}: {}: nobody goes on with the stream", exchange.id, failed.reason());
        let upstream = exchange.upstream().map(|upstream| upstream.id);
        if let (Some(id), Failed::Fault(Fault::Upstream(UpstreamFault::Status(400 | 422)))) =
            (upstream, failed)
        {
            self.groups[id].refuses_prefill = cx.now + REFUSED;
            let name = &self.groups[id].name;
            log::warn!(
                "{name}: refuses to go on with a text; it is left alone with that for a minute"
            );
            self.desk.tally.continuations_refused.add(1);
        }
        // This attempt went to another endpoint than the broken stream, and says something of its own.
        self.withdraw(token, failed, cx);
        self.exchange_mut(token)?.continuation_mut()?.fault.take()
    }
}
