//! The phase *poll*: how a loop waits for events, and for how long.
//!
//! * The timeout is computed last, when nothing can change it any more.
//! * A poll that ended much later than it was meant to is made again, before any deadline is believed.

use std::io;
use std::time::Duration;

use super::{Handler, Loop};
use crate::clock::Instant;
use crate::reactor::count::Counted;
use crate::reactor::net::Net;

/// A poll that ends so much later than it was meant to is no chance: the thread did not run.
const STANDSTILL: Duration = Duration::from_millis(250);
/// Polls made after a standstill: each may tell only some of the events. What still brings news after
/// so many is new traffic, and no backlog.
const BACKLOG_POLLS_MAX: usize = 64;
impl<N: Net, H: Handler<N>> Loop<N, H> {
    /// Waits for events, as the pace of the loop says, and reads the clock of the turn.
    pub(super) fn poll(&mut self) -> io::Result<()> {
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
        // Mail that the last turn has left wakes nobody again.
        if !self.cx.run.is_idle() || self.cx.listen.may_accept() || self.mailbox.has_mail() {
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
}
