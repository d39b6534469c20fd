//! A fleet of gateways in front of one set of endpoints, by a virtual clock: the claims of docs/scale.md, each
//! with its bound, for every seed.
//!
//! What decides is production code: `proxy::membership` says what of a told set is believed, `config` and
//! `proxy::endpoints` make of it whom a request may go to, `proxy::balance` where it goes,
//! `control::discovery` how long a source that fails is left alone. What is simulated is everything around
//! it: endpoints that come and go, a store, and the ways between.
//!
//! | variable | effect |
//! |---|---|
//! | `FLEET_SEED=n` | one seed |
//! | `FLEET_SEEDS=n` | so many seeds for each claim instead of a few hundred |

#[path = "fleet/affinity.rs"]
mod affinity;
#[path = "fleet/balance.rs"]
mod balance;
#[path = "fleet/convergence.rs"]
mod convergence;
#[path = "fleet/cost.rs"]
mod cost;
#[path = "fleet/gateway.rs"]
mod gateway;
#[path = "fleet/hints.rs"]
mod hints;
#[path = "fleet/limits.rs"]
mod limits;
#[path = "fleet/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Runs a claim for so many seeds, or as many as the environment says, and names the seed that it fails for.
fn for_seeds(count: u64, claim: impl Fn(u64)) {
    let seeds = match variable("FLEET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("FLEET_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        if let Err(reason) = catch_unwind(AssertUnwindSafe(|| claim(seed))) {
            eprintln!("FLEET_SEED={seed}");
            std::panic::resume_unwind(reason);
        }
    }
}
