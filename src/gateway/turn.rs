//! The turn that a worker makes over and over.
//!
//! ```text
//!   poll → collect → run → accept → timers → mailbox → reap
//! ```
//!
//! * *collect* does no I/O: it turns events into readiness bits, so that the turn works on one
//!   consistent picture.
//! * *run* drives only what was queued when it began. A drive that has more to do is queued again
//!   and runs in the next turn: one busy connection delays the others by its budget, no more.
//! * *accept* comes after existing work, so that a storm of connections cannot starve tokens.
//! * *reap* is the only place where slots are freed and sockets closed. What closes in a turn is
//!   closed at the end of that turn.
//! * The clock is read once, after the poll (and in every round of a spin, if that is on); a turn that
//!   is measured, busy ones and one in 64 of the others, ends with a second look.

use std::io;
use std::time::Duration;

use crate::clock::Instant;
use crate::gateway::command::{Command, Life};
use crate::gateway::worker::{Status, Worker};
use crate::reactor::net::Net;
use crate::reactor::token::Kind;
use crate::wire::buffer::READ_RESERVE;

/// A turn with so many events is measured.
const BUSY_TURN_EVENTS: usize = 4;
/// Of all others one in so many is.
pub const SAMPLED_TURNS: u64 = 64;

impl<N: Net> Worker<N> {
    /// Turns until it is told to stop and everything is closed.
    pub fn run(&mut self) -> io::Result<()> {
        while self.turn()? == Status::Running {}
        Ok(())
    }

    /// One turn. An error means that the poller itself failed.
    pub fn turn(&mut self) -> io::Result<Status> {
        self.poll()?;
        self.collect();
        self.run_ready();
        self.accept_pending();
        self.fire_timers();
        if self.mailbox.has_mail() {
            self.read_mail();
        }
        self.reap();
        self.clock_turn();
        Ok(self.status())
    }

    fn poll(&mut self) -> io::Result<()> {
        self.events.clear();
        let spin = self.snapshot.server.spin;
        let before = self.now;
        let asked = self.poll_timeout();
        let pause = self.coalesce.until(before, asked);
        let timeout = pause.map_or(asked, |_| Some(Duration::ZERO));
        if let Some(until) = pause {
            self.desk.tally.pauses.add(1);
            self.net.pause(until);
        }
        if spin.is_zero() || timeout == Some(Duration::ZERO) {
            self.desk.tally.polls.add(1);
            self.net.poll(&mut self.events, timeout)?;
        } else {
            self.wait_for(spin, timeout)?;
        }
        if self.events.is_empty() {
            self.desk.tally.empty_polls.add(1);
        }
        self.now = self.net.now();
        if self.is_late(before, || pause.or(asked.map(|asked| before + asked))) {
            self.stood_still(before)?;
        }
        self.desk.tally.turn_events.record(self.events.len() as u64);
        if let Some(bound) = self.snapshot.server.coalesce {
            self.coalesce.polled(self.events.len(), pause.is_some(), bound, self.now);
        }
        Ok(())
    }

    /// Measures a turn that had much to do. A second look at the clock is dear for one token and
    /// next to nothing for many.
    fn clock_turn(&mut self) {
        let tally = &self.desk.tally;
        let busy = self.events.len() >= BUSY_TURN_EVENTS;
        let sampled = tally.polls.get().is_multiple_of(SAMPLED_TURNS) && !self.events.is_empty();
        if busy || sampled {
            let now = self.net.now();
            if busy {
                tally.turn_time.record_span(self.now, now);
            }
            if sampled {
                tally.relay_time.record_span(self.now, now);
            }
        }
    }

    /// Waits for an event: for up to `bound` without sleeping, where that is likely to do.
    #[inline(never)]
    fn wait_for(&mut self, bound: Duration, timeout: Option<Duration>) -> io::Result<()> {
        let since = self.net.now();
        let spins = self.spin.pays();
        if spins {
            self.spin_until(since + bound.min(timeout.unwrap_or(bound)))?;
        }
        if self.events.is_empty() {
            self.desk.tally.polls.add(1);
            let timeout = self.poll_timeout();
            self.net.poll(&mut self.events, timeout)?;
        }
        self.spin.waited(self.net.now() - since, !spins, bound);
        Ok(())
    }

    fn spin_until(&mut self, until: Instant) -> io::Result<()> {
        loop {
            self.desk.tally.polls.add(1);
            self.net.poll(&mut self.events, Some(Duration::ZERO))?;
            self.now = self.net.now();
            if !self.events.is_empty() || self.now >= until || self.mailbox.has_mail() {
                return Ok(());
            }
        }
    }

    /// How long there is nothing to do, computed last, when nothing can move it any more.
    fn poll_timeout(&self) -> Option<Duration> {
        let awake = !self.ready.is_empty() || self.may_accept_now();
        if awake {
            return Some(Duration::ZERO);
        }
        let mut wake = self.wheel.next().unwrap_or(Instant::NEVER);
        wake = wake.min(self.accepting.resume_at()).min(self.shed_due());
        if let Life::Draining { deadline, .. } = self.life {
            wake = wake.min(deadline);
        }
        (wake != Instant::NEVER).then(|| wake.since(self.now))
    }

    /// Events become readiness bits, and owners are queued. No I/O here.
    fn collect(&mut self) {
        self.desk.tally.events.add(self.events.len() as u64);
        for index in 0..self.events.len() {
            let event = self.events[index];
            match event.token.kind() {
                Kind::Waker => {}
                Kind::Listener => self.accepting.on_event(event.token.index()),
                Kind::Downstream => match self.downstreams.get_mut(event.token) {
                    Some(downstream) => {
                        downstream.socket.ready.on_event(&event);
                        self.enqueue(event.token);
                    }
                    None => self.desk.tally.stale_events.add(1),
                },
                Kind::Upstream => match self.upstreams.get_mut(event.token) {
                    Some(upstream) => {
                        upstream.socket.ready.on_event(&event);
                        match upstream.owner {
                            Some(owner) => self.enqueue(owner),
                            // Idle, and yet something to read or an end: out of the pool with it.
                            // A server that speaks on an idle connection is sending a 408 before
                            // it closes, or the tail of an answer we misread; handed to the next
                            // client, it would be that client's answer.
                            None if upstream.socket.ready.readable() => {
                                self.disturbed.push(event.token);
                            }
                            None => {}
                        }
                    }
                    None => self.desk.tally.stale_events.add(1),
                },
            }
        }
    }

    fn run_ready(&mut self) {
        if !self.disturbed.is_empty() {
            self.close_disturbed();
        }
        for _ in 0..self.ready.len() {
            let Some(token) = self.ready.pop_front() else { break };
            if let Some(downstream) = self.downstreams.get_mut(token) {
                downstream.queued = false;
                self.drive(token);
            }
        }
    }

    #[cold]
    fn close_disturbed(&mut self) {
        while let Some(token) = self.disturbed.pop() {
            // It may have been taken out and used in this very turn; then its owner will see.
            if self.upstreams.get(token).is_some_and(|upstream| upstream.owner.is_none()) {
                self.desk.tally.pool_dead.add(1);
                self.close_upstream(token);
            }
        }
    }

    fn fire_timers(&mut self) {
        self.wheel.advance(self.now, &mut self.due);
        if !self.due.is_empty() {
            self.fire_due();
        }
        if let Life::Draining { deadline, .. } = self.life
            && deadline <= self.now
        {
            self.stop();
        }
    }

    #[inline(never)]
    fn fire_due(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        for entry in due.drain(..) {
            match entry.token.kind() {
                Kind::Downstream => {
                    if let Some(downstream) = self.downstreams.get_mut(entry.token)
                        && downstream.alarm.fired(entry, self.now, &mut self.wheel)
                    {
                        self.on_deadline(entry.token);
                    }
                }
                Kind::Upstream => {
                    if let Some(upstream) = self.upstreams.get_mut(entry.token)
                        && upstream.alarm.fired(entry, self.now, &mut self.wheel)
                        && upstream.owner.is_none()
                    {
                        self.close_upstream(entry.token);
                    }
                }
                Kind::Listener | Kind::Waker => {}
            }
        }
        self.due = due;
    }

    #[cold]
    fn read_mail(&mut self) {
        for command in self.mailbox.open().collect::<Vec<_>>() {
            match command {
                Command::Drain(idle) => self.drain(idle),
                Command::Stop => self.stop(),
                Command::Adopt(stream, address) => self.adopt(stream, address),
                Command::Inquire(inquiry) => self.on_inquiry(inquiry),
                Command::Reload(snapshot, loads) => self.reload(snapshot, &loads),
                Command::Call(upstream) => self.on_call(upstream),
                Command::Health(at, endpoint, verdict) => self.on_health(at, endpoint, verdict),
                Command::Reachable(at, endpoint) => self.on_reachable(at, endpoint),
            }
        }
    }

    /// Frees what was closed in this turn, and gives buffers that came home to who waits for them.
    fn reap(&mut self) {
        self.shed();
        if !self.reaped.is_empty() {
            self.free_slots();
        }
        self.forget_past();
        if !self.thirsty.is_empty() {
            self.serve_thirsty();
        }
        self.reconsider_accepting();
        let tally = &self.desk.tally;
        tally.downstreams_open.set(self.downstreams.len() as u64);
        tally.upstreams_open.set(self.upstreams.len() as u64);
        tally.buffers_out.set(self.desk.buffers.out() as u64);
    }

    #[inline(never)]
    fn free_slots(&mut self) {
        while let Some(token) = self.reaped.pop() {
            match token.kind() {
                Kind::Downstream => {
                    drop(self.downstreams.remove(token));
                    if let Some(fleet) = &self.fleet {
                        fleet.departed();
                    }
                }
                _ => drop(self.upstreams.remove(token)),
            }
        }
    }

    /// Queues those who wait for buffers as far as there are enough. Whoever needs more than there
    /// are stays where it is: woken, it would only come back, in every turn.
    #[cold]
    fn serve_thirsty(&mut self) {
        let mut left = self.desk.buffers.left();
        let mut next = 0;
        while left >= READ_RESERVE
            && let Some(token) = self.thirsty.get(next).copied()
        {
            match self.downstreams.get_mut(token) {
                Some(downstream) if downstream.thirst as usize > left => {
                    next += 1;
                    continue;
                }
                Some(downstream) => {
                    left -= downstream.thirst as usize;
                    downstream.thirst = 0;
                    self.enqueue(token);
                }
                None => {}
            }
            self.thirsty.remove(next);
        }
    }

    fn status(&self) -> Status {
        let ends = self.life != Life::Serving;
        // A connection that another worker has sent here is served: it is in the box, or given back.
        let over = ends && self.downstreams.is_empty() && self.mailbox.shut();
        if over { Status::Stopped } else { Status::Running }
    }
}
