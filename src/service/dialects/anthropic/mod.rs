//! Anthropic's messages, `/v1/messages`: events with names, from `message_start` to `message_stop`.
//!
//! Ollama, llama.cpp and vLLM answer its path too.

mod canned;
mod marks;

use bytes::Bytes;
use serde_json::json;

use super::{Dispatched, Knowledge};
use crate::http::explained;
use crate::http::json::{Found, Word, Words};
use crate::http::reply::ErrorForm;
use crate::service::Setting;
use crate::service::dialects::writing::{AnswerForm, CannedDocument, CannedStream, bytes_of};
use crate::service::dialects::writing::{StreamFault, put};
use crate::service::marks::counts::Usage;
use crate::service::marks::counts::{Counted, Counts};
use crate::service::marks::staging::{Said, Staging};
use crate::service::openai::{Identity, error_kind};

#[derive(Debug)]
pub(in crate::service) struct Anthropic;

impl Knowledge for Anthropic {
    const NAME: &'static str = "anthropic";
    const SETTINGS: &'static [Setting] =
        &[Setting::Auto, Setting::Anthropic, Setting::Ollama, Setting::LlamaCpp, Setting::Sglang];

    fn is_path(path: &str) -> bool {
        path.ends_with("/v1/messages")
    }

    fn is_path_of(setting: Setting, path: &str) -> bool {
        setting == Setting::Anthropic && path.ends_with("/messages")
    }

    const OPERATION: Option<(&'static str, &'static str)> = Some(("chat", "anthropic"));

    const WORDS: &'static [&'static str] = marks::WORDS;
    const NAMES: &'static [&'static str] = marks::NAMES;

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], _at: usize, found: Found<'_>) {
        marks::take(staging, path, found);
    }

    fn is_of_interest(event: Word, all: bool) -> bool {
        all || marks::may_end(event)
    }

    fn claims(event: &Dispatched) -> bool {
        marks::is_own(event.event) || event.fails()
    }

    fn answers(event: &Dispatched) -> bool {
        marks::answers(event)
    }

    fn conclude(event: &Dispatched, _answers: bool, said: &mut Said) {
        marks::conclude(event.event, said);
    }

    /// What is written into its cache, and what comes from there, is counted apart.
    fn usage(counts: &Counts) -> Usage {
        let usage = counts.usage();
        let parts = [usage.prompt, usage.reasoning, usage.cached];
        let prompt = parts.into_iter().flatten().reduce(|sum, part| sum + part);
        Usage { prompt, reasoning: None, ..usage }
    }

    const DOCUMENT_WORDS: &'static [&'static str] = marks::document::WORDS;

    fn document_begins(path: &[Word], found: Found<'_>) -> bool {
        marks::document::begins(path, found)
    }

    fn document_count(path: &[Word], known: bool) -> Option<Counted> {
        // Elsewhere what is written into a cache is a part of the prompt.
        marks::document::count(path).filter(|_| known)
    }

    const ERROR_FORM: ErrorForm = ErrorForm::Anthropic;

    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        let [named, hint] = explained::member(fault.code);
        let parts = [
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"",
            kind_of(fault.kind),
            r#"","message":""#,
            fault.message,
            r#"","code":""#,
            fault.code,
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
        let kind = match status {
            429 => error_kind(status),
            529 => "overloaded_error",
            _ if status < 500 => error_kind(status),
            _ => "api_error",
        };
        bytes_of(&json!({"type": "error", "error": {"type": kind, "message": text}}))
    }
}

/// What Anthropic calls an error of ours: its clients decide by that whether to try again.
fn kind_of(kind: &str) -> &str {
    match kind {
        "upstream_error" => "api_error",
        "overloaded" => "overloaded_error",
        "timeout" => "timeout_error",
        kind => kind,
    }
}
