//! OpenAI's two older dialects, chat and completions: one grammar, two shapes.
//!
//! vLLM, SGLang, llama.cpp, TGI, Ollama and most providers answer these paths too.

mod canned;
mod marks;
pub mod write;

use bytes::Bytes;

use self::write::{Identity, Shape};
use super::{Dispatched, Knowledge};
use crate::http::explained;
use crate::http::json::{Found, Word, Words};
use crate::service::Setting;
use crate::service::continuation::Prefill;
use crate::service::dialects::writing::{AnswerForm, CannedDocument, CannedStream};
use crate::service::dialects::writing::{StreamFault, put};
use crate::service::marks::search::Search;
use crate::service::marks::staging::Staging;

pub(in crate::service) use self::canned::error_document;

/// `/v1/chat/completions`. Azure and others have it below prefixes.
#[derive(Debug)]
pub(in crate::service) struct OpenAiChat;

/// `/v1/completions`
#[derive(Debug)]
pub(in crate::service) struct OpenAiCompletions;

/// Every server has its paths, unless nothing is to be assumed.
pub(in crate::service) const EVERYWHERE: &[Setting] = &[
    Setting::Auto,
    Setting::OpenAi,
    Setting::Anthropic,
    Setting::Tgi,
    Setting::Ollama,
    Setting::Gemini,
    Setting::KServe,
    Setting::Triton,
    Setting::LlamaCpp,
    Setting::Sglang,
    Setting::Text,
];

impl Knowledge for OpenAiChat {
    const NAME: &'static str = "openai-chat";
    const SETTINGS: &'static [Setting] = EVERYWHERE;

    fn is_path(path: &str) -> bool {
        path.ends_with("/chat/completions")
    }

    const OPERATION: Option<(&'static str, &'static str)> = Some(("chat", "openai"));
    const CHOICES: bool = true;
    const CHOICES_ASKED: bool = true;

    const WORDS: &'static [&'static str] = marks::WORDS;
    const DONE_ENDS: bool = true;
    const SEARCH: Option<Search> = Some(marks::SEARCH);

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
        marks::take(staging, path, at, found);
    }

    fn claims(event: &Dispatched) -> bool {
        marks::claims(event)
    }

    fn answers(event: &Dispatched) -> bool {
        event.is_progress()
    }

    const DOCUMENT_WORDS: &'static [&'static str] = marks::document::WORDS;

    fn document_begins(path: &[Word], found: Found<'_>) -> bool {
        marks::document::begins(path, found)
    }

    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        error_event(fault, out)
    }

    const CONTINUED_BY: Option<Prefill> = Some(Prefill::Chat);

    fn document(_: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> CannedDocument {
        canned::document(Shape::Chat, identity, text)
    }

    fn stream(asked: &AnswerForm<'_>, identity: &Identity<'_>) -> Box<dyn CannedStream> {
        canned::stream(Shape::Chat, identity, asked.include_usage)
    }

    fn error_document(status: u16, text: &str) -> Bytes {
        error_document(status, text)
    }
}

impl Knowledge for OpenAiCompletions {
    const NAME: &'static str = "openai-completions";
    const SETTINGS: &'static [Setting] = EVERYWHERE;

    fn is_path(path: &str) -> bool {
        path.ends_with("/v1/completions")
    }

    fn is_path_of(setting: Setting, path: &str) -> bool {
        setting == Setting::OpenAi && path.ends_with("/completions")
    }

    const OPERATION: Option<(&'static str, &'static str)> = Some(("text_completion", "openai"));
    const CHOICES: bool = true;
    const CHOICES_ASKED: bool = true;
    const SEVERAL_PROMPTS: bool = true;

    const DONE_ENDS: bool = true;
    const SEARCH: Option<Search> = Some(marks::SEARCH);

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
        marks::take(staging, path, at, found);
    }

    fn claims(event: &Dispatched) -> bool {
        marks::claims(event)
    }

    fn answers(event: &Dispatched) -> bool {
        event.is_progress()
    }

    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        error_event(fault, out)
    }

    const CONTINUED_BY: Option<Prefill> = Some(Prefill::Prompt);

    fn document(_: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> CannedDocument {
        canned::document(Shape::Completions, identity, text)
    }

    fn stream(asked: &AnswerForm<'_>, identity: &Identity<'_>) -> Box<dyn CannedStream> {
        canned::stream(Shape::Completions, identity, asked.include_usage)
    }

    fn error_document(status: u16, text: &str) -> Bytes {
        error_document(status, text)
    }
}

fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
    let StreamFault { code, kind, message } = *fault;
    let [named, hint] = explained::member(code);
    put(
        out,
        &[
            r#"data: {"error":{"message":""#,
            message,
            r#"","type":""#,
            kind,
            r#"","param":null,"code":""#,
            code,
            named,
            hint,
            "\"}}\n\n",
        ],
    )
}
