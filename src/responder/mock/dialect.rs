//! The two OpenAI dialects, byte by byte: events of a stream, and the answer in one piece.
//!
//! Everything but a token's text is fixed when the stream begins, so an event is a concatenation:
//! one allocation of the exact size, no serialiser, no escaping. `serde_json` appears where a
//! string comes from outside.

use bytes::Bytes;
use serde_json::Value;

use super::text::{Script, Shape, Token};
use crate::clock::Instant;

pub(super) const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");
pub(super) const COMMENT: Bytes = Bytes::from_static(b": ping\n\n");
pub(super) const ERROR_EVENT: Bytes = Bytes::from_static(
    b"data: {\"error\":{\"message\":\"The mock was asked to fail here.\",\
      \"type\":\"server_error\",\"param\":null,\"code\":\"injected_fault\"}}\n\n",
);

/// Which of OpenAI's two shapes an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
}

/// Why the text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Usage {
    fn json(self) -> String {
        let Usage { prompt_tokens, completion_tokens } = self;
        let total = prompt_tokens.saturating_add(completion_tokens);
        format!(
            r#"{{"prompt_tokens":{prompt_tokens},"completion_tokens":{completion_tokens},"total_tokens":{total}}}"#
        )
    }
}

/// What tells one answer from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    pub serial: u64,
    /// Unix seconds.
    pub created: u64,
    pub model: &'a str,
}

impl Identity<'_> {
    /// The leading members of an object, without its braces.
    fn members(&self, id_prefix: &str, object: &str) -> String {
        let Identity { serial, created, model } = self;
        // `Value`'s Display is JSON, escaped.
        let model = Value::from(*model);
        format!(
            r#""id":"{id_prefix}-{serial:016x}","object":"{object}","created":{created},"model":{model},"system_fingerprint":"fp_mock""#
        )
    }
}

/// What all events of one stream have in common.
#[derive(Debug)]
pub(super) struct Envelope {
    dialect: Dialect,
    /// Whether the request asked for a usage event; the others then carry `"usage":null`.
    with_usage: bool,
    /// `data: {"id":…,"choices":[`
    opening: Box<[u8]>,
}

impl Envelope {
    pub fn new(dialect: Dialect, identity: &Identity<'_>, with_usage: bool) -> Envelope {
        let members = match dialect {
            Dialect::Chat => identity.members("chatcmpl", "chat.completion.chunk"),
            Dialect::Completions => identity.members("cmpl", "text_completion"),
        };
        let opening = format!(r#"data: {{{members},"choices":["#).into_bytes().into();
        Envelope { dialect, with_usage, opening }
    }

    pub fn with_usage(&self) -> bool {
        self.with_usage
    }

    /// Who speaks. Completions have no such event.
    pub fn role(&self) -> Option<Bytes> {
        const ROLE: &[u8] = br#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#;
        (self.dialect == Dialect::Chat).then(|| self.event(&[ROLE]))
    }

    pub fn token(&self, token: &Token) -> Bytes {
        let (before, after) = self.around_text();
        self.event(&[before, token.stamp(), token.words, after])
    }

    /// A token's event that breaks off inside its string: an event to SSE, no JSON to anyone.
    pub fn malformed(&self, token: &Token) -> Bytes {
        let (before, _) = self.around_text();
        Bytes::from([&self.opening, before, token.stamp(), token.words, b"\n\n"].concat())
    }

    pub fn finish(&self, finish: Finish) -> Bytes {
        let content = match self.dialect {
            Dialect::Chat => r#""delta":{}"#,
            Dialect::Completions => r#""text":"""#,
        };
        let reason = finish.name();
        let choice =
            format!(r#"{{"index":0,{content},"logprobs":null,"finish_reason":"{reason}"}}"#);
        self.event(&[choice.as_bytes()])
    }

    pub fn usage(&self, usage: Usage) -> Bytes {
        let closing = format!("],\"usage\":{}}}\n\n", usage.json());
        Bytes::from([&self.opening, closing.as_bytes()].concat())
    }

    fn around_text(&self) -> (&'static [u8], &'static [u8]) {
        match self.dialect {
            Dialect::Chat => (
                br#"{"index":0,"delta":{"content":""#,
                br#""},"logprobs":null,"finish_reason":null}"#,
            ),
            Dialect::Completions => {
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
pub(super) struct Whole {
    pub body: Bytes,
    /// Where the text begins in `body`.
    pub text_at: usize,
}

impl Whole {
    /// `token_bytes` as in the settings. The caller has bounded the text.
    pub fn new(
        dialect: Dialect,
        identity: &Identity<'_>,
        usage: Usage,
        finish: Finish,
        token_bytes: Option<u32>,
    ) -> Whole {
        let (members, before, after) = match dialect {
            Dialect::Chat => (
                identity.members("chatcmpl", "chat.completion"),
                r#""message":{"role":"assistant","content":""#,
                r#"","refusal":null}"#,
            ),
            Dialect::Completions => {
                (identity.members("cmpl", "text_completion"), r#""text":""#, "\"")
            }
        };
        let mut body = format!(r#"{{{members},"choices":[{{"index":0,{before}"#).into_bytes();
        let text_at = body.len();
        let shape = Shape { bytes: token_bytes, stamp: false };
        for index in 0..usage.completion_tokens {
            let token = Token::new(Script::Flow, shape, index, Instant::ZERO);
            body.extend_from_slice(token.words);
        }
        let (reason, usage) = (finish.name(), usage.json());
        let closing =
            format!(r#"{after},"logprobs":null,"finish_reason":"{reason}"}}],"usage":{usage}}}"#);
        body.extend_from_slice(closing.as_bytes());
        Whole { body: Bytes::from(body), text_at }
    }
}
