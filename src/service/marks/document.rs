//! An answer in one piece of JSON, read while it goes by.
//!
//! | it says | by |
//! |---|---|
//! | that the request has failed | `error` (not null, false, 0 or empty), `"object":"error"`, `"type":"error"`; `"status":"failed"` of OpenAI's responses; of a choice `error` or the `finish_reason` `error` |
//! | that there is an answer | a message, a text, an element of `output`, `content` … |
//! | what it cost | `usage`, or the dialect's own counts |
//!
//! * Only members of the outermost object count, and of a choice. What a model says is a string.
//! * Any cut into pieces gives the same answers, but for an error whose sentence alone tells whose
//!   it is. Whatever comes is read in a fixed room.
//! * What nothing is known of is passed over: a megabyte of an embedding's numbers costs a search.

use super::staging::is_clients_error;
use super::words::*;
use super::{Counts, Marks};
use crate::http::json::{Found, ITEM, Word, Words};
use crate::service::Dialect;
use crate::service::refusal::{Refusal, refusal_in};

static DOCUMENT_WORDS: Words = WORDS.skimming();

/// What one document has said, beside its counts.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::service) struct Document {
    begun: bool,
    failed: bool,
    clients: bool,
}

impl Document {
    /// Whether it says that the request has failed.
    pub fn saw_error(&self) -> bool {
        self.failed
    }

    /// Whether the error is the client's own.
    pub fn saw_clients_error(&self) -> bool {
        self.failed && self.clients
    }

    /// Whether there is an answer in it, and no error so far.
    pub fn has_begun(&self) -> bool {
        self.begun && !self.failed
    }
}

impl Marks {
    /// Takes the next bytes of a document.
    pub fn read(&mut self, document: &mut Document, data: &[u8]) {
        let Marks { walker, counts, dialect, .. } = self;
        let Document { begun, failed, clients } = document;
        walker.feed(&DOCUMENT_WORDS, data, |path, _, found| match found {
            Found::Number(Some(number)) if counts.take(*dialect, path, number) => {}
            _ if says_failed(*dialect, path, found) => *failed = true,
            _ if says_begun(path, found) => *begun = true,
            _ if names_client(path, found) => *clients = true,
            _ => {}
        });
        // Some name no code. A sentence is looked for where it comes in one piece, as errors do.
        if *failed && !*clients && refusal_in(data) != Refusal::Other {
            *clients = true;
        }
    }
}

fn says_failed(dialect: Dialect, path: &[Word], found: Found<'_>) -> bool {
    if dialect == Dialect::Generic {
        return false;
    }
    match (path, found) {
        ([ERROR] | [CHOICES, ITEM, ERROR], Found::Container | Found::Text(_) | Found::True) => true,
        ([ERROR] | [CHOICES, ITEM, ERROR], Found::Number(code)) => code != Some(0),
        ([OBJECT | TYPE] | [CHOICES, ITEM, FINISH_REASON], Found::StringEnd(ERROR)) => true,
        ([STATUS], Found::StringEnd(STATUS_FAILED)) => dialect == Dialect::OpenAiResponses,
        _ => false,
    }
}

fn says_begun(path: &[Word], found: Found<'_>) -> bool {
    match found {
        Found::Container => {
            matches!(path, [CHOICES, ITEM, MESSAGE] | [MESSAGE] | [OUTPUT | CONTENT, ITEM])
        }
        Found::String => matches!(
            path,
            [CHOICES, ITEM, TEXT] | [GENERATED_TEXT | RESPONSE] | [ITEM, GENERATED_TEXT]
        ),
        _ => false,
    }
}

/// Whether this is the code or the type of an error that is the client's own.
fn names_client(path: &[Word], found: Found<'_>) -> bool {
    match path {
        [ERROR, CODE | TYPE] | [CODE | TYPE | ERROR_TYPE] => is_clients_error(found),
        [CHOICES, ITEM, ERROR, CODE | TYPE] => is_clients_error(found),
        _ => false,
    }
}

impl Counts {
    /// Whether this is a count.
    fn take(&mut self, dialect: Dialect, path: &[Word], number: u32) -> bool {
        // The largest number means that there is none.
        let number = number.min(Counts::NONE - 1);
        match path {
            // What is written into its cache Anthropic counts apart.
            [USAGE, INPUT_TOKENS | CACHE_CREATION] if dialect == Dialect::Anthropic => {
                let before = if self.prompt == Counts::NONE { 0 } else { self.prompt };
                self.prompt = before.saturating_add(number).min(Counts::NONE - 1);
            }
            [USAGE, CACHE_READ | PROMPT_CACHE_HIT]
            | [USAGE, PROMPT_TOKENS_DETAILS | INPUT_TOKENS_DETAILS, CACHED_TOKENS] => {
                self.cached = number;
            }
            [USAGE, PROMPT_TOKENS | INPUT_TOKENS]
            | [DETAILS, INPUT_LENGTH]
            | [PROMPT_EVAL_COUNT]
            // Cohere's.
            | [META, TOKENS | BILLED_UNITS, INPUT_TOKENS] => self.prompt = number,
            [USAGE, COMPLETION_TOKENS | OUTPUT_TOKENS]
            | [DETAILS, GENERATED_TOKENS]
            | [EVAL_COUNT]
            | [META, TOKENS | BILLED_UNITS, OUTPUT_TOKENS] => self.completion = number,
            // All there is where nothing is generated: vLLM's rerank.
            [USAGE, TOTAL_TOKENS] if self.prompt == Counts::NONE => self.prompt = number,
            _ => return false,
        }
        true
    }
}
