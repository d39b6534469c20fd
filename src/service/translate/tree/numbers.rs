//! How the numbers of a tree were written.
//!
//! A tree holds a number in 64 bits: `1e2` becomes 100.0, and of an integer with more than twenty digits the
//! last ones are lost. So of each number that is no integer of 64 bits the text is kept beside the tree, found
//! by its value. Two that have one value and not one text get values of their own, as close as can be: the
//! value of a number in a tree is for comparing, its text for writing.

use std::collections::HashMap;
use std::io;

use memchr::memchr2;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Number, Value};

/// So many texts of one value are told apart; what comes behind is written as one of them.
const NEIGHBOURS_MAX: usize = 64;

/// The texts of the numbers of one or more trees.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// By the bits of the value.
    texts: HashMap<u64, Box<str>>,
}

impl Numbers {
    /// A number that is `value`, or as close to it as can be, and is written so.
    pub(super) fn note(&mut self, value: f64, written: &str) -> Value {
        let mut held = value;
        for _ in 0..NEIGHBOURS_MAX {
            if self.texts.get(&held.to_bits()).is_none_or(|text| &**text == written) {
                break;
            }
            held = if held.is_sign_negative() { held.next_up() } else { held.next_down() };
        }
        // JSON has no number that is none.
        let Some(number) = Number::from_f64(held) else { return Value::Null };
        self.texts.entry(held.to_bits()).or_insert_with(|| written.into());
        Value::Number(number)
    }

    /// Writes a tree, whose numbers are these or were made here.
    pub fn write(&self, tree: &Value, out: &mut Vec<u8>) {
        let mut writer = serde_json::Serializer::with_formatter(out, Verbatim(self));
        // A tree has no keys but texts, and a vector takes all that it is given.
        let written = tree.serialize(&mut writer);
        debug_assert!(written.is_ok());
    }

    /// The same, as a text of its own.
    pub fn text(&self, tree: &Value) -> String {
        let mut out = Vec::new();
        self.write(tree, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

/// Writes numbers as they were.
struct Verbatim<'n>(&'n Numbers);

impl Formatter for Verbatim<'_> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        match self.0.texts.get(&value.to_bits()) {
            Some(text) => writer.write_all(text.as_bytes()),
            None => CompactFormatter.write_f64(writer, value),
        }
    }
}

/// The numbers of a JSON text, in the order in which they stand there.
pub(super) struct Numerals<'t> {
    rest: &'t [u8],
}

impl<'t> Numerals<'t> {
    pub(super) fn of(text: &'t [u8]) -> Numerals<'t> {
        Numerals { rest: text }
    }

    /// Passes over the string whose first quote has gone by.
    fn pass_string(&mut self) {
        while let Some(at) = memchr2(b'"', b'\\', self.rest) {
            let escaped = self.rest[at] == b'\\';
            self.rest = self.rest.get(at + 1 + usize::from(escaped)..).unwrap_or_default();
            if !escaped {
                return;
            }
        }
        self.rest = &[];
    }
}

impl<'t> Iterator for Numerals<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        loop {
            let at = self.rest.iter().position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9'))?;
            if self.rest[at] == b'"' {
                self.rest = &self.rest[at + 1..];
                self.pass_string();
                continue;
            }
            let number = &self.rest[at..];
            let in_number =
                |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
            let length = number.iter().position(|byte| !in_number(byte)).unwrap_or(number.len());
            self.rest = &number[length..];
            return std::str::from_utf8(&number[..length]).ok();
        }
    }
}
