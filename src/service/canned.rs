//! A predefined answer in the words of a dialect: what the caller's client takes for a model's.
//!
//! ```text
//!   opening ─▶ piece ─▶ piece … ─▶ closing          a stream, one `Bytes` each
//!   document                                        the same in one piece
//! ```
//!
//! Tokens are counted as zero: no model was asked. Text from the configuration goes into JSON only
//! through the escape.
//!
//! Absent on purpose: pace, status and fields, which are the responder's.

mod anthropic;
mod ollama;
mod responses;
mod tgi;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Dialect;
use super::openai::{self, Cost, Envelope, Failure, Finish, Identity, Shape, Whole};
use crate::http::json::escape;

/// What the caller asked for, as far as the form of its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub struct AnswerForm<'a> {
    pub dialect: Dialect,
    /// Without the query. Ollama's two paths answer in two shapes.
    pub path: &'a str,
    /// A stream, see [`Dialect::streams`].
    pub stream: bool,
    /// `stream_options.include_usage`
    pub include_usage: bool,
}

/// The answer in one piece.
#[derive(Clone, Debug)]
pub struct Document {
    pub content_type: &'static str,
    pub body: Bytes,
}

const JSON: &str = "application/json";

/// `text` as an answer in one piece.
pub fn document(asked: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> Document {
    let body = match asked.dialect {
        Dialect::OpenAiChat => openai_document(Shape::Chat, identity, text),
        Dialect::OpenAiCompletions => openai_document(Shape::Completions, identity, text),
        Dialect::OpenAiResponses => responses::document(identity, text),
        Dialect::Anthropic => anthropic::document(identity, text),
        Dialect::Tgi => tgi::document(text),
        Dialect::Ollama => ollama::document(asked.path, identity, text),
        Dialect::Gemini
        | Dialect::KServe
        | Dialect::Triton
        | Dialect::LlamaCpp
        | Dialect::Sglang
        | Dialect::Text
        | Dialect::Generic => {
            let body = Bytes::copy_from_slice(text.as_bytes());
            return Document { content_type: "text/plain; charset=utf-8", body };
        }
    };
    Document { content_type: JSON, body }
}

/// `text` as the reason of an error with `status`.
pub fn error_document(dialect: Dialect, status: u16, text: &str) -> Document {
    const CODE: &str = "degraded";
    let kind = openai::error_kind(status);
    let body = match dialect {
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiResponses
        | Dialect::Gemini
        | Dialect::KServe
        | Dialect::Triton
        | Dialect::LlamaCpp
        | Dialect::Sglang
        | Dialect::Text
        | Dialect::Generic => Failure { message: text, kind, param: None, code: CODE }.body(),
        Dialect::Anthropic => {
            let kind = match status {
                429 => kind,
                529 => "overloaded_error",
                _ if status < 500 => kind,
                _ => "api_error",
            };
            bytes_of(&json!({"type": "error", "error": {"type": kind, "message": text}}))
        }
        Dialect::Tgi => bytes_of(&json!({"error": text, "error_type": CODE})),
        Dialect::Ollama => bytes_of(&json!({"error": text})),
    };
    Document { content_type: JSON, body }
}

/// The pieces a text is streamed in: words, each with the white space behind it.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let space = rest[word..].find(|it: char| !it.is_whitespace());
        let (piece, behind) = rest.split_at(space.map_or(rest.len(), |space| word + space));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// One stream, as its dialect writes it.
#[derive(Debug)]
pub struct Voice(Form);

#[derive(Debug)]
enum Form {
    OpenAi(Envelope),
    Responses(responses::Stream),
    Anthropic(anthropic::Stream),
    Tgi,
    Ollama(ollama::Stream),
    Plain,
}

impl Voice {
    pub fn new(asked: &AnswerForm<'_>, identity: &Identity<'_>) -> Voice {
        let envelope = |shape| Form::OpenAi(Envelope::new(shape, identity, asked.include_usage));
        Voice(match asked.dialect {
            Dialect::OpenAiChat => envelope(Shape::Chat),
            Dialect::OpenAiCompletions => envelope(Shape::Completions),
            Dialect::OpenAiResponses => Form::Responses(responses::Stream::new(identity)),
            Dialect::Anthropic => Form::Anthropic(anthropic::Stream::new(identity)),
            Dialect::Tgi => Form::Tgi,
            Dialect::Ollama => Form::Ollama(ollama::Stream::new(asked.path, identity)),
            Dialect::Gemini
            | Dialect::KServe
            | Dialect::Triton
            | Dialect::LlamaCpp
            | Dialect::Sglang
            | Dialect::Text
            | Dialect::Generic => Form::Plain,
        })
    }

    pub fn content_type(&self) -> &'static str {
        match self.0 {
            Form::Plain => "text/plain; charset=utf-8",
            Form::Ollama(_) => Dialect::Ollama.stream_type(),
            _ => Dialect::OpenAiChat.stream_type(),
        }
    }

    /// What comes before the first piece.
    pub fn opening(&self) -> Option<Bytes> {
        match &self.0 {
            Form::OpenAi(envelope) => envelope.role(),
            Form::Responses(stream) => Some(stream.opening()),
            Form::Anthropic(stream) => Some(stream.opening()),
            Form::Tgi | Form::Ollama(_) | Form::Plain => None,
        }
    }

    /// Piece number `index`, counted from 0.
    pub fn piece(&self, index: u64, text: &str) -> Bytes {
        match &self.0 {
            Form::OpenAi(envelope) => {
                let mut inside = Vec::with_capacity(text.len());
                escape(text, &mut inside);
                envelope.text([&inside, b""])
            }
            Form::Responses(stream) => stream.piece(index, text),
            Form::Anthropic(stream) => stream.piece(text),
            Form::Tgi => tgi::piece(index, text),
            Form::Ollama(stream) => stream.piece(text),
            Form::Plain => Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    /// What comes behind the last of `pieces`, which together were `text`.
    pub fn closing(&self, pieces: u64, text: &str) -> Option<Bytes> {
        Some(match &self.0 {
            Form::OpenAi(envelope) => {
                let usage = envelope.with_usage().then(|| envelope.usage(Cost::default()));
                let finish = envelope.finish(Finish::Stop);
                Bytes::from([finish, usage.unwrap_or_default(), openai::DONE].concat())
            }
            Form::Responses(stream) => stream.closing(pieces, text),
            Form::Anthropic(stream) => stream.closing(),
            Form::Tgi => tgi::closing(pieces, text),
            Form::Ollama(stream) => stream.closing(),
            Form::Plain => return None,
        })
    }
}

fn openai_document(shape: Shape, identity: &Identity<'_>, text: &str) -> Bytes {
    let mut inside = Vec::with_capacity(text.len());
    escape(text, &mut inside);
    let text = std::iter::once(inside.as_slice());
    Whole::new(shape, identity, Cost::default(), Finish::Stop, text).body
}

fn bytes_of(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// A named event.
fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
