//! Every failure but the stale connection: again, elsewhere, the next upstream, or final.
//!
//! The first row that fits decides. *Onwards* means: the next upstream of the route if there is
//! one, else final.
//!
//! | # | case | verdict |
//! |---|---|---|
//! | 1 | the client has, or may have, a byte of the answer | final: committed |
//! | 2 | the failure is not one of `retry.on` | final: not named; in doubt: out |
//! | 3 | the request is no longer there from its first byte | final: not kept |
//! | 4 | bytes of it have left, it is not idempotent, and `retry.post` is false | final: post |
//! | 5 | the exchange's deadline has come | final: deadline |
//! | 6 | the prompt is too long | `larger` where the route has one further on, else final: not named |
//! | 7 | no place: the queue is full or took too long, or no endpoint may be asked | onwards: no place |
//! | 7a | the model is being loaded | another endpoint at once, and free; else an upstream further on that can answer now; else wait here for it |
//! | 8 | the second slow first token of this request | final: slow |
//! | 9 | nobody has heard the request, and another endpoint may be asked | there, at once, and free |
//! | 10 | nobody of this upstream has heard it, and one that was passed over is left | back there, at once |
//! | 11 | `retry.attempts` have been made at this upstream | onwards: attempts |
//! | 12 | another endpoint may be asked | there, at once |
//! | 13 | a slow first token | onwards: slow |
//! | 14 | the answer says `Retry-After`, up to `retry.retry_after_max` | here again, after that and a back-off |
//! | 15 | it says a longer one | onwards: retry-after |
//! | 16 | no endpoint may be asked again | onwards: no place |
//! | 17 | else | here again, after a back-off |
//!
//! A retry by rows 12, 14 and 17 is paid for: without budget, onwards: budget. A pause (rows 14 and
//! 17) that would not end before the deadline is not begun: onwards: deadline.
//!
//! * Row 2 is asked of failures that have a name there. *In doubt*: the endpoint was out, and a predefined
//!   answer stands behind it; that follows then, as it would have without asking. Row 6 is a 400 the
//!   service has recognised; row 7 is none of the upstream's doing, and only ever leads on. Any other
//!   4xx is the client's.
//! * Row 4 does not hold where the server itself says that it has not acted: 408, 425, 429, 503, and
//!   the prompt it did not take.
//! * Row 8: a slow first token costs `ttft` each time. Twice that is what a client may have to wait,
//!   not `attempts` times. And row 13: whoever was too slow is not asked to begin anew.
//! * Row 9: no connection came to stand (refused, unreachable, not accepted in time, reset before it
//!   took a byte), so no server works in vain. It is no attempt and costs no budget, at most once for
//!   each endpoint: a budget is there to spare servers, and `attempts` to bound what is computed twice.
//! * Row 10, and row 7 where there is no next upstream: the endpoints of one before it are out, and are
//!   asked when nobody else could answer. That has come true.
//! * Row 14 needs no endpoint that may be asked *now*: the one that named the time will be ready then.
//!   The back-off on top keeps all whom it told the same from coming back in one moment.
//! * Going to the next upstream is no retry of this one: it counts as a request there.
//!
//! The back-off before attempt n+1 is drawn between zero and `backoff` × 2ⁿ⁻¹, at most `backoff_max`:
//! "full jitter" (M. Brooker, "Exponential Backoff And Jitter", 2015), which keeps those apart who
//! failed together.

use std::time::Duration;

use super::RetryBudget;
use crate::clock::Instant;
use crate::config::snapshot::{Condition, Retry};
use crate::proxy::fault::{Fault, LocalFault, UpstreamFault};

/// Why there is no answer to pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Failed(Condition),
    /// The service says, with a 4xx, that the prompt is longer than its model takes.
    PromptTooLong,
    /// The server says that it loads its model.
    Loading,
    /// The request did not get as far as an endpoint: the queue was full or took too long, or no
    /// endpoint may be asked.
    NoPlace,
}

/// A request whose attempt has failed, as far as a retry cares.
#[derive(Clone, Copy, Debug)]
pub struct RetryFacts {
    pub cause: Cause,
    /// The client has, or may have, a byte of an answer.
    pub committed: bool,
    /// The kernel has taken at least one byte of the request, in this attempt.
    pub sent: bool,
    /// Its connection had carried a request before.
    pub reused: bool,
    /// Every byte of the request sent so far is still there.
    pub kept: bool,
    /// [`super::is_idempotent`]
    pub idempotent: bool,
    /// Attempts made at this upstream, this one included.
    pub attempts: u32,
    /// An earlier attempt of this request, at whichever upstream, ended by a slow first token.
    pub slow_before: bool,
    /// Nobody has heard the request: no connection came to stand, or it was lost while the client was
    /// waited for.
    pub unheard: bool,
    /// It was sent to an endpoint that was out, ahead of a predefined answer.
    pub in_doubt: bool,
    /// An endpoint of this upstream where the request has not been may be asked.
    pub elsewhere: bool,
    /// One where it has been may be asked again.
    pub here: bool,
    /// The route has another upstream after this one.
    pub next: bool,
    /// One further on could answer now.
    pub next_answers: bool,
    /// There is none, and one before it was passed over, which would be asked for want of another; and
    /// nobody of this one has heard the request.
    pub back: bool,
    /// Among those there is one for longer prompts.
    pub larger: bool,
    /// What the answer's `Retry-After` says ([`crate::http::retry_after`]).
    pub retry_after: Option<Duration>,
    /// When the whole exchange ends, `total`: a pause beyond it is useless.
    pub deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Send the whole request again to this upstream. Unless it is free, it has been paid for.
    Retry {
        after: Duration,
        /// To an endpoint where it has not been.
        elsewhere: bool,
        /// Not on a pooled connection: its siblings have just failed.
        fresh: bool,
        /// It counts as the same attempt.
        free: bool,
    },
    /// Send it to the next upstream of the route.
    Next,
    /// Send it to the upstream that was passed over.
    Back,
    /// Send it to the upstream for longer prompts.
    Larger,
    /// Wait here until the model is loaded.
    Wait,
    Final(RetryEnd),
}

/// Why there is no other attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryEnd {
    Committed,
    NotNamed,
    /// The endpoint was out, and has failed as it was said to.
    Out,
    NotKept,
    Post,
    Deadline,
    Slow,
    NoPlace,
    Attempts,
    RetryAfter,
    Budget,
}

impl RetryEnd {
    /// Whether the route's predefined answer may take the place of the failure. Not once there is
    /// an answer, and not where the answer is for the client: its own mistake, or a status that the
    /// operator did not name a failure.
    pub fn may_degrade(self) -> bool {
        !matches!(self, RetryEnd::Committed | RetryEnd::NotNamed)
    }

    /// For the log.
    pub fn code(self) -> &'static str {
        match self {
            RetryEnd::Committed => "committed",
            RetryEnd::NotNamed => "not_named",
            RetryEnd::Out => "out",
            RetryEnd::NotKept => "not_kept",
            RetryEnd::Post => "post",
            RetryEnd::Deadline => "deadline",
            RetryEnd::Slow => "slow",
            RetryEnd::NoPlace => "no_place",
            RetryEnd::Attempts => "attempts",
            RetryEnd::RetryAfter => "retry_after",
            RetryEnd::Budget => "budget",
        }
    }
}

impl Cause {
    /// The cause that a fault is, `None`: one that no attempt can mend. For a status, a first event
    /// that is an error, or a prompt too long there is an answer and no fault: the caller names
    /// them itself.
    pub fn of(fault: &Fault) -> Option<Cause> {
        let condition = match fault {
            Fault::Downstream(_) => return None,
            Fault::Upstream(fault) => match fault {
                UpstreamFault::Connect(_)
                | UpstreamFault::ConnectTimeout
                | UpstreamFault::Tls(..) => Condition::Connect,
                UpstreamFault::Reset(_) | UpstreamFault::Closed => Condition::Reset,
                UpstreamFault::Head(_)
                | UpstreamFault::Chunk(_)
                | UpstreamFault::BadAnswer
                | UpstreamFault::Untranslatable(_) => Condition::BadAnswer,
                // Both run out of `ttft`.
                UpstreamFault::TtftTimeout | UpstreamFault::WriteTimeout => Condition::TtftTimeout,
                UpstreamFault::ErrorEvent => Condition::ErrorEvent,
                UpstreamFault::EmptyStream
                | UpstreamFault::Truncated
                | UpstreamFault::Unfinished
                | UpstreamFault::InterEventTimeout => Condition::EmptyStream,
                // Those that another attempt may mend are retried by their number. And nobody computes
                // a slow document twice.
                UpstreamFault::Status(_)
                | UpstreamFault::Busy { .. }
                | UpstreamFault::ResponseTimeout
                // It would be as long from anybody else.
                | UpstreamFault::OverLimit(_)
                | UpstreamFault::Unterminated
                | UpstreamFault::TotalTimeout
                | UpstreamFault::BrokenOff => return None,
            },
            Fault::Local(fault) => match fault {
                LocalFault::QueueFull { .. }
                | LocalFault::QueueTimeout { .. }
                | LocalFault::NoUpstream { .. }
                | LocalFault::ModelLoading { .. }
                | LocalFault::WakeFailed { .. } => return Some(Cause::NoPlace),
                LocalFault::Descriptors
                | LocalFault::Buffers
                | LocalFault::Drained
                | LocalFault::Killed
                | LocalFault::PluginFailed
                | LocalFault::PluginQuarantined => return None,
            },
        };
        Some(Cause::Failed(condition))
    }

    /// Whether the server may have begun to work on the request it was sent.
    fn may_have_acted(self) -> bool {
        use Condition::Status;
        !matches!(
            self,
            Cause::PromptTooLong
                | Cause::Loading
                | Cause::NoPlace
                | Cause::Failed(Status(408 | 425 | 429 | 503))
        )
    }
}

/// What becomes of the request. `draw` is a uniform random number. The rows of the module's table,
/// in their order.
pub fn decide(
    facts: &RetryFacts,
    settings: &Retry,
    budget: &mut RetryBudget,
    now: Instant,
    draw: u64,
) -> RetryDecision {
    if let Some(why) = forbidden(facts, settings, now) {
        return RetryDecision::Final(why);
    }
    let onwards = |why| if facts.next { RetryDecision::Next } else { RetryDecision::Final(why) };
    let condition = match facts.cause {
        Cause::PromptTooLong if facts.larger => return RetryDecision::Larger,
        Cause::PromptTooLong => return RetryDecision::Final(RetryEnd::NotNamed),
        Cause::Loading => return loading(facts),
        Cause::NoPlace if facts.back => return RetryDecision::Back,
        Cause::NoPlace => return onwards(RetryEnd::NoPlace),
        Cause::Failed(condition) => condition,
    };
    let slow = condition == Condition::TtftTimeout;
    if slow && facts.slow_before {
        return RetryDecision::Final(RetryEnd::Slow);
    }
    if facts.unheard && facts.elsewhere {
        return RetryDecision::Retry {
            after: Duration::ZERO,
            elsewhere: true,
            fresh: false,
            free: true,
        };
    }
    if facts.unheard && facts.back {
        return RetryDecision::Back;
    }
    if facts.attempts >= settings.attempts {
        return onwards(RetryEnd::Attempts);
    }
    let after = if facts.elsewhere {
        Duration::ZERO
    } else if slow {
        return onwards(RetryEnd::Slow);
    } else {
        let backoff = backoff(facts.attempts, settings, draw);
        match facts.retry_after {
            Some(told) if told <= settings.retry_after_max => told + backoff,
            Some(_) => return onwards(RetryEnd::RetryAfter),
            None if !facts.here => return onwards(RetryEnd::NoPlace),
            None => backoff,
        }
    };
    if now + after >= facts.deadline {
        return onwards(RetryEnd::Deadline);
    }
    if !budget.spend(settings.budget, now) {
        return onwards(RetryEnd::Budget);
    }
    // What is no answer, on a connection that has given one before, is most likely the rest of
    // that: its siblings have been treated alike.
    let doubtful = match condition {
        Condition::Connect | Condition::Reset => true,
        Condition::BadAnswer => facts.reused,
        _ => false,
    };
    let fresh = doubtful && !facts.elsewhere;
    RetryDecision::Retry { after, elsewhere: facts.elsewhere, fresh, free: false }
}

/// Row 7a: a server that loads its model has done nothing, and nobody has failed.
fn loading(facts: &RetryFacts) -> RetryDecision {
    if facts.elsewhere {
        let (after, elsewhere, fresh) = (Duration::ZERO, true, false);
        return RetryDecision::Retry { after, elsewhere, fresh, free: true };
    }
    if facts.next && facts.next_answers { RetryDecision::Next } else { RetryDecision::Wait }
}

/// Rows 1 to 5: why the request cannot be sent again, wherever to.
fn forbidden(facts: &RetryFacts, settings: &Retry, now: Instant) -> Option<RetryEnd> {
    let named = match facts.cause {
        Cause::Failed(condition) => settings.on.contains(condition),
        Cause::PromptTooLong | Cause::Loading | Cause::NoPlace => true,
    };
    let acted = facts.sent && facts.cause.may_have_acted();
    if facts.committed {
        Some(RetryEnd::Committed)
    } else if !named {
        Some(if facts.in_doubt { RetryEnd::Out } else { RetryEnd::NotNamed })
    } else if !facts.kept {
        Some(RetryEnd::NotKept)
    } else if acted && !facts.idempotent && !settings.post {
        Some(RetryEnd::Post)
    } else if now >= facts.deadline {
        Some(RetryEnd::Deadline)
    } else {
        None
    }
}

/// Between zero and `backoff` × 2ⁿ⁻¹, at most `backoff_max`, after the n-th attempt.
pub(super) fn backoff(attempts: u32, settings: &Retry, draw: u64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(31);
    let most = settings.backoff.saturating_mul(1 << doublings).min(settings.backoff_max);
    // The high half of the product is `draw` scaled to the bound.
    let nanos = (most.as_nanos() * u128::from(draw)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
