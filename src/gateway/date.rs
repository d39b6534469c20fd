//! The `Date` line of the second, kept until the next one.

use std::time::Duration;

use crate::clock::Instant;
use crate::http::date::{self, DateLine};
use crate::reactor::net::Net;

/// The line, and how long it holds.
#[derive(Debug)]
pub(crate) struct Date {
    line: DateLine,
    until: Instant,
}

impl Date {
    pub(crate) fn new() -> Date {
        Date { line: date::line(Duration::ZERO), until: Instant::ZERO }
    }

    /// The line of this second. The time of day is read once a second, because it may be set, and
    /// because the clock of the turns stands still while a machine sleeps.
    #[inline]
    pub(crate) fn line(&mut self, now: Instant, net: &impl Net) -> &DateLine {
        if now >= self.until {
            self.renew(now, net.time_of_day());
        }
        &self.line
    }

    #[cold]
    fn renew(&mut self, now: Instant, unix: Duration) {
        const SECOND: u32 = 1_000_000_000;
        let rest = Duration::from_nanos(u64::from(SECOND - unix.subsec_nanos()));
        *self = Date { line: date::line(unix), until: now + rest };
    }
}
