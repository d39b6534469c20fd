//! Hops: how long each step of an exchange took, recorded once, when it is over.
//!
//! | hop | from | to |
//! |---|---|---|
//! | `head` | the first byte of the request's head | its last |
//! | `queue` | that | a connection: earlier attempts, pauses and a queue included |
//! | `connect` | that | the first byte of the request written to it |
//! | `send` | that | the last byte of the request written |
//! | `first_byte` | the later of the two | the first byte of an answer |
//! | `first_event` | that | the first data event (body byte) passed on |
//! | `rest` | that | the end |
//!
//! A hop that was not made is not recorded. Those of an earlier attempt count as `queue`.

use super::exchange::Exchange;
use super::stats::Tally;
use crate::clock::Instant;
use crate::config::snapshot::Condition;
use crate::proxy::retry::Cause;
use crate::service::Observer;

/// Every hop, in the order of the counters.
pub const HOPS: [&str; 7] =
    ["head", "queue", "connect", "send", "first_byte", "first_event", "rest"];

impl Exchange {
    /// Records its hops, and what its answer cost.
    pub(super) fn measure(&self, tally: &Tally, now: Instant) {
        let (timeline, hops) = (&self.timeline, &self.hops);
        let written = !self.request.is_open() && self.attempt.sent;
        let written = if written { timeline.request_written } else { Instant::NEVER };
        let asked = written.min(hops.first_byte).max(hops.connected);
        for (hop, since, until) in [
            (1, timeline.started, hops.attached),
            (2, hops.attached, hops.connected),
            (3, hops.connected, written),
            (4, asked, hops.first_byte),
            (5, hops.first_byte, hops.first_event),
            (6, hops.first_event, now),
        ] {
            if since != Instant::NEVER && until != Instant::NEVER {
                tally.hops[hop].record_span(since, until);
            }
        }
        let observer = self.response.as_ref().and_then(|response| response.watch.observer.as_ref());
        if let Some(observer) = observer {
            self.measure_tokens(observer, tally);
        }
    }

    fn measure_tokens(&self, observer: &Observer, tally: &Tally) {
        let usage = observer.usage();
        if let Some(prompt) = usage.and_then(|usage| usage.prompt) {
            tally.tokens_in.record(prompt.into());
        }
        let told = usage.and_then(|usage| usage.completion).map(u64::from);
        if let Some(completion) = told {
            tally.tokens_out.record(completion + self.before().tokens);
            tally.events_told.add(observer.data_events() + self.before().events);
        }
        let tokens = told.unwrap_or(observer.data_events());
        let first = self.hops.first_event;
        if first != Instant::NEVER && tokens > 1 && observer.is_stream() {
            let streamed = (self.timeline.event - first).as_micros() as u64;
            tally.output_token_time.record(streamed / (tokens - 1));
        }
    }
}

/// Why attempts were given up for another, or for the predefined answer.
pub const RETRY_CAUSES: [&str; 10] = [
    "connect",
    "reset",
    "bad_answer",
    "ttft_timeout",
    "error_event",
    "empty_stream",
    "status",
    "prompt_too_long",
    "no_place",
    "other",
];

/// Its place among [`RETRY_CAUSES`].
pub(super) fn index_of(cause: Option<Cause>) -> usize {
    match cause {
        Some(Cause::Failed(condition)) => match condition {
            Condition::Connect => 0,
            Condition::Reset => 1,
            Condition::BadAnswer => 2,
            Condition::TtftTimeout => 3,
            Condition::ErrorEvent => 4,
            Condition::EmptyStream => 5,
            Condition::Status(_) => 6,
        },
        Some(Cause::PromptTooLong) => 7,
        Some(Cause::NoPlace) => 8,
        None => 9,
    }
}
