//! The clerk: what the office and its feeds know by themselves.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::WorkerHandles;
use super::playground::Playground;
use crate::clock::Instant;

/// How to reach the workers, and since when they run.
pub(super) struct Clerk {
    pub workers: WorkerHandles,
    pub started: Instant,
    pub playground: Playground,
    /// A successor serves at the same addresses.
    retired: AtomicBool,
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clerk").field("workers", &self.workers.posts.len()).finish_non_exhaustive()
    }
}

impl Clerk {
    pub fn new(workers: WorkerHandles, started: Instant) -> Clerk {
        let playground = Playground::new(workers.door);
        Clerk { workers, started, playground, retired: AtomicBool::new(false) }
    }

    /// Whether new work is welcome at our addresses. A probe that still reaches a process that has
    /// been succeeded asks for the service, not for that process.
    pub fn is_ready(&self) -> bool {
        self.is_retired() || !self.workers.draining.load(Ordering::Relaxed)
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}
