//! What is to be known of a dialect. The defaults are those of an event stream of which nothing is.

use bytes::Bytes;

use crate::http::json::{Found, Word, Words};
use crate::http::reply::ErrorForm;
use crate::service::continuation::Prefill;
use crate::service::dialects::words::{ERROR, ERROR_LINE, EVENTS};
use crate::service::dialects::writing::StreamFault;
use crate::service::dialects::writing::{AnswerForm, CannedDocument, CannedStream};
use crate::service::marks::counts::Usage;
use crate::service::marks::counts::{Counted, Counts};
use crate::service::marks::search::Search;
use crate::service::marks::staging::{Said, Staging};
use crate::service::openai::Identity;
use crate::service::{Dialect, Setting};

/// What lies between the bytes of a stream and its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) enum StreamGrammar {
    /// `text/event-stream`
    Events,
    /// `application/x-ndjson`
    Lines,
    /// Any text, without events.
    Text,
}

/// An event that is dispatched.
#[derive(Clone, Copy, Debug)]
pub(in crate::service) struct Dispatched {
    /// What its members have said.
    pub said: Said,
    /// Its name.
    pub event: Word,
    /// Its data was complete JSON.
    pub whole: bool,
    /// It, or one before it, was `[DONE]`.
    pub done: bool,
    /// A part of the answer has come before.
    pub under_way: bool,
}

/// All that is known of one dialect.
pub(in crate::service) trait Knowledge {
    // Which requests.

    /// As the log and the documents call it.
    const NAME: &'static str;
    /// The settings of an upstream whose servers have its paths.
    const SETTINGS: &'static [Setting];

    /// Whether this is one of its paths.
    fn is_path(path: &str) -> bool;

    /// Whether this is one of its paths where `service` names its server: then more of them tell.
    fn is_path_of(_setting: Setting, _path: &str) -> bool {
        false
    }

    fn is_expected(setting: Setting, path: &str) -> bool {
        Self::SETTINGS.contains(&setting) && Self::is_path(path) || Self::is_path_of(setting, path)
    }

    /// See [`Dialect::streams`](super::Dialect::streams).
    fn streams(_path: &str, _query: &str, asked: Option<bool>) -> bool {
        asked.unwrap_or(false)
    }

    /// A request may want a stream that does not say `stream`.
    const STREAMS_UNASKED: bool = false;

    /// The model that a path names, where requests name it there.
    fn model_in(_path: &str) -> Option<&str> {
        None
    }

    /// Another dialect that is spoken at the same paths: what does not claim for this one may for that.
    const RIVAL: Option<Dialect> = None;
    /// See [`Dialect::operation`](super::Dialect::operation).
    const OPERATION: Option<(&'static str, &'static str)> = None;
    /// An answer may have several choices, told apart by their index.
    const CHOICES: bool = false;
    /// A request says how many: `n`.
    const CHOICES_ASKED: bool = false;
    /// A request may have a list of prompts, each of which is answered.
    const SEVERAL_PROMPTS: bool = false;

    // What a stream says.

    const STREAM: StreamGrammar = StreamGrammar::Events;
    /// The words of its events.
    const WORDS: &'static [&'static str] = &[];
    /// Those of them that events are named by. Every line `event` is compared with all names.
    const NAMES: &'static [&'static str] = &[];
    /// A stream of it has a mark of its end.
    const HAS_END: bool = true;
    /// Its server sends `null` where nothing has come yet.
    const SENDS_NULL: bool = false;
    /// `[DONE]` is such a mark.
    const DONE_ENDS: bool = false;
    /// What it cost counts in the event that ends it, and in no other.
    const COUNTS_AT_END: bool = false;
    /// The mark that stands in every delta, if there is one.
    const SEARCH: Option<Search> = None;
    /// What a delta begins with that may be left aside: servers that number their answers in front.
    const BEGINNING: &'static [u8] = b"";
    /// The byte that opens the list of choices, or what stands for it, see
    /// [`Staging::begin`].
    const OPENING: u8 = b'[';
    /// What stands for the list of choices may be a text.
    const OPENS_WITH_TEXT: bool = false;

    /// Its words, with what is to be told beside the paths that are made of them.
    fn words() -> &'static Words {
        static WORDS: Words = EVENTS;
        &WORDS
    }

    /// One finding in the data of an event, `at` so many bytes.
    fn take(_staging: &mut Staging<'_>, _path: &[Word], _at: usize, _found: Found<'_>) {}

    /// Whether the data of an event of this name can hold anything of interest. `all`: an event has
    /// still to claim the stream, or a part of the answer to come.
    fn is_of_interest(_event: Word, _all: bool) -> bool {
        true
    }

    /// Of the first event that says something: whether it is one of this dialect's.
    fn claims(_event: &Dispatched) -> bool {
        false
    }

    /// The same where its [rival](Knowledge::RIVAL) was expected.
    fn claims_from_rival(event: &Dispatched) -> bool {
        Self::claims(event)
    }

    /// Whether an event holds a part of the answer: text, a tool call, reasoning, a refusal, and not
    /// only that there will be one. Behind the first such event all that go on are progress: a token
    /// may have no text yet.
    fn answers(_event: &Dispatched) -> bool {
        true
    }

    /// What the name of an event says of the end, and what only the whole of it can say.
    fn conclude(_event: &Dispatched, _answers: bool, _said: &mut Said) {}

    /// What it cost, by its counts.
    fn usage(counts: &Counts) -> Usage {
        counts.usage()
    }

    // What a document says, beside what they all say.

    /// The words of its documents.
    const DOCUMENT_WORDS: &'static [&'static str] = &[];
    /// A text that stands in a document which says that the request has failed, where that is not the
    /// member `error`.
    const DOCUMENT_FAILS_WITH: Option<&'static str> = None;

    fn document_fails(_path: &[Word], _found: Found<'_>) -> bool {
        false
    }

    /// Whether there is an answer in it.
    fn document_begins(_path: &[Word], _found: Found<'_>) -> bool {
        false
    }

    /// Which count stands here. `known`: the document is expected to be of this dialect.
    fn document_count(_path: &[Word], _known: bool) -> Option<Counted> {
        None
    }

    // What is written in it.

    const ERROR_FORM: ErrorForm = ErrorForm::OpenAi;

    /// Appends the error event. Returns whether there is one.
    fn error_event(_fault: &StreamFault<'_>, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// A sign of life: comments are the event stream's own, whatever its events mean. `None` where
    /// streams have nothing that says nothing.
    const HEARTBEAT: Option<&'static [u8]> = Some(b": hb\n\n");
    /// What a server has to take for a stream to be continued.
    const CONTINUED_BY: Option<Prefill> = None;

    /// A predefined answer in one piece.
    fn document(asked: &AnswerForm<'_>, identity: &Identity<'_>, text: &str) -> CannedDocument;

    /// The same as a stream.
    fn stream(asked: &AnswerForm<'_>, identity: &Identity<'_>) -> Box<dyn CannedStream>;

    /// `text` as the reason of an error with `status`.
    fn error_document(status: u16, text: &str) -> Bytes;
}

impl Dispatched {
    /// Whether it reports an error, by a member or by its name.
    pub fn fails(&self) -> bool {
        self.said.has(Said::ERROR) || self.is_named_error()
    }

    pub fn is_named_error(&self) -> bool {
        matches!(self.event, ERROR | ERROR_LINE)
    }

    /// Whether it is a part of the answer, or goes on behind one: a token may have no text yet.
    pub fn is_progress(&self) -> bool {
        let goes_on = self.said.has(Said::GOES_ON) || !self.whole;
        self.said.has(Said::ANSWER) || self.under_way && goes_on
    }
}
