//! Admission: who waits for a place at an upstream, and in which order. One queue per worker and
//! upstream.
//!
//! A place is two things: a permit (`max_concurrency` and `endpoint_concurrency`, shared by all
//! workers) and a connection of this worker's pool. Whoever lacks either waits in the same line,
//! and whoever is called tries for both anew.
//!
//! ```text
//!            nobody waits                    called         got both
//!   admit ──────────────────▶ Now      ┌──────────────▶ ──────────────▶ seated
//!     │  room in the queue             │    call           │ lacks one
//!     ├──────────────────▶ Wait ───────┘ ◀─────────────────┘ again
//!     │                       └──────────▶ leave (deadline, client gone)
//!     └──────────────────▶ Full
//! ```
//!
//! **The order.** Priorities are a head start: who has priority p stands as if it had come
//! p × `queue_timeout` / 4 later than it did, and the one who stands first is called. Inside a
//! priority that is first come, first served. Nobody is overtaken by anyone who comes more than
//! three quarters of `queue_timeout` after it, so a steady flow of urgent requests cannot starve
//! the least urgent, and nothing has to be re-sorted as time passes.
//!
//! * At most `queue` wait; whoever finds it full is refused and does not push out another, urgent
//!   or not: who was told to wait is not sent away for a later comer.
//! * A call is either used ([`Queue::seated`]), given back ([`Queue::again`]) or passed on
//!   ([`Queue::leave`] says so). Until then its bearer counts as waiting, so nobody slips in.
//! * [`Queue::admit`], `call` and `again` look at the fronts of four lanes. `leave` and `seated`
//!   search: linear in a queue that holds a few hundred.
//!
//! Absent on purpose: permits themselves, deadlines that fire (each waiter has a timer of its own
//! and leaves), and the other workers' queues, of which [`Fronts`] tells all that is needed.

mod drain;
mod fronts;
pub mod keys;
#[cfg(test)]
mod tests;

pub use fronts::Fronts;

use std::collections::VecDeque;
use std::time::Duration;

use drain::DrainRate;

use crate::clock::Instant;
use crate::config::snapshot::{Admission, PRIORITIES};

/// `Retry-After` is told in whole seconds between these: less is none, and of more nobody knows
/// enough to promise it.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// A permit: one that comes home to any worker will do.
    Permit,
    /// A connection of this worker's pool.
    Connection,
}

/// What becomes of a request that wants a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Nobody waits: try for a place, and ask again with what was lacking.
    Now,
    /// It is in line, until then at most.
    Wait { until: Instant },
    /// The line is as long as it may be.
    Full { retry_after: Duration },
}

/// The line. `W` names a waiter.
#[derive(Debug)]
pub struct Queue<W> {
    /// One per priority, each in the order of `standing`.
    lanes: [VecDeque<Waiter<W>>; PRIORITIES as usize],
    drain: DrainRate,
    /// What was found missing last, by whoever tried.
    lack: Option<Lack>,
}

#[derive(Debug)]
struct Waiter<W> {
    who: W,
    came: Instant,
    /// When it would have come to stand where it does, had it the first priority.
    standing: Instant,
    /// What it found missing when it last tried; `None`: it has not tried yet.
    lack: Option<Lack>,
    /// On its way to try for a place.
    called: bool,
}

impl<W: Copy + PartialEq> Queue<W> {
    pub fn new() -> Queue<W> {
        Queue { lanes: Default::default(), drain: DrainRate::default(), lack: None }
    }

    /// Somebody wants a place. `lack` is what it found missing, `None` if it has not tried: whoever
    /// comes while others wait stands behind them and does not try.
    pub fn admit(
        &mut self,
        who: W,
        priority: u8,
        lack: Option<Lack>,
        now: Instant,
        settings: &Admission,
    ) -> Admit {
        if lack.is_none() && self.is_empty() {
            self.drain.pause(now);
            return Admit::Now;
        }
        self.drain.resume(now);
        self.lack = lack.or(self.lack);
        if self.len() >= settings.queue {
            return Admit::Full { retry_after: self.retry_after(priority, now, settings) };
        }
        let priority = priority.min(PRIORITIES - 1);
        let lane = &mut self.lanes[usize::from(priority)];
        // A reload may have shortened the head start; the order inside a lane stays all the same.
        let last = lane.back().map_or(Instant::ZERO, |waiter| waiter.standing);
        let standing = standing(priority, now, settings).max(last);
        lane.push_back(Waiter { who, came: now, standing, lack, called: false });
        Admit::Wait { until: now + settings.queue_timeout }
    }

    /// Something came free: calls the first to try for a place. It stays in line until it is
    /// [`seated`](Queue::seated). Who is known to lack a permit is not called for a connection,
    /// which is given back a moment before the permit of the same exchange.
    pub fn call(&mut self, free: Lack) -> Option<W> {
        let lane = (0..self.lanes.len()).filter_map(|lane| {
            let waiting = self.lanes[lane].iter().position(|waiter| !waiter.called)?;
            Some((self.lanes[lane][waiting].standing, lane, waiting))
        });
        let (_, lane, waiting) = lane.min()?;
        let waiter = &mut self.lanes[lane][waiting];
        if free == Lack::Connection && waiter.lack == Some(Lack::Permit) {
            return None;
        }
        waiter.called = true;
        Some(waiter.who)
    }

    /// The called one found no place after all, and stands where it stood.
    pub fn again(&mut self, who: W, lack: Lack) {
        let waiter = self.lanes.iter_mut().flatten().find(|waiter| waiter.who == who);
        debug_assert!(waiter.is_some(), "only who waits can be called");
        self.lack = Some(lack);
        if let Some(waiter) = waiter {
            waiter.lack = Some(lack);
            waiter.called = false;
        }
    }

    /// Somebody has its place, called or not.
    pub fn seated(&mut self, who: W, now: Instant) {
        self.remove(who, now);
    }

    /// Somebody waits no more. True if it had been called: its call is free for the next.
    #[must_use = "a call that nobody uses is passed on"]
    pub fn leave(&mut self, who: W, now: Instant) -> bool {
        self.remove(who, now).is_some_and(|waiter| waiter.called)
    }

    fn remove(&mut self, who: W, now: Instant) -> Option<Waiter<W>> {
        let removed = self.lanes.iter_mut().find_map(|lane| {
            let found = lane.iter().position(|waiter| waiter.who == who)?;
            lane.remove(found)
        });
        if removed.is_some() && self.is_empty() {
            self.drain.pause(now);
        }
        removed
    }

    /// An exchange with this upstream has ended on this worker and given its place back. Once per
    /// exchange, whatever it held.
    pub fn freed(&mut self, now: Instant) {
        self.drain.freed(now);
    }

    /// Where the first one stands. Who is called stands there until it is seated, or a newcomer
    /// elsewhere would take the permit it has been called for.
    pub fn front(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.front()).map(|waiter| waiter.standing).min()
    }

    /// When it is worth to come again, for one who is refused or has waited in vain: how many stand
    /// before a newcomer of its priority, over the rate at which places have come free while
    /// somebody waited. Where none has yet, as long as the first in line has waited so far: it
    /// is as likely as not to take as long again. Whole seconds, 1 to 60.
    pub fn retry_after(&self, priority: u8, now: Instant, settings: &Admission) -> Duration {
        let mine = standing(priority, now, settings);
        let before = |lane: &VecDeque<Waiter<W>>| lane.partition_point(|it| it.standing <= mine);
        let ahead: usize = self.lanes.iter().map(before).sum();
        let seconds = match self.drain.per_second(now) {
            Some(rate) => (ahead as f64 + 1.0) / rate,
            None => {
                let came = self.lanes.iter().filter_map(|lane| lane.front()).map(|it| it.came);
                came.min().map_or(0.0, |oldest| (now - oldest).as_secs_f64())
            }
        };
        let most = RETRY_AFTER_MAX.as_secs_f64();
        // The bound first: a rate of nearly nothing makes more seconds than a duration holds.
        Duration::from_secs(seconds.min(most).ceil() as u64).max(RETRY_AFTER_MIN)
    }

    /// What was found missing last. Whoever stands behind others has not tried, and lacks what they
    /// lacked, even when they have left.
    pub fn lack(&self) -> Option<Lack> {
        self.lack
    }

    pub fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    /// How many wait of each priority.
    pub fn depths(&self) -> [usize; PRIORITIES as usize] {
        std::array::from_fn(|priority| self.lanes[priority].len())
    }
}

impl<W: Copy + PartialEq> Default for Queue<W> {
    fn default() -> Queue<W> {
        Queue::new()
    }
}

/// Where one stands who comes at this time.
pub fn standing(priority: u8, came: Instant, settings: &Admission) -> Instant {
    let priority = priority.min(PRIORITIES - 1);
    came + settings.queue_timeout / u32::from(PRIORITIES) * u32::from(priority)
}

/// The priority of a request: `0` to `3` in the field `priority_header`, else the configured one.
/// What is neither is not worth a refusal.
pub fn priority(value: Option<&[u8]>, settings: &Admission) -> u8 {
    match value {
        Some([digit @ b'0'..=b'9']) if digit - b'0' < PRIORITIES => digit - b'0',
        _ => settings.priority,
    }
}
