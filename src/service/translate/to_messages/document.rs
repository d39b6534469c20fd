//! A document of Anthropic messages, told as one of OpenAI chat.

use serde_json::{Value, json};

use super::super::chat::completion::WrittenCompletion;
use super::super::documents::{arguments_of, name_of_call, only_text, text};
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
    let mut completion = WrittenCompletion::new(context);
    completion.id = text(document, "id").map(str::to_owned);
    completion.model = text(document, "model").map(str::to_owned);
    for block in blocks {
        let part = |name: &str| only_text(block, name).map(Option::unwrap_or_default);
        match part("type")? {
            "text" => completion.text.get_or_insert_default().push_str(part("text")?),
            "thinking" => completion.thought.get_or_insert_default().push_str(part("thinking")?),
            "redacted_thinking" => {}
            "tool_use" => {
                let name = name_of_call(block)?;
                let arguments = arguments_of(block.get("input"), numbers, name)?;
                completion.call(text(block, "id"), name, &arguments, json!({}));
            }
            kind => return Err(BadAnswer::Unknown(format!("a block `{kind}`"))),
        }
    }
    let mut tokens = TokenCounts::default();
    tokens.read_messages(document.get("usage").unwrap_or(&Value::Null));
    let reason = reasons::to_chat(text(document, "stop_reason").unwrap_or_default());
    Ok(completion.finish(reason, Some(&tokens)))
}
