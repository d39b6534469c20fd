//! How a breaker is told of in metrics, logs and the admin API.

use super::{Breaker, OpenedBy, Settings, State, WHOLE};
use crate::clock::Instant;

/// What a breaker shows the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Closed,
    SlowStart,
    Resting,
    HalfOpen,
    Open,
    Unauthorized,
}

impl Standing {
    pub const ALL: [Standing; 6] = [
        Standing::Closed,
        Standing::SlowStart,
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
            State::Closed { .. } => Standing::Closed,
        }
    }
}
