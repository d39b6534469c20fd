//! Budget: what one drive may still do.

use crate::wire::buffer::WIDE;

/// What one drive may still do before others have their turn.
#[derive(Debug)]
pub struct Budget {
    pub(crate) bytes: usize,
    reads: usize,
}

impl Budget {
    /// While others are ready.
    const BYTES: usize = WIDE / 4;
    const READS: usize = 16;

    /// `alone`: nobody else is ready.
    pub fn of_a_drive(alone: bool) -> Budget {
        Budget { bytes: if alone { WIDE } else { Budget::BYTES }, reads: Budget::READS }
    }

    /// Spends one read, or a step of comparable cost, that gave `bytes` bytes.
    pub fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.reads = self.reads.saturating_sub(1);
    }

    pub fn is_spent(&self) -> bool {
        self.bytes == 0 || self.reads == 0
    }
}
