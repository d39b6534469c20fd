//! A document of Gemini's, told as one of OpenAI chat.

use serde_json::{Value, json};

use super::super::chat::completion::WrittenCompletion;
use super::super::documents::text;
use super::super::reasons::{self, TokenCounts};
use super::super::tree::Numbers;
use super::super::{AnswerContext, BadAnswer};
use super::event;

/// Parts that OpenAI chat cannot tell.
const UNKNOWN: &[&str] = &["executableCode", "codeExecutionResult", "inlineData", "fileData"];

/// Tells it.
pub fn translate(
    context: &AnswerContext,
    document: &Value,
    numbers: &Numbers,
) -> Result<Value, BadAnswer> {
    let candidates = document.get("candidates").and_then(Value::as_array);
    let blocked = document.get("promptFeedback").and_then(|it| it.get("blockReason"));
    let candidate = match candidates.map(Vec::as_slice) {
        Some([_, _, ..]) => return Err(BadAnswer::Unknown("a second candidate".into())),
        Some([candidate]) => candidate,
        _ if blocked.is_some() => &Value::Null,
        _ => return Err(BadAnswer::Malformed("has no candidate".into())),
    };
    let mut completion = WrittenCompletion::new(context);
    completion.id = text(document, "responseId").map(str::to_owned);
    completion.model = text(document, "modelVersion").map(str::to_owned);
    let parts = candidate.get("content").and_then(|content| content.get("parts"));
    for part in parts.and_then(Value::as_array).into_iter().flatten() {
        says(part, &mut completion, numbers)?;
    }
    let mut tokens = TokenCounts::default();
    event::count(document.get("usageMetadata").unwrap_or(&Value::Null), &mut tokens);
    let reason = match text(candidate, "finishReason").unwrap_or("STOP") {
        _ if blocked.is_some() => "content_filter",
        reason if event::is_fault(reason) => {
            return Err(BadAnswer::Malformed(format!("has ended with {reason}")));
        }
        reason => reasons::of_gemini(reason, completion.has_calls()),
    };
    Ok(completion.finish(reason, Some(&tokens)))
}

fn says(
    part: &Value,
    completion: &mut WrittenCompletion<'_>,
    numbers: &Numbers,
) -> Result<(), BadAnswer> {
    if let Some(name) = UNKNOWN.iter().find(|name| part.get(**name).is_some()) {
        return Err(BadAnswer::Unknown(format!("a part `{name}`")));
    }
    if let Some(said) = text(part, "text") {
        let thought = part.get("thought").is_some_and(|thought| thought == true);
        let into = if thought { &mut completion.thought } else { &mut completion.text };
        into.get_or_insert_default().push_str(said);
    }
    if let Some(call) = part.get("functionCall") {
        let arguments = call.get("args").filter(|args| args.is_object());
        let arguments = arguments.map_or_else(|| "{}".to_owned(), |args| numbers.text(args));
        let more = match text(part, "thoughtSignature") {
            Some(it) => json!({"extra_content": {"google": {"thought_signature": it}}}),
            None => json!({}),
        };
        let name = text(call, "name").unwrap_or_default();
        completion.call(text(call, "id"), name, &arguments, more);
    }
    Ok(())
}
