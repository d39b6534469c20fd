//! The rate at which places come free, measured while somebody waits.
//!
//! Only then: an upstream that is half idle frees as many places as it is given requests, which
//! says nothing of how fast it would empty a queue.
//!
//! An exponentially decaying sum with one add per freed place, which one place a second would bring
//! to 1 in the long run. Divided by the share of that long run which has been measured, it tells
//! the rate from the first second on.

use std::time::Duration;

use crate::clock::Instant;

/// What happened so long ago has a weight of 1/e. Long enough for streams of many seconds.
const MEMORY: Duration = Duration::from_secs(30);
/// From less than this no rate is told.
const MEASURED_MIN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct DrainRate {
    sum: f64,
    /// Measured time up to `since`, or in all while it rests.
    measured: Duration,
    /// Since when it is measured and not yet counted in. `None`: it rests.
    since: Option<Instant>,
}

impl DrainRate {
    /// Somebody begins to wait.
    pub fn resume(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Nobody waits any more.
    pub fn pause(&mut self, now: Instant) {
        self.advance(now);
        self.since = None;
    }

    /// A place came free.
    pub fn freed(&mut self, now: Instant) {
        if self.since.is_some() {
            self.advance(now);
            self.sum += 1.0 / MEMORY.as_secs_f64();
        }
    }

    /// `None`: no place has come free while somebody waited.
    pub fn per_second(&self, now: Instant) -> Option<f64> {
        let fresh = self.since.map_or(Duration::ZERO, |since| now - since);
        let measured = (self.measured + fresh).max(MEASURED_MIN);
        let rate = self.sum * decay(fresh) / (1.0 - decay(measured));
        (self.sum > 0.0).then_some(rate)
    }

    fn advance(&mut self, now: Instant) {
        let Some(since) = self.since.replace(now) else {
            self.since = None;
            return;
        };
        let fresh = now - since;
        self.sum *= decay(fresh);
        self.measured += fresh;
    }
}

fn decay(time: Duration) -> f64 {
    (-time.as_secs_f64() / MEMORY.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_steady_rate_is_told_from_the_first_second_and_followed() {
        let mut drain = DrainRate::default();
        drain.resume(at(0));
        let told = |drain: &DrainRate, millis| drain.per_second(at(millis)).unwrap_or(0.0);
        assert_eq!(drain.per_second(at(5_000)), None);
        for half_second in 1..=10_u64 {
            drain.freed(at(half_second * 500));
            let rate = told(&drain, half_second * 500);
            assert!(half_second < 2 || (1.9..=2.3).contains(&rate), "{half_second}: {rate}");
        }
        // Ten in five seconds, none for thirty.
        assert!((0.15..0.2).contains(&told(&drain, 35_000)), "{}", told(&drain, 35_000));
        for second in 35..=155 {
            drain.freed(at(second * 1_000));
        }
        assert!((0.95..=1.05).contains(&told(&drain, 155_000)), "{}", told(&drain, 155_000));
    }

    #[test]
    fn while_nobody_waits_nothing_is_measured() {
        let mut drain = DrainRate::default();
        drain.freed(at(10));
        assert_eq!(drain.per_second(at(10)), None);
        drain.resume(at(0));
        (1..=10).for_each(|second| drain.freed(at(second * 1_000)));
        drain.pause(at(10_000));
        let before = drain.per_second(at(10_000)).unwrap();
        drain.freed(at(500_000));
        drain.pause(at(600_000));
        assert_eq!(drain.per_second(at(3_600_000)), Some(before));
        drain.resume(at(3_600_000));
        assert_eq!(drain.per_second(at(3_600_000)), Some(before));
        assert!((0.9..1.2).contains(&before), "{before}");
    }
}
