//! What a stream may be given from outside: the dialect's error event, and a sign of life.
//!
//! Both are whole events. They may be written only where an event of ours stands by itself
//! ([`Observer::at_boundary`](super::Observer::at_boundary)); inside somebody's event they would
//! hand half of it to the client as if it were whole.

use super::Dialect;
use crate::http::json::escape;

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

/// Appends the dialect's error event to `out`. Returns whether there is one: of a generic stream
/// nothing is known, an event put into it could be taken for part of the answer.
pub fn error_event(dialect: Dialect, fault: &StreamFault<'_>, out: &mut Vec<u8>) -> bool {
    let StreamFault { code, kind, message } = *fault;
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => write(
            out,
            &[
                r#"data: {"error":{"message":""#,
                message,
                r#"","type":""#,
                kind,
                r#"","param":null,"code":""#,
                code,
                "\"}}\n\n",
            ],
        ),
        // The members of OpenAI's own event, and `error`, which makes its client raise.
        Dialect::OpenAiResponses => write(
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
                "\"}}\n\n",
            ],
        ),
        Dialect::Anthropic => write(
            out,
            &[
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"",
                kind,
                r#"","message":""#,
                message,
                "\"}}\n\n",
            ],
        ),
        Dialect::Tgi => {
            write(out, &[r#"data:{"error":""#, message, r#"","error_type":""#, code, "\"}\n\n"])
        }
        Dialect::Ollama => write(out, &[r#"{"error":""#, message, "\"}\n"]),
        Dialect::Gemini
        | Dialect::KServe
        | Dialect::Triton
        | Dialect::LlamaCpp
        | Dialect::Sglang
        | Dialect::Text
        | Dialect::Generic => return false,
    }
    true
}

/// Every second part is a text to be escaped.
fn write(out: &mut Vec<u8>, parts: &[&str]) {
    for (index, part) in parts.iter().enumerate() {
        match index % 2 {
            0 => out.extend_from_slice(part.as_bytes()),
            _ => escape(part, out),
        }
    }
}

/// A comment that keeps a silent event stream alive. `None` where streams have no comments: a
/// reader of JSON lines fails on anything else.
pub fn heartbeat(dialect: Dialect) -> Option<&'static [u8]> {
    match dialect {
        Dialect::Ollama => None,
        // Comments are the event stream's own, whatever its events mean.
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiResponses
        | Dialect::Anthropic
        | Dialect::Tgi
        | Dialect::Gemini
        | Dialect::KServe
        | Dialect::Triton
        | Dialect::LlamaCpp
        | Dialect::Sglang
        | Dialect::Text
        | Dialect::Generic => Some(b": hb\n\n"),
    }
}
