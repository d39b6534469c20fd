//! What besides a relay is done with a buffer: bytes of our own are appended, a head makes it grow, the
//! pool asks how large it is.

use super::{Buffer, CAPACITY, Linear};

impl Buffer {
    /// Appends as much of `bytes` as there is room for, ready to be written; returns how much.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        debug_assert!(self.unscanned().is_empty(), "appended bytes would jump the queue");
        let start = self.0.received as usize;
        let count = bytes.len().min(self.capacity() - start);
        // First over bytes that were used before, then into room that never was.
        let used = count.min(self.0.bytes.len() - start);
        self.0.bytes[start..start + used].copy_from_slice(&bytes[..used]);
        self.0.bytes.extend_from_slice(&bytes[used..count]);
        self.received(count);
        self.clear(count);
        count
    }

    /// Hides the first `count` bytes that may be written: they stay in front of the others.
    pub(in crate::wire) fn hide(&mut self, count: usize) {
        self.0.sent += count as u32;
        self.check();
    }

    /// Has what was hidden written, before the others.
    pub(in crate::wire) fn show(&mut self) {
        self.0.sent = 0;
    }

    /// What was hidden.
    pub(in crate::wire) fn hidden(&self) -> &[u8] {
        &self.0.bytes[..self.0.sent as usize]
    }

    /// Drops what may be written, but for its first `count` bytes.
    pub(in crate::wire) fn truncate(&mut self, count: usize) {
        debug_assert!(self.unscanned().is_empty() && count <= self.pending().len());
        self.0.cleared = self.0.sent + count as u32;
        self.0.received = self.0.cleared;
    }

    /// Bytes of its capacity behind those that are there.
    pub(in crate::wire) fn free(&self) -> usize {
        self.capacity() - self.0.received as usize
    }

    pub(in crate::wire) fn is_full(&self) -> bool {
        self.0.received == self.0.capacity
    }

    /// Appends all of `bytes`, or nothing if there is no room for all. Returns whether it did.
    pub fn join(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.capacity() - self.0.received as usize;
        fits && self.append(bytes) == bytes.len()
    }

    /// Makes room by moving the bytes that are left to the front. Only an incomplete head needs that.
    /// Returns whether there is room now.
    pub(in crate::wire) fn compact(&mut self) -> bool {
        let Linear { bytes, sent, cleared, received, .. } = &mut *self.0;
        bytes.copy_within(*sent as usize..*received as usize, 0);
        *received -= *sent;
        *cleared -= *sent;
        *sent = 0;
        (*received as usize) < self.capacity()
    }

    /// Gets a larger capacity, and keeps the bytes that are there.
    pub(in crate::wire) fn grow(&mut self, capacity: usize) {
        let Linear { bytes, .. } = &mut *self.0;
        bytes.reserve_exact(capacity - bytes.len());
        self.0.capacity = capacity as u32;
    }

    /// Whether all that was read into it may be written, and fills at least half of it: to keep the buffer
    /// costs little more memory than to keep the bytes.
    pub fn is_well_filled(&self) -> bool {
        let Linear { sent, cleared, received, capacity, .. } = &*self.0;
        *sent == 0 && cleared == received && u64::from(*received) * 2 >= u64::from(*capacity)
    }

    /// Whether it is lent as a wide buffer. One that a head has grown to that length is not, nor one that
    /// is kept.
    pub(in crate::wire) fn is_wide(&self) -> bool {
        self.0.wide
    }

    pub(in crate::wire) fn set_wide(&mut self, wide: bool) {
        self.0.wide = wide;
    }

    /// Standard buffers that fit in this one.
    pub(in crate::wire) fn units(&self) -> usize {
        self.capacity() / CAPACITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appended_bytes_lie_over_old_ones_and_beyond_them() {
        let mut buffer = Buffer::new(CAPACITY);
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
}
