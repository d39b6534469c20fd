//! The crew: the workers of a process, seen from one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::snapshot::{EndpointId, UpstreamId};
use crate::gateway::command::{Command, Newcomer};
use crate::reactor::mailbox::Sender;

/// The workers of a process, seen from one of them.
pub struct Crew<S> {
    balance: Option<Arc<[AtomicUsize]>>,
    mailboxes: Vec<Sender<Command<S>>>,
    index: usize,
}

impl<S> Crew<S> {
    /// The worker at `index` of those that these mailboxes belong to. `balance`: the connections of
    /// each worker, open or on their way to it; `None`: accepted connections are not balanced. The
    /// worker that places a connection adds one, the worker that closes it takes one away: no count is
    /// lost, however the threads interleave.
    pub fn new(
        balance: Option<Arc<[AtomicUsize]>>,
        mailboxes: Vec<Sender<Command<S>>>,
        index: usize,
    ) -> Crew<S> {
        Crew { balance, mailboxes, index }
    }

    /// Which of the workers this one is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Gives an accepted connection to a worker that has fewer. `Err`: it stays with this one.
    pub(crate) fn hand_over(&self, stream: S, from: Newcomer) -> Result<(), (S, Newcomer)> {
        let Some(loads) = &self.balance else { return Err((stream, from)) };
        let place = self.least_loaded(loads);
        loads[place].fetch_add(1, Ordering::Relaxed);
        if place == self.index {
            return Err((stream, from));
        }
        match self.mailboxes[place].send(Command::Adopt(stream, from)) {
            Err(Command::Adopt(stream, from)) => {
                loads[place].fetch_sub(1, Ordering::Relaxed);
                loads[self.index].fetch_add(1, Ordering::Relaxed);
                Err((stream, from))
            }
            _ => Ok(()),
        }
    }

    /// Tells another worker that a permit is for its first waiter.
    pub(crate) fn call(&self, worker: usize, upstream: UpstreamId) {
        // A worker that has ended has no waiters.
        let _ = self.mailboxes[worker].send(Command::Call(upstream));
    }

    /// Tells all other workers that the model of an endpoint is there.
    pub(crate) fn tell_loaded(&self, upstream: UpstreamId, endpoint: EndpointId) {
        for (worker, mailbox) in self.mailboxes.iter().enumerate() {
            if worker != self.index {
                let _ = mailbox.send(Command::Loaded(upstream, endpoint));
            }
        }
    }

    /// A connection of this worker is closed.
    pub(crate) fn departed(&self) {
        if let Some(loads) = &self.balance {
            loads[self.index].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The worker a new connection should go to. A difference of one is not worth the trip.
    fn least_loaded(&self, loads: &[AtomicUsize]) -> usize {
        let load = |index: usize| loads[index].load(Ordering::Relaxed);
        let least = (0..loads.len()).min_by_key(|index| load(*index)).unwrap_or(self.index);
        if load(least) + 1 < load(self.index) { least } else { self.index }
    }
}
