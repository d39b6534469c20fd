//! Why an answer ended, and what it cost, in the words of both dialects.

use serde_json::{Value, json};

/// Anthropic's `stop_reason`, and the `finish_reason` that says the same. Whatever else a server says
/// becomes [`CHAT_OTHERWISE`].
pub const TO_CHAT: &[(&str, &str)] = &[
    ("end_turn", "stop"),
    ("stop_sequence", "stop"),
    ("max_tokens", "length"),
    ("model_context_window_exceeded", "length"),
    ("pause_turn", "length"),
    ("tool_use", "tool_calls"),
    ("refusal", "content_filter"),
];
pub const CHAT_OTHERWISE: &str = "stop";

/// OpenAI's `finish_reason`, and the `stop_reason` that says the same. Whatever else a server says
/// becomes [`MESSAGES_OTHERWISE`].
pub const TO_MESSAGES: &[(&str, &str)] = &[
    ("stop", "end_turn"),
    ("length", "max_tokens"),
    ("tool_calls", "tool_use"),
    ("function_call", "tool_use"),
    ("content_filter", "refusal"),
];
pub const MESSAGES_OTHERWISE: &str = "end_turn";

/// The `finish_reason` of a `stop_reason`.
pub fn to_chat(reason: &str) -> &'static str {
    find(TO_CHAT, reason).unwrap_or(CHAT_OTHERWISE)
}

/// The `stop_reason` of a `finish_reason`. `called`: the answer has calls in it; there are servers that
/// end those with `stop`.
pub fn to_messages(reason: &str, called: bool) -> &'static str {
    match find(TO_MESSAGES, reason).unwrap_or(MESSAGES_OTHERWISE) {
        "end_turn" if called => "tool_use",
        reason => reason,
    }
}

fn find(table: &[(&'static str, &'static str)], reason: &str) -> Option<&'static str> {
    table.iter().find(|(from, _)| *from == reason).map(|(_, to)| *to)
}

/// What an answer cost, in tokens, counted as Anthropic does: what came from a cache, and what was
/// written into one, is no part of `input`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    pub input: u64,
    pub cache_creation: u64,
    pub cache_read: u64,
    pub output: u64,
}

impl TokenCounts {
    /// Takes what Anthropic's `usage` says. A 0 never takes the place of another count.
    pub fn read_messages(&mut self, usage: &Value) {
        let put = |count: &mut u64, name: &str| {
            *count = number(usage, &[name]).filter(|it| *it > 0).unwrap_or(*count);
        };
        put(&mut self.input, "input_tokens");
        put(&mut self.cache_creation, "cache_creation_input_tokens");
        put(&mut self.cache_read, "cache_read_input_tokens");
        put(&mut self.output, "output_tokens");
    }

    /// Takes what OpenAI's `usage` says, under the same rule.
    pub fn read_chat(&mut self, usage: &Value) {
        let cached = number(usage, &["prompt_tokens_details", "cached_tokens"]);
        // DeepSeek's name for it.
        let cached = cached.or_else(|| number(usage, &["prompt_cache_hit_tokens"])).unwrap_or(0);
        if let Some(prompt) = number(usage, &["prompt_tokens"]).filter(|prompt| *prompt > 0) {
            self.cache_read = cached.min(prompt);
            self.input = prompt - self.cache_read;
        }
        let output = number(usage, &["completion_tokens"]).filter(|output| *output > 0);
        self.output = output.unwrap_or(self.output);
    }

    /// As Anthropic writes it.
    pub fn messages(&self) -> Value {
        json!({
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_creation,
            "cache_read_input_tokens": self.cache_read,
            "output_tokens": self.output,
        })
    }

    /// As OpenAI writes it.
    pub fn chat(&self) -> Value {
        let prompt = self.input.saturating_add(self.cache_creation).saturating_add(self.cache_read);
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": self.output,
            "total_tokens": prompt.saturating_add(self.output),
            "prompt_tokens_details": {"cached_tokens": self.cache_read},
        })
    }
}

fn number(value: &Value, path: &[&str]) -> Option<u64> {
    path.iter().try_fold(value, |value: &Value, name| value.get(*name)).and_then(Value::as_u64)
}
