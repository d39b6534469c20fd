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

mod chat;
mod documents;
mod errors;
mod events;
mod from_messages;
mod from_responses;
mod leg;
mod members;
mod pair;
mod raw;
mod reasons;
pub mod rules;
mod template;
mod to_gemini;
mod to_kserve;
mod to_messages;
mod to_ollama;
mod to_tgi;
mod to_triton;
mod translator;
mod tree;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

use self::events::StreamPart;
use self::tree::Numbers;

pub use self::errors::kind_of;
pub use self::events::EVENT_BYTES_MAX;
pub use self::pair::Pair;
pub use self::translator::Translator;

/// What the translation of an answer must know of its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memo {
    /// The model that the client asked for, by its own name.
    pub model: String,
    /// `stream_options.include_usage`
    pub include_usage: bool,
    /// The sequences at which the client wants the text to stop.
    pub stop: Vec<String>,
    /// How many choices the answer is to have; 0, as 1: one.
    pub choices: u64,
    /// Whether it is to tell how likely its tokens were.
    pub logprobs: bool,
    /// The tensor with the answer, if the configuration names it.
    pub output: Option<String>,
    /// Members of the request that stand in the answer again, as they are written there.
    pub echo: String,
}

/// The tensors of a server that is asked in those, by their names. `None`: as its dialect has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorNames {
    /// With the prompt.
    pub input: Option<String>,
    /// With the answer.
    pub output: Option<String>,
}

/// A request that is being written, from leg to leg.
#[derive(Debug, Default)]
struct Asking<'m> {
    /// What the server is asked for in place of the client's model.
    instead: Option<&'m str>,
    tensors: TensorNames,
    stream: bool,
    memo: Memo,
    /// How the numbers of the request are written.
    numbers: Numbers,
}

impl Asking<'_> {
    /// The model that the server is asked for, where the request names `asked`.
    fn model(&mut self, asked: String) -> String {
        let model = self.instead.map_or_else(|| asked.clone(), str::to_owned);
        if self.memo.model.is_empty() {
            self.memo.model = asked;
        }
        model
    }
}

/// A request in the server's dialect.
#[derive(Clone, Debug)]
pub struct Translated {
    pub body: Vec<u8>,
    /// What the server is asked for.
    pub model: String,
    /// Whether a stream is asked for.
    pub stream: bool,
    pub memo: Memo,
}

/// What the translation of an answer has to know besides the answer.
#[derive(Clone, Debug, Default)]
pub struct AnswerContext {
    pub memo: Memo,
    /// Unix seconds.
    pub created: u64,
    /// What is unique to the exchange, for ids that the server does not give.
    pub id: String,
}

/// Tells one stream in another dialect, part by part.
trait Teller: fmt::Debug {
    /// Takes the next part, and writes what can be told. Returns the text of a delta that says nothing else:
    /// the inside of a JSON string, as it lies in the part.
    fn part<'e>(
        &mut self,
        part: StreamPart<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer>;

    /// Takes another text of the kind that [`Teller::part`] has returned last, and tells it. `false`: it has
    /// not, because something else would have to be told before.
    fn again(&mut self, _: &str, _: &mut Vec<u8>) -> Result<bool, BadAnswer> {
        Ok(false)
    }

    /// The server's body is complete. A stream that was not finished by its model is an error.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer>;
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

    /// The same in the client's words: `names` has what a member is called by the client and on the way.
    fn renamed(mut self, names: &[(&str, &str)]) -> Untranslatable {
        if let Some((client, _)) = names.iter().find(|(_, on_the_way)| *on_the_way == self.field) {
            self.field = (*client).to_owned();
        }
        self
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

/// What becomes of the members of a request, step by step.
pub fn tables(pair: Pair) -> impl Iterator<Item = &'static [&'static rules::ObjectRules]> {
    [pair.leg_from(), pair.leg_to()].into_iter().flatten().map(leg::Leg::rules)
}

/// Writes a request in the server's dialect. `model`: what the server is asked for in place of the
/// client's model.
pub fn request(pair: Pair, body: &[u8], model: Option<&str>) -> Result<Translated, Untranslatable> {
    request_in(pair, body, model, &TensorNames::default())
}

/// The same for a server that is asked in tensors with these names.
pub fn request_in(
    pair: Pair,
    body: &[u8],
    model: Option<&str>,
    tensors: &TensorNames,
) -> Result<Translated, Untranslatable> {
    let tensors = tensors.clone();
    let mut asking = Asking { instead: model, tensors, ..Asking::default() };
    let mut request = asking.numbers.parse(tree::without_mark(body)).map_err(|error| {
        Untranslatable::new("", &format!("is no JSON that can be read: {error}"))
    })?;
    if let (Some(model), Some(members)) = (model, request.as_object_mut()) {
        // One that names none gets that of its upstream, or of its path.
        members.entry("model").or_insert_with(|| model.into());
    }
    let asked = request.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    for leg in [pair.leg_from(), pair.leg_to()].into_iter().flatten() {
        let asked = leg.ask(request, &mut asking).map_err(|refused| match pair.leg_from() {
            Some(from) if from != leg => refused.renamed(from.client_names()),
            _ => refused,
        });
        request = Value::Object(asked?);
    }
    let mut body = Vec::new();
    asking.numbers.write(&request, &mut body);
    let model = model.map_or(asked, str::to_owned);
    Ok(Translated { body, model, stream: asking.stream, memo: asking.memo })
}
