//! Preface: the head of an event stream, and signs of life behind it, before any server has
//! answered.
//!
//! Optional (`heartbeat = { every, before_head = true }`), for connections that something on the way
//! takes for dead sooner than the model answers. The price is the status: from then on it is 200, and
//! a failure is told in an event of the client's dialect. Which servers are asked, and how often, does
//! not change, since nothing of an answer is with the client.
//!
//! * The client is known to take nothing but a stream: the request's body asks for one, or its `Accept`
//!   has nothing else, and its dialect has comments. Of a request that was too long to be kept this is
//!   not known.
//! * The whole request is here: until then an error reply is the better answer.
//! * The head announces chunks, so the client speaks HTTP/1.1. A server's chunks follow as they are,
//!   any other stream in chunks of ours. A compressed stream cannot follow, so requests of such routes
//!   always ask for an uncompressed one. An answer that is no stream fails the attempt.
//!
//! A stream that is to be continued ([`crate::gateway::exchange::resume`]) waits in the same
//! state: its head is with the client, and a server's stream is to follow.

use crate::clock::Instant;
use crate::gateway::Gateway;
use crate::gateway::record::exchange::{Exchange, Leave};
use crate::gateway::record::peer::Peer;
use crate::gateway::record::request_body::NEAR_MAX;
use crate::http::body::Framing;
use crate::http::head::Version;
use crate::http::reply::{self, ReplyHead};
use crate::http::rewrite::ConnectionField;
use crate::proxy::exchange::Awaited;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::service::fault::heartbeat;

impl<N: Net> Gateway<N> {
    /// When the head is due, or the next comment behind it.
    pub(crate) fn preface_at(&self, exchange: &Exchange) -> Instant {
        let heartbeat = exchange.route().and_then(|route| route.heartbeat);
        let due = !exchange.unprefaced
            && exchange.chain().is_some()
            && !exchange.commit.is_passed()
            && exchange.has_all_asked();
        match heartbeat {
            Some(heartbeat) if due && heartbeat.before_head || exchange.is_continuing() => {
                exchange.heard() + heartbeat.every
            }
            _ => Instant::NEVER,
        }
    }

    /// Sends the head to a client that has asked for a stream and heard nothing.
    pub(crate) fn send_preface(&mut self, token: Token, exchange: &mut Exchange, cx: &mut Cx<N>) {
        if exchange.unprefaced || exchange.commit.has_begun() {
            return;
        }
        if !self.wants_stream(exchange) {
            exchange.unprefaced = true;
            return;
        }
        exchange.commit.begin();
        exchange.persistent = exchange.may_persist() && !self.life.is_draining();
        let connection = match exchange.persistent {
            true => ConnectionField::KeepAlive,
            false => ConnectionField::Close,
        };
        let (bytes, date) = self.scratch.begin();
        reply::head(
            &ReplyHead {
                status: 200,
                content_type: "text/event-stream",
                fields: &[
                    ("Cache-Control".into(), "no-cache".into()),
                    ("X-Accel-Buffering".into(), "no".into()),
                ],
                framing: Framing::Chunked,
                date: date.line(cx.now, &cx.net),
                connection,
                client: exchange.client,
                request_id: Some(exchange.id.as_bytes()),
            },
            bytes,
        );
        exchange.put_cors_fields(bytes, 0);
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.socket.outbox.push(bytes, &mut self.desk.buffers);
            // A failure is seen by the next read or write.
            let _ = downstream.socket.flush(None, &mut self.desk);
        }
    }

    /// Whether the request asks for a stream that we can begin.
    fn wants_stream(&self, exchange: &Exchange) -> bool {
        let possible = exchange.client == Version::Http11
            && !exchange.head_request
            && !exchange.upgrade_asked
            && heartbeat(exchange.dialect).is_some();
        possible && self.has_asked_for_stream(exchange, NEAR_MAX)
    }

    /// Whether the request of `exchange` asks for a stream and nothing else, by its head and so many
    /// bytes at most. A request that was too long to be kept is taken for one that does not.
    fn has_asked_for_stream(&self, exchange: &Exchange, most: usize) -> bool {
        if !self.keeps_request(exchange) {
            return false;
        }
        let request = match exchange.peer {
            Peer::Upstream(connection) => {
                self.upstreams.get(connection).map(|upstream| &upstream.socket.outbox)
            }
            _ => Some(&exchange.outbox),
        };
        request.is_some_and(|request| exchange.asks_for_stream_in(request, most))
    }

    /// A timer has run out that differs for streams and documents: which of them was asked for?
    /// Where that is not known, it may be a document. Whether this was news.
    pub(crate) fn learn_what_is_awaited(&mut self, token: Token) -> bool {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        let Some(exchange) = exchange.filter(|one| one.attempt.awaited == Awaited::Unknown) else {
            return false;
        };
        let bare = matches!(exchange.request.body.framing(), Framing::None | Framing::Length(0));
        // A request without a body asks for something that is there, not for something to compute.
        let awaited = match bare || self.has_asked_for_stream(exchange, usize::MAX) {
            true => Awaited::Stream,
            false => Awaited::Document,
        };
        if let Some(exchange) = self.exchange_mut(token) {
            exchange.attempt.awaited = awaited;
        }
        true
    }
}

impl Exchange {
    /// When its client was last sent something, or has sent something itself.
    fn heard(&self) -> Instant {
        let wait = self.aside.as_ref().and_then(|aside| aside.model_wait);
        wait.map_or(self.timeline.moved, |wait| wait.heard)
    }

    /// Whether its request is here to its last byte, or no more of it is wanted.
    fn has_all_asked(&self) -> bool {
        !self.request.is_open() || self.request.body.is_complete()
    }

    /// Whether its request is read while it waits in line: a head of ours may be due there, and is not
    /// sent before all of the request is here. Not where the client waits for leave to send its body.
    pub(crate) fn is_read_in_line(&self) -> bool {
        let before_head = self.route().and_then(|route| route.heartbeat);
        before_head.is_some_and(|heartbeat| heartbeat.before_head)
            && self.client == Version::Http11
            && heartbeat(self.dialect).is_some()
            && self.leave != Leave::Awaited
            && !self.has_all_asked()
    }
}
