//! Balancing: which of the endpoints that may be asked is asked.
//!
//! | policy | the endpoint is | state, per worker |
//! |---|---|---|
//! | least outstanding | the less loaded of two drawn at random | none |
//! | round robin | the one whose turn it is, smoothly by weight | a balance per endpoint |
//! | peak EWMA | of two drawn, the one likely to answer first | an average per endpoint |
//! | hash | the key's own, unless it is loaded above its share | none |
//!
//! Weights count in thousandths, so that an endpoint in its slow start has a fraction of one. Loads
//! are those of all workers ([`super::load`]), the rest is what this worker has seen.
//!
//! Nothing here allocates; a pick looks
//! at each candidate once or twice.

use std::net::SocketAddr;

use super::hash;
use super::random::Random;
use crate::clock::Instant;
use crate::config::snapshot::Balance;

mod affinity;
mod ewma;
pub mod key;
mod round_robin;
mod two_choices;

#[cfg(test)]
mod tests;

pub use affinity::HASH_LOAD_PERCENT;
pub use ewma::{FORGOTTEN_AFTER, TIME_CONSTANT};
pub use round_robin::RoundRobin;

use ewma::PeakEwma;

/// An endpoint that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its index among the upstream's endpoints.
    pub endpoint: usize,
    /// In thousandths; at least 1.
    pub weight: u64,
}

/// One upstream's policy, in one worker.
#[derive(Clone, Debug)]
pub struct Balancer {
    policy: Balance,
    /// One per endpoint, in their order.
    memory: Vec<Memory>,
}

/// What is remembered of an endpoint.
#[derive(Clone, Debug)]
struct Memory {
    /// A hash of its address: the same in every worker and every gateway.
    identity: u64,
    /// Round robin: the balance of its turns.
    current: i64,
    ttft: PeakEwma,
}

impl Balancer {
    /// `first`: with whom round robin begins, the next one behind it second. Workers and gateways that begin with
    /// different endpoints do not fill the same ones first.
    pub fn new(
        policy: Balance,
        addresses: impl IntoIterator<Item = Option<SocketAddr>>,
        first: usize,
    ) -> Balancer {
        let mut memory: Vec<Memory> = addresses.into_iter().map(Memory::new).collect();
        let count = memory.len();
        for (place, one) in memory.iter_mut().enumerate() {
            one.current = round_robin::beginning(place, first, count);
        }
        Balancer { policy, memory }
    }

    /// The same for a new list of endpoints, each with the index it had before, if it was there.
    pub fn reconcile(
        &mut self,
        endpoints: impl IntoIterator<Item = (Option<SocketAddr>, Option<usize>)>,
    ) {
        let old = std::mem::take(&mut self.memory);
        let kept = |(address, index): (Option<SocketAddr>, Option<usize>)| {
            index.map_or_else(|| Memory::new(address), |index: usize| old[index].clone())
        };
        self.memory = endpoints.into_iter().map(kept).collect();
    }

    /// Balances by this from now on.
    pub fn obey(&mut self, policy: Balance) {
        self.policy = policy;
    }

    /// The place among `candidates` of the one to ask; `None` if there are none.
    ///
    /// `key` is what makes requests alike; where the policy wants one and the request has none, it
    /// goes to the least loaded of two. `outstanding` tells the exchanges at an endpoint.
    pub fn pick(
        &mut self,
        candidates: &[Candidate],
        key: Option<u64>,
        now: Instant,
        random: &mut Random,
        outstanding: impl Fn(usize) -> u32,
    ) -> Option<usize> {
        let outstanding = |place: usize| u64::from(outstanding(candidates[place].endpoint));
        match (&self.policy, key) {
            _ if candidates.len() < 2 => candidates.len().checked_sub(1),
            (Balance::RoundRobin, _) => {
                let memory = &mut self.memory;
                let weights = candidates.iter().map(|one| (one.endpoint, one.weight));
                round_robin::next(weights, |&endpoint, weight| {
                    let current = &mut memory[endpoint].current;
                    *current += weight;
                    *current
                })
            }
            (Balance::Hash(_), Some(key)) => {
                affinity::pick(candidates, key, outstanding, |candidate| {
                    self.memory[candidate.endpoint].identity
                })
            }
            (Balance::PeakEwma, _) => {
                let (first, second) = two_choices::draw(candidates, random)?;
                let side = |place: usize| ewma::Side {
                    ttft: self.memory[candidates[place].endpoint].ttft.at(now),
                    outstanding: outstanding(place),
                    weight: candidates[place].weight,
                };
                Some(if ewma::is_better(side(second), side(first)) { second } else { first })
            }
            (Balance::LeastOutstanding | Balance::Hash(_), _) => {
                let (first, second) = two_choices::draw(candidates, random)?;
                let side = |place: usize| (outstanding(place), candidates[place].weight);
                Some(if two_choices::is_better(side(second), side(first)) { second } else { first })
            }
        }
    }

    /// A request was answered `ttft` after it was written, or not yet after so long.
    pub fn observe(&mut self, endpoint: usize, ttft: std::time::Duration, now: Instant) {
        self.memory[endpoint].ttft.observe(ttft, now);
    }

    /// The moving average of an endpoint's time to the first token, as it counts now.
    pub fn ttft(&self, endpoint: usize, now: Instant) -> Option<std::time::Duration> {
        self.memory[endpoint].ttft.at(now).map(std::time::Duration::from_secs_f64)
    }
}

impl Memory {
    /// Without an address it is never a candidate.
    fn new(address: Option<SocketAddr>) -> Memory {
        Memory {
            identity: address.map_or(0, hash::of_address),
            current: 0,
            ttft: PeakEwma::default(),
        }
    }
}
