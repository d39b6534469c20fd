//! One event of OpenAI chat, read where it lies: strings stay as they are written, and an event with
//! one choice costs no allocation.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::BadAnswer;
use super::super::raw::{inside, malformed, some_text, value};

/// An event. Members that nobody here knows tell nothing.
#[derive(Debug, Deserialize)]
pub struct Chunk<'e> {
    #[serde(borrow, default)]
    pub id: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub model: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub choices: Option<Choices<'e>>,
    #[serde(borrow, default)]
    pub usage: Option<&'e RawValue>,
    #[serde(borrow, default)]
    x_groq: Option<&'e RawValue>,
}

impl<'e> Chunk<'e> {
    pub fn read(data: &'e [u8]) -> Result<Chunk<'e>, BadAnswer> {
        match data.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(data).map_err(|error| malformed(&error)),
            _ => Err(BadAnswer::Malformed("has an event that is no JSON object".into())),
        }
    }

    /// What the answer cost so far, which Groq says elsewhere.
    pub fn usage(&self) -> Option<Value> {
        match self.usage {
            Some(usage) => value(usage),
            None => value(self.x_groq?)?.get_mut("usage").map(Value::take),
        }
    }
}

/// Whether an event reports an error.
pub fn is_error(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Said<'e> {
        #[serde(borrow, default)]
        error: Option<&'e RawValue>,
        #[serde(borrow, default)]
        object: Option<&'e RawValue>,
    }
    // A look for the word spares nearly all events the rest.
    if memchr::memmem::find(data, b"\"error\"").is_none() {
        return false;
    }
    let Ok(said) = serde_json::from_slice::<Said<'_>>(data) else { return false };
    let says = |raw: &RawValue| !matches!(raw.get(), "false" | "0" | "\"\"" | "{}" | "[]");
    said.error.is_some_and(says) || said.object.is_some_and(|it| it.get() == "\"error\"")
}

#[derive(Debug, Deserialize)]
pub struct ChatChoice<'e> {
    #[serde(borrow, default)]
    pub index: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub delta: Option<Delta<'e>>,
    #[serde(borrow, default)]
    pub finish_reason: Option<&'e RawValue>,
    /// vLLM's: the sequence at which the text has stopped.
    #[serde(borrow, default)]
    pub stop_reason: Option<&'e RawValue>,
    /// SGLang's name for that.
    #[serde(borrow, default)]
    pub matched_stop: Option<&'e RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'e RawValue>,
    /// Moonshot tells it here.
    #[serde(borrow, default)]
    pub usage: Option<&'e RawValue>,
}

impl<'e> ChatChoice<'e> {
    /// How likely the tokens of its text were: entries with commas between them, as they are written, on one
    /// line.
    pub fn logprobs(&self) -> Option<Cow<'e, str>> {
        #[derive(Deserialize)]
        struct Logprobs<'e> {
            #[serde(borrow, default)]
            content: Option<&'e RawValue>,
        }
        let list = serde_json::from_str::<Logprobs<'e>>(self.logprobs?.get()).ok()?.content?;
        let entries = list.get().strip_prefix('[')?.strip_suffix(']')?.trim_ascii();
        if entries.is_empty() {
            return None;
        }
        // JSON has no line's end but between its values.
        Some(match entries.contains(['\n', '\r']) {
            false => Cow::Borrowed(entries),
            true => Cow::Owned(entries.replace(['\n', '\r'], " ")),
        })
    }
}

#[derive(Debug, Deserialize)]
pub struct Delta<'e> {
    #[serde(borrow, default)]
    pub content: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub reasoning_content: Option<&'e RawValue>,
    /// The newer name of vLLM, Ollama and others.
    #[serde(borrow, default)]
    pub reasoning: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub refusal: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub tool_calls: Option<&'e RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'e RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'e RawValue>,
    #[serde(borrow, default)]
    images: Option<&'e RawValue>,
}

impl<'e> Delta<'e> {
    /// What was thought. Some servers write it under both names.
    pub fn thought(&self) -> Result<Option<&'e str>, BadAnswer> {
        Ok(match some_text(self.reasoning_content, "reasoning_content")? {
            Some(thought) => Some(thought),
            None => self.reasoning.and_then(inside).filter(|text| !text.is_empty()),
        })
    }

    /// A part of the answer that the other dialect cannot tell.
    pub fn unknown(&self) -> Option<&'static str> {
        let says = |raw: Option<&RawValue>| {
            raw.is_some_and(|raw| !matches!(raw.get(), "\"\"" | "[]" | "{}"))
        };
        let parts =
            [("function_call", self.function_call), ("audio", self.audio), ("images", self.images)];
        parts.into_iter().find(|(_, part)| says(*part)).map(|(name, _)| name)
    }
}

/// The choices of one event: nearly always one.
#[derive(Debug, Default)]
pub struct Choices<'e> {
    first: Option<ChatChoice<'e>>,
    others: Vec<ChatChoice<'e>>,
}

impl<'e> Choices<'e> {
    pub fn all(&self) -> impl Iterator<Item = &ChatChoice<'e>> {
        self.first.iter().chain(&self.others)
    }
}

// As a list and not as a piece of JSON: to pass over one that is nested costs serde_json an allocation.
impl<'de: 'e, 'e> Deserialize<'de> for Choices<'e> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Choices<'e>, D::Error> {
        deserializer.deserialize_seq(Reading(PhantomData))
    }
}

struct Reading<'e>(PhantomData<&'e ()>);

impl<'de: 'e, 'e> Visitor<'de> for Reading<'e> {
    type Value = Choices<'e>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Choices<'e>, A::Error> {
        let mut choices = Choices { first: list.next_element()?, ..Choices::default() };
        while let Some(choice) = list.next_element()? {
            choices.others.push(choice);
        }
        Ok(choices)
    }
}

/// A piece of a call.
#[derive(Debug, Deserialize)]
pub struct CallPiece<'e> {
    #[serde(default)]
    pub index: Option<u64>,
    #[serde(borrow, default)]
    pub id: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub function: Option<FunctionPiece<'e>>,
}

#[derive(Debug, Deserialize)]
pub struct FunctionPiece<'e> {
    #[serde(borrow, default)]
    pub name: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub arguments: Option<&'e RawValue>,
}

pub fn call_pieces(raw: &RawValue) -> Result<Vec<CallPiece<'_>>, BadAnswer> {
    serde_json::from_str(raw.get()).map_err(|error| malformed(&error))
}
