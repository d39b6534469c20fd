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

/// Ollama's `done_reason`, and the `finish_reason` that says the same.
pub const OF_OLLAMA: &[(&str, &str)] = &[("stop", "stop"), ("length", "length")];

/// The `finish_reason` of a `done_reason`. `called`: the answer has calls in it; Ollama does not tell.
pub fn of_ollama(reason: &str, called: bool) -> &'static str {
    match find(OF_OLLAMA, reason).unwrap_or(CHAT_OTHERWISE) {
        "stop" if called => "tool_calls",
        reason => reason,
    }
}

/// Gemini's `finishReason`, and the `finish_reason` that says the same.
pub const OF_GEMINI: &[(&str, &str)] = &[
    ("STOP", "stop"),
    ("MAX_TOKENS", "length"),
    ("SAFETY", "content_filter"),
    ("RECITATION", "content_filter"),
    ("LANGUAGE", "content_filter"),
    ("BLOCKLIST", "content_filter"),
    ("PROHIBITED_CONTENT", "content_filter"),
    ("SPII", "content_filter"),
];

/// The same for Gemini.
pub fn of_gemini(reason: &str, called: bool) -> &'static str {
    match find(OF_GEMINI, reason).unwrap_or(CHAT_OTHERWISE) {
        "stop" if called => "tool_calls",
        reason => reason,
    }
}

/// TGI's `finish_reason`, and the one of OpenAI that says the same.
pub const OF_TGI: &[(&str, &str)] =
    &[("eos_token", "stop"), ("stop_sequence", "stop"), ("length", "length")];

/// The same for TGI.
pub fn of_tgi(reason: &str) -> &'static str {
    find(OF_TGI, reason).unwrap_or(CHAT_OTHERWISE)
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
    /// Of `output`: what was thought.
    pub reasoning: u64,
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
        let reasoning = number(usage, &["completion_tokens_details", "reasoning_tokens"]);
        self.reasoning = reasoning.filter(|it| *it > 0).unwrap_or(self.reasoning);
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

    fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_creation).saturating_add(self.cache_read)
    }

    /// As OpenAI chat writes it.
    pub fn chat(&self) -> Value {
        let prompt = self.prompt();
        let mut usage = json!({
            "prompt_tokens": prompt,
            "completion_tokens": self.output,
            "total_tokens": prompt.saturating_add(self.output),
            "prompt_tokens_details": {"cached_tokens": self.cache_read},
        });
        if self.reasoning > 0 {
            usage["completion_tokens_details"] = json!({"reasoning_tokens": self.reasoning});
        }
        usage
    }

    /// As OpenAI responses write it.
    pub fn responses(&self) -> Value {
        let prompt = self.prompt();
        json!({
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": self.cache_read},
            "output_tokens": self.output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": prompt.saturating_add(self.output),
        })
    }
}

fn number(value: &Value, path: &[&str]) -> Option<u64> {
    path.iter().try_fold(value, |value: &Value, name| value.get(*name)).and_then(Value::as_u64)
}
