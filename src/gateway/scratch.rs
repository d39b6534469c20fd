//! Scratch: where a head of ours, or one that is passed on, is put together before it is sent.
//!
//! A head is written in one piece and copied to the outbox it belongs to; nothing is kept here from
//! one head to the next but the room, and the `Date` line of the second.

use crate::gateway::date::Date;

/// Room for one head, and the date that it may bear.
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    date: Date,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch { bytes: Vec::new(), date: Date::new() }
    }

    /// Empty room for a head, and the date.
    #[inline]
    pub(crate) fn begin(&mut self) -> (&mut Vec<u8>, &mut Date) {
        self.bytes.clear();
        (&mut self.bytes, &mut self.date)
    }
}
