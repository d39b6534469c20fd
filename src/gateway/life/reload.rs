//! Reload: a worker takes up a new generation of the configuration, between two turns.
//!
//! Nothing that is under way is touched. An exchange holds the snapshot it began with and obeys it to
//! its end; the next request of the same connection gets the new one. Idle connections and queues
//! belong to groups (`proxy::group`), which go on; only connections to endpoints that are gone are
//! closed.
//!
//! Every worker has a copy of its own: an exchange counts a reference to it, and a count that all
//! cores share would move between them with every request.

use std::rc::Rc;
use std::sync::Arc;

use crate::config::snapshot::Snapshot;
use crate::gateway::worker::Worker;
use crate::proxy::admission::Lack;
use crate::proxy::load::Loads;
use crate::reactor::coalesce::Coalesce;
use crate::reactor::net::Net;

impl<N: Net> Worker<N> {
    pub(crate) fn reload(&mut self, snapshot: Arc<Snapshot>, loads: &Loads) {
        let snapshot = Rc::new(Arc::unwrap_or_clone(snapshot));
        // It has been read again, and a name has not merely got another address.
        if snapshot.generation.number != self.snapshot.generation.number {
            for id in self.groups.ids().collect::<Vec<_>>() {
                self.groups[id].endpoints.forget_weights();
            }
        }
        self.past.push(std::mem::replace(&mut self.snapshot, snapshot));
        for connection in self.groups.follow(&self.snapshot, loads, self.seed, self.now) {
            self.close_upstream(connection);
        }
        self.net.keep_alive(self.snapshot.server.tcp_keepalive);
        self.purse.set_limit(self.snapshot.limits.continue_bytes);
        // With another bound, or none, what was learnt of the old one is void.
        self.coalesce = Coalesce::new(self.now);
        // Where the limit has grown there is room for some of those who wait.
        for index in 0..self.snapshot.upstreams.len() {
            let id = self.snapshot.upstreams[index].id;
            for _ in 0..self.groups[id].may_call() {
                self.wake_waiting(id, Lack::Permit);
            }
            // Ceilings may be new: then it matters to the others from now on who waits here.
            self.announce(id);
        }
    }

    /// Lets go of the generations whose last exchange is over.
    pub(crate) fn forget_past(&mut self) {
        if !self.past.is_empty() {
            self.forget_unheld();
        }
    }

    #[cold]
    fn forget_unheld(&mut self) {
        let known = self.past.len();
        self.past.retain(|snapshot| Rc::strong_count(snapshot) > 1);
        if self.past.len() < known {
            let alive = self.past.iter().chain([&self.snapshot]);
            self.groups.forget_others(alive.map(Rc::as_ref));
        }
    }
}
