//! Answers in one piece.

use serde_json::{Value, json};

use super::errors::ServerError;
use super::reasons::{self, TokenCounts};
use super::{BadAnswer, Memo, Pair, tree};

/// What the translation of a document has to know besides the document.
#[derive(Debug)]
pub struct DocumentContext {
    pub pair: Pair,
    pub memo: Memo,
    pub status: u16,
    /// Unix seconds.
    pub created: u64,
    pub id: String,
}

/// Translates a whole document.
pub fn translate(context: &DocumentContext, body: &[u8]) -> Result<Value, BadAnswer> {
    let asked = context.pair.asked();
    if context.status >= 400 {
        return Ok(ServerError::read(context.status, body).document(asked));
    }
    let document = tree::parse(body)
        .map_err(|error| BadAnswer::Malformed(format!("is no JSON that can be read: {error}")))?;
    if is_error(&document) {
        return Ok(ServerError::of(0, &document).document(asked));
    }
    match context.pair {
        Pair::ChatToMessages => to_chat(context, &document),
        Pair::MessagesToChat => to_messages(context, document),
    }
}

/// An error that says that all is well.
fn is_error(document: &Value) -> bool {
    let says = |name: &str| document.get(name).is_some_and(|kind| kind == "error");
    let error = document.get("error").is_some_and(|error| !super::rules::asks_nothing(error));
    error || says("type") || says("object")
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn to_chat(context: &DocumentContext, document: &Value) -> Result<Value, BadAnswer> {
    let Some(blocks) = document.get("content").and_then(Value::as_array) else {
        return Err(BadAnswer::Malformed("has no `content`".into()));
    };
    let (mut said, mut thought, mut calls) = (None::<String>, None::<String>, Vec::new());
    for block in blocks {
        match text(block, "type").unwrap_or_default() {
            "text" => {
                said.get_or_insert_default().push_str(text(block, "text").unwrap_or_default())
            }
            "thinking" => {
                let part = text(block, "thinking").unwrap_or_default();
                thought.get_or_insert_default().push_str(part);
            }
            "redacted_thinking" => {}
            "tool_use" => {
                let input = block.get("input").filter(|input| input.is_object());
                let arguments = input.map_or_else(|| "{}".to_owned(), Value::to_string);
                let name = text(block, "name").unwrap_or_default();
                let id = text(block, "id").map(str::to_owned);
                let id = id.unwrap_or_else(|| format!("call_{}_{}", context.id, calls.len()));
                let function = json!({"name": name, "arguments": arguments});
                calls.push(json!({"id": id, "type": "function", "function": function}));
            }
            kind => return Err(BadAnswer::Unknown(format!("a block `{kind}`"))),
        }
    }
    let mut message = json!({"role": "assistant", "content": said, "refusal": null});
    if let Some(thought) = thought {
        message["reasoning_content"] = thought.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let mut tokens = TokenCounts::default();
    tokens.read_messages(document.get("usage").unwrap_or(&Value::Null));
    let reason = reasons::to_chat(text(document, "stop_reason").unwrap_or_default());
    let id = text(document, "id").map(str::to_owned);
    Ok(json!({
        "id": id.unwrap_or_else(|| format!("chatcmpl-{}", context.id)),
        "object": "chat.completion",
        "created": context.created,
        "model": text(document, "model").unwrap_or(&context.memo.model),
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
        "usage": tokens.chat(),
    }))
}

fn to_messages(context: &DocumentContext, mut document: Value) -> Result<Value, BadAnswer> {
    let choices = document.get_mut("choices").and_then(Value::as_array_mut).map(std::mem::take);
    let mut choices = choices.unwrap_or_default();
    if choices.len() > 1 {
        return Err(BadAnswer::Unknown("a second choice".into()));
    }
    let Some(choice) = choices.pop() else {
        return Err(BadAnswer::Malformed("has no choice".into()));
    };
    let message = choice.get("message").unwrap_or(&Value::Null);
    let content = blocks(context, message)?;
    let called = content.iter().any(|block| block["type"] == "tool_use");
    let reason = text(&choice, "finish_reason").unwrap_or_default();
    let mut reason = reasons::to_messages(reason, called);
    let stop = text(&choice, "stop_reason").or_else(|| text(&choice, "matched_stop"));
    let stop = stop.filter(|stop| context.memo.stop.iter().any(|known| known == stop));
    if reason == "end_turn" && stop.is_some() {
        reason = "stop_sequence";
    } else if reason == "end_turn" && text(message, "refusal").is_some() {
        reason = "refusal";
    }
    let mut tokens = TokenCounts::default();
    tokens.read_chat(document.get("usage").unwrap_or(&Value::Null));
    let id = text(&document, "id").map(str::to_owned);
    Ok(json!({
        "id": id.unwrap_or_else(|| format!("msg_{}", context.id)),
        "type": "message",
        "role": "assistant",
        "model": text(&document, "model").unwrap_or(&context.memo.model),
        "content": content,
        "stop_reason": reason,
        "stop_sequence": stop,
        "usage": tokens.messages(),
    }))
}

/// The blocks of a message of OpenAI chat.
fn blocks(context: &DocumentContext, message: &Value) -> Result<Vec<Value>, BadAnswer> {
    for name in ["audio", "function_call", "images"] {
        if message.get(name).is_some_and(|part| !super::rules::asks_nothing(part)) {
            return Err(BadAnswer::Unknown(format!("a `{name}` in a message")));
        }
    }
    let mut blocks = Vec::new();
    let thought = text(message, "reasoning_content").or_else(|| text(message, "reasoning"));
    if let Some(thought) = thought {
        blocks.push(json!({"type": "thinking", "thinking": thought, "signature": ""}));
    }
    match message.get("content") {
        None | Some(Value::Null | Value::String(_)) => {}
        Some(_) => return Err(BadAnswer::Unknown("a `content` that is no text".into())),
    }
    for name in ["content", "refusal"] {
        if let Some(text) = text(message, name) {
            blocks.push(json!({"type": "text", "text": text}));
        }
    }
    let calls = message.get("tool_calls").and_then(Value::as_array);
    for (number, call) in calls.into_iter().flatten().enumerate() {
        let function = call.get("function").unwrap_or(&Value::Null);
        let Some(name) = text(function, "name") else {
            return Err(BadAnswer::Malformed("has a call without a name".into()));
        };
        let input = match function.get("arguments") {
            Some(Value::String(text)) if !text.trim().is_empty() => {
                tree::parse(text.as_bytes()).ok()
            }
            Some(input @ Value::Object(_)) => Some(input.clone()),
            _ => Some(json!({})),
        };
        let Some(input) = input.filter(Value::is_object) else {
            let why = format!("calls `{name}` with arguments that are no JSON object");
            return Err(BadAnswer::Malformed(why));
        };
        let id = text(call, "id").map(str::to_owned);
        let id = id.unwrap_or_else(|| format!("toolu_{}_{number}", context.id));
        blocks.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
    }
    Ok(blocks)
}
