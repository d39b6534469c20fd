//! Gather: reads a request's body ahead of its first attempt, where it decides something.
//!
//! Two things can depend on it: which endpoint has the prompt in its cache (`balance` by prompt),
//! and which model is asked for (`model` of an upstream, which replaces the request's own). The
//! body is kept as every body is, up to `replay_bytes`; what does not fit is sent as it came.

use std::borrow::Cow;

use super::buffer::BufferPool;
use super::drive::Step;
use super::exchange::{Exchange, Gather};
use super::net::Net;
use super::relay::{self, Broken, Budget, Rest};
use super::request::takes_interim;
use super::token::Token;
use super::worker::Worker;
use crate::http::body::{Body, Framing};
use crate::http::rewrite;
use crate::proxy::fault::{DownstreamFault, Fault};
use crate::service::request::Look;

/// How far into a body a prompt may begin whose key is wanted.
const PREFACE_MAX: usize = 16 << 10;
/// How far a body is read for what it asks.
const LOOK_MAX: usize = 1 << 20;

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
            Gather::Prompt(length) => (length + PREFACE_MAX) as u64,
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
            timeline.request_moved = now;
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
            Gather::Prompt(length) => length,
            Gather::Whole | Gather::Nothing => 0,
        };
        if prefix > 0 {
            let look = look(&self.outbox.copy(LOOK_MAX), self.request.body.framing(), prefix);
            let near = look.prompt_at().is_some_and(|at| at <= PREFACE_MAX);
            self.key = look.prompt_hash().filter(|_| near);
        }
    }

    /// Gives the request the model of the upstream it goes to, or its own again.
    pub(super) fn remodel(&mut self, buffers: &mut BufferPool) {
        let Some(upstream) = self.upstream() else { return };
        let replaces = upstream.model.is_some();
        let Some(model) = upstream.model.clone().or_else(|| self.own_model.take()) else { return };
        let framing = self.request.body.framing();
        if !self.request.body.is_complete() || !self.outbox.keeps() {
            return log::warn!("{}: too large for its model to become {model}", self.id);
        }
        let mut own = None;
        self.outbox.edit(buffers, |request| own = set_model(request, framing, &model));
        if replaces {
            self.own_model = self.own_model.take().or(own);
        }
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

fn look(request: &[u8], framing: Framing, prefix: usize) -> Look {
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
