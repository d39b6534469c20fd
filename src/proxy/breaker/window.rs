//! The exchanges that ended of late: a ring of eight buckets, each an eighth of the window.
//!
//! What is counted is between seven eighths of the window and all of it, for 40 bytes an endpoint
//! and without looking at the clock.

use std::time::Duration;

use crate::clock::Instant;

const BUCKETS: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    ended: u16,
    faults: u16,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// The number, since the start of the clock, of the newest bucket.
    newest: u64,
    buckets: [Bucket; BUCKETS],
}

/// What a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub ended: u32,
    pub faults: u32,
}

impl Window {
    /// Counts an exchange that ended `now`.
    pub fn add(&mut self, fault: bool, now: Instant, window: Duration) {
        self.turn_to(now, window);
        let bucket = &mut self.buckets[self.newest as usize % BUCKETS];
        if bucket.ended == u16::MAX {
            // The share of faults stays what it is.
            *bucket = Bucket { ended: bucket.ended / 2, faults: bucket.faults / 2 };
        }
        bucket.ended += 1;
        bucket.faults += u16::from(fault);
    }

    pub fn count(&mut self, now: Instant, window: Duration) -> Count {
        self.turn_to(now, window);
        let none = Count { ended: 0, faults: 0 };
        self.buckets.iter().fold(none, |sum, bucket| Count {
            ended: sum.ended + u32::from(bucket.ended),
            faults: sum.faults + u32::from(bucket.faults),
        })
    }

    /// Empties the buckets that lie between the newest and `now`.
    fn turn_to(&mut self, now: Instant, window: Duration) {
        let length = (window.as_nanos() as u64 / BUCKETS as u64).max(1);
        let newest = now.as_nanos() / length;
        // Back in time: a reload has made the window longer, and the numbers mean something else.
        let gone = newest.checked_sub(self.newest).unwrap_or(BUCKETS as u64);
        for step in 0..gone.min(BUCKETS as u64) {
            self.buckets[(newest - step.min(newest)) as usize % BUCKETS] = Bucket::default();
        }
        self.newest = newest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(8);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_bucket_by_bucket() {
        let mut window = Window::default();
        for millis in [0, 999, 1_000, 7_999] {
            window.add(millis == 0, at(millis), WINDOW);
        }
        for (millis, ended, faults) in [
            (7_999, 4, 1),
            (8_000, 2, 0),
            (9_000, 1, 0),
            (14_999, 1, 0),
            (15_000, 0, 0),
            (1 << 40, 0, 0),
        ] {
            assert_eq!(window.count(at(millis), WINDOW), Count { ended, faults }, "{millis}");
        }
    }

    #[test]
    fn a_window_of_another_length_starts_empty() {
        let mut window = Window::default();
        window.add(true, at(100_000), WINDOW);
        assert_eq!(window.count(at(100_000), WINDOW * 10).ended, 0);
    }

    #[test]
    fn a_full_bucket_keeps_its_share_of_faults() {
        let mut window = Window::default();
        for count in 0..200_000u32 {
            window.add(count.is_multiple_of(4), at(1), WINDOW);
        }
        let Count { ended, faults } = window.count(at(1), WINDOW);
        assert!(ended > 30_000 && (24..=26).contains(&(faults * 100 / ended)), "{faults}/{ended}");
    }
}
