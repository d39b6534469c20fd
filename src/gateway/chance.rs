//! Chance: all that a worker makes of its seed: draws, the ids of requests, those of traces.
//!
//! The seed differs from worker to worker and from start to start, so ids do; a simulation gives the
//! same one again, and everything repeats itself.

use crate::http::request_id::RequestId;
use crate::proxy::random::Random;
use crate::proxy::trace::Ids;

/// What one worker makes of its seed.
pub(crate) struct Chance {
    seed: u64,
    random: Random,
    trace_ids: Ids,
    /// How many requests were given an id.
    named: u32,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance { seed, random: Random::new(seed), trace_ids: Ids::new(seed), named: 0 }
    }

    /// For groups, which draw for themselves.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// A number, for a decision that wants one.
    pub(crate) fn draw(&mut self) -> u64 {
        self.random.draw()
    }

    /// An id for a request that has brought none.
    #[inline]
    pub(crate) fn request_id(&mut self) -> RequestId {
        self.named = self.named.wrapping_add(1);
        RequestId::made(self.seed as u32, self.named)
    }

    /// The ids of traces and spans.
    #[inline]
    pub(crate) fn trace_ids(&mut self) -> &mut Ids {
        &mut self.trace_ids
    }
}
