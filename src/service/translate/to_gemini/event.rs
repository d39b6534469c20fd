//! One event of Gemini's, read where it lies: strings stay as they are written.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::BadAnswer;
use super::super::raw::malformed;
use super::super::reasons::TokenCounts;

/// An event. Members that nobody here knows tell nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiEvent<'e> {
    #[serde(borrow, default)]
    pub candidates: Option<Vec<GeminiCandidate<'e>>>,
    #[serde(borrow, default)]
    pub prompt_feedback: Option<PromptFeedback<'e>>,
    #[serde(borrow, default)]
    pub usage_metadata: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub model_version: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub response_id: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub error: Option<&'e RawValue>,
}

/// Why a prompt was not answered.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptFeedback<'e> {
    #[serde(borrow, default)]
    pub block_reason: Option<&'e RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiCandidate<'e> {
    #[serde(default)]
    pub index: u64,
    #[serde(borrow, default)]
    pub content: Option<GeminiContent<'e>>,
    #[serde(borrow, default)]
    pub finish_reason: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub logprobs_result: Option<&'e RawValue>,
}

#[derive(Debug, Deserialize)]
pub struct GeminiContent<'e> {
    #[serde(borrow, default)]
    pub parts: Option<Vec<GeminiPart<'e>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiPart<'e> {
    #[serde(borrow, default)]
    pub text: Option<&'e RawValue>,
    /// The text was thought, and not said.
    #[serde(default)]
    pub thought: bool,
    #[serde(borrow, default)]
    pub thought_signature: Option<&'e RawValue>,
    #[serde(borrow, default)]
    pub function_call: Option<FunctionCall<'e>>,
    #[serde(borrow, default)]
    executable_code: Option<&'e RawValue>,
    #[serde(borrow, default)]
    code_execution_result: Option<&'e RawValue>,
    #[serde(borrow, default)]
    inline_data: Option<&'e RawValue>,
    #[serde(borrow, default)]
    file_data: Option<&'e RawValue>,
}

impl GeminiPart<'_> {
    /// A part of the answer that OpenAI chat cannot tell.
    pub fn unknown(&self) -> Option<&'static str> {
        let parts = [
            ("executableCode", self.executable_code),
            ("codeExecutionResult", self.code_execution_result),
            ("inlineData", self.inline_data),
            ("fileData", self.file_data),
        ];
        parts.into_iter().find(|(_, part)| part.is_some()).map(|(name, _)| name)
    }
}

#[derive(Debug, Deserialize)]
pub struct FunctionCall<'e> {
    #[serde(borrow, default)]
    pub id: Option<&'e RawValue>,
    #[serde(borrow)]
    pub name: &'e RawValue,
    #[serde(borrow, default)]
    pub args: Option<&'e RawValue>,
}

impl<'e> GeminiEvent<'e> {
    pub fn read(data: &'e [u8]) -> Result<GeminiEvent<'e>, BadAnswer> {
        match data.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(data).map_err(|error| malformed(&error)),
            _ => Err(BadAnswer::Malformed("has an event that is no JSON object".into())),
        }
    }
}

/// Takes what `usageMetadata` says.
pub fn count(usage: &Value, tokens: &mut TokenCounts) {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).filter(|count| *count > 0);
    if let Some(prompt) = count("promptTokenCount") {
        tokens.cache_read = count("cachedContentTokenCount").unwrap_or(0).min(prompt);
        tokens.input = prompt - tokens.cache_read;
    }
    tokens.reasoning = count("thoughtsTokenCount").unwrap_or(tokens.reasoning);
    if let Some(said) = count("candidatesTokenCount") {
        tokens.output = said.saturating_add(tokens.reasoning);
    } else {
        tokens.output = tokens.output.max(tokens.reasoning);
    }
}

/// Of a reason: the model has called what there is not.
pub fn is_fault(reason: &str) -> bool {
    ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"].contains(&reason)
}
