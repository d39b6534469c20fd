//! An exchange with a server behind it: the request goes up, the response comes down.
//!
//! Both flows advance in every drive, whichever side woke it: a response may begin before the
//! request has ended, and after `101` both are a tunnel.

use super::buffer::{CAPACITY, Room};
use super::drive::Step;
use super::exchange::{Downstream, Exchange, Peer, Tunnel, Turn, Upstream};
use super::net::{Net, Stream};
use super::relay::{Broken, Budget, Flow, FlowState, Mode, Rest, relay};
use super::request::takes_interim;
use super::slots::Slots;
use super::socket::Fill;
use super::token::Token;
use super::worker::Worker;
use crate::http::body::Framing;
use crate::http::head::{
    FieldSlots, HeadError, HeadLimits, ResponseContext, ResponseHead, Version, may_be_complete,
    parse_response,
};
use crate::http::rewrite::{self, ConnectionField, ResponseEdits};
use crate::http::sse::EventObserver;
use crate::proxy::fault::{DownstreamFault, Fault, UpstreamFault};
use crate::proxy::retry::{self, Attempt, Verdict};

/// How an attempt to advance a flow failed.
enum Failed {
    /// The connection to the upstream is lost; a replay may be fair.
    Lost(UpstreamFault),
    Fault(Fault),
}

/// What a look at the response head gave.
enum HeadStep {
    /// Not there yet, and why it was not read on.
    Incomplete(Rest),
    /// An interim response was passed on; there may be more behind it.
    Interim,
    Final,
}

impl<N: Net> Worker<N> {
    pub(super) fn advance_proxied(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
    ) -> Step {
        let tunnelled = self.is_tunnel(token);
        let advanced = self.send_request(token, connection, budget).and_then(|sent| {
            let received = self.receive_response(token, connection, budget)?;
            Ok((sent, received))
        });
        match advanced {
            Err(Failed::Lost(fault)) => self.on_lost(token, connection, fault),
            Err(Failed::Fault(fault)) => self.end(token, Err(fault)),
            // What the client sent ahead of the 101 belongs to the tunnel.
            Ok(_) if self.is_tunnel(token) != tunnelled => Step::Again,
            Ok((sent, received)) => {
                if self.is_over(token) {
                    return self.end(token, Ok(()));
                }
                if let Some(needs) = sent.needs().into_iter().chain(received.needs()).min() {
                    return self.wait_for_buffer(token, needs);
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
    ) -> Result<Rest, Failed> {
        let now = self.now;
        let body_max = self.snapshot.limits.body_bytes.unwrap_or(u64::MAX);
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
        let length_max = if exchange.tunnel.is_some() { u64::MAX } else { body_max };
        let Exchange { request, timeline, .. } = exchange;
        match relay(client, &mut upstream.socket, request, length_max, budget, &mut self.desk) {
            Ok(moved) => {
                if moved.written > 0 {
                    upstream.connected = true;
                    exchange.sent = true;
                }
                if moved.written > 0 || moved.read > 0 {
                    timeline.request_moved = now;
                    timeline.tunnel_moved = now;
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
                Ok(moved.rest)
            }
            Err(Broken::Write(error)) if !upstream.connected => {
                Err(Failed::Lost(UpstreamFault::Connect(error.kind())))
            }
            Err(Broken::Write(_)) => {
                // The server wants no more. It may have answered before it closed, so what it
                // sent decides: read on until its end, then judge.
                exchange.request.state = FlowState::Cut;
                upstream.socket.ready.on_broken_write();
                Ok(Rest::Ended)
            }
            Err(Broken::Framing(error)) => {
                Err(Failed::Fault(Fault::Downstream(DownstreamFault::Chunk(error))))
            }
            Err(Broken::TooLong) => {
                Err(Failed::Fault(Fault::Downstream(DownstreamFault::BodyTooLarge)))
            }
            Err(Broken::Read(_) | Broken::Truncated) => {
                Err(Failed::Fault(Fault::Downstream(DownstreamFault::Gone)))
            }
        }
    }

    /// Moves the response towards the client as far as it goes.
    fn receive_response(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
    ) -> Result<Rest, Failed> {
        let now = self.now;
        while self.exchange_mut(token).is_some_and(|exchange| exchange.response.is_none()) {
            match self.receive_response_head(token, connection, budget)? {
                HeadStep::Final => break,
                HeadStep::Interim => {
                    if self.interim_held(token) >= CAPACITY {
                        self.flush_interim(token)?;
                        if self.interim_held(token) >= CAPACITY {
                            return Ok(Rest::SinkFull);
                        }
                    }
                }
                HeadStep::Incomplete(rest) => {
                    self.flush_interim(token)?;
                    return Ok(rest);
                }
            }
        }
        let Some((downstream, upstream)) =
            both(&mut self.downstreams, &mut self.upstreams, token, connection)
        else {
            return Ok(Rest::SourceEmpty);
        };
        let Downstream { socket: client, exchange, .. } = downstream;
        let Some(exchange) = exchange.as_deref_mut() else { return Ok(Rest::SourceEmpty) };
        let Some(response) = &mut exchange.response else { return Ok(Rest::SourceEmpty) };
        let events = response.observer.as_ref().map(EventObserver::data_events);
        let received = response.body.received();
        let relayed =
            relay(&mut upstream.socket, client, response, u64::MAX, budget, &mut self.desk);
        let moved = relayed.map_err(|broken| match broken {
            Broken::Read(error) => {
                Failed::Fault(upstream_fault(UpstreamFault::Reset(error.kind())))
            }
            Broken::Truncated => Failed::Fault(upstream_fault(UpstreamFault::Truncated)),
            Broken::Framing(error) => Failed::Fault(upstream_fault(UpstreamFault::Chunk(error))),
            Broken::Write(_) | Broken::TooLong => {
                Failed::Fault(Fault::Downstream(DownstreamFault::Gone))
            }
        })?;
        let progressed = match &response.observer {
            Some(observer) => Some(observer.data_events()) != events,
            None => response.body.received() != received,
        };
        let timeline = &mut exchange.timeline;
        if progressed {
            exchange.first_event = true;
            timeline.event = now;
        }
        if moved.read > 0 || moved.written > 0 {
            timeline.tunnel_moved = now;
        }
        if moved.rest == Rest::SinkFull {
            // Since the last byte it took, if it takes some.
            let since = timeline.client_blocked.get_or_insert(now);
            if moved.written > 0 {
                *since = now;
            }
        } else if timeline.client_blocked.take().is_some() {
            // The pause was the client's; the upstream's clock starts anew.
            timeline.event = now;
        }
        if moved.rest == Rest::Ended
            && let Some(tunnel) = &mut exchange.tunnel
            && !std::mem::replace(&mut tunnel.downstream_shut, true)
        {
            let _ = client.stream.shutdown_write();
        }
        Ok(moved.rest)
    }

    /// Interim responses leave at once, though the final one is still awaited.
    fn flush_interim(&mut self, token: Token) -> Result<(), Failed> {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Ok(()) };
        let flushed = downstream.socket.flush(None, &mut self.desk);
        flushed.map(drop).map_err(|_| Failed::Fault(Fault::Downstream(DownstreamFault::Gone)))
    }

    /// Bytes of interim responses that the client has not taken yet.
    fn interim_held(&self, token: Token) -> usize {
        self.downstreams.get(token).map_or(0, |downstream| downstream.socket.outbox.held())
    }

    /// Reads and passes on one response head, interim or final.
    fn receive_response_head(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
    ) -> Result<HeadStep, Failed> {
        let limit = self.snapshot.limits.head_bytes;
        loop {
            let examined =
                self.exchange_mut(token).map_or(0, |exchange| exchange.examined as usize);
            let Some(upstream) = self.upstreams.get(connection) else {
                return Ok(HeadStep::Incomplete(Rest::SourceEmpty));
            };
            let unscanned = upstream.socket.unscanned();
            let known = unscanned.len();
            if known > examined
                && (examined == 0 || known >= limit || may_be_complete(unscanned, examined))
                && let Some(step) = self.open_response(token, connection)?
            {
                return Ok(step);
            }
            let Some((downstream, upstream)) =
                both(&mut self.downstreams, &mut self.upstreams, token, connection)
            else {
                return Ok(HeadStep::Incomplete(Rest::SourceEmpty));
            };
            if !upstream.socket.ready.readable() {
                return Ok(HeadStep::Incomplete(Rest::SourceEmpty));
            }
            if budget.is_spent() {
                return Ok(HeadStep::Incomplete(Rest::Budget));
            }
            let Some(exchange) = downstream.exchange.as_deref_mut() else {
                return Ok(HeadStep::Incomplete(Rest::SourceEmpty));
            };
            exchange.examined = known as u32;
            match upstream.socket.fill(&mut self.desk) {
                // Before a byte of the request has left, nothing can be its answer: a 408, or a
                // stray one, for whoever had this connection before.
                Ok(Fill::Bytes(_)) if !exchange.sent => {
                    return Err(Failed::Lost(UpstreamFault::Closed));
                }
                Ok(Fill::Bytes(count)) => {
                    budget.spend(count);
                    // From the first byte of an answer on, the request is not sent again.
                    exchange.answered = true;
                    upstream.socket.outbox.forget(&mut self.desk.buffers);
                }
                Ok(Fill::WouldBlock) => return Ok(HeadStep::Incomplete(Rest::SourceEmpty)),
                Ok(Fill::Dry) => return Ok(HeadStep::Incomplete(Rest::DRY)),
                Ok(Fill::Full) => {
                    let Some(buffer) = &mut upstream.socket.inbound else {
                        return Ok(HeadStep::Incomplete(Rest::SourceEmpty));
                    };
                    match self.desk.buffers.make_room(buffer, limit) {
                        Room::Made => {}
                        Room::AtLimit => {
                            let fault = UpstreamFault::Head(HeadError::HeadTooLarge);
                            return Err(Failed::Fault(upstream_fault(fault)));
                        }
                        Room::Dry { needs } => {
                            return Ok(HeadStep::Incomplete(Rest::Dry { needs }));
                        }
                    }
                }
                Ok(Fill::Closed) => return Err(Failed::Lost(UpstreamFault::Closed)),
                Err(error) if upstream.connected => {
                    return Err(Failed::Lost(UpstreamFault::Reset(error.kind())));
                }
                Err(error) => return Err(Failed::Lost(UpstreamFault::Connect(error.kind()))),
            }
        }
    }

    /// Parses a response head where it lies and puts the rewritten one in the client's outbox.
    fn open_response(
        &mut self,
        token: Token,
        connection: Token,
    ) -> Result<Option<HeadStep>, Failed> {
        let draining = self.is_draining();
        let limits = &self.snapshot.limits;
        let limits = HeadLimits { bytes: limits.head_bytes, fields: limits.headers };
        let (Some(downstream), Some(upstream)) =
            (self.downstreams.get_mut(token), self.upstreams.get_mut(connection))
        else {
            return Ok(None);
        };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return Ok(None) };
        let context = ResponseContext {
            head_request: exchange.head_request,
            upgrade_asked: exchange.upgrade_asked,
        };
        let mut slots = FieldSlots::new();
        let parsed = parse_response(upstream.socket.unscanned(), &mut slots, &limits, &context);
        let head = match parsed {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(None),
            Err(error) => return Err(Failed::Fault(upstream_fault(UpstreamFault::Head(error)))),
        };
        let interim = head.status < 200 && head.status != 101;
        let delivery = if interim {
            Delivery { framing: Framing::None, mode: Mode::Splice }
        } else {
            Delivery::of(&head, exchange.client)
        };
        if head.status == 100 {
            exchange.expect_continue = false;
        }
        if !interim {
            exchange.begin_response(&head, &delivery, draining);
            upstream.announced = head.keep_alive_timeout;
        }
        if !interim || takes_interim(exchange.client) {
            let connection = match (head.status, interim || exchange.persistent) {
                (101, _) => ConnectionField::Upgrade,
                (_, true) => ConnectionField::KeepAlive,
                (_, false) => ConnectionField::Close,
            };
            let edits = ResponseEdits {
                client: exchange.client,
                connection,
                framing: delivery.framing,
                head_request: exchange.head_request,
                request_id: exchange.id.as_bytes(),
            };
            self.scratch.clear();
            rewrite::response(&head, &edits, &mut self.scratch);
            downstream.socket.outbox.push(&self.scratch, &mut self.desk.buffers);
        }
        let length = head.length;
        upstream.socket.discard(length, &mut self.desk);
        exchange.examined = 0;
        Ok(Some(if interim { HeadStep::Interim } else { HeadStep::Final }))
    }

    fn is_tunnel(&mut self, token: Token) -> bool {
        self.exchange_mut(token).is_some_and(|exchange| exchange.tunnel.is_some())
    }

    /// Whether nothing is left to do for the exchange.
    fn is_over(&mut self, token: Token) -> bool {
        self.exchange_mut(token).is_some_and(|exchange| {
            let answered = exchange.response.as_ref().is_some_and(|response| !response.is_open());
            answered && (exchange.tunnel.is_none() || !exchange.request.is_open())
        })
    }

    /// The connection to the upstream was lost before its answer began, or inside its head.
    fn on_lost(&mut self, token: Token, connection: Token, fault: UpstreamFault) -> Step {
        let now = self.now;
        let Some((downstream, upstream)) =
            both(&mut self.downstreams, &mut self.upstreams, token, connection)
        else {
            return Step::Wait;
        };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return Step::Wait };
        let attempt = Attempt {
            reused: exchange.reused,
            answered: exchange.answered,
            replayed: exchange.replayed,
            sent: exchange.sent,
            idempotent: exchange.idempotent,
            kept: upstream.socket.outbox.keeps(),
        };
        let pool = &self.snapshot.upstreams[exchange.upstream].pool;
        match retry::on_connection_lost(attempt, pool.replay_stale_post) {
            Verdict::Final => self.end(token, Err(Fault::Upstream(fault))),
            Verdict::ReplayFresh => {
                log::debug!("{}: {}; replayed on a fresh connection", exchange.id, fault.name());
                exchange.outbox = std::mem::take(&mut upstream.socket.outbox);
                exchange.outbox.rewind();
                exchange.request.state = FlowState::Open;
                exchange.replayed = true;
                exchange.timeline.sought = now;
                exchange.peer = Peer::Seeking { fresh: true, turn: Turn::New };
                self.desk.tally.stale_replays.add(1);
                self.close_upstream(connection);
                Step::Again
            }
        }
    }

    /// Whether bytes of the request lie in the client's buffer, cleared and not taken.
    pub(super) fn has_unsent_request(&self, token: Token) -> bool {
        let inbound = self.downstreams.get(token).and_then(|down| down.socket.inbound.as_ref());
        inbound.is_some_and(|buffer| !buffer.pending().is_empty())
    }
}

/// Both records of an exchange, borrowed at once: the reason why there are two tables.
fn both<'a, S>(
    downstreams: &'a mut Slots<Downstream<S>>,
    upstreams: &'a mut Slots<Upstream<S>>,
    token: Token,
    connection: Token,
) -> Option<(&'a mut Downstream<S>, &'a mut Upstream<S>)> {
    downstreams.get_mut(token).zip(upstreams.get_mut(connection))
}

fn upstream_fault(fault: UpstreamFault) -> Fault {
    Fault::Upstream(fault)
}

/// How a response reaches the client.
struct Delivery {
    framing: Framing,
    mode: Mode,
}

impl Delivery {
    /// | response as received | HTTP/1.1 client           | HTTP/1.0 client      |
    /// |----------------------|---------------------------|----------------------|
    /// | none, length         | as it is                  | as it is             |
    /// | chunked              | as it is, spliced         | payload, until close |
    /// | until close          | chunks of our own         | as it is             |
    fn of(head: &ResponseHead<'_>, client: Version) -> Delivery {
        let (framing, mode) = match (head.framing, client) {
            (Framing::Chunked, Version::Http10) => (Framing::UntilClose, Mode::Payload),
            // After 101 there is no message any more, only bytes.
            (Framing::UntilClose, Version::Http11) if head.status != 101 => {
                (Framing::Chunked, Mode::Chunk)
            }
            (framing, _) => (framing, Mode::Splice),
        };
        Delivery { framing, mode }
    }
}

impl Exchange {
    /// The final response head is here: from now on there is no other answer.
    fn begin_response(&mut self, head: &ResponseHead<'_>, delivery: &Delivery, draining: bool) {
        self.committed = true;
        self.status = head.status;
        self.until_close = delivery.framing == Framing::UntilClose;
        self.persistent = self.may_persist() && !draining;
        self.upstream_keep_alive = head.keep_alive;
        let mut response = Flow::new(head.framing, delivery.mode);
        if head.event_stream {
            response.observer = Some(EventObserver::new());
        }
        if head.status == 101 {
            self.tunnel = Some(Tunnel::default());
            self.persistent = false;
            response = Flow::new(Framing::UntilClose, Mode::Splice);
            self.request = Flow::new(Framing::UntilClose, Mode::Splice);
        }
        self.response = Some(response);
    }
}

impl UpstreamFault {
    fn name(&self) -> &'static str {
        match self {
            UpstreamFault::Connect(_) => "the pooled connection refused a write",
            UpstreamFault::Closed => "the pooled connection was closed",
            _ => "the pooled connection was reset",
        }
    }
}

impl super::readiness::Readiness {
    /// A write failed: the connection is broken, and a read will tell how.
    fn on_broken_write(&mut self) {
        self.on_event(&super::net::Event {
            token: Token::WAKER,
            readable: true,
            writable: true,
            read_closed: true,
            errored: true,
        });
    }
}
