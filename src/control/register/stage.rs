//! What a registration does next: a table of what has happened and where it stands.
//!
//! ```text
//!   Starting ──healthy──▶ Serving ──told to stop──▶ Withdrawing ──▶ Draining ──▶ Ending ──▶ over
//!       │                  ▲    │ unwell: withdraw       │ the lease has ended      │ TERM, KILL
//!       └── too late, told to stop ──────────────────────────────────────────────────▲
//! ```
//!
//! Invariant: no thread, no clock, no I/O. Time is an argument.
//! Invariant: a server is told to end only when nobody is sent to it any more: withdrawn, or its lease
//! run out, and then the drain.

use std::time::{Duration, Instant};

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterEvent {
    Healthy,
    Unhealthy,
    /// A signal.
    Stop,
    /// The key is gone from the store.
    Withdrawn,
    /// The server has ended by itself or was ended: its exit code.
    Ended(u8),
    /// Nothing; time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterAction {
    Announce,
    Withdraw,
    /// SIGTERM to the server and all it has started.
    Terminate,
    /// The same, because it was not healthy in time.
    GiveUp,
    /// SIGKILL.
    Kill,
    /// All is over, with this exit code.
    Exit(u8),
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct RegisterTimes {
    /// Until the server is healthy for the first time.
    pub start: Duration,
    /// From the withdrawal until the server is told to end.
    pub drain: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// After this a key whose withdrawal nobody has confirmed is gone with its lease.
    pub lease: Duration,
}

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting {
        until: Instant,
    },
    Serving,
    /// `code`: the server has ended already.
    Withdrawing {
        until: Instant,
        code: Option<u8>,
    },
    Draining {
        until: Instant,
    },
    Ending {
        kill_at: Option<Instant>,
        code: Option<u8>,
    },
    Over,
}

/// One registration, from its start to its end.
pub struct Registration {
    times: RegisterTimes,
    stage: Stage,
    /// There is a server of ours to be ended.
    owns: bool,
    announced: bool,
}

impl Registration {
    /// `owns`: the server is a child of ours.
    pub fn begin(times: RegisterTimes, owns: bool, now: Instant) -> Registration {
        let stage = Stage::Starting { until: now + times.start };
        Registration { times, stage, owns, announced: false }
    }

    /// What follows from an event. To be called with [`RegisterEvent::Tick`] now and then.
    pub fn step(&mut self, event: RegisterEvent, now: Instant) -> Option<RegisterAction> {
        use RegisterEvent::{Ended, Healthy, Stop, Tick, Unhealthy, Withdrawn};
        match (self.stage, event) {
            (Stage::Over, _) => None,
            (Stage::Starting { .. } | Stage::Serving, Healthy) if !self.announced => {
                self.stage = Stage::Serving;
                self.announced = true;
                Some(RegisterAction::Announce)
            }
            (Stage::Serving, Unhealthy) if self.announced => {
                self.announced = false;
                Some(RegisterAction::Withdraw)
            }
            // A server that somebody else runs may come at any time.
            (Stage::Starting { until }, Tick) if self.owns && now >= until => {
                self.end(Some(1), now);
                Some(RegisterAction::GiveUp)
            }
            (Stage::Starting { .. }, Stop) => self.end(None, now),
            (Stage::Starting { .. }, Ended(code)) => self.over(code),
            (Stage::Serving, Stop) => self.withdraw(None, now),
            (Stage::Serving, Ended(code)) => self.withdraw(Some(code), now),
            // The second signal: whoever sends it does not want to wait.
            (Stage::Withdrawing { .. } | Stage::Draining { .. }, Stop) => self.end(None, now),
            (Stage::Withdrawing { code, .. }, Withdrawn) => self.drain(code, now),
            (Stage::Withdrawing { code, until }, Tick) if now >= until => self.drain(code, now),
            (Stage::Withdrawing { until, .. }, Ended(code)) => {
                self.stage = Stage::Withdrawing { until, code: Some(code) };
                None
            }
            (Stage::Draining { until }, Tick) if now >= until => self.end(None, now),
            (Stage::Draining { .. }, Ended(code)) => self.over(code),
            (Stage::Ending { code, .. }, Ended(ended)) => self.over(code.unwrap_or(ended)),
            (Stage::Ending { kill_at: Some(at), code }, event)
                if event == Stop || event == Tick && now >= at =>
            {
                self.stage = Stage::Ending { kill_at: None, code };
                Some(RegisterAction::Kill)
            }
            _ => None,
        }
    }

    /// Nobody is to be sent to the server any more.
    fn withdraw(&mut self, code: Option<u8>, now: Instant) -> Option<RegisterAction> {
        if !std::mem::take(&mut self.announced) {
            // Nobody is: but who was until just now may still be read somewhere, so it drains.
            return self.drain(code, now);
        }
        self.stage = Stage::Withdrawing { until: now + self.times.lease, code };
        Some(RegisterAction::Withdraw)
    }

    /// The store says it no more: gateways take a moment to notice, and streams to end.
    fn drain(&mut self, code: Option<u8>, now: Instant) -> Option<RegisterAction> {
        match code {
            Some(code) => self.over(code),
            None if self.owns => {
                self.stage = Stage::Draining { until: now + self.times.drain };
                None
            }
            None => self.over(0),
        }
    }

    /// The server is told to end. `code`: what this process says of it whatever the server does.
    fn end(&mut self, code: Option<u8>, now: Instant) -> Option<RegisterAction> {
        if !self.owns {
            return self.over(code.unwrap_or(0));
        }
        self.stage = Stage::Ending { kill_at: Some(now + self.times.grace), code };
        Some(RegisterAction::Terminate)
    }

    fn over(&mut self, code: u8) -> Option<RegisterAction> {
        self.stage = Stage::Over;
        Some(RegisterAction::Exit(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RegisterAction::{Announce, Exit, GiveUp, Kill, Terminate, Withdraw};
    use RegisterEvent::{Ended, Healthy, Stop, Tick, Unhealthy, Withdrawn};

    const TIMES: RegisterTimes = RegisterTimes {
        start: Duration::from_secs(60),
        drain: Duration::from_secs(5),
        grace: Duration::from_secs(10),
        lease: Duration::from_secs(3),
    };

    /// What follows of events, each so many seconds after the start.
    fn played(owns: bool, events: &[(u64, RegisterEvent)]) -> Vec<RegisterAction> {
        let now = Instant::now();
        let mut registration = Registration::begin(TIMES, owns, now);
        let steps = events.iter();
        steps
            .filter_map(|(at, event)| registration.step(*event, now + Duration::from_secs(*at)))
            .collect()
    }

    #[test]
    fn a_server_of_ours_from_its_start_to_its_end() {
        for (events, actions) in [
            // The usual life.
            (
                &[
                    (0, Unhealthy),
                    (5, Healthy),
                    (6, Healthy),
                    (7, Unhealthy),
                    (8, Unhealthy),
                    (9, Healthy),
                    (20, Stop),
                    (20, Withdrawn),
                    (24, Tick),
                    (25, Tick),
                    (26, Tick),
                    (27, Ended(0)),
                    (28, Tick),
                ][..],
                &[Announce, Withdraw, Announce, Withdraw, Terminate, Exit(0)][..],
            ),
            // The store is away: the lease runs out. The server does not heed SIGTERM.
            (
                &[
                    (1, Healthy),
                    (2, Stop),
                    (4, Tick),
                    (5, Tick),
                    (10, Tick),
                    (20, Tick),
                    (21, Ended(137)),
                ],
                &[Announce, Withdraw, Terminate, Kill, Exit(137)],
            ),
            // It is never healthy.
            (&[(59, Tick), (60, Tick), (61, Ended(0))], &[GiveUp, Exit(1)]),
            (&[(1, Stop), (2, Ended(143))], &[Terminate, Exit(143)]),
            (&[(1, Ended(3))], &[Exit(3)]),
            // It ends by itself: withdrawn, and nothing to drain.
            (&[(1, Healthy), (2, Ended(9)), (2, Withdrawn)], &[Announce, Withdraw, Exit(9)]),
            (&[(1, Healthy), (2, Ended(9)), (5, Tick)], &[Announce, Withdraw, Exit(9)]),
            (
                &[(1, Healthy), (2, Stop), (2, Ended(0)), (3, Withdrawn)],
                &[Announce, Withdraw, Exit(0)],
            ),
            (
                &[(1, Healthy), (2, Stop), (2, Withdrawn), (3, Ended(0))],
                &[Announce, Withdraw, Exit(0)],
            ),
            // Unwell when it is told to stop: nothing to withdraw, but whoever still has it drains.
            (
                &[(1, Healthy), (2, Unhealthy), (3, Stop), (7, Tick), (8, Tick), (9, Ended(0))],
                &[Announce, Withdraw, Terminate, Exit(0)],
            ),
            // A second signal, and a third.
            (
                &[(1, Healthy), (2, Stop), (2, Stop), (3, Stop), (3, Ended(137))],
                &[Announce, Withdraw, Terminate, Kill, Exit(137)],
            ),
        ] {
            assert_eq!(played(true, events), actions, "{events:?}");
        }
    }

    #[test]
    fn a_server_of_somebody_else_is_not_ended() {
        for (events, actions) in [
            (
                &[(60, Tick), (70, Healthy), (80, Stop), (80, Withdrawn)][..],
                &[Announce, Withdraw, Exit(0)][..],
            ),
            (&[(70, Healthy), (80, Stop), (83, Tick)], &[Announce, Withdraw, Exit(0)]),
            (&[(1, Stop)], &[Exit(0)]),
        ] {
            assert_eq!(played(false, events), actions, "{events:?}");
        }
    }
}
