//! An answer in one piece of JSON, read while it goes by.
//!
//! | it says | by |
//! |---|---|
//! | that the request has failed | `error` with anything in it (no null, false, 0 or empty text, nor what holds only these), `"object":"error"`, `"type":"error"`; `"status":"failed"` of OpenAI's responses; of a choice `error` or the `finish_reason` `error` |
//! | that there is an answer | a message, a text, an element of `output`, `content` … |
//! | what it cost | `usage`, or the dialect's own counts |
//!
//! * Only members of the outermost object count, and of a choice. What a model says is a string.
//! * Any cut into pieces gives the same answers. Whatever comes is read in a fixed room.
//! * What nothing is known of is passed over: a megabyte of an embedding's numbers costs a search.
//! * Where nobody is told what it says, a search tells whether it may say that it has failed, and
//!   nothing else is read of it.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::Marks;
use super::counts::{Count, Counted, Counts};
use crate::http::json::{Found, ITEM, Matcher, OTHER, Word, Words};
use crate::service::Dialect;
use crate::service::dialects::document_words::*;
use crate::service::dialects::{all_known, known};
use crate::service::refusal::{Blame, CODES, NAMES, SENTENCES, says_something};

static CODE_WORDS: Words = Words::new(&CODES);

/// What one document has said, beside its counts. As small as what stands in its place for a stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::service) struct Document {
    said: Said,
    /// The code of an error that comes now.
    code: Matcher,
}

#[derive(Clone, Copy, Debug)]
struct Said(u8);

impl Said {
    const NOTHING: Said = Said(0);
    /// It is read from its first byte to its last.
    const READ: Said = Said(1);
    /// It is not read any more: its beginning has no word of failure.
    const PASSED: Said = Said(2);
    /// There is an answer in it.
    const BEGUN: Said = Said(4);
    const FAILED: Said = Said(8);
    /// The last byte that was no white space was a bracket that closes.
    const CLOSED: Said = Said(16);
    /// In three bits, beside an error: whose fault it is. 0: the server's.
    const BLAME_AT: u32 = 5;

    fn has(self, what: Said) -> bool {
        self.0 & what.0 != 0
    }

    fn set(&mut self, what: Said, whether: bool) {
        self.0 = self.0 & !what.0 | if whether { what.0 } else { 0 };
    }

    fn blame(self) -> Blame {
        Blame::of_number(self.0 >> Said::BLAME_AT)
    }

    fn add_blame(&mut self, blame: Blame) {
        let blame = self.blame().max(blame) as u8;
        self.0 = self.0 & ((1 << Said::BLAME_AT) - 1) | blame << Said::BLAME_AT;
    }
}

impl Document {
    /// `all`: somebody is told what it says, or waits for it. Else only a failure matters.
    pub fn new(all: bool) -> Document {
        let said = if all { Said::READ } else { Said::NOTHING };
        Document { said, code: Matcher::NOTHING }
    }

    /// Whether it says that the request has failed.
    pub fn saw_error(&self) -> bool {
        self.said.has(Said::FAILED)
    }

    /// Whose fault the error is, if it says so.
    pub fn error(&self) -> Option<Blame> {
        self.saw_error().then(|| self.said.blame())
    }

    /// Whether there is an answer in it, and no error so far.
    pub fn has_begun(&self) -> bool {
        self.said.has(Said::BEGUN) && !self.saw_error()
    }

    /// Whether it is read to its end.
    pub fn is_read(&self) -> bool {
        self.said.has(Said::READ)
    }

    /// Whether it can be whole: JSON that begins with a bracket ends with one.
    pub fn may_end(&self) -> bool {
        self.said.has(Said::CLOSED)
    }

    fn say(&mut self, dialect: Dialect, path: &[Word], found: Found<'_>, note: &mut u32) {
        if says_failed(dialect, path, found) {
            self.said.set(Said::FAILED, true);
        } else if says_begun(path, found) {
            self.said.set(Said::BEGUN, true);
        }
        match path {
            [ERROR, below @ ..] | [CHOICES, ITEM, ERROR, below @ ..] => {
                if matches!(below, [.., CODE | TYPE]) {
                    self.code(found);
                }
                // There some repeat the request: those are the client's words.
                if !below.contains(&INPUT) {
                    self.sentence(found, note);
                }
            }
            [CODE | TYPE | ERROR_TYPE] => self.code(found),
            [MESSAGE | DETAIL] => self.sentence(found, note),
            _ => {}
        }
    }

    /// The code or the type of an error.
    fn code(&mut self, found: Found<'_>) {
        let blame = match found {
            Found::String => {
                self.code = Matcher::new(&CODE_WORDS);
                return;
            }
            Found::Text(text) => {
                return text.iter().for_each(|byte| self.code.step(&CODE_WORDS, *byte));
            }
            Found::StringEnd(_) => match self.code.word(&CODE_WORDS) {
                OTHER => return,
                code => NAMES[usize::from(code)].1,
            },
            Found::Number(Some(status)) => Blame::of_status(status),
            _ => return,
        };
        self.said.add_blame(blame);
    }

    /// The words of an error, `note`: how far they go with the sentences of refusals.
    fn sentence(&mut self, found: Found<'_>, note: &mut u32) {
        if let Found::Text(words) = found
            && let Some(blame) = Blame::of_words(SENTENCES.find(note, words))
        {
            self.said.add_blame(blame);
        }
    }
}

impl Marks {
    /// Takes the next bytes of a document.
    pub fn read(&mut self, document: &mut Document, data: &[u8]) {
        let said = &mut document.said;
        if let Some(last) = data.trim_ascii_end().last() {
            said.set(Said::CLOSED, matches!(last, b'}' | b']'));
        }
        if said.has(Said::PASSED) {
            return;
        }
        if !said.has(Said::READ) {
            let read = may_fail(self.dialect, data, said.has(Said::CLOSED));
            said.set(if read { Said::READ } else { Said::PASSED }, true);
        }
        if document.is_read() {
            self.walk_document(document, data);
        }
    }

    #[inline(never)]
    fn walk_document(&mut self, document: &mut Document, data: &[u8]) {
        let Marks { walker, counts, dialect, .. } = self;
        walker.feed_noting(&READ, data, |path, _, found, note| match found {
            Found::Number(Some(number)) if counts.take(*dialect, path, number) => {}
            found => document.say(*dialect, path, found, note),
        });
    }
}

/// Whether a document that begins so may say that the request has failed: errors come in one piece,
/// and an answer that is long does not end in one.
fn may_fail(dialect: Dialect, data: &[u8], ends: bool) -> bool {
    static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
    const SHORT: usize = 512;
    // Too short to tell by.
    if !ends && data.len() < SHORT {
        return true;
    }
    let other = known!(dialect, D => D::DOCUMENT_FAILS_WITH);
    ERROR.find(data).is_some()
        || other.is_some_and(|text| memmem::find(data, text.as_bytes()).is_some())
}

fn says_failed(dialect: Dialect, path: &[Word], found: Found<'_>) -> bool {
    if dialect == Dialect::Generic {
        return false;
    }
    match (path, found) {
        ([ERROR, ..] | [CHOICES, ITEM, ERROR, ..], found) if says_something(found) => true,
        ([OBJECT | TYPE] | [CHOICES, ITEM, FINISH_REASON], Found::StringEnd(ERROR)) => true,
        _ => known!(dialect, D => D::document_fails(path, found)),
    }
}

/// Whether there is an answer, in whichever dialect.
fn says_begun(path: &[Word], found: Found<'_>) -> bool {
    matches!(found, Found::Container | Found::String)
        && all_known!(D => D::document_begins(path, found)).contains(&true)
}

impl Counts {
    /// Whether this is a count: one of the dialect that is expected, one that several have, or one of
    /// any other.
    fn take(&mut self, dialect: Dialect, path: &[Word], number: u32) -> bool {
        let counted = known!(dialect, D => D::document_count(path, true))
            .or_else(|| shared_count(path))
            .or_else(|| {
                all_known!(D => D::document_count(path, false)).into_iter().flatten().next()
            });
        let number = Count::of(number);
        match counted {
            Some(Counted::Prompt) => self.prompt = number,
            Some(Counted::Apart) => self.apart = number,
            Some(Counted::Completion) => self.completion = number,
            Some(Counted::Cached) => self.cached = number,
            Some(Counted::Total) if self.prompt == Count::NONE => self.prompt = number,
            Some(Counted::Ignored) => {}
            Some(Counted::Total) | None => return false,
        }
        true
    }
}

/// The counts of `usage`, which every other API has too, and of Cohere's.
fn shared_count(path: &[Word]) -> Option<Counted> {
    Some(match path {
        [USAGE, CACHE_READ | PROMPT_CACHE_HIT]
        | [USAGE, PROMPT_TOKENS_DETAILS | INPUT_TOKENS_DETAILS, CACHED_TOKENS] => Counted::Cached,
        [USAGE, COMPLETION_TOKENS_DETAILS | OUTPUT_TOKENS_DETAILS, REASONING_TOKENS] => {
            Counted::Apart
        }
        [USAGE, PROMPT_TOKENS | INPUT_TOKENS] | [META, TOKENS | BILLED_UNITS, INPUT_TOKENS] => {
            Counted::Prompt
        }
        [USAGE, COMPLETION_TOKENS | OUTPUT_TOKENS]
        | [META, TOKENS | BILLED_UNITS, OUTPUT_TOKENS] => Counted::Completion,
        // vLLM's rerank.
        [USAGE, TOTAL_TOKENS] => Counted::Total,
        _ => return None,
    })
}
