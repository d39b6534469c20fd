//! What a set costs to take up: as much as it is long, and no more.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sluicegate::clock;

use super::gateway::{Believer, HASH, Picker, Server, default_belief, environment, member};

/// The CPU of this thread: what else runs on the machine does not count.
fn spent() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Of a source that tells so many, the moment of each step, and what is told at it: one in eight is replaced by
/// another, each time.
fn steps(count: Server) -> impl Iterator<Item = (clock::Instant, Vec<Server>)> {
    (0..20).map(move |step: Server| {
        let gone = step * count / 8;
        let now = clock::Instant::ZERO + Duration::from_secs(1_000 + u64::from(step));
        (now, (gone..gone + count).collect())
    })
}

/// The least that a step costs, once there are some who have left and have to be looked through.
fn least(costs: impl Iterator<Item = Duration>) -> Duration {
    costs.skip(10).min().expect("more than ten")
}

/// The CPU of what is believed of a set.
fn belief_of(count: Server) -> Duration {
    let (belief, mut believer) = (default_belief(), Believer::default());
    least(steps(count).map(|(now, servers)| {
        let began = spent();
        believer.told(&servers, &belief, now);
        believer.due(now);
        spent() - began
    }))
}

/// The CPU from there to whom a worker picks.
fn following_of(count: Server) -> Duration {
    let mut picker = Picker::new(HASH, 1);
    least(steps(count).map(|(now, servers)| {
        let began = spent();
        picker.obey(&servers, now);
        spent() - began
    }))
}

/// Sixteen times as many endpoints may cost sixteen times as much, and the logarithm; not 256 times.
#[test]
fn a_set_costs_in_proportion_to_its_length() {
    let (few, many) = (belief_of(256), belief_of(4_096));
    println!("belief: 256 endpoints {few:?}, 4,096 {many:?}");
    assert!(many < few * 40, "belief: 256 endpoints {few:?}, 4,096 {many:?}");
    // No more are told of one upstream.
    let (few, many) = (following_of(64), following_of(1_024));
    println!("following: 64 endpoints {few:?}, 1,024 {many:?}");
    assert!(many < few * 30, "following: 64 endpoints {few:?}, 1,024 {many:?}");
}

/// The CPU of reading a configuration that lists so many endpoints: the least of several.
fn read_of(count: Server) -> Duration {
    let endpoints: Vec<String> =
        (0..count).map(|one| format!("{:?}", member(one).address)).collect();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:80\"]\n[[upstream]]\nname = \"llama\"\nendpoints = [{}]\n\
         [[route]]\npath = \"/*\"\nupstream = \"llama\"\n",
        endpoints.join(",")
    );
    let read = |_| {
        let began = spent();
        assert!(sluicegate::config::parse(&text, environment()).is_ok());
        spent() - began
    };
    (0..5).map(read).min().expect("several")
}

/// Sixteen times as many may cost sixteen times as much, and not 256 times.
#[test]
fn a_list_of_endpoints_is_read_in_proportion_to_its_length() {
    let (few, many) = (read_of(128), read_of(2_048));
    println!("128 endpoints {few:?}, 2,048 {many:?}");
    assert!(many < few * 40, "128 endpoints {few:?}, 2,048 {many:?}");
}
