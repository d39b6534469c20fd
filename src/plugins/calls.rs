//! Calls: how long the hooks of a plugin took, and how often they failed.
//!
//! Each thread that calls hooks counts in a lane of its own; whoever reads adds the lanes up. What a lane
//! has counted stays when its thread has gone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Hook;
use crate::measure::counter::Counter;
use crate::measure::histogram::{Histogram, Sample};

/// A plugin is put in quarantine when of so many calls …
pub const WINDOW_CALLS: u64 = 100;
/// … so many were over its budget, on one thread.
pub const SLOW_CALLS_MAX: usize = 10;
/// Between two lines about slow or failed calls of one lane.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What one thread has counted. Only that thread writes.
#[derive(Debug, Default)]
pub struct Lane {
    hooks: [HookCalls; Hook::ALL.len()],
    calls: Counter,
    /// At which call the last slow ones were; 0: there were fewer.
    slow: [AtomicU64; SLOW_CALLS_MAX],
    /// Milliseconds since the start of this program at which the last line was written, by kind.
    told: [AtomicU64; 2],
}

/// What lines are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Slow,
    Failed,
}

/// The calls of one hook.
#[derive(Debug, Default)]
struct HookCalls {
    /// In microseconds.
    time: Histogram,
    slow: Counter,
    errors: Counter,
}

impl Lane {
    /// Counts a call. Returns whether it was over `budget`.
    #[inline]
    pub(super) fn note(&self, hook: Hook, took: Duration, budget: Duration) -> bool {
        self.calls.add(1);
        // No wider than it has to be: it is recorded for every token.
        let micros = took.as_secs() * 1_000_000 + u64::from(took.subsec_micros());
        self.hooks[hook as usize].time.record(micros);
        took > budget
    }

    /// Notes that the last call was slow. Returns whether too many of the last calls were.
    #[cold]
    pub(super) fn note_slow(&self, hook: Hook) -> bool {
        let slow = &self.hooks[hook as usize].slow;
        slow.add(1);
        let (call, total) =
            (self.calls.get(), self.hooks.iter().map(|it| it.slow.get()).sum::<u64>());
        self.slow[total as usize % SLOW_CALLS_MAX].store(call, Ordering::Relaxed);
        // The place holds the tenth last slow call, once there are that many.
        let tenth = self.slow[(total as usize + 1) % SLOW_CALLS_MAX].load(Ordering::Relaxed);
        tenth > 0 && call - tenth < WINDOW_CALLS
    }

    /// Counts a slow call that nothing follows from.
    #[cold]
    pub(super) fn count_slow(&self, hook: Hook) {
        self.hooks[hook as usize].slow.add(1);
    }

    #[cold]
    pub(super) fn note_error(&self, hook: Hook) {
        self.hooks[hook as usize].errors.add(1);
    }

    /// Whether a line of this kind may be written: not more than one a second.
    #[cold]
    pub(super) fn may_tell(&self, what: Told) -> bool {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1;
        let last = &self.told[what as usize];
        let told = last.load(Ordering::Relaxed);
        let may = told == 0 || now - told >= TOLD_EVERY.as_millis() as u64;
        if may {
            last.store(now, Ordering::Relaxed);
        }
        may
    }
}

/// What was counted of one hook, by all threads.
#[derive(Clone, Debug, Default)]
pub struct HookCounts {
    /// In microseconds.
    pub time: Sample,
    pub slow: u64,
    pub errors: u64,
}

/// The lanes of a plugin.
#[derive(Debug, Default)]
pub struct CallBook {
    lanes: Mutex<Vec<Arc<Lane>>>,
}

impl CallBook {
    /// A lane for a thread. Lanes are as many as the threads that a plugin has ever had.
    pub fn open_lane(&self) -> Arc<Lane> {
        let lane = Arc::<Lane>::default();
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // One that nobody holds any more is given to the next thread, with what it has counted.
        if let Some(free) = lanes.iter().find(|lane| Arc::strong_count(lane) == 1) {
            return Arc::clone(free);
        }
        lanes.push(Arc::clone(&lane));
        lane
    }

    /// Has none of the calls so far count as slow. A thread that counts at the same moment may keep its last.
    pub(super) fn forget_slow(&self) {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().flat_map(|lane| &lane.slow).for_each(|slow| slow.store(0, Ordering::Relaxed));
    }

    /// All that was counted, by hook.
    pub fn counts(&self) -> [HookCounts; Hook::ALL.len()] {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Hook::ALL.map(|hook| {
            let mut counts = HookCounts::default();
            for calls in lanes.iter().map(|lane| &lane.hooks[hook as usize]) {
                calls.time.add_to(&mut counts.time);
                counts.slow += calls.slow.get();
                counts.errors += calls.errors.get();
            }
            counts
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_slow_calls_of_a_hundred_are_too_many() {
        let budget = Duration::from_micros(10);
        let run = |every: u64, calls: u64| {
            let lane = Lane::default();
            (0..calls).position(|call| {
                let took = if call % every == 0 { budget * 2 } else { budget };
                lane.note(Hook::Event, took, budget) && lane.note_slow(Hook::Event)
            })
        };
        assert_eq!(run(1, 100), Some(9), "the tenth in a row");
        assert_eq!(run(10, 1_000), Some(90), "the tenth of a hundred");
        assert_eq!(run(12, 10_000), None, "one in twelve");
    }

    #[test]
    fn lanes_are_added_up_and_given_on() {
        let book = CallBook::default();
        let (one, other) = (book.open_lane(), book.open_lane());
        one.note(Hook::Event, Duration::from_micros(3), Duration::MAX);
        other.note(Hook::Event, Duration::from_micros(5), Duration::MAX);
        other.note_error(Hook::End);
        drop(other);
        let next = book.open_lane();
        next.note(Hook::Event, Duration::from_micros(7), Duration::MAX);
        let counts = book.counts();
        let events = &counts[Hook::Event as usize];
        assert_eq!((events.time.count(), events.time.sum()), (3, 15));
        assert_eq!(counts[Hook::End as usize].errors, 1);
        assert_eq!(book.lanes.lock().expect("unharmed").len(), 2);
    }
}
