//! What the writing of all dialects has in common: the forms of predefined answers, and events.

use std::fmt::Debug;

use bytes::Bytes;
use serde_json::Value;

use crate::http::json::escape;
use crate::service::Dialect;

/// What the caller asked for, as far as the form of its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub struct AnswerForm<'a> {
    pub dialect: Dialect,
    /// Without the query. Ollama's two paths answer in two shapes.
    pub path: &'a str,
    /// A stream, see [`Dialect::streams`].
    pub stream: bool,
    /// `stream_options.include_usage`
    pub include_usage: bool,
}

/// The answer in one piece.
#[derive(Clone, Debug)]
pub struct CannedDocument {
    pub content_type: &'static str,
    pub body: Bytes,
}

/// The code of an error that an operator has written.
pub(in crate::service) const CODE: &str = "degraded";
const JSON: &str = "application/json";
pub(in crate::service) const PLAIN: &str = "text/plain; charset=utf-8";

impl CannedDocument {
    pub(in crate::service) fn json(body: Bytes) -> CannedDocument {
        CannedDocument { content_type: JSON, body }
    }

    pub(in crate::service) fn plain(text: &str) -> CannedDocument {
        CannedDocument { content_type: PLAIN, body: Bytes::copy_from_slice(text.as_bytes()) }
    }
}

/// What a dialect writes for one stream.
pub(in crate::service) trait CannedStream: Debug + Send {
    /// What comes before the first piece.
    fn opening(&self) -> Option<Bytes> {
        None
    }

    /// Piece number `index`, counted from 0.
    fn piece(&self, index: u64, text: &str) -> Bytes;

    /// What comes behind the last of `pieces`, which together were `text`.
    fn closing(&self, pieces: u64, text: &str) -> Option<Bytes>;
}

/// Why a stream broke, as its client is told.
#[derive(Clone, Copy, Debug)]
pub struct StreamFault<'a> {
    /// `upstream_truncated`, `inter_event_timeout`, …: one word for programs.
    pub code: &'a str,
    /// `upstream_error`, `timeout`, …: the class of error.
    pub kind: &'a str,
    /// A sentence.
    pub message: &'a str,
}

/// Appends `parts`, of which every second is a text to be escaped. There is an event now.
pub(in crate::service) fn put(out: &mut Vec<u8>, parts: &[&str]) -> bool {
    for (index, part) in parts.iter().enumerate() {
        match index % 2 {
            0 => out.extend_from_slice(part.as_bytes()),
            _ => escape(part, out),
        }
    }
    true
}

pub(in crate::service) fn bytes_of(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// A named event.
pub(in crate::service) fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
