//! Plain text in pieces, without events: what a server of a few lines sends, `POST /inference` or
//! `/stream`.
//!
//! Nothing in the bytes tells one such stream from another answer, so it is expected only where
//! `service = "text"` says so. Its end is HTTP's, nobody has counted anything, and nothing can be
//! written into it: whatever it was, it would be text.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::generic::PlainText;
use super::openai::error_document;
use super::{Knowledge, StreamGrammar};
use crate::http::json::Word;
use crate::service::Setting;
use crate::service::dialects::writing::{AnswerForm, CannedDocument, CannedStream};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(in crate::service) struct Text;

impl Knowledge for Text {
    const NAME: &'static str = "text";
    const SETTINGS: &'static [Setting] = &[Setting::Text];

    fn is_path(_path: &str) -> bool {
        true
    }

    const OPERATION: Option<(&'static str, &'static str)> = Some(("text_completion", "text"));
    const STREAM: StreamGrammar = StreamGrammar::Text;
    const HAS_END: bool = false;

    fn is_of_interest(_event: Word, _all: bool) -> bool {
        false
    }

    /// Text has no comments.
    const HEARTBEAT: Option<&'static [u8]> = None;

    fn document(_: &AnswerForm<'_>, _: &Identity<'_>, text: &str) -> CannedDocument {
        CannedDocument::plain(text)
    }

    fn stream(_: &AnswerForm<'_>, _: &Identity<'_>) -> Box<dyn CannedStream> {
        Box::new(PlainText)
    }

    fn error_document(status: u16, text: &str) -> Bytes {
        error_document(status, text)
    }
}
