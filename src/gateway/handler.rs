//! The gateway as a handler: what the loop tells it, and who takes it from there.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Instant;
use crate::gateway::Gateway;
use crate::gateway::command::Command;
use crate::reactor::count::Counted;
use crate::reactor::net::{Event, Net};
use crate::reactor::run::Run;
use crate::reactor::timer::Entry;
use crate::reactor::token::{Kind, Token};
use crate::reactor::turn::{Cx, Entrance, Handler};

/// A turn with at least so many events is measured.
const BUSY_TURN_EVENTS: usize = 4;
/// Of all other turns, one in so many is measured.
pub const SAMPLED_TURNS: u64 = 64;

impl<N: Net> Handler<N> for Gateway<N> {
    type Mail = Command<N::Stream>;

    /// Events become readiness bits, and owners are queued.
    fn on_event(&mut self, event: &Event, run: &mut Run) {
        match event.token.kind() {
            Kind::Downstream => match self.downstreams.get_mut(event.token) {
                Some(downstream) => {
                    downstream.socket.ready.on_event(event);
                    self.enqueue(event.token, run);
                }
                None => self.desk.tally.stale_events.add(1),
            },
            Kind::Upstream => match self.upstreams.get_mut(event.token) {
                Some(upstream) => {
                    upstream.socket.ready.on_event(event);
                    match upstream.owner {
                        Some(owner) => self.enqueue(owner, run),
                        // Bytes or an end on an idle connection: it has to leave the pool. The
                        // server is sending a 408 before it closes, or the rest of an answer that
                        // was misread; the next client would take it for its own answer.
                        // Where records come, they are opened first: a ticket says nothing.
                        None if upstream.socket.readable() => {
                            self.upkeep.disturb(event.token);
                        }
                        None => {}
                    }
                }
                None => self.desk.tally.stale_events.add(1),
            },
            Kind::Listener | Kind::Waker => {}
        }
    }

    fn collected(&mut self, cx: &mut Cx<N>) {
        if !self.upkeep.is_undisturbed() {
            self.close_disturbed(cx);
        }
    }

    fn drive(&mut self, who: Token, cx: &mut Cx<N>) {
        if let Some(downstream) = self.downstreams.get_mut(who) {
            downstream.queued = false;
            self.advance_client(who, cx);
        }
    }

    fn drive_heavy(&mut self, who: Token, cx: &mut Cx<N>) {
        match self.awaits_proof(who) {
            true => self.prove_token(who, cx),
            false => self.shake_hands(who, cx),
        }
    }

    fn admits(&self, listener: usize, cx: &Cx<N>) -> Entrance {
        self.entrance(listener, cx)
    }

    fn on_accept(&mut self, stream: N::Stream, from: SocketAddr, listener: usize, cx: &mut Cx<N>) {
        self.place(stream, from, listener, cx);
    }

    fn on_alarm(&mut self, entry: Entry, cx: &mut Cx<N>) {
        match entry.token.kind() {
            Kind::Downstream => {
                if let Some(downstream) = self.downstreams.get_mut(entry.token)
                    && downstream.alarm.fired(entry, cx.now, &mut cx.wheel)
                {
                    self.on_deadline(entry.token, cx);
                }
            }
            Kind::Upstream => {
                if let Some(upstream) = self.upstreams.get_mut(entry.token)
                    && upstream.alarm.fired(entry, cx.now, &mut cx.wheel)
                    && upstream.owner.is_none()
                {
                    self.close_upstream(entry.token, cx);
                }
            }
            Kind::Listener | Kind::Waker => {}
        }
    }

    fn on_time(&mut self, cx: &mut Cx<N>) {
        if let Some(deadline) = self.life.deadline()
            && deadline <= cx.now
        {
            self.stop(cx);
        }
    }

    fn on_mail(&mut self, mail: Command<N::Stream>, cx: &mut Cx<N>) {
        match mail {
            Command::Drain(idle) => self.drain(idle, cx),
            Command::Stop => self.stop(cx),
            Command::Adopt(stream, newcomer) => self.adopt(stream, newcomer, cx),
            Command::Inquire(inquiry) => self.on_inquiry(inquiry, cx),
            Command::Reload(snapshot, loads) => self.reload(snapshot, &loads, cx),
            Command::Members(at, latest) => self.on_members(at, &latest, cx),
            Command::Call(upstream) => self.on_call(upstream, cx),
            Command::Health(at, endpoint, verdict) => self.on_health(at, endpoint, verdict, cx),
            Command::Loaded(at, endpoint) => self.on_loaded(at, endpoint, cx),
            Command::Woken(at) => self.on_woken(at, cx),
            Command::Nudge(token) => self.enqueue(token, &mut cx.run),
            Command::Reachable(at, endpoint) => self.on_reachable(at, endpoint),
            Command::Suspect(at, endpoint) => self.on_suspect(at, endpoint, cx.now),
        }
    }

    fn on_standstill(&mut self, lost: Duration, cx: &mut Cx<N>) {
        self.excuse(lost, cx);
    }

    /// Frees what was closed in this turn, and queues connections whose buffers can be had now.
    fn reap(&mut self, cx: &mut Cx<N>) {
        self.shed(cx);
        if cx.run.reaped() > 0 {
            self.free_slots(cx);
        }
        self.forget_past();
        if !self.thirst.is_quenched() {
            self.serve_thirsty(cx);
        }
        self.reconsider_accepting(cx);
        let tally = &self.desk.tally;
        tally.downstreams_open.set(self.downstreams.len() as u64);
        tally.upstreams_open.set(self.upstreams.len() as u64);
        tally.buffers_out.set(self.desk.buffers.out() as u64);
    }

    fn wakes_at(&self, cx: &Cx<N>) -> Instant {
        match self.life.deadline() {
            Some(deadline) => deadline.min(self.shed_due(cx)),
            None => self.shed_due(cx),
        }
    }

    /// Measures a turn that had much to do. A second look at the clock is dear for one token and
    /// next to nothing for many.
    fn turned(&mut self, events: usize, cx: &mut Cx<N>) {
        let tally = &self.desk.tally;
        tally.turn_events.record(events as u64);
        let busy = events >= BUSY_TURN_EVENTS;
        let sampled = tally.polls.get().is_multiple_of(SAMPLED_TURNS) && events > 0;
        if busy || sampled {
            let now = cx.net.now();
            if busy {
                tally.turn_time.record_span(cx.now, now);
            }
            if sampled {
                tally.relay_time.record_span(cx.now, now);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.life.is_draining() && self.downstreams.is_empty()
    }

    #[inline]
    fn count(&self, what: Counted) {
        let tally = &self.desk.tally;
        match what {
            Counted::Poll => tally.polls.add(1),
            Counted::EmptyPoll => tally.empty_polls.add(1),
            Counted::Events(events) => tally.events.add(events as u64),
            Counted::Pause => tally.pauses.add(1),
            Counted::Standstill => tally.standstills.add(1),
            Counted::Accept => tally.accepts.add(1),
            Counted::Drained => tally.would_block.add(1),
            Counted::Exhausted => tally.accepts_exhausted.add(1),
        }
    }
}

impl<N: Net> Gateway<N> {
    #[inline(never)]
    fn free_slots(&mut self, cx: &mut Cx<N>) {
        while let Some(token) = cx.run.next_reaped() {
            match token.kind() {
                Kind::Downstream => {
                    drop(self.downstreams.remove(token));
                    if let Some(crew) = self.life.crew() {
                        crew.departed();
                    }
                }
                _ => drop(self.upstreams.remove(token)),
            }
        }
    }
}
