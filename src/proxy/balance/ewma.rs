//! Peak EWMA: how long an endpoint takes to its first token, and who is likely to answer first.
//!
//! The idea is that of Twitter's Finagle: an average that believes bad news at once and good news
//! by and by. A slower answer than the average replaces it; a faster one moves it, the more the
//! longer ago the last one was ([`TIME_CONSTANT`]). While an endpoint is not heard from, its average
//! fades towards zero, so that one that was slow once is asked again; after [`FORGOTTEN_AFTER`]
//! nothing is known of it any more.
//!
//! The one taken has the smaller `average × (outstanding + 1) / weight`. An endpoint of which
//! nothing is known is taken at once while it has nothing to do, and then counts as fast as the
//! other one: it gets a request to be known by, and not all of them before it has answered one.

use std::time::Duration;

use crate::clock::Instant;

/// After so long, what was heard last counts for two thirds.
pub const TIME_CONSTANT: Duration = Duration::from_secs(10);
/// After so long without a word, nothing is known.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// The average of one endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct PeakEwma {
    /// In seconds, and when it was that; `None`: nothing has been heard yet.
    heard: Option<(f64, Instant)>,
}

impl PeakEwma {
    pub fn observe(&mut self, ttft: Duration, now: Instant) {
        let sample = ttft.as_secs_f64();
        let average = match self.heard {
            Some((average, at)) if sample < average && now.since(at) < FORGOTTEN_AFTER => {
                sample + (average - sample) * fading(at, now)
            }
            _ => sample,
        };
        self.heard = Some((average, now));
    }

    /// In seconds, as it counts now; `None`: unknown.
    pub fn at(&self, now: Instant) -> Option<f64> {
        let (average, at) = self.heard?;
        (now.since(at) < FORGOTTEN_AFTER).then(|| average * fading(at, now))
    }
}

fn fading(at: Instant, now: Instant) -> f64 {
    (-now.since(at).as_secs_f64() / TIME_CONSTANT.as_secs_f64()).exp()
}

/// One of two endpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// In seconds.
    pub ttft: Option<f64>,
    pub outstanding: u64,
    pub weight: u64,
}

/// Whether the first one is likely to answer before the second.
pub(super) fn is_better(first: Side, second: Side) -> bool {
    let untried = |side: &Side| side.ttft.is_none() && side.outstanding == 0;
    match (untried(&first), untried(&second)) {
        (true, false) => true,
        (_, true) => false,
        (false, false) => {
            let as_fast = |side: &Side, other: &Side| side.ttft.or(other.ttft).unwrap_or(1.0);
            let cost = |side: &Side, other: &Side| {
                as_fast(side, other) * (side.outstanding + 1) as f64 / side.weight as f64
            };
            cost(&first, &second) < cost(&second, &first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn bad_news_count_at_once_and_good_news_by_and_by() {
        let mut ewma = PeakEwma::default();
        let average = |ewma: &PeakEwma, at| ewma.at(after(at)).map(|s| (s * 1_000.0).round());
        assert_eq!(average(&ewma, 0), None);
        for (at, millis, expected) in [
            (0, 100, 100.0),
            (0, 900, 900.0),
            // At the same moment a good one weighs nothing; a time constant later, 63 %.
            (0, 100, 900.0),
            (10, 100, 394.0),
            (11, 2_000, 2_000.0),
            (12, 2_001, 2_001.0),
            (42, 100, 100.0),
        ] {
            ewma.observe(Duration::from_millis(millis), after(at));
            assert_eq!(average(&ewma, at), Some(expected), "at {at}: {millis}");
        }
    }

    #[test]
    fn silence_fades_and_then_forgets() {
        let mut ewma = PeakEwma::default();
        ewma.observe(Duration::from_secs(10), after(0));
        let found: Vec<_> = [0, 10, 29, 30].map(|at| ewma.at(after(at))).into();
        assert_eq!(found[0], Some(10.0));
        assert!(found[1].is_some_and(|s| (3.67..3.69).contains(&s)), "{found:?}");
        assert!(found[2].is_some_and(|s| (0.5..0.6).contains(&s)), "{found:?}");
        assert_eq!(found[3], None);
    }

    #[test]
    fn who_answers_first() {
        let side = |millis: Option<u32>, outstanding, weight| Side {
            ttft: millis.map(|millis| f64::from(millis) / 1_000.0),
            outstanding,
            weight,
        };
        for (first, second, better) in [
            (side(Some(100), 0, 1), side(Some(200), 0, 1), true),
            (side(Some(200), 0, 1), side(Some(100), 0, 1), false),
            (side(Some(100), 0, 1), side(Some(100), 0, 1), false),
            (side(Some(100), 2, 1), side(Some(200), 0, 1), false),
            (side(Some(100), 2, 4), side(Some(200), 0, 1), true),
            // Unknown: at once while idle, then by load.
            (side(None, 0, 1), side(Some(1), 0, 1), true),
            (side(Some(1), 0, 1), side(None, 0, 1), false),
            (side(None, 1, 1), side(Some(1), 0, 1), false),
            (side(None, 1, 1), side(Some(1), 2, 1), true),
            (side(None, 0, 1), side(None, 0, 1), false),
            (side(None, 1, 1), side(None, 2, 1), true),
        ] {
            assert_eq!(is_better(first, second), better, "{first:?} {second:?}");
        }
    }
}
