//! `server.coalesce`: fewer polls for the same tokens, none of them later than the bound.

use std::time::Duration;

use crate::harness::scenario::{LATENCY, Simulation, TARGET};
use crate::seed;
use sluicegate::sim::{ClientId, Counts, Visit};

const BOUND: Duration = Duration::from_millis(2);
const EVERY: Duration = Duration::from_millis(20);
const STREAMS: u32 = 100;
const TOKENS: usize = 50;

/// Paced streams that begin one after the other, so that their tokens come evenly. What half a
/// second of them costs, and when each answer was complete.
fn streams(coalesce: Option<Duration>) -> (Counts, Vec<Duration>) {
    let mut world = Simulation::new(seed!())
        .configure(|snapshot| snapshot.server.coalesce = coalesce)
        .upstream(|u| u.tokens(TOKENS, "data: token\n\n", EVERY).end_chunks());
    let clients: Vec<ClientId> = (0..STREAMS)
        .map(|index| world.start(Visit::new().after(EVERY * index / STREAMS).get(TARGET)))
        .collect();
    world.run_for(EVERY * 5);
    let before = world.world.counts();
    world.run_for(EVERY * 25);
    let spent = world.world.counts() - before;
    world.run();
    let start = sluicegate::clock::Instant::ZERO;
    let ends = clients.iter().map(|client| world.received(*client).answered[0] - start).collect();
    world.assert_clean();
    (spent, ends)
}

#[test]
fn many_tokens_share_a_turn_and_none_is_later_than_the_bound() {
    let (plain, without) = streams(None);
    let (coalesced, with) = streams(Some(BOUND));
    assert_eq!((plain.reads, plain.writes), (coalesced.reads, coalesced.writes));
    assert_eq!(coalesced.would_block, 0);
    // Ten tokens come in the time of a pause.
    assert!(coalesced.polls * 8 < plain.polls, "{} and {}", coalesced.polls, plain.polls);
    for (without, with) in without.iter().zip(&with) {
        let later = with.saturating_sub(*without);
        // The request, the connection and the end of the answer may have waited once each.
        assert!(later <= 3 * (BOUND + LATENCY), "{later:?}");
    }
}

#[test]
fn one_stream_is_not_kept_waiting() {
    let finish = |coalesce| {
        let mut world = Simulation::new(seed!())
            .configure(|snapshot| snapshot.server.coalesce = coalesce)
            .upstream(|u| u.tokens(TOKENS, "data: token\n\n", EVERY).end_chunks());
        world.client().get(TARGET).finish().ended_at
    };
    assert_eq!(finish(None), finish(Some(BOUND)));
}
