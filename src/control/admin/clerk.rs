//! The clerk: what the office and its feeds know by themselves.

use std::fmt;
use std::sync::atomic::Ordering;

use super::Fleet;
use crate::clock::Instant;

/// How to reach the workers, and since when they run.
pub(super) struct Clerk {
    pub fleet: Fleet,
    pub started: Instant,
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clerk").field("workers", &self.fleet.posts.len()).finish_non_exhaustive()
    }
}

impl Clerk {
    pub fn is_ready(&self) -> bool {
        !self.fleet.draining.load(Ordering::Relaxed)
    }
}
