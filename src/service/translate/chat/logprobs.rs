//! How likely each token was, and what else might have stood in its place: as OpenAI chat tells it.
//!
//! | told by | as |
//! |---|---|
//! | OpenAI chat | `logprobs.content[]`: `token`, `logprob`, `bytes`, `top_logprobs[]` |
//! | Ollama | `logprobs[]`: the same, in which `bytes` and `top_logprobs` may be missing |
//! | Gemini | `logprobsResult`: `chosenCandidates[]` and `topCandidates[].candidates[]` with `logProbability` |
//! | TGI | `tokens[]` and `top_tokens[][]` with `text` and `logprob` |
//!
//! Each function makes a list of it, whose numbers are those that the server wrote.

use serde_json::{Value, json};

/// What OpenAI says of a token that is too unlikely to be counted, or of which nobody tells.
const UNKNOWN: f64 = -9999.0;

/// Of Ollama's `logprobs`. `None`: there are none.
pub fn of_ollama(list: &Value) -> Option<Value> {
    told(list.as_array()?.iter().map(|entry| {
        let top = entry.get("top_logprobs").and_then(Value::as_array);
        let top = top.into_iter().flatten().map(ollama_token).collect();
        with_top(ollama_token(entry), top)
    }))
}

fn ollama_token(entry: &Value) -> Value {
    let logprob = entry.get("logprob").filter(|it| it.is_number()).cloned();
    let mut token = token(entry.get("token"), logprob.unwrap_or(UNKNOWN.into()));
    if let Some(bytes) = entry.get("bytes").filter(|bytes| bytes.is_array()) {
        token["bytes"] = bytes.clone();
    }
    token
}

/// Of Gemini's `logprobsResult`, in which a 0 may be missing. `None`: there are none.
pub fn of_gemini(result: &Value) -> Option<Value> {
    let candidate = |it: &Value| {
        let logprob = it.get("logProbability").filter(|it| it.is_number()).cloned();
        token(it.get("token"), logprob.unwrap_or(0.0.into()))
    };
    let chosen = result.get("chosenCandidates")?.as_array()?;
    told(chosen.iter().enumerate().map(|(index, it)| {
        let top = result.get("topCandidates").and_then(|top| top.get(index));
        let top = top.and_then(|top| top.get("candidates")).and_then(Value::as_array);
        with_top(candidate(it), top.into_iter().flatten().map(candidate).collect())
    }))
}

/// Of TGI's `tokens` and `top_tokens`, but for its marks, which are no part of the text. `None`: there are
/// none.
pub fn of_tgi(tokens: &[Value], tops: Option<&Value>) -> Option<Value> {
    let tgi_token = |it: &Value| {
        let logprob = it.get("logprob").filter(|it| it.is_number()).cloned();
        token(it.get("text"), logprob.unwrap_or(UNKNOWN.into()))
    };
    let said = tokens.iter().enumerate().filter(|(_, it)| it.get("special") != Some(&json!(true)));
    told(said.map(|(index, it)| {
        let top = tops.and_then(|tops| tops.get(index)).and_then(Value::as_array);
        with_top(tgi_token(it), top.into_iter().flatten().map(tgi_token).collect())
    }))
}

fn told(list: impl Iterator<Item = Value>) -> Option<Value> {
    let list: Vec<Value> = list.collect();
    (!list.is_empty()).then_some(Value::Array(list))
}

/// One token. Half a character has no text, and nobody knows its bytes.
fn token(text: Option<&Value>, logprob: Value) -> Value {
    let text = text.and_then(Value::as_str).unwrap_or_default();
    let bytes = (!text.contains('\u{fffd}')).then_some(text.as_bytes());
    json!({"token": text, "logprob": logprob, "bytes": bytes})
}

fn with_top(mut token: Value, top: Vec<Value>) -> Value {
    token["top_logprobs"] = top.into();
    token
}
