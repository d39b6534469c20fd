//! Consistent hashing with bounded load: the same endpoint for the same key, but never one that
//! has more than its share to do.
//!
//! **Rendezvous hashing** (Thaler and Ravishankar 1998), not a ring: every candidate draws a number
//! from the key and its own address, and the best one has the key. Without an endpoint only its own
//! keys move, each to another place; one that is new takes its share from all; weights are exact,
//! and so a slow start moves keys by and by. A ring needs hundreds of points per endpoint for shares
//! this even and has to be built anew for each change. Its look-up is O(log n) where this is O(n),
//! once a request.
//!
//! **Bounded load** (Mirrokni, Thorup and Zadimoghaddam 2016): an endpoint whose outstanding
//! exchanges have reached [`HASH_LOAD_PERCENT`] of its fair share, this request counted, is passed
//! over, and the key goes to its next best. The bounds of all together are above what is
//! outstanding, so one is always below its own.

use super::{Candidate, two_choices};
use crate::proxy::hash::mix;

/// What an endpoint may have outstanding, in percent of its share by weight.
pub const HASH_LOAD_PERCENT: u64 = 125;

/// The place of the key's endpoint among `candidates`.
pub(super) fn pick(
    candidates: &[Candidate],
    key: u64,
    outstanding: impl Fn(usize) -> u64,
    identity: impl Fn(&Candidate) -> u64,
) -> Option<usize> {
    let total: u64 = (0..candidates.len()).map(&outstanding).sum();
    let weights: u64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let mut best: Option<(usize, f64)> = None;
    let mut idlest: Option<(usize, (u64, u64))> = None;
    for (place, candidate) in candidates.iter().enumerate() {
        let load = (outstanding(place), candidate.weight);
        if idlest.is_none_or(|(_, least)| two_choices::is_better(load, least)) {
            idlest = Some((place, load));
        }
        if load.0 >= bound(total, candidate.weight, weights) {
            continue;
        }
        let score = score(key, identity(candidate), candidate.weight);
        if best.is_none_or(|(_, least)| score < least) {
            best = Some((place, score));
        }
    }
    // Other workers may have begun exchanges between the sum and the look at each: then all may
    // seem to be above their bound, and the least loaded is the closest to it.
    best.map(|(place, _)| place).or(idlest.map(|(place, _)| place))
}

/// The exchanges an endpoint may have, if `total` are outstanding and one is to come.
pub(super) fn bound(total: u64, weight: u64, weights: u64) -> u64 {
    ((total + 1) * weight * HASH_LOAD_PERCENT).div_ceil(weights * 100)
}

/// The smallest wins: an exponentially distributed time with the weight as its rate, so that each
/// wins as often as its weight says.
fn score(key: u64, identity: u64, weight: u64) -> f64 {
    // 53 bits, the middle of their interval: never 0, never 1.
    let unit = ((mix(key ^ identity) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -unit.ln() / weight as f64
}
