//! Buffers: 16 KiB of bytes between one read and one write, owned only while they hold something.
//!
//! ```text
//!   0 ······ sent ─────────── cleared ─────────── received ······ capacity
//!     gone      may be written     not understood yet     room for a read
//! ```
//!
//! * `sent ≤ cleared ≤ received ≤ capacity`.
//! * A connection owns a buffer only while it holds bytes: an idle client, an idle pooled upstream
//!   and a stream that waits for its next token own none.
//! * The pool is last-in-first-out, so the next read lands in the memory that is hot.
//! * A source that fills a whole buffer at once is read into a wide one, sixteen times as long: a sixteenth
//!   of the calls for the same bytes. Few of those are out at once, or clients that do not read would
//!   hold them all.
//! * Memory is touched as far as bytes come to lie in it: a buffer that holds a small request that
//!   waits costs a page, not four.
//! * The pool is finite. Whoever is about to read asks [`BufferPool::may_read`] first; one read
//!   leads to at most [`READ_RESERVE`] more buffers, so taking one never has to fail.
//!
//! Absent on purpose: reference counts and sharing. One owner fills a buffer and empties it.

use crate::wire::outbox::Queue;

/// Bytes of a standard buffer.
pub const CAPACITY: usize = 16 * 1024;

/// Standard buffers that the consequences of one read may take: the bytes read, a rewritten head,
/// and the same bytes framed anew.
pub const READ_RESERVE: usize = 4;

/// Bytes of a wide one: what a drive may move while nobody else is ready.
pub const WIDE: usize = 16 * CAPACITY;
/// Wide buffers that are kept. Each is on loan for a read and a write, so one would nearly do.
const WIDE_KEPT: usize = 2;
/// Of so many standard buffers one may be a wide one that is out: a sixteenth of the pool.
const STANDARD_PER_WIDE: usize = 16 * (WIDE / CAPACITY);
/// What has to be left of the pool for a wide read: itself, and its bytes framed anew.
const WIDE_RESERVE: usize = WIDE / CAPACITY * READ_RESERVE;

/// Linear bytes with three cursors. Boxed: its owner, cold when its token comes, holds a pointer,
/// and the cursors lie with the buffer, which is hot.
pub struct Buffer(Box<Linear>);

struct Linear {
    /// Of the capacity, what has ever been used.
    bytes: Vec<u8>,
    sent: u32,
    cleared: u32,
    received: u32,
    capacity: u32,
    /// Lent as a wide one.
    wide: bool,
}

impl Buffer {
    fn new(capacity: usize) -> Buffer {
        let bytes = Vec::with_capacity(capacity);
        let capacity = capacity as u32;
        Buffer(Box::new(Linear { bytes, sent: 0, cleared: 0, received: 0, capacity, wide: false }))
    }

    fn check(&self) {
        debug_assert!(self.0.sent <= self.0.cleared && self.0.cleared <= self.0.received);
        debug_assert!(self.0.received as usize <= self.0.bytes.len());
    }

    fn capacity(&self) -> usize {
        self.0.capacity as usize
    }

    /// Where the next read may put its bytes.
    pub fn room(&mut self) -> &mut [u8] {
        let Linear { bytes, received, capacity, .. } = &mut *self.0;
        if bytes.len() < *capacity as usize {
            bytes.resize(*capacity as usize, 0);
        }
        &mut bytes[*received as usize..]
    }

    /// `count` bytes were read into [`Buffer::room`].
    pub fn received(&mut self, count: usize) {
        self.0.received += count as u32;
        self.check();
    }

    /// Bytes that have not been understood yet.
    pub fn unscanned(&self) -> &[u8] {
        &self.0.bytes[self.0.cleared as usize..self.0.received as usize]
    }

    /// The first `count` unscanned bytes may be written now.
    pub fn clear(&mut self, count: usize) {
        self.0.cleared += count as u32;
        self.check();
    }

    /// Bytes that may be written.
    pub fn pending(&self) -> &[u8] {
        &self.0.bytes[self.0.sent as usize..self.0.cleared as usize]
    }

    /// The first `count` pending bytes have been written.
    pub fn sent(&mut self, count: usize) {
        self.0.sent += count as u32;
        self.check();
        if self.0.sent == self.0.received {
            self.rewind();
        }
    }

    /// Takes the first `count` unscanned bytes out of the stream: they have been understood, and
    /// what they said is passed on in other words.
    pub fn discard(&mut self, count: usize) {
        debug_assert!(self.pending().is_empty(), "bytes are taken from the front only");
        self.0.cleared += count as u32;
        self.sent(count);
    }

    /// Appends as much of `bytes` as there is room for, ready to be written; returns how much.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        debug_assert!(self.unscanned().is_empty(), "appended bytes would jump the queue");
        let start = self.0.received as usize;
        let count = bytes.len().min(self.capacity() - start);
        // Over what was used before, and on into what never was.
        let used = count.min(self.0.bytes.len() - start);
        self.0.bytes[start..start + used].copy_from_slice(&bytes[..used]);
        self.0.bytes.extend_from_slice(&bytes[used..count]);
        self.received(count);
        self.clear(count);
        count
    }

    /// Appends all of `bytes`, or nothing if there is not the room. Whether it did.
    pub fn join(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.capacity() - self.0.received as usize;
        fits && self.append(bytes) == bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.sent == self.0.received
    }

    /// Makes room by moving what is left to the front. Only a head that is still incomplete needs
    /// it; false if the buffer is full of live bytes.
    fn compact(&mut self) -> bool {
        let Linear { bytes, sent, cleared, received, .. } = &mut *self.0;
        bytes.copy_within(*sent as usize..*received as usize, 0);
        *received -= *sent;
        *cleared -= *sent;
        *sent = 0;
        (*received as usize) < self.capacity()
    }

    /// Has room for more, and keeps what is there.
    fn grow(&mut self, capacity: usize) {
        let Linear { bytes, .. } = &mut *self.0;
        bytes.reserve_exact(capacity - bytes.len());
        self.0.capacity = capacity as u32;
    }

    /// Nothing is in it any more.
    fn rewind(&mut self) {
        (self.0.sent, self.0.cleared, self.0.received) = (0, 0, 0);
    }

    /// Standard buffers that fit in this one.
    fn units(&self) -> usize {
        self.capacity() / CAPACITY
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Linear { sent, cleared, received, capacity, .. } = &*self.0;
        write!(f, "Buffer({sent} ≤ {cleared} ≤ {received} ≤ {capacity})")
    }
}

/// Whether there is room for more of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Made,
    /// The head is as long as it may be.
    AtLimit,
    /// The pool has nothing left to grow with: that takes so many buffers.
    Dry {
        needs: usize,
    },
}

/// One worker's buffers, and the queues they stand in.
pub struct BufferPool {
    free: Vec<Buffer>,
    wide: Vec<Buffer>,
    /// Those that somebody owns.
    wide_out: usize,
    // Lent in their boxes: an outbox holds a pointer.
    #[allow(clippy::vec_box)]
    queues: Vec<Box<Queue>>,
    /// Buffers that somebody owns; a grown one counts for as many as fit into it.
    out: usize,
    limit: usize,
}

impl BufferPool {
    /// A pool of at most `bytes` bytes, never less than what one read may need.
    pub fn new(bytes: usize) -> BufferPool {
        BufferPool {
            free: Vec::new(),
            wide: Vec::new(),
            wide_out: 0,
            queues: Vec::new(),
            out: 0,
            limit: (bytes / CAPACITY).max(2 * READ_RESERVE),
        }
    }

    /// Whether a read and all that follows from it is within the limit.
    pub fn may_read(&self) -> bool {
        self.out + READ_RESERVE <= self.limit
    }

    /// Buffers that have to be left before a new request is read. One that waits for a connection
    /// holds its bytes: without a share for those who are being answered, the waiting could hold
    /// every buffer that they wait for.
    pub fn begin_reserve(&self) -> usize {
        READ_RESERVE + self.limit / 8
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

    /// Whether so many bytes can be kept besides, and a read still be made.
    pub fn may_hold(&self, bytes: usize) -> bool {
        self.left() >= bytes.div_ceil(CAPACITY) + READ_RESERVE
    }

    pub fn take(&mut self) -> Buffer {
        self.out += 1;
        self.free.pop().unwrap_or_else(|| Buffer::new(CAPACITY))
    }

    /// A buffer for a source that has filled one: a wide one, unless buffers are scarce or many such
    /// are out, with clients that do not take what is in them. A wide one counts for as many
    /// standard ones as fit into it.
    pub fn take_for_plenty(&mut self) -> Buffer {
        if self.left() < WIDE_RESERVE || self.wide_out >= self.limit / STANDARD_PER_WIDE {
            return self.take();
        }
        self.wide_out += 1;
        self.out += WIDE / CAPACITY;
        self.wide.pop().unwrap_or_else(|| {
            let mut buffer = Buffer::new(WIDE);
            buffer.0.wide = true;
            buffer
        })
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
        let needs = units + READ_RESERVE;
        if needs > self.left() {
            return Room::Dry { needs };
        }
        buffer.grow(grown);
        self.out += units;
        Room::Made
    }

    pub fn give(&mut self, mut buffer: Buffer) {
        debug_assert!(self.out >= buffer.units(), "a buffer came home twice");
        self.out -= buffer.units();
        self.wide_out -= usize::from(buffer.0.wide);
        let kept = match buffer.capacity() {
            CAPACITY => &mut self.free,
            WIDE if buffer.0.wide && self.wide.len() < WIDE_KEPT => &mut self.wide,
            // A grown buffer has done its work.
            _ => return,
        };
        buffer.rewind();
        kept.push(buffer);
    }

    pub(crate) fn take_queue(&mut self) -> Box<Queue> {
        self.queues.pop().unwrap_or_default()
    }

    /// An empty queue comes home.
    pub(crate) fn give_queue(&mut self, mut queue: Box<Queue>) {
        queue.shrink();
        self.queues.push(queue);
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
    fn cursors_follow_read_scan_write() {
        let mut pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take();
        buffer.room()[..5].copy_from_slice(b"hello");
        buffer.received(5);
        assert_eq!((buffer.pending(), buffer.unscanned()), (&b""[..], &b"hello"[..]));
        buffer.clear(3);
        buffer.sent(2);
        assert_eq!((buffer.pending(), buffer.unscanned()), (&b"l"[..], &b"lo"[..]));
        buffer.clear(2);
        buffer.sent(3);
        assert!(buffer.is_empty());
        assert_eq!(buffer.room().len(), CAPACITY, "an emptied buffer starts over");
        pool.give(buffer);
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn appended_bytes_lie_over_old_ones_and_beyond_them() {
        let mut pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take();
        for length in [3, 700, 5, 9_000] {
            let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            assert_eq!((buffer.append(&bytes[..2]), buffer.append(&bytes[2..])), (2, length - 2));
            assert_eq!(buffer.pending(), bytes);
            buffer.sent(length);
        }
        assert_eq!(buffer.append(&vec![1; CAPACITY + 1]), CAPACITY, "no more than there is room");
        assert_eq!(buffer.append(b"x"), 0);
        buffer.sent(CAPACITY);
        assert_eq!(buffer.room().len(), CAPACITY);
    }

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
        assert_eq!((pool.wide.len(), pool.free.len()), (WIDE_KEPT, 1));
        // One that a head has grown to that length is none of them.
        let mut head = pool.take();
        while head.capacity() < WIDE {
            let room = head.room().len();
            head.received(room);
            assert_eq!(pool.make_room(&mut head, WIDE), Room::Made);
        }
        pool.give(head);
        assert_eq!((pool.out(), pool.wide_out, pool.wide.len()), (0, 0, WIDE_KEPT));
        let mut scarce = BufferPool::new(8 * CAPACITY);
        assert_eq!(scarce.take_for_plenty().capacity(), CAPACITY);
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
