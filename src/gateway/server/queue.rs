//! Queue: who waits for a place at an upstream, here and with the other workers.
//!
//! Permits are shared by all workers, connections and queues are not. A worker that frees a connection
//! calls the first waiter of its own queue. A worker that frees a permit calls the first waiter of all
//! workers ([`Fronts`](crate::proxy::admission::Fronts)), by mail if that waits with another worker.
//!
//! * The first waiter of each worker is announced to the others before it waits and until it is seated
//!   or leaves, so a permit that comes free meanwhile finds it.
//! * A newcomer stands behind everybody who waits anywhere.
//! * A call that cannot be used goes to the next waiter, in the order of the queues, so it ends.
//!
//! With one worker, or without ceilings, nothing of this costs anything: there is nobody to call.

use crate::clock::Instant;
use crate::config::snapshot::UpstreamId;
use crate::gateway::Gateway;
use crate::gateway::record::exchange::Gather;
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::verdict::{Failed, Step};
use crate::proxy::admission::{Admit, Lack, standing};
use crate::proxy::fault::{Fault, LocalFault};
use crate::proxy::group::Group;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    /// Whether a request that has not tried for a place yet may try, or has to wait behind others.
    pub(crate) fn admit(
        &mut self,
        token: Token,
        upstream: UpstreamId,
        priority: u8,
        cx: &mut Cx<N>,
    ) -> Admit {
        let elsewhere = self.others_stand_before(upstream, priority, cx).then_some(Lack::Permit);
        let Group { queue, admission, .. } = &mut self.groups[upstream];
        queue.admit(token, priority, elsewhere, cx.now, admission)
    }

    /// Carries out what [`admit`](Gateway::admit) has said.
    pub(crate) fn stand_in_line(
        &mut self,
        token: Token,
        upstream: UpstreamId,
        waits: Admit,
        cx: &mut Cx<N>,
    ) -> Step {
        let Some(exchange) = self.exchange_mut(token) else { return Step::Wait };
        match waits {
            Admit::Now => Step::Again,
            Admit::Wait { until } => {
                if let Peer::Seeking { line, .. } = &mut exchange.peer {
                    *line = Line::Queued;
                }
                exchange.timeline.queued_until = until;
                let reads = exchange.is_read_in_line();
                if reads {
                    exchange.gather = Gather::Whole;
                }
                self.announce(upstream, cx);
                if reads { Step::Again } else { Step::Wait }
            }
            Admit::Full { retry_after } => {
                let full = Fault::Local(LocalFault::QueueFull { retry_after });
                Step::Failed(Failed::Fault(full))
            }
        }
    }

    /// Puts a waiter back that was called and found no place.
    pub(crate) fn called_in_vain(
        &mut self,
        token: Token,
        upstream: UpstreamId,
        lack: Lack,
        cx: &mut Cx<N>,
    ) {
        self.groups[upstream].queue.again(token, lack);
        if let Some(exchange) = self.exchange_mut(token)
            && let Peer::Seeking { line, .. } = &mut exchange.peer
        {
            *line = Line::Queued;
        }
        self.announce(upstream, cx);
        // There is room, but not for this waiter: the pool is full, or this worker judges the endpoints
        // with room to be out.
        let group = &self.groups[upstream];
        if let Some(own) = self.peers(upstream)
            && group.endpoints.has_room()
        {
            let next = group.front().map_or(group.fronts.whom(own), |_| group.fronts.behind(own));
            self.call(upstream, next);
        }
    }

    /// Takes a waiter out of the queue that was called and has its place, sought since `sought`.
    pub(crate) fn seated(
        &mut self,
        token: Token,
        upstream: UpstreamId,
        sought: Instant,
        cx: &mut Cx<N>,
    ) {
        self.groups[upstream].queue.seated(token, cx.now);
        self.desk.tally.queue_wait.record_span(sought, cx.now);
        self.announce(upstream, cx);
        if self.peers(upstream).is_some() && self.groups[upstream].endpoints.has_room() {
            self.permit_is_home(upstream, cx);
        }
    }

    /// Takes a waiter out of the queue that waits no more, or does not use its call.
    pub(crate) fn leave_queue(&mut self, token: Token, upstream: UpstreamId, cx: &mut Cx<N>) {
        let called = self.groups[upstream].queue.leave(token, cx.now);
        self.announce(upstream, cx);
        let stood_before_others =
            self.peers(upstream).is_some() && self.groups[upstream].endpoints.has_room();
        if called || stood_before_others {
            self.permit_is_home(upstream, cx);
        }
    }

    /// Calls the first waiter of all workers: a permit came free.
    pub(crate) fn permit_is_home(&mut self, upstream: UpstreamId, cx: &mut Cx<N>) {
        match self.first_elsewhere(upstream) {
            Some(other) => self.call(upstream, Some(other)),
            None => drop(self.wake_waiting(upstream, Lack::Permit, cx)),
        }
    }

    /// Calls the first waiter of the other workers: a permit that was held for a moment came free. The
    /// waiters here lack something else, but another worker may have found the permit gone.
    pub(crate) fn permit_was_borrowed(&mut self, upstream: UpstreamId) {
        let other = self.first_elsewhere(upstream);
        self.call(upstream, other);
    }

    /// Another worker says that a permit is for the first waiter here.
    pub(crate) fn on_call(&mut self, upstream: UpstreamId, cx: &mut Cx<N>) {
        // Its last exchange here may have ended while the call was on its way.
        if !self.groups.ids().any(|id| id == upstream) {
            return;
        }
        // The waiter may have left, or have its place. One that is called already finds the permit.
        if !self.wake_waiting(upstream, Lack::Permit, cx) && self.groups[upstream].queue.is_empty()
        {
            self.permit_was_borrowed(upstream);
        }
    }

    /// Calls the first waiter here: a connection came free, or its place in the pool.
    pub(crate) fn connection_is_free(&mut self, upstream: UpstreamId, cx: &mut Cx<N>) {
        if !self.groups[upstream].queue.is_empty() {
            self.wake_waiting(upstream, Lack::Connection, cx);
            // From now on a permit would help.
            self.announce(upstream, cx);
        }
    }

    /// Calls the first waiter here: something came free. Returns whether there was one.
    pub(crate) fn wake_waiting(
        &mut self,
        upstream: UpstreamId,
        free: Lack,
        cx: &mut Cx<N>,
    ) -> bool {
        let Some(waiter) = self.groups[upstream].queue.call(free) else { return false };
        if let Some(exchange) = self.exchange_mut(waiter)
            && let Peer::Seeking { line, .. } = &mut exchange.peer
        {
            *line = Line::Called;
        }
        self.enqueue(waiter, &mut cx.run);
        true
    }

    /// Tells the other workers which waiter stands first here.
    pub(crate) fn announce(&mut self, upstream: UpstreamId, cx: &mut Cx<N>) {
        let Some(own) = self.peers(upstream) else { return };
        let group = &self.groups[upstream];
        // A permit may have come free before they knew: then the waiter tries once more.
        if group.fronts.announce(own, group.front()) && group.fronts.whom(own) == Some(own) {
            self.wake_waiting(upstream, Lack::Permit, cx);
        }
    }

    /// Whether a newcomer here would overtake a waiter of another worker.
    fn others_stand_before(&self, upstream: UpstreamId, priority: u8, cx: &Cx<N>) -> bool {
        let Some(own) = self.peers(upstream) else { return false };
        let Group { fronts, admission, .. } = &self.groups[upstream];
        let mine = standing(priority, cx.now, admission);
        fronts.others(own).is_some_and(|front| front <= mine)
    }

    /// The other worker whose first waiter is to be called, if it is not ours.
    fn first_elsewhere(&self, upstream: UpstreamId) -> Option<usize> {
        let own = self.peers(upstream)?;
        self.groups[upstream].fronts.whom(own).filter(|worker| *worker != own)
    }

    /// The index of this worker, where other workers share its permits.
    fn peers(&self, upstream: UpstreamId) -> Option<usize> {
        let own = self.life.crew()?.index();
        self.groups[upstream].admission.has_ceilings().then_some(own)
    }

    fn call(&mut self, upstream: UpstreamId, worker: Option<usize>) {
        let (Some(crew), Some(worker)) = (self.life.crew(), worker) else { return };
        crew.call(worker, upstream);
        self.desk.tally.queue_calls.add(1);
    }
}
