//! What an attempt that has ended says of its endpoint.

use std::time::Duration;

use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::Peer;
use crate::measure::stall::Owner;
use crate::proxy::breaker::Outcome;
use crate::proxy::fault::{DownstreamFault, Fault, UpstreamFault};
use crate::service::Dialect;
use crate::service::refusal::Blame;

mod wasted;

impl Exchange {
    /// What the end of the exchange says of the endpoint that answered. If the answer has reported an
    /// error, that counts, however the stream ended: many a client leaves as soon as it has read such
    /// an event.
    pub(crate) fn outcome(&self, fault: Option<&Fault>) -> Outcome {
        if let Some(reported) = self.reported_error() {
            return reported;
        }
        match fault {
            Some(Fault::Upstream(fault)) => self.outcome_of(fault),
            Some(Fault::Downstream(_) | Fault::Local(_)) => Outcome::Abandoned,
            None => self.outcome_of_status(self.attempt.status),
        }
    }

    /// What an error in the answer says of the endpoint: what the same does with a status of its own.
    pub(crate) fn reported_error(&self) -> Option<Outcome> {
        Some(match self.blamed()? {
            Blame::Server => Outcome::Fault,
            Blame::Limit => Outcome::RateLimited { retry_after: None },
            Blame::Credentials => self.outcome_of_status(401),
            Blame::Client | Blame::TooLong => Outcome::ClientError,
        })
    }

    /// Whose fault the error is that stands in the answer, if there is one.
    pub(crate) fn blamed(&self) -> Option<Blame> {
        self.attempt.response.as_ref()?.watch.observer.as_ref()?.error()
    }

    /// The failure that the server itself has told, in its answer or with its status, though every
    /// byte of it came.
    pub(crate) fn reported_fault(&self, whole: bool) -> Option<Fault> {
        if !matches!(self.peer, Peer::Upstream(_)) {
            return None;
        }
        match self.reported_error() {
            Some(Outcome::ClientError) => Some(Fault::Downstream(DownstreamFault::Refused)),
            Some(_) => Some(Fault::Upstream(UpstreamFault::ErrorEvent)),
            None if !whole => None,
            None => match self.outcome_of_status(self.attempt.status) {
                Outcome::Fault | Outcome::Unauthorized => {
                    Some(Fault::Upstream(UpstreamFault::Status(self.attempt.status)))
                }
                _ => None,
            },
        }
    }

    pub(crate) fn outcome_of(&self, fault: &UpstreamFault) -> Outcome {
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
            // It is started again, and its requests wait for that.
            UpstreamFault::Connect(_) | UpstreamFault::ConnectTimeout if self.is_woken() => {
                Outcome::Abandoned
            }
            UpstreamFault::Connect(_) | UpstreamFault::ConnectTimeout | UpstreamFault::Tls(..) => {
                Outcome::Unreachable
            }
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
            UpstreamFault::Unterminated => self.outcome_of_status(self.attempt.status),
            _ => Outcome::Fault,
        }
    }

    /// Whether the server it is at is started when it is asked for.
    fn is_woken(&self) -> bool {
        self.upstream().is_some_and(|upstream| upstream.wake.is_some())
    }

    /// Whether the client was waited for when the server was last heard of: the rest of the request had
    /// not come. A server may hang up on such a client, and a connection that is lost meanwhile does
    /// not tell a server that hung up from a server that failed.
    pub(crate) fn lacks_request(&self) -> bool {
        !self.request.body.is_complete()
            && self.tunnel.is_none()
            && self.ledger.owner() == Owner::Client
    }

    /// What a whole answer with this status says.
    pub(crate) fn outcome_of_status(&self, status: u16) -> Outcome {
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
