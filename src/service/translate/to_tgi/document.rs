//! A document of TGI's, told as one of OpenAI chat.

use serde_json::Value;

use super::super::chat::completion::WrittenCompletion;
use super::super::chat::logprobs;
use super::super::documents::text;
use super::super::reasons::{self, TokenCounts};
use super::super::{AnswerContext, BadAnswer};

/// Tells it. TGI's answer at `/` is a list of one.
pub fn translate(context: &AnswerContext, document: &Value) -> Result<Value, BadAnswer> {
    let document = document.get(0).unwrap_or(document);
    let mut completion = WrittenCompletion::new(context);
    let details = document.get("details").filter(|details| details.is_object());
    // Of the best one the text stands beside the details, of each other inside of its own.
    choice(document, details.unwrap_or(&Value::Null), context, &mut completion)?;
    let others = details.and_then(|it| it.get("best_of_sequences")).and_then(Value::as_array);
    let others = others.map(Vec::as_slice).unwrap_or_default();
    // Who has asked for the best of them, in TGI's own words, is told that one.
    let wanted = context.memo.choices.max(1) - 1;
    if wanted > 0 && others.len() as u64 > wanted {
        return Err(BadAnswer::Unknown("a second sequence".into()));
    }
    for sequence in others.iter().filter(|_| wanted > 0) {
        choice(sequence, sequence, context, &mut completion)?;
    }
    let tokens = details.map(|details| {
        let prefill =
            details.get("prefill").and_then(Value::as_array).map(|list| list.len() as u64);
        let count = |it: &Value, name: &str| it.get(name).and_then(Value::as_u64);
        let input = count(details, "input_length").or(prefill).unwrap_or(0);
        let all = others.iter().chain([details]);
        let output =
            all.map(|it| count(it, "generated_tokens").unwrap_or(0)).fold(0, u64::saturating_add);
        TokenCounts { input, output, ..TokenCounts::default() }
    });
    Ok(completion.written(tokens.as_ref()))
}

/// Tells one sequence.
fn choice(
    sequence: &Value,
    details: &Value,
    context: &AnswerContext,
    completion: &mut WrittenCompletion<'_>,
) -> Result<(), BadAnswer> {
    let Some(said) = sequence.get("generated_text").and_then(Value::as_str) else {
        return Err(BadAnswer::Malformed("has no `generated_text`".into()));
    };
    completion.text = Some(said.to_owned());
    if context.memo.logprobs {
        let tokens = details.get("tokens").and_then(Value::as_array);
        completion.logprobs =
            tokens.and_then(|tokens| logprobs::of_tgi(tokens, details.get("top_tokens")));
    }
    completion.end_choice(reasons::of_tgi(text(details, "finish_reason").unwrap_or_default()));
    Ok(())
}
