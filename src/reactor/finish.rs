//! The end of an exchange, good or bad: both connections go where the joint table sends them.
//!
//! Every exchange ends in [`Worker::end`], once: its connection is released, its place in a queue
//! given up, its buffers are home, and one line says how it went.

use std::net::IpAddr;
use std::sync::Arc;

use super::drive::Step;
use super::ends::{UNOBSERVED, end_reason};
use super::exchange::{After, Exchange, Peer, State, Turn};
use super::journal::Record;
use super::net::{Net, Stream};
use super::reel::Reel;
use super::relay::FlowState;
use super::request_id::RequestId;
use super::stall::Owner;
use super::token::{Kind, Token};
use super::worker::Worker;
use crate::http::head::{HeadError, Version};
use crate::http::reply::{self, ErrorReply};
use crate::proxy::exchange::{self as rules, Request, Response};
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault};

/// What an error reply needs to know of the request it answers.
struct Asked {
    id: Option<RequestId>,
    client: Version,
    head_request: bool,
    keep: bool,
    way: Way,
}

/// How far a request came that ends with an error of ours.
#[derive(Default)]
struct Way {
    /// The upstream that was asked last.
    upstream: Option<String>,
    /// `None`: its route leads to no upstream.
    attempts: Option<u8>,
}

impl Way {
    fn of(exchange: &Exchange, fault: &Fault) -> Way {
        let Some(chain) = exchange.chain() else { return Way::default() };
        // Without a place nobody was asked, this time.
        let asked =
            matches!(exchange.peer, Peer::Upstream(_)) || matches!(fault, Fault::Upstream(_));
        let attempts = exchange.attempt.in_all - u8::from(!asked);
        let mut upstreams =
            chain.links.iter().map(|link| &exchange.snapshot.upstreams[link.upstream]);
        let upstream = match asked {
            true => exchange.upstream(),
            // The one of an earlier attempt, if there was one.
            false => upstreams.find(|upstream| {
                let mut endpoints = upstream.endpoints.iter();
                attempts > 0 && endpoints.any(|one| Some(one.id) == exchange.hops.endpoint)
            }),
        };
        Way { upstream: upstream.map(|upstream| upstream.name.clone()), attempts: Some(attempts) }
    }
}

impl<N: Net> Worker<N> {
    /// Ends the exchange of `token`.
    pub(super) fn end(&mut self, token: Token, outcome: Result<(), Fault>) -> Step {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        let Some(mut exchange) = downstream.exchange.take() else { return Step::Wait };
        let client = downstream.peer;
        if self.tells_models() {
            self.learn_models(token, &mut exchange);
        }
        // It has a head, and whatever else there is to tell is told behind it.
        exchange.committed |= exchange.is_prefaced();
        let response = match &outcome {
            Ok(()) => Response::Done,
            Err(_) if exchange.committed => Response::CutShort,
            Err(_) => Response::None,
        };
        if response == Response::None {
            self.finish_request_from_buffer(token, &mut exchange);
        }
        let request = match exchange.request.state {
            FlowState::Done => Request::Done,
            FlowState::Open | FlowState::Cut => Request::Unfinished,
        };
        let (downstream_fate, upstream_fate) =
            rules::finish(response, request, exchange.persistent);
        if let Err(fault) = &outcome
            && response == Response::CutShort
        {
            self.say_why(token, &exchange, fault);
        }
        self.let_go(token, &exchange, upstream_fate);
        if let Some(upstream) = exchange.upstream().map(|upstream| upstream.id) {
            let learnt = exchange.outcome(outcome.as_ref().err());
            self.learn(upstream, exchange.attempt.pick.take(), learnt);
        }
        exchange.outbox.clear(&mut self.desk.buffers);
        let reported = exchange.reported_fault(outcome.is_ok());
        let told = match &outcome {
            Err(fault @ Fault::Local(_)) => Some(fault),
            // What the server has reported is why a client leaves, or a stream ends early.
            outcome => reported.as_ref().or(outcome.as_ref().err()),
        };
        let end = match told {
            None if exchange.is_unobserved() => UNOBSERVED,
            told => end_reason(told),
        };
        let tally = &self.desk.tally;
        tally.exchanges_ended.add(1);
        tally.ends.add(end);
        tally.exchange_time.record_span(exchange.timeline.started, self.now);
        exchange.measure(tally, self.now);
        exchange.ledger.charge(Owner::Gateway, self.now);
        let failed = told.map(Fault::code);
        let status = exchange.response.as_ref().map_or(0, |_| exchange.status);
        exchange.end_send(status, failed, self.now);
        let cut = outcome.is_err() && exchange.committed;
        self.note(&mut exchange, client, told, end, cut);
        match (downstream_fate, outcome) {
            (rules::Downstream::Reuse, _) if !self.is_draining() => {
                self.set_state(token, State::Idle { since: self.now });
                Step::Again
            }
            (rules::Downstream::Reuse | rules::Downstream::Linger, _) => self.part(token),
            (rules::Downstream::Close, _) if exchange.until_close || self.has_sent_more(token) => {
                self.part(token)
            }
            (rules::Downstream::Close, _) => {
                // The last bytes leave with the FIN, and do not wait for the end of the turn.
                if let Some(downstream) = self.downstreams.get_mut(token) {
                    let _ = downstream.socket.stream.shutdown_write();
                }
                self.close_downstream(token)
            }
            (rules::Downstream::Reply, Err(fault)) if fault.answer().is_some() => {
                let asked = Asked {
                    id: Some(exchange.id.clone()),
                    client: exchange.client,
                    head_request: exchange.head_request,
                    keep: exchange.keep_alive && request == Request::Done && !self.is_draining(),
                    way: Way::of(&exchange, &fault),
                };
                self.reply(token, &fault, &asked);
                Step::Again
            }
            (rules::Downstream::Abort | rules::Downstream::Reply, _) => {
                // A tunnel has no end but its connection's.
                self.abort(token, exchange.until_close || exchange.tunnel.is_some())
            }
        }
    }

    /// A refused request may lie in the buffer to its last byte; then the connection can go on.
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

    /// Whether the client has sent bytes that will not be answered.
    fn has_sent_more(&self, token: Token) -> bool {
        self.downstreams.get(token).is_some_and(|downstream| {
            downstream.socket.ready.readable() || !downstream.socket.unscanned().is_empty()
        })
    }

    /// Gives up what the exchange holds of its upstream: the connection, or a place in the queue.
    fn let_go(&mut self, token: Token, exchange: &Exchange, fate: rules::Upstream) {
        match (&exchange.peer, fate) {
            (Peer::Upstream(connection), rules::Upstream::Pool) => {
                self.release(*connection, exchange);
            }
            (Peer::Upstream(connection), rules::Upstream::Close) => {
                self.close_upstream(*connection);
            }
            (Peer::Seeking { turn: Turn::Queued | Turn::Called, .. }, _) => {
                if let Some(upstream) = exchange.upstream() {
                    self.leave_queue(token, upstream.id);
                }
            }
            (Peer::Seeking { turn: Turn::New, .. }, _)
            | (Peer::Pausing { .. } | Peer::Responder { .. } | Peer::Nobody, _) => {}
        }
    }

    /// One line and one count for an exchange that is over.
    fn note(
        &self,
        exchange: &mut Exchange,
        client: IpAddr,
        fault: Option<&Fault>,
        end: &'static str,
        cut: bool,
    ) {
        let status = match fault.map(Fault::answer) {
            _ if exchange.committed => exchange.status,
            None => exchange.status,
            Some(Some(answer)) => answer.status,
            // nginx's number for "the client closed the request" is understood everywhere.
            Some(None) => 499,
        };
        if let Some(journal) = &self.journal {
            let reel = exchange.reel_of_failure(fault);
            let record = Arc::new(Record::of(exchange, client, status, end, self.now));
            if let Some(reel) = reel {
                journal.keep_reel(reel, &record);
            }
            journal.keep(record);
        }
        let Some(fault) = fault else {
            return log::debug!("{}: {status} {end}", exchange.id);
        };
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

    /// Where it was last sent, in brackets, for the log. Clients are not told: what stands behind the
    /// gateway is nobody's business in front of it, and the request id leads an operator here.
    fn place_of(&self, exchange: &Exchange) -> String {
        let asked = exchange.upstream().zip(exchange.hops.endpoint);
        let known = asked.and_then(|(upstream, endpoint)| {
            let known = self.groups[upstream.id].endpoints.get(endpoint)?;
            Some(format!(" ({}: {})", upstream.name, known.name))
        });
        known.unwrap_or_default()
    }

    /// Refuses bytes that are no request.
    pub(super) fn refuse_head(&mut self, token: Token, error: HeadError) -> Step {
        self.refuse(token, &Fault::Downstream(DownstreamFault::Head(error)));
        Step::Again
    }

    /// Refuses a connection on which no exchange could be opened.
    pub(super) fn refuse(&mut self, token: Token, fault: &Fault) {
        self.desk.tally.ends.add(end_reason(Some(fault)));
        match fault {
            Fault::Local(_) => self.desk.tally.local_faults.add(1),
            _ => self.desk.tally.client_faults.add(1),
        }
        if let Some(downstream) = self.downstreams.get(token) {
            log::info!("{}: {}: {fault}", downstream.peer, fault.code());
        }
        let way = Way::default();
        let asked =
            Asked { id: None, client: Version::Http11, head_request: false, keep: false, way };
        self.reply(token, fault, &asked);
    }

    /// Answers with an error, and goes on or parts.
    fn reply(&mut self, token: Token, fault: &Fault, asked: &Asked) {
        let Some(answer) = fault.answer() else { return };
        let message = fault.to_string();
        self.scratch.clear();
        reply::error(
            &ErrorReply {
                status: answer.status,
                kind: answer.kind,
                code: answer.code,
                message: &message,
                allow: fault.allow(),
                retry_after: fault.retry_after(),
                date: self.date.line(self.now, &self.net),
                close: !asked.keep,
                request_id: asked.id.as_ref().map(RequestId::as_bytes),
                upstream: asked.way.upstream.as_deref(),
                attempts: asked.way.attempts,
                head_request: asked.head_request,
                client: asked.client,
            },
            &mut self.scratch,
        );
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        downstream.socket.outbox.push(&self.scratch, &mut self.desk.buffers);
        let then = if asked.keep { After::Reuse } else { After::Linger };
        self.set_state(token, State::Replying { since: self.now, then });
    }

    fn set_state(&mut self, token: Token, state: State) {
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.state = state;
        }
    }

    /// Ends a connection in the middle of a message. Where the message ends with the connection only
    /// RST tells that this is not its end; elsewhere its framing does, and RST would take bytes from
    /// the client that were sent in good faith: what it sends from here on is taken and dropped.
    fn abort(&mut self, token: Token, until_close: bool) -> Step {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        if until_close {
            downstream.socket.stream.reset_on_drop();
        } else if !downstream.has_left() {
            return self.part(token);
        }
        self.close_downstream(token)
    }

    /// Ends whatever the connection is doing: the drain is over, or the process stops.
    pub(super) fn abandon(&mut self, token: Token) {
        let in_flight = self.exchange_mut(token).is_some();
        if in_flight {
            self.desk.tally.drain_aborted.add(1);
            self.end(token, Err(Fault::Local(LocalFault::Drained)));
            // The reply, if there is one, gets one attempt to leave.
            if let Some(downstream) = self.downstreams.get_mut(token) {
                let _ = downstream.socket.flush(None, &mut self.desk);
            }
        }
        self.close_downstream(token);
    }

    /// Closes a client's connection at the end of this turn.
    pub(super) fn close_downstream(&mut self, token: Token) -> Step {
        debug_assert_eq!(token.kind(), Kind::Downstream);
        if let Some(downstream) = self.downstreams.get_mut(token)
            && downstream.state != State::Closed
        {
            debug_assert!(downstream.exchange.is_none(), "an exchange ends before its connection");
            downstream.state = State::Closed;
            downstream.socket.abandon(&mut self.desk);
            self.reaped.push(token);
        }
        Step::Wait
    }
}

impl Exchange {
    /// What was kept of its stream, if that has failed: not by the will of its client or of an
    /// operator.
    fn reel_of_failure(&mut self, fault: Option<&Fault>) -> Option<Reel> {
        let response = self.response.as_mut()?;
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
