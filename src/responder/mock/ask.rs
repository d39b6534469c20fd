//! What a completion request asks for, out of its JSON body.
//!
//! Only the fields that change the mock's answer are read. The rest (`messages`, `n`, `tools` …) must
//! be JSON and is skipped without being kept.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Every token's event repeats the model's name.
const MODEL_BYTES_MAX: usize = 256;
/// The model of a request that names none, and the only one listed.
pub(super) const MODEL: &str = "mock";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub model: String,
    pub stream: bool,
    pub include_usage: bool,
    pub tokens_max: Option<u64>,
    /// The prompt, if it is a text.
    pub prompt: Option<String>,
    /// A token for every four bytes of the body: plausible, and the same each time.
    pub prompt_tokens: u64,
}

#[derive(Deserialize)]
struct Fields {
    model: Option<String>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    prompt: Option<Prompt>,
}

/// Any other prompt is one as well.
#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl Ask {
    /// Reads a request body, or tells in a sentence what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Ask, String> {
        // A derived struct can also be read from an array of its fields; a request cannot.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err("The request body is not a JSON object.".to_owned());
        }
        let fields: Fields = serde_json::from_slice(body)
            .map_err(|error| format!("The request body could not be read as JSON: {error}."))?;
        let model = fields.model.unwrap_or_else(|| MODEL.to_owned());
        if model.len() > MODEL_BYTES_MAX {
            return Err(format!("`model` is longer than {MODEL_BYTES_MAX} bytes."));
        }
        Ok(Ask {
            model,
            stream: fields.stream.unwrap_or(false),
            include_usage: fields
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            tokens_max: [fields.max_tokens, fields.max_completion_tokens]
                .into_iter()
                .flatten()
                .min(),
            prompt: match fields.prompt {
                Some(Prompt::Text(text)) => Some(text),
                Some(Prompt::Other(IgnoredAny)) | None => None,
            },
            prompt_tokens: body.len().div_ceil(4) as u64,
        })
    }
}
