//! Gather: reads a request's body ahead of its first attempt, where it decides something.
//!
//! Two things can depend on it: which endpoint has the prompt in its cache (`balance` by prompt),
//! and which model is asked for (`model` of an upstream, which replaces the request's own:
//! `naming.rs`). The body is kept as every body is, up to `replay_bytes`; what does not fit is sent
//! as it came. In front of a model that is replaced, more of it is held.
//!
//! A third thing is read when a stream begins: how many choices it is to have, which tells its end.
//! Nearly every request asks for one, and to see that takes one search for `"n"`.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::buffer::{BufferPool, CAPACITY};
use super::drive::Step;
use super::exchange::{Exchange, Gather};
use super::net::Net;
use super::outbox::Outbox;
use super::relay::{self, Broken, Budget, Flow, Rest};
use super::request::takes_interim;
use super::token::Token;
use super::worker::Worker;
use crate::http::body::{Body, Framing};
use crate::http::rewrite;
use crate::proxy::fault::{DownstreamFault, Fault, LocalFault};
use crate::service::Dialect;
use crate::service::request::Look;

/// How far into a body a prompt may begin whose key is wanted.
const PREFACE_MAX: usize = 16 << 10;
/// How far a body is read for what it asks.
pub(super) const LOOK_MAX: usize = 1 << 20;

impl<N: Net> Worker<N> {
    /// Reads as much of the body as is wanted before an endpoint is chosen. `None`: it is there.
    pub(super) fn gather(&mut self, token: Token, budget: &mut Budget) -> Option<Step> {
        let now = self.now;
        let downstream = self.downstreams.get_mut(token)?;
        let exchange = downstream.exchange.as_deref_mut()?;
        let (gather, body_max) = (exchange.gather, exchange.body_max());
        let wanted = match gather {
            Gather::Nothing => return None,
            // Wherever the prompt begins, so much of it has come then: alike prompts have alike keys,
            // however their bytes arrive.
            Gather::Prompt(length) => u64::from(length) + PREFACE_MAX as u64,
            Gather::Model { prompt: 0 } => 0,
            Gather::Model { prompt } => u64::from(prompt) + PREFACE_MAX as u64,
            Gather::Whole => u64::MAX,
        };
        let searched = exchange.snapshot.limits.model_search_bytes as u64;
        // For its model more of it is read.
        let enough = |flow: &Flow, outbox: &Outbox, buffers: &BufferPool| {
            let received = flow.body.received();
            let searches = flow.watch.is_searched() && received < searched.min(body_max);
            matches!(gather, Gather::Model { .. }) && is_scarce(outbox, buffers)
                || received >= wanted && !searches
        };
        if std::mem::take(&mut exchange.expect_continue) && takes_interim(exchange.client) {
            let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
            downstream.socket.outbox.push(go_on, &mut self.desk.buffers);
            let _ = downstream.socket.flush(None, &mut self.desk);
        }
        let Exchange { outbox, request, timeline, .. } = exchange;
        let before = request.body.received();
        let rest =
            relay::keep(&mut downstream.socket, outbox, request, enough, budget, &mut self.desk);
        if request.body.received() > before {
            (timeline.request_moved, timeline.moved) = (now, now);
        }
        let fault = match rest {
            Ok(Rest::Ended) if request.body.received() > body_max => DownstreamFault::BodyTooLarge,
            Ok(Rest::Ended) => match exchange.read_request(&mut self.desk.buffers) {
                Ok(()) => return None,
                Err(fault) => return Some(self.end(token, Err(fault))),
            },
            Ok(Rest::Budget) => return Some(Step::Yield),
            Ok(Rest::Dry { needs }) => return Some(self.wait_for_buffer(token, needs)),
            Ok(Rest::SourceEmpty | Rest::SinkFull) => return Some(Step::Wait),
            Err(Broken::Framing(error)) => DownstreamFault::Chunk(error),
            Err(Broken::Unfinished) => match exchange.request.watch.unclear() {
                Some(unclear) => DownstreamFault::Model(unclear),
                None => DownstreamFault::Gone,
            },
            Err(_) => DownstreamFault::Gone,
        };
        Some(self.end(token, Err(Fault::Downstream(fault))))
    }
}

impl Exchange {
    /// Takes what is wanted out of the body that has been kept.
    fn read_request(&mut self, buffers: &mut BufferPool) -> Result<(), Fault> {
        let gather = std::mem::replace(&mut self.gather, Gather::Nothing);
        let prefix = match gather {
            Gather::Prompt(prompt) | Gather::Model { prompt } => prompt as usize,
            Gather::Whole | Gather::Nothing => 0,
        };
        if let Gather::Model { .. } = gather {
            let wanted = self.request.watch.is_searched() && self.request.watch.is_replaced();
            if wanted && is_scarce(&self.outbox, buffers) {
                return Err(Fault::Local(LocalFault::Buffers));
            }
            self.frame(buffers);
        }
        if prefix > 0 {
            let look = look(&self.outbox.copy(LOOK_MAX), self.request.body.framing(), prefix);
            let near = look.prompt_at().is_some_and(|at| at <= PREFACE_MAX);
            self.aside_mut().key = look.prompt_hash().filter(|_| near);
        }
        Ok(())
    }

    /// How many choices the answer is to have, by the request as it was `sent`. `None`: nobody
    /// knows, since it was too long to be kept, or is not all here.
    pub(super) fn choices(&self, sent: &Outbox) -> Option<u32> {
        if !matches!(self.dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions) {
            return Some(1);
        }
        if !sent.keeps() || !self.request.body.is_complete() {
            return None;
        }
        let framing = self.request.body.framing();
        // Chunks may cut a name anywhere.
        let may_be_several = framing == Framing::Chunked
            || contains_n(sent.pieces())
            // A list of prompts.
            || self.dialect == Dialect::OpenAiCompletions
                && sent.pieces().any(|piece| memchr::memchr(b'[', piece).is_some());
        match may_be_several {
            true => look(&sent.copy(LOOK_MAX), framing, 0).choices(),
            false => Some(1),
        }
    }
}

/// Whether so much is held that no more may be: buffers are scarce.
fn is_scarce(outbox: &Outbox, buffers: &BufferPool) -> bool {
    outbox.held() > CAPACITY && !buffers.may_keep()
}

/// Whether `"n"` stands somewhere in a text that comes in pieces.
fn contains_n<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"n\""));
    // The last two bytes before a piece: with its first two they hold what the cut goes through.
    let mut before = [0; 2];
    for piece in pieces {
        let start = piece.iter().take(2);
        let join = before.iter().chain(start).copied();
        let mut seam = [0; 4];
        seam.iter_mut().zip(join).for_each(|(to, from)| *to = from);
        if NAME.find(&seam).is_some() || NAME.find(piece).is_some() {
            return true;
        }
        let last = before.iter().chain(piece).rev().take(2);
        let mut end = [0; 2];
        end.iter_mut().rev().zip(last).for_each(|(to, from)| *to = *from);
        before = end;
    }
    false
}

/// What a request that was kept asks for.
pub(super) fn look(request: &[u8], framing: Framing, prefix: usize) -> Look {
    let (_, body) = rewrite::path_and_body(request);
    let mut look = Look::new(LOOK_MAX, prefix);
    look.feed(&payload(body, framing));
    look.end();
    look
}

/// The body of a request that was kept, without its framing. A length is not what it was if the body
/// has been rewritten since: it ends where the request does.
pub(super) fn payload(framed: &[u8], framing: Framing) -> Cow<'_, [u8]> {
    if framing != Framing::Chunked {
        return Cow::Borrowed(framed);
    }
    let mut body = Vec::with_capacity(framed.len());
    // What was kept was cleared: it has no fault to find.
    let _ = Body::new(framing).scan(framed, |data| body.extend_from_slice(data));
    Cow::Owned(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_wherever_it_is_cut() {
        for (text, expected) in
            [("{\"n\":2}", true), ("{\"m\":2,\"nn\":\"\"}", false), ("\"n", false)]
        {
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let (start, rest) = text.split_at(first);
                    let (middle, end) = rest.split_at(second - first);
                    let pieces = [start, middle, end].map(str::as_bytes);
                    assert_eq!(contains_n(pieces.into_iter()), expected, "{pieces:?}");
                }
            }
        }
    }
}
