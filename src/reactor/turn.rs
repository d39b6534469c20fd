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

use crate::reactor::coalesce::Coalesce;
use crate::reactor::count::Counted;
use crate::reactor::listen::Listen;
use crate::reactor::mailbox::{MAIL_MAX, Mailbox};
use crate::reactor::net::{Event, Net};
use crate::reactor::run::Run;
use crate::reactor::spin::Spin;
use crate::reactor::timer::{Entry, TimerWheel};
use crate::reactor::token::Kind;

mod accepting;
mod contract;
mod parts;
mod poll;

pub use accepting::accept_from;
pub use contract::{Cx, Entrance, Handler, Pace};

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
        for mail in self.mailbox.open(MAIL_MAX) {
            self.handler.on_mail(mail, &mut self.cx);
        }
    }

    fn status(&self) -> Status {
        // A mailbox with mail cannot be shut: each message is read, or given back to its sender.
        let over = self.handler.is_over() && self.mailbox.shut();
        if over { Status::Stopped } else { Status::Running }
    }
}
