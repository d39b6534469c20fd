//! One direction of a connection: bytes written, on the way, arrived, taken.
//!
//! ```text
//!   taken │ arrived              │ on the way, in segments    │ free
//!         └── the reader may have ┴── each arrives at its time ┴── up to `capacity`
//! ```
//!
//! `arrived ≤ bytes.len() ≤ capacity`, and the segments add up to the bytes on the way.
//! A FIN travels in a segment, alone or behind that segment's bytes: one arrival, one edge.
//!
//! Absent on purpose: readiness, edges and the clock. [`super::fabric`] knows who must be told.

use std::collections::VecDeque;

use crate::clock::Instant;

/// Bytes that arrive together.
#[derive(Clone, Copy, Debug)]
struct Segment {
    length: usize,
    fin: bool,
    at: Instant,
}

/// What one arrival brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub length: usize,
    pub fin: bool,
}

#[derive(Debug)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    arrived: usize,
    segments: VecDeque<Segment>,
    capacity: usize,
    /// The writer has sent its FIN: it may write no more.
    pub fin_sent: bool,
    pub fin_arrived: bool,
    /// Bytes the reader has ever taken.
    pub taken: u64,
    /// Bytes the writer has ever put in.
    pub written: u64,
}

impl Pipe {
    pub fn new(capacity: usize) -> Pipe {
        Pipe {
            bytes: VecDeque::new(),
            arrived: 0,
            segments: VecDeque::new(),
            capacity,
            fin_sent: false,
            fin_arrived: false,
            taken: 0,
            written: 0,
        }
    }

    fn check(&self) {
        debug_assert!(self.arrived <= self.bytes.len() && self.bytes.len() <= self.capacity);
        debug_assert!(self.bytes.len() == self.written as usize - self.taken as usize);
    }

    pub fn free(&self) -> usize {
        self.capacity - self.bytes.len()
    }

    /// Whether a writer that was turned away would be called back. As in Linux, not for the first
    /// free byte, but when a third of the buffer is free again.
    pub fn roomy(&self) -> bool {
        self.free() > 0 && self.free() * 3 >= self.capacity
    }

    pub fn arrived(&self) -> usize {
        self.arrived
    }

    /// Sends a segment, to arrive at `at` or, as nothing overtakes, after what was sent before.
    /// Returns when it will arrive.
    pub fn send(&mut self, bytes: &[u8], fin: bool, at: Instant) -> Instant {
        assert!(bytes.len() <= self.free() && !self.fin_sent, "the sender asks for room first");
        let at = self.segments.back().map_or(at, |last| last.at.max(at));
        self.bytes.extend(bytes);
        self.written += bytes.len() as u64;
        self.segments.push_back(Segment { length: bytes.len(), fin, at });
        self.fin_sent |= fin;
        self.check();
        at
    }

    /// The next segment arrives if its time has come.
    pub fn arrive(&mut self, now: Instant) -> Option<Arrival> {
        let segment = *self.segments.front().filter(|segment| segment.at <= now)?;
        self.segments.pop_front();
        self.arrived += segment.length;
        self.fin_arrived |= segment.fin;
        self.check();
        Some(Arrival { length: segment.length, fin: segment.fin })
    }

    /// The next segment arrives, early.
    pub fn arrive_early(&mut self) -> Option<Arrival> {
        let at = self.segments.front()?.at;
        self.arrive(at)
    }

    /// Takes what has arrived, as much as fits.
    pub fn take(&mut self, into: &mut [u8]) -> usize {
        let length = self.peek(into);
        self.bytes.drain(..length);
        self.arrived -= length;
        self.taken += length as u64;
        self.check();
        length
    }

    pub fn peek(&self, into: &mut [u8]) -> usize {
        let length = self.arrived.min(into.len());
        let (front, back) = self.bytes.as_slices();
        let in_front = front.len().min(length);
        into[..in_front].copy_from_slice(&front[..in_front]);
        into[in_front..length].copy_from_slice(&back[..length - in_front]);
        length
    }

    /// Takes at most `limit` arrived bytes to the end of `into`.
    pub fn take_to(&mut self, into: &mut Vec<u8>, limit: usize) -> usize {
        let start = into.len();
        into.resize(start + self.arrived.min(limit), 0);
        self.take(&mut into[start..])
    }

    /// All but the next `keep` segments are lost, and no FIN will come.
    pub fn lose(&mut self, keep: usize) {
        self.segments.truncate(keep);
        for segment in &mut self.segments {
            segment.fin = false;
        }
        let left = self.arrived + self.segments.iter().map(|segment| segment.length).sum::<usize>();
        self.written -= (self.bytes.len() - left) as u64;
        self.bytes.truncate(left);
        self.check();
    }

    /// Nothing is on the way and nothing waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.segments.is_empty()
    }

    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// When the last of what is on the way will arrive.
    pub fn last_arrival(&self) -> Option<Instant> {
        self.segments.back().map(|segment| segment.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn nothing_is_there_before_its_time() {
        let mut pipe = Pipe::new(16);
        pipe.send(b"later", false, at(10));
        assert_eq!(pipe.arrive(at(9)), None);
        assert_eq!(pipe.take(&mut [0; 16]), 0);
        assert_eq!(pipe.arrive(at(10)), Some(Arrival { length: 5, fin: false }));
        let mut into = [0; 3];
        assert_eq!((pipe.take(&mut into), &into), (3, b"lat"));
        assert_eq!(pipe.free(), 14);
    }

    #[test]
    fn nothing_overtakes() {
        let mut pipe = Pipe::new(16);
        pipe.send(b"first", false, at(20));
        assert_eq!(pipe.send(b"second", true, at(10)), at(20));
        assert_eq!(pipe.arrive(at(19)), None);
        assert_eq!(pipe.arrive(at(20)), Some(Arrival { length: 5, fin: false }));
        assert_eq!(pipe.arrive(at(20)), Some(Arrival { length: 6, fin: true }));
    }

    #[test]
    fn a_third_has_to_be_free_before_a_writer_is_called_back() {
        let mut pipe = Pipe::new(9);
        pipe.send(&[1; 9], false, at(0));
        pipe.arrive(at(0));
        pipe.take(&mut [0; 2]);
        assert!(!pipe.roomy());
        pipe.take(&mut [0; 1]);
        assert!(pipe.roomy());
    }

    #[test]
    fn what_is_lost_never_arrives() {
        let mut pipe = Pipe::new(16);
        pipe.send(b"ab", false, at(1));
        pipe.send(b"cd", true, at(2));
        pipe.lose(1);
        assert!(pipe.arrive(at(5)).is_some() && pipe.arrive(at(5)).is_none());
        assert!(!pipe.fin_arrived);
        assert_eq!((pipe.arrived(), pipe.free()), (2, 14));
    }
}
