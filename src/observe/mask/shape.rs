//! Shapes: what may be shown of the events of the inference APIs. All else is text.
//!
//! A shape says of one place in an event which words it may hold, whether it may hold a count, and
//! which members are known by name. One tree serves all dialects: where two use a place differently,
//! either use is known. `docs/operations.md` lists its leaves, and a test compares.
//!
//! * Only words of the APIs and counts, both written out here. No name, id or address: what looks
//!   like one may be anything.

/// What is known of a value.
#[derive(Debug)]
pub struct Shown {
    /// The texts that are shown.
    words: &'static [&'static [&'static str]],
    /// Whether it may be a count.
    pub counts: bool,
    members: &'static [(&'static str, &'static Shown)],
    items: Option<&'static Shown>,
}

/// More digits than this are no count: a time, or an id.
pub const COUNT_DIGITS_MAX: usize = 8;

impl Shown {
    const fn words(words: &'static [&'static [&'static str]]) -> Shown {
        Shown { words, counts: false, members: &[], items: None }
    }

    const fn members(members: &'static [(&'static str, &'static Shown)]) -> Shown {
        Shown { words: &[], counts: false, members, items: None }
    }

    const fn list(items: &'static Shown) -> Shown {
        Shown { words: &[], counts: false, members: &[], items: Some(items) }
    }

    pub fn has_word(&self, text: &[u8]) -> bool {
        self.words.iter().any(|words| words.iter().any(|word| word.as_bytes() == text))
    }

    /// The member with this name, if it is known.
    pub fn member(&self, name: &[u8]) -> Option<&'static Shown> {
        let found = self.members.iter().find(|(known, _)| known.as_bytes() == name);
        found.map(|(_, shape)| *shape)
    }

    pub fn item(&self) -> &'static Shown {
        self.items.unwrap_or(&HIDDEN)
    }
}

/// Whether an event may be shown by this name.
pub fn is_event_name(name: &[u8]) -> bool {
    EVENTS.iter().any(|word| word.as_bytes() == name)
}

/// Nothing of it is shown.
pub static HIDDEN: Shown = Shown::members(&[]);
static COUNT: Shown = Shown { words: &[], counts: true, members: &[], items: None };
/// A code, or a status.
static CODE: Shown = Shown { words: &[ERRORS], counts: true, members: &[], items: None };
static REASON: Shown = Shown::words(&[REASONS]);
static ROLE: Shown = Shown::words(&[ROLES]);
static KIND: Shown = Shown::words(&[KINDS]);
static STATUS: Shown = Shown::words(&[STATES]);

/// The data of an event, a line of JSON, a document.
pub static ROOT: Shown = Shown::members(&[
    ("choices", &CHOICES),
    ("code", &CODE),
    ("content", &HIDDEN),
    ("content_block", &PART),
    ("content_index", &COUNT),
    ("context", &HIDDEN),
    ("created", &HIDDEN),
    ("created_at", &HIDDEN),
    ("delta", &DELTA),
    ("details", &TGI_DETAILS),
    ("done", &HIDDEN),
    ("done_reason", &REASON),
    ("error", &ERROR),
    ("error_type", &Shown::words(&[ERRORS])),
    ("eval_count", &COUNT),
    ("eval_duration", &HIDDEN),
    ("generated_text", &HIDDEN),
    ("id", &HIDDEN),
    ("index", &COUNT),
    ("item", &ITEM),
    ("item_id", &HIDDEN),
    ("load_duration", &HIDDEN),
    ("message", &MESSAGE),
    ("model", &HIDDEN),
    ("object", &Shown::words(&[OBJECTS])),
    ("obfuscation", &HIDDEN),
    ("output_index", &COUNT),
    ("part", &PART),
    ("prompt_eval_count", &COUNT),
    ("prompt_eval_duration", &HIDDEN),
    ("request_id", &HIDDEN),
    ("response", &RESPONSE),
    ("sequence_number", &COUNT),
    ("stop", &HIDDEN),
    ("summary_index", &COUNT),
    ("system_fingerprint", &HIDDEN),
    ("text", &HIDDEN),
    ("timings", &TIMINGS),
    ("token", &TOKEN),
    ("tokens_evaluated", &COUNT),
    ("tokens_predicted", &COUNT),
    ("top_tokens", &HIDDEN),
    ("total_duration", &HIDDEN),
    ("type", &Shown::words(&[EVENTS, ERRORS])),
    ("usage", &USAGE),
]);

static CHOICES: Shown = Shown::list(&Shown::members(&[
    ("delta", &CHAT_MESSAGE),
    ("finish_reason", &REASON),
    ("index", &COUNT),
    ("logprobs", &HIDDEN),
    ("message", &CHAT_MESSAGE),
    ("stop_reason", &HIDDEN),
    ("text", &HIDDEN),
]));

static CHAT_MESSAGE: Shown = Shown::members(&[
    ("content", &HIDDEN),
    ("function_call", &HIDDEN),
    ("reasoning", &HIDDEN),
    ("reasoning_content", &HIDDEN),
    ("refusal", &HIDDEN),
    ("role", &ROLE),
    ("tool_calls", &TOOL_CALLS),
]);

static TOOL_CALLS: Shown = Shown::list(&Shown::members(&[
    ("function", &Shown::members(&[("arguments", &HIDDEN), ("name", &HIDDEN)])),
    ("id", &HIDDEN),
    ("index", &COUNT),
    ("type", &KIND),
]));

/// Of a message that Anthropic's API begins, Ollama's, or of an error that has it as its text.
static MESSAGE: Shown = Shown::members(&[
    ("content", &HIDDEN),
    ("id", &HIDDEN),
    ("model", &HIDDEN),
    ("role", &ROLE),
    ("stop_reason", &REASON),
    ("stop_sequence", &HIDDEN),
    ("thinking", &HIDDEN),
    ("tool_calls", &HIDDEN),
    ("type", &KIND),
    ("usage", &USAGE),
]);

static DELTA: Shown = Shown::members(&[
    ("partial_json", &HIDDEN),
    ("signature", &HIDDEN),
    ("stop_reason", &REASON),
    ("stop_sequence", &HIDDEN),
    ("text", &HIDDEN),
    ("thinking", &HIDDEN),
    ("type", &KIND),
]);

static RESPONSE: Shown = Shown::members(&[
    ("created_at", &HIDDEN),
    ("error", &ERROR),
    ("id", &HIDDEN),
    ("incomplete_details", &Shown::members(&[("reason", &REASON)])),
    ("model", &HIDDEN),
    ("object", &Shown::words(&[OBJECTS])),
    ("output", &Shown::list(&ITEM)),
    ("status", &STATUS),
    ("usage", &USAGE),
]);

static ITEM: Shown = Shown::members(&[
    ("arguments", &HIDDEN),
    ("call_id", &HIDDEN),
    ("content", &Shown::list(&PART)),
    ("id", &HIDDEN),
    ("name", &HIDDEN),
    ("role", &ROLE),
    ("status", &STATUS),
    ("type", &KIND),
]);

static PART: Shown = Shown::members(&[
    ("annotations", &HIDDEN),
    ("id", &HIDDEN),
    ("input", &HIDDEN),
    ("logprobs", &HIDDEN),
    ("name", &HIDDEN),
    ("text", &HIDDEN),
    ("thinking", &HIDDEN),
    ("type", &KIND),
]);

/// The value of an `error` member, or of a field line `error`.
pub static ERROR: Shown = Shown::members(&[
    ("code", &CODE),
    ("message", &HIDDEN),
    ("param", &HIDDEN),
    ("status", &CODE),
    ("type", &Shown::words(&[ERRORS])),
]);

static TOKEN: Shown = Shown::members(&[
    ("id", &HIDDEN),
    ("logprob", &HIDDEN),
    ("special", &HIDDEN),
    ("text", &HIDDEN),
]);

static TGI_DETAILS: Shown = Shown::members(&[
    ("finish_reason", &REASON),
    ("generated_tokens", &COUNT),
    ("input_length", &COUNT),
    ("prefill", &HIDDEN),
    ("seed", &HIDDEN),
    ("tokens", &HIDDEN),
]);

static TIMINGS: Shown =
    Shown::members(&[("cache_n", &COUNT), ("predicted_n", &COUNT), ("prompt_n", &COUNT)]);

static USAGE: Shown = Shown::members(&[
    ("cache_creation_input_tokens", &COUNT),
    ("cache_read_input_tokens", &COUNT),
    ("completion_tokens", &COUNT),
    ("completion_tokens_details", &Shown::members(&[("reasoning_tokens", &COUNT)])),
    ("input_tokens", &COUNT),
    ("input_tokens_details", &Shown::members(&[("cached_tokens", &COUNT)])),
    ("output_tokens", &COUNT),
    ("output_tokens_details", &Shown::members(&[("reasoning_tokens", &COUNT)])),
    ("prompt_tokens", &COUNT),
    ("prompt_tokens_details", &Shown::members(&[("cached_tokens", &COUNT)])),
    ("total_tokens", &COUNT),
]);

/// Names of events, and what `type` says of one.
const EVENTS: &[&str] = &[
    "content_block_delta",
    "content_block_start",
    "content_block_stop",
    "error",
    "keepalive",
    "message",
    "message_delta",
    "message_start",
    "message_stop",
    "ping",
    "response.completed",
    "response.content_part.added",
    "response.content_part.done",
    "response.created",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    "response.failed",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.in_progress",
    "response.incomplete",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.annotation.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.queued",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_text.delta",
    "response.reasoning_text.done",
    "response.refusal.delta",
    "response.refusal.done",
    "transcript.text.delta",
    "transcript.text.done",
];

const OBJECTS: &[&str] =
    &["chat.completion", "chat.completion.chunk", "error", "list", "response", "text_completion"];

const KINDS: &[&str] = &[
    "custom_tool_call",
    "function",
    "function_call",
    "input_json_delta",
    "message",
    "output_text",
    "reasoning",
    "reasoning_text",
    "redacted_thinking",
    "refusal",
    "signature_delta",
    "summary_text",
    "text",
    "text_delta",
    "thinking",
    "thinking_delta",
    "tool_use",
];

const ROLES: &[&str] = &["assistant", "developer", "system", "tool", "user"];

const STATES: &[&str] =
    &["cancelled", "completed", "failed", "in_progress", "incomplete", "queued"];

const REASONS: &[&str] = &[
    "abort",
    "content_filter",
    "end_turn",
    "eos_token",
    "error",
    "function_call",
    "length",
    "load",
    "max_output_tokens",
    "max_tokens",
    "model_context_window_exceeded",
    "pause_turn",
    "refusal",
    "stop",
    "stop_sequence",
    "tool_calls",
    "tool_use",
    "unload",
];

/// Types and codes of errors.
const ERRORS: &[&str] = &[
    "BadRequestError",
    "InternalServerError",
    "api_error",
    "authentication_error",
    "billing_error",
    "content_filter",
    "content_policy_violation",
    "context_length_exceeded",
    "error",
    "exceed_context_size_error",
    "generation",
    "incomplete_generation",
    "insufficient_quota",
    "internal_error",
    "invalid_prompt",
    "invalid_request_error",
    "model_not_found",
    "not_found_error",
    "overloaded",
    "overloaded_error",
    "permission_error",
    "rate_limit_error",
    "rate_limit_exceeded",
    "request_too_large",
    "server_error",
    "server_is_overloaded",
    "timeout_error",
    "too_many_requests",
    "unavailable_error",
    "upstream_error",
    "validation",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::mask::tests::documented;

    /// The places below `shape` that may show a word and those that may show a count.
    fn leaves(shape: &Shown, path: &str, words: &mut Vec<String>, counts: &mut Vec<String>) {
        if !shape.words.is_empty() {
            words.push(path.to_owned());
        }
        if shape.counts {
            counts.push(path.to_owned());
        }
        for (name, shape) in shape.members {
            let dot = if path.is_empty() { "" } else { "." };
            leaves(shape, &format!("{path}{dot}{name}"), words, counts);
        }
        if let Some(items) = shape.items {
            leaves(items, &format!("{path}[]"), words, counts);
        }
    }

    #[test]
    fn what_is_shown_is_documented() {
        let (mut words, mut counts) = (Vec::new(), Vec::new());
        leaves(&ROOT, "", &mut words, &mut counts);
        words.sort();
        counts.sort();
        let [documented_words, documented_counts] = documented();
        assert_eq!(documented_words, words, "{}", words.join(" "));
        assert_eq!(documented_counts, counts, "{}", counts.join(" "));
    }
}
