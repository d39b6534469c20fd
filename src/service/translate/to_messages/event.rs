//! One event of Anthropic messages, read where it lies: strings stay as they are written.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::BadAnswer;
use super::super::raw::{inside, malformed, value};

/// An event. Members that nobody here knows tell nothing.
#[derive(Debug, Deserialize)]
pub struct MessagesEvent<'e> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'e RawValue>,
    #[serde(default)]
    pub index: u64,
    #[serde(borrow, default)]
    message: Option<&'e RawValue>,
    #[serde(borrow, default)]
    content_block: Option<&'e RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'e RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'e RawValue>,
}

impl<'e> MessagesEvent<'e> {
    pub fn read(data: &'e [u8]) -> Result<MessagesEvent<'e>, BadAnswer> {
        match data.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(data).map_err(|error| malformed(&error)),
            _ => Err(BadAnswer::Malformed("has an event that is no JSON object".into())),
        }
    }

    pub fn kind(&self) -> Option<&'e str> {
        self.kind.and_then(inside)
    }

    pub fn message(&self) -> Value {
        self.message.and_then(value).unwrap_or_default()
    }

    pub fn usage(&self) -> Option<Value> {
        self.usage.and_then(value)
    }

    pub fn block(&self) -> Result<Block<'e>, BadAnswer> {
        read(self.content_block, "a `content_block_start` without a block")
    }

    pub fn delta(&self) -> Result<EventDelta<'e>, BadAnswer> {
        read(self.delta, "a delta that is missing")
    }
}

fn read<'e, T: Deserialize<'e>>(raw: Option<&'e RawValue>, what: &str) -> Result<T, BadAnswer> {
    match raw {
        Some(raw) if raw.get().starts_with('{') => {
            serde_json::from_str(raw.get()).map_err(|error| malformed(&error))
        }
        _ => Err(BadAnswer::Malformed(format!("has {what}"))),
    }
}

/// A block, as it begins.
#[derive(Debug, Deserialize)]
pub struct Block<'e> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub text: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub thinking: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub id: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub name: Option<&'e RawValue>,
    #[serde(borrow, default)]
    input: Option<&'e RawValue>,
}

impl<'e> Block<'e> {
    pub fn kind(&self) -> Option<&'e str> {
        self.kind.and_then(inside)
    }

    /// The arguments of a call as they are written, if it begins with all of them.
    pub fn input(&self) -> Option<&'e str> {
        let input = self.input?;
        let said = value(input)?.as_object().is_some_and(|input| !input.is_empty());
        said.then_some(input.get())
    }
}

#[derive(Debug, Deserialize)]
pub struct EventDelta<'e> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub text: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub thinking: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub partial_json: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub stop_reason: Option<&'e RawValue>,
}

impl<'e> EventDelta<'e> {
    pub fn kind(&self) -> Option<&'e str> {
        self.kind.and_then(inside)
    }
}
