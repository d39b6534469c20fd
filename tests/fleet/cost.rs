//! What a set costs to take up: as much as it is long, and no more.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sluicegate::clock;

use super::gateway::{Believer, HASH, Picker, Server, default_belief};

/// The CPU of this thread: what else runs on the machine does not count.
fn spent() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The CPU that a set of so many costs of which one in eight is replaced by another, from what is believed
/// to whom a worker picks: the least of several.
fn change_of(count: Server) -> Duration {
    let belief = default_belief();
    let now = |step: Server| clock::Instant::ZERO + Duration::from_secs(1_000 + u64::from(step));
    let mut believer = Believer::default();
    let mut picker = Picker::new(HASH, 1);
    let mut least = Duration::MAX;
    for step in 0..20 {
        let gone = step * count / 8;
        let servers: Vec<Server> = (gone..gone + count).collect();
        let began = spent();
        believer.told(&servers, &belief, now(step));
        believer.due(now(step));
        picker.obey(believer.in_force(), now(step));
        // Not the first ones: nobody has left yet that has to be looked through.
        if step >= 10 {
            least = least.min(spent() - began);
        }
    }
    least
}

/// Eight times as many endpoints may cost eight times as much, and not 64 times.
#[test]
fn a_set_costs_in_proportion_to_its_length() {
    let (few, many) = (change_of(128), change_of(1_024));
    println!("128 endpoints {few:?}, 1,024 {many:?}");
    assert!(many < few * 20, "128 endpoints {few:?}, 1,024 {many:?}");
}
