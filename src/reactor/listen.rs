//! Listen: the backlogs of a loop's listeners.
//!
//! * A listener's readiness is remembered like any other: set by the edge, cleared only when the
//!   backlog said it is empty, or the listener is broken. A budget or a limit leaves it set.
//! * Out of descriptors, accepting pauses; it neither spins nor forgets the backlog.
//! * Where the handler has no room, the backlog is the back-pressure until it calls `reopen`. Where it has
//!   none for the clients of one listener, those of the others are accepted.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Instant;
use crate::reactor::count::Counted;
use crate::reactor::net::{Accept, Net};
use crate::reactor::readiness::Readiness;

/// How long accepting rests when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// The listeners' readiness, and why accepting rests, if it does.
#[derive(Debug)]
pub struct Listen {
    listeners: Vec<Readiness>,
    /// The listeners that rest by themselves, whatever waits in their backlogs.
    resting: Vec<bool>,
    resume_at: Option<Instant>,
    full: bool,
    /// Whether the backlog of a listener that does not rest may hold somebody. Asked in every turn, so
    /// kept, and not found out each time.
    ready: bool,
    /// Whether the backlog of one that rests may.
    kept_out: bool,
}

impl Listen {
    pub fn new(listeners: usize) -> Listen {
        let resting = vec![false; listeners];
        let listeners = vec![Readiness::listening(); listeners];
        let ready = !listeners.is_empty();
        Listen { listeners, resting, resume_at: None, full: false, ready, kept_out: false }
    }

    /// To be called when a listener stands otherwise than before.
    fn look_again(&mut self) {
        let backlogs = self.listeners.iter().map(|ready| ready.readable()).zip(&self.resting);
        (self.ready, self.kept_out) =
            backlogs.fold((false, false), |(ready, kept_out), backlog| {
                (ready || backlog == (true, &false), kept_out || backlog == (true, &true))
            });
    }

    pub fn on_event(&mut self, listener: usize) {
        // An event for a listener that was closed in this batch finds nothing.
        if let Some(ready) = self.listeners.get_mut(listener) {
            *ready = Readiness::listening();
        }
        self.look_again();
    }

    /// When a pause ends; [`Instant::NEVER`] if there is none.
    pub fn resume_at(&self) -> Instant {
        self.resume_at.unwrap_or(Instant::NEVER)
    }

    /// Ends a pause whose time has come.
    #[inline]
    pub fn wake(&mut self, now: Instant) {
        if self.resume_at.is_some_and(|at| at <= now) {
            self.resume_at = None;
        }
    }

    /// Whether a backlog is known to wait and nothing keeps us from serving it.
    #[inline]
    pub fn may_accept(&self) -> bool {
        self.ready && !self.full && self.resume_at.is_none()
    }

    /// Whether clients may wait in a backlog because there is no room for them.
    pub fn keeps_out(&self) -> bool {
        self.full && self.ready
    }

    /// Whether accepting rests for want of room.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Accepts no connection until [`Listen::reopen`].
    pub fn rest_for_room(&mut self) {
        self.full = true;
    }

    /// There is room again.
    pub fn reopen(&mut self) {
        self.full = false;
    }

    /// Accepts nothing from one listener until [`Listen::reopen_listeners`].
    pub fn rest_listener(&mut self, listener: usize) {
        if let Some(rests) = self.resting.get_mut(listener) {
            *rests = true;
        }
        self.look_again();
    }

    /// Listeners that rested by themselves go on.
    pub fn reopen_listeners(&mut self) {
        self.resting.fill(false);
        self.look_again();
    }

    /// Whether clients may wait in the backlog of a listener that rests by itself.
    #[inline]
    pub fn keeps_out_some(&self) -> bool {
        self.kept_out
    }

    pub fn is_ready(&self, listener: usize) -> bool {
        let rests = self.resting.get(listener).is_some_and(|rests| *rests);
        !rests && self.listeners.get(listener).is_some_and(|ready| ready.readable())
    }

    fn drained(&mut self, listener: usize) {
        if let Some(ready) = self.listeners.get_mut(listener) {
            ready.nothing_to_read();
        }
        self.look_again();
    }

    /// Takes one connection from a backlog.
    pub fn take<N: Net>(&mut self, net: &mut N, listener: usize, now: Instant) -> Taken<N::Stream> {
        match net.accept(listener) {
            Accept::Accepted(stream, from) => Taken::Connection(stream, from),
            Accept::Retry => Taken::Gone,
            Accept::Drained => {
                self.drained(listener);
                Taken::Rests(Some(Counted::Drained))
            }
            Accept::Exhausted(error) => {
                log::warn!("accept: {error}; accepting rests for {} ms", PAUSE.as_millis());
                self.resume_at = Some(now + PAUSE);
                Taken::Rests(Some(Counted::Exhausted))
            }
            Accept::Fatal(error) => {
                log::error!("accept: {error}; the listener is given up");
                self.drained(listener);
                Taken::Rests(None)
            }
        }
    }
}

/// What a backlog gave.
#[derive(Debug)]
pub enum Taken<S> {
    Connection(S, SocketAddr),
    /// The connection died before it was taken: there may be another one.
    Gone,
    /// No connection now; and what a counter should be told of that.
    Rests(Option<Counted>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_rests_keeps_no_other_from_accepting() {
        let mut listen = Listen::new(2);
        assert!(listen.may_accept() && !listen.keeps_out_some());
        listen.rest_listener(1);
        assert!(listen.is_ready(0) && !listen.is_ready(1));
        assert!(listen.may_accept() && listen.keeps_out_some() && !listen.keeps_out());
        listen.drained(0);
        // Somebody waits, and nobody is to be accepted: the loop may sleep.
        assert!(!listen.may_accept() && listen.keeps_out_some());
        listen.on_event(1);
        assert!(!listen.may_accept(), "it rests, whoever comes");
        listen.reopen_listeners();
        assert!(listen.may_accept() && listen.is_ready(1) && !listen.keeps_out_some());
    }
}
