//! The extensions of a chunk (RFC 9112 §7.1.1), one byte at a time.
//!
//! ```text
//!   chunk-ext = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
//! ```
//!
//! Nobody uses them and everybody must pass them by, which is why they are where parsers disagree.
//! What this grammar derives is let through, white space where it has some, and nothing else: no
//! blank at the end of a line, no name or value that is missing. The one exception is stricter: no
//! byte beyond ASCII in quotes, which the grammar calls obsolete.
//!
//! Quotes hold no CR and no LF, so a reader that knows quotes and one that does not find the same
//! end of line.

use crate::http::names::is_token_byte;

/// Where the scanner stands in the extensions of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// White space behind the size or behind a value: a `;` must come.
    Before,
    /// Behind a `;`: a name must come.
    Start,
    Name,
    /// White space behind a name: `=` or the `;` of the next one must come.
    NameEnd,
    /// Behind a `=`: a value must come.
    ValueStart,
    Value,
    Quoted,
    /// Behind a backslash in quotes.
    QuotedPair,
    /// Behind the closing quote.
    QuotedEnd,
}

impl Extension {
    /// The first byte behind a size; `None`: no extension begins with it.
    pub(super) fn begin(byte: u8) -> Option<Extension> {
        Extension::Before.step(byte)
    }

    /// The next byte; `None`: it may not stand here.
    pub(super) fn step(self, byte: u8) -> Option<Extension> {
        use Extension::*;
        Some(match (self, byte) {
            (Before | Start | NameEnd | ValueStart, b' ' | b'\t') => self,
            (Name, b' ' | b'\t') => NameEnd,
            (Value | QuotedEnd, b' ' | b'\t') => Before,
            (Before | Name | NameEnd | Value | QuotedEnd, b';') => Start,
            (Name | NameEnd, b'=') => ValueStart,
            (Start | Name, _) if is_token_byte(byte) => Name,
            (ValueStart | Value, _) if is_token_byte(byte) => Value,
            (ValueStart, b'"') => Quoted,
            (Quoted, b'"') => QuotedEnd,
            (Quoted, b'\\') => QuotedPair,
            (Quoted | QuotedPair, b'\t' | b' '..=b'~') => Quoted,
            _ => return None,
        })
    }

    /// Whether the line may end here.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Extension::Name | Extension::Value | Extension::QuotedEnd)
    }
}
