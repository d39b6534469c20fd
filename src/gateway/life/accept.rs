//! Accepting: from a listener's backlog to a downstream.
//!
//! * A listener's readiness is remembered like any other: set by the edge, cleared only when the
//!   backlog said it is empty, or the listener is broken. A budget or a limit leaves it set.
//! * Out of descriptors, accepting pauses; it neither spins nor forgets the backlog.
//! * At the connection limit the backlog is the back-pressure, and there is hysteresis: accepting
//!   goes on when a tenth of the connections has gone.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::gateway::command::Command;
use crate::gateway::record::downstream::{Downstream, State};
use crate::gateway::worker::Worker;
use crate::reactor::net::{Accept, Net};
use crate::reactor::timer::Alarm;
use crate::wire::socket::Socket;

/// Connections taken from one listener per turn.
const BUDGET: usize = 64;
/// How long accepting rests when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

impl<N: Net> Worker<N> {
    /// Whether a backlog is known to wait and nothing keeps us from serving it.
    pub(crate) fn may_accept_now(&self) -> bool {
        self.accepting.is_any_ready() && !self.accepting.full && self.accepting.resume_at.is_none()
    }

    pub(crate) fn accept_pending(&mut self) {
        if self.accepting.resume_at.is_some_and(|at| at <= self.now) {
            self.accepting.resume_at = None;
        }
        if self.may_accept_now() {
            self.accept_from_all();
        }
    }

    #[inline(never)]
    fn accept_from_all(&mut self) {
        for listener in 0..self.net.listeners() {
            self.accept_from(listener, BUDGET);
        }
    }

    /// Everything that waits, whatever the budget: the last time before the listeners close.
    pub(crate) fn accept_backlog(&mut self) {
        for listener in 0..self.net.listeners() {
            self.accepting.on_event(listener);
            self.accept_from(listener, usize::MAX);
        }
    }

    /// Slots have come free: is that enough to accept again?
    pub(crate) fn reconsider_accepting(&mut self) {
        let limit = self.snapshot.limits.connections;
        if self.accepting.full && self.downstreams.len() < limit - limit / 10 {
            self.accepting.full = false;
        }
    }

    fn accept_from(&mut self, listener: usize, budget: usize) {
        for _ in 0..budget {
            if !self.accepting.is_ready(listener) {
                return;
            }
            if self.downstreams.len() >= self.snapshot.limits.connections {
                if !self.accepting.full {
                    log::warn!(
                        "at limits.connections ({}): accepting rests",
                        self.downstreams.len()
                    );
                }
                self.accepting.full = true;
                return;
            }
            self.desk.tally.accepts.add(1);
            match self.net.accept(listener) {
                Accept::Accepted(stream, address) => self.place(stream, address),
                Accept::Drained => {
                    self.desk.tally.would_block.add(1);
                    self.accepting.drained(listener);
                }
                Accept::Retry => {}
                Accept::Exhausted(error) => {
                    self.desk.tally.accepts_exhausted.add(1);
                    log::warn!("accept: {error}; accepting rests for {} ms", PAUSE.as_millis());
                    self.accepting.resume_at = Some(self.now + PAUSE);
                    return;
                }
                Accept::Fatal(error) => {
                    log::error!("accept: {error}; the listener is given up");
                    self.accepting.drained(listener);
                    return;
                }
            }
        }
    }

    /// Keeps an accepted connection, or hands it to a worker with fewer.
    fn place(&mut self, stream: N::Stream, address: SocketAddr) {
        let Some(fleet) = &self.fleet else { return self.adopt(stream, address) };
        let Some(loads) = &fleet.balance else { return self.adopt(stream, address) };
        let place = fleet.least_loaded(loads);
        loads[place].fetch_add(1, Ordering::Relaxed);
        if place == fleet.index {
            return self.adopt(stream, address);
        }
        if let Err(Command::Adopt(stream, address)) =
            fleet.mailboxes[place].send(Command::Adopt(stream, address))
        {
            loads[place].fetch_sub(1, Ordering::Relaxed);
            loads[fleet.index].fetch_add(1, Ordering::Relaxed);
            self.adopt(stream, address);
        }
    }

    /// Gives an accepted connection its place.
    pub(crate) fn adopt(&mut self, stream: N::Stream, address: SocketAddr) {
        self.desk.tally.downstreams_accepted.add(1);
        let token = self.downstreams.insert(Downstream {
            socket: Socket::new(stream),
            state: State::Head { since: self.now },
            alarm: Alarm::default(),
            peer: address.ip().to_canonical(),
            requests: 0,
            examined: 0,
            queued: false,
            thirst: 0,
            exchange: None,
        });
        self.desk.tally.registers.add(1);
        let registered = match self.downstreams.get_mut(token) {
            Some(downstream) => self.net.register(&mut downstream.socket.stream, token),
            None => return,
        };
        if let Err(error) = registered {
            log::warn!("register: {error}; the connection is closed");
            self.close_downstream(token);
            return;
        }
        // Registering raises the edge if bytes are there; until then only its deadline matters.
        self.arm(token);
        if self.is_draining() {
            self.enqueue(token);
        }
    }
}
