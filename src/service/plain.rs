//! An answer of an inference server, watched while it goes by.
//!
//! A stream can end cleanly in HTTP and be cut short all the same: the server crashed behind a
//! proxy that closed the chunked coding for it. Only the dialect's own marks tell. The observer
//! reads beside the relay and answers, at any moment: how many events, may a line of ours stand
//! here, has the server reported an error, what did the answer cost; and at the end: was it whole.
//!
//! * Any cut of the stream into pieces gives the same answers.
//! * A mark counts when its event has been dispatched, as it does for the client.
//! * The size is fixed; nothing is allocated, and nothing is kept of what was read.

use super::Dialect;
use super::dialects::StreamGrammar;
use super::marks::{Document, Marks};
use super::refusal::Blame;
use crate::http::ndjson::LineObserver;
use crate::http::sse::EventObserver;

pub use super::marks::counts::Usage;

/// How an answer ended that ended cleanly in HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Whole,
    /// The server reported an error in its stream: the client knows.
    Failed,
    /// The stream lacks its end, and no client can be sure to notice.
    Truncated(Truncation),
}

/// What is missing at the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    /// Everything: not one event came that says anything.
    NoEvents,
    /// The rest of an event.
    InsideEvent,
    /// The event that ends a stream of this dialect.
    NoEndMark,
}

/// Tokens of an answer, as far as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    pub tokens: u64,
    /// The server has not told how many the whole answer has: the events that said something stand for
    /// them, or the last count if that is more.
    pub estimated: bool,
}

impl Completion {
    /// Of an answer that nobody has watched, or that has not begun.
    pub const NONE: Completion = Completion { tokens: 0, estimated: true };
}

/// Follows one answer through any pieces it comes in.
#[derive(Clone, Debug)]
pub struct PlainObserver {
    grammar: Grammar,
    marks: Marks,
}

/// What lies between the bytes and the JSON.
#[derive(Clone, Debug)]
enum Grammar {
    Events(EventObserver),
    Lines(LineObserver),
    /// One JSON text, nothing else.
    Document(Document),
    /// Any text: its first letter is a part of the answer, and its end HTTP's.
    Text,
    /// Its first bytes will tell which of the others it is.
    Unsettled(Beginning),
    /// Nobody can read it.
    Opaque,
}

impl PlainObserver {
    /// For a stream, whose media type is [`Dialect::stream_type`], of a server that is expected to
    /// speak this dialect.
    pub fn of_stream(dialect: Dialect) -> PlainObserver {
        let grammar = match dialect.stream_grammar() {
            StreamGrammar::Lines => Grammar::Lines(LineObserver::new()),
            StreamGrammar::Events => Grammar::Events(EventObserver::new()),
            StreamGrammar::Text => Grammar::Text,
        };
        PlainObserver { grammar, marks: Marks::new(dialect) }
    }

    /// The same for an answer that is to have so many choices; `None`: nobody knows how many. Without
    /// `[DONE]` it is whole when each of them has ended, or each that has begun.
    pub fn expecting(mut self, choices: Option<u32>) -> PlainObserver {
        self.marks.expect_choices(choices);
        self
    }

    /// For an answer in one piece of JSON.
    pub fn of_document(dialect: Dialect) -> PlainObserver {
        let document = Grammar::Document(Document::new(true));
        PlainObserver { grammar: document, marks: Marks::new(dialect) }
    }

    /// For an answer that does not say, or not truly, what it is: a document, or an event stream under
    /// another's name. Its first bytes tell.
    /// `all`: somebody wants to know what a document says, and not only whether it has failed.
    pub fn of_answer(dialect: Dialect, all: bool) -> PlainObserver {
        let beginning = Grammar::Unsettled(Beginning { all, ..Beginning::default() });
        PlainObserver { grammar: beginning, marks: Marks::new(dialect) }
    }

    /// For an answer that cannot be read, such as one in a coding that nobody here decodes.
    pub fn of_nothing() -> PlainObserver {
        PlainObserver { grammar: Grammar::Opaque, marks: Marks::new(Dialect::Generic) }
    }

    /// The media type of what it watches.
    pub fn media_type(&self) -> &'static str {
        match &self.grammar {
            Grammar::Events(_) => "text/event-stream",
            Grammar::Lines(_) => "application/x-ndjson",
            Grammar::Document(_) => "application/json",
            Grammar::Text => "text/plain",
            Grammar::Unsettled(_) | Grammar::Opaque => "",
        }
    }

    /// Whether this is a stream of events; what may still become one is none yet.
    pub fn is_stream(&self) -> bool {
        matches!(self.grammar, Grammar::Events(_) | Grammar::Lines(_))
    }

    /// How far a stream has come, in data events; `None`: bytes tell how far this has.
    #[inline]
    pub fn progress(&self) -> Option<u64> {
        match &self.grammar {
            Grammar::Events(events) => Some(events.data_events()),
            Grammar::Lines(lines) => Some(lines.data_events()),
            Grammar::Unsettled(_) => Some(0),
            Grammar::Document(_) | Grammar::Text | Grammar::Opaque => None,
        }
    }

    /// Whether its first bytes have yet to tell what it is.
    pub fn is_unsettled(&self) -> bool {
        matches!(self.grammar, Grammar::Unsettled(_))
    }

    /// Whether whoever reads this cannot tell a whole answer from a broken one.
    pub fn is_blind(&self) -> bool {
        match &self.grammar {
            Grammar::Events(_) | Grammar::Lines(_) => self.marks.needs_no_end(),
            Grammar::Document(document) => document.is_read() && !self.marks.is_complete(),
            Grammar::Unsettled(_) => false,
            Grammar::Text | Grammar::Opaque => true,
        }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, data: &[u8]) {
        match &mut self.grammar {
            Grammar::Events(events) => events.feed_to(data, &mut self.marks),
            Grammar::Lines(lines) => lines.feed_to(data, &mut self.marks),
            Grammar::Document(document) => self.marks.read(document, data),
            Grammar::Unsettled(_) => self.learn_grammar(data),
            Grammar::Text => self.marks.read_text(data),
            Grammar::Opaque => {}
        }
    }

    /// Finds out what this is.
    #[inline(never)]
    fn learn_grammar(&mut self, data: &[u8]) {
        let Grammar::Unsettled(beginning) = &mut self.grammar else { return };
        let (taken, kind) = beginning.feed(data);
        let (read, all) = (beginning.read(), beginning.all);
        self.grammar = match kind {
            None => return,
            Some(Kind::Document) => Grammar::Document(Document::new(all)),
            Some(Kind::Events) => Grammar::Events(EventObserver::new()),
            Some(Kind::Other) => Grammar::Opaque,
        };
        if self.is_stream() {
            self.feed(read);
        }
        self.feed(&data[taken..]);
    }

    /// The dialect of the stream: the expected one until its first event that says something, and then
    /// only if that was one of the dialect's. Else it is generic.
    pub fn dialect(&self) -> Dialect {
        self.marks.dialect()
    }

    /// Whether a part of the answer has come: text, a tool call, and no mere sign of life. Of a generic
    /// stream, any data.
    pub fn saw_answer(&self) -> bool {
        self.marks.saw_answer()
    }

    /// Events so far that said something: a part of the answer, its end, an error.
    pub fn data_events(&self) -> u64 {
        match &self.grammar {
            Grammar::Events(events) => events.data_events(),
            Grammar::Lines(lines) => lines.data_events(),
            _ => 0,
        }
    }

    /// Whether an event so far was `[DONE]`, whatever the dialect.
    pub fn saw_done(&self) -> bool {
        self.marks.saw_done()
    }

    /// An estimate of the tokens, where the server does not tell: an error is none.
    pub fn tokens_estimated(&self) -> u64 {
        self.data_events().saturating_sub(self.saw_error().into())
    }

    /// Whether an event of ours written here would stand by itself.
    pub fn at_boundary(&self) -> bool {
        match &self.grammar {
            Grammar::Events(events) => events.at_boundary(),
            Grammar::Lines(lines) => lines.at_boundary(),
            _ => false,
        }
    }

    /// Whether the first event that said something was an error: nothing of an answer has come.
    pub fn first_event_is_error(&self) -> bool {
        self.marks.first_event_is_error()
    }

    /// Whether the server has reported an error.
    pub fn saw_error(&self) -> bool {
        match &self.grammar {
            Grammar::Document(document) => document.saw_error(),
            _ => self.marks.saw_error(),
        }
    }

    /// Whose fault the error is that it has reported, by its code, its type or its words.
    pub fn error(&self) -> Option<Blame> {
        match &self.grammar {
            Grammar::Document(document) => document.error(),
            _ => self.marks.error(),
        }
    }

    /// Whether the error it has reported is the client's own.
    pub fn saw_clients_error(&self) -> bool {
        self.error().is_some_and(Blame::is_the_clients)
    }

    /// The document this is, as far as it has come.
    pub fn document(&self) -> Option<Told> {
        let Grammar::Document(document) = &self.grammar else { return None };
        Some(match () {
            () if document.has_begun() || self.marks.is_lost() => Told::Answer,
            () if !document.is_read() => Told::Answer,
            () if !self.marks.is_complete() => Told::Nothing,
            () if document.saw_error() => Told::Failed,
            () => Told::Answer,
        })
    }

    /// Whether the stream has said all that it had to say, by the marks of its dialect, and nothing
    /// has begun behind them.
    pub fn is_whole(&self) -> bool {
        let ended = self.marks.saw_end() || self.saw_done();
        ended && self.at_boundary() && !self.marks.saw_error()
    }

    /// What the server says the answer cost, if it has said so yet.
    pub fn usage(&self) -> Option<Usage> {
        match &self.grammar {
            // As in a stream, only a complete text says anything.
            Grammar::Document(_) if !self.marks.is_complete() => None,
            _ => self.marks.usage(),
        }
    }

    /// Tokens of the answer so far. What a server has counted before the end of its stream is no count of
    /// the answer: Anthropic's first event tells 1.
    pub fn completion(&self) -> Completion {
        let counted = self.usage().and_then(|usage| usage.completion).map(u64::from);
        let ended = !self.is_stream() || self.marks.saw_end();
        match counted {
            Some(tokens) if ended => Completion { tokens, estimated: false },
            counted => {
                let tokens = counted.unwrap_or(0).max(self.tokens_estimated());
                Completion { tokens, estimated: true }
            }
        }
    }

    /// The body has ended, cleanly in HTTP. Nothing is fed after it.
    pub fn end(&mut self) -> Ending {
        match &mut self.grammar {
            Grammar::Events(_) => {}
            Grammar::Lines(lines) => lines.end(&mut self.marks),
            Grammar::Document(document) => {
                return match () {
                    () if document.saw_error() => Ending::Failed,
                    () if document.may_end() => Ending::Whole,
                    // No JSON, or something stands behind it: that tells nothing.
                    () if document.is_read() && self.marks.is_lost() => Ending::Whole,
                    () => Ending::Truncated(Truncation::InsideEvent),
                };
            }
            Grammar::Unsettled(_) | Grammar::Text | Grammar::Opaque => return Ending::Whole,
        }
        if self.marks.saw_error() {
            Ending::Failed
        } else if self.dialect() == Dialect::Generic || self.marks.saw_end() {
            Ending::Whole
        } else if !self.at_boundary() {
            Ending::Truncated(Truncation::InsideEvent)
        } else if !self.marks.is_claimed() {
            Ending::Truncated(Truncation::NoEvents)
        } else if self.marks.needs_no_end() {
            Ending::Whole
        } else {
            Ending::Truncated(Truncation::NoEndMark)
        }
    }
}

/// What a document has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing that matters yet.
    Nothing,
    /// There is an answer in it, or nothing that could be understood.
    Answer,
    /// The request has failed.
    Failed,
}

/// What an answer is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Document,
    Events,
    Other,
}

/// The first bytes of an answer, as far as they have come.
#[derive(Clone, Copy, Debug, Default)]
struct Beginning {
    /// The field they may become, by its place among [`Beginning::FIELDS`], and how much of it has
    /// come.
    field: u8,
    matched: u8,
    /// A document is to be read to its end.
    all: bool,
}

impl Beginning {
    /// What the lines of an event stream begin with.
    const FIELDS: [&'static [u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];

    /// Takes bytes until they tell, and says how many those were.
    fn feed(&mut self, data: &[u8]) -> (usize, Option<Kind>) {
        for (at, &byte) in data.iter().enumerate() {
            if self.matched == 0 {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => continue,
                    // The byte order mark, which some write before JSON too.
                    0xef | 0xbb | 0xbf => continue,
                    b'{' | b'[' => return (at, Some(Kind::Document)),
                    _ => {}
                }
                let field = Beginning::FIELDS.iter().position(|field| field[0] == byte);
                let Some(field) = field else { return (at, Some(Kind::Other)) };
                self.field = field as u8;
            }
            let name = Beginning::FIELDS[usize::from(self.field)];
            if name[usize::from(self.matched)] != byte {
                return (at, Some(Kind::Other));
            }
            self.matched += 1;
            if usize::from(self.matched) == name.len() {
                return (at + 1, Some(Kind::Events));
            }
        }
        (data.len(), None)
    }

    /// The bytes that have been taken, but for white space before them.
    fn read(&self) -> &'static [u8] {
        &Beginning::FIELDS[usize::from(self.field)][..usize::from(self.matched)]
    }
}
