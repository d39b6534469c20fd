//! Wait: the line for a place at an upstream, and whom the other workers have in theirs.
//!
//! Permits are shared by all workers, connections and lines are not. Whoever frees a connection
//! calls somebody of its own line; whoever frees a permit calls the one who stands first among all
//! workers ([`Fronts`](crate::proxy::admission::Fronts)), by mailbox if it is another's.
//!
//! * Who stands in line is announced before it waits and until it is seated or leaves, so a permit
//!   that comes home meanwhile finds it.
//! * A newcomer stands behind everybody who waits anywhere.
//! * A call that cannot be used goes to the next; every call has an end, as it only ever goes back
//!   in the order of the lines.
//!
//! With one worker, or without ceilings, nothing of this costs anything: there is nobody to call.

use crate::clock::Instant;
use crate::config::snapshot::UpstreamId;
use crate::gateway::Gateway;
use crate::gateway::command::Command;
use crate::gateway::record::peer::{Peer, Turn};
use crate::gateway::record::verdict::{Failed, Step};
use crate::proxy::admission::{Admit, Lack, standing};
use crate::proxy::fault::{Fault, LocalFault};
use crate::proxy::group::Group;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    /// A request that has not tried for a place yet: may it, or has it to wait for others?
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

    /// Carries out what [`admit`](Worker::admit) has said.
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
                if let Peer::Seeking { turn, .. } = &mut exchange.peer {
                    *turn = Turn::Queued;
                }
                exchange.timeline.queued_until = until;
                self.announce(upstream, cx);
                Step::Wait
            }
            Admit::Full { retry_after } => {
                let full = Fault::Local(LocalFault::QueueFull { retry_after });
                Step::Failed(Failed::Fault(full))
            }
        }
    }

    /// Somebody was called and found no place.
    pub(crate) fn called_in_vain(
        &mut self,
        token: Token,
        upstream: UpstreamId,
        lack: Lack,
        cx: &mut Cx<N>,
    ) {
        self.groups[upstream].queue.again(token, lack);
        if let Some(exchange) = self.exchange_mut(token)
            && let Peer::Seeking { turn, .. } = &mut exchange.peer
        {
            *turn = Turn::Queued;
        }
        self.announce(upstream, cx);
        // There is room, but not for this one: its endpoints are out, by this worker's judgement.
        if lack == Lack::Permit && self.groups[upstream].endpoints.has_room() {
            let behind =
                self.peers(upstream).and_then(|own| self.groups[upstream].fronts.behind(own));
            self.call(upstream, behind);
        }
    }

    /// Somebody who sought a place at `sought` was called and has one.
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

    /// Somebody waits no more, or does not use its call.
    pub(crate) fn leave_queue(&mut self, token: Token, upstream: UpstreamId, cx: &mut Cx<N>) {
        let called = self.groups[upstream].queue.leave(token, cx.now);
        self.announce(upstream, cx);
        let stood_before_others =
            self.peers(upstream).is_some() && self.groups[upstream].endpoints.has_room();
        if called || stood_before_others {
            self.permit_is_home(upstream, cx);
        }
    }

    /// A permit came free: whoever stands first tries for it, here or with another worker.
    pub(crate) fn permit_is_home(&mut self, upstream: UpstreamId, cx: &mut Cx<N>) {
        match self.first_elsewhere(upstream) {
            Some(other) => self.call(upstream, Some(other)),
            None => drop(self.wake_waiting(upstream, Lack::Permit, cx)),
        }
    }

    /// A permit that was held for a moment came free. Whoever stands here lacks something else, but
    /// another worker may have found it gone.
    pub(crate) fn permit_was_borrowed(&mut self, upstream: UpstreamId) {
        let other = self.first_elsewhere(upstream);
        self.call(upstream, other);
    }

    /// Another worker says that a permit is for somebody here.
    pub(crate) fn on_call(&mut self, upstream: UpstreamId, cx: &mut Cx<N>) {
        // Its last exchange here may have ended while the call was on its way.
        if !self.groups.ids().any(|id| id == upstream) {
            return;
        }
        // It may have left, or have its place. Who is called already will find the permit.
        if !self.wake_waiting(upstream, Lack::Permit, cx) && self.groups[upstream].queue.is_empty()
        {
            self.permit_was_borrowed(upstream);
        }
    }

    /// Something came free: the one who stands first here tries for a place. Whether there is one.
    pub(crate) fn wake_waiting(
        &mut self,
        upstream: UpstreamId,
        free: Lack,
        cx: &mut Cx<N>,
    ) -> bool {
        let Some(waiter) = self.groups[upstream].queue.call(free) else { return false };
        if let Some(exchange) = self.exchange_mut(waiter)
            && let Peer::Seeking { turn, .. } = &mut exchange.peer
        {
            *turn = Turn::Called;
        }
        self.enqueue(waiter, &mut cx.run);
        true
    }

    /// Tells the other workers who stands first here.
    pub(crate) fn announce(&mut self, upstream: UpstreamId, cx: &mut Cx<N>) {
        let Some(own) = self.peers(upstream) else { return };
        let Group { fronts, queue, .. } = &self.groups[upstream];
        // A permit that came home before they knew is looked for once more.
        if fronts.announce(own, queue.front()) && fronts.whom(own) == Some(own) {
            self.wake_waiting(upstream, Lack::Permit, cx);
        }
    }

    /// Whether somebody waits with another worker whom a newcomer here would overtake.
    fn others_stand_before(&self, upstream: UpstreamId, priority: u8, cx: &Cx<N>) -> bool {
        let Some(own) = self.peers(upstream) else { return false };
        let Group { fronts, admission, .. } = &self.groups[upstream];
        let mine = standing(priority, cx.now, admission);
        fronts.others(own).is_some_and(|front| front <= mine)
    }

    /// The other worker whose waiter is the one to be called.
    fn first_elsewhere(&self, upstream: UpstreamId) -> Option<usize> {
        let own = self.peers(upstream)?;
        self.groups[upstream].fronts.whom(own).filter(|worker| *worker != own)
    }

    /// Which worker we are, where others wait for the same permits.
    fn peers(&self, upstream: UpstreamId) -> Option<usize> {
        let own = self.fleet.as_ref()?.index;
        self.groups[upstream].admission.has_ceilings().then_some(own)
    }

    fn call(&mut self, upstream: UpstreamId, worker: Option<usize>) {
        let (Some(fleet), Some(worker)) = (&self.fleet, worker) else { return };
        // One that has ended has nobody who waits.
        let _ = fleet.mailboxes[worker].send(Command::Call(upstream));
        self.desk.tally.queue_calls.add(1);
    }
}
