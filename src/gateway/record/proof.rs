//! Whether the token of a request that has come is proven (`client/proving.rs`).

/// Whether the token of a request that has come is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// It has none, or none that this worker has not seen.
    #[default]
    Needless,
    /// The connection stands in the heavy lane.
    Awaited,
    /// It was looked at, and the request has not begun.
    Over,
}
