//! An exchange that is answered inside the process, by a responder.
//!
//! Framing, back-pressure, keep-alive and timeouts are the same as for a proxied answer. A
//! responder is asked for more only while little of what it gave is unwritten.

use crate::clock::Instant;
use crate::config::snapshot::Target;
use crate::flow::relay::{Budget, Flow, FlowState, Mode};
use crate::gateway::Gateway;
use crate::gateway::client::request::takes_interim;
use crate::gateway::record::downstream::Downstream;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::{Peer, ResponderState};
use crate::gateway::record::verdict::Step;
use crate::http::body::Framing;
use crate::http::date::DateLine;
use crate::http::head::Version;
use crate::http::reply::{self, ReplyHead};
use crate::http::rewrite::ConnectionField;
use crate::proxy::fault::{DownstreamFault, Fault, UpstreamFault};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::responder::{self, Action, Responder};
use crate::wire::buffer::CAPACITY;
use crate::wire::socket::{Desk, Fill, Socket};

/// Bytes that stand where the size of a chunk should stand.
const NO_CHUNK: &[u8] = b"no chunk\r\n";

/// How a responder's answer goes on.
enum Answering {
    /// The responder sleeps or needs the request, or the client is slow.
    Rests,
    /// The budget is spent.
    More,
    Ended,
}

impl<N: Net> Gateway<N> {
    pub(crate) fn advance_responder(
        &mut self,
        token: Token,
        budget: &mut Budget,
        cx: &mut Cx<N>,
    ) -> Step {
        let (now, draining) = (cx.now, self.life.is_draining());
        let Some(downstream) = self.downstreams.get_mut(token) else { return Step::Wait };
        let Downstream { socket, exchange, .. } = downstream;
        let Some(exchange) = exchange.as_deref_mut() else { return Step::Wait };
        // The responder is taken out of its exchange while it is asked, so that both can be borrowed.
        let peer = std::mem::replace(&mut exchange.peer, Peer::Nobody);
        let Peer::Responder { mut responder, mut progress } = peer else {
            exchange.peer = peer;
            return Step::Again;
        };
        let body_max = exchange.body_max();
        let (scratch, date) = self.scratch.begin();
        let mut asking = Asking {
            socket,
            exchange,
            responder: responder.as_mut(),
            progress: &mut progress,
            desk: &mut self.desk,
            scratch,
            date: date.line(cx.now, &cx.net),
            now,
            draining,
            body_max,
        };
        let answered = asking.receive_request(budget).and_then(|()| asking.answer(budget));
        exchange.peer = Peer::Responder { responder, progress };
        match answered {
            Ok(Answering::Ended) => Step::Over(Ok(())),
            Ok(Answering::Rests) => Step::Wait,
            Ok(Answering::More) => Step::Yield,
            Err(Stopped::Dry) => Step::Thirsty(self.desk.buffers.read_reserve()),
            Err(Stopped::Fault(fault)) => Step::Over(Err(fault)),
        }
    }
}

/// Why a responder's exchange cannot go on now, or at all.
enum Stopped {
    Dry,
    Fault(Fault),
}

/// Everything one drive of a responder needs, borrowed for as long as it takes.
struct Asking<'a, S> {
    socket: &'a mut Socket<S>,
    exchange: &'a mut Exchange,
    responder: &'a mut dyn Responder,
    progress: &'a mut ResponderState,
    desk: &'a mut Desk,
    scratch: &'a mut Vec<u8>,
    date: &'a DateLine,
    now: Instant,
    draining: bool,
    body_max: u64,
}

impl<S: crate::reactor::net::Stream> Asking<'_, S> {
    /// Gives the responder what has arrived of the request.
    fn receive_request(&mut self, budget: &mut Budget) -> Result<(), Stopped> {
        let request = &mut self.exchange.request;
        while request.is_open() {
            let input = self.socket.unscanned();
            let mut heard = !input.is_empty();
            let taken = request.body.scan(input, |data| self.responder.on_body(data));
            let taken = taken.map_err(|error| {
                Stopped::Fault(Fault::Downstream(DownstreamFault::Chunk(error)))
            })?;
            self.socket.discard(taken, self.desk);
            if request.body.received() > self.body_max {
                return Err(Stopped::Fault(Fault::Downstream(DownstreamFault::BodyTooLarge)));
            }
            if request.body.is_complete() {
                request.state = FlowState::Done;
                self.responder.on_request_end(self.now);
                self.exchange.timeline.request_written = self.now;
                heard = true;
            }
            if heard {
                self.exchange.timeline.request_moved = self.now;
                if *self.progress != ResponderState::Ended {
                    *self.progress = ResponderState::Running;
                }
            }
            if !request.is_open() || !self.socket.readable() || budget.is_spent() {
                break;
            }
            match self.socket.fill(self.desk) {
                Ok(Fill::Bytes(count) | Fill::Sealed(count)) => budget.spend(count),
                Ok(Fill::WouldBlock | Fill::Full) => break,
                Ok(Fill::Dry) => return Err(Stopped::Dry),
                Ok(Fill::Closed) | Err(_) => {
                    return Err(Stopped::Fault(Fault::Downstream(DownstreamFault::Gone)));
                }
            }
        }
        Ok(())
    }

    /// Asks the responder for steps and writes what they give.
    fn answer(&mut self, budget: &mut Budget) -> Result<Answering, Stopped> {
        loop {
            while self.wants_a_step() {
                if budget.is_spent() {
                    self.flush()?;
                    return Ok(Answering::More);
                }
                self.take_step(budget)?;
            }
            self.flush()?;
            if self.socket.has_unsent() {
                return Ok(Answering::Rests);
            }
            if *self.progress == ResponderState::Ended {
                return Ok(Answering::Ended);
            }
            if self.is_awake() && !self.desk.buffers.may_read() {
                return Err(Stopped::Dry);
            }
            if !self.wants_a_step() {
                return Ok(Answering::Rests);
            }
        }
    }

    fn is_awake(&self) -> bool {
        match *self.progress {
            ResponderState::Running => true,
            ResponderState::Sleeping(until) => until <= self.now,
            ResponderState::NeedsBody | ResponderState::Ended => false,
        }
    }

    fn wants_a_step(&self) -> bool {
        self.is_awake() && self.socket.outbox.held() < CAPACITY && self.desk.buffers.may_read()
    }

    fn take_step(&mut self, budget: &mut Budget) -> Result<(), Stopped> {
        *self.progress = ResponderState::Running;
        match self.responder.step(self.now) {
            Action::Head(head) => self.begin(&head),
            Action::Data(data) => {
                budget.spend(data.len());
                self.exchange.commit.event();
                self.exchange.attempt.hops.first_event =
                    self.exchange.attempt.hops.first_event.min(self.now);
                self.exchange.timeline.event = self.now;
                self.send(&data);
            }
            Action::Sleep(until) => {
                *self.progress = ResponderState::Sleeping(until);
                // A sleep that is over already costs a step, or the loop could be endless.
                budget.spend(0);
            }
            Action::NeedBody => {
                *self.progress = ResponderState::NeedsBody;
                self.ask_for_body();
            }
            Action::End => self.complete(),
            Action::HangUp => {
                self.exchange.persistent = false;
                self.complete();
            }
            Action::Garble => {
                if self.sends_chunks() {
                    self.socket.outbox.push(NO_CHUNK, &mut self.desk.buffers);
                }
                self.flush()?;
                return Err(Stopped::Fault(Fault::Upstream(UpstreamFault::BrokenOff)));
            }
            // What came before the break is the client's.
            Action::Cut => {
                self.flush()?;
                return Err(Stopped::Fault(Fault::Upstream(UpstreamFault::BrokenOff)));
            }
            Action::Reset => {
                self.flush()?;
                // Ends with RST, as an answer does that ends with its connection and is cut.
                self.exchange.until_close = true;
                return Err(Stopped::Fault(Fault::Upstream(UpstreamFault::BrokenOff)));
            }
        }
        Ok(())
    }

    fn complete(&mut self) {
        *self.progress = ResponderState::Ended;
        if self.sends_chunks() {
            self.socket.outbox.push(reply::LAST_CHUNK, &mut self.desk.buffers);
        }
        if let Some(response) = &mut self.exchange.attempt.response {
            response.state = FlowState::Done;
        }
    }

    fn sends_chunks(&self) -> bool {
        let response = self.exchange.attempt.response.as_ref();
        !self.exchange.head_request && response.is_some_and(|it| it.mode == Mode::Chunk)
    }

    fn begin(&mut self, head: &responder::Head) {
        let exchange = &mut *self.exchange;
        let (framing, mode) = match (head.status, head.length, exchange.client) {
            // These end with their head, whatever the responder gives for a body (RFC 9112 §6.3).
            (204 | 304, ..) => (Framing::None, Mode::Splice),
            (_, Some(length), _) => (Framing::Length(length), Mode::Splice),
            (_, None, Version::Http11) => (Framing::Chunked, Mode::Chunk),
            (_, None, Version::Http10) => (Framing::UntilClose, Mode::Payload),
        };
        let prefaced = exchange.is_prefaced();
        exchange.commit.pass();
        if prefaced {
            exchange.attempt.status = 200;
            exchange.attempt.response = Some(Flow::of_response(Framing::Chunked, Mode::Chunk));
            return;
        }
        exchange.attempt.status = head.status;
        exchange.until_close = framing == Framing::UntilClose;
        exchange.persistent = exchange.may_persist() && !self.draining;
        exchange.attempt.response = Some(Flow::of_response(framing, mode));
        let connection =
            if exchange.persistent { ConnectionField::KeepAlive } else { ConnectionField::Close };
        self.scratch.clear();
        reply::head(
            &ReplyHead {
                status: head.status,
                content_type: head.content_type,
                fields: &head.fields,
                framing,
                date: self.date,
                connection,
                client: exchange.client,
                request_id: Some(exchange.id.as_bytes()),
            },
            self.scratch,
        );
        if let Some(route) = exchange.route()
            && let (Target::Models(_), Some(rules)) = (&route.target, &route.response_headers.rules)
        {
            let written = std::mem::take(self.scratch);
            rules.apply(&written, self.scratch);
        }
        exchange.put_rate_fields(self.scratch, 0, self.now);
        exchange.put_cors_fields(self.scratch, 0);
        self.socket.outbox.push(self.scratch, &mut self.desk.buffers);
    }

    fn send(&mut self, data: &[u8]) {
        let response = self.exchange.attempt.response.as_ref();
        let has_body = response.is_none_or(|response| response.body.framing() != Framing::None);
        if self.exchange.head_request || !has_body {
            return;
        }
        let chunked = self.sends_chunks();
        let Desk { buffers, .. } = &mut *self.desk;
        if chunked {
            let mut line = [0; reply::CHUNK_LINE_MAX];
            self.socket.outbox.push(reply::chunk_line(data.len(), &mut line), buffers);
            self.socket.outbox.push(data, buffers);
            self.socket.outbox.push(b"\r\n", buffers);
        } else {
            self.socket.outbox.push(data, buffers);
        }
    }

    /// Tells a client to go on that waits for a 100 before it sends its body (RFC 9110 §10.1.1).
    fn ask_for_body(&mut self) {
        let waits = self.exchange.give_leave();
        if waits && takes_interim(self.exchange.client) && self.exchange.request.is_open() {
            self.socket.outbox.push(b"HTTP/1.1 100 Continue\r\n\r\n", &mut self.desk.buffers);
        }
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        let written = self
            .socket
            .flush(None, self.desk)
            .map_err(|_| Stopped::Fault(Fault::Downstream(DownstreamFault::Gone)))?;
        let timeline = &mut self.exchange.timeline;
        if !self.socket.has_unsent() {
            timeline.client_blocked = None;
        } else {
            let since = timeline.client_blocked.get_or_insert(self.now);
            if written > 0 {
                *since = self.now;
            }
        }
        Ok(())
    }
}
