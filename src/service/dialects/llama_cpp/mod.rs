//! llama.cpp's own dialect: `/completion`.
//!
//! Its server answers OpenAI's paths and Anthropic's too. `/completions` is the same handler, where
//! it stands alone; behind `/v1` it is OpenAI's.

mod canned;
mod marks;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{Dispatched, Knowledge};
use crate::http::explained;
use crate::http::json::{Found, Word, Words};
use crate::http::reply::ErrorForm;
use crate::service::Setting;
use crate::service::dialects::writing::{
    AnswerForm, CannedDocument, CannedStream, StreamFault, put,
};
use crate::service::marks::counts::Counted;
use crate::service::marks::search::Search;
use crate::service::marks::staging::{Said, Staging};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(in crate::service) struct LlamaCpp;

impl Knowledge for LlamaCpp {
    const NAME: &'static str = "llama.cpp";
    const SETTINGS: &'static [Setting] = &[Setting::Auto, Setting::LlamaCpp];

    fn is_path(path: &str) -> bool {
        path.ends_with("/completion") || path == "/completions"
    }

    fn is_path_of(setting: Setting, path: &str) -> bool {
        setting == Setting::LlamaCpp && path.ends_with("/completions")
    }

    const OPERATION: Option<(&'static str, &'static str)> = Some(("text_completion", "llama.cpp"));
    const CHOICES: bool = true;
    const SENDS_NULL: bool = true;

    const WORDS: &'static [&'static str] = marks::WORDS;
    const COUNTS_AT_END: bool = true;
    const SEARCH: Option<Search> = Some(marks::SEARCH);
    /// Of the answers to several prompts the first is 0, and so is an only one: the others are read.
    const BEGINNING: &'static [u8] = b"{\"index\":0,";
    const OPENS_WITH_TEXT: bool = true;

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
        marks::take(staging, path, at, found);
    }

    /// Either of the two members alone is many a server's.
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

    const ERROR_FORM: ErrorForm = ErrorForm::LlamaCpp;

    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        let StreamFault { code, kind, message } = *fault;
        let [named, hint] = explained::member(code);
        let parts = [
            r#"data: {"error":{"code":500,"message":""#,
            message,
            r#"","type":""#,
            kind,
            r#"","reason":""#,
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
        canned::error_document(status, text)
    }
}
