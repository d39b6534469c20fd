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

use crate::config::snapshot::Condition;
use crate::proxy::retry::Cause;

/// Every hop, in the order of the counters.
pub const HOPS: [&str; 7] =
    ["head", "queue", "connect", "send", "first_byte", "first_event", "rest"];

/// Why attempts were given up for another, or for the predefined answer.
pub const RETRY_CAUSES: [&str; 11] = [
    "connect",
    "reset",
    "bad_answer",
    "ttft_timeout",
    "error_event",
    "empty_stream",
    "status",
    "prompt_too_long",
    "no_place",
    "loading",
    "other",
];

/// Its place among [`RETRY_CAUSES`].
pub(crate) fn index_of(cause: Option<Cause>) -> usize {
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
        Some(Cause::Loading) => 9,
        None => 10,
    }
}
