//! Whether it is known who a request that has come is from (`client/proving.rs`, `client/authorising.rs`).

/// Whether it is known who a request that has come is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// It has no token, or none that this worker has not seen.
    #[default]
    Needless,
    /// It was looked at, and the request has not begun.
    Over,
    /// The connection stands in the heavy lane, for its token.
    Awaited,
    /// The authoriser is asked.
    Asked,
}

impl Proof {
    /// Whether the request must not begin yet.
    pub fn is_awaited(self) -> bool {
        self >= Proof::Awaited
    }
}
