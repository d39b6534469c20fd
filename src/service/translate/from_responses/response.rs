//! The object `response`, which a document is, and which begins and ends a stream.

use serde_json::{Value, json};

use super::super::AnswerContext;
use super::super::reasons::TokenCounts;
use super::super::tree::Numbers;

/// Members of a request that stand in its answer again, and what they are where a client sends none.
const ECHOED: &[(&str, &str)] = &[
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", r#""auto""#),
    ("store", "false"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// What of a request stands in its answer again: members of an object, each with a comma before it.
pub fn echo(request: &Value, numbers: &Numbers) -> String {
    let mut echo = String::new();
    for (name, otherwise) in ECHOED {
        let said = request.get(*name).filter(|value| !value.is_null());
        let said = said.map_or_else(|| (*otherwise).to_owned(), |value| numbers.text(value));
        echo += &format!(",\"{name}\":{said}");
    }
    echo
}

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseStatus {
    InProgress,
    Completed,
    /// Why it is not complete.
    Incomplete(&'static str),
    Failed,
}

impl ResponseStatus {
    /// By the `finish_reason` of OpenAI chat.
    pub fn of(reason: &str) -> ResponseStatus {
        match reason {
            "length" => ResponseStatus::Incomplete("max_output_tokens"),
            "content_filter" => ResponseStatus::Incomplete("content_filter"),
            _ => ResponseStatus::Completed,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            ResponseStatus::InProgress => "in_progress",
            ResponseStatus::Completed => "completed",
            ResponseStatus::Incomplete(_) => "incomplete",
            ResponseStatus::Failed => "failed",
        }
    }
}

/// Writes a response. `output`: its items, as they are written; `error`: code and message.
pub fn write(
    context: &AnswerContext,
    model: &str,
    status: ResponseStatus,
    output: &str,
    tokens: Option<&TokenCounts>,
    error: Option<(&str, &str)>,
) -> String {
    let why = match status {
        ResponseStatus::Incomplete(why) => json!({ "reason": why }),
        _ => Value::Null,
    };
    let error = error.map(|(code, message)| json!({"code": code, "message": message}));
    let head = json!({
        "id": format!("resp_{}", context.id),
        "object": "response",
        "created_at": context.created,
        "status": status.name(),
        "background": false,
        "error": error,
        "incomplete_details": why,
        "model": model,
    });
    let head = head.to_string();
    let head = head.strip_suffix('}').unwrap_or(&head);
    let usage = tokens.map_or(Value::Null, TokenCounts::responses);
    format!("{head}{},\"output\":[{output}],\"usage\":{usage}}}", context.memo.echo)
}
