//! Learn: what an attempt that has ended says of its endpoint.
//!
//! A pick is the right to one attempt, counted as long as it lives. It goes back once, with what
//! became of the attempt; whoever waits for its place is called then. What changes in the
//! endpoint's standing is logged where it changes, once.

use std::time::Duration;

use super::attempt::Failed;
use super::exchange::{Exchange, Peer};
use super::net::Net;
use super::stall::Owner;
use super::token::Token;
use super::worker::Worker;
use crate::config::snapshot::{EndpointId, UpstreamId};
use crate::proxy::breaker::{Cause, Outcome, Transition};
use crate::proxy::endpoints::Pick;
use crate::proxy::fault::{DownstreamFault, Fault, UpstreamFault};
use crate::proxy::health::{Look, Verdict};
use crate::service::{Dialect, Observer};

impl<N: Net> Worker<N> {
    /// Gives the pick of an attempt back.
    pub(super) fn learn(&mut self, upstream: UpstreamId, pick: Option<Pick>, outcome: Outcome) {
        let Some(pick) = pick else { return };
        let endpoint = pick.endpoint();
        let group = &mut self.groups[upstream];
        let transition = group.endpoints.record(pick, outcome, self.now);
        group.queue.freed(self.now);
        self.note_transition(upstream, endpoint, transition);
        self.permit_is_home(upstream);
    }

    /// Tells a stream that broke from one that was whole, whose message has no end.
    pub(super) fn behind_the_end(&self, token: Token, failed: Failed) -> Failed {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        let whole = exchange.is_some_and(|exchange| {
            let observer = exchange.response.as_ref().and_then(|it| it.watch.observer.as_ref());
            exchange.committed && observer.is_some_and(Observer::is_whole)
        });
        match failed {
            Failed::Fault(Fault::Upstream(
                UpstreamFault::Truncated
                | UpstreamFault::Reset(_)
                | UpstreamFault::Chunk(_)
                | UpstreamFault::InterEventTimeout,
            )) if whole => Failed::Fault(Fault::Upstream(UpstreamFault::Unterminated)),
            failed => failed,
        }
    }

    /// The first event of an answer that says something has passed, or its first byte where it is no
    /// stream of events.
    pub(super) fn learn_of_first_event(&mut self, token: Token) {
        let now = self.now;
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return;
        };
        let (Some(upstream), Some(pick)) = (exchange.upstream(), &exchange.attempt.pick) else {
            return;
        };
        // What it says of the endpoint is told at the end of the exchange.
        let answers = matches!(
            exchange.outcome_of_status(exchange.status),
            Outcome::Success | Outcome::ClientError
        );
        if exchange.reported_error().is_some() || !answers {
            return;
        }
        let (id, endpoint) = (upstream.id, pick.endpoint());
        // A document is here when all of it has been made: of tokens that says nothing.
        let ttft = exchange.has_answer().then(|| now - exchange.timeline.request_written);
        let transition = self.groups[id].endpoints.first_event(pick, ttft, now);
        self.note_transition(id, endpoint, transition);
    }

    /// What the active checks say of an endpoint.
    pub(super) fn on_health(
        &mut self,
        upstream: UpstreamId,
        endpoint: EndpointId,
        verdict: Verdict,
    ) {
        // It may have gone with a reload while the verdict was on its way.
        if self.groups.ids().any(|id| id == upstream) {
            self.groups[upstream].endpoints.set_active_verdict(endpoint, verdict, self.now);
        }
    }

    /// The control thread has seen the port of an endpoint away, and now it answers.
    pub(super) fn on_reachable(&mut self, upstream: UpstreamId, endpoint: EndpointId) {
        if self.groups.ids().any(|id| id == upstream) {
            self.groups[upstream].endpoints.set_reachable(endpoint);
        }
    }

    pub(super) fn note_transition(
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
        let port = known.and_then(|known| known.address);
        if let (Transition::Opened { cause, open, .. }, Some(lookout), Some(address)) =
            (transition, &self.lookout, port)
        {
            let unreachable = cause == Cause::Unreachable;
            // Who looks out no more has ended, and so will we.
            let _ = lookout.send(Look { upstream, endpoint, address, unreachable, open });
        }
        let address = known.map_or("", |known| &known.name);
        let name = &group.name;
        let tally = &self.desk.tally;
        match transition {
            Transition::Opened { cause, open, openings } => {
                tally.breaker_opened.add(1);
                let cause = match cause {
                    Cause::Consecutive => "faults in a row",
                    Cause::Rate => "too many faults",
                    Cause::Probe => "its probe failed",
                    Cause::Unreachable => "it takes no connection",
                    Cause::Unauthorized => "it refuses our credentials",
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
            Transition::Unauthorized { open } => {
                log::error!("{name}: {address} refuses our credentials; it is out for {open:?}");
            }
        }
    }
}

impl Exchange {
    /// What the end of the exchange says of the endpoint that answered. Where it has said in its
    /// stream what went wrong, that counts, however the stream ended then: many a client leaves as
    /// soon as it has read such an event.
    pub(super) fn outcome(&self, fault: Option<&Fault>) -> Outcome {
        if let Some(reported) = self.reported_error() {
            return reported;
        }
        match fault {
            Some(Fault::Upstream(fault)) => self.outcome_of(fault),
            Some(Fault::Downstream(_) | Fault::Local(_)) => Outcome::Abandoned,
            None => self.outcome_of_status(self.status),
        }
    }

    /// What an error event in the answer says of the endpoint: as a 5xx, but for those that are the
    /// client's own.
    pub(super) fn reported_error(&self) -> Option<Outcome> {
        let observer = self.response.as_ref()?.watch.observer.as_ref()?;
        observer.saw_error().then_some(match observer.saw_clients_error() {
            true => Outcome::ClientError,
            false => Outcome::Fault,
        })
    }

    /// The failure that the server itself has told, in its answer or with its status, though every
    /// byte of it came.
    pub(super) fn reported_fault(&self, whole: bool) -> Option<Fault> {
        if !matches!(self.peer, Peer::Upstream(_)) {
            return None;
        }
        match self.reported_error() {
            Some(Outcome::Fault) => Some(Fault::Upstream(UpstreamFault::ErrorEvent)),
            Some(_) => Some(Fault::Downstream(DownstreamFault::Refused)),
            None if !whole => None,
            None => match self.outcome_of_status(self.status) {
                Outcome::Fault | Outcome::Unauthorized => {
                    Some(Fault::Upstream(UpstreamFault::Status(self.status)))
                }
                _ => None,
            },
        }
    }

    pub(super) fn outcome_of(&self, fault: &UpstreamFault) -> Outcome {
        let silent = matches!(
            fault,
            UpstreamFault::TtftTimeout
                | UpstreamFault::InterEventTimeout
                | UpstreamFault::ResponseTimeout
        );
        // Nobody knows what a service waits for that is not understood: its silence says nothing of
        // those who wait for tokens.
        if silent && self.spoken() == Dialect::Generic {
            return Outcome::Abandoned;
        }
        if fault.is_of_a_lost_connection() && self.lacks_request() {
            return Outcome::Abandoned;
        }
        match fault {
            UpstreamFault::Connect(_) | UpstreamFault::ConnectTimeout => Outcome::Unreachable,
            UpstreamFault::TtftTimeout => {
                let waited = self.timeouts().ttft.unwrap_or(Duration::ZERO);
                Outcome::TimedOut { waited }
            }
            UpstreamFault::ResponseTimeout => {
                let waited = self.timeouts().response.unwrap_or(Duration::ZERO);
                Outcome::TimedOut { waited }
            }
            // As long as it takes is not too long for the server.
            UpstreamFault::Status(status) => self.outcome_of_status(*status),
            UpstreamFault::TotalTimeout | UpstreamFault::BrokenOff => Outcome::Abandoned,
            // We take no more than this; the server has done nothing wrong.
            UpstreamFault::OverLimit(_) => Outcome::Abandoned,
            // The model has said all it had to say.
            UpstreamFault::Unterminated => self.outcome_of_status(self.status),
            _ => Outcome::Fault,
        }
    }

    /// Whether its client was waited for when the server was last heard of: the rest of the request
    /// had not come. A server may hang up on such a client, and who was lost meanwhile cannot tell
    /// one that did from one that failed.
    pub(super) fn lacks_request(&self) -> bool {
        !self.request.body.is_complete()
            && self.tunnel.is_none()
            && self.ledger.owner() == Owner::Client
    }

    /// What a whole answer with this status says.
    pub(super) fn outcome_of_status(&self, status: u16) -> Outcome {
        match status {
            ..=399 => Outcome::Success,
            429 => Outcome::RateLimited { retry_after: self.attempt.retry_after },
            // Not served here, whoever asks.
            501 | 505 => Outcome::ClientError,
            500.. => Outcome::Fault,
            401 | 403 if self.is_vouched_for() => Outcome::Unauthorized,
            _ => Outcome::ClientError,
        }
    }

    /// Whether the operator vouches for what authorises a request: then it is the endpoint that is
    /// wrong where it is refused. A client's own credentials are the client's affair, or any
    /// client could take every endpoint out.
    fn is_vouched_for(&self) -> bool {
        let breaker = self.upstream().and_then(|upstream| upstream.breaker.as_ref());
        breaker.is_some_and(|breaker| breaker.unauthorized.is_some())
    }
}
