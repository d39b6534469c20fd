//! Buffers: 16 KiB of bytes between one read and one write, owned only while they hold something.
//!
//! ```text
//!   0 ······ sent ─────────── cleared ─────────── received ······ capacity
//!     gone      may be written     not understood yet     room for a read
//!   or hidden
//! ```
//!
//! * `sent ≤ cleared ≤ received ≤ capacity`.
//! * A connection owns a buffer only while it holds bytes: an idle client, an idle pooled upstream
//!   and a stream that waits for its next token own none.
//! * Memory is touched only as far as bytes lie in it: a small request that waits costs one page of
//!   its buffer, not four.
//!
//! Absent on purpose: reference counts and sharing. One owner fills a buffer and empties it.

mod appended;

/// Bytes of a standard buffer.
pub const CAPACITY: usize = 16 * 1024;

/// Bytes of a wide buffer: what a drive may move while nobody else is ready.
pub const WIDE: usize = 16 * CAPACITY;

/// Linear bytes with three cursors. Boxed: the record that owns it is cold when its token comes and
/// holds only a pointer; the cursors lie with the bytes, which are hot.
pub struct Buffer(Box<Linear>);

struct Linear {
    /// As much of the capacity as has ever been used.
    bytes: Vec<u8>,
    sent: u32,
    cleared: u32,
    received: u32,
    capacity: u32,
    /// Lent as a wide buffer, and not kept.
    wide: bool,
}

impl Buffer {
    pub(super) fn new(capacity: usize) -> Buffer {
        let bytes = Vec::with_capacity(capacity);
        let capacity = capacity as u32;
        Buffer(Box::new(Linear { bytes, sent: 0, cleared: 0, received: 0, capacity, wide: false }))
    }

    fn check(&self) {
        debug_assert!(self.0.sent <= self.0.cleared && self.0.cleared <= self.0.received);
        debug_assert!(self.0.received as usize <= self.0.bytes.len());
    }

    pub(super) fn capacity(&self) -> usize {
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

    /// The same, for who understands them where they lie.
    pub(super) fn unscanned_mut(&mut self) -> &mut [u8] {
        let Linear { bytes, cleared, received, .. } = &mut *self.0;
        &mut bytes[*cleared as usize..*received as usize]
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

    /// Drops the first `count` unscanned bytes: they have been understood, and other bytes are passed
    /// on in their place.
    pub fn discard(&mut self, count: usize) {
        debug_assert!(self.pending().is_empty(), "bytes are taken from the front only");
        self.0.cleared += count as u32;
        self.sent(count);
    }

    pub fn is_empty(&self) -> bool {
        self.0.sent == self.0.received
    }

    /// Sets the cursors back: the buffer is empty.
    pub(super) fn rewind(&mut self) {
        (self.0.sent, self.0.cleared, self.0.received) = (0, 0, 0);
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Linear { sent, cleared, received, capacity, .. } = &*self.0;
        write!(f, "Buffer({sent} ≤ {cleared} ≤ {received} ≤ {capacity})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_follow_read_scan_write() {
        let mut buffer = Buffer::new(CAPACITY);
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
    }
}
