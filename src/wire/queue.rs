//! A queue: the buffers of an outbox, in the order in which they leave.

use std::collections::VecDeque;

use crate::wire::buffer::Buffer;

/// The buffers of an outbox that holds bytes, or may have to send them again.
#[derive(Debug, Default)]
pub struct Queue {
    pub(super) segments: VecDeque<Segment>,
    /// The segment that is being written; those before it are kept for a replay.
    pub(super) current: usize,
    pub(super) keep: bool,
    /// How many bytes are kept at most; before anything is sent, more may be held.
    pub(super) most: usize,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) buffer: Buffer,
    /// How many of the buffer's pending bytes were written while it is kept.
    pub(super) written: usize,
}

impl Queue {
    pub(super) fn pending(&self) -> &[u8] {
        match self.segments.get(self.current) {
            Some(segment) => &segment.buffer.pending()[segment.written..],
            None => &[],
        }
    }

    pub(super) fn is_last(&self) -> bool {
        self.current + 1 >= self.segments.len()
    }

    /// Gives memory back, if the queue was long once.
    pub(super) fn shrink(&mut self) {
        self.segments.shrink_to(8);
    }
}
