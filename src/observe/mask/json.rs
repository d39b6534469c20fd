//! The mask of one JSON text: as long as the text, and of the same structure.
//!
//! It begins as nothing but masks, and shows what it understands: brackets, commas and white space
//! between values, `true`, `false` and `null`, and what the [`Shown`] of a place allows. Where the
//! text stops to be JSON nothing more is shown, so a mistake here hides too much.
//!
//! * A mask of JSON is JSON: a text becomes as many `x`, a digit a 1.
//! * A text that is cut short shows no word and no number that might have gone on.

use super::shape::{COUNT_DIGITS_MAX, HIDDEN, Shown};

/// What stands in the place of a byte of text.
pub const MASK: u8 = b'x';

/// The mask of `text`, which begins at a place of this shape.
pub fn mask(text: &[u8], shape: &'static Shown) -> Vec<u8> {
    let out = vec![MASK; text.len()];
    let mut walk = Walk { text, out, at: 0, open: Vec::new(), shape, next: Next::Value };
    while walk.at < text.len() && walk.next != Next::Nothing {
        walk.step(text[walk.at]);
    }
    walk.out
}

/// What comes next in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Value,
    /// Behind `[`.
    ValueOrEnd,
    /// Behind a comma in an object.
    Key,
    /// Behind `{`.
    KeyOrEnd,
    Colon,
    /// A comma or the end of the container.
    More,
    /// White space.
    End,
    /// It is no JSON.
    Nothing,
}

struct Walk<'t> {
    text: &'t [u8],
    out: Vec<u8>,
    at: usize,
    /// The containers around `at`: whether each is an object, and its shape.
    open: Vec<(bool, &'static Shown)>,
    /// Of the value that comes next.
    shape: &'static Shown,
    next: Next,
}

impl Walk<'_> {
    fn step(&mut self, byte: u8) {
        let in_object = self.open.last().is_some_and(|(object, _)| *object);
        match (self.next, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => self.show(1),
            (Next::Value | Next::ValueOrEnd, b'{' | b'[') => {
                let object = byte == b'{';
                self.open.push((object, self.shape));
                self.next = if object { Next::KeyOrEnd } else { Next::ValueOrEnd };
                if !object {
                    self.shape = self.shape.item();
                }
                self.show(1);
            }
            (Next::Value | Next::ValueOrEnd, b'"') => self.string(),
            (Next::Value | Next::ValueOrEnd, b'-' | b'0'..=b'9') => self.number(),
            (Next::Value | Next::ValueOrEnd, b't') => self.literal(b"true"),
            (Next::Value | Next::ValueOrEnd, b'f') => self.literal(b"false"),
            (Next::Value | Next::ValueOrEnd, b'n') => self.literal(b"null"),
            (Next::Key | Next::KeyOrEnd, b'"') => self.key(),
            (Next::Colon, b':') => {
                self.next = Next::Value;
                self.show(1);
            }
            (Next::More, b',') => {
                self.next = if in_object { Next::Key } else { Next::Value };
                // An object's shape is that of its key, which comes first.
                self.shape = self.open.last().map_or(&HIDDEN, |(_, list)| list.item());
                self.show(1);
            }
            (Next::More | Next::KeyOrEnd, b'}') if in_object => self.close(),
            (Next::More | Next::ValueOrEnd, b']') if !in_object => self.close(),
            _ => self.next = Next::Nothing,
        }
    }

    /// Shows the next `count` bytes and goes on behind them.
    fn show(&mut self, count: usize) {
        let shown = self.at..self.at + count;
        self.out[shown.clone()].copy_from_slice(&self.text[shown]);
        self.at += count;
    }

    fn close(&mut self) {
        self.open.pop();
        self.show(1);
        self.end_value();
    }

    fn end_value(&mut self) {
        self.next = if self.open.is_empty() { Next::End } else { Next::More };
    }

    /// The length of the string inside its quotes; `None`: it has no end.
    fn string_length(&self) -> Option<usize> {
        let inside = &self.text[self.at + 1..];
        let mut length = 0;
        loop {
            match inside.get(length)? {
                b'"' => return Some(length),
                // Would have to be escaped.
                ..=0x1f => return None,
                b'\\' => length += 2,
                _ => length += 1,
            }
        }
    }

    /// Passes a string, of which the inside is shown if `is_shown` says so.
    fn pass_string(&mut self, is_shown: impl FnOnce(&[u8]) -> bool) {
        let length = self.string_length();
        self.show(1);
        let Some(length) = length else {
            self.next = Next::Nothing;
            return;
        };
        match is_shown(&self.text[self.at..self.at + length]) {
            true => self.show(length),
            false => self.at += length,
        }
        self.show(1);
    }

    fn string(&mut self) {
        let shape = self.shape;
        self.end_value();
        self.pass_string(|text| shape.has_word(text));
    }

    fn key(&mut self) {
        let object = self.open.last().map_or(&HIDDEN, |(_, shape)| *shape);
        let mut member = None;
        self.next = Next::Colon;
        self.pass_string(|name| {
            member = object.member(name);
            member.is_some()
        });
        self.shape = member.unwrap_or(&HIDDEN);
    }

    fn number(&mut self) {
        let rest = &self.text[self.at..];
        let of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let length = rest.iter().position(|byte| !of_number(byte));
        let number = &rest[..length.unwrap_or(rest.len())];
        let is_count = number.len() <= COUNT_DIGITS_MAX && number.iter().all(u8::is_ascii_digit);
        if !is_number(number) && length.is_some() {
            self.next = Next::Nothing;
        } else if length.is_some() && is_count && self.shape.counts {
            self.show(number.len());
            self.end_value();
        } else {
            let exponent = number.iter().position(|byte| b"eE".contains(byte));
            let exponent = exponent.unwrap_or(number.len());
            for (index, byte) in number.iter().enumerate() {
                self.out[self.at + index] = match byte {
                    // As an exponent, ones may be more than any number can be.
                    b'0'..=b'9' if index > exponent => b'0',
                    b'0'..=b'9' => b'1',
                    _ => *byte,
                };
            }
            self.at += number.len();
            self.end_value();
        }
    }

    fn literal(&mut self, literal: &[u8]) {
        let rest = &self.text[self.at..];
        if rest.starts_with(literal) {
            self.show(literal.len());
            self.end_value();
        } else if literal.starts_with(rest) {
            // Cut short.
            self.show(rest.len());
        } else {
            self.next = Next::Nothing;
        }
    }
}

/// Whether the text is a number of JSON's (RFC 8259, 6).
fn is_number(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> (usize, &[u8]) {
        let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count, &text[count..])
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (count, mut rest) = digits(text);
    let mut whole = count == 1 || count > 1 && text[0] != b'0';
    if let Some(fraction) = rest.strip_prefix(b".") {
        let (count, behind) = digits(fraction);
        whole &= count > 0;
        rest = behind;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            _ => exponent,
        };
        let (count, behind) = digits(unsigned);
        whole &= count > 0;
        rest = behind;
    }
    whole && rest.is_empty()
}
