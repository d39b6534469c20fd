//! Ollama's own dialect: `/api/chat`, `/api/generate`, in lines of JSON.
//!
//! Its server answers OpenAI's paths and Anthropic's too.

mod canned;
mod marks;

use bytes::Bytes;
use serde_json::json;

use super::{Dispatched, Knowledge, StreamGrammar};
use crate::http::explained;
use crate::http::json::{Found, Word, Words};
use crate::http::reply::ErrorForm;
use crate::service::Setting;
use crate::service::dialects::writing::{AnswerForm, CannedDocument, CannedStream, bytes_of};
use crate::service::dialects::writing::{StreamFault, put};
use crate::service::marks::counts::Counted;
use crate::service::marks::search::Search;
use crate::service::marks::staging::{Said, Staging};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(in crate::service) struct Ollama;

impl Knowledge for Ollama {
    const NAME: &'static str = "ollama";
    const SETTINGS: &'static [Setting] = &[Setting::Auto, Setting::Ollama, Setting::Sglang];

    fn is_path(path: &str) -> bool {
        path.ends_with("/api/chat") || path.ends_with("/api/generate")
    }

    /// "stream: true by default", ollama/ollama api/types.go.
    fn streams(_path: &str, _query: &str, asked: Option<bool>) -> bool {
        asked.unwrap_or(true)
    }

    const STREAMS_UNASKED: bool = true;

    const OPERATION: Option<(&'static str, &'static str)> = Some(("chat", "ollama"));

    const STREAM: StreamGrammar = StreamGrammar::Lines;
    const WORDS: &'static [&'static str] = marks::WORDS;
    const COUNTS_AT_END: bool = true;
    const SEARCH: Option<Search> = Some(marks::SEARCH);
    const OPENING: u8 = b'{';
    const OPENS_WITH_TEXT: bool = true;

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
        marks::take(staging, path, at, found);
    }

    fn claims(event: &Dispatched) -> bool {
        event.said.has(Said::SHAPE) && event.said.has(Said::BESIDE) || event.fails()
    }

    fn answers(event: &Dispatched) -> bool {
        event.is_progress()
    }

    const DOCUMENT_WORDS: &'static [&'static str] = marks::document::WORDS;

    fn document_begins(path: &[Word], found: Found<'_>) -> bool {
        marks::document::begins(path, found)
    }

    fn document_count(path: &[Word], _known: bool) -> Option<Counted> {
        marks::document::count(path)
    }

    const ERROR_FORM: ErrorForm = ErrorForm::Sentence;

    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        let [named, hint] = explained::member(fault.code);
        put(
            out,
            &[r#"{"error":""#, fault.message, r#"","code":""#, fault.code, named, hint, "\"}\n"],
        )
    }

    /// A reader of JSON lines fails on anything else.
    const HEARTBEAT: Option<&'static [u8]> = None;

    fn document(asked: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> CannedDocument {
        CannedDocument::json(canned::document(asked.path, identity, text))
    }

    fn stream(asked: &AnswerForm<'_>, identity: &Identity<'_>) -> Box<dyn CannedStream> {
        Box::new(canned::Stream::new(asked.path, identity))
    }

    fn error_document(_status: u16, text: &str) -> Bytes {
        bytes_of(&json!({"error": text}))
    }
}
