//! An exchange with a server behind it: the request goes up, the response comes down.
//!
//! Both flows advance in every drive, whichever side woke it: a response may begin before the
//! request has ended, and after `101` both are a tunnel.

use std::ops::Range;
use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::Condition;
use crate::flow::relay::{Broken, Budget, FlowState, Held, Moved, Rest, hold, relay};
use crate::gateway::record::downstream::Downstream;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::upstream::Upstream;
use crate::gateway::record::verdict::{Failed, Step};
use crate::gateway::{Gateway, both};
use crate::http::body::Framing;
use crate::measure::stats::Tally;
use crate::proxy::exchange::Awaited;
use crate::proxy::fault::{DownstreamFault, Fault, UpstreamFault};
use crate::proxy::retry::Cause;
use crate::reactor::net::{Net, Stream};
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::service::refusal::{Refusal, refusal_in, refusal_of_stream};
use crate::service::{Dialect, Observer};
use crate::wire::buffer::Buffer;
use std::io;

/// How far apart the tokens come of which two may share an acknowledgement: Linux waits 40 ms for the
/// second (TCP_DELACK_MIN).
const PACED: Range<Duration> = Duration::from_millis(1)..Duration::from_millis(40);
/// More bytes at once are no token.
const TOKEN_MAX: usize = 1024;

impl<N: Net> Gateway<N> {
    pub(crate) fn advance_proxied(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Step {
        let tunnelled = self.is_tunnel(token);
        let advanced = self.send_request(token, connection, budget, cx).and_then(|sent| {
            let received = self.receive_response(token, connection, budget, cx)?;
            Ok((sent, received))
        });
        match advanced {
            Err(failed) => Step::Failed(failed),
            // What the client sent ahead of the 101 belongs to the tunnel.
            Ok(_) if self.is_tunnel(token) != tunnelled => Step::Again,
            Ok((sent, received)) => {
                if self.is_over(token) {
                    return Step::Over(Ok(()));
                }
                if let Some(needs) = sent.needs().into_iter().chain(received.needs()).min() {
                    return Step::Thirsty(needs);
                }
                let spent = sent == Rest::Budget || received == Rest::Budget;
                if spent { Step::Yield } else { Step::Wait }
            }
        }
    }

    /// Moves the request towards the upstream as far as it goes.
    fn send_request(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Result<Rest, Failed> {
        let (now, told) = (cx.now, self.tells_models());
        let Some((downstream, upstream)) =
            both(&mut self.downstreams, &mut self.upstreams, token, connection)
        else {
            return Ok(Rest::SourceEmpty);
        };
        let Downstream { socket: client, exchange, .. } = downstream;
        let Some(exchange) = exchange.as_deref_mut() else { return Ok(Rest::SourceEmpty) };
        if !exchange.request.is_open() && upstream.socket.outbox.is_empty() {
            return Ok(Rest::Ended);
        }
        // Silent when it was taken from the pool, and now it speaks before a byte of the request
        // has left: a 408, or a stray answer, for whoever had this connection before.
        if exchange.attempt.reused && !exchange.attempt.sent && upstream.socket.ready.readable() {
            return Err(Failed::Lost(UpstreamFault::Closed));
        }
        let length_max = match exchange.tunnel {
            Some(_) => u64::MAX,
            None => exchange.body_max(),
        };
        let Exchange { request, timeline, .. } = exchange;
        match relay(client, &mut upstream.socket, request, length_max, budget, &mut self.desk) {
            Ok(moved) => {
                if moved.written > 0 {
                    upstream.connected = true;
                    exchange.attempt.hops.connected = exchange.attempt.hops.connected.min(now);
                    exchange.attempt.sent = true;
                    if exchange.request.watch.0.is_some() {
                        // It was held for its model, however long.
                        upstream.socket.outbox.forget_if_long(&mut self.desk.buffers);
                    }
                }
                if moved.written > 0 || moved.read > 0 {
                    timeline.request_moved = now;
                    timeline.moved = now;
                }
                if moved.rest == Rest::Ended {
                    timeline.request_written = now;
                    if let Some(tunnel) = &mut exchange.tunnel
                        && !std::mem::replace(&mut tunnel.upstream_shut, true)
                    {
                        // If it fails the connection is gone, and the other flow will say so.
                        let _ = upstream.socket.stream.shutdown_write();
                    }
                }
                if told && exchange.tunnel.is_none() {
                    exchange.hear_model_asked(&upstream.socket.outbox, moved.rest == Rest::Ended);
                }
                Ok(moved.rest)
            }
            Err(Broken::Write(error)) => exchange.on_broken_write(upstream, &error, now),
            Err(broken) => Err(exchange.broken_request(&broken)),
        }
    }

    /// Moves the response towards the client as far as it goes.
    fn receive_response(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Result<Rest, Failed> {
        let now = cx.now;
        if let Some(rest) = self.await_response(token, connection, budget, cx)? {
            return Ok(rest);
        }
        if let Some(rest) = self.hold_back(token, connection, budget, cx)? {
            return Ok(rest);
        }
        let Some((downstream, upstream)) =
            both(&mut self.downstreams, &mut self.upstreams, token, connection)
        else {
            return Ok(Rest::SourceEmpty);
        };
        let Downstream { socket: client, exchange, .. } = downstream;
        let Some(exchange) = exchange.as_deref_mut() else { return Ok(Rest::SourceEmpty) };
        let Some(response) = &mut exchange.attempt.response else { return Ok(Rest::SourceEmpty) };
        let before = response.progress();
        let relayed =
            relay(&mut upstream.socket, client, response, u64::MAX, budget, &mut self.desk);
        let moved = relayed.map_err(broken_response)?;
        let gap = now - exchange.timeline.event;
        let first = exchange.note_progress(before, &moved, now, &self.desk.tally);
        if exchange.commit.is_settling() && exchange.settle(first, gap, &moved) {
            upstream.socket.stream.delay_acks();
        }
        let timeline = &mut exchange.timeline;
        if moved.rest == Rest::SinkFull {
            // Since the last byte it took, if it takes some.
            let since = timeline.client_blocked.get_or_insert(now);
            if moved.written > 0 {
                *since = now;
            }
        } else if timeline.client_blocked.take().is_some() {
            // The pause was the client's; the upstream's clocks start anew.
            (timeline.event, timeline.request_written) = (now, now);
        }
        if moved.rest == Rest::Ended
            && let Some(tunnel) = &mut exchange.tunnel
            && !std::mem::replace(&mut tunnel.downstream_shut, true)
        {
            let _ = client.stream.shutdown_write();
        }
        if first {
            exchange.learn_model();
            self.learn_of_first_event(token, cx);
        }
        Ok(moved.rest)
    }

    /// Keeps a response that can still be rescued from the client until an event says something.
    /// `None`: it is the client's now.
    fn hold_back(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Result<Option<Rest>, Failed> {
        let Some((downstream, upstream)) =
            both(&mut self.downstreams, &mut self.upstreams, token, connection)
        else {
            return Ok(None);
        };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return Ok(None) };
        if !exchange.commit.is_held() {
            return Ok(None);
        }
        if exchange.commit.is_final() {
            self.commit(token, connection);
            return Ok(None);
        }
        let Exchange { outbox, attempt, .. } = exchange;
        let Some(response) = &mut attempt.response else { return Ok(None) };
        let before = response.body.received();
        let held = hold(&mut upstream.socket, outbox, response, budget, &mut self.desk)
            .map_err(broken_response)?;
        let failed = response.watch.observer.as_ref().is_some_and(Observer::first_event_is_error);
        let alive = response.body.received() > before;
        if alive && (attempt.by_bytes || response.is_measured_in_bytes()) {
            exchange.timeline.event = cx.now;
        }
        exchange.learn_kind();
        let spliced = upstream.socket.inbound.as_ref().map_or(&[][..], Buffer::pending);
        let unwanted = match held {
            Held::Waiting(rest) => {
                if !alive || !self.lets_go(token, cx) {
                    return Ok(Some(rest));
                }
                self.commit(token, connection);
                return Ok(None);
            }
            Held::Event if failed => exchange.unwanted_error(spliced, refusal_of_stream),
            Held::Failed => exchange.unwanted_error(spliced, refusal_in),
            // A refusal, held back to be read.
            Held::Empty | Held::Full if exchange.attempt.status >= 400 => {
                let refused = exchange.refusal_in(spliced, refusal_in);
                (refused == Refusal::ContextLength).then_some(Cause::PromptTooLong)
            }
            // Of a stream nobody understands it cannot be said that it should not be empty.
            Held::Empty if exchange.is_observed() && exchange.spoken() != Dialect::Generic => {
                Some(Cause::Failed(Condition::EmptyStream))
            }
            Held::Event | Held::Answer | Held::Full | Held::Empty => None,
        };
        match unwanted {
            Some(cause) => Err(Failed::Unwanted(cause)),
            None => {
                self.commit(token, connection);
                Ok(None)
            }
        }
    }

    fn is_tunnel(&mut self, token: Token) -> bool {
        self.exchange_mut(token).is_some_and(|exchange| exchange.tunnel.is_some())
    }

    /// Whether nothing is left to do for the exchange.
    fn is_over(&mut self, token: Token) -> bool {
        self.exchange_mut(token).is_some_and(|exchange| {
            let answered =
                exchange.attempt.response.as_ref().is_some_and(|response| !response.is_open());
            answered && (exchange.tunnel.is_none() || !exchange.request.is_open())
        })
    }
}

impl Exchange {
    /// The server takes no more of the request.
    fn on_broken_write<S>(
        &mut self,
        upstream: &mut Upstream<S>,
        error: &io::Error,
        now: Instant,
    ) -> Result<Rest, Failed> {
        if upstream.socket.wrote_before_failing {
            upstream.connected = true;
            self.attempt.sent = true;
        } else if !upstream.connected {
            return Err(Failed::Lost(UpstreamFault::Connect(error.kind())));
        }
        // It may have answered before it closed, so what it sent decides: read on until its end,
        // then judge.
        self.request.state = FlowState::Cut;
        self.timeline.request_written = now;
        upstream.socket.ready.broken();
        Ok(Rest::Ended)
    }

    /// Why the client's request cannot go on.
    fn broken_request(&self, broken: &Broken) -> Failed {
        let fault = match (broken, self.request.watch.unclear()) {
            (Broken::Framing(error), _) => DownstreamFault::Chunk(*error),
            (Broken::TooLong, _) => DownstreamFault::BodyTooLarge,
            (Broken::Unfinished, Some(unclear)) => DownstreamFault::Model(unclear),
            _ => DownstreamFault::Gone,
        };
        Failed::Fault(Fault::Downstream(fault))
    }

    /// Learns how the tokens come, `gap` behind the one before, from the first and the second of
    /// them. Returns whether they should be acknowledged two by two from here on: where that is
    /// allowed, and the next one comes before the kernel has waited too long for it. A server that
    /// has more to say than it may send at once would wait for each acknowledgement.
    #[cold]
    fn settle(&mut self, first: bool, gap: Duration, moved: &Moved) -> bool {
        let streams = self.attempt.response.as_ref().is_some_and(|response| {
            response.is_open() && !matches!(response.body.framing(), Framing::Length(_))
        });
        let allowed = streams && self.upstream().is_some_and(|upstream| upstream.delayed_acks);
        let second = !first && moved.read > 0;
        if !allowed || second {
            self.commit.settle();
        }
        allowed && second && PACED.contains(&gap) && moved.read <= TOKEN_MAX
    }

    /// What another attempt may do about an error in a stream's first event, or in a document. What the client
    /// asked for is at fault, or too long: then nobody else is asked the same, but for who takes
    /// longer prompts.
    fn unwanted_error(&self, spliced: &[u8], read: impl Fn(&[u8]) -> Refusal) -> Option<Cause> {
        let observer =
            self.attempt.response.as_ref().and_then(|response| response.watch.observer.as_ref());
        let clients = observer.is_some_and(Observer::saw_clients_error);
        match self.refusal_in(spliced, read) {
            Refusal::ContextLength if self.has_larger() => Some(Cause::PromptTooLong),
            Refusal::Other if !clients && self.retries_on(Condition::ErrorEvent) => {
                Some(Cause::Failed(Condition::ErrorEvent))
            }
            _ => None,
        }
    }

    /// What is held back of its response, `spliced` or made anew, as `read` reads it.
    fn refusal_in(&self, spliced: &[u8], read: impl Fn(&[u8]) -> Refusal) -> Refusal {
        match spliced {
            [] => read(&self.outbox.copy(usize::MAX)),
            spliced => read(spliced),
        }
    }

    /// What its first bytes have shown to be a stream has the time of one to begin.
    fn learn_kind(&mut self) {
        if self.attempt.awaited == Awaited::Document && self.is_observed() {
            self.attempt.awaited = Awaited::Stream;
        }
    }

    /// Notes how far its response has come, from `before` in the unit of [`Flow::progress`], and
    /// when. Returns whether its first event that says something has passed just now.
    #[inline]
    pub(crate) fn note_progress(
        &mut self,
        before: u64,
        moved: &Moved,
        now: Instant,
        tally: &Tally,
    ) -> bool {
        let Some(response) = &self.attempt.response else { return false };
        let progress = response.progress();
        // The first event may have been seen while the response was held back.
        let first = self.commit.awaits_event() && progress > 0;
        if first || progress != before {
            let stream = response.is_stream();
            if stream {
                tally.data_events.add(progress - if first { 0 } else { before });
            }
            if first {
                // The first token is a part of an answer: no error, no document.
                if self.attempt.status < 300
                    && response.watch.observer.as_ref().is_some_and(Observer::saw_answer)
                {
                    tally.first_event.record_span(self.timeline.request_written, now);
                }
                self.commit.event();
                self.attempt.hops.first_event = now;
            } else if stream {
                tally.event_gap.record_span(self.timeline.event, now);
            }
            self.timeline.event = now;
        } else {
            if self.attempt.by_bytes && moved.read > 0 {
                self.timeline.event = now;
            }
            self.learn_kind();
        }
        if moved.read > 0 || moved.written > 0 {
            self.timeline.moved = now;
        }
        first
    }
}

/// What it means for the attempt that a response cannot go on.
pub(crate) fn broken_response(broken: Broken) -> Failed {
    match broken {
        Broken::Read(error) => Failed::Fault(upstream_fault(UpstreamFault::Reset(error.kind()))),
        Broken::Truncated => Failed::Fault(upstream_fault(UpstreamFault::Truncated)),
        Broken::Unfinished => Failed::Fault(upstream_fault(UpstreamFault::Unfinished)),
        Broken::Framing(error) => Failed::Fault(upstream_fault(UpstreamFault::of_chunk(error))),
        Broken::Write(_) | Broken::TooLong => {
            Failed::Fault(Fault::Downstream(DownstreamFault::Gone))
        }
    }
}

pub(crate) fn upstream_fault(fault: UpstreamFault) -> Fault {
    Fault::Upstream(fault)
}
