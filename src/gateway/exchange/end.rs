//! The end of an exchange, good or bad: both connections go where the joint table sends them.
//!
//! Every exchange ends in [`Gateway::end`], once: its connection is released or closed, it leaves its
//! queue, its pick and its buffers go home, and one line says how it went.

use std::sync::Arc;

use crate::flow::relay::FlowState;
use crate::gateway::Gateway;
use crate::gateway::client::reply::{ErrorContext, Way};
use crate::gateway::record::downstream::State;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::verdict::Step;
use crate::gateway::report::record::record;
use crate::measure::ends::{UNOBSERVED, end_reason};
use crate::measure::reel::Reel;
use crate::measure::stall::Owner;
use crate::proxy::exchange::{self as rules, RequestEnd, ResponseEnd};
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    /// Ends the exchange of `token`.
    pub(crate) fn end(&mut self, token: Token, outcome: Result<(), Fault>, cx: &mut Cx<N>) -> Step {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        let Some(mut exchange) = downstream.exchange.take() else { return Step::Wait };
        if self.tells_models() || exchange.principal().is_some() {
            self.learn_models(token, &mut exchange);
        }
        // The client has a head, so whatever is still to be told follows behind it.
        let begun = exchange.commit.has_begun();
        let response = match &outcome {
            Ok(()) => ResponseEnd::Done,
            Err(_) if begun => ResponseEnd::CutShort,
            Err(_) => ResponseEnd::None,
        };
        if response == ResponseEnd::None {
            self.finish_request_from_buffer(token, &mut exchange);
        }
        let request = match exchange.request.state {
            FlowState::Done => RequestEnd::Done,
            FlowState::Open | FlowState::Cut => RequestEnd::Unfinished,
        };
        let (downstream_fate, upstream_fate) =
            rules::finish(response, request, exchange.persistent);
        if let Err(fault) = &outcome
            && response == ResponseEnd::CutShort
        {
            self.say_last_events(token, &mut exchange, fault);
            self.say_why(token, &exchange, fault);
        }
        self.part_with_server(token, &exchange, upstream_fate, cx);
        if let Some(upstream) = exchange.upstream().map(|upstream| upstream.id) {
            let learnt = exchange.outcome(outcome.as_ref().err());
            self.learn(upstream, exchange.attempt.pick.take(), learnt, cx);
        }
        exchange.outbox.clear(&mut self.desk.buffers);
        self.account(token, &mut exchange, &outcome, cx);
        self.go_on_with_client(token, &exchange, downstream_fate, outcome, cx)
    }

    /// Counts an exchange that is over, and records how it went.
    fn account(
        &self,
        client: Token,
        exchange: &mut Exchange,
        outcome: &Result<(), Fault>,
        cx: &Cx<N>,
    ) {
        let reported = exchange.reported_fault(outcome.is_ok());
        let told = match outcome {
            Err(fault @ Fault::Local(_)) => Some(fault),
            // A client leaves, or a stream ends early, because of what the server has reported.
            outcome => reported.as_ref().or(outcome.as_ref().err()),
        };
        let end = match told {
            None if exchange.is_unobserved() => UNOBSERVED,
            told => end_reason(told),
        };
        let tally = &self.desk.tally;
        tally.exchanges_ended.add(1);
        tally.ends.add(end);
        if told.is_none() && matches!(exchange.status(), 400..=499) {
            tally.answers_4xx.add(1);
        }
        tally.exchange_time.record_span(exchange.timeline.started, cx.now);
        exchange.measure(tally, cx.now);
        exchange.ledger.charge(Owner::Gateway, cx.now);
        let failed = told.map(Fault::code);
        let status = exchange.attempt.response.as_ref().map_or(0, |_| exchange.attempt.status);
        exchange.end_send(status, failed, cx.now);
        let cut = outcome.is_err() && exchange.commit.has_begun();
        exchange.settle_used(outcome, cx.now);
        self.note(client, exchange, told, end, cut, cx);
    }

    /// Sends the client's connection where the joint table says.
    fn go_on_with_client(
        &mut self,
        token: Token,
        exchange: &Exchange,
        fate: rules::DownstreamFate,
        outcome: Result<(), Fault>,
        cx: &mut Cx<N>,
    ) -> Step {
        match (fate, outcome) {
            (rules::DownstreamFate::Reuse, _) if !self.life.is_draining() => {
                self.set_state(token, State::Idle { since: cx.now });
                Step::Again
            }
            (rules::DownstreamFate::Reuse | rules::DownstreamFate::Linger, _) => {
                self.part(token, cx)
            }
            (rules::DownstreamFate::Close, _)
                if exchange.until_close || self.has_sent_more(token) =>
            {
                self.part(token, cx)
            }
            (rules::DownstreamFate::Close, _) => {
                // The last bytes leave with the FIN, and do not wait for the end of the turn.
                if let Some(downstream) = self.downstreams.get_mut(token) {
                    let _ = downstream.socket.shutdown_write(&mut self.desk);
                }
                self.close_downstream(token, cx)
            }
            (rules::DownstreamFate::Reply, Err(fault)) if fault.answer().is_some() => {
                let asked = ErrorContext {
                    dialect: exchange.dialect,
                    id: Some(exchange.id.clone()),
                    client: exchange.client,
                    head_request: exchange.head_request,
                    keep: exchange.keep_alive
                        && exchange.request.state == FlowState::Done
                        && !self.life.is_draining(),
                    way: Way::of(exchange, &fault, &self.endpoint_names()),
                    for_page: exchange.lines_for_page(),
                    challenge: exchange.challenge_for(&fault),
                    rate_fields: exchange.rate_fields(cx.now),
                };
                self.reply(token, &fault, &asked, cx);
                Step::Again
            }
            (rules::DownstreamFate::Abort | rules::DownstreamFate::Reply, _) => {
                // A tunnel has no end but its connection's.
                self.abort(token, exchange.until_close || exchange.tunnel.is_some(), cx)
            }
        }
    }

    /// Takes a refused request out of the buffer: if all of it is there, the connection can stay.
    fn finish_request_from_buffer(&mut self, token: Token, exchange: &mut Exchange) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let socket = &mut downstream.socket;
        // Bytes that were cleared for an upstream are read already.
        if let Some(buffer) = &mut socket.inbound {
            let cleared = buffer.pending().len();
            buffer.sent(cleared);
        }
        if exchange.request.is_open() {
            let input = socket.unscanned();
            if let Ok(taken) = exchange.request.body.scan(input, |_| {}) {
                socket.discard(taken, &mut self.desk);
            }
            if exchange.request.body.is_complete() {
                exchange.request.state = FlowState::Done;
            }
        }
        socket.release_inbound(&mut self.desk);
    }

    /// Gives up what the exchange holds of its upstream: the connection, or a place in the queue.
    fn part_with_server(
        &mut self,
        token: Token,
        exchange: &Exchange,
        fate: rules::UpstreamFate,
        cx: &mut Cx<N>,
    ) {
        match (&exchange.peer, fate) {
            (Peer::Upstream(connection), rules::UpstreamFate::Pool) => {
                self.release(*connection, exchange, cx);
            }
            (Peer::Upstream(connection), rules::UpstreamFate::Close) => {
                self.close_upstream(*connection, cx);
            }
            (Peer::Seeking { line: Line::Queued | Line::Called, .. }, _) => {
                if let Some(upstream) = exchange.upstream() {
                    self.leave_queue(token, upstream.id, cx);
                }
            }
            (Peer::AwaitingModel { .. }, _) => {
                if let Some(upstream) = exchange.upstream() {
                    self.groups[upstream.id].stop_awaiting(token);
                }
            }
            (Peer::Seeking { line: Line::New, .. }, _)
            | (Peer::Pausing { .. } | Peer::Responder { .. } | Peer::Nobody, _) => {}
        }
    }

    /// One line and one count for an exchange that is over.
    fn note(
        &self,
        client: Token,
        exchange: &mut Exchange,
        fault: Option<&Fault>,
        end: &'static str,
        cut: bool,
        cx: &Cx<N>,
    ) {
        let status = match fault.map(Fault::answer) {
            _ if exchange.commit.has_begun() => exchange.status(),
            None => exchange.status(),
            Some(Some(answer)) => answer.status,
            // nginx's number for "the client closed the request" is understood everywhere.
            Some(None) => 499,
        };
        exchange.end_plugins(status, fault, cx.now);
        let Some(downstream) = self.downstreams.get(client) else { return };
        let client = exchange.client_address(downstream.address);
        if let Some(journal) = self.reporter.journal() {
            let identity = downstream.socket.peer().map(Into::into);
            let reel = exchange.reel_of_failure(fault);
            let names = self.endpoint_names();
            let client = (client, identity);
            let record = Arc::new(record(exchange, client, status, end, &names, cx.now));
            if let Some(reel) = reel {
                journal.keep_reel(reel, &record);
            }
            journal.keep(record);
        }
        let Some(fault) = fault else {
            return log::debug!("{}: {status} {end}", exchange.id);
        };
        if let (Fault::Downstream(DownstreamFault::Gone), Peer::Responder { responder, .. }) =
            (fault, &exchange.peer)
            && responder.is_feed()
        {
            return log::debug!("{}: {status}, and its listener has left", exchange.id);
        }
        let (id, code) = (&exchange.id, fault.code());
        let tally = &self.desk.tally;
        if cut {
            tally.aborted.add(1);
        }
        let cut = if cut { ", cut short" } else { "" };
        match fault {
            Fault::Downstream(DownstreamFault::Gone) => {
                tally.client_gone.add(1);
                log::info!("{id}: 499 {code}{cut}: {fault}");
            }
            Fault::Downstream(_) => {
                tally.client_faults.add(1);
                log::info!("{id}: {status} {code}{cut}: {fault}");
            }
            Fault::Upstream(_) => {
                tally.upstream_faults.add(1);
                let place = self.place_of(exchange);
                log::warn!("{id}: {status} {code}{cut}: {fault}{place}");
            }
            Fault::Local(_) => {
                tally.local_faults.add(1);
                log::warn!("{id}: {status} {code}{cut}: {fault}");
            }
        }
    }

    /// The upstream and endpoint that the request was last sent to, in brackets, for the log. Clients
    /// are not told what stands behind the gateway; the request id leads an operator here.
    fn place_of(&self, exchange: &Exchange) -> String {
        let asked = exchange.upstream().zip(exchange.tries.endpoint);
        let known = asked.and_then(|(upstream, endpoint)| {
            let known = self.groups[upstream.id].endpoints.name_of(endpoint)?;
            Some(format!(" ({}: {known})", upstream.name))
        });
        known.unwrap_or_default()
    }

    /// Ends whatever the connection is doing: the drain is over, or the process stops.
    pub(crate) fn close_now(&mut self, token: Token, cx: &mut Cx<N>) {
        let in_flight = self.exchange_mut(token).is_some();
        if in_flight {
            self.desk.tally.drain_aborted.add(1);
            self.end(token, Err(Fault::Local(LocalFault::Drained)), cx);
            // The reply, if there is one, gets one attempt to leave.
            if let Some(downstream) = self.downstreams.get_mut(token) {
                let _ = downstream.socket.flush(None, &mut self.desk);
            }
        }
        self.close_downstream(token, cx);
    }
}

impl Exchange {
    /// The reel of the stream, if that has failed; not where its client left or an operator ended it.
    fn reel_of_failure(&mut self, fault: Option<&Fault>) -> Option<Reel> {
        let response = self.attempt.response.as_mut()?;
        let reel = response.watch.tap.as_mut()?.take_reel()?;
        let failed = match fault {
            None => false,
            Some(Fault::Downstream(DownstreamFault::Gone) | Fault::Local(LocalFault::Killed)) => {
                false
            }
            Some(_) => true,
        };
        failed.then_some(reel)
    }
}
