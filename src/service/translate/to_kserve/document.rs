//! An answer of the open inference protocol, told as one of OpenAI chat.
//!
//! The answer is one tensor of one text: the one that the configuration names, or the only one there is but
//! for those that tell something of the answer. Which of several texts is the answer nobody here knows.

use serde_json::Value;

use super::super::chat::completion::WrittenCompletion;
use super::super::documents::text;
use super::super::{AnswerContext, BadAnswer};

/// Tensors with texts that are no answers: what vLLM's backend tells of one where it is asked to.
const BESIDE: &[&str] = &["finish_reason", "cumulative_logprob", "logprobs"];

/// Tells it.
pub fn translate(context: &AnswerContext, document: &Value) -> Result<Value, BadAnswer> {
    let Some(outputs) = document.get("outputs").and_then(Value::as_array) else {
        return Err(BadAnswer::Malformed("has no `outputs`".into()));
    };
    let named = |name: &str| outputs.iter().find(|it| it.get("name").is_some_and(|it| it == name));
    let output = match &context.memo.output {
        Some(name) => {
            named(name).ok_or_else(|| BadAnswer::Malformed(format!("has no output `{name}`")))?
        }
        None => only_text(outputs)?,
    };
    let mut completion = WrittenCompletion::new(context);
    completion.model = text(document, "model_name").map(str::to_owned);
    completion.text = Some(one_text(output)?.to_owned());
    let reason = named("finish_reason").and_then(|output| one_text(output).ok());
    Ok(completion.finish(if reason == Some("length") { "length" } else { "stop" }, None))
}

/// The output that can be nothing but the answer.
fn only_text(outputs: &[Value]) -> Result<&Value, BadAnswer> {
    let mut texts = outputs.iter().filter(|output| {
        let beside = text(output, "name").is_some_and(|name| BESIDE.contains(&name));
        text(output, "datatype") == Some("BYTES") && !beside
    });
    match (texts.next(), texts.next()) {
        (Some(output), None) => Ok(output),
        (None, _) => Err(BadAnswer::Malformed("has no output of the type `BYTES`".into())),
        (Some(_), Some(_)) => Err(BadAnswer::Unknown(
            "more than one output of the type `BYTES` (`output` in `translate_to` names the one)"
                .into(),
        )),
    }
}

/// The one element of a tensor of texts, whose list may have the tensor's shape.
fn one_text(output: &Value) -> Result<&str, BadAnswer> {
    let packed = output.get("parameters").and_then(|it| text(it, "content_type"));
    if packed == Some("base64") {
        return Err(BadAnswer::Unknown("an output in base64".into()));
    }
    let mut data = output.get("data").unwrap_or(&Value::Null);
    while let Some(list) = data.as_array() {
        data = match list.as_slice() {
            [only] => only,
            [] => return Err(BadAnswer::Malformed("has an output without an element".into())),
            _ => return Err(BadAnswer::Unknown("a second element in its output".into())),
        };
    }
    data.as_str().ok_or_else(|| BadAnswer::Malformed("has an output that is no text".into()))
}
