//! The account of some turns: plain data, which [`super::text`] and [`super::page`] draw.

use std::time::Duration;

use crate::clock::Instant;
use crate::reactor::readiness::Readiness;

/// What one worker did in a world, in order.
#[derive(Debug)]
pub struct Account {
    /// When the world began: all times are told from here.
    pub begin: Instant,
    pub lanes: Vec<Lane>,
    pub turns: Vec<Turn>,
    /// The loop has ended behind the last of them.
    pub stopped: bool,
}

/// One socket, for as long as it lives.
#[derive(Debug)]
pub struct Lane {
    /// `client 1`, `server A2`
    pub name: String,
    pub kind: LaneKind,
    /// Whose it is, and its token.
    pub about: String,
    /// What the worker remembers of it.
    pub ready: Readiness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    Listener,
    Client,
    Server,
}

/// The phases of a turn, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Poll,
    Collect,
    Run,
    Accept,
    Alarms,
    Mail,
    Reap,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Poll => "poll",
            Phase::Collect => "collect",
            Phase::Run => "run",
            Phase::Accept => "accept",
            Phase::Alarms => "alarms",
            Phase::Mail => "mail",
            Phase::Reap => "reap",
        }
    }
}

/// One turn of the loop.
#[derive(Debug)]
pub struct Turn {
    pub number: usize,
    /// The clock of this turn, read behind its poll.
    pub at: Instant,
    pub slept: Duration,
    /// How long the poll might have slept, and for what.
    pub patience: String,
    pub marks: Vec<Mark>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The network or a peer did it, while the worker slept or worked.
    Outside,
    /// The poll told of it.
    Event,
    /// A token was put into the ready queue.
    Queued,
    /// A connection is driven: the calls up to the next mark that is no call are this drive's.
    Driven,
    Call,
    /// Bits that changed by no event and no call.
    Bits,
    /// A deadline was set, moved or reached.
    Timer,
    /// A connection or an exchange has come a step further.
    Step,
    /// What has become of an answer: held back, the client's, steady.
    Commit,
    /// Something worth a line that changes nothing.
    Remark,
    Mail,
    Freed,
}

impl Kind {
    /// A word for it, as the page's styles know it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Outside => "outside",
            Kind::Event => "event",
            Kind::Queued => "queued",
            Kind::Driven => "driven",
            Kind::Call => "call",
            Kind::Bits => "bits",
            Kind::Timer => "timer",
            Kind::Step => "step",
            Kind::Commit => "commit",
            Kind::Remark => "remark",
            Kind::Mail => "mail",
            Kind::Freed => "freed",
        }
    }
}

/// Bytes that moved, seen from the worker's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    In(usize),
    Out(usize),
}

/// One thing that happened to one socket.
#[derive(Clone, Debug)]
pub struct Mark {
    pub phase: Phase,
    pub kind: Kind,
    /// Index into [`Account::lanes`].
    pub lane: usize,
    pub at: Instant,
    pub what: String,
    /// Readiness before and after, where this could have changed it.
    pub bits: Option<(Readiness, Readiness)>,
    pub moved: Option<Moved>,
    /// Why, or what follows. Empty: nothing needs to be said.
    pub why: String,
}

/// The four bits, a letter each: `rw--`.
pub fn letters(ready: Readiness) -> String {
    let bits = [
        (ready.readable(), 'r'),
        (ready.writable(), 'w'),
        (ready.read_closed(), 'f'),
        (ready.errored(), 'e'),
    ];
    bits.map(|(set, letter)| if set { letter } else { '-' }).iter().collect()
}

/// A length of time, in the unit that a person would take.
pub fn span(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let in_unit = |unit: u128, name: &str| {
        let hundredths = (nanos * 100 + unit / 2) / unit;
        let (whole, part) = (hundredths / 100, hundredths % 100);
        match part {
            0 => format!("{whole} {name}"),
            part if part % 10 == 0 => format!("{whole}.{} {name}", part / 10),
            part => format!("{whole}.{part:02} {name}"),
        }
    };
    match nanos {
        0 => "0".to_owned(),
        1..1_000_000 => in_unit(1_000, "µs"),
        1_000_000..1_000_000_000 => in_unit(1_000_000, "ms"),
        _ => in_unit(1_000_000_000, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_the_unit_of_its_size() {
        for (nanos, text) in [
            (0, "0"),
            (50_000, "50 µs"),
            (1_500, "1.5 µs"),
            (999_999, "1000 µs"),
            (20_250_000, "20.25 ms"),
            (1_000_000_000, "1 s"),
            (9_999_950_000, "10 s"),
            (60_010_000_000, "60.01 s"),
        ] {
            assert_eq!(span(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn each_bit_has_its_letter() {
        let mut ready = Readiness::born();
        assert_eq!(letters(ready), "-w--");
        ready.broken();
        assert_eq!(letters(ready), "rwfe");
    }
}
