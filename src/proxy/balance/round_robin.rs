//! Smooth weighted round robin (nginx's `ngx_http_upstream_get_peer` made it known): in every
//! `Σ weights` picks each endpoint is taken as often as its weight says, spread evenly.
//!
//! Every pick gives each candidate its weight, and takes the sum from the one with the most. The
//! balances of the candidates sum to what they summed to before, so an endpoint that is out for a
//! while comes back with the balance it left with, and not with the turns it missed.
//!
//! Balances that all begin at nothing begin with the first endpoint, in every worker of every gateway. Each
//! begins with another one instead.

use std::collections::BTreeMap;

use crate::config::snapshot::{Endpoint, EndpointId};

/// The place of the next one among `candidates`, each a name and a weight. `add` changes the
/// balance of a name and tells what it has become.
pub(super) fn next<K>(
    candidates: impl Iterator<Item = (K, u64)>,
    mut add: impl FnMut(&K, i64) -> i64,
) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(usize, K, i64)> = None;
    for (place, (name, weight)) in candidates.enumerate() {
        // At most a million: a weight of 1,000 in thousandths.
        let weight = i64::try_from(weight).unwrap_or(i64::MAX >> 32);
        total += weight;
        let balance = add(&name, weight);
        if best.as_ref().is_none_or(|(_, _, most)| balance > *most) {
            best = Some((place, name, balance));
        }
    }
    let (place, name, _) = best?;
    add(&name, -total);
    Some(place)
}

/// The balance with which the endpoint at `place` of so many begins, where the one at `first` has the first turn:
/// less than a turn apart, so it decides among those that are equal, and nothing else.
pub(super) fn beginning(place: usize, first: usize, count: usize) -> i64 {
    let behind = (place + count - first % count.max(1)) % count.max(1);
    -i64::try_from(behind * 1_000 / count.max(1)).unwrap_or_default()
}

/// A round robin over endpoints that are all well.
#[derive(Debug, Default)]
pub struct RoundRobin {
    /// One balance per endpoint; those of a list that is always the same sum to zero between picks.
    current: BTreeMap<EndpointId, i64>,
}

impl RoundRobin {
    /// Index of the next endpoint.
    pub fn next(&mut self, endpoints: &[Endpoint]) -> usize {
        let weights = endpoints.iter().map(|endpoint| (endpoint.id, u64::from(endpoint.weight)));
        let add = |id: &EndpointId, weight: i64| {
            let current = self.current.entry(*id).or_default();
            *current += weight;
            *current
        };
        next(weights, add).unwrap_or(0)
    }

    /// Forgets the endpoints that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(EndpointId) -> bool) {
        self.current.retain(|endpoint, _| keep(*endpoint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_kept_and_spread() {
        let endpoint = |id, weight| Endpoint {
            id: EndpointId(id),
            address: None,
            tls: None,
            authority: String::new(),
            base_bytes: 0,
            name: String::new(),
            weight,
            priority: 0,
            sharing: 1,
        };
        let endpoints = [endpoint(1, 5), endpoint(2, 1), endpoint(3, 1)];
        let mut robin = RoundRobin::default();
        let picks: Vec<_> = (0..14).map(|_| robin.next(&endpoints)).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn turns_missed_are_not_made_up_for() {
        let mut memory = [0i64; 2];
        let mut turn = |candidates: &[usize]| {
            let weights = candidates.iter().map(|&endpoint| (endpoint, 1_000));
            let place = next(weights, |&endpoint, weight| {
                memory[endpoint] += weight;
                memory[endpoint]
            });
            place.map(|place| candidates[place])
        };
        assert_eq!(turn(&[]), None);
        (0..100).for_each(|_| assert_eq!(turn(&[0]), Some(0)));
        let picks: Vec<_> = (0..6).filter_map(|_| turn(&[0, 1])).collect();
        assert_eq!(picks, [0, 1, 0, 1, 0, 1]);
    }
}
