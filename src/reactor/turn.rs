//! The turn that a worker makes over and over, whatever it is that it serves.
//!
//! ```text
//!   poll → collect → run → accept → alarms → mail → reap
//! ```
//!
//! * *collect* does no I/O: it hands events to the handler, which keeps them as readiness bits, so
//!   that the turn works on one consistent picture.
//! * *run* drives only what was queued when it began. A drive that has more to do is queued again
//!   and runs in the next turn: one busy connection delays the others by its budget, no more. One
//!   heavy drive is made in a turn, behind all light ones.
//! * *accept* comes after existing work, so that a storm of connections cannot starve tokens.
//! * *reap* is the only place where a handler frees slots and closes sockets. What closes in a turn
//!   is closed at the end of that turn.
//! * The clock is read once, after the poll, and in every round of a spin, if that is on.
//!
//! Owns the poller, the queues, the timers, the listeners and the mailbox. What is done with a
//! socket that is ready is its [`Handler`]'s business: nothing here knows a buffer or a protocol.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Instant;
use crate::reactor::coalesce::Coalesce;
use crate::reactor::count::Counted;
use crate::reactor::listen::{Listen, Taken};
use crate::reactor::mailbox::Mailbox;
use crate::reactor::net::{Event, Net};
use crate::reactor::run::Run;
use crate::reactor::spin::Spin;
use crate::reactor::timer::{Entry, TimerWheel};
use crate::reactor::token::{Kind, Token};

/// A poll that ends so much later than it was meant to is no chance: the thread did not run.
const STANDSTILL: Duration = Duration::from_millis(250);
/// Polls made after a standstill: each may tell only some of the events. What still brings news after
/// so many is new traffic, and no backlog.
const BACKLOG_POLLS_MAX: usize = 64;
/// Connections taken from one listener per turn.
const ACCEPT_BUDGET: usize = 64;

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
    /// Whether there is room for one more connection. If not, accepting rests until
    /// [`Listen::reopen`].
    fn admits(&self, _cx: &Cx<N>) -> bool {
        true
    }
    /// Takes a connection that was accepted.
    fn on_accept(&mut self, stream: N::Stream, from: SocketAddr, cx: &mut Cx<N>);
    /// An entry of the wheel is due. The deadline may have moved: [`super::timer::Alarm::fired`] tells.
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
    /// The turn is over; its poll had brought so many events.
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

/// Whether a loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Running,
    /// Its handler is over, and no message waits.
    Stopped,
}

/// One single-threaded reactor and what it serves.
#[repr(C)]
pub struct Loop<N: Net, H: Handler<N>> {
    cx: Cx<N>,
    events: Vec<Event>,
    due: Vec<Entry>,
    spin: Spin,
    mailbox: Mailbox<H::Mail>,
    handler: H,
}

impl<N: Net, H: Handler<N>> Loop<N, H> {
    /// A loop over `net`, whose listeners are open already, with the handler that `make` makes.
    pub fn with(
        net: N,
        mailbox: Mailbox<H::Mail>,
        pace: Pace,
        make: impl FnOnce(&mut Cx<N>) -> H,
    ) -> Loop<N, H> {
        let now = net.now();
        let mut cx = Cx {
            now,
            run: Run::default(),
            listen: Listen::new(net.listeners()),
            coalesce: Coalesce::new(now),
            pace,
            wheel: TimerWheel::new(now),
            net,
        };
        let handler = make(&mut cx);
        let events = Vec::with_capacity(1024);
        Loop { cx, events, due: Vec::new(), spin: Spin::new(), mailbox, handler }
    }

    /// Turns until the handler is over.
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
        self.fire_alarms();
        if self.mailbox.has_mail() {
            self.read_mail();
        }
        self.handler.reap(&mut self.cx);
        self.handler.turned(self.events.len(), &mut self.cx);
        Ok(self.status())
    }

    fn poll(&mut self) -> io::Result<()> {
        self.events.clear();
        let before = self.cx.now;
        let asked = self.poll_timeout();
        let pause = self.cx.coalesce.until(before, asked);
        let timeout = pause.map_or(asked, |_| Some(Duration::ZERO));
        if let Some(until) = pause {
            self.handler.count(Counted::Pause);
            self.cx.net.pause(until);
        }
        if self.cx.pace.spin.is_zero() || timeout == Some(Duration::ZERO) {
            self.handler.count(Counted::Poll);
            self.cx.net.poll(&mut self.events, timeout)?;
        } else {
            self.wait_for(timeout)?;
        }
        if self.events.is_empty() {
            self.handler.count(Counted::EmptyPoll);
        }
        self.cx.now = self.cx.net.now();
        if self.is_late(before, || pause.or(asked.map(|asked| before + asked))) {
            self.stood_still(before)?;
        }
        if let Some(bound) = self.cx.pace.coalesce {
            self.cx.coalesce.polled(self.events.len(), pause.is_some(), bound, self.cx.now);
        }
        Ok(())
    }

    /// Waits for an event: for a while without sleeping, where one is likely to come in that time.
    #[inline(never)]
    fn wait_for(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let bound = self.cx.pace.spin;
        let since = self.cx.net.now();
        let spins = self.spin.pays();
        if spins {
            self.spin_until(since + bound.min(timeout.unwrap_or(bound)))?;
        }
        if self.events.is_empty() {
            self.handler.count(Counted::Poll);
            let timeout = self.poll_timeout();
            self.cx.net.poll(&mut self.events, timeout)?;
        }
        self.spin.waited(self.cx.net.now() - since, !spins, bound);
        Ok(())
    }

    fn spin_until(&mut self, until: Instant) -> io::Result<()> {
        loop {
            self.handler.count(Counted::Poll);
            self.cx.net.poll(&mut self.events, Some(Duration::ZERO))?;
            self.cx.now = self.cx.net.now();
            if !self.events.is_empty() || self.cx.now >= until || self.mailbox.has_mail() {
                return Ok(());
            }
        }
    }

    /// How long the poll may sleep. Computed last, when nothing can change it any more.
    fn poll_timeout(&self) -> Option<Duration> {
        if !self.cx.run.is_idle() || self.cx.listen.may_accept() {
            return Some(Duration::ZERO);
        }
        let wake = self.cx.wheel.next().unwrap_or(Instant::NEVER);
        let wake = wake.min(self.cx.listen.resume_at()).min(self.handler.wakes_at(&self.cx));
        (wake != Instant::NEVER).then(|| wake.since(self.cx.now))
    }

    /// Whether the poll that began at `before` ended much later than it was `meant` to. Asked in every
    /// turn, so the cheap test comes first: most polls end soon after they have begun.
    #[inline]
    fn is_late(&self, before: Instant, meant: impl Fn() -> Option<Instant>) -> bool {
        let late = |since: Instant| self.cx.now > since + STANDSTILL;
        late(before) && meant().is_some_and(late)
    }

    /// The poll ended much later than it was meant to: this thread did not run. Meanwhile bytes and
    /// ends of connections have come, and every timer seems to have run out. So the network is polled
    /// again until it tells nothing new, and the time since `before` counts as nobody's silence. All
    /// of it: when in this time the thread was stopped cannot be known, and a silent peer may have
    /// stood still as well (the same laptop, the same freezer).
    #[cold]
    #[inline(never)]
    fn stood_still(&mut self, before: Instant) -> io::Result<()> {
        let lost = self.cx.now - before;
        log::warn!("nothing ran for {lost:?} (a stopped process or machine, or no CPU)");
        self.handler.count(Counted::Standstill);
        for _ in 0..BACKLOG_POLLS_MAX {
            let known = self.events.len();
            self.handler.count(Counted::Poll);
            self.cx.net.poll(&mut self.events, Some(Duration::ZERO))?;
            if self.events.len() == known {
                break;
            }
        }
        self.handler.on_standstill(lost, &mut self.cx);
        Ok(())
    }

    fn collect(&mut self) {
        self.handler.count(Counted::Events(self.events.len()));
        for event in &self.events {
            match event.token.kind() {
                Kind::Waker => {}
                Kind::Listener => self.cx.listen.on_event(event.token.index()),
                Kind::Downstream | Kind::Upstream => self.handler.on_event(event, &mut self.cx.run),
            }
        }
    }

    fn run_ready(&mut self) {
        self.handler.collected(&mut self.cx);
        for _ in 0..self.cx.run.len() {
            let Some(token) = self.cx.run.next() else { break };
            self.handler.drive(token, &mut self.cx);
        }
        if let Some(token) = self.cx.run.next_heavy() {
            self.handler.drive_heavy(token, &mut self.cx);
        }
    }

    fn accept_pending(&mut self) {
        self.cx.listen.wake(self.cx.now);
        if self.cx.listen.may_accept() {
            self.accept_from_all();
        }
    }

    #[inline(never)]
    fn accept_from_all(&mut self) {
        for listener in 0..self.cx.net.listeners() {
            accept_from(&mut self.handler, listener, ACCEPT_BUDGET, &mut self.cx);
        }
    }

    fn fire_alarms(&mut self) {
        self.cx.wheel.advance(self.cx.now, &mut self.due);
        if !self.due.is_empty() {
            self.fire_due();
        }
        self.handler.on_time(&mut self.cx);
    }

    #[inline(never)]
    fn fire_due(&mut self) {
        for entry in self.due.drain(..) {
            self.handler.on_alarm(entry, &mut self.cx);
        }
    }

    #[cold]
    fn read_mail(&mut self) {
        for mail in self.mailbox.open().collect::<Vec<_>>() {
            self.handler.on_mail(mail, &mut self.cx);
        }
    }

    fn status(&self) -> Status {
        // A mailbox with mail cannot be shut: each message is read, or given back to its sender.
        let over = self.handler.is_over() && self.mailbox.shut();
        if over { Status::Stopped } else { Status::Running }
    }

    pub fn handler(&self) -> &H {
        &self.handler
    }

    pub fn cx(&self) -> &Cx<N> {
        &self.cx
    }

    pub fn net(&self) -> &N {
        &self.cx.net
    }

    pub fn net_mut(&mut self) -> &mut N {
        &mut self.cx.net
    }
}

/// Takes up to `budget` connections from one listener.
pub fn accept_from<N: Net, H: Handler<N>>(
    handler: &mut H,
    listener: usize,
    budget: usize,
    cx: &mut Cx<N>,
) {
    for _ in 0..budget {
        if !cx.listen.is_ready(listener) {
            return;
        }
        if !handler.admits(cx) {
            return cx.listen.rest_for_room();
        }
        handler.count(Counted::Accept);
        match cx.listen.take(&mut cx.net, listener, cx.now) {
            Taken::Connection(stream, from) => handler.on_accept(stream, from, cx),
            Taken::Gone => {}
            Taken::Rests(counted) => {
                counted.into_iter().for_each(|counted| handler.count(counted));
                return;
            }
        }
    }
}
