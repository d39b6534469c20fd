//! What a stream may be given from outside: the dialect's error event, and a sign of life.
//!
//! Both are whole events. They may be written only where an event of ours stands by itself
//! ([`Observer::at_boundary`](super::Observer::at_boundary)); inside somebody's event they would
//! hand half of it to the client as if it were whole.

use super::Dialect;
use super::dialects::known;

pub use super::dialects::writing::StreamFault;

/// Appends the dialect's error event to `out`. Returns whether there is one: of a generic stream
/// nothing is known, an event put into it could be taken for part of the answer.
pub fn error_event(dialect: Dialect, fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
    known!(dialect, D => D::error_event(fault, out))
}

/// What keeps a silent event stream alive: a comment, or an event without a word. `None` where there is
/// neither: a reader of JSON lines fails on anything else.
pub fn heartbeat(dialect: Dialect) -> Option<&'static [u8]> {
    known!(dialect, D => D::HEARTBEAT)
}
