//! A document of TGI's, told as one of OpenAI chat.

use serde_json::Value;

use super::super::chat::completion::WrittenCompletion;
use super::super::documents::text;
use super::super::reasons::{self, TokenCounts};
use super::super::{AnswerContext, BadAnswer};

/// Tells it. TGI's answer at `/` is a list of one.
pub fn translate(context: &AnswerContext, document: &Value) -> Result<Value, BadAnswer> {
    let document = document.get(0).unwrap_or(document);
    let Some(said) = document.get("generated_text").and_then(Value::as_str) else {
        return Err(BadAnswer::Malformed("has no `generated_text`".into()));
    };
    let mut completion = WrittenCompletion::new(context);
    completion.text = Some(said.to_owned());
    let details = document.get("details").filter(|details| details.is_object());
    let tokens = details.map(|details| {
        let prefill =
            details.get("prefill").and_then(Value::as_array).map(|list| list.len() as u64);
        let input = details.get("input_length").and_then(Value::as_u64).or(prefill);
        let output = details.get("generated_tokens").and_then(Value::as_u64);
        let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
        TokenCounts { input, output, ..TokenCounts::default() }
    });
    let reason = details.and_then(|details| text(details, "finish_reason")).unwrap_or_default();
    Ok(completion.finish(reasons::of_tgi(reason), tokens.as_ref()))
}
