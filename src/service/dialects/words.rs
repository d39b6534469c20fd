//! The words that the dialects are made of: each dialect's own, and those of all. There are two
//! tables, of events and (`document_words.rs`) of documents, made of all lists when this is compiled:
//! a word is known by its place in its table.

use super::{EVENT_NAMES, EVENT_WORDS};
use crate::http::json::{ITEM, OTHER, Word, Words, is_less};
use crate::service::refusal::CODES;

/// The words that all dialects have in common: signs of life, and what errors are made of.
const COMMON: &[&str] = &[
    "choices",
    "code",
    "detail",
    "error",
    "heartbeat",
    "input",
    "keepalive",
    "message",
    "null",
    "ping",
    "response",
    "type",
];

const LISTS: &[&[&[&str]]] = &[EVENT_WORDS, &[COMMON, &CODES]];
const MERGED: Merged<{ total(LISTS) }> = Merged::new(LISTS);

/// The words of all events.
pub(in crate::service) const EVENTS: Words = Words::new(MERGED.sorted());

pub(in crate::service) const CHOICES: Word = EVENTS.word("choices");
pub(in crate::service) const CODE: Word = EVENTS.word("code");
pub(in crate::service) const DETAIL: Word = EVENTS.word("detail");
pub(in crate::service) const ERROR: Word = EVENTS.word("error");
pub(in crate::service) const HEARTBEAT: Word = EVENTS.word("heartbeat");
pub(in crate::service) const INPUT: Word = EVENTS.word("input");
pub(in crate::service) const KEEPALIVE: Word = EVENTS.word("keepalive");
pub(in crate::service) const MESSAGE: Word = EVENTS.word("message");
pub(in crate::service) const NULL: Word = EVENTS.word("null");
pub(in crate::service) const PING: Word = EVENTS.word("ping");
pub(in crate::service) const RESPONSE: Word = EVENTS.word("response");
pub(in crate::service) const TYPE: Word = EVENTS.word("type");

const NAME_LISTS: &[&[&[&str]]] = &[EVENT_NAMES, &[&["error", "heartbeat", "keepalive", "ping"]]];
const MERGED_NAMES: Merged<{ total(NAME_LISTS) }> = Merged::new(NAME_LISTS);
const SORTED_NAMES: &[&str] = MERGED_NAMES.sorted();

/// The names of events: few of the words, for every event that has a name is compared with them.
pub(in crate::service) static NAMES: Words = Words::new(SORTED_NAMES);

/// The name of an event, by its place among [`NAMES`], as one of the words.
#[inline]
pub(in crate::service) fn name(place: Word) -> Word {
    const WORDS: [Word; SORTED_NAMES.len()] = {
        let mut words = [OTHER; SORTED_NAMES.len()];
        let mut place = 0;
        while place < words.len() {
            words[place] = EVENTS.word(SORTED_NAMES[place]);
            place += 1;
        }
        words
    };
    // What is no name, or nothing, stays what it is.
    WORDS.get(usize::from(place)).copied().unwrap_or(place)
}

/// The codes and types of errors that are not the server's own.
pub(in crate::service) const CODE_WORDS: [Word; CODES.len()] = {
    let mut words = [OTHER; CODES.len()];
    let mut index = 0;
    while index < words.len() {
        words[index] = EVENTS.word(CODES[index]);
        index += 1;
    }
    words
};

/// An event that has not said its name.
pub(in crate::service) const UNNAMED: Word = ITEM;
/// An event with a field `error`, which is nobody's name.
pub(in crate::service) const ERROR_LINE: Word = OTHER - 3;

/// How many words these lists have, those that stand in several counted several times.
pub(super) const fn total(lists: &[&[&[&str]]]) -> usize {
    let (mut total, mut group) = (0, 0);
    while group < lists.len() {
        let mut list = 0;
        while list < lists[group].len() {
            total += lists[group][list].len();
            list += 1;
        }
        group += 1;
    }
    total
}

/// Lists of words in one, sorted, each word once. For constants.
pub(super) struct Merged<const TOTAL: usize> {
    words: [&'static str; TOTAL],
    length: usize,
}

impl<const TOTAL: usize> Merged<TOTAL> {
    pub const fn new(lists: &[&[&[&'static str]]]) -> Merged<TOTAL> {
        let mut merged = Merged { words: [""; TOTAL], length: 0 };
        let mut group = 0;
        while group < lists.len() {
            let mut list = 0;
            while list < lists[group].len() {
                let mut word = 0;
                while word < lists[group][list].len() {
                    merged.insert(lists[group][list][word]);
                    word += 1;
                }
                list += 1;
            }
            group += 1;
        }
        merged
    }

    const fn insert(&mut self, word: &'static str) {
        let (mut first, mut end) = (0, self.length);
        while first < end {
            let middle = first.midpoint(end);
            match is_less(self.words[middle].as_bytes(), word.as_bytes()) {
                true => first = middle + 1,
                false => end = middle,
            }
        }
        let known = first < self.length && !is_less(word.as_bytes(), self.words[first].as_bytes());
        if known {
            return;
        }
        let mut at = self.length;
        while at > first {
            self.words[at] = self.words[at - 1];
            at -= 1;
        }
        self.words[first] = word;
        self.length += 1;
    }

    pub const fn sorted(&self) -> &[&'static str] {
        self.words.split_at(self.length).0
    }
}
