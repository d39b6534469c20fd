//! What a loop tells its handler for the counters.

/// Something that a loop does and a handler may want to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Poll,
    EmptyPoll,
    Events(usize),
    /// A sleep before a poll.
    Pause,
    Standstill,
    Accept,
    /// The backlog was found empty.
    Drained,
    /// There were no descriptors, or no memory, for one more connection.
    Exhausted,
}
