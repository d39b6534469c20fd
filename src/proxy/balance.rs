//! Balancing: which endpoint of an upstream is next.

use crate::config::snapshot::Endpoint;

/// Smooth weighted round robin (nginx's `ngx_http_upstream_get_peer` made it known): in every
/// `Σ weights` picks each endpoint is taken as often as its weight says, spread evenly.
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
        let total: i64 = endpoints.iter().map(|endpoint| i64::from(endpoint.weight)).sum();
        let mut best = 0;
        for (index, endpoint) in endpoints.iter().enumerate() {
            self.current[index] += i64::from(endpoint.weight);
            if self.current[index] > self.current[best] {
                best = index;
            }
        }
        self.current[best] -= total;
        best
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
}
