//! How much a member asks for, smoothed: a moment's quiet takes no share away.

use std::time::Duration;

use crate::clock::Instant;

/// How soon a new demand counts: two thirds of it after so long.
pub const TIME_CONSTANT: Duration = Duration::from_secs(5);
/// A demand beyond this is none that a limit could have.
const MOST: f64 = 1e12;

/// A rate per minute, of a count that only rises.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateDemand {
    /// What was counted, and when.
    seen: Option<(u64, Instant)>,
    per_minute: f64,
}

impl RateDemand {
    /// The count is this now. The rate per minute, rounded up.
    pub fn observe(&mut self, count: u64, now: Instant) -> u64 {
        if let Some((before, at)) = self.seen {
            let span = (now - at).as_secs_f64();
            // A second look at the same moment says nothing.
            if span < 0.001 {
                return self.rate();
            }
            let rate = 60.0 * count.saturating_sub(before) as f64 / span;
            let part = 1.0 - (-span / TIME_CONSTANT.as_secs_f64()).exp();
            self.per_minute += (rate - self.per_minute) * part;
        }
        self.seen = Some((count, now));
        self.rate()
    }

    fn rate(&self) -> u64 {
        // What has all but faded is none.
        if self.per_minute < 0.05 { 0 } else { self.per_minute.min(MOST).ceil() as u64 }
    }
}

/// How many are wanted at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeakDemand {
    peak: f64,
    at: Option<Instant>,
}

impl PeakDemand {
    /// So many were wanted at once since the last look: the highest of late, which fades.
    pub fn observe(&mut self, wanted: u64, now: Instant) -> u64 {
        let span = self.at.map_or(Duration::ZERO, |at| now - at);
        self.at = Some(now);
        let faded = self.peak * (-span.as_secs_f64() / TIME_CONSTANT.as_secs_f64()).exp();
        self.peak = faded.max(wanted as f64);
        if self.peak < 0.5 { 0 } else { self.peak.min(MOST).ceil() as u64 }
    }
}
