//! The workers of a process, seen from one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::gateway::command::Command;
use crate::reactor::mailbox::Sender;

/// The workers of a process, seen from one of them.
pub struct Fleet<S> {
    /// The connections of each worker, open or on their way to it; `None`: accepted connections are
    /// not balanced. The worker that places a connection adds one, the worker that closes it takes
    /// one away: no count is lost, however the threads interleave.
    pub balance: Option<Arc<[AtomicUsize]>>,
    pub mailboxes: Vec<Sender<Command<S>>>,
    /// Which of the workers this one is.
    pub index: usize,
}

impl<S> Fleet<S> {
    /// A connection of this worker is closed.
    pub(crate) fn departed(&self) {
        if let Some(loads) = &self.balance {
            loads[self.index].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The worker a new connection should go to. A difference of one is not worth the trip.
    pub(crate) fn least_loaded(&self, loads: &[AtomicUsize]) -> usize {
        let load = |index: usize| loads[index].load(Ordering::Relaxed);
        let least = (0..loads.len()).min_by_key(|index| load(*index)).unwrap_or(self.index);
        if load(least) + 1 < load(self.index) { least } else { self.index }
    }
}
