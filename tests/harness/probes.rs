//! Who is at an endpoint that its breaker has taken out: nobody while it is open, and one exchange,
//! the probe, while it is half-open.
//!
//! The worker is asked after each turn how each endpoint stands and how many exchanges are at it.
//! Those that were there when the breaker opened are *stragglers* and may stay; their number only
//! falls. Whoever is there besides has been let in.

use std::collections::BTreeMap;

use sluicegate::config::snapshot::{EndpointId, UpstreamId};
use sluicegate::proxy::breaker::Standing;
use sluicegate::proxy::endpoints::View;

/// What is known of the endpoints of one worker.
#[derive(Debug, Default)]
pub struct Probes {
    /// Of an endpoint that is out: the most exchanges that can be there from before.
    stragglers: BTreeMap<(UpstreamId, EndpointId), usize>,
    /// Breakers that had closed by the last turn.
    closed: u64,
    /// Endpoints that were seen with a probe, once for each turn.
    pub seen: usize,
}

impl Probes {
    /// How the endpoints stand after a turn. `closed`: breakers that have closed so far.
    pub fn see(
        &mut self,
        endpoints: impl Iterator<Item = (UpstreamId, View)>,
        closed: u64,
    ) -> Result<(), String> {
        // One that closes and opens again in one turn looks as if it had been open all the time.
        if std::mem::replace(&mut self.closed, closed) != closed {
            self.stragglers.clear();
        }
        for (upstream, view) in endpoints {
            let key = (upstream, view.endpoint);
            let allowed = match view.breaker {
                None | Some(Standing::Closed | Standing::SlowStart | Standing::Suspect) => {
                    self.stragglers.remove(&key);
                    continue;
                }
                Some(Standing::Open | Standing::Unauthorized) => 0,
                // After a 429 a breaker may be half-open too.
                Some(Standing::HalfOpen | Standing::Resting) => 1,
            };
            let there = view.outstanding as usize;
            let stragglers = self.stragglers.entry(key).or_insert(there);
            *stragglers = there.min(*stragglers);
            let admitted = there - *stragglers;
            if admitted > allowed {
                return Err(format!(
                    "{admitted} exchanges were let in at an endpoint that is {}",
                    view.breaker.map_or("", Standing::name)
                ));
            }
            self.seen += admitted;
        }
        Ok(())
    }
}
