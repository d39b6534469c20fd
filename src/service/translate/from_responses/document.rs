//! A document of OpenAI chat, told as one of OpenAI responses.

use serde_json::Value;

use super::super::chat::completion::{self, Answer};
use super::super::reasons::TokenCounts;
use super::super::tree::Numbers;
use super::super::{AnswerContext, BadAnswer};
use super::items::{self, PartKind};
use super::response::{self, ResponseStatus};
use crate::http::json::escape;

/// Tells it.
pub fn translate(
    context: &AnswerContext,
    document: &Value,
    numbers: &mut Numbers,
) -> Result<Value, BadAnswer> {
    let Answer { model, thought, text, refusal, calls, logprobs, reason } =
        completion::read(document)?;
    let status = ResponseStatus::of(reason);
    let mut items = Vec::new();
    let mut id = {
        let mut index = 0;
        move |prefix| {
            index += 1;
            items::id(prefix, &context.id, index - 1)
        }
    };
    if let Some(thought) = thought {
        let part = PartKind::Thinking.part(&inside(thought), "");
        items.push(items::reasoning(&id("rs"), status.name(), &part));
    }
    let logprobs = logprobs.map(|list| numbers.text(list)).unwrap_or_default();
    let logprobs = logprobs.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or("");
    let said = [(PartKind::Text, text), (PartKind::Refusal, refusal)];
    let parts: Vec<String> = said
        .iter()
        .filter_map(|(kind, text)| Some(kind.part(&inside((*text)?), logprobs)))
        .collect();
    if !parts.is_empty() {
        items.push(items::message(&id("msg"), status.name(), &parts.join(",")));
    }
    for call in &calls {
        let item = id("fc");
        let call_id = call.id.map_or_else(|| item.replacen("fc", "call", 1), str::to_owned);
        let arguments = inside(&call.arguments);
        items.push(items::call(&item, status.name(), &call_id, call.name, &arguments));
    }
    let mut tokens = TokenCounts::default();
    let usage = document.get("usage").filter(|usage| usage.is_object());
    usage.inspect(|usage| tokens.read_chat(usage));
    let tokens = usage.map(|_| &tokens);
    let model = model.unwrap_or(&context.memo.model);
    let written = response::write(context, model, status, &items.join(","), tokens, None);
    // What was written is JSON; a request may have as many values as an answer.
    let told = numbers.parse(written.as_bytes());
    told.map_err(|error| BadAnswer::Malformed(format!("cannot be told: {error}")))
}

fn inside(text: &str) -> String {
    let mut inside = Vec::new();
    escape(text, &mut inside);
    String::from_utf8(inside).unwrap_or_default()
}
