//! One line of Ollama's, read where it lies: strings stay as they are written.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::BadAnswer;
use super::super::chat::logprobs;
use super::super::raw::malformed;
use super::super::reasons::TokenCounts;
use super::super::tree::Numbers;

/// A line of a stream, or a document. Members that nobody here knows tell nothing.
#[derive(Debug, Deserialize)]
pub struct OllamaLine<'l> {
    #[serde(borrow, default)]
    pub model: Option<&'l RawValue>,
    #[serde(borrow, default)]
    pub message: Option<OllamaMessage<'l>>,
    #[serde(default)]
    pub done: bool,
    #[serde(borrow, default)]
    pub done_reason: Option<&'l RawValue>,
    #[serde(borrow, default)]
    pub logprobs: Option<&'l RawValue>,
    #[serde(borrow, default)]
    pub error: Option<&'l RawValue>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub struct OllamaMessage<'l> {
    #[serde(borrow, default)]
    pub content: Option<&'l RawValue>,
    #[serde(borrow, default)]
    pub thinking: Option<&'l RawValue>,
    #[serde(borrow, default)]
    pub tool_calls: Option<&'l RawValue>,
    #[serde(borrow, default)]
    pub images: Option<&'l RawValue>,
}

#[derive(Debug, Deserialize)]
pub struct OllamaCall<'l> {
    #[serde(borrow, default)]
    pub id: Option<&'l RawValue>,
    #[serde(borrow)]
    pub function: OllamaFunction<'l>,
}

#[derive(Debug, Deserialize)]
pub struct OllamaFunction<'l> {
    #[serde(borrow)]
    pub name: &'l RawValue,
    #[serde(borrow, default)]
    pub arguments: Option<&'l RawValue>,
}

impl<'l> OllamaLine<'l> {
    pub fn read(data: &'l [u8]) -> Result<OllamaLine<'l>, BadAnswer> {
        match data.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(data).map_err(|error| malformed(&error)),
            _ => Err(BadAnswer::Malformed("has a line that is no JSON object".into())),
        }
    }

    /// What the answer cost so far.
    pub fn count(&self, tokens: &mut TokenCounts) {
        tokens.input = self.prompt_eval_count.filter(|it| *it > 0).unwrap_or(tokens.input);
        tokens.output = self.eval_count.filter(|it| *it > 0).unwrap_or(tokens.output);
    }

    /// How likely its tokens were, as OpenAI chat tells it.
    pub fn logprobs(&self) -> Option<String> {
        let mut numbers = Numbers::default();
        let list = numbers.parse(self.logprobs?.get().as_bytes()).ok()?;
        logprobs::of_ollama(&list).map(|list| numbers.text(&list))
    }

    /// The calls that it has.
    pub fn calls(&self) -> Result<Vec<OllamaCall<'l>>, BadAnswer> {
        let calls = self.message.as_ref().and_then(|message| message.tool_calls);
        calls.map_or(Ok(Vec::new()), |calls| {
            serde_json::from_str(calls.get()).map_err(|error| malformed(&error))
        })
    }
}
