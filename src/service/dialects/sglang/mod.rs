//! SGLang's own dialect: `/generate`, in events that repeat the text from its beginning.
//!
//! The path is TGI's too. Of a stream that comes where either is expected the first event decides:
//! `meta_info` is nobody else's. vLLM's demonstration server, whose `/generate` says
//! `{"text":["…"]}`, is generic.
//!
//! Its server answers OpenAI's paths, Anthropic's and Ollama's too.

mod canned;
mod marks;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::openai::error_document;
use super::{Dispatched, Knowledge};
use crate::http::explained;
use crate::http::json::{Found, Word, Words};
use crate::service::Setting;
use crate::service::dialects::writing::{
    AnswerForm, CannedDocument, CannedStream, StreamFault, put,
};
use crate::service::marks::counts::Counted;
use crate::service::marks::search::Search;
use crate::service::marks::staging::{Said, Staging};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(in crate::service) struct Sglang;

impl Knowledge for Sglang {
    const NAME: &'static str = "sglang";
    /// `auto` expects TGI, and finds out.
    const SETTINGS: &'static [Setting] = &[Setting::Sglang];

    fn is_path(path: &str) -> bool {
        path.ends_with("/generate")
    }

    const OPERATION: Option<(&'static str, &'static str)> = Some(("text_completion", "sglang"));
    const CHOICES: bool = true;

    const WORDS: &'static [&'static str] = marks::WORDS;
    const DONE_ENDS: bool = true;
    const COUNTS_AT_END: bool = true;
    const SEARCH: Option<Search> = Some(marks::SEARCH);
    const OPENS_WITH_TEXT: bool = true;

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
        marks::take(staging, path, at, found);
    }

    fn claims(event: &Dispatched) -> bool {
        event.said.has(Said::COMPANION) || event.fails()
    }

    /// An error may be anybody's.
    fn claims_from_rival(event: &Dispatched) -> bool {
        event.said.has(Said::COMPANION)
    }

    fn answers(event: &Dispatched) -> bool {
        event.is_progress()
    }

    const DOCUMENT_WORDS: &'static [&'static str] = marks::document::WORDS;

    fn document_fails(path: &[Word], found: Found<'_>) -> bool {
        marks::document::fails(path, found)
    }

    fn document_begins(path: &[Word], found: Found<'_>) -> bool {
        marks::document::begins(path, found)
    }

    fn document_count(path: &[Word], _known: bool) -> Option<Counted> {
        marks::document::count(path)
    }

    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        let StreamFault { code, kind, message } = *fault;
        let [named, hint] = explained::member(code);
        let parts = [
            r#"data: {"error":{"message":""#,
            message,
            r#"","type":""#,
            kind,
            r#"","code":""#,
            code,
            named,
            hint,
            "\"}}\n\n",
        ];
        put(out, &parts)
    }

    fn document(_: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> CannedDocument {
        CannedDocument::json(canned::document(identity, text))
    }

    fn stream(_: &AnswerForm<'_>, identity: &Identity<'_>) -> Box<dyn CannedStream> {
        Box::new(canned::Stream::new(identity))
    }

    fn error_document(status: u16, text: &str) -> Bytes {
        error_document(status, text)
    }
}
