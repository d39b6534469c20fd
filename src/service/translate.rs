//! From one dialect into another: the request on its way to a server, the answer on its way back.
//!
//! ```text
//!   client asks in A ──request──▶ server is asked in B          `request`, and a `Memo`
//!   client is told in A ◀──Translator── server answers in B     `feed`, `feed`, …, `end`
//! ```
//!
//! What becomes of each member is a table (`rules`), which the code obeys and `docs/translation.md`
//! shows: mapped, kept, lossy or refused. Nothing is dropped in silence.
//!
//! * Bytes in, bytes out: no sockets, no clock. Any cut of an answer gives the same translation.
//! * Only whole events are written, so that whoever writes between two feeds stands at a boundary.
//! * Bounded: an event or a document beyond its maximum is a [`BadAnswer`].
//! * A delta of text costs no allocation once the first of its stream has come.
//!
//! Absent on purpose: when to translate (the configuration says so), framing, and whether an answer
//! may be tried elsewhere.

use std::fmt;

use super::Dialect;

/// A pair of dialects: what the client asked in, and what the server is asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pair {
    /// The client speaks OpenAI chat, the server Anthropic messages.
    ChatToMessages,
    /// The client speaks Anthropic messages, the server OpenAI chat.
    MessagesToChat,
}

impl Pair {
    pub const ALL: [Pair; 2] = [Pair::ChatToMessages, Pair::MessagesToChat];

    /// `None`: nothing is to be translated, or nobody can.
    pub fn of(asked: Dialect, served: Dialect) -> Option<Pair> {
        Pair::ALL.into_iter().find(|pair| pair.asked() == asked && pair.served() == served)
    }

    /// What the client speaks.
    pub fn asked(self) -> Dialect {
        match self {
            Pair::ChatToMessages => Dialect::OpenAiChat,
            Pair::MessagesToChat => Dialect::Anthropic,
        }
    }

    /// What the server speaks.
    pub fn served(self) -> Dialect {
        match self {
            Pair::ChatToMessages => Dialect::Anthropic,
            Pair::MessagesToChat => Dialect::OpenAiChat,
        }
    }

    /// The path that the server is asked for, where the configuration names no other.
    pub fn path(self) -> &'static str {
        match self.served() {
            Dialect::Anthropic => "/v1/messages",
            _ => "/v1/chat/completions",
        }
    }

    /// A field that the server wants in a request: name and value.
    pub fn field(self) -> Option<(&'static str, &'static str)> {
        (self.served() == Dialect::Anthropic).then_some(("anthropic-version", "2023-06-01"))
    }

    /// Fields of the client's request that mean nothing to the server, in lower case.
    pub fn withheld_fields(self) -> &'static [&'static str] {
        match self.asked() {
            Dialect::Anthropic => &[
                "anthropic-version",
                "anthropic-beta",
                "anthropic-dangerous-direct-browser-access",
            ],
            _ => &["openai-organization", "openai-project", "openai-beta"],
        }
    }

    /// The status that the client is told, in place of the server's.
    pub fn status(self, status: u16) -> u16 {
        match (self, status) {
            // Anthropic's "overloaded", which HTTP does not know.
            (Pair::ChatToMessages, 529) => 503,
            _ => status,
        }
    }
}

/// What the translation of an answer must know of its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memo {
    /// The model that the client asked for, by its own name.
    pub model: String,
    /// `stream_options.include_usage`
    pub include_usage: bool,
    /// The sequences at which the client wants the text to stop.
    pub stop: Vec<String>,
}

/// A request in the server's dialect.
#[derive(Clone, Debug)]
pub struct Translated {
    pub body: Vec<u8>,
    /// Whether a stream is asked for.
    pub stream: bool,
    pub memo: Memo,
}

/// Why a request cannot be translated: it asks for something that the server's dialect cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untranslatable {
    /// The member to blame, such as `messages[3].content[0].type`. Empty: the body.
    pub field: String,
    /// What is wrong with it: the rest of a sentence.
    pub why: String,
}

impl fmt::Display for Untranslatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "The request body {}.", self.why),
            field => write!(f, "`{field}` {}.", self.why),
        }
    }
}

/// Why an answer cannot be translated. Behind one nothing more is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// It is no answer in the server's dialect: the rest of a sentence.
    Malformed(String),
    /// It says something that the client's dialect cannot: what, by its name.
    Unknown(String),
    /// An event or the document is longer than this many bytes.
    TooLong(usize),
    /// The stream ended before the model did.
    Unfinished,
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadAnswer::Malformed(why) => write!(f, "The answer {why}."),
            BadAnswer::Unknown(what) => {
                write!(f, "The answer has {what}, which cannot be translated.")
            }
            BadAnswer::TooLong(bytes) => {
                write!(f, "A part of the answer is longer than {bytes} bytes.")
            }
            BadAnswer::Unfinished => write!(f, "The answer ended before the model did."),
        }
    }
}

/// Writes a request in the server's dialect. `model`: what the server is asked for in place of the
/// client's model.
pub fn request(pair: Pair, body: &[u8], model: Option<&str>) -> Result<Translated, Untranslatable> {
    let _ = (pair, body, model);
    Err(Untranslatable { field: String::new(), why: "cannot be translated".into() })
}

/// Translates one answer.
#[derive(Debug)]
pub struct Translator {
    pair: Pair,
    stream: bool,
}

impl Translator {
    /// Of an event stream. `created`: Unix seconds; `id`: what is unique to the exchange, for ids that
    /// the server does not give.
    pub fn of_stream(pair: Pair, memo: &Memo, created: u64, id: &str) -> Translator {
        let _ = (memo, created, id);
        Translator { pair, stream: true }
    }

    /// Of a document with this status, of at most `bytes_max` bytes: an answer, or an error.
    pub fn of_document(
        pair: Pair,
        memo: &Memo,
        status: u16,
        created: u64,
        id: &str,
        bytes_max: usize,
    ) -> Translator {
        let _ = (memo, status, created, id, bytes_max);
        Translator { pair, stream: false }
    }

    /// Takes the next bytes of the body, and writes what has become whole.
    pub fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let _ = (payload, out, self.pair);
        Err(BadAnswer::Unfinished)
    }

    /// The server's body is complete.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let _ = out;
        Err(BadAnswer::Unfinished)
    }

    pub fn is_stream(&self) -> bool {
        self.stream
    }

    /// The media type of what is written.
    pub fn content_type(&self) -> &'static str {
        match self.stream {
            true => self.pair.asked().stream_type(),
            false => "application/json",
        }
    }
}

/// Writes an error in the words of a dialect.
pub fn error_document(dialect: Dialect, status: u16, code: &str, message: &str, out: &mut Vec<u8>) {
    let _ = (dialect, status, code, message, out);
}
