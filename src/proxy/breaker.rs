//! The breaker of one endpoint: whether it is sent requests at all.
//!
//! ```text
//!              faults in a row, or their share in the window
//!     Closed ────────────────────────────────────────────────▶ Open
//!       ▲                                                     │   ▲
//!       │ it answers                       the time is over,  │   │ the probe ends in a fault:
//!       │ (and its weight grows             the port answers, │   │ open again, twice as long
//!       │  again: slow start)               the check is well ▼   │
//!       └───────────────────────────────────────────────── HalfOpen
//!                                                  one request at a time: the probe
//! ```
//!
//! * **Fault**: no connection, a reset, a 5xx, a timeout, an answer cut short. What a client did
//!   wrong (4xx) is neither a fault nor a success, but it is an answer: it closes a half-open
//!   breaker. A client that left proves nothing.
//! * **Unreachable** is a fault that says where it lies: no connection came to stand. A breaker that
//!   opened for it does not sleep until its time is over. The control thread looks whether the port
//!   answers, and if it does, the breaker asks for a probe at once ([`Breaker::reachable`]). So does
//!   one that opened for another fault, where the port has gone and come back.
//! * **429** is no fault but a request to rest: nothing is sent until then, and the state below
//!   stays what it was. No rest is longer than `open_max`.
//! * **401 and 403** mean that our own credentials are refused. That does not mend itself, so the
//!   endpoint is out for long, and the operator hears of it once.
//! * **Stragglers.** Every admission carries the breaker's epoch, the number of times it has
//!   opened. What ends with an older epoch was begun before the last opening and changes nothing:
//!   a hundred streams that break together open a breaker once, and the last answer of a dying
//!   server does not close it.
//! * **Panic.** A request let through while the breaker is open, because too many endpoints are or
//!   nobody else could answer it, carries the present epoch. If it is answered, that closes the
//!   breaker as a probe would; if it fails, nothing new has been learnt.
//! * **Suspect.** Others have said that the endpoint fails ([`suspect`]): one request goes to it as a trial, the
//!   others go elsewhere, if there is anybody else. What others say opens no breaker.
//! * **Beside a predefined answer** an endpoint that is out is asked all the same, as long as that costs
//!   nobody much: at once where it fails with an answer or a lost connection, else by a probe before its
//!   time ([`beside`]).
//!
//! Invariant: at most one probe of an epoch is out. Its place comes free through
//! [`Breaker::record`] or [`Breaker::first_event`] with its own ticket, or because an answer to
//! another request has closed the breaker; a probe that nobody reports keeps the endpoint out.

use std::time::Duration;

use super::random::Random;
use crate::clock::Instant;
use crate::config::snapshot::BreakerSettings as Settings;

mod beside;
mod standing;
mod suspect;
mod window;

#[cfg(test)]
mod tests;

pub use standing::Standing;
use window::Window;

/// Full weight, in thousandths.
pub const WHOLE: u32 = 1_000;
/// The weight a slow start begins with, in thousandths.
const SHARE_MIN: u32 = 100;
/// When a probe is out, nobody knows how long it will take: that is what is said instead.
const PROBE_HINT: Duration = Duration::from_secs(1);

/// One endpoint, as one worker has known it so far.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    /// After a 429, or in the past.
    rests_until: Instant,
    window: Window,
    /// Faults without a success in between.
    consecutive: u32,
    /// Openings in a row.
    openings: u16,
    /// Openings in all.
    epoch: u16,
    /// An early probe is out of a closed breaker, in a rest or against the checks.
    asking: bool,
    /// What put it out was an answer or a lost connection: it says soon that it fails.
    fails_soon: bool,
    /// Requests sent to it since it opened for want of anything but a predefined answer, and not
    /// settled.
    asked: u8,
    /// When it was last put out, or an early probe has ended.
    kept_out_at: Instant,
    /// When an answer last began, to a request of whatever epoch ([`beside::stamp`]).
    answered_at: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        /// When it closed; `None`: it has never been open.
        since: Option<Instant>,
    },
    Open {
        until: Instant,
        cause: OpenedBy,
    },
    HalfOpen {
        probing: bool,
    },
    /// Closed, and others say that it fails: until then it is tried by one request at a time.
    Suspect {
        until: Instant,
        probing: bool,
    },
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admits {
    Yes,
    /// One, to see whether the endpoint is well.
    Probe,
    /// It is tried by another request, and others doubt it: if there is nobody else.
    Reserve,
    No {
        /// When it may be asked again, as far as that is known.
        until: Instant,
        /// Out by our own judgement, which may be wrong, and not by the endpoint's word.
        judged: bool,
    },
}

/// What an exchange was begun with. It goes back to [`Breaker::record`], once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    epoch: u16,
    errand: Errand,
}

/// What a request was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    /// To a closed breaker.
    Plain,
    Probe,
    /// A probe before its time.
    Early,
    /// To one that is out, for want of anything but a predefined answer.
    Asked,
    /// To one that is out, in panic.
    Panic,
}

impl Ticket {
    pub fn is_probe(self) -> bool {
        matches!(self.errand, Errand::Probe | Errand::Early)
    }

    /// Its endpoint was out, or was to be probed.
    pub fn is_in_doubt(self) -> bool {
        self.errand != Errand::Plain
    }

    /// Its endpoint was out, in whatever way.
    pub fn was_out(self) -> bool {
        matches!(self.errand, Errand::Early | Errand::Asked | Errand::Panic)
    }
}

/// How an attempt ended, as far as its endpoint is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer.
    Success,
    /// A whole answer that says that the request is wrong: 4xx, but for those below.
    ClientError,
    /// It ended before anything was learnt: the client left, or the request was never sent.
    Abandoned,
    /// The endpoint failed.
    Fault,
    /// It could not be reached: no connection came to stand, and nothing was sent.
    Unreachable,
    /// The endpoint failed to answer in time, and had so much of it.
    TimedOut { waited: Duration },
    /// 429.
    RateLimited { retry_after: Option<Duration> },
    /// The endpoint says that it loads its model. That is no fault, and no sign that it is well.
    Loading,
    /// 401 or 403, to credentials that are ours. To a client's own they are a
    /// [`Outcome::ClientError`], or every client could take every endpoint out.
    Unauthorized,
}

/// Why a breaker opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    Consecutive,
    Rate,
    /// A probe failed.
    Probe,
    /// The last of its faults, or its probe: no connection came to stand.
    Unreachable,
    Unauthorized,
}

/// A change worth a line in the log. Each is returned once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    Opened {
        cause: OpenedBy,
        /// How long.
        open: Duration,
        /// Openings in a row, with this one.
        openings: u16,
    },
    Closed,
    /// The endpoint said 429.
    Resting {
        rest: Duration,
    },
    /// It has answered a request, whatever its checks say.
    Overruled,
    /// The endpoint says that it loads its model.
    Loading,
    /// Its model is there, after so long.
    Loaded {
        lasted: Duration,
    },
    /// The endpoint refuses our credentials: for the operator.
    Unauthorized {
        open: Duration,
    },
}

impl Breaker {
    /// Of an endpoint of which nothing is known: it gets its full weight at once.
    pub fn new() -> Breaker {
        Breaker::closed(None)
    }

    /// Of an endpoint that others have been serving without so far: it starts slowly.
    pub fn newcomer(now: Instant) -> Breaker {
        Breaker::closed(Some(now))
    }

    fn closed(since: Option<Instant>) -> Breaker {
        Breaker {
            state: State::Closed { since },
            rests_until: Instant::ZERO,
            window: Window::default(),
            consecutive: 0,
            openings: 0,
            epoch: 0,
            asking: false,
            fails_soon: false,
            asked: 0,
            kept_out_at: Instant::ZERO,
            answered_at: 0,
        }
    }

    /// Whether it would let a request through. Whoever sends one says so with [`Breaker::begin`].
    pub fn admits(&self, now: Instant) -> Admits {
        if now < self.rests_until {
            return Admits::No { until: self.rests_until, judged: false };
        }
        match self.state {
            State::Closed { .. } => Admits::Yes,
            State::Suspect { until, probing } => suspect::admits(until, probing, now),
            State::Open { until, cause } if now < until => {
                Admits::No { until, judged: cause != OpenedBy::Unauthorized }
            }
            State::HalfOpen { probing: true } => {
                Admits::No { until: now + PROBE_HINT, judged: true }
            }
            State::Open { .. } | State::HalfOpen { probing: false } => Admits::Probe,
        }
    }

    /// A request is sent. Where a probe is admitted it is the probe.
    pub fn begin(&mut self, now: Instant) -> Ticket {
        let probe = self.admits(now) == Admits::Probe;
        if probe {
            self.state = self.probed(true);
        }
        Ticket { epoch: self.epoch, errand: if probe { Errand::Probe } else { Errand::Plain } }
    }

    /// Whether it keeps away at the endpoint's own word that it is asked for too much: a 429.
    pub fn is_resting(&self, now: Instant) -> bool {
        now < self.rests_until
            && !matches!(self.state, State::Open { cause: OpenedBy::Unauthorized, .. })
    }

    /// Whether it is out because no connection came to stand. Then somebody looks at its port.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.state, State::Open { cause: OpenedBy::Unreachable, .. })
    }

    /// A request is sent although none is admitted. Nothing depends on how it fails.
    pub fn begin_in_panic(&self) -> Ticket {
        Ticket { epoch: self.epoch, errand: Errand::Panic }
    }

    /// The answer has begun: a data event, or a body byte where there are no events. A probe is
    /// settled here; its stream may go on for minutes.
    pub fn first_event(&mut self, ticket: Ticket, now: Instant) -> Option<Transition> {
        self.answered_at = beside::stamp(now);
        if ticket.epoch != self.epoch {
            return None;
        }
        if ticket.errand == Errand::Early {
            self.end_early(now);
            self.rests_until = Instant::ZERO;
        }
        if self.is_closed() { None } else { self.close(now) }
    }

    /// Whether it has not opened since this was begun: what became of it says something.
    pub fn is_current(&self, ticket: Ticket) -> bool {
        ticket.epoch == self.epoch
    }

    /// An attempt has ended.
    pub fn record(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        now: Instant,
        settings: &Settings,
        random: &mut Random,
    ) -> Option<Transition> {
        if ticket.epoch != self.epoch {
            return None;
        }
        // Nearly all of them: sent to one that was well, and well answered.
        if ticket.errand == Errand::Plain && outcome == Outcome::Success && self.is_closed() {
            return self.well(now, settings);
        }
        let probe = ticket.is_probe() && !self.is_closed();
        // Its first event may have settled it.
        let early = ticket.errand == Errand::Early && (self.asking || probe);
        if early {
            self.end_early(now);
        }
        let asked = ticket.errand == Errand::Asked && !self.is_closed();
        if asked {
            self.end_asked(outcome);
        }
        match outcome {
            Outcome::Success | Outcome::ClientError if early => {
                self.rests_until = Instant::ZERO;
                if self.is_closed() { None } else { self.close(now) }
            }
            Outcome::Success | Outcome::ClientError if !self.is_closed() => self.close(now),
            Outcome::Success => self.well(now, settings),
            Outcome::ClientError => None,
            Outcome::Fault | Outcome::Unreachable | Outcome::TimedOut { .. } => {
                let unreachable = outcome == Outcome::Unreachable;
                let cause = match self.state {
                    State::Closed { .. } => self.fault(now, settings)?,
                    // It was sent on other terms than the trial.
                    State::Suspect { .. } if !probe => self.fault(now, settings)?,
                    _ if probe => OpenedBy::Probe,
                    // It failed, and now it is away.
                    _ if asked && unreachable => OpenedBy::Unreachable,
                    // In panic: it was thought so.
                    _ => return None,
                };
                let cause = if unreachable { OpenedBy::Unreachable } else { cause };
                let opened = self.open(cause, now, settings, random);
                self.fails_soon = outcome == Outcome::Fault;
                Some(opened)
            }
            Outcome::Abandoned | Outcome::Loading => {
                self.return_probe(probe);
                None
            }
            Outcome::RateLimited { retry_after } => {
                self.return_probe(probe);
                let rest = retry_after.unwrap_or(settings.cooldown).min(settings.open_max);
                let resting = now < self.rests_until;
                self.kept_out_at = now;
                self.rests_until = self.rests_until.max(now + rest);
                (!resting && !rest.is_zero()).then_some(Transition::Resting { rest })
            }
            Outcome::Unauthorized => Some(self.open(OpenedBy::Unauthorized, now, settings, random)),
        }
    }

    /// The active check has turned from bad to good: the server is another one than before. An
    /// open breaker asks for a probe at once; a closed one lets it start slowly.
    pub fn well_again(&mut self, now: Instant) {
        match self.state {
            // A check is not asked for credentials.
            State::Open { cause: OpenedBy::Unauthorized, .. } | State::HalfOpen { .. } => {}
            State::Open { .. } => self.state = State::HalfOpen { probing: false },
            State::Closed { .. } | State::Suspect { .. } => {
                self.state = State::Closed { since: Some(now) };
                self.openings = 0;
            }
        }
    }

    /// Its port was away and answers again: the server is another one than before, and an open
    /// breaker asks for a probe.
    pub fn reachable(&mut self) {
        if matches!(self.state, State::Open { cause, .. } if cause != OpenedBy::Unauthorized) {
            self.state = State::HalfOpen { probing: false };
        }
    }

    /// The configuration has been read again, perhaps for new credentials.
    pub fn reloaded(&mut self) {
        if matches!(self.state, State::Open { cause: OpenedBy::Unauthorized, .. }) {
            self.state = State::HalfOpen { probing: false };
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    fn well(&mut self, now: Instant, settings: &Settings) -> Option<Transition> {
        self.consecutive = 0;
        self.window.add(false, now, settings.window);
        None
    }

    /// Counts a fault; why it opens the breaker, if it does.
    fn fault(&mut self, now: Instant, settings: &Settings) -> Option<OpenedBy> {
        self.consecutive = self.consecutive.saturating_add(1);
        self.window.add(true, now, settings.window);
        let count = self.window.count(now, settings.window);
        let share = u64::from(count.faults) * 100;
        if self.consecutive >= settings.consecutive {
            Some(OpenedBy::Consecutive)
        } else if count.ended >= settings.volume
            && share >= u64::from(settings.rate) * u64::from(count.ended)
        {
            Some(OpenedBy::Rate)
        } else {
            None
        }
    }

    fn open(
        &mut self,
        cause: OpenedBy,
        now: Instant,
        settings: &Settings,
        random: &mut Random,
    ) -> Transition {
        // In a row: it has not been well for as long as it takes to be trusted again.
        let trusted = settings.slow_start + settings.window;
        let in_a_row = match self.state {
            State::Closed { since } => since.is_some_and(|since| now.since(since) < trusted),
            State::Suspect { .. } => false,
            State::Open { .. } | State::HalfOpen { .. } => true,
        };
        self.openings = if in_a_row { self.openings.saturating_add(1) } else { 1 };
        let open = match settings.unauthorized {
            Some(unauthorized) if cause == OpenedBy::Unauthorized => unauthorized,
            _ => {
                let doublings = u32::from(self.openings.saturating_sub(1)).min(31);
                let open = settings.open.saturating_mul(1 << doublings).min(settings.open_max);
                random.jittered(open)
            }
        };
        self.state = State::Open { until: now + open, cause };
        (self.asking, self.fails_soon, self.asked) = (false, false, 0);
        self.kept_out_at = now;
        self.epoch = self.epoch.wrapping_add(1);
        match cause {
            OpenedBy::Unauthorized => Transition::Unauthorized { open },
            _ => Transition::Opened { cause, open, openings: self.openings },
        }
    }

    /// Whether anybody is to hear of it: a doubt that was unfounded is nobody's news.
    fn close(&mut self, now: Instant) -> Option<Transition> {
        if matches!(self.state, State::Suspect { .. }) {
            self.state = State::Closed { since: None };
            self.consecutive = 0;
            return None;
        }
        self.state = State::Closed { since: Some(now) };
        (self.consecutive, self.asked) = (0, 0);
        self.window = Window::default();
        Some(Transition::Closed)
    }

    fn return_probe(&mut self, probe: bool) {
        if probe {
            self.state = self.probed(false);
        }
    }
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker::new()
    }
}
