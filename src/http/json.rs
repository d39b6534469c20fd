//! JSON in pieces: a field is found, nothing is parsed into anything.
//!
//! A [`Walker`] follows one JSON text (RFC 8259) through any pieces it comes in and tells what it
//! meets on the paths its caller has [`Words`] for. It knows at every byte whether it stands in a
//! key, a value or a string, and how deep: what a prompt *says* is never taken for a field.
//!
//! ```text
//!   {"choices":[{"index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":12}}
//!               path: choices · ITEM · finish_reason         usage · prompt_tokens
//! ```
//!
//! * Any cut of the text into pieces gives the same findings, texts of strings joined.
//! * Bounded whatever comes: a walker has a fixed size, and a text that is no JSON, or nests deeper
//!   than [`DEPTH_MAX`], ends the walk. What was found before stays found.
//! * Keys are compared as they are written. `"mod\u0065l"` is not `model`.
//!
//! Absent on purpose: validation of what is passed over (the spelling of numbers, UTF-8), and any
//! copy of the text. [`Text`] holds the one string a caller wants to keep, within its bound, and
//! [`members`] tells whoever has a whole text where its parts lie.

mod members;
mod state;
mod text;
mod words;
mod write;

#[cfg(test)]
mod tests;

use self::state::{Literal, State};

pub use self::members::{Member, elements, member, members};
pub use self::text::{Decoder, Text};
pub use self::words::{ITEM, Matcher, OTHER, Word, Words, is_less};
pub use self::write::{escape, escaped_length};

/// Nesting beyond this ends a walk.
pub const DEPTH_MAX: usize = 64;
/// Paths longer than this are not told.
pub const PATH_MAX: usize = 5;
/// A word of which everything is told stands no deeper than this.
const BELOW_MAX: usize = 3;

/// What a walker meets at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'d> {
    /// The value is an object or an array, which begins here.
    Container,
    /// The value is a string, which begins here.
    String,
    /// Some of the string, as written: escapes and all.
    Text(&'d [u8]),
    /// The end of the string: one of the words, or [`OTHER`].
    StringEnd(Word),
    /// A number. `Some` if it is written with digits alone; beyond the range it is the largest.
    Number(Option<u32>),
    True,
    False,
    Null,
}

/// Sixty-four bits that ask for no more alignment than their neighbours: the records that hold a
/// walker are counted in bytes.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(4))]
struct Bits(u64);

/// Follows one JSON text.
#[derive(Clone, Debug)]
pub struct Walker {
    /// For each open container, the innermost in the lowest bit: whether it is an object.
    objects: Bits,
    /// Of a number that comes now its digits; of a text what its reader notes between two pieces.
    number: u32,
    depth: u8,
    /// How each of the outer containers was entered further.
    path: [Word; PATH_MAX],
    /// The key whose value comes next, at any depth.
    leaf: Word,
    matcher: Matcher,
    state: State,
}

impl Default for Walker {
    fn default() -> Walker {
        Walker::new()
    }
}

impl Walker {
    /// A walker at the first byte of a text.
    pub const fn new() -> Walker {
        Walker {
            objects: Bits(0),
            number: 0,
            depth: 0,
            path: [OTHER; PATH_MAX],
            leaf: OTHER,
            matcher: Matcher::NOTHING,
            state: State::Value,
        }
    }

    /// Whether nothing more will be found: the text is complete, or no JSON.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Lost)
    }

    /// Whether nothing of the text has come yet.
    pub fn is_fresh(&self) -> bool {
        self.depth == 0 && self.state == State::Value
    }

    /// Whether the text is complete, with nothing but white space behind it.
    pub fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// Begins to compare a word that is no part of the text. It may come between two lines of it, where
    /// no key and no string is open.
    pub fn spell(&mut self, words: &Words) {
        self.matcher = Matcher::new(words);
    }

    /// Some of the word.
    pub fn spell_on(&mut self, words: &Words, part: &[u8]) {
        self.matcher.take(words, part);
    }

    /// The word, now that it has ended; [`ITEM`]: nothing has come.
    pub fn spelt(&self, words: &Words) -> Word {
        match self.matcher == Matcher::new(words) {
            true => ITEM,
            false => self.matcher.word(words),
        }
    }

    /// Whether this is no JSON, or nests too deeply.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// A line of the text has ended, and the line feed comes next. A string does not reach beyond it:
    /// there it would have to be escaped.
    pub fn end_line(&mut self) {
        if matches!(
            self.state,
            State::String { .. } | State::KeyString | State::Escape { .. } | State::KeyEscape
        ) {
            self.state = State::Lost;
        }
    }

    /// Takes the next bytes. `on` is told the path, the place in `data`, and what was found there:
    /// the first byte of a container or string, the byte behind any other value.
    #[inline]
    pub fn feed(
        &mut self,
        words: &Words,
        data: &[u8],
        mut on: impl FnMut(&[Word], usize, Found<'_>),
    ) {
        self.feed_noting(words, data, |path, at, found, _| on(path, at, found));
    }

    /// The same, for who reads the texts of strings in pieces: what it notes of one piece it is given
    /// back with the next of the same string. It is 0 where a string begins.
    #[inline]
    pub fn feed_noting(
        &mut self,
        words: &Words,
        data: &[u8],
        mut on: impl FnMut(&[Word], usize, Found<'_>, &mut u32),
    ) {
        let mut at = 0;
        while at < data.len() {
            at = match self.state {
                State::String { told } => self.string(words, data, at, told, &mut on),
                State::KeyString => self.key(words, data, at),
                State::Escape { told } => {
                    if told {
                        self.tell(words, at, Found::Text(&data[at..=at]), &mut on);
                    }
                    self.state = State::String { told };
                    at + 1
                }
                State::KeyEscape => {
                    self.state = State::KeyString;
                    at + 1
                }
                State::Number { plain } => self.number(words, data[at], at, plain, &mut on),
                State::Literal { literal, matched } => {
                    self.literal(words, data[at], at, literal, matched, &mut on)
                }
                State::Lost => return,
                _ if words.skims && self.is_in_unknown(words) => self.skim(data, at),
                _ => {
                    self.between(words, data[at], at, &mut on);
                    at + 1
                }
            };
        }
    }

    /// A byte outside strings, numbers and literals.
    fn between(
        &mut self,
        words: &Words,
        byte: u8,
        at: usize,
        on: &mut impl FnMut(&[Word], usize, Found<'_>, &mut u32),
    ) {
        let in_object = self.objects.0 & 1 == 1;
        self.state = match (self.state, byte) {
            (state, b' ' | b'\t' | b'\n' | b'\r') => state,
            (State::Value | State::ValueOrEnd, b'"') => {
                let told = self.is_told(words);
                self.matcher = if told { Matcher::new(words) } else { Matcher::NOTHING };
                self.number = 0;
                self.tell(words, at, Found::String, on);
                State::String { told }
            }
            (State::Value | State::ValueOrEnd, b'{' | b'[') => {
                self.tell(words, at, Found::Container, on);
                self.open(byte == b'{')
            }
            (State::Value | State::ValueOrEnd, b'0'..=b'9') => {
                self.number = u32::from(byte - b'0');
                State::Number { plain: true }
            }
            (State::Value | State::ValueOrEnd, b'-') => State::Number { plain: false },
            (State::Value | State::ValueOrEnd, b't' | b'f' | b'n') => {
                let literal = match byte {
                    b't' => Literal::True,
                    b'f' => Literal::False,
                    _ => Literal::Null,
                };
                State::Literal { literal, matched: 1 }
            }
            (State::ValueOrEnd, b']') | (State::KeyOrEnd, b'}') => self.close(),
            (State::After, b'}') if in_object => self.close(),
            (State::After, b']') if !in_object => self.close(),
            (State::After, b',') => match in_object {
                true => State::Key,
                false => State::Value,
            },
            (State::Key | State::KeyOrEnd, b'"') => {
                // Too deep for a path: no need to know the name.
                let named = usize::from(self.depth) <= PATH_MAX || words.anywhere != ITEM;
                self.matcher = if named { Matcher::new(words) } else { Matcher::NOTHING };
                State::KeyString
            }
            (State::Colon, b':') => State::Value,
            _ => State::Lost,
        };
    }

    fn open(&mut self, object: bool) -> State {
        if usize::from(self.depth) == DEPTH_MAX {
            return State::Lost;
        }
        self.objects = Bits(self.objects.0 << 1 | u64::from(object));
        if let Some(step) = self.path.get_mut(usize::from(self.depth)) {
            *step = if object { OTHER } else { ITEM };
        }
        self.depth += 1;
        self.leaf = OTHER;
        if object { State::KeyOrEnd } else { State::ValueOrEnd }
    }

    fn close(&mut self) -> State {
        self.objects = Bits(self.objects.0 >> 1);
        self.depth -= 1;
        self.leaf = OTHER;
        self.after_value()
    }

    fn after_value(&self) -> State {
        if self.depth == 0 { State::Done } else { State::After }
    }

    /// In a string that is a value, at `at`. Returns where to go on.
    fn string(
        &mut self,
        words: &Words,
        data: &[u8],
        at: usize,
        told: bool,
        on: &mut impl FnMut(&[Word], usize, Found<'_>, &mut u32),
    ) -> usize {
        let end = self.compare(words, data, at);
        if told {
            // The backslash belongs to the text.
            let escape = usize::from(data.get(end) == Some(&b'\\'));
            if end + escape > at {
                self.tell(words, at, Found::Text(&data[at..end + escape]), on);
            }
        }
        match data.get(end) {
            None => return end,
            Some(b'"') => {
                if told {
                    self.tell(words, end + 1, Found::StringEnd(self.matcher.word(words)), on);
                }
                self.state = self.after_value();
            }
            Some(_) => {
                self.matcher = Matcher::NOTHING;
                self.state = State::Escape { told };
            }
        }
        end + 1
    }

    /// In a key.
    fn key(&mut self, words: &Words, data: &[u8], at: usize) -> usize {
        let end = self.compare(words, data, at);
        match data.get(end) {
            None => return end,
            Some(b'"') => {
                self.leaf = self.matcher.word(words);
                if let Some(step) = self.path.get_mut(usize::from(self.depth) - 1) {
                    *step = self.leaf;
                }
                self.state = State::Colon;
            }
            Some(_) => {
                self.matcher = Matcher::NOTHING;
                self.state = State::KeyEscape;
            }
        }
        end + 1
    }

    /// Compares the inside of a string from `at` on. Returns where a quote or a backslash comes, or
    /// the data ends.
    fn compare(&mut self, words: &Words, data: &[u8], at: usize) -> usize {
        let mut end = at;
        while !self.matcher.is_lost() {
            match data.get(end) {
                None | Some(b'"' | b'\\') => return end,
                Some(&byte) => self.matcher.step(words, byte),
            }
            end += 1;
        }
        memchr::memchr2(b'"', b'\\', &data[end..]).map_or(data.len(), |length| end + length)
    }

    fn number(
        &mut self,
        words: &Words,
        byte: u8,
        at: usize,
        plain: bool,
        on: &mut impl FnMut(&[Word], usize, Found<'_>, &mut u32),
    ) -> usize {
        match byte {
            b'0'..=b'9' => {
                self.number = self.number.saturating_mul(10).saturating_add((byte - b'0').into());
                at + 1
            }
            b'.' | b'-' | b'+' | b'e' | b'E' => {
                self.state = State::Number { plain: false };
                at + 1
            }
            _ => {
                self.tell(words, at, Found::Number(plain.then_some(self.number)), on);
                self.state = self.after_value();
                at
            }
        }
    }

    fn literal(
        &mut self,
        words: &Words,
        byte: u8,
        at: usize,
        literal: Literal,
        matched: u8,
        on: &mut impl FnMut(&[Word], usize, Found<'_>, &mut u32),
    ) -> usize {
        let spelling = literal.spelling();
        if spelling[usize::from(matched)] != byte {
            self.state = State::Lost;
        } else if usize::from(matched) + 1 < spelling.len() {
            self.state = State::Literal { literal, matched: matched + 1 };
        } else {
            self.tell(words, at + 1, literal.found(), on);
            self.state = self.after_value();
        }
        at + 1
    }

    /// Whether nothing can be told of what this container holds.
    fn is_in_unknown(&self, words: &Words) -> bool {
        let depth = usize::from(self.depth);
        depth > 1
            && (depth > PATH_MAX || self.path[..depth - 1].contains(&OTHER))
            && !self.is_below(words)
    }

    /// In a container of which nothing is told: goes on to its next string or bracket.
    fn skim(&mut self, data: &[u8], at: usize) -> usize {
        let rest = &data[at..];
        let stop = memchr::memchr3(b'"', b'[', b']', rest).unwrap_or(rest.len());
        let stop = memchr::memchr2(b'{', b'}', &rest[..stop]).unwrap_or(stop);
        let Some(&byte) = rest.get(stop) else { return data.len() };
        self.state = match (byte, self.objects.0 & 1 == 1) {
            (b'"', _) => {
                self.matcher = Matcher::NOTHING;
                State::String { told: false }
            }
            (b'{' | b'[', _) => self.open(byte == b'{'),
            (b'}', true) | (b']', false) => self.close(),
            _ => State::Lost,
        };
        at + stop + 1
    }

    /// Whether all steps to where we stand are words or array elements, but for the last one below the
    /// word whose members are all told.
    fn is_known(&self, words: &Words) -> bool {
        match self.path.get(..usize::from(self.depth)).and_then(<[Word]>::split_last) {
            Some((&last, before)) => {
                let known = last != OTHER || before.last() == Some(&words.members);
                known && !before.contains(&OTHER)
            }
            None => false,
        }
    }

    /// Whether we stand below the word of which everything is told.
    fn is_below(&self, words: &Words) -> bool {
        let depth = usize::from(self.depth).min(BELOW_MAX);
        self.path[..depth].contains(&words.below)
    }

    fn is_told(&self, words: &Words) -> bool {
        self.is_known(words) || self.leaf == words.anywhere || self.is_below(words)
    }

    fn tell(
        &mut self,
        words: &Words,
        at: usize,
        found: Found<'_>,
        on: &mut impl FnMut(&[Word], usize, Found<'_>, &mut u32),
    ) {
        let depth = usize::from(self.depth).min(PATH_MAX);
        if self.is_known(words) {
            on(&self.path[..depth], at, found, &mut self.number);
        } else if self.leaf == words.anywhere {
            on(&[OTHER, self.leaf], at, found, &mut self.number);
        } else if self.is_below(words) {
            on(&self.path[..depth], at, found, &mut self.number);
        }
    }
}
