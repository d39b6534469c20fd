//! Commit: which answers are held back, and the moment in which an answer becomes the client's.
//!
//! Until a byte of the final response is with the client, another attempt can take its place. The
//! head of an event stream is worth nothing yet. So it is held back until the first event that says
//! something, for as long as another server could answer.

use std::time::Duration;

use crate::config::snapshot::CommitAt;
use crate::gateway::Gateway;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::kept_stream::{Before, Continuation};
use crate::http::body::Framing;
use crate::proxy::exchange::Awaited;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::service::Dialect;
use crate::wire::outbox::Outbox;

/// How long a stream is held back that gives signs of life and no event, where holding it back brings
/// little. Shorter than the timeouts of clients, and of proxies on the way.
const HOLD_PATIENCE: Duration = Duration::from_secs(5);

impl<N: Net> Gateway<N> {
    /// Whether another attempt, or the predefined answer, can still take the place of this one.
    pub(crate) fn can_be_rescued(&self, exchange: &Exchange, cx: &Cx<N>) -> bool {
        let (Some(upstream), Some(chain)) = (exchange.upstream(), exchange.chain()) else {
            return false;
        };
        let again = u32::from(exchange.tries.at_upstream) < upstream.retry.attempts;
        let elsewhere = again || self.next_link(exchange, cx).is_some();
        // A predefined answer cannot be the rest of an answer that has begun.
        let predefined = chain.fallback.is_some() && !exchange.is_continuing();
        !exchange.commit.is_final() && (predefined || elsewhere && self.keeps_request(exchange))
    }

    /// Whether the head of an event stream is kept from the client until the first event that says
    /// something. Not where that brings nothing: not for a feed, and not for a plain GET where nobody
    /// else could answer.
    pub(crate) fn holds_back(&self, exchange: &Exchange, cx: &Cx<N>) -> bool {
        self.holds_back_as(exchange, || self.can_be_rescued(exchange, cx), cx)
    }

    /// The same, for who knows already whether the answer `can_be_rescued`.
    pub(crate) fn holds_back_as(
        &self,
        exchange: &Exchange,
        can_be_rescued: impl FnOnce() -> bool,
        cx: &Cx<N>,
    ) -> bool {
        let commit = exchange.route().map(|route| route.commit);
        // A continued stream is always held back: it joins the client's stream with its first event.
        exchange.is_continuing()
            || (commit == Some(CommitAt::FirstEvent)
                && !exchange.listens
                && (!exchange.is_plain() || self.has_elsewhere(exchange, cx))
                && can_be_rescued())
    }

    /// Whether another endpoint, upstream or predefined answer could take the place of this endpoint.
    fn has_elsewhere(&self, exchange: &Exchange, cx: &Cx<N>) -> bool {
        let (Some(upstream), Some(chain)) = (exchange.upstream(), exchange.chain()) else {
            return false;
        };
        self.groups[upstream.id].endpoints.len() > 1
            || chain.fallback.is_some()
            || self.next_link(exchange, cx).is_some()
    }

    /// Whether an answer that is held back, and of which bytes have just come, is passed on although
    /// no event has said anything. A document where a stream was asked for: yes, once its first byte
    /// has shown what it is. A stream: yes, if its client has waited for [`HOLD_PATIENCE`] and holding
    /// it back brings little. Where only events are progress and another server may be asked, `ttft`
    /// decides instead.
    pub(crate) fn passes_unheard(&self, token: Token, cx: &Cx<N>) -> bool {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        exchange.is_some_and(|exchange| {
            if exchange.is_no_stream() {
                return !exchange.may_be_rescued_by_reading(self.holds_back(exchange, cx));
            }
            exchange.attempt.awaited == Awaited::Stream
                && !exchange.is_continuing()
                && cx.now - exchange.timeline.request_written >= HOLD_PATIENCE
                && (exchange.attempt.by_bytes || !self.has_elsewhere(exchange, cx))
        })
    }

    /// Makes the answer the client's: what was held back is sent, and the request is forgotten, but
    /// for what a continuation may need.
    pub(crate) fn commit(&mut self, token: Token, connection: Token) {
        let Some(exchange) = self.exchange_mut(token) else { return };
        if exchange.has_transcript() {
            self.keep_for_continuation(token, connection);
        }
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return };
        if exchange.is_continuing() {
            let seam = exchange.join(&self.desk.tally);
            downstream.socket.outbox.push(&seam, &mut self.desk.buffers);
        }
        let held = exchange.commit.is_held();
        exchange.commit.pass();
        exchange.forget_bodies();
        let buffers = &mut self.desk.buffers;
        if held {
            let mut held: Outbox = std::mem::take(&mut exchange.outbox);
            held.append_to(&mut downstream.socket.outbox, buffers);
        }
        if let Some(upstream) = self.upstreams.get_mut(connection) {
            upstream.socket.outbox.forget(buffers);
        }
    }

    /// Keeps the request, from which another server may have to continue this answer.
    pub(crate) fn keep_for_continuation(&mut self, token: Token, connection: Token) {
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return;
        };
        let outbox = self.upstreams.get(connection).map(|upstream| &upstream.socket.outbox);
        let kept = outbox.and_then(|outbox| exchange.kept(outbox, &self.purse));
        let Some(settings) = exchange.continues() else { return };
        let Some(exchange) = self.exchange_mut(token) else { return };
        match (kept, &mut exchange.aside_mut().continuation) {
            (Some(request), Some(continuation)) => continuation.request = request,
            (Some(request), none) => {
                *none = Some(Box::new(Continuation {
                    request,
                    room: settings.text_bytes,
                    tap: None,
                    fault: None,
                    made: 0,
                    before: Before::default(),
                }));
            }
            (None, _) => exchange.drop_transcript(),
        }
    }
}

impl Exchange {
    /// Whether it is an idempotent request without a body, for a path of no dialect.
    fn is_plain(&self) -> bool {
        let bare = matches!(self.request.body.framing(), Framing::None | Framing::Length(0));
        self.dialect == Dialect::Generic && self.idempotent && bare
    }
}
