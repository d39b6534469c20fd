//! Members of a request, taken as what they have to be.

use serde_json::{Value, json};

use super::Untranslatable;
use super::rules::Members;

pub fn take_text(
    from: &mut Members,
    name: &str,
    at: &str,
) -> Result<Option<String>, Untranslatable> {
    match from.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Untranslatable::member(at, name, "is no string")),
    }
}

pub fn want_text(from: &mut Members, name: &str, at: &str) -> Result<String, Untranslatable> {
    take_text(from, name, at)?.ok_or_else(|| Untranslatable::member(at, name, "is missing"))
}

pub fn take_flag(from: &mut Members, name: &str, at: &str) -> Result<Option<bool>, Untranslatable> {
    match from.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(_) => Err(Untranslatable::member(at, name, "is no boolean")),
    }
}

pub fn take_number(
    from: &mut Members,
    name: &str,
    at: &str,
) -> Result<Option<Value>, Untranslatable> {
    match from.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(number @ Value::Number(_)) => Ok(Some(number)),
        Some(_) => Err(Untranslatable::member(at, name, "is no number")),
    }
}

pub fn take_list(
    from: &mut Members,
    name: &str,
    at: &str,
) -> Result<Option<Vec<Value>>, Untranslatable> {
    match from.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(_) => Err(Untranslatable::member(at, name, "is no array")),
    }
}

/// Strings at which a text is to stop: a list of them, or one.
pub fn take_stops(from: &mut Members, name: &str) -> Result<Vec<String>, Untranslatable> {
    let wrong = || Untranslatable::member("", name, "is no list of strings");
    match from.remove(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(stop)) => Ok(vec![stop]),
        Some(Value::Array(list)) => {
            let texts = list.into_iter().map(|stop| match stop {
                Value::String(stop) => Ok(stop),
                _ => Err(wrong()),
            });
            texts.collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// An object's members, in a list of their own.
pub fn members_of(value: Value) -> Members {
    match value {
        Value::Object(members) => members,
        _ => Members::new(),
    }
}

/// A block or a part with a text.
pub fn text_block(text: impl Into<Value>) -> Members {
    members_of(json!({"type": "text", "text": text.into()}))
}

/// Whether a block says nothing but its text.
pub fn is_plain_text(block: &Members) -> bool {
    block.len() == 2 && block.get("type").is_some_and(|kind| kind == "text")
}

/// Blocks or parts as `content`: a text alone is a string.
pub fn content_of(mut blocks: Vec<Members>) -> Value {
    if blocks.len() == 1 && is_plain_text(&blocks[0]) {
        return blocks[0].remove("text").unwrap_or_default();
    }
    Value::Array(blocks.into_iter().map(Value::Object).collect())
}

/// A part of a message, if it says nothing but its text.
pub fn plain_text(part: &Members) -> Option<&str> {
    part.get("text").filter(|_| is_plain_text(part)).and_then(Value::as_str)
}

/// Whether a model of OpenAI's wants `max_completion_tokens`. OpenAI's reasoning models refuse `max_tokens`, and Ollama knows nothing else.
pub fn wants_newer_bound(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let number = |prefix: &str| {
        let rest = name.strip_prefix(prefix)?;
        rest.chars().next()?.to_digit(10)
    };
    number("o").is_some() || number("gpt-").is_some_and(|version| version >= 5)
}

/// A longer name stands in no path.
const PATH_NAME_MAX: usize = 256;

/// Refuses a model whose name cannot stand in a path: one that is, or has between slashes, nothing or a
/// step. A server may undo the escapes of slashes before it reads steps.
pub fn want_path_name(model: &str) -> Result<(), Untranslatable> {
    let step = |part: &str| part.bytes().all(|byte| byte == b'.');
    match model.len() > PATH_NAME_MAX || model.split(['/', '\\']).any(step) {
        true => Err(Untranslatable::new("model", "cannot stand in a path")),
        false => Ok(()),
    }
}
