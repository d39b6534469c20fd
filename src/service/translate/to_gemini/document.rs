//! A document of Gemini's, told as one of OpenAI chat.

use serde_json::{Value, json};

use super::super::chat::completion::WrittenCompletion;
use super::super::chat::logprobs;
use super::super::documents::{arguments_of, name_of_call, only_text, text};
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
    let candidates = match candidates.map(Vec::as_slice) {
        Some(list) if list.len() as u64 > context.memo.choices.max(1) => {
            return Err(BadAnswer::Unknown("a second candidate".into()));
        }
        Some(list @ [_, ..]) => list,
        _ if blocked.is_some() => &[Value::Null],
        _ => return Err(BadAnswer::Malformed("has no candidate".into())),
    };
    let mut completion = WrittenCompletion::new(context);
    completion.id = text(document, "responseId").map(str::to_owned);
    completion.model = text(document, "modelVersion").map(str::to_owned);
    for candidate in candidates {
        tell(candidate, blocked.is_some(), &mut completion, numbers)?;
    }
    let mut tokens = TokenCounts::default();
    event::count(document.get("usageMetadata").unwrap_or(&Value::Null), &mut tokens);
    Ok(completion.written(Some(&tokens)))
}

/// Tells one candidate.
fn tell(
    candidate: &Value,
    blocked: bool,
    completion: &mut WrittenCompletion<'_>,
    numbers: &Numbers,
) -> Result<(), BadAnswer> {
    let parts = candidate.get("content").and_then(|content| content.get("parts"));
    for part in parts.and_then(Value::as_array).into_iter().flatten() {
        says(part, completion, numbers)?;
    }
    completion.logprobs = candidate.get("logprobsResult").and_then(logprobs::of_gemini);
    let reason = match text(candidate, "finishReason").unwrap_or("STOP") {
        _ if blocked => "content_filter",
        reason if event::is_fault(reason) => {
            return Err(BadAnswer::Malformed(format!("has ended with {reason}")));
        }
        reason => reasons::of_gemini(reason, completion.has_calls()),
    };
    completion.end_choice(reason);
    Ok(())
}

fn says(
    part: &Value,
    completion: &mut WrittenCompletion<'_>,
    numbers: &Numbers,
) -> Result<(), BadAnswer> {
    if let Some(name) = UNKNOWN.iter().find(|name| part.get(**name).is_some()) {
        return Err(BadAnswer::Unknown(format!("a part `{name}`")));
    }
    if let Some(said) = only_text(part, "text")? {
        let thought = part.get("thought").is_some_and(|thought| thought == true);
        let into = if thought { &mut completion.thought } else { &mut completion.text };
        into.get_or_insert_default().push_str(said);
    }
    if let Some(call) = part.get("functionCall") {
        let name = name_of_call(call)?;
        let arguments = arguments_of(call.get("args"), numbers, name)?;
        let more = match text(part, "thoughtSignature") {
            Some(it) => json!({"extra_content": {"google": {"thought_signature": it}}}),
            None => json!({}),
        };
        completion.call(text(call, "id"), name, &arguments, more);
    }
    Ok(())
}
