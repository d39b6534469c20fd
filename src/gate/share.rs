//! The share of a rate that this gateway has, where the rate holds across a fleet.
//!
//! A bucket keeps what is taken as a part of the minute. When the share moves, that part is another: what is
//! left stays the same number of requests or tokens, up to the new share. So moving shares around a fleet
//! makes nothing: what all buckets of a fleet hold together is never more than the limit, and what they let
//! through in any time is no more than one bucket would have.
//!
//! * Workers read the word of the bucket first and the share then. The share is moved in the order in which
//!   whoever reads between the two pays too much, and gets too little back: never the other way.
//! * One thread moves shares; nobody waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::bucket::MinuteBucket;
use crate::clock::Instant;

/// Where a gateway has no share at all, it may have one after the next round.
const NEXT_ROUND: Duration = Duration::from_secs(1);

/// A share of a rate per minute. It begins as none.
#[derive(Debug, Default)]
pub struct RateShare {
    now: AtomicU64,
    /// What the bucket counts in: the last share that was not none.
    scale: AtomicU64,
    /// The larger of two between which it moves.
    larger: AtomicU64,
    granted: AtomicBool,
    /// How much was asked for, whether or not it was let in.
    asked: AtomicU64,
}

impl RateShare {
    /// So much may be used from now on. The first that is `granted` begins with a full bucket; behind that, only
    /// time fills it.
    pub fn set(&self, bucket: &MinuteBucket, share: u64, granted: bool, now: Instant) {
        let first = granted && !self.granted.swap(true, Ordering::Relaxed);
        let scale = self.scale.load(Ordering::Relaxed);
        if share > 0 && share != scale {
            self.larger.store(share.max(scale), Ordering::Release);
            if first || scale == 0 {
                self.now.store(share, Ordering::Release);
            } else if share > scale {
                bucket.rescale(scale, share, now);
                self.now.store(share, Ordering::Release);
            } else {
                self.now.store(share, Ordering::Release);
                bucket.rescale(scale, share, now);
            }
            self.scale.store(share, Ordering::Release);
            self.larger.store(share, Ordering::Release);
        } else {
            self.now.store(share, Ordering::Release);
        }
    }

    pub fn get(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    /// How much was ever asked for.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn ask(&self, amount: u64) {
        self.asked.fetch_add(amount, Ordering::Relaxed);
    }
}

/// A rate of a key, as its settings have it: of this gateway alone, or a share of the fleet's.
#[derive(Clone, Copy, Debug)]
pub struct KeyRate<'k> {
    /// As the configuration has it.
    pub limit: u64,
    pub(super) bucket: &'k MinuteBucket,
    /// `None`: it is this gateway's alone.
    pub(super) share: Option<&'k RateShare>,
}

impl KeyRate<'_> {
    /// What this gateway may let in of it.
    pub fn own(&self) -> u64 {
        self.share.map_or(self.limit, RateShare::get)
    }

    /// Takes so much, or says how long until it is there.
    pub fn take(&self, amount: u64, now: Instant) -> Result<(), Duration> {
        let Some(share) = self.share else { return self.bucket.take(self.limit, amount, now) };
        share.ask(amount);
        self.bucket.take_of(|| share.get(), amount, now).unwrap_or(Err(NEXT_ROUND))
    }

    /// Takes what was used beyond what was reserved.
    pub(super) fn charge(&self, amount: u64, now: Instant) {
        let Some(share) = self.share else { return self.bucket.charge(self.limit, amount, now) };
        share.ask(amount);
        // Where there is no share any more, in what it was counted last.
        let scale = || match share.get() {
            0 => share.scale.load(Ordering::Acquire),
            own => own,
        };
        self.bucket.charge_of(scale, amount, now);
    }

    pub(super) fn give_back(&self, amount: u64) {
        match self.share {
            None => self.bucket.give_back(self.limit, amount),
            Some(share) => {
                self.bucket.give_back_of(|| share.larger.load(Ordering::Acquire), amount);
            }
        }
    }

    /// How much can be taken here now.
    pub fn left(&self, now: Instant) -> u64 {
        self.bucket.left(self.own(), now)
    }

    /// How long until it is full, if nobody takes anything.
    pub fn full_in(&self, now: Instant) -> Duration {
        self.bucket.full_in(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_share_that_moves_makes_nothing_and_loses_what_has_no_room() {
        let (share, bucket) = (RateShare::default(), MinuteBucket::default());
        let rate = KeyRate { limit: 600, bucket: &bucket, share: Some(&share) };
        assert_eq!(rate.take(1, at(1)), Err(NEXT_ROUND), "there is none yet");
        share.set(&bucket, 75, false, at(1));
        assert_eq!((rate.left(at(1)), rate.own()), (75, 75));
        share.set(&bucket, 0, false, at(1));
        assert_eq!((rate.take(1, at(1)), rate.left(at(1))), (Err(NEXT_ROUND), 0));
        share.set(&bucket, 300, true, at(1));
        assert_eq!(rate.left(at(1)), 300, "what is granted first is full");
        assert_eq!(rate.take(100, at(1)), Ok(()));
        share.set(&bucket, 600, true, at(1));
        assert_eq!(rate.left(at(1)), 200, "a share that grows is filled by time alone");
        assert_eq!(rate.left(at(13)), 320);
        share.set(&bucket, 60, true, at(13));
        assert_eq!(rate.left(at(13)), 60, "beyond the share nothing is kept");
        share.set(&bucket, 600, true, at(13));
        assert_eq!(rate.left(at(13)), 60, "and does not come back with it");
        // A debt is the same number of tokens.
        rate.charge(160, at(13));
        share.set(&bucket, 60, true, at(13));
        assert_eq!(rate.take(10, at(13)), Err(Duration::from_secs(110)));
        share.set(&bucket, 600, true, at(13));
        assert_eq!(rate.take(10, at(13)), Err(Duration::from_secs(11)));
        rate.give_back(160);
        assert_eq!(rate.left(at(13)), 60);
        assert_eq!(share.asked(), 1 + 1 + 100 + 160 + 10 + 10);
    }

    #[test]
    fn workers_get_no_more_while_a_share_moves_under_their_hands() {
        let (share, bucket) = (RateShare::default(), MinuteBucket::default());
        share.set(&bucket, 1_000, true, at(1));
        let rate = KeyRate { limit: 9_000, bucket: &bucket, share: Some(&share) };
        let taken: u64 = std::thread::scope(|scope| {
            let takes = || {
                let mut taken = 0;
                for _ in 0..4_000 {
                    if rate.take(2, at(1)).is_ok() {
                        rate.give_back(1);
                        taken += 1;
                    }
                }
                taken
            };
            let workers: Vec<_> = (0..3).map(|_| scope.spawn(takes)).collect();
            for round in 0..4_000 {
                share.set(&bucket, 1_000 + round % 7 * 500, true, at(1));
            }
            workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
        });
        assert!(taken <= 1_000, "{taken}");
    }
}
