//! Why a server refused a request with a 400: because the prompt is too long for its context, or
//! because of what it says. Neither is mended by asking the same model again.
//!
//! Codes are compared where servers have them, sentences where they have not. Each was seen in a
//! real answer; `docs/services.md` names the places.

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The prompt, or prompt and answer together, do not fit into the model's context.
    ContextLength,
    /// A filter objects to the content.
    ContentPolicy,
    Other,
}

/// What of a body is looked at.
pub const BYTES_MAX: usize = 8 * 1024;

/// In lower case.
const CONTEXT_LENGTH: &[&str] = &[
    // Codes: OpenAI and those who follow it; llama.cpp.
    "context_length_exceeded",
    "exceed_context_size_error",
    // OpenAI, vLLM.
    "maximum context length",
    // OpenAI's Responses.
    "input tokens exceed the configured limit",
    // vLLM.
    "longer than the maximum model length",
    "is too long to fit into the model",
    // llama.cpp before it had a code.
    "exceeds the available context size",
    // llama-cpp-python.
    "exceed context window",
    // SGLang.
    "longer than the model's context length",
    "exceeds the maximum allowed length",
    // Anthropic.
    "prompt is too long",
    "exceed context limit",
    // TGI.
    "`inputs` tokens + `max_new_tokens` must be <=",
    "`inputs` must have less than",
    // Gemini.
    "exceeds the maximum number of tokens allowed",
    // Bedrock.
    "input is too long for",
];
const CONTENT_POLICY: &[&str] = &[
    // Codes: Azure outside and inside, OpenAI.
    "\"content_filter\"",
    "responsibleaipolicyviolation",
    "content_policy_violation",
    // Azure.
    "content management policy",
    // OpenAI.
    "as a result of our safety system",
    // Anthropic.
    "blocked by content filtering policy",
];

/// Reads the error that the events which were held back of a stream end with, without the framing
/// of their message. What came before it, and what stands beside it, may repeat the client's words.
pub fn refusal_of_stream(held: &[u8]) -> Refusal {
    let blanks = memchr::memmem::find_iter(held, b"\n\n").map(|at| at + 2);
    let blanks = blanks.chain(memchr::memmem::find_iter(held, b"\r\n\r\n").map(|at| at + 4));
    let blanks = blanks.chain(memchr::memmem::find_iter(held, b"}\n{").map(|at| at + 2));
    let fails = |at: &usize| memchr::memmem::find(&held[*at..], b"error").is_some();
    // The last place from which on there is an error.
    let start = blanks.filter(fails).max().unwrap_or(0);
    let event = &held[start..];
    refusal_in(member_error(event).unwrap_or(event))
}

/// The value of the first member `error` that has one. `None`: the event itself is the error.
fn member_error(event: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"\"error\"";
    let mut values = memchr::memmem::find_iter(event, NAME).filter_map(|at| {
        let value = event[at + NAME.len()..].trim_ascii_start().strip_prefix(b":")?;
        Some(value.trim_ascii_start())
    });
    values.find(|value| !value.starts_with(b"null")).map(|value| &value[..end_of(value)])
}

/// How long the object, the list or the string is that `text` begins with. One that breaks off, or
/// is something else, goes to the end.
fn end_of(text: &[u8]) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 && !quoted {
            return at + 1;
        }
    }
    text.len()
}

/// Reads the beginning of an answer with `status`.
pub fn refusal(status: u16, body: &[u8]) -> Refusal {
    match status {
        400 | 413 | 422 => refusal_in(body),
        _ => Refusal::Other,
    }
}

/// Reads the words of a refusal, whatever they came with.
pub fn refusal_in(body: &[u8]) -> Refusal {
    let body = &body[..body.len().min(BYTES_MAX)];
    // FastAPI repeats the request in its complaints: those are the client's words.
    let end = memchr::memmem::find(body, b"\"input\":").unwrap_or(body.len());
    let body = body[..end].to_ascii_lowercase();
    let says = |phrases: &[&str]| {
        phrases.iter().any(|phrase| memchr::memmem::find(&body, phrase.as_bytes()).is_some())
    };
    if says(CONTEXT_LENGTH) {
        Refusal::ContextLength
    } else if says(CONTENT_POLICY) {
        Refusal::ContentPolicy
    } else {
        Refusal::Other
    }
}
