//! OpenAI's responses, `/v1/responses`: events with names, a document with an `output`.

mod canned;
mod marks;

use bytes::Bytes;

use super::openai::{EVERYWHERE, error_document};
use super::{Dispatched, Knowledge};
use crate::http::explained;
use crate::http::json::{Found, Word, Words};
use crate::service::Setting;
use crate::service::dialects::writing::{AnswerForm, CannedDocument, CannedStream};
use crate::service::dialects::writing::{StreamFault, put};
use crate::service::marks::staging::{Said, Staging};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(in crate::service) struct OpenAiResponses;

impl Knowledge for OpenAiResponses {
    const NAME: &'static str = "openai-responses";
    const SETTINGS: &'static [Setting] = EVERYWHERE;

    fn is_path(path: &str) -> bool {
        path.ends_with("/v1/responses") || path.ends_with("/openai/responses")
    }

    fn is_path_of(setting: Setting, path: &str) -> bool {
        setting == Setting::OpenAi && path.ends_with("/responses")
    }

    const OPERATION: Option<(&'static str, &'static str)> = Some(("chat", "openai"));

    const WORDS: &'static [&'static str] = marks::WORDS;
    const NAMES: &'static [&'static str] = marks::NAMES;
    const DONE_ENDS: bool = true;

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
        marks::begins(event.event) || event.fails() || event.done
    }

    fn answers(event: &Dispatched) -> bool {
        marks::answers(event)
    }

    fn conclude(event: &Dispatched, _answers: bool, said: &mut Said) {
        marks::conclude(event.event, said);
    }

    const DOCUMENT_WORDS: &'static [&'static str] = marks::document::WORDS;
    const DOCUMENT_FAILS_WITH: Option<&'static str> = Some("\"failed\"");

    fn document_fails(path: &[Word], found: Found<'_>) -> bool {
        marks::document::fails(path, found)
    }

    fn document_begins(path: &[Word], found: Found<'_>) -> bool {
        marks::document::begins(path, found)
    }

    /// The members of OpenAI's own event, and `error`, which makes its client raise.
    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        let StreamFault { code, kind, message } = *fault;
        let [named, hint] = explained::member(code);
        put(
            out,
            &[
                "event: error\ndata: {\"type\":\"error\",\"code\":\"",
                code,
                r#"","message":""#,
                message,
                r#"","param":null,"error":{"type":""#,
                kind,
                r#"","code":""#,
                code,
                r#"","message":""#,
                message,
                named,
                hint,
                "\"}}\n\n",
            ],
        )
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
