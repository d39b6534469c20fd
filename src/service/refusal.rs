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

/// Reads the error that the events which were held back of a stream end with. What came before it,
/// and what stands beside it, may repeat the client's words.
pub fn refusal_of_stream(held: &[u8]) -> Refusal {
    let blanks = memchr::memmem::find_iter(held, b"\n\n").map(|at| at + 2);
    let blanks = blanks.chain(memchr::memmem::find_iter(held, b"\r\n\r\n").map(|at| at + 4));
    let blanks = blanks.chain(memchr::memmem::find_iter(held, b"}\n{").map(|at| at + 2));
    let fails = |at: &usize| memchr::memmem::find(&held[*at..], b"error").is_some();
    // The last place from which on there is an error.
    let start = blanks.filter(fails).max().unwrap_or(0);
    let event = &held[start..];
    let error = memchr::memmem::find(event, b"\"error\"").map_or(event, |at| &event[at..]);
    let end = memchr::memchr(b'}', error).unwrap_or(error.len());
    refusal(400, &error[..end])
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
