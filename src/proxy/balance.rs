//! Balancing: which endpoint of an upstream is next.

use std::collections::BTreeMap;

use crate::config::snapshot::{Endpoint, EndpointId};

/// Smooth weighted round robin (nginx's `ngx_http_upstream_get_peer` made it known): in every
/// `Σ weights` picks each endpoint is taken as often as its weight says, spread evenly.
#[derive(Debug, Default)]
pub struct RoundRobin {
    /// One balance per endpoint; those of a list that is always the same sum to zero between picks.
    current: BTreeMap<EndpointId, i64>,
}

impl RoundRobin {
    /// Index of the next endpoint.
    pub fn next(&mut self, endpoints: &[Endpoint]) -> usize {
        let total: i64 = endpoints.iter().map(|endpoint| i64::from(endpoint.weight)).sum();
        let (mut best, mut most) = (0, i64::MIN);
        for (index, endpoint) in endpoints.iter().enumerate() {
            let current = self.current.entry(endpoint.id).or_default();
            *current += i64::from(endpoint.weight);
            if *current > most {
                (best, most) = (index, *current);
            }
        }
        if let Some(endpoint) = endpoints.get(best) {
            *self.current.entry(endpoint.id).or_default() -= total;
        }
        best
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
            address: ([127, 0, 0, 1], 1).into(),
            authority: String::new(),
            weight,
        };
        let endpoints = [endpoint(1, 5), endpoint(2, 1), endpoint(3, 1)];
        let mut robin = RoundRobin::default();
        let picks: Vec<_> = (0..14).map(|_| robin.next(&endpoints)).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }
}
