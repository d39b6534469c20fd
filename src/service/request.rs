//! What a request asks for, read from the first bytes of its body.
//!
//! * Only members of the outermost object count: a `"model"` in a message is somebody's text.
//! * Nothing is allocated, and no more is read than the limit says. What has not been found by
//!   then is unknown, and the request goes on unchanged.
//! * A member that comes twice has two readings: servers take the last, others the first. That is
//!   told, so that nobody is routed by one and served by the other.
//!
//! Absent on purpose: a verdict on the request. What is no JSON is the server's to refuse.

use std::ops::Range;

use crate::http::json::{Found, ITEM, Text, Walker, Word, Words};

/// A longer name is no name that a route could know.
pub const MODEL_BYTES_MAX: usize = 256;

const WORDS: Words = Words::new(&[
    "include_usage",
    "input",
    "inputs",
    "messages",
    "model",
    "n",
    "prompt",
    "stream",
    "stream_options",
]);
const INCLUDE_USAGE: Word = WORDS.word("include_usage");
const INPUT: Word = WORDS.word("input");
const INPUTS: Word = WORDS.word("inputs");
const MESSAGES: Word = WORDS.word("messages");
const MODEL: Word = WORDS.word("model");
const N: Word = WORDS.word("n");
const PROMPT: Word = WORDS.word("prompt");
const STREAM: Word = WORDS.word("stream");
const STREAM_OPTIONS: Word = WORDS.word("stream_options");

/// Reads a request body through any pieces it comes in.
#[derive(Clone, Debug)]
pub struct RequestScan {
    walker: Walker,
    /// Bytes read so far.
    read: usize,
    limit: usize,
    fields: Fields,
    prefix: Prefix,
    ended: bool,
}

/// What has been found.
#[derive(Clone, Debug, Default)]
struct Fields {
    model: Text<MODEL_BYTES_MAX>,
    model_start: Option<usize>,
    model_end: Option<usize>,
    model_named: bool,
    stream: Option<bool>,
    stream_named: bool,
    include_usage: bool,
    prompt_at: Option<usize>,
    /// Texts, or lists of tokens, in a list of prompts.
    prompts: u32,
    n: Number,
    repeated: bool,
}

/// The value of `n`.
#[derive(Clone, Copy, Debug, Default)]
enum Number {
    #[default]
    Absent,
    Plain(u32),
    /// Something else, or it stands there twice.
    Doubtful,
}

impl RequestScan {
    /// `limit`: bytes that are read at most. `prefix`: bytes of the prompt that are hashed.
    pub fn new(limit: usize, prefix: usize) -> RequestScan {
        RequestScan {
            walker: Walker::new(),
            read: 0,
            limit,
            fields: Fields::default(),
            prefix: Prefix::new(prefix),
            ended: false,
        }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, data: &[u8]) {
        let data = &data[..data.len().min(self.limit - self.read)];
        let RequestScan { walker, read: base, fields, prefix, .. } = self;
        let begun = fields.prompt_at.is_some();
        walker.feed(&WORDS, data, |path, at, found| fields.take(path, *base + at, found));
        match fields.prompt_at {
            Some(_) if begun => prefix.take(data),
            Some(at) => prefix.take(&data[at - *base..]),
            None => {}
        }
        *base += data.len();
    }

    /// The body has ended.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether nothing more will be found.
    pub fn is_settled(&self) -> bool {
        self.ended
            || self.read == self.limit
            || self.walker.is_over() && (self.prefix.is_whole() || self.fields.prompt_at.is_none())
    }

    /// The model asked for.
    pub fn model(&self) -> Option<&str> {
        self.fields.model_end.and_then(|_| self.fields.model.as_str())
    }

    /// Where its name stands in the body, between the quotes, as it is written.
    pub fn model_range(&self) -> Option<Range<usize>> {
        Some(self.fields.model_start?..self.fields.model_end?)
    }

    /// The value of `stream`. A server's default holds where it is absent:
    /// [`Dialect::streams`](super::Dialect::streams).
    pub fn stream(&self) -> Option<bool> {
        self.fields.stream
    }

    /// Whether `stream_options.include_usage` is set.
    pub fn include_usage(&self) -> bool {
        self.fields.include_usage
    }

    /// Where the value of `prompt`, `messages`, `inputs` or `input` begins in the body.
    pub fn prompt_at(&self) -> Option<usize> {
        self.fields.prompt_at
    }

    /// A hash of the prompt's first bytes, once as many as were asked for, or all, have come. The
    /// same in every process and every version of one release.
    pub fn prompt_hash(&self) -> Option<u64> {
        let known = self.prefix.is_whole() || self.is_settled();
        (known && self.fields.prompt_at.is_some()).then(|| self.prefix.finish())
    }

    /// How many choices the answer of OpenAI's older dialects is to have: `n` for each prompt.
    /// `None`: that cannot be told.
    pub fn choices(&self) -> Option<u32> {
        let n = match self.fields.n {
            Number::Absent => 1,
            Number::Plain(n) => n.max(1),
            Number::Doubtful => return None,
        };
        // What has not been read may ask for more.
        self.walker.is_complete().then(|| n.saturating_mul(self.fields.prompts.max(1)))
    }

    /// Whether `model` or `stream` stands there twice.
    pub fn is_ambiguous(&self) -> bool {
        self.fields.repeated
    }
}

impl Fields {
    fn take(&mut self, path: &[Word], at: usize, found: Found<'_>) {
        match (path, found) {
            ([MODEL], Found::Text(text)) if !self.repeated => self.model.push(text),
            ([MODEL], Found::StringEnd(_)) if !self.repeated => self.model_end = Some(at - 1),
            ([MODEL], Found::Text(_) | Found::StringEnd(_)) => {}
            ([MODEL], _) => {
                self.repeated |= std::mem::replace(&mut self.model_named, true);
                if found == Found::String {
                    // The quote is not part of the name.
                    self.model_start.get_or_insert(at + 1);
                }
            }
            ([STREAM], Found::Text(_) | Found::StringEnd(_)) => {}
            ([STREAM], _) => {
                self.repeated |= std::mem::replace(&mut self.stream_named, true);
                self.stream = match found {
                    Found::True => Some(true),
                    Found::False => Some(false),
                    _ => self.stream,
                };
            }
            ([STREAM_OPTIONS, INCLUDE_USAGE], Found::True) => self.include_usage = true,
            ([PROMPT | MESSAGES | INPUTS | INPUT], Found::String | Found::Container) => {
                self.prompt_at.get_or_insert(at);
            }
            ([PROMPT, ITEM], Found::String | Found::Container) => {
                self.prompts = self.prompts.saturating_add(1);
            }
            ([N], Found::Text(_) | Found::StringEnd(_)) => {}
            ([N], _) => {
                self.n = match (self.n, found) {
                    (Number::Absent, Found::Null) => Number::Plain(1),
                    (Number::Absent, Found::Number(Some(n))) => Number::Plain(n),
                    _ => Number::Doubtful,
                };
            }
            _ => {}
        }
    }
}

/// A hash of a bounded number of bytes, eight at a time however they come.
#[derive(Clone, Debug)]
struct Prefix {
    hash: u64,
    word: u64,
    taken: usize,
    wanted: usize,
}

impl Prefix {
    fn new(wanted: usize) -> Prefix {
        Prefix { hash: 0, word: 0, taken: 0, wanted }
    }

    fn is_whole(&self) -> bool {
        self.taken == self.wanted
    }

    fn take(&mut self, data: &[u8]) {
        for &byte in data.iter().take(self.wanted - self.taken) {
            self.word = self.word << 8 | u64::from(byte);
            self.taken += 1;
            if self.taken.is_multiple_of(8) {
                self.hash = Prefix::mix(self.hash, self.word);
                self.word = 0;
            }
        }
    }

    fn finish(&self) -> u64 {
        let tail = Prefix::mix(self.hash, self.word);
        Prefix::mix(tail, self.taken as u64)
    }

    /// One step: a multiplication spreads upwards, the fold brings the high half down again.
    fn mix(hash: u64, word: u64) -> u64 {
        let product =
            u128::from(hash ^ word ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xd6e8_feb8_6659_fd93_u64);
        (product >> 64) as u64 ^ product as u64
    }
}
