//! Gather: reads a request's body ahead of its first attempt, where it decides something.
//!
//! Two things can depend on it: which endpoint has the prompt in its cache (`balance` by prompt),
//! and which model is asked for (`model` of an upstream, which replaces the request's own). The
//! body is kept as every body is, up to `replay_bytes`; what does not fit is sent as it came.
//!
//! A third thing is read when a stream begins: how many choices it is to have, which tells its end.
//! Nearly every request asks for one, and to see that takes one search for `"n"`.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::buffer::BufferPool;
use super::drive::Step;
use super::exchange::{Exchange, Gather};
use super::net::Net;
use super::outbox::Outbox;
use super::relay::{self, Broken, Budget, Rest};
use super::request::takes_interim;
use super::token::Token;
use super::worker::Worker;
use crate::http::body::{Body, Framing};
use crate::http::rewrite;
use crate::proxy::fault::{DownstreamFault, Fault};
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
        let wanted = match exchange.gather {
            Gather::Nothing => return None,
            // Wherever the prompt begins, so much of it has come then: alike prompts have alike keys,
            // however their bytes arrive.
            Gather::Prompt(length) => u64::from(length) + PREFACE_MAX as u64,
            Gather::Whole => u64::MAX,
        };
        let body_max = exchange.body_max();
        if std::mem::take(&mut exchange.expect_continue) && takes_interim(exchange.client) {
            let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
            downstream.socket.outbox.push(go_on, &mut self.desk.buffers);
            let _ = downstream.socket.flush(None, &mut self.desk);
        }
        let Exchange { outbox, request, timeline, .. } = exchange;
        let before = request.body.received();
        let rest =
            relay::keep(&mut downstream.socket, outbox, request, wanted, budget, &mut self.desk);
        if request.body.received() > before {
            (timeline.request_moved, timeline.moved) = (now, now);
        }
        let fault = match rest {
            Ok(Rest::Ended) if request.body.received() > body_max => DownstreamFault::BodyTooLarge,
            Ok(Rest::Ended) => {
                exchange.read_request();
                return None;
            }
            Ok(Rest::Budget) => return Some(Step::Yield),
            Ok(Rest::Dry { needs }) => return Some(self.wait_for_buffer(token, needs)),
            Ok(Rest::SourceEmpty | Rest::SinkFull) => return Some(Step::Wait),
            Err(Broken::Framing(error)) => DownstreamFault::Chunk(error),
            Err(_) => DownstreamFault::Gone,
        };
        Some(self.end(token, Err(Fault::Downstream(fault))))
    }
}

impl Exchange {
    /// Takes what is wanted out of the body that has been kept.
    fn read_request(&mut self) {
        let prefix = match std::mem::replace(&mut self.gather, Gather::Nothing) {
            Gather::Prompt(length) => length as usize,
            Gather::Whole | Gather::Nothing => 0,
        };
        if prefix > 0 {
            let look = look(&self.outbox.copy(LOOK_MAX), self.request.body.framing(), prefix);
            let near = look.prompt_at().is_some_and(|at| at <= PREFACE_MAX);
            self.aside_mut().key = look.prompt_hash().filter(|_| near);
        }
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

    /// Gives the request the model of the upstream it goes to, or its own again.
    pub(super) fn remodel(&mut self, buffers: &mut BufferPool) {
        let Some(upstream) = self.upstream() else { return };
        let replaces = upstream.model.is_some();
        let own = self.aside.as_ref().and_then(|aside| aside.own_model.as_ref());
        let Some(model) = upstream.model.as_ref().or(own).cloned() else { return };
        let framing = self.request.body.framing();
        if !self.request.body.is_complete() || !self.outbox.keeps() {
            return log::warn!("{}: too large for its model to become {model}", self.id);
        }
        let mut own = None;
        self.outbox.edit(buffers, |request| own = set_model(request, framing, &model));
        let aside = self.aside_mut();
        aside.own_model = if replaces { aside.own_model.take().or(own) } else { None };
    }
}

/// Puts the name of a model into a request, in place of its own, which is given back. A request
/// that names none, or one twice, stays as it is.
fn set_model(request: &mut Vec<u8>, framing: Framing, model: &str) -> Option<String> {
    let look = look(request, framing, 0);
    let range = look.model_range().filter(|_| !look.is_ambiguous())?;
    let own = look.model().map(str::to_owned);
    {
        let head = request.len() - rewrite::path_and_body(request).1.len();
        let mut body = payload(&request[head..], framing).into_owned();
        let mut name = Vec::new();
        crate::http::json::escape(model, &mut name);
        body.splice(range, name);
        request.truncate(head);
        rewrite::set_body(request, framing == Framing::Chunked, &body);
    }
    own
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
