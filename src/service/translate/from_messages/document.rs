//! A document of OpenAI chat, told as one of Anthropic messages.

use serde_json::{Value, json};

use super::super::chat::completion;
use super::super::documents::{name_of_call, no_arguments, text};
use super::super::reasons::{self, TokenCounts};
use super::super::tree::Numbers;
use super::super::{AnswerContext, BadAnswer};

/// Tells it.
pub fn translate(
    context: &AnswerContext,
    document: &Value,
    numbers: &mut Numbers,
) -> Result<Value, BadAnswer> {
    let choice = completion::choice(document)?;
    let message = choice.get("message").unwrap_or(&Value::Null);
    let content = blocks(context, message, numbers)?;
    let called = content.iter().any(|block| block["type"] == "tool_use");
    let reason = text(choice, "finish_reason").unwrap_or_default();
    let mut reason = reasons::to_messages(reason, called);
    let stop = text(choice, "stop_reason").or_else(|| text(choice, "matched_stop"));
    let stop = stop.filter(|stop| context.memo.stop.iter().any(|known| known == stop));
    if reason == "end_turn" && stop.is_some() {
        reason = "stop_sequence";
    } else if reason == "end_turn" && text(message, "refusal").is_some() {
        reason = "refusal";
    }
    let mut tokens = TokenCounts::default();
    tokens.read_chat(document.get("usage").unwrap_or(&Value::Null));
    let id = text(document, "id").map(str::to_owned);
    Ok(json!({
        "id": id.unwrap_or_else(|| format!("msg_{}", context.id)),
        "type": "message",
        "role": "assistant",
        "model": text(document, "model").unwrap_or(&context.memo.model),
        "content": content,
        "stop_reason": reason,
        "stop_sequence": stop,
        "usage": tokens.messages(),
    }))
}

/// The blocks of a message of OpenAI chat.
fn blocks(
    context: &AnswerContext,
    message: &Value,
    numbers: &mut Numbers,
) -> Result<Vec<Value>, BadAnswer> {
    completion::all_is_known(message)?;
    let mut blocks = Vec::new();
    let thought = text(message, "reasoning_content").or_else(|| text(message, "reasoning"));
    if let Some(thought) = thought {
        blocks.push(json!({"type": "thinking", "thinking": thought, "signature": ""}));
    }
    for name in ["content", "refusal"] {
        if let Some(text) = text(message, name) {
            blocks.push(json!({"type": "text", "text": text}));
        }
    }
    let calls = message.get("tool_calls").and_then(Value::as_array);
    for (number, call) in calls.into_iter().flatten().enumerate() {
        let function = call.get("function").unwrap_or(&Value::Null);
        let name = name_of_call(function)?;
        let input = match function.get("arguments") {
            Some(Value::String(text)) if !text.trim().is_empty() => {
                numbers.parse(text.as_bytes()).ok()
            }
            Some(input @ Value::Object(_)) => Some(input.clone()),
            _ => Some(json!({})),
        };
        let Some(input) = input.filter(Value::is_object) else {
            return Err(no_arguments(name));
        };
        let id = text(call, "id").map(str::to_owned);
        let id = id.unwrap_or_else(|| format!("toolu_{}_{number}", context.id));
        blocks.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
    }
    Ok(blocks)
}
