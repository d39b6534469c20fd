//! A text that an answer names once: the model that answered, which need not be the one that was asked
//! for, or the id under which its server has stored it.
//!
//! Not part of the observer: the text is of no interest once it is known.
//!
//! | text | stands in |
//! |---|---|
//! | the model | an outermost `model`, or that of `message` or `response`, of a document or an event (Gemini: `modelVersion`, KServe and Triton: `model_name`) |
//! | the id of a stored response | the outermost `id` of a document, or that of `response` of either |
//!
//! * A stream is read line by line: an event's data begins with `data:`, a line of JSON with its
//!   brace. What is written over several lines is read as one text only where it is a document.
//! * No more than [`READ_MAX`] of a stream is read for it; a document is, to its end: an embedding
//!   names its model behind its numbers.

use crate::http::json::{Decoder, Found, ITEM, Walker, Word, Words};

/// A longer name is not kept.
pub const MODEL_BYTES_MAX: usize = 512;
/// Where a stream has not named it by then, it does not.
const READ_MAX: usize = 64 << 10;

static WORDS: Words = NAMES.skimming();
const NAMES: Words =
    Words::new(&["id", "message", "model", "modelVersion", "model_name", "response"]);
const ID: Word = NAMES.word("id");
const MESSAGE: Word = NAMES.word("message");
const MODEL: Word = NAMES.word("model");
const MODEL_NAME: Word = NAMES.word("model_name");
const MODEL_VERSION: Word = NAMES.word("modelVersion");
const RESPONSE: Word = NAMES.word("response");

const DATA: &[u8] = b"data:";

/// Which text is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sought {
    Model,
    StoredId,
}

impl Sought {
    /// Whether it stands here. `event`: in an event of a stream.
    fn is_at(self, path: &[Word], event: bool) -> bool {
        match self {
            // In a list (Gemini's) its first element names it.
            Sought::Model => matches!(
                path,
                [MODEL | MODEL_NAME | MODEL_VERSION]
                    | [MESSAGE | RESPONSE, MODEL]
                    | [ITEM, MODEL_VERSION]
            ),
            Sought::StoredId => *path == [RESPONSE, ID] || *path == [ID] && !event,
        }
    }
}

/// Reads an answer, a stream or a document, until it has named the text.
#[derive(Clone, Debug)]
pub struct AnswerText {
    sought: Sought,
    place: Place,
    walker: Walker,
    name: Vec<u8>,
    decoder: Decoder,
    read: usize,
    named: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the start of a line, behind so many bytes of `data:`.
    Line { matched: u8 },
    /// In JSON. `event`: it ends with its line.
    Json { event: bool },
    /// In a line, or the rest of one, that tells nothing.
    Other,
}

impl AnswerText {
    /// Looks for the name of the model.
    pub fn model() -> AnswerText {
        AnswerText::new(Sought::Model)
    }

    /// Looks for the id of a stored response.
    pub fn stored_id() -> AnswerText {
        AnswerText::new(Sought::StoredId)
    }

    fn new(sought: Sought) -> AnswerText {
        AnswerText {
            sought,
            place: Place::Line { matched: 0 },
            walker: Walker::new(),
            name: Vec::new(),
            decoder: Decoder::new(),
            read: 0,
            named: false,
        }
    }

    /// Whether nothing more will be found: the caller may stop feeding.
    pub fn is_settled(&self) -> bool {
        self.named || self.read > READ_MAX && self.place != Place::Json { event: false }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, data: &[u8]) {
        let mut rest = data;
        while !rest.is_empty() && !self.is_settled() {
            let taken = match self.place {
                Place::Line { matched } => self.line_start(rest[0], matched),
                Place::Other => {
                    let end = memchr::memchr2(b'\n', b'\r', rest);
                    if end.is_some() {
                        self.place = Place::Line { matched: 0 };
                    }
                    end.map_or(rest.len(), |end| end + 1)
                }
                Place::Json { event } => self.json(rest, event),
            };
            self.read = self.read.saturating_add(taken);
            rest = &rest[taken..];
        }
    }

    fn line_start(&mut self, byte: u8, matched: u8) -> usize {
        let data = usize::from(matched) == DATA.len();
        match byte {
            b'{' if data || matched == 0 => {
                self.place = Place::Json { event: data };
                self.walker = Walker::new();
                return 0;
            }
            b' ' if data || matched == 0 => {}
            b'\n' | b'\r' => self.place = Place::Line { matched: 0 },
            _ if DATA.get(usize::from(matched)) == Some(&byte) => {
                self.place = Place::Line { matched: matched + 1 };
            }
            _ => self.place = Place::Other,
        }
        1
    }

    /// Reads on to the end of the line.
    fn json(&mut self, rest: &[u8], event: bool) -> usize {
        let end = memchr::memchr2(b'\n', b'\r', rest);
        let line = &rest[..end.map_or(rest.len(), |end| end + 1)];
        let AnswerText { sought, walker, name, decoder, named, .. } = self;
        walker.feed(&WORDS, line, |path, _, found| match found {
            _ if *named || !sought.is_at(path, event) => {}
            Found::String => {
                name.clear();
                *decoder = Decoder::new();
            }
            Found::Text(text) => {
                decoder.push(text, |decoded| {
                    let fits = name.len() + decoded.len() <= MODEL_BYTES_MAX;
                    fits.then(|| name.extend_from_slice(decoded))
                });
            }
            Found::StringEnd(_) => *named = decoder.is_whole() && !name.is_empty(),
            _ => {}
        });
        if end.is_some() && (event || walker.is_over()) {
            self.place = Place::Line { matched: 0 };
        }
        line.len()
    }

    pub fn name(&self) -> Option<&str> {
        std::str::from_utf8(&self.name).ok().filter(|_| self.named)
    }
}
