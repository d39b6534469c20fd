//! The two older OpenAI dialects, byte by byte: events of a stream, and the answer in one piece.
//!
//! Everything but a token's text is fixed when the stream begins, so an event is a concatenation:
//! one allocation of the exact size, no serialiser, no escaping. `serde_json` appears where a
//! string comes from outside; text that a caller gives is the inside of a JSON string already.

use bytes::Bytes;
use serde_json::{Value, json};

/// Ends every stream.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// Which of the two shapes an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
}

/// Why the text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    Stop,
    /// The request's own bound came first.
    Length,
}

impl Finish {
    fn name(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
        }
    }
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Cost {
    fn json(self) -> String {
        let Cost { prompt_tokens, completion_tokens } = self;
        let total = prompt_tokens.saturating_add(completion_tokens);
        format!(
            r#"{{"prompt_tokens":{prompt_tokens},"completion_tokens":{completion_tokens},"total_tokens":{total}}}"#
        )
    }
}

/// What tells one answer from another.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    pub serial: u64,
    /// Unix seconds.
    pub created: u64,
    pub model: &'a str,
    /// `system_fingerprint`: who made the answer up. Holds nothing that JSON would have to escape.
    pub fingerprint: &'static str,
}

impl Identity<'_> {
    /// The leading members of an object, without its braces.
    fn members(&self, id_prefix: &str, object: &str) -> String {
        let Identity { serial, created, model, fingerprint } = self;
        // `Value`'s Display is JSON, escaped.
        let model = Value::from(*model);
        format!(
            r#""id":"{id_prefix}-{serial:016x}","object":"{object}","created":{created},"model":{model},"system_fingerprint":"{fingerprint}""#
        )
    }
}

/// What all events of one stream have in common.
#[derive(Debug)]
pub struct Envelope {
    shape: Shape,
    /// Whether the request asked for a usage event; the others then carry `"usage":null`.
    with_usage: bool,
    /// `data: {"id":…,"choices":[`
    opening: Box<[u8]>,
}

impl Envelope {
    pub fn new(shape: Shape, identity: &Identity<'_>, with_usage: bool) -> Envelope {
        let members = match shape {
            Shape::Chat => identity.members("chatcmpl", "chat.completion.chunk"),
            Shape::Completions => identity.members("cmpl", "text_completion"),
        };
        let opening = format!(r#"data: {{{members},"choices":["#).into_bytes().into();
        Envelope { shape, with_usage, opening }
    }

    pub fn with_usage(&self) -> bool {
        self.with_usage
    }

    /// Who speaks. Completions have no such event.
    pub fn role(&self) -> Option<Bytes> {
        const ROLE: &[u8] = br#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#;
        (self.shape == Shape::Chat).then(|| self.event(&[ROLE]))
    }

    /// Some text, in two parts.
    pub fn text(&self, text: [&[u8]; 2]) -> Bytes {
        let (before, after) = self.around_text();
        self.event(&[before, text[0], text[1], after])
    }

    /// An event with text that breaks off inside its string: an event to SSE, no JSON to anyone.
    pub fn malformed(&self, text: [&[u8]; 2]) -> Bytes {
        let (before, _) = self.around_text();
        Bytes::from([&self.opening, before, text[0], text[1], b"\n\n"].concat())
    }

    pub fn finish(&self, finish: Finish) -> Bytes {
        let content = match self.shape {
            Shape::Chat => r#""delta":{}"#,
            Shape::Completions => r#""text":"""#,
        };
        let reason = finish.name();
        let choice =
            format!(r#"{{"index":0,{content},"logprobs":null,"finish_reason":"{reason}"}}"#);
        self.event(&[choice.as_bytes()])
    }

    pub fn usage(&self, cost: Cost) -> Bytes {
        let closing = format!("],\"usage\":{}}}\n\n", cost.json());
        Bytes::from([&self.opening, closing.as_bytes()].concat())
    }

    fn around_text(&self) -> (&'static [u8], &'static [u8]) {
        match self.shape {
            Shape::Chat => (
                br#"{"index":0,"delta":{"content":""#,
                br#""},"logprobs":null,"finish_reason":null}"#,
            ),
            Shape::Completions => {
                (br#"{"index":0,"text":""#, br#"","logprobs":null,"finish_reason":null}"#)
            }
        }
    }

    /// One event around a choice that is given in up to four pieces.
    fn event(&self, choice: &[&[u8]]) -> Bytes {
        let closing: &[u8] = if self.with_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" };
        let mut event = Vec::with_capacity(
            self.opening.len()
                + choice.iter().map(|piece| piece.len()).sum::<usize>()
                + closing.len(),
        );
        event.extend_from_slice(&self.opening);
        for piece in choice {
            event.extend_from_slice(piece);
        }
        event.extend_from_slice(closing);
        Bytes::from(event)
    }
}

/// An answer in one piece.
#[derive(Debug)]
pub struct Whole {
    pub body: Bytes,
    /// Where the text begins in `body`.
    pub text_at: usize,
}

impl Whole {
    /// The caller has bounded the text.
    pub fn new<'t>(
        shape: Shape,
        identity: &Identity<'_>,
        cost: Cost,
        finish: Finish,
        text: impl Iterator<Item = &'t [u8]>,
    ) -> Whole {
        let (members, before, after) = match shape {
            Shape::Chat => (
                identity.members("chatcmpl", "chat.completion"),
                r#""message":{"role":"assistant","content":""#,
                r#"","refusal":null}"#,
            ),
            Shape::Completions => {
                (identity.members("cmpl", "text_completion"), r#""text":""#, "\"")
            }
        };
        let mut body = format!(r#"{{{members},"choices":[{{"index":0,{before}"#).into_bytes();
        let text_at = body.len();
        text.for_each(|piece| body.extend_from_slice(piece));
        let (reason, usage) = (finish.name(), cost.json());
        let closing =
            format!(r#"{after},"logprobs":null,"finish_reason":"{reason}"}}],"usage":{usage}}}"#);
        body.extend_from_slice(closing.as_bytes());
        Whole { body: Bytes::from(body), text_at }
    }
}

/// OpenAI's error object.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    pub message: &'a str,
    pub kind: &'static str,
    /// The parameter to blame.
    pub param: Option<&'a str>,
    pub code: &'static str,
}

impl Failure<'_> {
    pub fn body(&self) -> Bytes {
        let Failure { message, kind, param, code } = self;
        let error = json!({ "message": message, "type": kind, "param": param, "code": code });
        Bytes::from(json!({ "error": error }).to_string())
    }
}

/// The class of error that OpenAI gives a status.
pub fn error_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    }
}
