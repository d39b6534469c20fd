//! Text Generation Inference's own dialect: `/generate`, `/generate_stream`.
//!
//! The names are others' too: SGLang has `/generate`, Triton
//! `/v2/models/NAME/generate_stream`. So they tell as whole paths only, and an event of its has two
//! members that nobody else has together.

mod canned;
mod marks;

use bytes::Bytes;
use serde_json::json;

use super::{Dialect, Dispatched, Knowledge};
use crate::http::explained;
use crate::http::json::{Found, Word, Words};
use crate::http::reply::ErrorForm;
use crate::service::Setting;
use crate::service::continuation::Prefill;
use crate::service::dialects::writing::{AnswerForm, CODE, CannedDocument, CannedStream, bytes_of};
use crate::service::dialects::writing::{StreamFault, put};
use crate::service::marks::counts::Counted;
use crate::service::marks::search::Search;
use crate::service::marks::staging::{Said, Staging};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(in crate::service) struct Tgi;

impl Knowledge for Tgi {
    const NAME: &'static str = "tgi";
    const SETTINGS: &'static [Setting] = &[Setting::Auto, Setting::Tgi];

    fn is_path(path: &str) -> bool {
        matches!(path, "/generate_stream" | "/generate")
    }

    fn is_path_of(setting: Setting, path: &str) -> bool {
        let ends = path.ends_with("/generate_stream") || path.ends_with("/generate");
        setting == Setting::Tgi && (path == "/" || ends)
    }

    fn streams(path: &str, _query: &str, asked: Option<bool>) -> bool {
        match path {
            _ if path.ends_with("/generate_stream") => true,
            _ if path.ends_with("/generate") => false,
            _ => asked.unwrap_or(false),
        }
    }

    const STREAMS_UNASKED: bool = true;

    /// Its `/generate` is SGLang's too.
    const RIVAL: Option<Dialect> = Some(Dialect::Sglang);
    const OPERATION: Option<(&'static str, &'static str)> = Some(("text_completion", "tgi"));

    const WORDS: &'static [&'static str] = marks::WORDS;
    const COUNTS_AT_END: bool = true;
    const SEARCH: Option<Search> = Some(marks::SEARCH);
    const OPENING: u8 = b'{';

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
        marks::take(staging, path, at, found);
    }

    /// Either of the two members alone is many a server's.
    fn claims(event: &Dispatched) -> bool {
        let said = event.said;
        let error = said.has(Said::ERROR) && said.has(Said::COMPANION);
        said.has(Said::SHAPE) && said.has(Said::BESIDE) || error || event.is_named_error()
    }

    fn answers(event: &Dispatched) -> bool {
        event.is_progress()
    }

    fn conclude(event: &Dispatched, answers: bool, said: &mut Said) {
        // All that was generated, which is nothing.
        if said.has(Said::EMPTY) && !answers && !event.under_way {
            said.add(Said::END);
        }
    }

    const DOCUMENT_WORDS: &'static [&'static str] = marks::document::WORDS;

    fn document_begins(path: &[Word], found: Found<'_>) -> bool {
        marks::document::begins(path, found)
    }

    fn document_count(path: &[Word], _known: bool) -> Option<Counted> {
        marks::document::count(path)
    }

    const ERROR_FORM: ErrorForm = ErrorForm::Tgi;

    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        let StreamFault { code, message, .. } = *fault;
        let [named, hint] = explained::member(code);
        put(
            out,
            &[r#"data:{"error":""#, message, r#"","error_type":""#, code, named, hint, "\"}\n\n"],
        )
    }

    const CONTINUED_BY: Option<Prefill> = Some(Prefill::Prompt);

    fn document(_: &AnswerForm<'_>, _: &Identity<'_>, text: &str) -> CannedDocument {
        CannedDocument::json(bytes_of(&json!({"generated_text": text})))
    }

    fn stream(_: &AnswerForm<'_>, _: &Identity<'_>) -> Box<dyn CannedStream> {
        Box::new(canned::Stream)
    }

    fn error_document(_status: u16, text: &str) -> Bytes {
        bytes_of(&json!({"error": text, "error_type": CODE}))
    }
}
