//! Errors: read as servers write them, written as clients expect them.
//!
//! | written by | as |
//! |---|---|
//! | OpenAI, llama.cpp, vLLM | `{"error":{"message","type","param","code"}}` |
//! | older vLLM, SGLang | `{"object":"error","message","type","code"}` |
//! | Ollama, TGI | `{"error":"…"}` |
//! | FastAPI | `{"detail":"…"}` |
//! | Anthropic | `{"type":"error","error":{"type","message"}}` |
//! | a proxy between | anything: then the status speaks |

use serde_json::{Value, json};

use super::tree;
use crate::service::Dialect;

/// Of a text that is no error object no more is told.
const TEXT_CHARS_MAX: usize = 500;

/// Anthropic's types of errors, and the status of each.
pub const KINDS: &[(u16, &str)] = &[
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (503, "overloaded_error"),
    (504, "timeout_error"),
    (529, "overloaded_error"),
];

/// What OpenAI calls the errors that Anthropic names otherwise: type, and code if there is one.
pub const CHAT_KINDS: &[(&str, &str, Option<&str>)] = &[
    ("api_error", "server_error", None),
    ("overloaded_error", "server_error", Some("overloaded")),
    ("timeout_error", "server_error", Some("timeout")),
    ("rate_limit_error", "rate_limit_error", Some("rate_limit_exceeded")),
    ("request_too_large", "invalid_request_error", Some("request_too_large")),
    ("not_found_error", "invalid_request_error", Some("not_found")),
    ("billing_error", "insufficient_quota", Some("insufficient_quota")),
];

/// Words in OpenAI's types and codes that tell what kind an error is, where no status does.
const HINTS: &[(&str, &str)] = &[
    ("rate_limit", "rate_limit_error"),
    ("quota", "rate_limit_error"),
    ("overloaded", "overloaded_error"),
    ("unavailable", "overloaded_error"),
    ("authentication", "authentication_error"),
    ("invalid_api_key", "authentication_error"),
    ("permission", "permission_error"),
    ("not_found", "not_found_error"),
    ("timeout", "timeout_error"),
    ("invalid_request", "invalid_request_error"),
    ("badrequest", "invalid_request_error"),
    ("exceed_context", "invalid_request_error"),
    ("context_length", "invalid_request_error"),
];

/// What an error says, in Anthropic's kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    pub kind: &'static str,
    pub message: String,
}

/// The kind of a status.
pub fn kind_of(status: u16) -> &'static str {
    let known = KINDS.iter().find(|(known, _)| *known == status).map(|(_, kind)| *kind);
    known.unwrap_or(if status < 500 { "invalid_request_error" } else { "api_error" })
}

impl ServerError {
    /// Reads what a server sent with this status; 0: in a stream, or with one that says that all is well.
    pub fn read(status: u16, body: &[u8]) -> ServerError {
        match tree::parse(body) {
            Ok(value) => ServerError::of(status, &value),
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                let text: String = text.trim().chars().take(TEXT_CHARS_MAX).collect();
                ServerError { kind: kind_of(status), message: or_status(text, status) }
            }
        }
    }

    /// The same of what has been parsed.
    pub fn of(status: u16, value: &Value) -> ServerError {
        let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        let message = match error {
            Value::String(text) => text.clone(),
            _ => {
                let named = ["message", "detail", "error"].iter().find_map(|name| error.get(*name));
                match named {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string().chars().take(TEXT_CHARS_MAX).collect(),
                    None => String::new(),
                }
            }
        };
        let status = match status {
            0 => error.get("code").and_then(Value::as_u64).and_then(|code| code.try_into().ok()),
            status => Some(status),
        };
        let by_status = status.filter(|status| (400..600).contains(status)).map(kind_of);
        let words = |name: &str| error.get(name).and_then(Value::as_str);
        // TGI's word for the kind stands beside the text.
        let beside = value.get("error_type").and_then(Value::as_str);
        let mut told = [words("type"), words("code"), beside].into_iter().flatten();
        let by_words = told.find_map(kind_by_words);
        // Anthropic's own word says more than a status: 503 of a proxy, say. But for the one that is OpenAI's
        // for nearly everything: a key that is wrong, a model that is not there.
        let refused = status.is_some_and(|status| (400..500).contains(&status));
        let kind = match by_words {
            Some(("invalid_request_error", _)) if refused => {
                by_status.unwrap_or("invalid_request_error")
            }
            Some((kind, true)) => kind,
            Some((kind, false)) => by_status.unwrap_or(kind),
            None => by_status.unwrap_or("api_error"),
        };
        ServerError { kind, message: or_status(message, status.unwrap_or(0)) }
    }

    /// As an object of its own in this dialect.
    pub fn document(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::Anthropic => {
                json!({"type": "error", "error": {"type": self.kind, "message": self.message}})
            }
            _ => {
                let known = CHAT_KINDS.iter().find(|(kind, _, _)| *kind == self.kind);
                let (kind, code) =
                    known.map_or((self.kind, None), |(_, kind, code)| (*kind, *code));
                json!({"error": {"message": self.message, "type": kind, "param": null, "code": code}})
            }
        }
    }

    /// As an event of a stream.
    pub fn event(&self, dialect: Dialect, out: &mut Vec<u8>) {
        let mut said = self.document(dialect);
        if dialect == Dialect::OpenAiResponses {
            // The members of OpenAI's own event, and `error`, which makes its client raise.
            let error = &said["error"];
            let code = error.get("code").filter(|code| !code.is_null()).unwrap_or(&error["type"]);
            said = json!({"type": "error", "code": code, "message": self.message, "param": null, "error": error});
        }
        if matches!(dialect, Dialect::Anthropic | Dialect::OpenAiResponses) {
            out.extend_from_slice(b"event: error\n");
        }
        out.extend_from_slice(format!("data: {said}\n\n").as_bytes());
    }
}

/// The kind that a type or a code tells, and whether it is Anthropic's own word.
fn kind_by_words(words: &str) -> Option<(&'static str, bool)> {
    if let Some((_, kind)) = KINDS.iter().find(|(_, kind)| *kind == words) {
        return Some((kind, true));
    }
    let words = words.to_ascii_lowercase();
    HINTS.iter().find(|(hint, _)| words.contains(hint)).map(|(_, kind)| (*kind, false))
}

fn or_status(message: String, status: u16) -> String {
    match message.is_empty() {
        false => message,
        true if status == 0 => "The server reports an error.".into(),
        true => format!("The server answered with status {status}."),
    }
}
