//! A document of Triton's, told as one of OpenAI chat.

use serde_json::Value;

use super::super::chat::completion::WrittenCompletion;
use super::super::documents::text;
use super::super::{AnswerContext, BadAnswer};

/// Tells it.
pub fn translate(context: &AnswerContext, document: &Value) -> Result<Value, BadAnswer> {
    let Some(said) = document.get("text_output").and_then(Value::as_str) else {
        return Err(BadAnswer::Malformed("has no `text_output`".into()));
    };
    let mut completion = WrittenCompletion::new(context);
    completion.model = text(document, "model_name").map(str::to_owned);
    completion.text = Some(said.to_owned());
    let details = document.get("details").unwrap_or(&Value::Null);
    let reason = text(document, "finish_reason").or_else(|| text(details, "finish_reason"));
    let reason = if reason == Some("length") { "length" } else { "stop" };
    Ok(completion.finish(reason, None))
}
