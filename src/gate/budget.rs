//! Budgets: how much was used up in a day or a month, in one atomic word.
//!
//! Days and months are those of UTC. The word holds the number of the period beside the sum, so the first
//! addition of a new period begins at nothing, and no worker has to be told that a day is over.
//!
//! A clock that goes back over midnight does not begin the day before anew: the period before the one that is
//! counted is the same one. So what was spent stays spent, and workers whose clocks are read a moment apart at
//! midnight count into one sum. A clock that goes back further was wrong before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::http::date::civil;

/// Bits of the sum; those above hold the number of the period, which comes round after 4,096 of them.
const SUM_BITS: u32 = 52;
/// The largest sum that is counted.
pub const SUM_MAX: u64 = (1 << SUM_BITS) - 1;

const DAY: u64 = 86_400;

/// How long a budget holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    Day,
    Month,
}

impl Period {
    /// The number of the period that this second of the clock lies in.
    pub fn number(self, unix: u64) -> u64 {
        match self {
            Period::Day => unix / DAY,
            Period::Month => {
                let (year, month, _) = civil(unix / DAY);
                year * 12 + month - 1
            }
        }
    }

    /// How long it lasts from this second on.
    pub fn rest(self, unix: u64) -> Duration {
        let mut end = (unix / DAY + 1) * DAY;
        // A month has at most 31 days.
        while self.number(end) == self.number(unix) {
            end += DAY;
        }
        Duration::from_secs(end - unix)
    }

    pub fn name(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Month => "month",
        }
    }
}

/// The sum of one period, added to by all workers.
#[derive(Debug, Default)]
pub struct PeriodSum(AtomicU64);

impl PeriodSum {
    /// What was used in the period of this number; nothing, if the last addition was in another.
    pub fn read(&self, number: u64) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        if is_of(word, number) { word & SUM_MAX } else { 0 }
    }

    pub fn add(&self, number: u64, amount: u64) {
        let add = |word: u64| {
            let (period, before) = match is_of(word, number) {
                true => (word >> SUM_BITS, word & SUM_MAX),
                false => (shortened(number), 0),
            };
            Some(period << SUM_BITS | before.saturating_add(amount).min(SUM_MAX))
        };
        let order = Ordering::Relaxed;
        // The update never declines.
        let _ = self.0.fetch_update(order, order, add);
    }
}

/// Whether what this word holds counts in the period of this number.
fn is_of(word: u64, number: u64) -> bool {
    let held = word >> SUM_BITS;
    held == shortened(number) || held == shortened(number + 1)
}

fn shortened(number: u64) -> u64 {
    number % (1 << (64 - SUM_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::timestamp;

    fn second(text: &str) -> u64 {
        timestamp::read(text).expect("a moment")
    }

    #[test]
    fn a_sum_begins_anew_with_its_period() {
        let sum = PeriodSum::default();
        let (today, tomorrow) = (second("2026-11-30T23:59:59Z"), second("2026-12-01T00:00:00Z"));
        let day = |unix| Period::Day.number(unix);
        sum.add(day(today), 40);
        sum.add(day(today), 2);
        assert_eq!((sum.read(day(today)), sum.read(day(tomorrow))), (42, 0));
        sum.add(day(tomorrow), 1);
        assert_eq!((sum.read(day(tomorrow)), sum.read(day(today) - 1)), (1, 0));
        sum.add(day(tomorrow), u64::MAX);
        assert_eq!(sum.read(day(tomorrow)), SUM_MAX);
    }

    #[test]
    fn a_clock_that_goes_back_over_midnight_gives_nothing_back() {
        let sum = PeriodSum::default();
        let day = |text| Period::Day.number(second(text));
        sum.add(day("2026-12-01T23:00:00Z"), 40);
        sum.add(day("2026-12-02T00:10:00Z"), 7);
        // An hour back: what was spent of the new day is spent, and so is what is spent now.
        let back = day("2026-12-01T23:10:00Z");
        assert_eq!(sum.read(back), 7);
        sum.add(back, 5);
        assert_eq!((sum.read(back), sum.read(day("2026-12-02T00:10:01Z"))), (12, 12));
        // It was days ahead: that was another day.
        assert_eq!(sum.read(day("2026-11-28T12:00:00Z")), 0);
        sum.add(day("2026-11-28T12:00:00Z"), 3);
        assert_eq!(sum.read(day("2026-11-28T13:00:00Z")), 3);
    }

    #[test]
    fn a_period_ends_at_midnight_of_utc() {
        for (at, day, month) in [
            ("2026-12-01T00:00:00Z", 86_400, 31 * 86_400),
            ("2026-12-31T23:59:59Z", 1, 1),
            ("2024-02-28T12:00:00Z", 43_200, 43_200 + 86_400),
        ] {
            let rest = |period: Period| period.rest(second(at)).as_secs();
            assert_eq!((rest(Period::Day), rest(Period::Month)), (day, month), "{at}");
        }
        let number = |at| Period::Month.number(second(at));
        assert_eq!(number("2027-01-01T00:00:00Z"), number("2026-12-31T00:00:00Z") + 1);
    }
}
