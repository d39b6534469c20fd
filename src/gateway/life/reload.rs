//! Reload: a worker takes up a new generation of the configuration, between two turns.
//!
//! Nothing that has an end of its own is touched. An exchange holds the snapshot it began with and obeys it to
//! its end; the next request of the same connection gets the new one. Idle connections and queues
//! belong to groups (`proxy::group`), which outlive a snapshot; only connections to endpoints that are
//! gone are closed. And where clients are let in by other certificates than before, those who were let in
//! by these go when what they have under way is over: nobody is served for as long as it likes as whom an
//! authority said it was that is not believed any more. A tunnel has no end: it goes at once where its
//! client would not be let in again, by that, by its key or by its address.
//!
//! Every worker has a copy of its own: each exchange counts a reference to the snapshot, and a count
//! that all cores share would move between their caches with every request.

use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Instant;
use crate::config::snapshot::{Snapshot, UpstreamId};
use crate::gate::Principal;
use crate::gateway::Gateway;
use crate::gateway::record::downstream::{After, State};
use crate::proxy::admission::Lack;
use crate::proxy::fault::{Fault, LocalFault};
use crate::proxy::load::{Loads, MemberSet};
use crate::reactor::mailbox::Latest;
use crate::reactor::net::Net;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    pub(crate) fn reload(&mut self, snapshot: Arc<Snapshot>, loads: &Loads, cx: &mut Cx<N>) {
        for id in self.groups.ids().collect::<Vec<_>>() {
            self.groups[id].endpoints.forget_weights();
        }
        let believes_others = !snapshot.believes_clients_as(self.generations.latest());
        let counts_anew = !snapshot.gate.gate.counts_those_of(&self.generations.latest().gate.gate);
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
        if counts_anew {
            self.recount_addresses(cx.now);
        }
        self.end_tunnels(believes_others, cx);
        if believes_others {
            self.part_from_sealed(cx);
        }
        cx.net.keep_alive(latest.server.tcp_keepalive);
        self.purse.set_limit(latest.limits.continue_bytes);
        cx.set_pace(latest.pace());
        // Where a limit has grown, some of the waiting requests have a place now.
        for id in latest.upstreams.iter().map(|upstream| upstream.id) {
            self.call_waiting(id, cx);
        }
    }

    /// Counts every client for the limits of addresses, where they begin, or count otherwise than before.
    fn recount_addresses(&self, now: Instant) {
        for token in self.downstreams.tokens() {
            if let Some(downstream) = self.downstreams.get(token)
                && downstream.state != State::Closed
                // It is not known yet whose it is.
                && !downstream.awaits_preamble
            {
                self.generations.latest().gate.gate.take_over(downstream.address, now);
            }
        }
    }

    /// Ends the tunnels of those who would not be let in any more. Nobody asks again by what they came in.
    fn end_tunnels(&mut self, believes_others: bool, cx: &mut Cx<N>) {
        for token in self.downstreams.tokens() {
            let Some(downstream) = self.downstreams.get(token) else { continue };
            let exchange = downstream.exchange.as_deref();
            let Some(exchange) = exchange.filter(|it| it.may_have_no_end()) else { continue };
            let gate = &self.generations.latest().gate.gate;
            let certificate = downstream.socket.peer();
            let is_known = |who: &Principal| who.is_known_to(&gate.keys, certificate);
            let stays = exchange.principal().is_none_or(is_known)
                && gate.admits_address(exchange.client_address(downstream.address))
                && !(believes_others && downstream.socket.is_sealed());
            if !stays {
                self.end(token, Err(Fault::Local(LocalFault::Killed)), cx);
                self.enqueue(token, &mut cx.run);
            }
        }
    }

    /// Has every client under TLS shake hands anew: at once where nothing is under way, else behind the answer
    /// to the request that has come, or is coming.
    fn part_from_sealed(&mut self, cx: &mut Cx<N>) {
        for token in self.downstreams.tokens() {
            let Some(downstream) = self.downstreams.get_mut(token) else { continue };
            if !downstream.socket.is_sealed() {
                continue;
            }
            match &mut downstream.state {
                State::Idle { .. } | State::Head { began: Instant::NEVER, .. } => {
                    self.part(token, cx);
                    self.enqueue(token, &mut cx.run);
                }
                State::Handshake { .. } => {
                    self.close_downstream(token, cx);
                    cx.listen.reopen_listeners();
                }
                // The request that is coming is the last one, whatever another reload allows before it is here.
                State::Head { .. } => downstream.requests = u32::MAX - 1,
                State::Exchange => {
                    if let Some(exchange) = &mut downstream.exchange {
                        // Also where the head of its answer has said otherwise.
                        (exchange.keep_alive, exchange.persistent) = (false, false);
                    }
                }
                State::Replying { then, .. } => *then = After::Linger,
                State::Lingering { .. } | State::Closed => {}
            }
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
