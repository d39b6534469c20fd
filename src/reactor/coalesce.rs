//! Coalescing: whether a worker that has nothing to do sleeps a little before it asks for more.
//!
//! A poll that sleeps ends with the first event. Where thousands of streams are active the next
//! one is a few microseconds away, so a worker wakes for one token, and again for the next, and
//! most of the wake-ups are the price of being early. One that sleeps for a bounded time, and only
//! then asks, finds many tokens at once.
//!
//! ```text
//!   without:   token wake token wake token wake …
//!   with:      sleep ──── token token token ──── sleep ──── token token …
//! ```
//!
//! * Off (a bound of zero) costs one comparison a turn.
//! * It adapts: a worker pauses only while at least [`WORTH`] events may be expected of a pause,
//!   going by the rate of the last [`WINDOW`]. A pause that brought nothing ends it at once.
//! * No event waits longer than the bound, give or take the kernel's timer.
//!
//! Absent on purpose: the clock and the sleep. Both are the caller's.

use std::time::Duration;

use crate::clock::Instant;

/// Over how long the rate of events is taken.
pub const WINDOW: Duration = Duration::from_millis(5);
/// Events that a pause has to bring to be worth it: with fewer, most of them would only be late.
pub const WORTH: u64 = 2;

/// The policy of one worker.
#[derive(Clone, Copy, Debug)]
pub struct Coalesce {
    since: Instant,
    /// Events since then.
    events: u64,
    pausing: bool,
}

impl Coalesce {
    pub fn new(now: Instant) -> Coalesce {
        Coalesce { since: now, events: 0, pausing: false }
    }

    /// How long to sleep before the next poll, which may itself sleep for `timeout`; zero: not.
    pub fn pause(&self, bound: Duration, timeout: Option<Duration>) -> Duration {
        if self.pausing { bound.min(timeout.unwrap_or(bound)) } else { Duration::ZERO }
    }

    /// A poll has brought `events` events; `paused`, if a pause went before it.
    pub fn polled(&mut self, events: usize, paused: bool, bound: Duration, now: Instant) {
        self.events += events as u64;
        let elapsed = now - self.since;
        if paused && events == 0 {
            *self = Coalesce::new(now);
        } else if elapsed >= WINDOW {
            let expected = u128::from(self.events) * bound.as_nanos() / elapsed.as_nanos();
            *self = Coalesce { pausing: expected >= u128::from(WORTH), ..Coalesce::new(now) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_micros(100);

    /// Events that come at a steady pace, each found by a poll of its own unless there are pauses:
    /// how many pauses a second has, and whether it ends with one.
    fn second(every: Duration, bound: Duration) -> (u64, bool) {
        let mut policy = Coalesce::new(Instant::ZERO);
        let (mut now, mut next, mut pauses) = (Instant::ZERO, Instant::ZERO + every, 0);
        while now < Instant::ZERO + Duration::from_secs(1) {
            let pause = policy.pause(bound, None);
            pauses += u64::from(!pause.is_zero());
            now = if pause.is_zero() { now.max(next) } else { now + pause };
            let mut events = 0;
            while next <= now {
                (events, next) = (events + 1, next + every);
            }
            policy.polled(events, !pause.is_zero(), bound, now);
        }
        (pauses, !policy.pause(bound, None).is_zero())
    }

    #[test]
    fn a_worker_pauses_where_many_events_come_in_a_pause() {
        let (pauses, on) = second(Duration::from_micros(10), BOUND);
        // All but the first window goes in pauses, each of which brings ten events.
        assert!(on && (9_000..=10_000).contains(&pauses), "{pauses}");
    }

    #[test]
    fn few_events_are_not_kept_waiting() {
        assert_eq!(second(Duration::from_micros(60), BOUND), (0, false));
        assert_eq!(second(Duration::from_millis(20), BOUND), (0, false));
    }

    #[test]
    fn off_is_off_however_many_events_come() {
        assert_eq!(second(Duration::from_nanos(100), Duration::ZERO), (0, false));
    }

    #[test]
    fn a_pause_is_never_longer_than_the_next_deadline_allows() {
        let mut policy = Coalesce::new(Instant::ZERO);
        policy.polled(1_000, false, BOUND, Instant::ZERO + WINDOW);
        assert_eq!(policy.pause(BOUND, None), BOUND);
        assert_eq!(policy.pause(BOUND, Some(Duration::from_micros(7))), Duration::from_micros(7));
        assert_eq!(policy.pause(BOUND, Some(Duration::ZERO)), Duration::ZERO, "there is work");
    }

    #[test]
    fn one_pause_in_vain_is_enough() {
        let mut policy = Coalesce::new(Instant::ZERO);
        policy.polled(1_000, false, BOUND, Instant::ZERO + WINDOW);
        policy.polled(3, true, BOUND, Instant::ZERO + WINDOW + BOUND);
        assert_eq!(policy.pause(BOUND, None), BOUND);
        policy.polled(0, true, BOUND, Instant::ZERO + WINDOW + BOUND + BOUND);
        assert_eq!(policy.pause(BOUND, None), Duration::ZERO);
    }
}
