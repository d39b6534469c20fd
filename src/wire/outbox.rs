//! Outbox: bytes of our own making that wait to be written to one socket.
//!
//! A rewritten head, a reply, a body that is framed anew. Bytes that are spliced through unchanged
//! never come here. The outbox of a request may *keep* what it has sent: until the first byte of the
//! answer, the request can be rewound and sent again on another connection.
//!
//! * Bytes leave in the order they came, before anything spliced behind them.
//! * Without `keep`, an emptied segment goes home at once.

use std::collections::VecDeque;
use std::ops::Range;

use crate::wire::pool::BufferPool;
use crate::wire::queue::{Queue, Segment};

/// A queue of buffers with one reading position. Eight bytes if there is nothing to write: the queue
/// itself is lent by the pool, as the buffers are.
#[derive(Debug, Default)]
pub struct Outbox(Option<Box<Queue>>);

impl Outbox {
    /// An outbox that keeps what it has sent, until [`Outbox::forget`].
    pub fn keeping(pool: &mut BufferPool) -> Outbox {
        Outbox::keeping_within(usize::MAX, pool)
    }

    /// An outbox that keeps a request, if that is no longer than `most` bytes.
    pub fn keeping_within(most: usize, pool: &mut BufferPool) -> Outbox {
        let mut queue = pool.take_queue();
        (queue.keep, queue.most) = (true, most);
        Outbox(Some(queue))
    }

    /// Whether it keeps what it holds, and may keep so many bytes more.
    pub fn may_keep(&self, more: usize) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.keep && self.held() + more <= queue.most)
    }

    pub fn push(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        if !bytes.is_empty() {
            self.0.get_or_insert_with(|| pool.take_queue()).push(bytes, pool);
        }
    }

    /// Takes spliced bytes behind its own, if there is room in the last buffer and nothing is kept:
    /// spliced bytes are not sent again. Returns whether it did.
    pub fn join(&mut self, bytes: &[u8]) -> bool {
        let last =
            self.0.as_mut().filter(|queue| !queue.keep).and_then(|queue| queue.segments.back_mut());
        last.is_some_and(|last| last.buffer.join(bytes))
    }

    /// The next bytes to write; empty if there are none.
    pub fn pending(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |queue| queue.pending())
    }

    pub fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    /// Whether [`Outbox::pending`] is all there is.
    pub fn is_last(&self) -> bool {
        self.0.as_ref().is_none_or(|queue| queue.is_last())
    }

    /// The first `count` bytes of [`Outbox::pending`] have been written.
    pub fn sent(&mut self, count: usize, pool: &mut BufferPool) {
        let Some(queue) = &mut self.0 else {
            debug_assert_eq!(count, 0);
            return;
        };
        queue.sent(count, pool);
        self.release(pool);
    }

    /// Has everything that was sent sent again.
    pub fn rewind(&mut self) {
        debug_assert!(self.keeps(), "what was forgotten cannot be sent again");
        if let Some(queue) = &mut self.0 {
            queue.current = 0;
            for segment in &mut queue.segments {
                segment.written = 0;
            }
        }
    }

    /// Rewrites what is held, none of which was sent: another endpoint may want another head.
    pub fn edit(&mut self, pool: &mut BufferPool, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::with_capacity(self.held() + 256);
        if let Some(queue) = &mut self.0 {
            debug_assert!(queue.current == 0 && queue.segments.iter().all(|s| s.written == 0));
            while let Some(segment) = queue.segments.pop_front() {
                bytes.extend_from_slice(segment.buffer.pending());
                pool.give(segment.buffer);
            }
        }
        edit(&mut bytes);
        self.push(&bytes, pool);
    }

    /// Puts `with` in the place of a part of what is held, none of which was sent. Whole buffers in
    /// front of the part and behind it stay as they are.
    pub fn splice(&mut self, part: Range<usize>, with: &[u8], pool: &mut BufferPool) {
        let Some(queue) = &mut self.0 else { return };
        debug_assert!(queue.current == 0 && queue.segments.iter().all(|s| s.written == 0));
        let mut behind = VecDeque::new();
        std::mem::swap(&mut behind, &mut queue.segments);
        let mut start = 0;
        // Segments that end in front of the part.
        while let Some(length) = behind.front().map(|segment| segment.buffer.pending().len())
            && start + length <= part.start
        {
            start += length;
            queue.segments.extend(behind.pop_front());
        }
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        while start < part.end.max(part.start + 1)
            && let Some(segment) = behind.pop_front()
        {
            let bytes = segment.buffer.pending();
            let at = |place: usize| place.saturating_sub(start).min(bytes.len());
            head.extend_from_slice(&bytes[..at(part.start)]);
            tail.extend_from_slice(&bytes[at(part.end)..]);
            start += bytes.len();
            pool.give(segment.buffer);
        }
        for bytes in [&head, with, &tail] {
            queue.push(bytes, pool);
        }
        queue.segments.append(&mut behind);
        self.release(pool);
    }

    /// The first bytes of what is held, sent or not.
    pub fn copy(&self, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for pending in self.pieces() {
            bytes.extend_from_slice(&pending[..pending.len().min(limit - bytes.len())]);
        }
        bytes
    }

    /// Moves everything into `other`, behind what that holds. `other` keeps nothing.
    pub fn append_to(&mut self, other: &mut Outbox, pool: &mut BufferPool) {
        if other.0.is_none() {
            std::mem::swap(self, other);
            return;
        }
        if let Some(queue) = &mut self.0 {
            while let Some(segment) = queue.segments.pop_front() {
                other.push(&segment.buffer.pending()[segment.written..], pool);
                pool.give(segment.buffer);
            }
        }
        self.clear(pool);
    }

    /// What is held, sent or not, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let segments = self.0.iter().flat_map(|queue| &queue.segments);
        segments.map(|segment| segment.buffer.pending())
    }

    pub fn keeps(&self) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.keep)
    }

    /// Bytes held, sent ones included.
    pub fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| {
            queue.segments.iter().map(|segment| segment.buffer.pending().len()).sum()
        })
    }

    /// Forgets what was kept, if it is longer than it may be.
    pub fn forget_if_long(&mut self, pool: &mut BufferPool) {
        if !self.may_keep(0) {
            self.forget(pool);
        }
    }

    /// Stops keeping: there is no replay any more, and the buffers of what was sent go home.
    pub fn forget(&mut self, pool: &mut BufferPool) {
        if let Some(queue) = &mut self.0 {
            queue.forget(pool);
            self.release(pool);
        }
    }

    /// Gives every buffer home.
    pub fn clear(&mut self, pool: &mut BufferPool) {
        if let Some(mut queue) = self.0.take() {
            while !queue.segments.is_empty() {
                queue.drop_front(pool);
            }
            (queue.current, queue.keep) = (0, false);
            pool.give_queue(queue);
        }
    }

    /// Gives the queue home, if it is empty and keeps nothing.
    fn release(&mut self, pool: &mut BufferPool) {
        if self.0.as_ref().is_some_and(|queue| queue.segments.is_empty() && !queue.keep)
            && let Some(queue) = self.0.take()
        {
            pool.give_queue(queue);
        }
    }
}

/// What of a queue takes buffers from the pool or gives them home.
impl Queue {
    fn push(&mut self, mut bytes: &[u8], pool: &mut BufferPool) {
        if let Some(last) = self.segments.back_mut() {
            bytes = &bytes[last.buffer.append(bytes)..];
        }
        while !bytes.is_empty() {
            let mut buffer = pool.take();
            bytes = &bytes[buffer.append(bytes)..];
            self.segments.push_back(Segment { buffer, written: 0 });
        }
        // A kept segment that was full and written to its end was current for want of another.
        if self.pending().is_empty() && !self.is_last() {
            self.current += 1;
        }
    }

    fn sent(&mut self, count: usize, pool: &mut BufferPool) {
        let Some(segment) = self.segments.get_mut(self.current) else {
            debug_assert_eq!(count, 0);
            return;
        };
        segment.written += count;
        // Where buffers are few, those of the answer are worth more than a second attempt.
        if self.keep && !pool.may_keep() {
            return self.forget(pool);
        }
        let emptied = segment.written == segment.buffer.pending().len();
        if !emptied {
            return;
        }
        if !self.keep {
            self.drop_front(pool);
        } else if !self.is_last() {
            // The last segment stays current: more may be appended to it.
            self.current += 1;
        }
    }

    fn forget(&mut self, pool: &mut BufferPool) {
        if !self.keep {
            return;
        }
        self.keep = false;
        for _ in 0..self.current {
            self.drop_front(pool);
        }
        self.current = 0;
        if self.pending().is_empty() {
            self.drop_front(pool);
        }
    }

    fn drop_front(&mut self, pool: &mut BufferPool) {
        if let Some(segment) = self.segments.pop_front() {
            pool.give(segment.buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::buffer::CAPACITY;

    fn drain(outbox: &mut Outbox, pool: &mut BufferPool, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !outbox.is_empty() {
            let count = outbox.pending().len().min(step);
            all.extend_from_slice(&outbox.pending()[..count]);
            outbox.sent(count, pool);
        }
        all
    }

    fn long() -> Vec<u8> {
        (0..3 * CAPACITY + 7).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn bytes_leave_in_order_and_buffers_go_home() {
        let mut pool = BufferPool::new(1 << 20);
        let mut outbox = Outbox::default();
        outbox.push(b"head", &mut pool);
        outbox.push(&long(), &mut pool);
        assert_eq!(drain(&mut outbox, &mut pool, 1000), [b"head", &long()[..]].concat());
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn a_kept_request_can_be_sent_again_until_it_is_forgotten() {
        let mut pool = BufferPool::new(1 << 20);
        let mut outbox = Outbox::keeping(&mut pool);
        outbox.push(&long(), &mut pool);
        assert_eq!(drain(&mut outbox, &mut pool, 4096), long());
        outbox.push(b"more", &mut pool);
        assert_eq!(outbox.pending(), b"more");
        outbox.rewind();
        assert_eq!(drain(&mut outbox, &mut pool, 5000), [&long()[..], b"more"].concat());
        outbox.forget(&mut pool);
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn what_comes_behind_a_kept_and_full_segment_is_sent() {
        let mut pool = BufferPool::new(1 << 20);
        let mut outbox = Outbox::keeping(&mut pool);
        outbox.push(&[7; CAPACITY], &mut pool);
        outbox.sent(CAPACITY, &mut pool);
        outbox.push(b"more", &mut pool);
        assert_eq!(outbox.pending(), b"more");
        outbox.clear(&mut pool);
    }

    #[test]
    fn forgetting_half_way_keeps_what_is_unsent() {
        let mut pool = BufferPool::new(1 << 20);
        let mut outbox = Outbox::keeping(&mut pool);
        outbox.push(&long(), &mut pool);
        let first = outbox.pending().len();
        outbox.sent(first, &mut pool);
        outbox.sent(5, &mut pool);
        outbox.forget(&mut pool);
        assert_eq!(drain(&mut outbox, &mut pool, 777), &long()[first + 5..]);
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn a_kept_request_is_rewritten_for_another_endpoint() {
        let mut pool = BufferPool::new(1 << 20);
        let mut outbox = Outbox::keeping(&mut pool);
        outbox.push(b"Host: a", &mut pool);
        outbox.push(&long(), &mut pool);
        drain(&mut outbox, &mut pool, 4096);
        outbox.rewind();
        outbox.edit(&mut pool, |bytes| drop(bytes.splice(6..7, *b"another")));
        assert!(outbox.keeps());
        assert_eq!(drain(&mut outbox, &mut pool, 999), [b"Host: another", &long()[..]].concat());
        outbox.clear(&mut pool);
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn a_part_is_replaced_wherever_it_lies() {
        let mut pool = BufferPool::new(1 << 20);
        let seams = [0, 1, CAPACITY - 1, CAPACITY, CAPACITY + 1, 3 * CAPACITY, 3 * CAPACITY + 7];
        for start in seams {
            for end in seams.into_iter().filter(|end| *end >= start) {
                for with in [&b""[..], b"x", &[1; 2 * CAPACITY]] {
                    let mut outbox = Outbox::keeping(&mut pool);
                    outbox.push(&long(), &mut pool);
                    outbox.splice(start..end, with, &mut pool);
                    outbox.push(b"more", &mut pool);
                    let expected = [&long()[..start], with, &long()[end..], b"more"].concat();
                    assert_eq!(outbox.held(), expected.len());
                    assert!(drain(&mut outbox, &mut pool, 5_000) == expected, "{start}..{end}");
                    outbox.rewind();
                    assert!(drain(&mut outbox, &mut pool, 9_999) == expected, "{start}..{end}");
                    outbox.clear(&mut pool);
                    assert_eq!(pool.out(), 0);
                }
            }
        }
    }

    #[test]
    fn what_was_held_back_follows_what_is_on_its_way() {
        let mut pool = BufferPool::new(1 << 20);
        for ahead in [&b""[..], b"interim"] {
            let (mut held, mut outbox) = (Outbox::default(), Outbox::default());
            outbox.push(ahead, &mut pool);
            held.push(&long(), &mut pool);
            held.append_to(&mut outbox, &mut pool);
            assert_eq!(held.held(), 0);
            assert_eq!(drain(&mut outbox, &mut pool, 4096), [ahead, &long()[..]].concat());
            assert_eq!(pool.out(), 0);
        }
    }

    #[test]
    fn clearing_gives_everything_home() {
        let mut pool = BufferPool::new(1 << 20);
        let mut outbox = Outbox::keeping(&mut pool);
        outbox.push(&long(), &mut pool);
        outbox.sent(10, &mut pool);
        outbox.clear(&mut pool);
        assert_eq!((pool.out(), outbox.held()), (0, 0));
    }
}
