//! Drain and stop: how a worker ends.
//!
//! Draining, it serves what it has and takes nothing new; at the deadline, or when it is told to
//! stop, it aborts what is left and says so to whoever can still be told.

use crate::gateway::command::{Idle, Life};
use crate::gateway::worker::Worker;
use crate::reactor::listen::AcceptState;
use crate::reactor::net::Net;

impl<N: Net> Worker<N> {
    /// The kernel accepted the backlog in our name, so it is served; then the doors close, and
    /// everyone is told `Connection: close` with the answer. A second drain keeps the deadline.
    pub(crate) fn drain(&mut self, idle: Idle) {
        let deadline = match self.life {
            Life::Serving => {
                // The other workers may be gone: what is accepted from here on is kept.
                self.fleet = None;
                self.accept_backlog();
                self.net.close_listeners();
                self.accepting = AcceptState::new(0);
                self.now.after(self.snapshot.timeouts.drain)
            }
            Life::Draining { deadline, .. } => deadline,
            Life::Stopping => return,
        };
        self.life = Life::Draining { deadline, idle };
        for token in self.downstreams.tokens() {
            self.enqueue(token);
        }
        self.close_idle_upstreams();
    }

    pub(crate) fn stop(&mut self) {
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
}
