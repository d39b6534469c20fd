//! Accepting: from a listener's backlog to a downstream.
//!
//! * A listener's readiness is remembered like any other: set by the edge, cleared only when the
//!   backlog said it is empty, or the listener is broken. A budget or a limit leaves it set.
//! * Out of descriptors, accepting pauses; it neither spins nor forgets the backlog.
//! * At the connection limit the backlog is the back-pressure, and there is hysteresis: accepting
//!   goes on when a tenth of the connections has gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::exchange::{Downstream, State};
use super::mailbox::Sender;
use super::net::{Accept, Net};
use super::readiness::Readiness;
use super::socket::Socket;
use super::timer::Alarm;
use super::worker::{Command, Worker};
use crate::clock::Instant;

/// Connections taken from one listener per turn.
const BUDGET: usize = 64;
/// How long accepting rests when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// The listeners' readiness, and why accepting rests, if it does.
pub(super) struct AcceptState {
    listeners: Vec<Readiness>,
    resume_at: Option<Instant>,
    full: bool,
}

impl AcceptState {
    pub fn new(listeners: usize) -> AcceptState {
        AcceptState {
            listeners: vec![Readiness::listening(); listeners],
            resume_at: None,
            full: false,
        }
    }

    pub fn on_event(&mut self, listener: usize) {
        // An event for a listener that was closed in this batch finds nothing.
        if let Some(ready) = self.listeners.get_mut(listener) {
            *ready = Readiness::listening();
        }
    }

    /// When a pause ends; [`Instant::NEVER`] if there is none.
    pub fn resume_at(&self) -> Instant {
        self.resume_at.unwrap_or(Instant::NEVER)
    }

    /// Whether somebody may wait outside for want of a place.
    pub fn keeps_out(&self) -> bool {
        self.full && self.is_any_ready()
    }

    fn is_ready(&self, listener: usize) -> bool {
        self.listeners.get(listener).is_some_and(|ready| ready.readable())
    }

    fn is_any_ready(&self) -> bool {
        self.listeners.iter().any(|ready| ready.readable())
    }

    fn drained(&mut self, listener: usize) {
        if let Some(ready) = self.listeners.get_mut(listener) {
            ready.nothing_to_read();
        }
    }
}

/// The workers of a process, seen from one of them.
pub struct Fleet<S> {
    /// Where accepted connections are balanced: how many each worker has, on their way to it or
    /// open. Whoever places a connection adds it, whoever closes it takes it away: no count is
    /// lost, however the threads interleave.
    pub balance: Option<Arc<[AtomicUsize]>>,
    pub mailboxes: Vec<Sender<Command<S>>>,
    /// Which one we are.
    pub index: usize,
}

impl<S> Fleet<S> {
    /// A connection of this worker is closed.
    pub(super) fn departed(&self) {
        if let Some(loads) = &self.balance {
            loads[self.index].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The worker a new connection should go to. A difference of one is not worth the trip.
    fn least_loaded(&self, loads: &[AtomicUsize]) -> usize {
        let load = |index: usize| loads[index].load(Ordering::Relaxed);
        let least = (0..loads.len()).min_by_key(|index| load(*index)).unwrap_or(self.index);
        if load(least) + 1 < load(self.index) { least } else { self.index }
    }
}

impl<N: Net> Worker<N> {
    /// Whether a backlog is known to wait and nothing keeps us from serving it.
    pub(super) fn may_accept_now(&self) -> bool {
        self.accepting.is_any_ready() && !self.accepting.full && self.accepting.resume_at.is_none()
    }

    pub(super) fn accept_pending(&mut self) {
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
    pub(super) fn accept_backlog(&mut self) {
        for listener in 0..self.net.listeners() {
            self.accepting.on_event(listener);
            self.accept_from(listener, usize::MAX);
        }
    }

    /// Slots have come free: is that enough to accept again?
    pub(super) fn reconsider_accepting(&mut self) {
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
    pub(super) fn adopt(&mut self, stream: N::Stream, address: SocketAddr) {
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
