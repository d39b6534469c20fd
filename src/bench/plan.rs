//! The load: what kind of work, how much of it, when.
//!
//! * *Closed loop*: a connection asks again as soon as it has been answered. A slow server is asked
//!   less, so this measures its capacity, and its latency only at that capacity.
//! * *Open loop*: requests are due at a constant rate, whatever the server does. Each is timed from
//!   the instant it was due, so a server that stands still for a second shows in every request
//!   of that second and not in one alone (coordinated omission).
//!
//! Absent on purpose: randomness. Two runs of one plan ask at the same instants.

use std::time::Duration;

use crate::clock::Instant;

/// What the connections do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Small requests and small answers over kept connections.
    Unary,
    /// Streams of tokens at a pace.
    Streams,
    /// Streams of tokens as fast as they go.
    Firehose,
    /// A connection for every request.
    Churn,
    /// Connections that were used once and are kept.
    Idle,
    /// Paced streams beside one that comes as fast as it goes. The paced ones are timed.
    Fairness,
    /// Large requests with small answers.
    Upload,
    /// Small requests with large answers.
    Download,
}

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Shape::Unary => "unary",
            Shape::Streams => "streams",
            Shape::Firehose => "firehose",
            Shape::Churn => "churn",
            Shape::Idle => "idle",
            Shape::Fairness => "fairness",
            Shape::Upload => "upload",
            Shape::Download => "download",
        }
    }

    /// Whether an answer is a stream of tokens rather than one small thing.
    pub fn is_stream(self) -> bool {
        matches!(self, Shape::Streams | Shape::Firehose | Shape::Fairness)
    }

    /// Whether tokens are timed.
    pub fn is_paced(self) -> bool {
        matches!(self, Shape::Streams | Shape::Fairness)
    }

    /// Whether it is bytes that count.
    pub fn is_bulk(self) -> bool {
        matches!(self, Shape::Upload | Shape::Download)
    }

    /// Bytes of the large body where nobody says otherwise.
    pub fn bulk_bytes(self) -> u64 {
        match self {
            Shape::Upload => 64 << 20,
            Shape::Download => 256 << 20,
            _ => 0,
        }
    }

    /// Connections beside those that are measured.
    pub fn background(self) -> usize {
        usize::from(self == Shape::Fairness)
    }
}

/// What makes the next request due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    Closed,
    /// Requests per second, over all connections.
    Open {
        rate: f64,
    },
}

/// One round of load on one target.
#[derive(Clone, Debug)]
pub struct Plan {
    pub shape: Shape,
    /// Connections open at once, at most, [`Shape::background`] not counted.
    pub connections: usize,
    pub arrivals: Arrivals,
    /// Comes first and counts for nothing. Connections are opened over its first half.
    pub warm_up: Duration,
    /// What counts.
    pub duration: Duration,
    /// A request of which nothing is heard for this long has failed.
    pub silence: Duration,
    /// Streams outlast the round, so their first tokens come while it warms up and count anyway.
    pub outlasting: bool,
}

impl Plan {
    /// When connection number `index` is opened, counted from the start of the round.
    ///
    /// Spread evenly, so that neither the accept queue nor the phase of the tokens sees a crowd.
    pub fn opens_after(&self, index: usize) -> Duration {
        let ramp = self.warm_up / 2;
        ramp.mul_f64(index as f64 / self.connections.max(1) as f64)
    }

    /// When the measurement begins and ends, in a round that starts at `start`.
    pub fn window(&self, start: Instant) -> (Instant, Instant) {
        let from = start + self.warm_up;
        (from, from + self.duration)
    }
}

/// The instants at which an open loop asks: `start + k / rate`, reckoned from the start each time.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Instant,
    rate: f64,
    asked: u64,
}

impl Schedule {
    pub fn new(start: Instant, rate: f64) -> Schedule {
        Schedule { start, rate, asked: 0 }
    }

    pub fn next(&self) -> Instant {
        self.start + Duration::from_nanos((self.asked as f64 * 1e9 / self.rate) as u64)
    }

    /// Takes the next instant if it has come.
    pub fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next();
        (due <= now).then(|| {
            self.asked += 1;
            due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connections: usize) -> Plan {
        Plan {
            shape: Shape::Unary,
            connections,
            arrivals: Arrivals::Closed,
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(3),
            silence: Duration::from_secs(1),
            outlasting: false,
        }
    }

    #[test]
    fn connections_open_evenly_over_the_first_half_of_the_warm_up() {
        let opens: Vec<_> = (0..4).map(|index| plan(4).opens_after(index)).collect();
        assert_eq!(opens, [0, 250, 500, 750].map(Duration::from_millis));
        let (from, until) = plan(4).window(Instant::from_nanos(5));
        assert_eq!(from, Instant::from_nanos(2_000_000_005));
        assert_eq!(until - from, Duration::from_secs(3));
    }

    #[test]
    fn a_late_look_finds_every_request_that_was_due_at_the_instant_it_was_due() {
        let start = Instant::from_nanos(1_000);
        let mut schedule = Schedule::new(start, 1e6);
        assert_eq!(schedule.take(Instant::from_nanos(999)), None);
        let mut taken = Vec::new();
        while let Some(due) = schedule.take(Instant::from_nanos(4_500)) {
            taken.push(due.as_nanos());
        }
        assert_eq!(taken, [1_000, 2_000, 3_000, 4_000]);
        assert_eq!(schedule.next(), Instant::from_nanos(5_000));
    }

    #[test]
    fn an_uneven_rate_does_not_drift() {
        let mut schedule = Schedule::new(Instant::ZERO, 3.0);
        for _ in 0..3_000 {
            schedule.take(Instant::NEVER);
        }
        assert_eq!(schedule.next().as_nanos() / 1_000, 1_000_000_000);
    }
}
