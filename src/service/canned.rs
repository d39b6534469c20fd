//! A predefined answer in the words of a dialect: what the caller's client takes for a model's.
//!
//! ```text
//!   opening ─▶ piece ─▶ piece … ─▶ closing          a stream, one `Bytes` each
//!   document                                        the same in one piece
//! ```
//!
//! Tokens are counted as zero: no model was asked. Text from the configuration goes into JSON only
//! through the escape.
//!
//! Absent on purpose: pace, status and fields, which are the responder's.

use bytes::Bytes;

use super::Dialect;
use super::dialects::known;
use super::dialects::writing::{CannedStream, PLAIN};
use super::openai::Identity;

pub use super::dialects::writing::{AnswerForm, CannedDocument};

/// `text` as an answer in one piece.
pub fn document(asked: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> CannedDocument {
    known!(asked.dialect, D => D::document(asked, identity, text))
}

/// `text` as the reason of an error with `status`.
pub fn error_document(dialect: Dialect, status: u16, text: &str) -> CannedDocument {
    CannedDocument::json(known!(dialect, D => D::error_document(status, text)))
}

/// The pieces a text is streamed in: words, each with the white space behind it.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let space = rest[word..].find(|it: char| !it.is_whitespace());
        let (piece, behind) = rest.split_at(space.map_or(rest.len(), |space| word + space));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// One stream, as its dialect writes it.
#[derive(Debug)]
pub struct Voice {
    form: Box<dyn CannedStream>,
    content_type: &'static str,
}

impl Voice {
    pub fn new(asked: &AnswerForm<'_>, identity: &Identity<'_>) -> Voice {
        let form = known!(asked.dialect, D => D::stream(asked, identity));
        let content_type = match asked.dialect {
            Dialect::Generic => PLAIN,
            dialect => dialect.stream_type(),
        };
        Voice { form, content_type }
    }

    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// What comes before the first piece.
    pub fn opening(&self) -> Option<Bytes> {
        self.form.opening()
    }

    /// Piece number `index`, counted from 0.
    pub fn piece(&self, index: u64, text: &str) -> Bytes {
        self.form.piece(index, text)
    }

    /// What comes behind the last of `pieces`, which together were `text`.
    pub fn closing(&self, pieces: u64, text: &str) -> Option<Bytes> {
        self.form.closing(pieces, text)
    }
}
