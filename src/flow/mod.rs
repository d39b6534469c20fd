//! One body on its way from the socket it arrives on to the socket it leaves by.
//!
//! | file | idea |
//! |---|---|
//! | [`relay`] | reads, scans, splices and writes, as far as it goes |
//! | [`budget`] | how much of that at once |
//! | [`moved`] | what it did, and why it stopped |
//! | [`tap`] | a copy of what goes by, for listeners |
//! | [`transform`] | what becomes another answer on its way: translators, plugins |
//! | [`plugged`] | plugins that look at events, or change them |
//! | [`watchers`] | who reads a body while it goes by |
//! | [`named`] | where a request names its model |
//!
//! Never knows which exchange the body belongs to, or what should follow when it breaks.

pub mod budget;
pub mod moved;
pub mod named;
pub mod plugged;
pub mod relay;
pub mod tap;
pub mod transform;
pub mod watchers;
