//! Drain and stop: how a worker ends.
//!
//! Draining, it serves what it has and takes nothing new; at the deadline, or when it is told to
//! stop, it aborts what is left and says so to whoever can still be told.

use super::accept::AcceptState;
use super::net::Net;
use super::worker::Worker;
use crate::clock::Instant;

/// How a shutdown goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Serving,
    Draining { deadline: Instant },
    Stopping,
}

impl<N: Net> Worker<N> {
    /// The backlog was accepted by us in good faith, so it is served; then the doors close, idle
    /// clients are told, and everyone else is told `Connection: close` with the answer.
    pub(super) fn drain(&mut self) {
        if self.life != Life::Serving {
            return;
        }
        let deadline = self.now.after(self.snapshot.timeouts.drain);
        // The other workers may be gone: what is accepted from here on is kept.
        self.fleet = None;
        self.accept_backlog();
        self.net.close_listeners();
        self.accepting = AcceptState::new(0);
        self.life = Life::Draining { deadline };
        for token in self.downstreams.tokens() {
            self.enqueue(token);
        }
        self.close_idle_upstreams();
    }

    pub(super) fn stop(&mut self) {
        if self.life == Life::Serving {
            self.net.close_listeners();
            self.accepting = AcceptState::new(0);
        }
        self.life = Life::Stopping;
        for token in self.downstreams.tokens() {
            self.abandon(token);
        }
        self.close_idle_upstreams();
    }

    fn close_idle_upstreams(&mut self) {
        for token in self.upstreams.tokens() {
            if self.upstreams.get(token).is_some_and(|upstream| upstream.owner.is_none()) {
                self.close_upstream(token);
            }
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.life != Life::Serving
    }
}
