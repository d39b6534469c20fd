//! What a step of an exchange returns: go on, wait, or that its attempt has failed.
//!
//! A step never decides what follows from a failure: `exchange/failed.rs` does.

use crate::config::snapshot::Condition;
use crate::gateway::record::exchange::Exchange;
use crate::proxy::breaker::Outcome;
use crate::proxy::fault::{Fault, UpstreamFault};
use crate::proxy::retry::Cause;

/// What a step of an exchange returns.
#[derive(Debug)]
pub(crate) enum Step {
    /// The state has changed: look again.
    Again,
    /// The next move is somebody else's.
    Wait,
    /// The client's connection is closed: there is nothing to drive.
    Gone,
    /// There is more to do, in the next turn.
    Yield,
    /// The exchange goes on when so many buffers can be had.
    Thirsty(usize),
    /// The attempt has failed. What follows is `exchange/failed.rs`'s to decide.
    Failed(Failed),
    /// The exchange is over, well or with a fault.
    Over(Result<(), Fault>),
}

/// How an attempt failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The connection to the upstream is lost before the head of its answer was complete.
    Lost(UpstreamFault),
    Fault(Fault),
    /// There is an answer, and another attempt may bring a better answer.
    Unwanted(Cause),
}

impl Failed {
    /// Whether an endpoint was asked: an attempt that found no place has asked nobody.
    pub(crate) fn was_made(&self) -> bool {
        !matches!(self, Failed::Fault(Fault::Local(_)) | Failed::Unwanted(Cause::NoPlace))
    }

    /// Whether the connection was lost while the client was waited for: then it is open whose fault
    /// that was.
    pub(crate) fn leaves_open(&self, exchange: &Exchange) -> bool {
        match self {
            Failed::Lost(fault) | Failed::Fault(Fault::Upstream(fault)) => {
                exchange.lacks_request() && fault.is_of_a_lost_connection()
            }
            Failed::Fault(_) | Failed::Unwanted(_) => false,
        }
    }

    /// The status of the answer, if the attempt failed because of it.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Failed::Unwanted(Cause::Failed(Condition::Status(status))) => Some(*status),
            _ => None,
        }
    }

    /// What the failure says of the endpoint.
    pub(crate) fn outcome(&self, exchange: &Exchange) -> Outcome {
        match self {
            Failed::Lost(fault) | Failed::Fault(Fault::Upstream(fault)) => {
                exchange.outcome_of(fault)
            }
            Failed::Fault(_) => Outcome::Abandoned,
            Failed::Unwanted(Cause::Failed(Condition::Status(status))) => {
                exchange.outcome_of_status(*status)
            }
            Failed::Unwanted(Cause::PromptTooLong) => Outcome::ClientError,
            Failed::Unwanted(Cause::Loading) => Outcome::Loading,
            Failed::Unwanted(_) => exchange.reported_error().unwrap_or(Outcome::Fault),
        }
    }

    /// The name of the failure for the log.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Failed::Lost(UpstreamFault::Connect(_)) => "upstream_connect",
            Failed::Lost(UpstreamFault::Tls(fault, _)) => fault.code(),
            Failed::Lost(UpstreamFault::Closed) => "upstream_closed",
            Failed::Lost(_) => "upstream_reset",
            Failed::Fault(fault) => fault.code(),
            Failed::Unwanted(Cause::Failed(Condition::Status(_))) => "upstream_status",
            Failed::Unwanted(Cause::Failed(Condition::ErrorEvent)) => "upstream_error_event",
            Failed::Unwanted(Cause::Failed(_)) => "upstream_empty_stream",
            Failed::Unwanted(Cause::PromptTooLong) => "prompt_too_long",
            Failed::Unwanted(Cause::Loading) => "model_loading",
            Failed::Unwanted(Cause::NoPlace) => "no_upstream",
        }
    }

    /// What the failure is to the rules of retries; `None`: no other attempt could mend it. `held`: the
    /// head of an answer had come.
    pub(crate) fn cause(&self, held: bool) -> Option<Cause> {
        let cause = match self {
            Failed::Unwanted(cause) => return Some(*cause),
            Failed::Fault(fault) => Cause::of(fault)?,
            // The error of the socket does not matter here.
            Failed::Lost(UpstreamFault::Connect(_) | UpstreamFault::Tls(..)) => {
                Cause::Failed(Condition::Connect)
            }
            Failed::Lost(_) => Cause::Failed(Condition::Reset),
        };
        match cause {
            Cause::Failed(Condition::Reset | Condition::BadAnswer) if held => {
                Some(Cause::Failed(Condition::EmptyStream))
            }
            cause => Some(cause),
        }
    }
}

impl UpstreamFault {
    /// Whether it is the end of a connection that stood.
    pub(crate) fn is_of_a_lost_connection(&self) -> bool {
        matches!(self, UpstreamFault::Closed | UpstreamFault::Reset(_) | UpstreamFault::Truncated)
    }

    pub(crate) fn of_a_pooled_connection(&self) -> &'static str {
        match self {
            UpstreamFault::Connect(_) => "the pooled connection refused a write",
            UpstreamFault::Closed => "the pooled connection was closed",
            UpstreamFault::Head(_) => "the pooled connection held what is no HTTP",
            _ => "the pooled connection was reset",
        }
    }
}
