//! The power of two random choices (Mitzenmacher 2001): of two endpoints drawn at random take the
//! one with less to do.
//!
//! Taking the least loaded of all would send every worker to the same endpoint at the same moment,
//! the one that has just come free or just come back. Two random ones spread them, and the longest
//! queue is nearly as short.
//!
//! Both are drawn by weight, the second among the others. What they have outstanding is compared by
//! weight too; if it is the same, the first one drawn is taken. So without load the shares of the
//! traffic are exactly the weights, and under load they follow who gets done.

use super::Candidate;
use crate::proxy::random::Random;

/// The places of two different candidates; twice the same if there is but one.
pub(super) fn draw(candidates: &[Candidate], random: &mut Random) -> Option<(usize, usize)> {
    let total: u64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let first = at(candidates, None, random.below(total))?;
    let rest = total - candidates[first].weight;
    let second = at(candidates, Some(first), random.below(rest)).unwrap_or(first);
    Some((first, second))
}

/// The place where the sum of the weights, without that at `without`, passes `point`.
fn at(candidates: &[Candidate], without: Option<usize>, mut point: u64) -> Option<usize> {
    for (place, candidate) in candidates.iter().enumerate() {
        if Some(place) == without {
            continue;
        }
        if point < candidate.weight {
            return Some(place);
        }
        point -= candidate.weight;
    }
    None
}

/// Whether the first, with so many outstanding at such a weight, has less to do than the second.
pub(super) fn is_better(first: (u64, u64), second: (u64, u64)) -> bool {
    // o₁/w₁ < o₂/w₂ without a division.
    first.0 * second.1 < second.0 * first.1
}
