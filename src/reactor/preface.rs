//! Preface: the head of an event stream, and signs of life behind it, before any server has
//! answered.
//!
//! Optional (`heartbeat = { every, before_head = true }`): something on the way to the client gives a
//! silent connection less time than the model takes. The price is the status. From then on it is
//! 200, and what goes wrong is told in an event of the client's dialect; which servers are asked,
//! how often, and that nothing of an answer is with the client, is as before.
//!
//! * Only who is known to want a stream gets one: `Accept` or the request's body says so, and its
//!   dialect has comments. Whose request was too long to be kept is not known.
//! * Only when the whole request is here: until then there are better answers.
//! * Chunks, to HTTP/1.1. A server's chunks follow as they are, any other stream in chunks of ours.
//!   What is compressed cannot follow, so on such routes servers are asked for what is not, whether
//!   they are late or not. Whoever answers with anything else has failed, as others fail.
//!
//! A stream that broke and is to be continued ([`super::continuation`]) waits in the same state: its
//! head is out, and a server's stream is to follow.

use super::exchange::{Exchange, Peer};
use super::gather::look;
use super::net::Net;
use super::token::Token;
use super::worker::Worker;
use crate::clock::Instant;
use crate::http::body::Framing;
use crate::http::head::{FieldSlots, HeadLimits, Media, ResponseHead, Version, parse_request};
use crate::http::reply::{self, ReplyHead};
use crate::http::rewrite::{self, ConnectionField};
use crate::proxy::fault::UpstreamFault;
use crate::service::fault::heartbeat;

/// How far a request is read for what it asks.
const LOOK_MAX: usize = 64 * 1024;

/// What of the head of a stream is with a client to which no server has answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// Nothing.
    Unsent,
    /// Nothing, and that is final: nobody asked for a stream.
    Never,
    /// All of it, and comments.
    Sent,
    /// All of it; a server's stream follows.
    Joined,
    /// All of it, and a part of a stream that has broken: the rest is asked for.
    Continuing,
}

impl<N: Net> Worker<N> {
    /// When the head is sent, or the next comment behind it.
    pub(super) fn preface_at(&self, exchange: &Exchange) -> Instant {
        let heartbeat = exchange.route().and_then(|route| route.heartbeat);
        let due = matches!(exchange.preface, Preface::Unsent | Preface::Sent)
            && exchange.chain().is_some()
            && !exchange.committed
            && !exchange.request.is_open();
        match heartbeat {
            Some(heartbeat) if due && heartbeat.before_head || exchange.is_continuing() => {
                exchange.timeline.moved + heartbeat.every
            }
            _ => Instant::NEVER,
        }
    }

    /// Sends the head to a client that has asked for a stream and heard nothing.
    pub(super) fn send_preface(&mut self, token: Token, exchange: &mut Exchange) {
        if exchange.preface != Preface::Unsent {
            return;
        }
        if !self.wants_stream(exchange) {
            exchange.preface = Preface::Never;
            return;
        }
        exchange.preface = Preface::Sent;
        exchange.status = 200;
        exchange.persistent = exchange.may_persist() && !self.is_draining();
        let connection = match exchange.persistent {
            true => ConnectionField::KeepAlive,
            false => ConnectionField::Close,
        };
        self.scratch.clear();
        reply::head(
            &ReplyHead {
                status: 200,
                content_type: "text/event-stream",
                fields: &[
                    ("Cache-Control".into(), "no-cache".into()),
                    ("X-Accel-Buffering".into(), "no".into()),
                ],
                framing: Framing::Chunked,
                date: self.date.line(self.now, &self.net),
                connection,
                client: exchange.client,
                request_id: Some(exchange.id.as_bytes()),
            },
            &mut self.scratch,
        );
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.socket.outbox.push(&self.scratch, &mut self.desk.buffers);
            // A failure shows itself to whoever reads or writes next.
            let _ = downstream.socket.flush(None, &mut self.desk);
        }
    }

    /// Whether the request asks for a stream that we can begin.
    fn wants_stream(&self, exchange: &Exchange) -> bool {
        let possible = exchange.client == Version::Http11
            && !exchange.head_request
            && !exchange.upgrade_asked
            && heartbeat(exchange.dialect).is_some();
        if !possible || !self.keeps_request(exchange) {
            return false;
        }
        let request = match exchange.peer {
            Peer::Upstream(connection) => {
                self.upstreams.get(connection).map(|up| up.socket.outbox.copy(LOOK_MAX))
            }
            _ => Some(exchange.outbox.copy(LOOK_MAX)),
        };
        let request = request.unwrap_or_default();
        let limits = &exchange.snapshot.limits;
        let limits = HeadLimits { bytes: limits.head_bytes, fields: limits.headers };
        let mut slots = FieldSlots::new();
        let accept = match parse_request(&request, &mut slots, &limits) {
            Ok(Some(head)) => head.field("accept").unwrap_or_default().to_ascii_lowercase(),
            _ => Vec::new(),
        };
        if memchr::memmem::find(&accept, b"text/event-stream").is_some() {
            return true;
        }
        let (path, _) = rewrite::path_and_body(&request);
        let look = look(&request, exchange.request.body.framing(), 0);
        exchange.dialect.streams(&String::from_utf8_lossy(path), look.stream())
    }
}

impl Exchange {
    /// Whether its answer may have to follow a head of ours, or another server's stream.
    pub fn may_be_prefaced(&self) -> bool {
        let Some(route) = self.route() else { return false };
        let before_head = route.heartbeat.is_some_and(|heartbeat| heartbeat.before_head);
        (before_head || route.continues.is_some())
            && self.client == Version::Http11
            && heartbeat(self.dialect).is_some()
    }

    /// The client has the head of a stream, and waits for a server's.
    pub fn is_prefaced(&self) -> bool {
        matches!(self.preface, Preface::Sent | Preface::Continuing)
    }

    /// What is wrong with an answer that should follow the head the client has.
    pub fn cannot_follow(&self, head: &ResponseHead<'_>) -> Option<UpstreamFault> {
        let follows = head.status == 200
            && head.media == Media::EventStream
            && !head.encoded
            && !matches!(head.framing, Framing::None | Framing::Length(0));
        let is_final = head.status == 101 || head.status >= 200;
        let cannot = self.is_prefaced() && is_final && !follows;
        cannot.then_some(UpstreamFault::Status(head.status))
    }
}
