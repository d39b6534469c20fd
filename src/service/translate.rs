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

mod ask_chat;
mod ask_messages;
mod documents;
mod errors;
mod events;
mod members;
mod raw;
mod reasons;
pub mod rules;
mod tell_chat;
mod tell_messages;
mod template;
mod tree;

#[cfg(test)]
mod tests;

use std::fmt;

use self::documents::DocumentContext;
use self::events::EventReader;
use self::tell_chat::ChatTeller;
use self::tell_messages::MessagesTeller;
use super::Dialect;

pub use self::errors::kind_of;
pub use self::events::EVENT_BYTES_MAX;

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

    /// Whether the server reads its key in `x-api-key`, and not in `Authorization`.
    pub fn wants_bare_key(self) -> bool {
        self.served() == Dialect::Anthropic
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

impl Untranslatable {
    fn new(field: &str, why: &str) -> Untranslatable {
        Untranslatable { field: field.to_owned(), why: why.to_owned() }
    }

    /// Of a member `name` of what stands at `at`.
    fn member(at: &str, name: &str, why: &str) -> Untranslatable {
        let field = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        Untranslatable { field, why: why.to_owned() }
    }
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
    let asked = tree::parse(body).map_err(|error| {
        Untranslatable::new("", &format!("is no JSON that can be read: {error}"))
    })?;
    match pair {
        Pair::ChatToMessages => ask_messages::translate(asked, model),
        Pair::MessagesToChat => ask_chat::translate(asked, model),
    }
}

/// Translates one answer.
#[derive(Debug)]
pub struct Translator {
    form: Form,
    /// Why nothing more is written.
    failed: Option<BadAnswer>,
}

#[derive(Debug)]
enum Form {
    Chat(EventReader, Box<ChatTeller>),
    Messages(EventReader, Box<MessagesTeller>),
    Document { context: Box<DocumentContext>, body: Vec<u8>, bytes_max: usize },
}

impl Translator {
    /// Of an event stream. `created`: Unix seconds; `id`: what is unique to the exchange, for ids that
    /// the server does not give.
    pub fn of_stream(pair: Pair, memo: &Memo, created: u64, id: &str) -> Translator {
        let events = EventReader::default();
        let form = match pair.asked() {
            Dialect::Anthropic => Form::Messages(events, Box::new(MessagesTeller::new(memo, id))),
            _ => Form::Chat(events, Box::new(ChatTeller::new(memo, created, id))),
        };
        Translator { form, failed: None }
    }

    /// Of a document with this status, of at most `bytes_max` bytes: an answer, or an error. It is
    /// written at its end.
    pub fn of_document(
        pair: Pair,
        memo: &Memo,
        status: u16,
        created: u64,
        id: &str,
        bytes_max: usize,
    ) -> Translator {
        let (memo, id) = (memo.clone(), id.to_owned());
        let context = Box::new(DocumentContext { pair, memo, status, created, id });
        let form = Form::Document { context, body: Vec::new(), bytes_max };
        Translator { form, failed: None }
    }

    /// Takes the next bytes of the body, and writes the events that have become whole. Behind an error
    /// it fails for good; what was written before it stands.
    pub fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let fed = match &mut self.form {
            Form::Chat(events, teller) => events.feed(payload, |part| teller.part(part, out)),
            Form::Messages(events, teller) => events.feed(payload, |part| teller.part(part, out)),
            Form::Document { body, bytes_max, .. } if body.len() + payload.len() > *bytes_max => {
                Err(BadAnswer::TooLong(*bytes_max))
            }
            Form::Document { body, .. } => {
                body.extend_from_slice(payload);
                Ok(())
            }
        };
        self.noting(fed)
    }

    /// The server's body is complete. A stream that was not finished by its model is an error.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let ended = match &mut self.form {
            Form::Chat(_, teller) => teller.end(out),
            Form::Messages(_, teller) => teller.end(out),
            Form::Document { context, body, .. } => documents::translate(context, body)
                .map(|document| out.extend_from_slice(document.to_string().as_bytes())),
        };
        self.noting(ended)
    }

    fn noting(&mut self, result: Result<(), BadAnswer>) -> Result<(), BadAnswer> {
        if let Err(failed) = &result {
            self.failed = Some(failed.clone());
        }
        result
    }

    pub fn is_stream(&self) -> bool {
        !matches!(self.form, Form::Document { .. })
    }

    /// The media type of what is written.
    pub fn content_type(&self) -> &'static str {
        match &self.form {
            Form::Chat(..) => Dialect::OpenAiChat.stream_type(),
            Form::Messages(..) => Dialect::Anthropic.stream_type(),
            Form::Document { .. } => "application/json",
        }
    }
}
