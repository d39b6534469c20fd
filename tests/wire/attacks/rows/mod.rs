//! The bytes of the attacks, by the part of a message that they are about.

pub mod answers;
pub mod chunks;
pub mod framing;
pub mod heads;

/// The name of a row in `docs/smuggling.md`, and bytes it is about.
pub type Row = (&'static str, &'static [u8]);
