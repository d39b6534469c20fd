//! Two dialects of the same servers: the open inference protocol, version 2 (KServe, MLServer,
//! Triton), `/v2/models/NAME/infer`, and the extension of it that Triton made for text,
//! `/v2/models/NAME/generate` and `/generate_stream`.
//!
//! Neither has a mark of a stream's end: HTTP tells it. The model stands in the path, and a version
//! may stand behind it.

mod canned;
mod marks;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde_json::json;

use super::{Dispatched, Knowledge};
use crate::http::explained;
use crate::http::json::{Found, Word, Words};
use crate::http::reply::ErrorForm;
use crate::service::Setting;
use crate::service::dialects::writing::{
    AnswerForm, CODE, CannedDocument, CannedStream, StreamFault, bytes_of, put,
};
use crate::service::marks::staging::Staging;
use crate::service::openai::Identity;

/// `infer`, and MLServer's `infer_stream`.
#[derive(Debug)]
pub(in crate::service) struct KServe;

/// `generate` and `generate_stream`.
#[derive(Debug)]
pub(in crate::service) struct Triton;

/// What is asked of which model, where a path is one of version 2.
fn asked(path: &str) -> Option<(&str, &str)> {
    let (model, act) = path.split_once("/v2/models/")?.1.split_once('/')?;
    let act = match act.strip_prefix("versions/") {
        Some(behind) => behind.split_once('/')?.1,
        None => act,
    };
    (!model.is_empty()).then_some((model, act))
}

impl Knowledge for KServe {
    const NAME: &'static str = "kserve";
    const SETTINGS: &'static [Setting] = &[Setting::Auto, Setting::KServe, Setting::Triton];

    fn is_path(path: &str) -> bool {
        // Nearly every path ends otherwise, and a search costs.
        let ends = path.ends_with("/infer") || path.ends_with("/infer_stream");
        ends && asked(path).is_some_and(|(_, act)| matches!(act, "infer" | "infer_stream"))
    }

    fn streams(path: &str, _query: &str, _asked: Option<bool>) -> bool {
        path.ends_with("/infer_stream")
    }

    const STREAMS_UNASKED: bool = true;

    fn model_in(path: &str) -> Option<&str> {
        asked(path).map(|(model, _)| model)
    }

    const WORDS: &'static [&'static str] = marks::WORDS;
    const HAS_END: bool = false;

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], _at: usize, found: Found<'_>) {
        marks::take(staging, path, found);
    }

    fn claims(event: &Dispatched) -> bool {
        marks::claims(event)
    }

    fn answers(event: &Dispatched) -> bool {
        marks::answers(event)
    }

    const DOCUMENT_WORDS: &'static [&'static str] = marks::document::WORDS;

    fn document_begins(path: &[Word], found: Found<'_>) -> bool {
        marks::document::begins(path, found)
    }

    const ERROR_FORM: ErrorForm = ErrorForm::Sentence;

    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        error_event(fault, out)
    }

    fn document(asked: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> CannedDocument {
        let model = KServe::model_in(asked.path);
        CannedDocument::json(canned::inferred(model.unwrap_or(identity.model), text))
    }

    fn stream(asked: &AnswerForm<'_>, identity: &Identity<'_>) -> Box<dyn CannedStream> {
        Box::new(canned::Stream::new(asked.path, KServe::model_in(asked.path), identity))
    }

    fn error_document(_status: u16, text: &str) -> Bytes {
        bytes_of(&json!({"error": text, "code": CODE}))
    }
}

impl Knowledge for Triton {
    const NAME: &'static str = "triton";
    const SETTINGS: &'static [Setting] = &[Setting::Auto, Setting::KServe, Setting::Triton];

    fn is_path(path: &str) -> bool {
        let ends = path.ends_with("/generate") || path.ends_with("/generate_stream");
        ends && asked(path).is_some_and(|(_, act)| matches!(act, "generate" | "generate_stream"))
    }

    fn streams(path: &str, _query: &str, _asked: Option<bool>) -> bool {
        path.ends_with("/generate_stream")
    }

    const STREAMS_UNASKED: bool = true;

    fn model_in(path: &str) -> Option<&str> {
        asked(path).map(|(model, _)| model)
    }

    const OPERATION: Option<(&'static str, &'static str)> = Some(("text_completion", "triton"));
    const HAS_END: bool = false;

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], _at: usize, found: Found<'_>) {
        marks::take(staging, path, found);
    }

    fn claims(event: &Dispatched) -> bool {
        marks::claims(event)
    }

    fn answers(event: &Dispatched) -> bool {
        marks::answers(event)
    }

    const ERROR_FORM: ErrorForm = ErrorForm::Sentence;

    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        error_event(fault, out)
    }

    fn document(asked: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> CannedDocument {
        let model = Triton::model_in(asked.path);
        CannedDocument::json(canned::generated(model.unwrap_or(identity.model), text))
    }

    fn stream(asked: &AnswerForm<'_>, identity: &Identity<'_>) -> Box<dyn CannedStream> {
        Box::new(canned::Stream::new(asked.path, Triton::model_in(asked.path), identity))
    }

    fn error_document(_status: u16, text: &str) -> Bytes {
        bytes_of(&json!({"error": text, "code": CODE}))
    }
}

fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
    let StreamFault { code, message, .. } = *fault;
    let [named, hint] = explained::member(code);
    put(out, &[r#"data: {"error":""#, message, r#"","code":""#, code, named, hint, "\"}\n\n"])
}
