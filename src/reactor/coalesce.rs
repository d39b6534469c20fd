//! Coalescing: whether a worker that has nothing to do sleeps a little before it asks for more.
//!
//! A poll that sleeps ends with the first event. Where thousands of streams are active the next
//! one is a few microseconds away, so a worker wakes for one token, and again for the next, and
//! most of the wake-ups are the price of being early. A worker that sleeps until a given instant, and
//! polls only then, finds many tokens at once.
//!
//! ```text
//!   without:   token wake token wake token wake …
//!   with:      sleep ──── token token token ──── sleep ──── token token …
//! ```
//!
//! * The bound is the time from one poll to the next. The work of a turn counts in it, so a worker
//!   that is busy enough does not sleep at all.
//! * The rate of events in the last [`WINDOW`] decides: a worker pauses only where at least [`WORTH`]
//!   events may be expected in the bound, and no longer than it takes to gather [`ENOUGH`].
//! * A pause that brought no event is followed by a poll that sleeps as it would without coalescing,
//!   so an idle worker does not wake up for nothing.
//! * No event waits longer than the bound, give or take the kernel's timer.
//!
//! Absent on purpose: the clock and the sleep. Both are the caller's.

use std::time::Duration;

use crate::clock::Instant;

/// The time over which the rate of events is measured.
pub const WINDOW: Duration = Duration::from_millis(5);
/// A pause is worth its price if it brings so many events. It costs a timer, which is as dear as a
/// wake-up, and dearer on virtual machines.
pub const WORTH: u32 = 4;
/// Events that share one wake-up so well that more would not make it noticeably cheaper.
pub const ENOUGH: u32 = 16;

/// The policy of one worker.
#[derive(Clone, Copy, Debug)]
pub struct Coalesce {
    /// Since when events are counted.
    since: Instant,
    events: u32,
    /// The time from one poll to the next. Zero: there is no pause, and the poll sleeps.
    pause: Duration,
    in_vain: bool,
}

impl Coalesce {
    pub fn new(now: Instant) -> Coalesce {
        Coalesce { since: now, events: 0, pause: Duration::ZERO, in_vain: false }
    }

    /// Until when to sleep before the next poll; `None`: no pause. `polled` is the time of the last
    /// poll, and all work can wait for `timeout`.
    pub fn until(&self, polled: Instant, timeout: Option<Duration>) -> Option<Instant> {
        if self.pause.is_zero() || self.in_vain {
            return None;
        }
        let pause = self.pause.min(timeout.unwrap_or(Duration::MAX));
        (!pause.is_zero()).then(|| polled + pause)
    }

    /// Notes that a poll has brought `events` events. `paused`: a pause went before it.
    pub fn polled(&mut self, events: usize, paused: bool, bound: Duration, now: Instant) {
        self.in_vain = paused && events == 0;
        self.events = self.events.saturating_add(events as u32);
        let elapsed = now - self.since;
        if elapsed >= WINDOW {
            let every = elapsed / self.events.max(1);
            let worth = every * WORTH <= bound;
            let pause = if worth { bound.min(every * ENOUGH) } else { Duration::ZERO };
            *self = Coalesce { since: now, events: 0, pause, ..*self };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_micros(100);

    struct Second {
        polls: u32,
        pauses: u32,
        /// The longest that an event has waited.
        latest: Duration,
    }

    /// A second in which events come at a steady pace, each of them `work` for the worker.
    fn second(every: Duration, bound: Duration, work: Duration) -> Second {
        let mut policy = Coalesce::new(Instant::ZERO);
        let (mut now, mut polled, mut next) = (Instant::ZERO, Instant::ZERO, Instant::ZERO + every);
        let mut second = Second { polls: 0, pauses: 0, latest: Duration::ZERO };
        while now < Instant::ZERO + Duration::from_secs(1) {
            let pause = policy.until(polled, None);
            second.polls += 1;
            second.pauses += u32::from(pause.is_some());
            now = now.max(pause.unwrap_or(next));
            polled = now;
            let mut events = 0;
            while next <= polled {
                second.latest = second.latest.max(polled - next);
                (events, next) = (events + 1, next + every);
            }
            policy.polled(events, pause.is_some(), bound, now);
            now += work * events as u32;
        }
        second
    }

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn many_events_share_a_poll_and_none_waits_longer_than_the_bound() {
        let second = second(micros(10), BOUND, Duration::ZERO);
        // All but the first window goes in pauses, each of which brings ten events.
        assert!((9_000..=10_000).contains(&second.pauses), "{}", second.pauses);
        assert!(second.polls < 11_000 && second.latest <= BOUND, "{:?}", second.latest);
    }

    #[test]
    fn a_pause_is_no_longer_than_it_takes_to_gather_enough() {
        let second = second(micros(2), micros(500), Duration::ZERO);
        let expected = 1_000_000 / (2 * ENOUGH);
        assert!((expected * 99 / 100..=expected).contains(&second.pauses), "{}", second.pauses);
        assert!(second.latest <= micros(2) * ENOUGH, "{:?}", second.latest);
    }

    #[test]
    fn the_work_of_a_turn_counts_in_the_bound() {
        let light = second(micros(10), BOUND, micros(1));
        let heavy = second(micros(10), BOUND, micros(9));
        assert!(light.latest <= BOUND && heavy.latest <= BOUND, "{:?}", heavy.latest);
        assert!(heavy.polls < 11_000, "{}", heavy.polls);
    }

    #[test]
    fn few_events_are_not_kept_waiting() {
        for every in [micros(26), micros(20_000)] {
            let second = second(every, BOUND, Duration::ZERO);
            assert_eq!((second.pauses, second.latest), (0, Duration::ZERO));
        }
    }

    #[test]
    fn a_pause_is_never_longer_than_the_next_deadline_allows() {
        let mut policy = Coalesce::new(Instant::ZERO);
        let now = Instant::ZERO + WINDOW;
        policy.polled(500, false, BOUND, now);
        assert_eq!(policy.until(now, None), Some(now + BOUND));
        assert_eq!(policy.until(now, Some(micros(7))), Some(now + micros(7)));
        assert_eq!(policy.until(now, Some(Duration::ZERO)), None, "there is work");
    }

    #[test]
    fn a_pause_in_vain_is_followed_by_a_poll_that_sleeps() {
        let mut policy = Coalesce::new(Instant::ZERO);
        let now = Instant::ZERO + WINDOW;
        policy.polled(500, false, BOUND, now);
        policy.polled(0, true, BOUND, now + BOUND);
        assert_eq!(policy.until(now + BOUND, None), None);
        // Whatever ends that poll, the rate has not changed yet.
        policy.polled(1, false, BOUND, now + BOUND * 2);
        assert_eq!(policy.until(now + BOUND * 2, None), Some(now + BOUND * 3));
    }

    #[test]
    fn a_load_that_ends_ends_the_pauses() {
        let mut policy = Coalesce::new(Instant::ZERO);
        policy.polled(500, false, BOUND, Instant::ZERO + WINDOW);
        let later = Instant::ZERO + WINDOW * 3;
        policy.polled(1, false, BOUND, later);
        assert_eq!(policy.until(later, None), None);
    }
}
