//! Reload: a worker takes up a new generation of the configuration, between two turns.
//!
//! Nothing that is under way is touched. An exchange holds the snapshot it began with and obeys it to
//! its end; the next request of the same connection gets the new one. Idle connections and queues
//! belong to groups (`proxy::group`), which outlive a snapshot; only connections to endpoints that are
//! gone are closed.
//!
//! Every worker has a copy of its own: each exchange counts a reference to the snapshot, and a count
//! that all cores share would move between their caches with every request.

use std::rc::Rc;
use std::sync::Arc;

use crate::config::snapshot::{Snapshot, UpstreamId};
use crate::gateway::Gateway;
use crate::proxy::admission::Lack;
use crate::proxy::load::{Loads, MemberSet};
use crate::reactor::mailbox::Latest;
use crate::reactor::net::Net;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    pub(crate) fn reload(&mut self, snapshot: Arc<Snapshot>, loads: &Loads, cx: &mut Cx<N>) {
        for id in self.groups.ids().collect::<Vec<_>>() {
            self.groups[id].endpoints.forget_weights();
        }
        self.generations.follow(Arc::unwrap_or_clone(snapshot));
        self.tokens.clear();
        self.renew_authorising(cx);
        let latest = Rc::clone(self.generations.latest());
        for connection in self.groups.follow(&latest, loads, self.chance.seed(), cx.now) {
            self.close_upstream(connection, cx);
        }
        if latest.speaks_tls() {
            self.desk.buffers.serve_sessions();
        }
        cx.net.keep_alive(latest.server.tcp_keepalive);
        self.purse.set_limit(latest.limits.continue_bytes);
        cx.set_pace(latest.pace());
        // Where a limit has grown, some of the waiting requests have a place now.
        for id in latest.upstreams.iter().map(|upstream| upstream.id) {
            self.call_waiting(id, cx);
        }
    }

    /// Takes up the endpoints that an upstream has now. Streams that run finish where they are; idle
    /// connections to endpoints that are gone are closed.
    pub(crate) fn on_members(
        &mut self,
        upstream: UpstreamId,
        latest: &Latest<Arc<MemberSet>>,
        cx: &mut Cx<N>,
    ) {
        // The upstream may have gone with a reload while the message was on its way.
        let Some(set) = latest.take().filter(|_| self.groups.ids().any(|id| id == upstream)) else {
            return;
        };
        for connection in self.groups[upstream].follow_members(&set, cx.now) {
            self.close_upstream(connection, cx);
        }
        self.call_waiting(upstream, cx);
    }

    /// Some of the waiting requests may have a place now.
    fn call_waiting(&mut self, id: UpstreamId, cx: &mut Cx<N>) {
        for _ in 0..self.groups[id].may_call() {
            self.wake_waiting(id, Lack::Permit, cx);
        }
        // Ceilings may be new: from then on the other workers have to know who waits here.
        self.announce(id, cx);
    }

    /// Drops the generations whose last exchange is over.
    pub(crate) fn forget_past(&mut self) {
        if self.generations.past() > 0
            && let Some(left) = self.generations.forget_unheld()
        {
            self.groups.forget_others(left);
        }
    }
}
