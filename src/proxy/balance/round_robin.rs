//! Smooth weighted round robin (nginx's `ngx_http_upstream_get_peer` made it known): in every
//! `Σ weights` picks each endpoint is taken as often as its weight says, spread evenly.
//!
//! Every pick gives each candidate its weight, and takes the sum from the one with the most. The
//! balances of the candidates sum to what they summed to before, so an endpoint that is out for a
//! while comes back with the balance it left with, and not with the turns it missed.

use crate::config::snapshot::Endpoint;

/// The place of the next one among `candidates`, each an index into `memory` and a weight.
pub(super) fn next<M>(
    candidates: impl Iterator<Item = (usize, u64)>,
    memory: &mut [M],
    current: impl Fn(&mut M) -> &mut i64,
) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(usize, usize, i64)> = None;
    for (place, (endpoint, weight)) in candidates.enumerate() {
        // At most a million: a weight of 1,000 in thousandths.
        let weight = i64::try_from(weight).unwrap_or(i64::MAX >> 32);
        total += weight;
        let balance = current(&mut memory[endpoint]);
        *balance += weight;
        if best.is_none_or(|(_, _, most)| *balance > most) {
            best = Some((place, endpoint, *balance));
        }
    }
    let (place, endpoint, _) = best?;
    *current(&mut memory[endpoint]) -= total;
    Some(place)
}

/// A round robin over a fixed list of endpoints that are all well.
#[derive(Debug, Default)]
pub struct RoundRobin {
    /// One balance per endpoint; they sum to zero between picks.
    current: Vec<i64>,
}

impl RoundRobin {
    pub fn new(endpoints: usize) -> RoundRobin {
        RoundRobin { current: vec![0; endpoints] }
    }

    /// Index of the next endpoint; `endpoints` are the ones the round robin was made for.
    pub fn next(&mut self, endpoints: &[Endpoint]) -> usize {
        debug_assert_eq!(endpoints.len(), self.current.len());
        let weights = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).enumerate();
        next(weights, &mut self.current, |balance| balance).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_kept_and_spread() {
        let endpoint = |weight| Endpoint {
            address: ([127, 0, 0, 1], 1).into(),
            authority: String::new(),
            weight,
        };
        let endpoints = [endpoint(5), endpoint(1), endpoint(1)];
        let mut robin = RoundRobin::new(3);
        let picks: Vec<_> = (0..14).map(|_| robin.next(&endpoints)).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn turns_missed_are_not_made_up_for() {
        let mut memory = [0i64; 2];
        let mut turn = |candidates: &[usize]| {
            let weights = candidates.iter().map(|&endpoint| (endpoint, 1_000));
            let place = next(weights, &mut memory, |balance| balance);
            place.map(|place| candidates[place])
        };
        assert_eq!(turn(&[]), None);
        (0..100).for_each(|_| assert_eq!(turn(&[0]), Some(0)));
        let picks: Vec<_> = (0..6).filter_map(|_| turn(&[0, 1])).collect();
        assert_eq!(picks, [0, 1, 0, 1, 0, 1]);
    }
}
