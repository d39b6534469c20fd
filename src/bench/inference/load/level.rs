//! A level of load, and all that was seen of it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::bench::inference::arrivals::Process;
use crate::bench::inference::outcome::{Failure, Outcome};
use crate::bench::record::histogram;
use crate::clock::Instant;

/// One level of load.
#[derive(Clone, Debug)]
pub struct Plan {
    pub process: Process,
    /// Requests in flight at most; those that are due beyond that wait.
    pub in_flight_max: usize,
    /// Ends after so many requests, the warm-up not counted.
    pub requests: Option<u64>,
    /// Ends after so much time, the warm-up not counted.
    pub duration: Option<Duration>,
    pub warm_up: Duration,
    /// A request of which nothing is heard for this long has failed.
    pub silence: Duration,
    /// How long requests under way are waited for in the end.
    pub grace: Duration,
}

/// How far a level is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub elapsed: Duration,
    pub in_flight: usize,
    pub waiting: usize,
    pub answered: u64,
    pub failed: u64,
}

/// All that was seen of one level.
pub struct Seen {
    /// In the order of their ends, those of the warm-up with them.
    pub outcomes: Vec<Outcome>,
    /// Between chunks of an answer.
    pub gaps: Histogram<u64>,
    /// What the first of each kind of failure has told.
    pub told: BTreeMap<Failure, String>,
    /// Sent or due, and without an answer when the patience ended.
    pub unfinished: u64,
    pub from: Instant,
    /// The end of the measured time.
    pub until: Instant,
    /// How much of the time there was something to do.
    pub busy: Duration,
    pub connections: u64,
    /// Requests that were made.
    pub made: u64,
    /// It was given up: nothing but failures.
    pub hopeless: bool,
}

impl Seen {
    /// Nothing yet, of a level that is measured from this instant on.
    pub fn from(from: Instant) -> Seen {
        Seen {
            outcomes: Vec::new(),
            gaps: histogram(),
            told: BTreeMap::new(),
            unfinished: 0,
            from,
            until: from,
            busy: Duration::ZERO,
            connections: 0,
            made: 0,
            hopeless: false,
        }
    }
}
