//! The extensions of a chunk (RFC 9112 §7.1.1), one byte at a time.
//!
//! Nobody uses them and everybody must pass them by, which is why they are where parsers disagree.
//! What is let through has the bytes of the grammar, in an order that leaves no doubt whether a
//! byte is quoted: a reader that knows quotes and one that does not find the same end of line.

use super::is_token_byte;

/// Where the scanner stands in the extensions of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// Behind a `;`: a name must come.
    Start,
    /// In a name or an unquoted value, or behind a quoted one.
    Inside,
    Quoted,
    /// Behind a backslash in quotes.
    QuotedPair,
}

impl Extension {
    /// The next byte; `None`: it may not stand here.
    pub(super) fn step(self, byte: u8) -> Option<Extension> {
        use Extension::*;
        Some(match (self, byte) {
            (Start | Inside, b' ' | b'\t') => self,
            (Start | Inside, _) if is_token_byte(byte) => Inside,
            (Inside, b';') => Start,
            (Inside, b'=') => Inside,
            (Inside | QuotedPair, b'"') => Quoted,
            (Quoted, b'"') => Inside,
            (Quoted, b'\\') => QuotedPair,
            (Quoted | QuotedPair, b'\t' | b' '..=b'~') => Quoted,
            _ => return None,
        })
    }

    /// Whether the line may end here.
    pub(super) fn may_end(self) -> bool {
        self == Extension::Inside
    }
}
