//! Answers in one piece.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::errors::ServerError;
use super::leg::Leg;
use super::tree::{self, Numbers};
use super::{AnswerContext, BadAnswer, Pair};

/// What a document says.
#[derive(Debug)]
pub enum ToldDocument {
    /// An answer, in the client's dialect, and how its numbers are written.
    Answer(Value, Numbers),
    /// The server reports an error, whatever its status.
    Error(ServerError),
}

/// Reads a document, and tells it in the dialect that `legs` lead to, the server's first.
pub fn translate(
    legs: impl Iterator<Item = Leg>,
    context: &AnswerContext,
    status: u16,
    body: &[u8],
) -> Result<ToldDocument, BadAnswer> {
    if status >= 400 {
        return Ok(ToldDocument::Error(ServerError::read(status, body)));
    }
    let mut numbers = Numbers::default();
    let mut document = numbers
        .parse(tree::without_mark(body))
        .map_err(|error| BadAnswer::Malformed(format!("is no JSON that can be read: {error}")))?;
    if is_error(&document) {
        return Ok(ToldDocument::Error(ServerError::of(0, &document)));
    }
    for leg in legs {
        document = leg.document(context, &document, &mut numbers)?;
    }
    Ok(ToldDocument::Answer(document, numbers))
}

/// Writes it for the client of `pair`.
pub fn write(document: &ToldDocument, pair: Pair, out: &mut Vec<u8>) {
    match document {
        ToldDocument::Answer(answer, numbers) => numbers.write(answer, out),
        ToldDocument::Error(error) => {
            out.extend_from_slice(error.document(pair.asked()).to_string().as_bytes());
        }
    }
}

/// An error that says that all is well.
fn is_error(document: &Value) -> bool {
    let says = |name: &str| document.get(name).is_some_and(|kind| kind == "error");
    let error = document.get("error").is_some_and(|error| !super::rules::asks_nothing(error));
    error || says("type") || says("object")
}

/// A member that is a text with anything in it.
pub fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The same where it has to be a text, or to say nothing.
pub fn only_text<'v>(value: &'v Value, name: &str) -> Result<Option<&'v str>, BadAnswer> {
    match value.get(name) {
        None | Some(Value::Null | Value::String(_)) => Ok(text(value, name)),
        Some(_) => Err(BadAnswer::Unknown(format!("a `{name}` that is no text"))),
    }
}

/// The name of a call, which has to have one.
pub fn name_of_call(call: &Value) -> Result<&str, BadAnswer> {
    text(call, "name").ok_or_else(nameless)
}

/// Why a call without a name is none.
pub fn nameless() -> BadAnswer {
    BadAnswer::Malformed("has a call without a name".into())
}

/// The arguments of a call by that name, as they are written: an object, or nothing.
pub fn arguments_of(
    arguments: Option<&Value>,
    numbers: &Numbers,
    name: &str,
) -> Result<String, BadAnswer> {
    match arguments {
        None | Some(Value::Null) => Ok("{}".to_owned()),
        Some(object @ Value::Object(_)) => Ok(numbers.text(object)),
        Some(_) => Err(no_arguments(name)),
    }
}

/// The arguments of a call by that name which stand in a text: an object, or nothing.
pub fn written_arguments<'t>(text: &'t str, name: &str) -> Result<&'t str, BadAnswer> {
    match text.trim_ascii() {
        "" => Ok("{}"),
        object if object.starts_with('{') && serde_json::from_str::<IgnoredAny>(object).is_ok() => {
            Ok(text)
        }
        _ => Err(no_arguments(name)),
    }
}

/// Why the arguments of a call by that name are none.
pub fn no_arguments(name: &str) -> BadAnswer {
    BadAnswer::Malformed(format!("calls `{name}` with arguments that are no JSON object"))
}
