//! How a breaker is told of in metrics, logs and the admin API.

use std::time::Duration;

use super::{Breaker, OpenedBy, SHARE_MIN, Settings, State, WHOLE};
use crate::clock::Instant;

/// What a breaker shows the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Closed,
    SlowStart,
    /// Others say that it fails.
    Suspect,
    Resting,
    HalfOpen,
    Open,
    Unauthorized,
}

impl Standing {
    pub const ALL: [Standing; 7] = [
        Standing::Closed,
        Standing::SlowStart,
        Standing::Suspect,
        Standing::HalfOpen,
        Standing::Resting,
        Standing::Open,
        Standing::Unauthorized,
    ];

    /// The same wherever it is told.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Closed => "closed",
            Standing::SlowStart => "slow start",
            Standing::Suspect => "suspect",
            Standing::HalfOpen => "half-open",
            Standing::Resting => "resting",
            Standing::Open => "open",
            Standing::Unauthorized => "unauthorized",
        }
    }
}

impl Breaker {
    /// Its server was started anew: nothing is known of it, and what was begun before says nothing.
    pub fn renew(&mut self) {
        let epoch = self.epoch.wrapping_add(1);
        *self = Breaker { epoch, ..Breaker::new() };
    }

    /// Its share of its weight, in thousandths: 100 when it has just closed, growing to 1,000
    /// over `slow_start`. A probe is chosen by the full weight: it is one request.
    pub fn weight_share(&self, now: Instant, slow_start: Duration) -> u32 {
        match self.state {
            State::Closed { since: Some(since) } if now.since(since) < slow_start => {
                let passed = now.since(since).as_nanos() * u128::from(WHOLE);
                (passed / slow_start.as_nanos()).max(u128::from(SHARE_MIN)) as u32
            }
            _ => WHOLE,
        }
    }

    /// Whether a probe is out.
    pub fn is_probing(&self) -> bool {
        matches!(
            self.state,
            State::HalfOpen { probing: true } | State::Suspect { probing: true, .. }
        )
    }

    pub fn standing(&self, now: Instant, settings: &Settings) -> Standing {
        match self.state {
            State::Open { until, cause } if now < until => match cause {
                OpenedBy::Unauthorized => Standing::Unauthorized,
                _ => Standing::Open,
            },
            _ if now < self.rests_until => Standing::Resting,
            State::Open { .. } | State::HalfOpen { .. } => Standing::HalfOpen,
            State::Closed { .. } if self.weight_share(now, settings.slow_start) < WHOLE => {
                Standing::SlowStart
            }
            State::Suspect { .. } if self.is_suspect(now) => Standing::Suspect,
            State::Closed { .. } | State::Suspect { .. } => Standing::Closed,
        }
    }
}
