//! What a loop serves, and what it lends for that.
//!
//! The seam above the loop, as [`crate::reactor::net`] is the one below it. A handler can queue a
//! socket, open a connection and set an alarm, because it is lent [`Cx`]; it cannot poll, and it cannot
//! skip a phase of the turn.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Instant;
use crate::reactor::coalesce::Coalesce;
use crate::reactor::count::Counted;
use crate::reactor::listen::Listen;
use crate::reactor::net::{Event, Net};
use crate::reactor::run::Run;
use crate::reactor::timer::{Entry, TimerWheel};
use crate::reactor::token::Token;

/// Whether one more connection may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    Open,
    /// Not by this listener: it rests until [`Listen::reopen_listeners`].
    ListenerFull,
    /// By none: accepting rests until [`Listen::reopen`].
    Full,
}

/// What serves the sockets of a loop.
pub trait Handler<N: Net>: Sized {
    /// What other threads send to it.
    type Mail;

    /// The poll told something of a socket: keep it as readiness, and queue the owner. No I/O.
    fn on_event(&mut self, event: &Event, run: &mut Run);
    /// All events of this turn are known, and nobody has been driven yet.
    fn collected(&mut self, _cx: &mut Cx<N>) {}
    /// Advances the connection of a queued token as far as it goes.
    fn drive(&mut self, who: Token, cx: &mut Cx<N>);
    /// The same for a token of the heavy lane: one in a turn, behind all light work.
    fn drive_heavy(&mut self, who: Token, cx: &mut Cx<N>) {
        self.drive(who, cx);
    }
    /// Whether there is room for one more connection from this listener.
    fn admits(&self, _listener: usize, _cx: &Cx<N>) -> Entrance {
        Entrance::Open
    }
    /// Takes a connection that this listener has accepted.
    fn on_accept(&mut self, stream: N::Stream, from: SocketAddr, listener: usize, cx: &mut Cx<N>);
    /// An entry of the wheel is due. The deadline may have moved: [`crate::reactor::timer::Alarm::fired`] tells.
    fn on_alarm(&mut self, entry: Entry, cx: &mut Cx<N>);
    /// All due entries have fired: the moment for deadlines that have no entry in the wheel.
    fn on_time(&mut self, _cx: &mut Cx<N>) {}
    /// A message from another thread.
    fn on_mail(&mut self, mail: Self::Mail, cx: &mut Cx<N>);
    /// The thread did not run for `lost`: that time is nobody's silence, so timers move by it.
    fn on_standstill(&mut self, _lost: Duration, _cx: &mut Cx<N>) {}
    /// The end of the turn: frees what was closed in it ([`Run::next_reaped`]).
    fn reap(&mut self, cx: &mut Cx<N>);
    /// When it wants a turn without an event; [`Instant::NEVER`]: it wants none.
    fn wakes_at(&self, _cx: &Cx<N>) -> Instant {
        Instant::NEVER
    }
    /// The turn is over; its poll had brought so many events. If the clock is read here, [`Cx::now`]
    /// may follow it: the poll then sleeps from that moment, and not from the beginning of the turn.
    fn turned(&mut self, _events: usize, _cx: &mut Cx<N>) {}
    /// Whether its work is over, so that the loop may end.
    fn is_over(&self) -> bool;
    /// Something happened that may be worth a counter.
    fn count(&self, _what: Counted) {}
}

/// How a loop waits for events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// How long it polls before it sleeps, where an event is likely by then. Zero: it sleeps at once.
    pub spin: Duration,
    /// How long events may wait for others, so that one poll finds many. `None`: not at all.
    pub coalesce: Option<Duration>,
}

/// What a handler is lent of its loop. In memory as it is written here: what every turn looks at
/// comes first.
#[repr(C)]
pub struct Cx<N: Net> {
    /// The clock of this turn.
    pub now: Instant,
    /// Who is driven next, and what is freed at the end of the turn.
    pub run: Run,
    pub listen: Listen,
    pub coalesce: Coalesce,
    pub pace: Pace,
    pub wheel: TimerWheel,
    pub net: N,
}

impl<N: Net> Cx<N> {
    /// Changes how the loop waits for events. What coalescing has learnt with the old bound is void.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
        self.coalesce = Coalesce::new(self.now);
    }

    /// No more connections are taken. Those in a backlog are refused by the kernel.
    pub fn close_listeners(&mut self) {
        self.net.close_listeners();
        self.listen = Listen::new(0);
    }
}
