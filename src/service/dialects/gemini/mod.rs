//! Google's Gemini: `…/models/NAME:generateContent`, `:streamGenerateContent`, as Google AI and
//! Vertex have them.
//!
//! With `alt=sse` a stream is an event stream. Without it Google sends one JSON array, an element
//! for each event, as `application/json`: that is read as a document is.

mod canned;
mod marks;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{Dispatched, Knowledge};
use crate::http::explained;
use crate::http::json::{Found, Word, Words};
use crate::http::reply::{ErrorForm, google_status};
use crate::service::Setting;
use crate::service::dialects::writing::{
    AnswerForm, CannedDocument, CannedStream, StreamFault, put,
};
use crate::service::marks::counts::{Counted, Counts, Usage};
use crate::service::marks::staging::{Said, Staging};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(in crate::service) struct Gemini;

/// A request for a stream, whatever becomes of it.
const STREAM: &str = ":streamGenerateContent";

impl Knowledge for Gemini {
    const NAME: &'static str = "gemini";
    const SETTINGS: &'static [Setting] = &[Setting::Auto, Setting::Gemini];

    fn is_path(path: &str) -> bool {
        path.ends_with(":generateContent") || path.ends_with(STREAM)
    }

    fn streams(path: &str, query: &str, _asked: Option<bool>) -> bool {
        path.ends_with(STREAM) && query.split('&').any(|member| member == "alt=sse")
    }

    const STREAMS_UNASKED: bool = true;

    fn model_in(path: &str) -> Option<&str> {
        let (name, _) = path.rsplit('/').next()?.split_once(':')?;
        (!name.is_empty()).then_some(name)
    }

    const OPERATION: Option<(&'static str, &'static str)> =
        Some(("generate_content", "gcp.gemini"));
    const CHOICES: bool = true;

    const WORDS: &'static [&'static str] = marks::WORDS;

    fn words() -> &'static Words {
        &marks::READ
    }

    fn take(staging: &mut Staging<'_>, path: &[Word], _at: usize, found: Found<'_>) {
        marks::take(staging, path, found);
    }

    fn claims(event: &Dispatched) -> bool {
        event.said.has(Said::SHAPE) || event.fails()
    }

    fn answers(event: &Dispatched) -> bool {
        marks::answers(event)
    }

    /// What was thought is counted beside what was said.
    fn usage(counts: &Counts) -> Usage {
        let usage = counts.usage();
        let parts = [usage.completion, usage.reasoning];
        Usage { completion: parts.into_iter().flatten().reduce(|sum, part| sum + part), ..usage }
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

    const ERROR_FORM: ErrorForm = ErrorForm::Gemini;

    /// First as Google's servers break off, by itself, and then as an event: the SDK for Go knows the first,
    /// and takes the second for an answer that says nothing; who reads events passes over the first.
    fn error_event(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
        error_object(fault, out);
        out.extend_from_slice(b"data: ");
        error_object(fault, out)
    }

    /// An answer that says nothing. Comments are none of Google's: its SDKs for Python and Go take one for
    /// an error, and that for Go a blank line too.
    const HEARTBEAT: Option<&'static [u8]> = Some(b"data: {\"candidates\":[]}\n\n");

    fn document(asked: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> CannedDocument {
        let model = Gemini::model_in(asked.path).unwrap_or(identity.model);
        CannedDocument::json(canned::document(model, text, asked.path.ends_with(STREAM)))
    }

    fn stream(asked: &AnswerForm<'_>, identity: &Identity<'_>) -> Box<dyn CannedStream> {
        let model = Gemini::model_in(asked.path).unwrap_or(identity.model);
        Box::new(canned::Stream::new(model))
    }

    fn error_document(status: u16, text: &str) -> Bytes {
        canned::error_document(status, text)
    }
}

/// Appends the object of an error, and the end of an event.
fn error_object(fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
    let (number, status) = match fault.kind {
        "timeout" => ("504", google_status(504)),
        _ => ("503", google_status(503)),
    };
    let parts = [
        r#"{"error":{"code":"#,
        number,
        r#","message":""#,
        fault.message,
        r#"","status":""#,
        status,
        r#"","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":""#,
        fault.code,
        r#"","domain":"sluicegate","metadata":{"hint":""#,
        explained::hint(fault.code),
        "\"}}]}}\n\n",
    ];
    put(out, &parts)
}
