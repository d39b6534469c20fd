//! An exchange with a server behind it: the request goes up, the response comes down.
//!
//! Both flows advance in every drive, whichever side woke it: a response may begin before the
//! request has ended, and after `101` both are a tunnel.

use std::ops::Range;
use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::Condition;
use crate::flow::relay::{Broken, Budget, Flow, FlowState, Held, Mode, Moved, Rest, hold, relay};
use crate::gateway::attempt::plugging::fault_of;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::request_body::payload;
use crate::gateway::record::upstream::UpstreamConnection;
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
use crate::service::refusal::{Blame, Refusal, may_say_loading, refusal_in, says_loading};
use crate::service::{Dialect, Observer};
use crate::wire::buffer::Buffer;
use std::io;

/// Two tokens may share an acknowledgement if they come so far apart: Linux waits 40 ms for the second
/// (TCP_DELACK_MIN).
const PACED: Range<Duration> = Duration::from_millis(1)..Duration::from_millis(40);
/// A read of more bytes is no single token.
const TOKEN_MAX: usize = 1024;

impl<N: Net> Gateway<N> {
    pub(crate) fn advance_proxied(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Step {
        if self.awaits_handshake(connection, cx) {
            return Step::Wait;
        }
        let tunnelled = self.exchange_mut(token).is_some_and(|exchange| exchange.is_tunnel());
        let advanced = self.send_request(token, connection, budget, cx).and_then(|sent| {
            let received = self.receive_response(token, connection, budget, cx)?;
            Ok((sent, received))
        });
        match advanced {
            Err(failed) => Step::Failed(failed),
            Ok((sent, received)) => {
                let (tunnel, over) = self
                    .exchange_mut(token)
                    .map_or((false, false), |it| (it.is_tunnel(), it.is_over()));
                if tunnel != tunnelled {
                    // What the client sent ahead of the 101 belongs to the tunnel.
                    return Step::Again;
                }
                if over {
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
        let both = both(&mut self.downstreams, &mut self.upstreams, token, connection);
        let Some((client, exchange, upstream)) = both else { return Ok(Rest::SourceEmpty) };
        if !exchange.request.is_open() && !upstream.socket.has_unsent() {
            return Ok(Rest::Ended);
        }
        // The connection was silent when it was taken from the pool, and speaks before a byte of the
        // request has left: it is a 408, or the rest of an answer to the exchange before.
        if exchange.attempt.reused
            && !exchange.attempt.sent
            && upstream.socket.has_spoken(&mut self.desk)
        {
            return Err(Failed::Lost(UpstreamFault::Closed));
        }
        let length_max = match exchange.tunnel {
            Some(_) => u64::MAX,
            None => exchange.body_max(),
        };
        let gathered = exchange.request.watch.0.is_some()
            || exchange.translation().is_some()
            || exchange.has_other_body()
            || exchange.aside.as_ref().is_some_and(|aside| aside.decoded);
        let Exchange { request, timeline, .. } = exchange;
        match relay(client, &mut upstream.socket, request, length_max, budget, &mut self.desk) {
            Ok(moved) => {
                if moved.written > 0 {
                    upstream.connected = true;
                    exchange.attempt.hops.connected = exchange.attempt.hops.connected.min(now);
                    exchange.attempt.sent = true;
                    if gathered {
                        // It was held until its model, or all of it, had come, however long it was.
                        upstream.socket.outbox.forget_if_long(&mut self.desk.buffers);
                    }
                }
                if moved.written > 0 || moved.read > 0 {
                    timeline.request_moved = now;
                    timeline.moved = now;
                }
                if moved.rest == Rest::Ended {
                    timeline.request_written = now;
                    exchange.attempt.hops.written = now;
                    if let Some(tunnel) = &mut exchange.tunnel
                        && !std::mem::replace(&mut tunnel.upstream_shut, true)
                    {
                        // If this fails the connection is gone, and the other flow will tell.
                        let _ = upstream.socket.shutdown_write(&mut self.desk);
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
        if self.exchange_mut(token).is_some_and(|exchange| exchange.commit.is_held())
            && let Some(rest) = self.hold_back(token, connection, budget, cx)?
        {
            return Ok(rest);
        }
        let both = both(&mut self.downstreams, &mut self.upstreams, token, connection);
        let Some((client, exchange, upstream)) = both else { return Ok(Rest::SourceEmpty) };
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
            // A client that takes bytes is blocked since the last one it took.
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
            let _ = client.shutdown_write(&mut self.desk);
        }
        if first {
            exchange.learn_model();
            self.learn_of_first_event(token, cx);
        }
        Ok(moved.rest)
    }

    /// Holds a response back, that is to be held, until an event says something. `None`: it is the client's.
    fn hold_back(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Result<Option<Rest>, Failed> {
        let both = both(&mut self.downstreams, &mut self.upstreams, token, connection);
        let Some((_, exchange, upstream)) = both else { return Ok(None) };
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
        let collects = response.watch.transform.as_ref().is_some_and(|it| it.collects());
        if alive && (attempt.by_bytes || response.is_measured_in_bytes()) {
            exchange.timeline.event = cx.now;
        }
        exchange.learn_kind();
        let spliced = upstream.socket.inbound.as_ref().map_or(&[][..], Buffer::pending);
        if exchange.was_held_for_status(held) {
            return match exchange.says_loading(spliced) {
                true => Err(Failed::Unwanted(Cause::Loading)),
                false => self.settle_refusal(token, connection, cx),
            };
        }
        let unwanted = match held {
            // A document that is translated is passed on when all of it is here.
            Held::Waiting(rest) if collects => return Ok(Some(rest)),
            Held::Waiting(rest) => {
                if !alive || !self.passes_unheard(token, cx) {
                    return Ok(Some(rest));
                }
                self.commit(token, connection);
                return Ok(None);
            }
            Held::Event if failed => exchange.unwanted_error(),
            Held::Failed => exchange.unwanted_error(),
            // A refusal, held back to be read.
            Held::Empty | Held::Full if exchange.attempt.status >= 400 => {
                let refused = exchange.refusal_in(spliced);
                (refused == Refusal::ContextLength).then_some(Cause::PromptTooLong)
            }
            // Only a stream of a known dialect should not be empty.
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

    /// Decides about an answer that was held back because its status may say that the model is being
    /// loaded, and says something else.
    #[cold]
    fn settle_refusal(
        &mut self,
        token: Token,
        connection: Token,
        cx: &mut Cx<N>,
    ) -> Result<Option<Rest>, Failed> {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        let failed = exchange
            .and_then(|exchange| exchange.refused_by_status(self.can_be_rescued(exchange, cx)));
        match failed {
            Some(failed) => Err(failed),
            None => {
                self.commit(token, connection);
                Ok(None)
            }
        }
    }
}

impl Exchange {
    fn is_tunnel(&self) -> bool {
        self.tunnel.is_some()
    }

    /// Whether nothing is left to do for it.
    fn is_over(&self) -> bool {
        let answered = self.attempt.response.as_ref().is_some_and(|response| !response.is_open());
        answered && (!self.is_tunnel() || !self.request.is_open())
    }

    /// A write of the request has failed: the server takes no more of it.
    fn on_broken_write<S>(
        &mut self,
        upstream: &mut UpstreamConnection<S>,
        error: &io::Error,
        now: Instant,
    ) -> Result<Rest, Failed> {
        if upstream.socket.wrote_before_failing {
            upstream.connected = true;
            self.attempt.sent = true;
        } else if !upstream.connected {
            return Err(Failed::Lost(UpstreamFault::Connect(error.kind())));
        }
        // The server may have answered before it closed. So its connection is read to the end, and
        // what it has sent decides.
        self.request.state = FlowState::Cut;
        self.timeline.request_written = now;
        self.attempt.hops.written = now;
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

    /// Learns from the first two tokens how far apart they come; `gap` lies before this one. Returns
    /// whether tokens should be acknowledged two by two from here on: where that is allowed, and each
    /// second one comes before the kernel's delay is over. Not where a read is no single token: a
    /// server that has more to send than it may would wait for each acknowledgement.
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

    /// Why another attempt is made after an error in the first event of a stream, or in a document;
    /// `None`: none is. A request that is itself at fault is sent to nobody else; one whose prompt is
    /// too long goes to the route's `larger`.
    fn unwanted_error(&self) -> Option<Cause> {
        match self.blamed()? {
            Blame::TooLong if self.has_larger() => Some(Cause::PromptTooLong),
            blame if !blame.is_the_clients() && self.retries_on(Condition::ErrorEvent) => {
                Some(Cause::Failed(Condition::ErrorEvent))
            }
            Blame::Server if self.is_in_doubt() => Some(Cause::Failed(Condition::ErrorEvent)),
            _ => None,
        }
    }

    /// Whether its answer was held back for its status, which may say that the model is being loaded, and
    /// what is to be read of it is here.
    fn was_held_for_status(&self, held: Held) -> bool {
        may_say_loading(self.attempt.status) && !matches!(held, Held::Waiting(_))
    }

    /// Whether what is held back of its response says that the model is being loaded.
    fn says_loading(&self, spliced: &[u8]) -> bool {
        says_loading(self.attempt.status, &self.held_payload(spliced))
    }

    /// Why what is held back of its response refuses the request.
    fn refusal_in(&self, spliced: &[u8]) -> Refusal {
        refusal_in(&self.held_payload(spliced))
    }

    /// What is held back of its response, put aside or still `spliced`, without its head and its
    /// framing: a chunk may end inside a word.
    fn held_payload(&self, spliced: &[u8]) -> Vec<u8> {
        let mut held = self.outbox.copy(usize::MAX);
        held.extend_from_slice(spliced);
        // Behind a head of ours there is none of the server's.
        let head = match self.is_prefaced() {
            true => 0,
            false => memchr::memmem::find(&held, b"\r\n\r\n").map_or(0, |end| end + 4),
        };
        let framing = match &self.attempt.response {
            Some(Flow { mode: Mode::Chunk | Mode::Transform, .. }) => Framing::Chunked,
            Some(Flow { mode: Mode::Splice, body, .. }) => body.framing(),
            _ => Framing::UntilClose,
        };
        payload(&held[head..], framing).into_owned()
    }

    /// Gives a response the timer of a stream, if its first bytes have shown that it is one.
    fn learn_kind(&mut self) {
        if self.attempt.awaited == Awaited::Document && self.is_observed() {
            self.attempt.awaited = Awaited::Stream;
        }
    }

    /// Notes how far the response has come and when; `before` is [`Flow::progress`] before the relay.
    /// Returns whether the first event that says something has just passed.
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
                // Only a part of a streamed answer is a first token: no error, no document.
                if self.attempt.status < 300
                    && response.watch.observer.as_ref().is_some_and(Observer::saw_answer)
                {
                    tally.first_event.record_span(self.asked_at(), now);
                }
                self.commit.event();
                self.attempt.hops.first_event = now;
                if !stream {
                    self.note_decoded(now, tally);
                }
            } else if stream {
                tally.event_gap.record_span(self.timeline.event, now);
            } else {
                self.note_decoded(now, tally);
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

    /// When its server had the request, or when the exchange began where it answers before it has.
    fn asked_at(&self) -> Instant {
        let written = self.attempt.hops.written;
        if written == Instant::NEVER { self.timeline.started } else { written }
    }

    /// Notes when the answer of a compressed stream begins: its first bytes are no event.
    #[cold]
    fn note_decoded(&mut self, now: Instant, tally: &Tally) {
        let Some(response) = &mut self.attempt.response else { return };
        let begins = response.watch.observer.as_mut().is_some_and(Observer::begins_decoded);
        if begins && self.attempt.status < 300 {
            tally.first_event.record_span(self.asked_at(), now);
            self.attempt.hops.first_event = now;
        }
    }
}

/// How an attempt fails whose response cannot go on.
pub(crate) fn broken_response(broken: Broken) -> Failed {
    match broken {
        Broken::Read(error) => Failed::Fault(upstream_fault(UpstreamFault::Reset(error.kind()))),
        Broken::Truncated => Failed::Fault(upstream_fault(UpstreamFault::Truncated)),
        Broken::Unfinished => Failed::Fault(upstream_fault(UpstreamFault::Unfinished)),
        Broken::Framing(error) => Failed::Fault(upstream_fault(UpstreamFault::of_chunk(error))),
        Broken::Untranslatable(why) => {
            Failed::Fault(upstream_fault(UpstreamFault::Untranslatable(Box::new(why))))
        }
        Broken::Plugin(stop) => Failed::Fault(fault_of(stop)),
        Broken::Write(_) | Broken::TooLong => {
            Failed::Fault(Fault::Downstream(DownstreamFault::Gone))
        }
    }
}

pub(crate) fn upstream_fault(fault: UpstreamFault) -> Fault {
    Fault::Upstream(fault)
}
