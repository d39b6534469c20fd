//! The ledger: every call the worker makes, and every descriptor it holds.
//!
//! * A descriptor is opened by an accept or a connect and closed by the drop of its stream.
//!   The difference is what the worker holds, and 0 when a simulation ends.
//! * Counting is adding: the ledger never allocates and never judges, [`super::oracle`] does.

use std::ops::Sub;

/// How often each call was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub reads: u64,
    /// Vectored ones included.
    pub writes: u64,
    pub peeks: u64,
    /// Reads, writes and peeks answered with `WouldBlock`.
    pub would_block: u64,
    pub shutdowns: u64,
    /// Options set on a connection.
    pub options: u64,
    pub registers: u64,
    pub connects: u64,
    /// Those that took a connection.
    pub accepts: u64,
    /// Those that found the backlog empty.
    pub drained: u64,
    pub polls: u64,
    pub events: u64,
    pub clock_reads: u64,
    /// Bytes handed to the worker, and taken from it.
    pub bytes_read: u64,
    pub bytes_written: u64,
    /// Segments that arrived for the worker: no worker is asked to read more often.
    pub arrivals: u64,
}

impl Sub for Counts {
    type Output = Counts;
    fn sub(self, earlier: Counts) -> Counts {
        Counts {
            reads: self.reads - earlier.reads,
            writes: self.writes - earlier.writes,
            peeks: self.peeks - earlier.peeks,
            would_block: self.would_block - earlier.would_block,
            shutdowns: self.shutdowns - earlier.shutdowns,
            options: self.options - earlier.options,
            registers: self.registers - earlier.registers,
            connects: self.connects - earlier.connects,
            accepts: self.accepts - earlier.accepts,
            drained: self.drained - earlier.drained,
            polls: self.polls - earlier.polls,
            events: self.events - earlier.events,
            clock_reads: self.clock_reads - earlier.clock_reads,
            bytes_read: self.bytes_read - earlier.bytes_read,
            bytes_written: self.bytes_written - earlier.bytes_written,
            arrivals: self.arrivals - earlier.arrivals,
        }
    }
}

/// Turns without progress after which a worker is spinning. A handful is legal: a worker may be
/// told things it has no use for. A hundred in a row is a loop that will never end.
const IDLE_TURNS_MAX: u32 = 100;

/// The accounts of one world.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub counts: Counts,
    pub opened: u64,
    pub closed: u64,
    /// Polls in a row between which nothing moved: no byte, no descriptor, no virtual time.
    idle_turns: u32,
    moved: bool,
    /// What the worker did that no worker may do. The first one is the one to look at.
    pub violations: Vec<String>,
}

impl Ledger {
    pub fn open(&self) -> u64 {
        self.opened - self.closed
    }

    pub fn opened_one(&mut self) {
        self.opened += 1;
        self.moved = true;
    }

    pub fn closed_one(&mut self) {
        self.closed += 1;
        self.moved = true;
    }

    /// Something happened that a worker can rightly call progress.
    pub fn progress(&mut self) {
        self.moved = true;
    }

    /// A turn has ended: the worker polls again.
    pub fn turn(&mut self) {
        self.idle_turns = if self.moved { 0 } else { self.idle_turns + 1 };
        self.moved = false;
        if self.idle_turns == IDLE_TURNS_MAX {
            self.violation(format!("spin: {IDLE_TURNS_MAX} turns moved neither byte nor clock"));
        }
    }

    pub fn violation(&mut self, what: String) {
        self.violations.push(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_idle_turns_are_a_spin_and_one_byte_is_not() {
        let mut ledger = Ledger::default();
        for turn in 0..1000 {
            ledger.turn();
            if turn % 50 == 0 {
                ledger.progress();
            }
        }
        assert!(ledger.violations.is_empty());
        for _ in 0..=IDLE_TURNS_MAX {
            ledger.turn();
        }
        assert_eq!(ledger.violations.len(), 1);
    }
}
