//! What this gateway's workers have done lately: totals, looked at every ten seconds, of which the last
//! ten minutes are kept.
//!
//! Workers are read through their counters, which they write anyway.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::judge::{Figures, Times};
use crate::measure::ends::{EndClass, class_of};
use crate::measure::histogram::{Histogram, Sample};
use crate::measure::hops::HOPS;
use crate::measure::stats::Counters;

/// How often totals are looked at.
const STEP: Duration = Duration::from_secs(10);
/// How far back they reach.
pub const WINDOW: Duration = Duration::from_secs(600);

pub struct Meter {
    /// One per worker.
    counters: Vec<Arc<Counters>>,
    /// The oldest first.
    looks: VecDeque<(Instant, Totals)>,
}

/// What was counted since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    requests: u64,
    failed: u64,
    refused: u64,
    predefined: u64,
    queue: Sample,
    first_byte: Sample,
    first_token: Sample,
}

impl Meter {
    pub fn new(counters: Vec<Arc<Counters>>) -> Meter {
        Meter { counters, looks: VecDeque::new() }
    }

    /// Keeps the totals of now, where it is time.
    pub fn look(&mut self, now: Instant) {
        let is_due = |(last, _): &(Instant, Totals)| now.saturating_duration_since(*last) >= STEP;
        if !self.looks.back().is_none_or(is_due) {
            return;
        }
        let old = |(at, _): &(Instant, Totals)| now.saturating_duration_since(*at) > WINDOW;
        while self.looks.front().is_some_and(old) {
            self.looks.pop_front();
        }
        let totals = self.totals();
        self.looks.push_back((now, totals));
    }

    pub fn totals(&self) -> Totals {
        Totals::of(&self.counters)
    }

    /// What was counted so far says nothing of what comes: it was counted under another candidate, which
    /// may have been a bad one.
    pub fn forget(&mut self) {
        self.looks.clear();
    }

    /// What has happened since `mark`, which was taken at `since`; of more than ten minutes, the last
    /// ten.
    pub fn since(&self, (since, mark): &(Instant, Totals), now: Instant) -> Figures {
        let from = self.looks.iter().find(|(at, _)| now.saturating_duration_since(*at) <= WINDOW);
        let from = from.filter(|(at, _)| at > since).map_or(mark, |(_, totals)| totals);
        self.totals().since(from)
    }

    /// What had happened in the ten minutes before `mark` was taken, as far as they are known.
    pub fn before(&self, mark: &Totals) -> Figures {
        self.looks.front().map_or_else(Figures::default, |(_, first)| mark.since(first))
    }
}

impl Totals {
    /// What these workers have counted by now.
    pub fn of(counters: &[Arc<Counters>]) -> Totals {
        let mut totals = Totals::default();
        for counters in counters {
            for (reason, count) in counters.ends.iter() {
                match class_of(reason) {
                    EndClass::Answered => totals.requests += count,
                    EndClass::Refused => {
                        totals.requests += count;
                        totals.refused += count;
                    }
                    EndClass::Failed => {
                        totals.requests += count;
                        totals.failed += count;
                    }
                    EndClass::Nobodys => {}
                }
            }
            totals.refused += counters.answers_4xx.get();
            totals.predefined += counters.fallbacks.get();
            let add = |hop: &str, sample: &mut Sample| {
                let place = HOPS.iter().position(|name| *name == hop);
                let hop: Option<&Histogram> = place.and_then(|place| counters.hops.get(place));
                hop.into_iter().for_each(|hop| hop.add_to(sample));
            };
            add("queue", &mut totals.queue);
            add("first_byte", &mut totals.first_byte);
            counters.first_event.add_to(&mut totals.first_token);
        }
        totals
    }

    /// What was counted after `earlier`.
    pub fn since(&self, earlier: &Totals) -> Figures {
        let times = |now: &Sample, then: &Sample| {
            let sample = now.since(then);
            let quantile = |share| sample.quantile(share).unwrap_or(0);
            Times { count: sample.count(), p50_us: quantile(0.5), p95_us: quantile(0.95) }
        };
        Figures {
            requests: self.requests.saturating_sub(earlier.requests),
            failed: self.failed.saturating_sub(earlier.failed),
            refused: self.refused.saturating_sub(earlier.refused),
            predefined: self.predefined.saturating_sub(earlier.predefined),
            queue: times(&self.queue, &earlier.queue),
            first_byte: times(&self.first_byte, &earlier.first_byte),
            first_token: times(&self.first_token, &earlier.first_token),
        }
    }

    /// Requests that are over.
    pub fn requests(&self) -> u64 {
        self.requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_before_and_after_a_mark_and_no_more_than_ten_minutes_of_it() {
        let counters = Arc::new(Counters::default());
        let mut meter = Meter::new(vec![Arc::clone(&counters)]);
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let ends = |reasons: &[&str]| reasons.iter().for_each(|reason| counters.ends.add(reason));
        ends(&["complete"; 3]);
        meter.look(at(0));
        ends(&["complete", "upstream_reset", "no_route", "client_gone"]);
        counters.first_event.record(1_000);
        // Not due yet.
        meter.look(at(9));
        let mark = (at(9), meter.totals());
        let before = meter.before(&mark.1);
        assert_eq!((before.requests, before.failed, before.refused), (3, 1, 1));
        assert_eq!((before.first_token.count, before.first_token.p50_us), (1, 1_023));
        assert_eq!(meter.since(&mark, at(9)), Figures::default());

        ends(&["complete"; 10]);
        counters.answers_4xx.add(2);
        counters.fallbacks.add(1);
        counters.hops[1].record(7);
        counters.hops[4].record(3);
        let now = meter.since(&mark, at(10));
        assert_eq!((now.requests, now.failed, now.refused, now.predefined), (10, 0, 2, 1));
        assert_eq!((now.queue.p95_us, now.first_byte.p50_us, now.queue.count), (7, 3, 1));
        (1..=100).for_each(|step| meter.look(at(10 * step)));
        ends(&["complete"; 5]);
        assert_eq!(meter.since(&mark, at(1_001)).requests, 5, "the ten are too long ago");
        assert!(meter.looks.len() <= 61, "{}", meter.looks.len());
        meter.forget();
        assert_eq!(meter.before(&meter.totals()), Figures::default());
    }
}
