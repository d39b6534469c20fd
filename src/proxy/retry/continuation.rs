//! A stream that breaks when its client has a part of it: go on elsewhere, or end.
//!
//! The first row that fits decides.
//!
//! | # | case | verdict |
//! |---|---|---|
//! | 1 | the fault is not the server's: the client's, ours, `timeouts.total` | end: not the server's |
//! | 2 | there is no place for the rest: the client is inside an event or a frame, or has not read all | end: no place |
//! | 3 | what was said is not known as text, or is more than is kept | end: no text |
//! | 4 | the request would not mean the same again, or has had all its tokens | end: unfit |
//! | 5 | `continue.attempts` have been made | end: attempts |
//! | 6 | it is not idempotent, and `retry.post` is false | end: post |
//! | 7 | the exchange's deadline has come | end: deadline |
//! | 8 | this upstream takes the text so far, and another endpoint of it may be asked | there, at once |
//! | 9 | a later upstream of the route takes it | there, at once |
//! | 10 | the server fell silent | end: silent |
//! | 11 | this upstream does not take it, or no endpoint may be asked again | end: nobody |
//! | 12 | else | the endpoint that failed, after a back-off |
//!
//! Rows 8, 9 and 12 are paid from the retry budget of the upstream that failed: without, end: budget.
//! A pause (row 12) that would not end before the deadline is not begun: end: deadline.
//!
//! * What comes first is the client's: rows 2 to 4 say whether the rest can stand behind what it has.
//! * Row 9: who broke a stream is asked for the rest of it only if there is nobody else; and row 10:
//!   whoever has just fallen silent is not waited for once more.
//! * Who takes the text so far is configured (`prefill`), and was not learnt otherwise of late.
//! * What happens to the request from there on is a retry's affair ([`super::policy`]): the client has
//!   nothing of the *second* answer.

use std::time::Duration;

use super::RetryBudget;
use super::policy::backoff;
use crate::clock::Instant;
use crate::config::snapshot::Retry;
use crate::proxy::fault::{Fault, UpstreamFault};

/// A stream that has broken, as far as a continuation cares.
#[derive(Clone, Copy, Debug)]
pub struct ContinueFacts {
    pub blame: StreamBreak,
    /// Events and frames of a second stream can follow what the client has.
    pub place: bool,
    /// All that was said is known.
    pub text: bool,
    /// The request can be asked for the rest, and there is a rest.
    pub fit: bool,
    /// Continuations of this stream so far.
    pub made: u32,
    /// `continue.attempts`
    pub most: u32,
    /// [`super::is_idempotent`]
    pub idempotent: bool,
    /// This upstream takes the text so far.
    pub takes: bool,
    /// An endpoint of this upstream where the request has not been may be asked.
    pub elsewhere: bool,
    /// One where it has been may be asked again.
    pub here: bool,
    /// The next upstream of the route that takes it.
    pub next: Option<usize>,
    /// When the whole exchange ends, `total`.
    pub deadline: Instant,
}

/// Whose fault it is that the stream does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamBreak {
    /// The server broke it off, or broke its framing.
    Broke,
    /// The server says no more.
    Silent,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContinueDecision {
    /// Ask for the rest. It has been paid for.
    Ask(Whom),
    End(ContinueEnd),
}

/// Who is asked for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Another endpoint of this upstream.
    Elsewhere,
    /// The upstream at this place of the route's chain.
    Next(usize),
    /// The same endpoint, after a pause.
    Same { after: Duration },
}

/// Why the stream ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContinueEnd {
    NotTheServers,
    NoPlace,
    NoText,
    Unfit,
    Attempts,
    Post,
    Deadline,
    Silent,
    Nobody,
    Budget,
}

impl ContinueEnd {
    /// For the log.
    pub fn code(self) -> &'static str {
        match self {
            ContinueEnd::NotTheServers => "not_the_servers",
            ContinueEnd::NoPlace => "no_place",
            ContinueEnd::NoText => "no_text",
            ContinueEnd::Unfit => "unfit",
            ContinueEnd::Attempts => "attempts",
            ContinueEnd::Post => "post",
            ContinueEnd::Deadline => "deadline",
            ContinueEnd::Silent => "silent",
            ContinueEnd::Nobody => "nobody",
            ContinueEnd::Budget => "budget",
        }
    }
}

impl StreamBreak {
    pub fn of(fault: &Fault) -> StreamBreak {
        match fault {
            Fault::Upstream(fault) => match fault {
                UpstreamFault::Reset(_)
                | UpstreamFault::Truncated
                | UpstreamFault::Unfinished
                | UpstreamFault::Chunk(_) => StreamBreak::Broke,
                UpstreamFault::InterEventTimeout | UpstreamFault::TtftTimeout => {
                    StreamBreak::Silent
                }
                // Before an answer has begun, behind its end, or of our own making.
                UpstreamFault::Connect(_)
                | UpstreamFault::ConnectTimeout
                | UpstreamFault::Tls(..)
                | UpstreamFault::Closed
                | UpstreamFault::Head(_)
                | UpstreamFault::OverLimit(_)
                | UpstreamFault::Unterminated
                | UpstreamFault::BadAnswer
                | UpstreamFault::Untranslatable(_)
                | UpstreamFault::Status(_)
                | UpstreamFault::ErrorEvent
                | UpstreamFault::EmptyStream
                | UpstreamFault::WriteTimeout
                | UpstreamFault::ResponseTimeout
                | UpstreamFault::TotalTimeout
                | UpstreamFault::Busy { .. }
                | UpstreamFault::BrokenOff => StreamBreak::Other,
            },
            Fault::Downstream(_) | Fault::Local(_) => StreamBreak::Other,
        }
    }
}

/// What becomes of the stream. `draw` is a uniform random number. The rows of the module's table, in
/// their order.
pub fn decide(
    broken: &ContinueFacts,
    settings: &Retry,
    budget: &mut RetryBudget,
    now: Instant,
    draw: u64,
) -> ContinueDecision {
    if let Some(why) = forbidden(broken, settings, now) {
        return ContinueDecision::End(why);
    }
    let whom = if broken.takes && broken.elsewhere {
        Whom::Elsewhere
    } else if let Some(link) = broken.next {
        Whom::Next(link)
    } else if broken.blame == StreamBreak::Silent {
        return ContinueDecision::End(ContinueEnd::Silent);
    } else if !broken.takes || !broken.here {
        return ContinueDecision::End(ContinueEnd::Nobody);
    } else {
        let after = backoff(1, settings, draw);
        if now + after >= broken.deadline {
            return ContinueDecision::End(ContinueEnd::Deadline);
        }
        Whom::Same { after }
    };
    match budget.spend(settings.budget, now) {
        true => ContinueDecision::Ask(whom),
        false => ContinueDecision::End(ContinueEnd::Budget),
    }
}

/// Rows 1 to 7: why nobody can be asked, whoever there is.
fn forbidden(broken: &ContinueFacts, settings: &Retry, now: Instant) -> Option<ContinueEnd> {
    if broken.blame == StreamBreak::Other {
        Some(ContinueEnd::NotTheServers)
    } else if !broken.place {
        Some(ContinueEnd::NoPlace)
    } else if !broken.text {
        Some(ContinueEnd::NoText)
    } else if !broken.fit {
        Some(ContinueEnd::Unfit)
    } else if broken.made >= broken.most {
        Some(ContinueEnd::Attempts)
    } else if !broken.idempotent && !settings.post {
        Some(ContinueEnd::Post)
    } else if now >= broken.deadline {
        Some(ContinueEnd::Deadline)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
