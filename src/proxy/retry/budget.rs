//! The retry budget of one upstream: how many retries it is spared when it is in trouble.
//!
//! Without one, an outage multiplies its own load by `attempts` just when there is least to spare.
//! With one, retries are a share of the requests of the last ten seconds, so single failures are
//! retried as if there were no limit, and an outage costs 1.2 times its load and not twice.
//!
//! A share of little is nothing, so every upstream has ten a second besides, as with Finagle and
//! Linkerd. They are more than the faults in a row that open a breaker (five by default): where there
//! is little traffic, an endpoint that fails is found out before a request goes unanswered.
//!
//! **What is promised:** of the retries ever made, no more than the share of the requests ever made,
//! plus ten for each second in which there was one. A retry stays in the window as long as
//! any request that it can have been paid from, so nothing is spent twice.
//!
//! Ten slots of a second, per worker, never allocated. The window is between nine and ten seconds
//! long, as slots are dropped whole.

use crate::clock::Instant;

const SLOTS: usize = 10;
const SLOT_NANOS: u64 = 1_000_000_000;
/// Retries a second that need no share.
const FLOOR: u32 = 10;

#[derive(Clone, Debug, Default)]
pub struct RetryBudget {
    slots: [Slot; SLOTS],
    /// The second that the newest slot counts.
    second: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    pub fn new() -> RetryBudget {
        RetryBudget::default()
    }

    /// A request has come to this upstream for the first time. Retries are no requests.
    pub fn on_request(&mut self, now: Instant) {
        let slot = self.slot(now);
        slot.requests = slot.requests.saturating_add(1);
    }

    /// Pays for one retry, if `percent` of the requests allow it.
    pub fn spend(&mut self, percent: u32, now: Instant) -> bool {
        let floor = self.slot(now).retries < FLOOR;
        let requests: u64 = self.slots.iter().map(|slot| u64::from(slot.requests)).sum();
        let retries: u64 = self.slots.iter().map(|slot| u64::from(slot.retries)).sum();
        let share = (retries + 1) * 100 <= requests * u64::from(percent);
        // Nought is meant: no retries at all.
        let paid = percent > 0 && (share || floor);
        if paid {
            self.slot(now).retries += 1;
        }
        paid
    }

    /// The slot of this second, with those emptied that have grown too old.
    fn slot(&mut self, now: Instant) -> &mut Slot {
        let second = now.as_nanos() / SLOT_NANOS;
        let passed = second.saturating_sub(self.second);
        for old in 0..passed.min(SLOTS as u64) {
            self.slots[((second - old) % SLOTS as u64) as usize] = Slot::default();
        }
        self.second += passed;
        &mut self.slots[(self.second % SLOTS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn spent(budget: &mut RetryBudget, percent: u32, millis: u64) -> usize {
        (0..1_000).take_while(|_| budget.spend(percent, at(millis))).count()
    }

    #[test]
    fn retries_are_a_share_of_the_requests_of_ten_seconds() {
        let mut budget = RetryBudget::new();
        (0..100).for_each(|_| budget.on_request(at(500)));
        assert_eq!(spent(&mut budget, 20, 600), 20);
        (0..100).for_each(|_| budget.on_request(at(5_000)));
        assert_eq!(spent(&mut budget, 20, 9_900), 20, "both count for ten seconds");
        assert_eq!(
            spent(&mut budget, 20, 10_100),
            10,
            "the first have passed, and the floor is left"
        );
        assert_eq!(spent(&mut budget, 20, 3_600_000), 10);
    }

    #[test]
    fn low_traffic_may_retry_ten_times_a_second_and_nought_means_none() {
        let mut budget = RetryBudget::new();
        assert_eq!(spent(&mut budget, 20, 0), 10);
        assert_eq!(spent(&mut budget, 20, 999), 0);
        assert_eq!(spent(&mut budget, 20, 1_000), 10);
        (0..100).for_each(|_| budget.on_request(at(1_000)));
        assert_eq!(spent(&mut budget, 0, 2_000), 0);
    }

    proptest! {
        #![proptest_config(crate::properties::cases(256))]
        /// Whatever the traffic: never more than the share of all requests and the floor.
        #[test]
        fn it_is_never_exceeded(
            percent in 0..=100_u32,
            traffic in prop::collection::vec((0..3_000_u64, 0..60_u32, 0..60_u32), 1..200),
        ) {
            let mut budget = RetryBudget::new();
            let (mut millis, mut requests, mut retries) = (0, 0, 0);
            let mut seconds = std::collections::BTreeSet::new();
            for (pause, arriving, failing) in traffic {
                millis += pause;
                (0..arriving).for_each(|_| budget.on_request(at(millis)));
                requests += arriving;
                let paid = (0..failing).filter(|_| budget.spend(percent, at(millis))).count();
                retries += paid as u32;
                if paid > 0 {
                    seconds.insert(millis / 1_000);
                }
                let bound = requests * percent / 100 + FLOOR * seconds.len() as u32;
                prop_assert!(retries <= bound, "{retries} of {requests}");
                prop_assert!(percent > 0 || retries == 0);
            }
        }
    }
}
