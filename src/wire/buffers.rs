//! Buffers: those of one worker, and the segments they stand in.
//!
//! * It is last-in-first-out, so the next read lands in the memory that is hot.
//! * A source that fills a whole buffer at once is read into a wide one, sixteen times as long: a
//!   sixteenth of the calls for the same bytes. Few wide buffers are out at once, or clients that do
//!   not read would hold them all; one that a request keeps, full of its body, counts by its bytes alone.
//! * What is lent and what is free are together within the limit.
//! * It is finite. A read asks [`BufferPool::may_read`] first, and leads to no more buffers than
//!   [`BufferPool::read_reserve`] says, so taking one never has to fail.

use crate::wire::buffer::{Buffer, CAPACITY, WIDE};
use crate::wire::segments::Segments;

/// Standard buffers that one read may lead to: for the bytes read, a rewritten head, and the same
/// bytes framed anew.
pub const READ_RESERVE: usize = 4;

/// The same where sessions seal the bytes: besides, a record that is read, as long as any may be, and
/// what is sealed of it.
pub const SEALED_RESERVE: usize = READ_RESERVE + 4;

/// Standard buffers that a wide one counts for.
const UNITS_PER_WIDE: usize = WIDE / CAPACITY;
/// For so many standard buffers one wide buffer may be out: a sixteenth of the pool.
const STANDARD_PER_WIDE: usize = 16 * UNITS_PER_WIDE;
/// What has to be left of the pool for a wide read: the buffer, and its bytes framed anew.
const WIDE_RESERVE: usize = UNITS_PER_WIDE * READ_RESERVE;

/// Whether there is room for more of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Made,
    /// The head is as long as it may be.
    AtLimit,
    /// The pool has no buffers left to grow with: that takes so many.
    Dry {
        needs: usize,
    },
}

/// One worker's buffers, and the segments they stand in.
pub struct BufferPool {
    free: Vec<Buffer>,
    wide: Vec<Buffer>,
    /// Wide buffers that somebody owns.
    wide_out: usize,
    // Lent in their boxes: an outbox holds a pointer.
    #[allow(clippy::vec_box)]
    lists: Vec<Box<Segments>>,
    /// Buffers that somebody owns; a grown one counts for as many as fit into it.
    out: usize,
    limit: usize,
    /// [`READ_RESERVE`] or [`SEALED_RESERVE`].
    reserve: usize,
}

impl BufferPool {
    /// A pool of at most `bytes` bytes, never less than what one read may need.
    pub fn new(bytes: usize) -> BufferPool {
        BufferPool {
            free: Vec::new(),
            wide: Vec::new(),
            wide_out: 0,
            lists: Vec::new(),
            out: 0,
            limit: (bytes / CAPACITY).max(2 * READ_RESERVE),
            reserve: READ_RESERVE,
        }
    }

    /// Some of the connections have sessions.
    pub fn serve_sessions(&mut self) {
        self.reserve = SEALED_RESERVE;
        self.limit = self.limit.max(2 * SEALED_RESERVE);
    }

    /// Buffers that one read may lead to.
    pub fn read_reserve(&self) -> usize {
        self.reserve
    }

    /// Whether a read, and all buffers that it leads to, are within the limit.
    pub fn may_read(&self) -> bool {
        self.out + self.reserve <= self.limit
    }

    /// Buffers that have to be left before a new request is read. A request that waits for a connection
    /// holds buffers: without a share for answers, waiting requests could hold all the buffers that the
    /// answers before them need.
    pub fn begin_reserve(&self) -> usize {
        self.reserve + self.limit / 8
    }

    /// Buffers that may still be taken.
    pub fn left(&self) -> usize {
        self.limit.saturating_sub(self.out)
    }

    /// Whether a sent request may be kept for a replay. Kept requests leave a quarter of the pool
    /// to answers: otherwise requests that wait could hold all the memory their answers need.
    pub fn may_keep(&self) -> bool {
        self.out < self.limit / 4 * 3
    }

    /// Whether so many more bytes can be kept, and a read still be made.
    pub fn may_hold(&self, bytes: usize) -> bool {
        self.left() >= bytes.div_ceil(CAPACITY) + self.reserve
    }

    pub fn take(&mut self) -> Buffer {
        self.out += 1;
        self.free.pop().unwrap_or_else(|| self.make())
    }

    /// A new standard buffer, for which free wide ones make room.
    #[cold]
    fn make(&mut self) -> Buffer {
        while self.out + self.wide.len() * UNITS_PER_WIDE > self.limit && self.wide.pop().is_some()
        {
        }
        Buffer::new(CAPACITY)
    }

    /// A new wide buffer, for which free standard ones make room.
    #[cold]
    fn make_wide(&mut self) -> Buffer {
        self.free.truncate(self.limit.saturating_sub(self.out));
        Buffer::new(WIDE)
    }

    /// A buffer for a source that has filled one: a wide buffer, unless buffers are scarce, or many
    /// wide ones are out with clients that do not read. A wide buffer counts for as many standard
    /// ones as fit into it.
    pub fn take_for_plenty(&mut self) -> Buffer {
        if self.left() < WIDE_RESERVE || self.wide_out >= self.limit / STANDARD_PER_WIDE {
            return self.take();
        }
        self.wide_out += 1;
        self.out += UNITS_PER_WIDE;
        let mut buffer = self.wide.pop().unwrap_or_else(|| self.make_wide());
        buffer.set_wide(true);
        buffer
    }

    /// A buffer is kept that was lent for a read. It is out, as it was, but no wide one that somebody holds
    /// for want of a reader.
    pub(super) fn adopted(&mut self, buffer: &mut Buffer) {
        self.wide_out -= usize::from(buffer.is_wide());
        buffer.set_wide(false);
    }

    /// Makes room behind a head that is still incomplete, by moving it to the front or into a
    /// buffer of up to `limit` bytes.
    pub fn make_room(&mut self, buffer: &mut Buffer, limit: usize) -> Room {
        if buffer.compact() {
            return Room::Made;
        }
        let capacity = buffer.capacity();
        let grown = (capacity * 2).min(limit.next_multiple_of(CAPACITY));
        let units = grown.saturating_sub(capacity) / CAPACITY;
        if units == 0 {
            return Room::AtLimit;
        }
        let needs = units + self.reserve;
        if needs > self.left() {
            return Room::Dry { needs };
        }
        buffer.grow(grown);
        self.out += units;
        Room::Made
    }

    /// Makes room behind a part of a record, by moving it to the front or into a buffer of `limit` bytes:
    /// a read that was allowed leads to that. False: it is as long as that already.
    pub(super) fn make_room_for_record(&mut self, buffer: &mut Buffer, limit: usize) -> bool {
        let capacity = buffer.capacity();
        if buffer.compact() {
            return true;
        }
        if capacity < limit {
            buffer.grow(limit);
            self.out += limit.saturating_sub(capacity) / CAPACITY;
        }
        capacity < limit
    }

    pub fn give(&mut self, mut buffer: Buffer) {
        debug_assert!(self.out >= buffer.units(), "a buffer came home twice");
        if buffer.capacity() != CAPACITY {
            return self.give_large(buffer);
        }
        self.out -= 1;
        buffer.rewind();
        self.free.push(buffer);
    }

    /// A wide buffer, or one that has grown, comes home.
    fn give_large(&mut self, mut buffer: Buffer) {
        self.out -= buffer.units();
        self.wide_out -= usize::from(buffer.is_wide());
        // One that has grown to another length is not kept.
        if buffer.capacity() == WIDE && self.has_room_for_wide() {
            buffer.rewind();
            self.wide.push(buffer);
        }
    }

    /// Whether one more free wide buffer is within the limit.
    fn has_room_for_wide(&self) -> bool {
        let wide = (self.wide.len() + 1) * UNITS_PER_WIDE;
        self.out + self.free.len() + wide <= self.limit
    }

    pub(super) fn take_segments(&mut self) -> Box<Segments> {
        self.lists.pop().unwrap_or_default()
    }

    /// Takes an empty queue back.
    pub(super) fn give_segments(&mut self, mut queue: Box<Segments>) {
        queue.shrink();
        self.lists.push(queue);
    }

    /// Buffers that somebody owns.
    pub fn out(&self) -> usize {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_head_makes_room_up_to_its_limit() {
        let mut pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take();
        let room = buffer.room().len();
        buffer.received(room);
        buffer.discard(10);
        assert_eq!(pool.make_room(&mut buffer, 4 * CAPACITY), Room::Made, "moved to the front");
        assert_eq!(buffer.room().len(), 10);
        buffer.received(10);
        while pool.make_room(&mut buffer, 4 * CAPACITY) == Room::Made {
            let room = buffer.room().len();
            buffer.received(room);
        }
        assert_eq!(buffer.unscanned().len(), 4 * CAPACITY);
        assert_eq!(pool.out(), 4);
        pool.give(buffer);
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn a_grown_buffer_does_not_come_back() {
        let mut pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take();
        let room = buffer.room().len();
        buffer.received(room);
        assert_eq!(pool.make_room(&mut buffer, 2 * CAPACITY), Room::Made);
        pool.give(buffer);
        assert_eq!(pool.take().room().len(), CAPACITY);
    }

    #[test]
    fn a_wide_buffer_is_for_those_who_have_plenty_while_there_are_plenty() {
        let mut pool = BufferPool::new(3 * STANDARD_PER_WIDE * CAPACITY);
        let taken: Vec<Buffer> = (0..4).map(|_| pool.take_for_plenty()).collect();
        let capacities: Vec<usize> = taken.iter().map(Buffer::capacity).collect();
        assert_eq!(capacities, [WIDE, WIDE, WIDE, CAPACITY], "a sixteenth of the pool");
        assert_eq!(pool.out(), 3 * WIDE / CAPACITY + 1);
        taken.into_iter().for_each(|buffer| pool.give(buffer));
        assert_eq!((pool.out(), pool.wide_out), (0, 0));
        assert_eq!((pool.wide.len(), pool.free.len()), (3, 1));
        // One that a head has grown to that length is as good.
        let mut head = pool.take();
        while head.capacity() < WIDE {
            let room = head.room().len();
            head.received(room);
            assert_eq!(pool.make_room(&mut head, WIDE), Room::Made);
        }
        pool.give(head);
        assert_eq!((pool.out(), pool.wide_out, pool.wide.len()), (0, 0, 4));
        let mut scarce = BufferPool::new(8 * CAPACITY);
        assert_eq!(scarce.take_for_plenty().capacity(), CAPACITY);
    }

    #[test]
    fn what_is_lent_and_what_is_free_are_together_within_the_limit() {
        let limit = 2 * STANDARD_PER_WIDE;
        let mut pool = BufferPool::new(limit * CAPACITY);
        let all = |pool: &BufferPool| pool.out + pool.free.len() + pool.wide.len() * UNITS_PER_WIDE;
        for _ in 0..2 {
            let standard: Vec<Buffer> = (0..limit).map(|_| pool.take()).collect();
            assert_eq!((all(&pool), pool.wide.len()), (limit, 0));
            standard.into_iter().for_each(|buffer| pool.give(buffer));
            // More than may be out at once: what is kept is full, and needs no bound of its own.
            let wide: Vec<Buffer> = (0..8)
                .map(|_| {
                    let mut buffer = pool.take_for_plenty();
                    pool.adopted(&mut buffer);
                    buffer
                })
                .collect();
            assert!(wide.iter().all(|buffer| buffer.capacity() == WIDE));
            assert_eq!((all(&pool), pool.wide_out), (limit, 0));
            wide.into_iter().for_each(|buffer| pool.give(buffer));
            assert_eq!((all(&pool), pool.out(), pool.wide.len()), (limit, 0, 8));
        }
    }

    #[test]
    fn a_dry_pool_stops_reads_before_it_stops_writes() {
        let mut pool = BufferPool::new(8 * CAPACITY);
        let taken: Vec<_> = std::iter::from_fn(|| pool.may_read().then(|| pool.take())).collect();
        assert_eq!(taken.len(), 8 - READ_RESERVE + 1);
        assert!(pool.may_keep());
        pool.take();
        assert!(!pool.may_keep());
        let pool = BufferPool::new(8 * CAPACITY);
        assert!(pool.may_hold(4 * CAPACITY) && !pool.may_hold(4 * CAPACITY + 1));
    }
}
