//! The observer of an answer, whether its bytes can be read as they come or are compressed.
//!
//! A compressed answer is watched and no more: it counts as no stream, for nothing can be written into it,
//! it is not held back for what it says, and its bytes tell how far it is.

use super::Dialect;
use super::continuation::Purse;
use super::decoding::Decoding;
use super::plain::{Completion, Ending, PlainObserver, Told, Usage};
use super::refusal::Blame;
use crate::http::coding::Coding;

/// Follows one answer through any pieces it comes in. No larger than what it mostly is.
#[derive(Debug)]
pub enum Observer {
    Plain(PlainObserver),
    /// Boxed, for most answers are not compressed.
    Encoded(Box<Decoding>),
}

impl Observer {
    /// See [`PlainObserver::of_stream`].
    pub fn of_stream(dialect: Dialect) -> Observer {
        Observer::Plain(PlainObserver::of_stream(dialect))
    }

    /// See [`PlainObserver::expecting`].
    pub fn expecting(self, choices: Option<u32>) -> Observer {
        match self {
            Observer::Plain(plain) => Observer::Plain(plain.expecting(choices)),
            encoded @ Observer::Encoded(_) => encoded,
        }
    }

    /// See [`PlainObserver::of_document`].
    pub fn of_document(dialect: Dialect) -> Observer {
        Observer::Plain(PlainObserver::of_document(dialect))
    }

    /// See [`PlainObserver::of_answer`].
    pub fn of_answer(dialect: Dialect, all: bool) -> Observer {
        Observer::Plain(PlainObserver::of_answer(dialect, all))
    }

    /// For an answer that cannot be read, such as one in a coding that nobody here decodes.
    pub fn of_nothing() -> Observer {
        Observer::Plain(PlainObserver::of_nothing())
    }

    /// The same observer for an answer in this coding. `purse` pays for the decoder.
    pub fn decoding(self, coding: Coding, purse: &Purse) -> Observer {
        match self {
            Observer::Plain(plain) => {
                Observer::Encoded(Box::new(Decoding::new(coding, plain, purse)))
            }
            encoded @ Observer::Encoded(_) => encoded,
        }
    }

    /// What reads the answer as it comes; `None`: it is compressed.
    #[inline]
    fn plain(&self) -> Option<&PlainObserver> {
        match self {
            Observer::Plain(plain) => Some(plain),
            Observer::Encoded(_) => None,
        }
    }

    /// What reads the answer, as it comes or decoded.
    #[inline]
    fn reader(&self) -> &PlainObserver {
        match self {
            Observer::Plain(plain) => plain,
            Observer::Encoded(decoding) => &decoding.observer,
        }
    }

    /// Takes the next bytes of the body.
    #[inline]
    pub fn feed(&mut self, data: &[u8]) {
        match self {
            Observer::Plain(plain) => plain.feed(data),
            Observer::Encoded(decoding) => decoding.feed(data),
        }
    }

    /// The media type of what it watches.
    pub fn media_type(&self) -> &'static str {
        self.reader().media_type()
    }

    /// See [`PlainObserver::is_stream`]. A compressed stream is none.
    #[inline]
    pub fn is_stream(&self) -> bool {
        self.plain().is_some_and(PlainObserver::is_stream)
    }

    /// Whether it reads a stream of events, compressed or not.
    pub fn reads_stream(&self) -> bool {
        self.reader().is_stream()
    }

    /// See [`PlainObserver::progress`].
    #[inline]
    pub fn progress(&self) -> Option<u64> {
        self.plain().and_then(PlainObserver::progress)
    }

    /// Whether its first bytes have yet to tell what it is.
    pub fn is_unsettled(&self) -> bool {
        self.plain().is_some_and(PlainObserver::is_unsettled)
    }

    /// Whether whoever reads this cannot tell a whole answer from a broken one.
    pub fn is_blind(&self) -> bool {
        match self {
            Observer::Plain(plain) => plain.is_blind(),
            Observer::Encoded(decoding) => decoding.is_blind(),
        }
    }

    /// The dialect in which something can be written into it: of a compressed answer none.
    pub fn dialect(&self) -> Dialect {
        self.plain().map_or(Dialect::Generic, PlainObserver::dialect)
    }

    /// See [`PlainObserver::saw_answer`].
    pub fn saw_answer(&self) -> bool {
        self.plain().is_some_and(PlainObserver::saw_answer)
    }

    /// Whether the first part of the answer of a compressed stream has come since this was asked last.
    #[cold]
    pub fn begins_decoded(&mut self) -> bool {
        match self {
            Observer::Plain(_) => false,
            Observer::Encoded(decoding) => decoding.begins(),
        }
    }

    /// Events so far that said something: a part of the answer, its end, an error.
    pub fn data_events(&self) -> u64 {
        self.reader().data_events()
    }

    /// Whether an event so far was `[DONE]`, whatever the dialect.
    pub fn saw_done(&self) -> bool {
        self.reader().saw_done()
    }

    /// See [`PlainObserver::tokens_estimated`].
    pub fn tokens_estimated(&self) -> u64 {
        self.reader().tokens_estimated()
    }

    /// Whether an event of ours written here would stand by itself.
    pub fn at_boundary(&self) -> bool {
        self.plain().is_some_and(PlainObserver::at_boundary)
    }

    /// See [`PlainObserver::first_event_is_error`].
    pub fn first_event_is_error(&self) -> bool {
        self.plain().is_some_and(PlainObserver::first_event_is_error)
    }

    /// Whether the server has reported an error.
    pub fn saw_error(&self) -> bool {
        self.reader().saw_error()
    }

    /// Whose fault the error is that it has reported, by its code, its type or its words.
    pub fn error(&self) -> Option<Blame> {
        self.reader().error()
    }

    /// Whether the error it has reported is the client's own.
    pub fn saw_clients_error(&self) -> bool {
        self.reader().saw_clients_error()
    }

    /// The document this is, as far as it has come.
    pub fn document(&self) -> Option<Told> {
        self.plain()?.document()
    }

    /// See [`PlainObserver::is_whole`]. Of a compressed stream its coding may lack its end.
    pub fn is_whole(&self) -> bool {
        self.plain().is_some_and(PlainObserver::is_whole)
    }

    /// What the server says the answer cost, if it has said so yet.
    pub fn usage(&self) -> Option<Usage> {
        self.reader().usage()
    }

    /// See [`PlainObserver::completion`].
    pub fn completion(&self) -> Completion {
        self.reader().completion()
    }

    /// The model that a compressed answer has named, as far as it is decoded.
    pub fn model_decoded(&self) -> Option<&str> {
        match self {
            Observer::Plain(_) => None,
            Observer::Encoded(decoding) => decoding.model(),
        }
    }

    /// The body has ended, cleanly in HTTP. Nothing is fed after it.
    pub fn end(&mut self) -> Ending {
        match self {
            Observer::Plain(plain) => plain.end(),
            Observer::Encoded(decoding) => decoding.end(),
        }
    }
}
