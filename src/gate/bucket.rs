//! Buckets: how much of a rate per minute, or per second, is left, in one atomic word.
//!
//! What is kept is the instant at which the bucket will be full again (the generic cell rate algorithm).
//! Taking moves it away, the clock comes nearer by itself, so nothing has to be filled up.
//!
//! ```text
//!   now ──────────── full again ──────────── now + 1 minute
//!    │◀── is taken ──▶│◀──────── is left ────────▶│
//! ```
//!
//! * One bucket serves all workers: a taking is one exchange of the word, and nobody holds a lock.
//! * What is taken is a part of the minute, not a number: when a reload changes the limit, the same part
//!   stays taken.
//! * Where the limit is a share that moves ([`super::share`]), the number that is left stays the same, and the
//!   limit is read behind the word.
//! * A bucket starts full. It can be in debt, by what was used beyond what was reserved; then nobody
//!   takes anything before the debt has run off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Instant;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// A debt of more than a week is none that anybody waits for.
const DEBT_MAX: u64 = 7 * 24 * 60 * MINUTE;

/// A rate per minute.
pub type MinuteBucket = RateBucket<MINUTE>;
/// A rate per second.
pub type SecondBucket = RateBucket<SECOND>;

/// A rate per so many nanoseconds that is used up and comes back. `limit` is an argument of each call:
/// the configuration's, at least 1.
#[derive(Debug, Default)]
pub struct RateBucket<const SPAN: u64> {
    /// The nanosecond of the clock at which it is full.
    full: AtomicU64,
}

impl<const SPAN: u64> RateBucket<SPAN> {
    /// Takes `amount`, or says how long until so much is there. More than `limit` counts as `limit`: it
    /// can be taken from a full bucket.
    pub fn take(&self, limit: u64, amount: u64, now: Instant) -> Result<(), Duration> {
        self.take_of(|| limit.max(1), amount, now).unwrap_or(Ok(()))
    }

    /// The same of a limit that moves. `None`: it is 0, and nothing can be taken.
    pub(super) fn take_of(
        &self,
        limit: impl Fn() -> u64,
        amount: u64,
        now: Instant,
    ) -> Option<Result<(), Duration>> {
        let now = now.as_nanos();
        let mut known = self.full.load(Ordering::Acquire);
        loop {
            let limit = limit();
            if limit == 0 {
                return None;
            }
            let full = known.max(now) + cost(SPAN, limit, amount.min(limit));
            if full > now + SPAN {
                return Some(Err(Duration::from_nanos(full - now - SPAN)));
            }
            match self.exchange(known, full) {
                Ok(()) => return Some(Ok(())),
                Err(other) => known = other,
            }
        }
    }

    /// Takes `amount` whether or not it is there.
    pub fn charge(&self, limit: u64, amount: u64, now: Instant) {
        self.charge_of(|| limit, amount, now);
    }

    /// The same of a limit that moves.
    pub(super) fn charge_of(&self, limit: impl Fn() -> u64, amount: u64, now: Instant) {
        let now = now.as_nanos();
        let mut known = self.full.load(Ordering::Acquire);
        loop {
            let full = known.max(now).saturating_add(cost(SPAN, limit(), amount));
            match self.exchange(known, full) {
                Ok(()) => return,
                Err(other) => known = other,
            }
        }
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&self, limit: u64, amount: u64) {
        self.give_back_of(|| limit, amount);
    }

    /// The same of a limit that moves.
    pub(super) fn give_back_of(&self, limit: impl Fn() -> u64, amount: u64) {
        let mut known = self.full.load(Ordering::Acquire);
        loop {
            let limit = limit();
            let full = known.saturating_sub(cost(SPAN, limit, amount.min(limit)));
            match self.exchange(known, full) {
                Ok(()) => return,
                Err(other) => known = other,
            }
        }
    }

    /// The limit is another one: as much is left as before, if there is room for it. Of a fraction nothing.
    pub(super) fn rescale(&self, old: u64, new: u64, now: Instant) {
        let (now, span) = (now.as_nanos(), i128::from(SPAN));
        let mut known = self.full.load(Ordering::Acquire);
        loop {
            let taken = i128::from(known.saturating_sub(now));
            let left = (span - taken) * i128::from(old);
            let left = left.div_euclid(i128::from(new.max(1))).min(span);
            // A debt is bounded, as in `cost`.
            let taken = u64::try_from(span - left).unwrap_or(u64::MAX).min(DEBT_MAX + SPAN);
            match self.exchange(known, now + taken) {
                Ok(()) => return,
                Err(other) => known = other,
            }
        }
    }

    /// How much can be taken now.
    pub fn left(&self, limit: u64, now: Instant) -> u64 {
        let taken = self.full.load(Ordering::Relaxed).saturating_sub(now.as_nanos());
        let left = u128::from(SPAN.saturating_sub(taken)) * u128::from(limit);
        // It is at most `limit`.
        (left / u128::from(SPAN)) as u64
    }

    /// How long until it is full, if nobody takes anything.
    pub fn full_in(&self, now: Instant) -> Duration {
        let full = self.full.load(Ordering::Relaxed);
        Duration::from_nanos(full.saturating_sub(now.as_nanos()))
    }

    fn exchange(&self, known: u64, full: u64) -> Result<(), u64> {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        self.full.compare_exchange_weak(known, full, done, failed).map(drop)
    }
}

/// The part of the span that `amount` is of a limit, in nanoseconds.
fn cost(span: u64, limit: u64, amount: u64) -> u64 {
    let cost = u128::from(amount) * u128::from(span) / u128::from(limit.max(1));
    u64::try_from(cost).unwrap_or(u64::MAX).min(DEBT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_bucket_gives_its_limit_at_once_and_then_as_it_comes_back() {
        let bucket = MinuteBucket::default();
        for _ in 0..6 {
            assert_eq!(bucket.take(6, 1, at(1_000)), Ok(()));
        }
        assert_eq!(bucket.left(6, at(1_000)), 0);
        assert_eq!(bucket.full_in(at(1_000)), Duration::from_secs(60));
        assert_eq!(bucket.take(6, 1, at(1_000)), Err(Duration::from_secs(10)));
        assert_eq!(bucket.take(6, 1, at(10_999)), Err(Duration::from_millis(1)));
        // The wait that was told is the wait that is needed.
        assert_eq!(bucket.take(6, 1, at(11_000)), Ok(()));
        assert_eq!(bucket.take(6, 1, at(11_000)), Err(Duration::from_secs(10)));
        assert_eq!(bucket.left(6, at(100_000)), 6);
        assert_eq!(bucket.take(6, 6, at(100_000)), Ok(()));
    }

    #[test]
    fn what_is_reserved_is_settled() {
        let bucket = MinuteBucket::default();
        assert_eq!(bucket.take(1_000, 800, at(0)), Ok(()));
        assert_eq!(bucket.take(1_000, 300, at(0)), Err(Duration::from_secs(6)));
        bucket.give_back(1_000, 700);
        assert_eq!(bucket.left(1_000, at(0)), 900);
        // Used beyond what was there: a debt.
        bucket.charge(1_000, 1_900, at(0));
        assert_eq!(bucket.left(1_000, at(0)), 0);
        assert_eq!(bucket.take(1_000, 1, at(0)), Err(Duration::from_millis(60_060)));
        assert_eq!(bucket.take(1_000, 1, at(60_060)), Ok(()));
        // Nothing is given back beyond what the bucket holds.
        bucket.give_back(1_000, 5_000);
        bucket.give_back(1_000, 5_000);
        assert_eq!(bucket.left(1_000, at(61_000)), 1_000);
    }

    #[test]
    fn more_than_the_limit_needs_a_full_bucket() {
        let bucket = MinuteBucket::default();
        assert_eq!(bucket.take(100, 5_000, at(0)), Ok(()));
        assert_eq!(bucket.take(100, 5_000, at(30_000)), Err(Duration::from_secs(30)));
        assert_eq!(bucket.take(100, 5_000, at(60_000)), Ok(()));
    }

    #[test]
    fn another_limit_leaves_the_same_part_taken() {
        let bucket = MinuteBucket::default();
        assert_eq!(bucket.take(100, 50, at(0)), Ok(()));
        assert_eq!((bucket.left(100, at(0)), bucket.left(1_000, at(0))), (50, 500));
    }

    #[test]
    fn workers_take_no_more_than_there_is_together() {
        let bucket = MinuteBucket::default();
        let taken: u64 = std::thread::scope(|scope| {
            let takes = || (0..2_000).filter(|_| bucket.take(1_000, 1, at(5)).is_ok()).count();
            let workers: Vec<_> = (0..3).map(|_| scope.spawn(takes)).collect();
            workers.into_iter().map(|worker| worker.join().expect("no panic") as u64).sum()
        });
        assert_eq!(taken, 1_000);
    }
}
