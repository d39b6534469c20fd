//! A document of Ollama's, told as one of OpenAI chat.

use serde_json::{Value, json};

use super::super::chat::completion::WrittenCompletion;
use super::super::chat::logprobs;
use super::super::documents::{arguments_of, name_of_call, only_text, text, written_arguments};
use super::super::reasons::{self, TokenCounts};
use super::super::tree::Numbers;
use super::super::{AnswerContext, BadAnswer};

/// Tells it.
pub fn translate(
    context: &AnswerContext,
    document: &Value,
    numbers: &Numbers,
) -> Result<Value, BadAnswer> {
    let Some(message) = document.get("message").filter(|message| message.is_object()) else {
        return Err(BadAnswer::Malformed("has no `message`".into()));
    };
    let mut completion = WrittenCompletion::new(context);
    completion.model = text(document, "model").map(str::to_owned);
    completion.text = only_text(message, "content")?.map(str::to_owned);
    completion.logprobs = document.get("logprobs").and_then(logprobs::of_ollama);
    completion.thought = only_text(message, "thinking")?.map(str::to_owned);
    for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let function = call.get("function").unwrap_or(&Value::Null);
        let name = name_of_call(function)?;
        // Servers that speak this dialect beside OpenAI's write the arguments as a text, as OpenAI has it.
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => written_arguments(text, name)?.to_owned(),
            arguments => arguments_of(arguments, numbers, name)?,
        };
        completion.call(text(call, "id"), name, &arguments, json!({}));
    }
    let count = |name: &str| document.get(name).and_then(Value::as_u64).unwrap_or(0);
    let tokens = TokenCounts {
        input: count("prompt_eval_count"),
        output: count("eval_count"),
        ..TokenCounts::default()
    };
    let reason = text(document, "done_reason").unwrap_or("stop");
    let reason = reasons::of_ollama(reason, completion.has_calls());
    Ok(completion.finish(reason, Some(&tokens)))
}
