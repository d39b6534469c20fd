//! Awaiting: requests that wait for the model of their upstream.
//!
//! A server says that it loads its model, and there is nobody else who could answer: the request waits
//! here, in the order it came, until the model is there, its own time (`while_loading.wait`) is over, or
//! its client leaves. It holds neither connection nor permit, so it stands in no queue; as many may wait
//! as may stand in one (`admission.queue`).
//!
//! * One request at a time finds out (`proxy/endpoints/loading.rs`). The others are called, here and by
//!   the other workers, as soon as it has.
//! * Each looks again by itself too, so a call that is lost costs a second and no request.

use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, UpstreamId};
use crate::gateway::Gateway;
use crate::gateway::record::exchange::{Exchange, Gather, ModelWait};
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::verdict::{Failed, Step};
use crate::proxy::fault::{Fault, LocalFault};
use crate::proxy::wake::ServerStanding;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

/// When it is worth to come again for one who finds as many waiting as may.
const FULL_HINT: Duration = Duration::from_secs(5);

impl<N: Net> Gateway<N> {
    /// Has a request wait for the model of its upstream, and look for it `again` then.
    pub(crate) fn await_model(&mut self, token: Token, again: Instant, cx: &mut Cx<N>) -> Step {
        let now = cx.now;
        let Some(exchange) = self.exchange_mut(token) else { return Step::Wait };
        let Some(id) = exchange.upstream().map(|upstream| upstream.id) else { return Step::Wait };
        let patience = exchange.model_patience();
        let begun = ModelWait { until: now + patience, heard: exchange.timeline.moved };
        let until = exchange.aside_mut().model_wait.get_or_insert(begun).until;
        if until <= now {
            let retry_after = FULL_HINT;
            let late = Fault::Local(LocalFault::ModelLoading { retry_after });
            return Step::Failed(Failed::Fault(late));
        }
        exchange.timeline.queued_until = until;
        exchange.timeline.client_blocked = None;
        exchange.peer = Peer::AwaitingModel { again };
        let reads = exchange.is_read_in_line();
        if reads {
            exchange.gather = Gather::Whole;
        }
        let group = &mut self.groups[id];
        if group.awaiting.len() >= group.admission.queue {
            let full = LocalFault::QueueFull { retry_after: FULL_HINT };
            return Step::Failed(Failed::Fault(Fault::Local(full)));
        }
        group.begin_awaiting(token);
        self.desk.tally.model_waits.add(1);
        if reads { Step::Again } else { Step::Wait }
    }

    /// Ends the wait of a request, which looks for a place at its upstream next.
    pub(crate) fn seek_again(&mut self, token: Token, cx: &Cx<N>) -> Step {
        let now = cx.now;
        let Some(exchange) = self.exchange_mut(token) else { return Step::Wait };
        exchange.seek_again(now);
        if let Some(upstream) = exchange.upstream().map(|upstream| upstream.id) {
            self.groups[upstream].stop_awaiting(token);
        }
        Step::Again
    }

    /// Calls everybody who waits for the model of an upstream: it is there, or will not come.
    pub(crate) fn call_awaiting(&mut self, upstream: UpstreamId, cx: &mut Cx<N>) {
        for token in self.groups[upstream].awaiting.clone() {
            if let Some(exchange) = self.exchange_mut(token)
                && let Peer::AwaitingModel { again } = &mut exchange.peer
            {
                *again = cx.now;
                self.enqueue(token, &mut cx.run);
            }
        }
    }

    /// The model of an endpoint is there: calls everybody who waits for it, here and elsewhere.
    pub(crate) fn model_is_loaded(
        &mut self,
        upstream: UpstreamId,
        endpoint: EndpointId,
        cx: &mut Cx<N>,
    ) {
        if let Some(crew) = self.life.crew() {
            crew.tell_loaded(upstream, endpoint);
        }
        self.call_awaiting(upstream, cx);
    }

    /// The server of an upstream stands otherwise than before: it is there, or will not come.
    pub(crate) fn on_woken(&mut self, upstream: UpstreamId, cx: &mut Cx<N>) {
        // Its last exchange here may have ended while the word was on its way.
        if !self.groups.ids().any(|id| id == upstream) {
            return;
        }
        let endpoints = &mut self.groups[upstream].endpoints;
        match endpoints.server() {
            Some(ServerStanding::Awake) => endpoints.renew(),
            Some(ServerStanding::Failed) => {}
            _ => return,
        }
        self.call_awaiting(upstream, cx);
    }

    /// Another worker has found that the model of an endpoint is there.
    pub(crate) fn on_loaded(&mut self, upstream: UpstreamId, endpoint: EndpointId, cx: &mut Cx<N>) {
        // Its last exchange here may have ended while the word was on its way.
        if self.groups.ids().any(|id| id == upstream) {
            self.groups[upstream].endpoints.model_is_there(endpoint);
            self.call_awaiting(upstream, cx);
        }
    }
}

impl Exchange {
    /// Looks for a place at its upstream from here on, with what of its request has come.
    fn seek_again(&mut self, now: Instant) {
        self.gather = Gather::Nothing;
        self.timeline.seek(now);
        self.peer = Peer::Seeking { fresh: false, line: Line::New };
    }
}
