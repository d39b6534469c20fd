//! Choosing an endpoint for an attempt, and taking in how it went.

use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::proxy::breaker::Outcome;
use sluicegate::proxy::endpoints::{Choice, Endpoints, Search, Tried};
use sluicegate::proxy::load::SharedLoad;

use super::stage::snapshot;

/// As the configuration writes them.
pub const POLICIES: [&str; 4] =
    ["\"least_outstanding\"", "\"round_robin\"", "\"peak_ewma\"", "{ hash.prompt = \"1KiB\" }"];

/// So many endpoints under such a policy.
pub fn endpoints(balance: &str, count: u16) -> Endpoints {
    let addresses: Vec<_> = (1..=count).map(|port| format!("127.0.0.1:{port}")).collect();
    let upstream = snapshot(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n\
         [[upstream]]\nname = \"models\"\nendpoints = {addresses:?}\nbalance = {balance}\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"models\"\n"
    ))
    .upstreams
    .remove(0);
    Endpoints::new(&upstream, SharedLoad::new(&upstream.endpoints), 7)
}

/// One attempt from its choice to its end.
pub fn attempt(endpoints: &mut Endpoints, key: u64, outcome: Outcome, now: Instant) {
    let request = Search {
        tried: &Tried::none(),
        key: Some(key),
        last_resort: true,
        degrades: false,
        unheard: true,
        only: None,
    };
    match endpoints.pick(&request, now) {
        Choice::Endpoint(pick) => {
            endpoints.first_event(&pick, Some(Duration::from_millis(key % 97)), now);
            endpoints.record(pick, outcome, now);
        }
        Choice::Full | Choice::Loading { .. } | Choice::WakeFailed { .. } | Choice::None { .. } => {
        }
    }
}
