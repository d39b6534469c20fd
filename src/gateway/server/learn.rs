//! Learn: what an attempt that has ended says of its endpoint.
//!
//! A pick is the right to one attempt, counted as long as it lives. It goes back once, with the outcome
//! of the attempt; then the first waiter is called for its place. A change in the standing of an
//! endpoint is logged here, once.

use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, UpstreamId};
use crate::gateway::Gateway;
use crate::proxy::breaker::{OpenedBy, Outcome, Transition};
use crate::proxy::endpoints::Pick;
use crate::proxy::health::{DownEndpoint, HealthStatus};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    /// Gives the pick of an attempt back, with what the attempt says of its endpoint.
    pub(crate) fn learn(
        &mut self,
        upstream: UpstreamId,
        pick: Option<Pick>,
        outcome: Outcome,
        cx: &mut Cx<N>,
    ) {
        let Some(pick) = pick else { return };
        let endpoint = pick.endpoint();
        let group = &mut self.groups[upstream];
        let transition = group.endpoints.record(pick, outcome, cx.now);
        group.queue.freed(cx.now);
        self.note_transition(upstream, endpoint, transition);
        if let Some(Transition::Loaded { .. }) = transition {
            self.model_is_loaded(upstream, endpoint, cx);
        }
        self.permit_is_home(upstream, cx);
    }

    /// Learns from the first event that says something, or from the first byte where the answer is no
    /// stream of events.
    pub(crate) fn learn_of_first_event(&mut self, token: Token, cx: &mut Cx<N>) {
        let now = cx.now;
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return;
        };
        let (Some(upstream), Some(pick)) = (exchange.upstream(), &exchange.attempt.pick) else {
            return;
        };
        // What such an answer says of the endpoint is learnt at the end of the exchange.
        let answers = matches!(
            exchange.outcome_of_status(exchange.attempt.status),
            Outcome::Success | Outcome::ClientError
        );
        if exchange.reported_error().is_some() || !answers {
            return;
        }
        let (id, endpoint) = (upstream.id, pick.endpoint());
        // A document is sent when all of it has been made: its first byte is no first token.
        let ttft = exchange.has_answer().then(|| now - exchange.timeline.request_written);
        let transition = self.groups[id].endpoints.first_event(pick, ttft, now);
        self.note_transition(id, endpoint, transition);
        if let Some(Transition::Loaded { .. }) = transition {
            self.model_is_loaded(id, endpoint, cx);
        }
    }

    /// Learns what the active checks say of an endpoint.
    pub(crate) fn on_health(
        &mut self,
        upstream: UpstreamId,
        endpoint: EndpointId,
        verdict: HealthStatus,
        cx: &mut Cx<N>,
    ) {
        // It may have gone with a reload while the verdict was on its way.
        if self.groups.ids().any(|id| id == upstream) {
            self.groups[upstream].endpoints.set_active_verdict(endpoint, verdict, cx.now);
            if verdict == HealthStatus::Well {
                self.call_awaiting(upstream, cx);
            }
        }
    }

    /// Learns that the port of an endpoint was away and answers again.
    pub(crate) fn on_reachable(&mut self, upstream: UpstreamId, endpoint: EndpointId) {
        if self.groups.ids().any(|id| id == upstream) {
            self.groups[upstream].endpoints.set_reachable(endpoint);
        }
    }

    /// Learns that an endpoint fails at other gateways.
    pub(crate) fn on_suspect(&mut self, upstream: UpstreamId, endpoint: EndpointId, now: Instant) {
        if self.groups.ids().any(|id| id == upstream) {
            self.groups[upstream].endpoints.suspect(endpoint, now);
        }
    }

    /// What an endpoint of an upstream is called, or was until lately.
    pub(crate) fn endpoint_names(&self) -> impl Fn(UpstreamId, EndpointId) -> Option<String> + '_ {
        |upstream, endpoint| self.groups[upstream].endpoints.name_of(endpoint).map(str::to_owned)
    }

    pub(crate) fn note_transition(
        &self,
        upstream: UpstreamId,
        endpoint: EndpointId,
        transition: Option<Transition>,
    ) {
        if let Some(transition) = transition {
            self.tell_transition(upstream, endpoint, transition);
        }
    }

    #[cold]
    fn tell_transition(&self, upstream: UpstreamId, endpoint: EndpointId, transition: Transition) {
        let group = &self.groups[upstream];
        let known = group.endpoints.get(endpoint);
        if let Transition::Opened { cause, open, .. } = transition
            && let Some(address) = known.and_then(|known| known.address)
        {
            let unreachable = cause == OpenedBy::Unreachable;
            self.upkeep.look_out(DownEndpoint { upstream, endpoint, address, unreachable, open });
        }
        let address = known.map_or("", |known| &known.name);
        let name = &group.name;
        let tally = &self.desk.tally;
        match transition {
            Transition::Opened { cause, open, openings } => {
                tally.breaker_opened.add(1);
                let cause = match cause {
                    OpenedBy::Consecutive => "faults in a row",
                    OpenedBy::Rate => "too many faults",
                    OpenedBy::Probe => "its probe failed",
                    OpenedBy::Unreachable => "it takes no connection",
                    OpenedBy::Unauthorized => "it refuses our credentials",
                };
                log::warn!("{name}: {address} is out for {open:?} ({cause}; time {openings})");
            }
            Transition::Closed => {
                tally.breaker_closed.add(1);
                log::info!("{name}: {address} is back");
            }
            Transition::Resting { rest } => {
                log::info!("{name}: {address} asks to be left alone for {rest:?}");
            }
            Transition::Loading => log::info!("{name}: {address} loads its model; requests wait"),
            Transition::Loaded { lasted } => {
                log::info!("{name}: {address} has its model, after {lasted:.1?}");
            }
            Transition::Overruled => {
                log::warn!("{name}: {address} answers, and its checks say that it is unwell");
            }
            Transition::Unauthorized { open } => {
                log::error!("{name}: {address} refuses our credentials; it is out for {open:?}");
            }
        }
    }
}
