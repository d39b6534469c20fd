//! A document of Anthropic messages, told as one of OpenAI chat.

use serde_json::{Value, json};

use super::super::documents::text;
use super::super::reasons::{self, TokenCounts};
use super::super::tree::Numbers;
use super::super::{AnswerContext, BadAnswer};

/// Tells it.
pub fn translate(
    context: &AnswerContext,
    document: &Value,
    numbers: &Numbers,
) -> Result<Value, BadAnswer> {
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
                let arguments = input.map_or_else(|| "{}".to_owned(), |input| numbers.text(input));
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
