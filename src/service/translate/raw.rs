//! Pieces of JSON as they are written, for events that are read without a copy.

use serde_json::Value;
use serde_json::value::RawValue;

use super::{BadAnswer, tree};

/// The inside of a string, as it is written.
pub fn inside(raw: &RawValue) -> Option<&str> {
    raw.get().strip_prefix('"')?.strip_suffix('"')
}

/// The same, of a member that has to be one.
pub fn text<'e>(raw: &'e RawValue, name: &str) -> Result<&'e str, BadAnswer> {
    inside(raw).ok_or_else(|| BadAnswer::Unknown(format!("a `{name}` that is no text")))
}

/// The inside of a string that has anything in it. `None` stands for `null`, for nothing and for an
/// empty text alike: servers write any of them where they say nothing.
pub fn some_text<'e>(raw: Option<&'e RawValue>, name: &str) -> Result<Option<&'e str>, BadAnswer> {
    match raw {
        None => Ok(None),
        Some(raw) => text(raw, name).map(|text| Some(text).filter(|text| !text.is_empty())),
    }
}

/// What the inside of a string means.
pub fn meaning(inside: &str) -> String {
    let text = serde_json::from_str(&format!("\"{inside}\""));
    text.unwrap_or_else(|_| inside.to_owned())
}

/// An event that is no object of the shape that its dialect has.
pub fn malformed(error: &serde_json::Error) -> BadAnswer {
    BadAnswer::Malformed(format!("has an event that cannot be read: {error}"))
}

/// A value of an event, as a tree.
pub fn value(raw: &RawValue) -> Option<Value> {
    tree::parse(raw.get().as_bytes()).ok()
}
