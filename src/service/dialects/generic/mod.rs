//! Anything of which nothing is known. What its events mean is nobody's guess: it has no end that
//! could be missing, nothing is written into it, and HTTP alone judges it.

use bytes::Bytes;

use super::Knowledge;
use super::openai::error_document;
use crate::http::json::Word;
use crate::service::Setting;
use crate::service::dialects::writing::{AnswerForm, CannedDocument, CannedStream};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(in crate::service) struct Generic;

impl Knowledge for Generic {
    const NAME: &'static str = "generic";
    const SETTINGS: &'static [Setting] = &[];

    fn is_path(_path: &str) -> bool {
        false
    }

    const HAS_END: bool = false;

    fn is_of_interest(_event: Word, _all: bool) -> bool {
        false
    }

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

/// The bare words.
#[derive(Debug)]
pub(in crate::service) struct PlainText;

impl CannedStream for PlainText {
    fn piece(&self, _index: u64, text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn closing(&self, _pieces: u64, _text: &str) -> Option<Bytes> {
        None
    }
}
