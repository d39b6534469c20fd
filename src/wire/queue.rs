//! A queue: the buffers of an outbox, in the order in which they leave.

use std::collections::VecDeque;

use crate::wire::buffer::Buffer;

/// What an outbox holds while it holds something, or may be asked to send it again.
#[derive(Debug, Default)]
pub struct Queue {
    pub(super) segments: VecDeque<Segment>,
    /// The segment that is being written; those before it are kept for a replay.
    pub(super) current: usize,
    pub(super) keep: bool,
    /// So many bytes are kept at most, but for what is held before anything is sent.
    pub(super) most: usize,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) buffer: Buffer,
    /// Bytes of the buffer's pending ones that were written while it is kept.
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

    /// Forgets the room it once needed, if that was a lot.
    pub(super) fn shrink(&mut self) {
        self.segments.shrink_to(8);
    }
}
