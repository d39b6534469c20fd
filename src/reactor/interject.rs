//! Interject: bytes of our own inside a stream that is passed on verbatim.
//!
//! Two occasions: a comment that keeps a silent connection alive, and the event that tells a client
//! why its stream breaks off. Both stand only where they cannot be taken for somebody's event:
//!
//! * between two events of the stream, never inside one: half an event followed by a line of ours
//!   would be dispatched as a whole one;
//! * between two frames of the message, with everything before them written;
//! * framed as the message is framed for this client. A message of a declared length has no room.

use super::exchange::{Exchange, Peer};
use super::net::Net;
use super::relay::Mode;
use super::token::Token;
use super::worker::Worker;
use crate::http::body::Framing;
use crate::http::reply;

impl<N: Net> Worker<N> {
    /// Writes `bytes` to the client of `exchange`, if this is a place for them. Whether it was.
    pub(super) fn interject(&mut self, token: Token, exchange: &Exchange, bytes: &[u8]) -> bool {
        let Some(framed) = framing_of(exchange) else { return false };
        let unwritten = match exchange.peer {
            Peer::Upstream(connection) => self.upstreams.get(connection),
            _ => None,
        }
        .and_then(|upstream| upstream.socket.inbound.as_ref())
        .is_some_and(|buffer| !buffer.pending().is_empty());
        let Some(downstream) = self.downstreams.get_mut(token) else { return false };
        let socket = &mut downstream.socket;
        // What waits for a slow client may end anywhere; and who does not read needs no comment.
        if unwritten || !socket.outbox.is_empty() || !socket.ready.writable() {
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
        // A failure shows itself to whoever reads or writes next.
        let _ = socket.flush(None, &mut self.desk);
        true
    }
}

/// Whether bytes of ours need a chunk of their own, or `None` where there is no place for them.
fn framing_of(exchange: &Exchange) -> Option<bool> {
    let response = exchange.response.as_ref().filter(|_| exchange.committed)?;
    let between_events = response.observer.as_ref().is_some_and(|observer| observer.at_boundary());
    if !between_events {
        return None;
    }
    let body = &response.body;
    match response.mode {
        Mode::Chunk => Some(true),
        Mode::Payload => Some(false),
        Mode::Splice | Mode::Keep { .. } => match body.framing() {
            // Between two chunks, or where the end of the body has been held back in full.
            Framing::Chunked if body.at_boundary() || body.tail().whole => Some(true),
            Framing::UntilClose => Some(false),
            Framing::Chunked | Framing::Length(_) | Framing::None => None,
        },
    }
}
