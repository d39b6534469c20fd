//! Interject: bytes of our own inside a stream that is passed on verbatim.
//!
//! Two occasions: a comment that keeps a silent connection alive, and the event that tells a client
//! why its stream breaks off. Both stand only where they cannot be taken for a part of an event:
//!
//! * between two events of the stream, never inside one: half an event followed by a line of ours
//!   would be dispatched as a whole one;
//! * between two frames of the message, with everything before them written;
//! * framed as the message is for this client. In a message of a declared length there is no place.

use crate::clock::Instant;
use crate::config::snapshot::HalfClose;
use crate::flow::relay::Mode;
use crate::gateway::Gateway;
use crate::gateway::client::request::takes_interim;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::Peer;
use crate::http::body::Framing;
use crate::http::reply;
use crate::proxy::fault::{Fault, UpstreamFault};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::service::fault::{StreamFault, error_event, heartbeat};

impl<N: Net> Gateway<N> {
    /// Tells a client inside its stream why it breaks off, in its own dialect.
    pub(crate) fn say_why(&mut self, token: Token, exchange: &Exchange, fault: &Fault) {
        let (Fault::Upstream(_) | Fault::Local(_), Some(answer)) = (fault, fault.answer()) else {
            return;
        };
        // The client has the whole answer, and only lacks the end of the message.
        if matches!(fault, Fault::Upstream(UpstreamFault::Unterminated)) {
            return;
        }
        let message = fault.to_string();
        let told = StreamFault { code: answer.code, kind: answer.kind, message: &message };
        let mut event = Vec::new();
        if error_event(exchange.spoken(), &told, &mut event)
            && self.interject(token, exchange, &event)
        {
            self.desk.tally.error_events.add(1);
        }
    }

    /// Gives the client of a translated stream, which was whole and only lacks the end of its message, the
    /// events that its own dialect ends with.
    pub(crate) fn say_last_events(&mut self, token: Token, exchange: &mut Exchange, fault: &Fault) {
        let Fault::Upstream(UpstreamFault::Unterminated) = fault else { return };
        let response = exchange.attempt.response.as_mut();
        let transform = response.and_then(|response| response.watch.transform.as_mut());
        let events = transform.map(|transform| transform.last_events()).unwrap_or_default();
        if !events.is_empty() {
            self.interject(token, exchange, &events);
        }
    }

    /// Asks a client that has sent its FIN and still waits for its answer whether it is there: it
    /// is sent an interim response. The kernel of a client that has closed the connection answers with
    /// RST; a client that is there passes over the response (RFC 9110 §15.2).
    pub(crate) fn probe_half_close(&mut self, token: Token) {
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return };
        let probes = exchange.snapshot.server.half_close == HalfClose::Probe
            && takes_interim(exchange.client)
            && exchange.tunnel.is_none()
            && !exchange.is_prefaced()
            && exchange.attempt.response.is_none();
        if !probes || std::mem::replace(&mut exchange.probed, true) {
            return;
        }
        downstream.socket.outbox.push(b"HTTP/1.1 102 Processing\r\n\r\n", &mut self.desk.buffers);
        let _ = downstream.socket.flush(None, &mut self.desk);
        self.desk.tally.half_close_probes.add(1);
    }

    /// When a silent stream gets its next comment.
    pub(crate) fn heartbeat_of(&self, exchange: &Exchange) -> Instant {
        match exchange.route().and_then(|route| route.heartbeat) {
            Some(heartbeat) if exchange.commit.is_passed() && exchange.is_observed() => {
                exchange.timeline.moved + heartbeat.every
            }
            Some(_) => self.preface_at(exchange),
            None => Instant::NEVER,
        }
    }

    /// Writes a comment into a stream that has been silent for long enough, if it has a place here.
    pub(crate) fn beat(&mut self, token: Token, cx: &mut Cx<N>) {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        if exchange.is_none_or(|exchange| self.heartbeat_of(exchange) > cx.now) {
            return;
        }
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let Some(mut exchange) = downstream.exchange.take() else { return };
        // Where a comment has no place here, the next one is due an interval later.
        exchange.timeline.moved = cx.now;
        if let Some(wait) = exchange.aside.as_mut().and_then(|aside| aside.model_wait.as_mut()) {
            wait.heard = cx.now;
        }
        if !exchange.commit.is_passed() {
            self.send_preface(token, &mut exchange, cx);
        }
        if let Some(comment) = heartbeat(exchange.dialect)
            && self.interject(token, &exchange, comment)
        {
            self.desk.tally.heartbeats.add(1);
        }
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.exchange = Some(exchange);
        }
    }

    /// Writes `bytes` to the client of `exchange`, if they have a place here. Returns whether they had.
    pub(crate) fn interject(&mut self, token: Token, exchange: &Exchange, bytes: &[u8]) -> bool {
        let Some(framed) = self.place_in(token, exchange) else { return false };
        let Some(downstream) = self.downstreams.get_mut(token) else { return false };
        let socket = &mut downstream.socket;
        // A client that does not read needs no comment.
        if !socket.ready.writable() {
            return false;
        }
        let buffers = &mut self.desk.buffers;
        if framed {
            let mut line = [0; reply::CHUNK_LINE_MAX];
            socket.outbox.push(reply::chunk_line(bytes.len(), &mut line), buffers);
            socket.outbox.push(bytes, buffers);
            socket.outbox.push(b"\r\n", buffers);
        } else {
            socket.outbox.push(bytes, buffers);
        }
        // A failure is seen by the next read or write.
        let _ = socket.flush(None, &mut self.desk);
        true
    }

    /// Whether bytes of ours have a place in the stream of `exchange` here; if so, whether they need a
    /// chunk of their own.
    pub(crate) fn place_in(&self, token: Token, exchange: &Exchange) -> Option<bool> {
        let framed = framing_of(exchange)?;
        let unwritten = match exchange.peer {
            Peer::Upstream(connection) => self.upstreams.get(connection),
            _ => None,
        }
        .and_then(|upstream| upstream.socket.inbound.as_ref())
        .is_some_and(|buffer| !buffer.pending().is_empty());
        // Bytes that wait for a slow client may end anywhere in an event.
        let all_written = !unwritten && !self.downstreams.get(token)?.socket.has_unsent();
        all_written.then_some(framed)
    }
}

/// Whether bytes of ours need a chunk of their own; `None`: they have no place here.
fn framing_of(exchange: &Exchange) -> Option<bool> {
    if exchange.is_prefaced() {
        // Nothing of a server's is under way.
        return Some(!exchange.until_close);
    }
    let response = exchange.attempt.response.as_ref().filter(|_| exchange.commit.is_passed())?;
    if let Some(transform) = &response.watch.transform {
        // None of the server's own bytes leave it.
        return transform.at_boundary().then_some(transform.is_chunked());
    }
    let between_events =
        response.watch.observer.as_ref().is_some_and(|observer| observer.at_boundary());
    if !between_events {
        return None;
    }
    let body = &response.body;
    match response.mode {
        Mode::Chunk | Mode::Rechunk => Some(true),
        Mode::Payload | Mode::Transform => Some(false),
        Mode::Splice | Mode::Keep => match body.framing() {
            // Between two chunks, or where the end of the body has been held back in full.
            Framing::Chunked if body.at_boundary() || body.tail().whole => Some(true),
            Framing::UntilClose => Some(false),
            Framing::Chunked | Framing::Length(_) | Framing::None => None,
        },
    }
}
