//! Reel: the last of what one stream carried, and when, in case it fails.
//!
//! Whole frames: what one read gave is one frame, with the moment it came. The oldest give way, so a
//! reel takes a bounded room whatever goes by. The clock is not the turn's: it is read for each
//! frame, by those streams that are recorded and by no other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::Instant;

/// Bytes that are kept.
pub const REEL_BYTES: usize = 16 << 10;
/// Frames that are kept.
pub const REEL_FRAMES: usize = 512;

/// One frame that went by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Since the head of the answer.
    pub at: Duration,
    pub length: usize,
}

/// The kept part of one stream.
#[derive(Debug)]
pub struct Reel {
    clock: fn() -> Instant,
    began: Instant,
    bytes: VecDeque<u8>,
    frames: VecDeque<Frame>,
    /// Bytes that went by before those that are kept.
    skipped: u64,
    /// `None`: the stream has ended.
    place: Option<ReelSlot>,
}

/// One of the places that there are for reels.
#[derive(Debug)]
struct ReelSlot(Arc<AtomicUsize>);

impl Drop for ReelSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reel {
    /// For a stream that begins now; `None`: `most` are recorded already. `open` counts them.
    pub fn new(clock: fn() -> Instant, open: &Arc<AtomicUsize>, most: usize) -> Option<Reel> {
        let before = open.fetch_add(1, Ordering::Relaxed);
        // From here on the place is given back when it is dropped.
        let place = ReelSlot(Arc::clone(open));
        (before < most).then(|| Reel {
            clock,
            began: clock(),
            bytes: VecDeque::new(),
            frames: VecDeque::new(),
            skipped: 0,
            place: Some(place),
        })
    }

    /// Bytes of the payload went by.
    pub fn feed(&mut self, data: &[u8]) {
        let cut = data.len().saturating_sub(REEL_BYTES);
        let kept = &data[cut..];
        while self.frames.len() == REEL_FRAMES || self.bytes.len() + kept.len() > REEL_BYTES {
            let Some(Frame { length, .. }) = self.frames.pop_front() else { break };
            self.bytes.drain(..length);
            self.skipped += length as u64;
        }
        self.skipped += cut as u64;
        self.bytes.extend(kept);
        self.frames.push_back(Frame { at: self.age(), length: kept.len() });
    }

    /// The stream has ended: its place is another's. Returns how long it lasted.
    pub fn end(&mut self) -> Duration {
        drop(self.place.take());
        self.age()
    }

    /// Since the head of the answer.
    fn age(&self) -> Duration {
        (self.clock)() - self.began
    }

    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    pub fn frames(&self) -> impl Iterator<Item = Frame> {
        self.frames.iter().copied()
    }

    /// The bytes of all frames.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    fn clock() -> Instant {
        static TICKS: AtomicU64 = AtomicU64::new(0);
        Instant::from_nanos(TICKS.fetch_add(1_000, Ordering::Relaxed))
    }

    fn reel() -> Reel {
        Reel::new(clock, &Arc::default(), 1).expect("a place")
    }

    #[test]
    fn the_oldest_frames_give_way() {
        let mut reel = reel();
        for index in 0..100u8 {
            reel.feed(&[index; 1000]);
        }
        let bytes = reel.bytes();
        assert_eq!((bytes.len(), reel.frames().count(), reel.skipped()), (16_000, 16, 84_000));
        assert_eq!((bytes[0], bytes[15_999]), (84, 99));
        let frames: Vec<_> = reel.frames().collect();
        assert!(frames.windows(2).all(|pair| pair[0].at < pair[1].at));
        // One that is longer than all of it leaves its end.
        reel.feed(&[7; REEL_BYTES + 5]);
        assert_eq!((reel.bytes().len(), reel.frames().count()), (REEL_BYTES, 1));
        assert_eq!(reel.skipped(), 84_000 + 16_000 + 5);
    }

    #[test]
    fn small_frames_are_bounded_by_their_number() {
        let mut reel = reel();
        for _ in 0..REEL_FRAMES + 10 {
            reel.feed(b"ab");
        }
        assert_eq!((reel.frames().count(), reel.skipped()), (REEL_FRAMES, 20));
    }

    #[test]
    fn places_are_given_back() {
        let open = Arc::default();
        let first = Reel::new(clock, &open, 1);
        assert!(first.is_some() && Reel::new(clock, &open, 1).is_none());
        drop(first);
        assert!(Reel::new(clock, &open, 1).is_some());
        assert_eq!(open.load(Ordering::Relaxed), 0);
    }
}
