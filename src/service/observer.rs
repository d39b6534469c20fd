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
use super::marks::Marks;
use crate::http::ndjson::LineObserver;
use crate::http::sse::{EventObserver, Watcher as _};

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

/// Tokens counted by the server, where it has told. Each is the last count seen of its kind that is
/// not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All of the prompt, what came from a cache included.
    pub prompt: Option<u32>,
    pub completion: Option<u32>,
    /// What of the prompt came from a cache.
    pub cached: Option<u32>,
}

/// Follows one answer through any pieces it comes in.
#[derive(Clone, Debug)]
pub struct Observer {
    grammar: Grammar,
    marks: Marks,
}

/// What lies between the bytes and the JSON.
#[derive(Clone, Debug)]
enum Grammar {
    Events(EventObserver),
    Lines(LineObserver),
    /// One JSON text, nothing else.
    Document,
}

impl Observer {
    /// For a stream, whose media type is [`Dialect::stream_type`], of a server that is expected to
    /// speak this dialect.
    pub fn of_stream(dialect: Dialect) -> Observer {
        let grammar = match dialect {
            Dialect::Ollama => Grammar::Lines(LineObserver::new()),
            _ => Grammar::Events(EventObserver::new()),
        };
        Observer { grammar, marks: Marks::new(dialect) }
    }

    /// The same for an answer that is to have so many choices; `None`: nobody knows how many. Without
    /// `[DONE]` it is whole when each of them has ended, or each that has begun.
    pub fn expecting(mut self, choices: Option<u32>) -> Observer {
        self.marks.expect_choices(choices);
        self
    }

    /// For an answer in one piece of JSON: only [`Observer::usage`] and [`Observer::saw_error`] have
    /// something to tell.
    pub fn of_document(dialect: Dialect) -> Observer {
        Observer { grammar: Grammar::Document, marks: Marks::of_document(dialect) }
    }

    /// The media type of what it watches.
    pub fn media_type(&self) -> &'static str {
        match &self.grammar {
            Grammar::Events(_) => "text/event-stream",
            Grammar::Lines(_) => "application/x-ndjson",
            Grammar::Document => "application/json",
        }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, data: &[u8]) {
        match &mut self.grammar {
            Grammar::Events(events) => events.feed_to(data, &mut self.marks),
            Grammar::Lines(lines) => lines.feed_to(data, &mut self.marks),
            Grammar::Document => self.marks.data(data),
        }
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

    /// Events so far that said something: a part of the answer, its end, an error. An estimate of the
    /// tokens, where the server does not tell.
    pub fn data_events(&self) -> u64 {
        match &self.grammar {
            Grammar::Events(events) => events.data_events(),
            Grammar::Lines(lines) => lines.data_events(),
            Grammar::Document => 0,
        }
    }

    /// Whether an event of ours written here would stand by itself.
    pub fn at_boundary(&self) -> bool {
        match &self.grammar {
            Grammar::Events(events) => events.at_boundary(),
            Grammar::Lines(lines) => lines.at_boundary(),
            Grammar::Document => false,
        }
    }

    /// Whether the first event that said something was an error: nothing of an answer has come.
    pub fn first_event_is_error(&self) -> bool {
        self.marks.first_event_is_error()
    }

    /// Whether the server has reported an error.
    pub fn saw_error(&self) -> bool {
        self.marks.saw_error()
    }

    /// Whether the error it has reported is the client's own, by its code or its type.
    pub fn saw_clients_error(&self) -> bool {
        self.marks.saw_clients_error()
    }

    /// What the server says the answer cost, if it has said so yet.
    pub fn usage(&self) -> Option<Usage> {
        self.marks.usage()
    }

    /// The body has ended, cleanly in HTTP. Nothing is fed after it.
    pub fn end(&mut self) -> Ending {
        match &mut self.grammar {
            Grammar::Events(_) => {}
            Grammar::Lines(lines) => lines.end(&mut self.marks),
            Grammar::Document => self.marks.end_document(),
        }
        if self.marks.saw_error() {
            Ending::Failed
        } else if self.may_end() || self.marks.saw_end() {
            Ending::Whole
        } else if !self.at_boundary() {
            Ending::Truncated(Truncation::InsideEvent)
        } else if !self.marks.is_claimed() {
            Ending::Truncated(Truncation::NoEvents)
        } else {
            Ending::Truncated(Truncation::NoEndMark)
        }
    }

    /// Whether this may end anywhere: HTTP tells the end of a document, and nobody that of a
    /// generic stream.
    fn may_end(&self) -> bool {
        matches!(self.grammar, Grammar::Document) || self.marks.needs_no_end()
    }
}
