//! How a breaker is told of in metrics, logs and the admin API.

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
