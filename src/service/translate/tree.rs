//! A JSON text as a tree, for requests and documents.
//!
//! * No key of it means anything to the parser. serde_json's own trees unpack a string behind a key of its
//!   own (`$serde_json::private::RawValue`): whoever reads the text otherwise, to find its model, say, would
//!   read another request than the one that is translated.
//! * An object has a member once. What stands there twice can be read in two ways.
//! * A value takes many times the bytes that it is written with, so their number is bounded.
//! * A number is written again as it was: [`Numbers`] has the spelling of each that a tree cannot hold.
//! * Half a surrogate pair, which stands for no character, is read as U+FFFD.

mod numbers;
mod surrogates;

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

pub use self::numbers::Numbers;
use self::numbers::Numerals;

/// How many values a text may have, containers included: a hundred bytes each, roughly.
pub const VALUES_MAX: usize = 1 << 18;

/// A body without the byte order mark that some writers put in front of it, and most servers pass over.
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Parses a whole text whose numbers nobody writes again.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    Numbers::default().parse(text)
}

impl Numbers {
    /// Parses a whole text.
    pub fn parse(&mut self, text: &[u8]) -> Result<Value, serde_json::Error> {
        let text = surrogates::whole(text);
        let left = Cell::new(VALUES_MAX);
        let numerals = RefCell::new((Numerals::of(&text), self));
        let mut reader = serde_json::Deserializer::from_slice(&text);
        let tree = Node { left: &left, numerals: &numerals }.deserialize(&mut reader)?;
        reader.end()?;
        Ok(tree)
    }
}

/// One value.
#[derive(Clone, Copy)]
struct Node<'n, 't> {
    /// How many more there may be.
    left: &'n Cell<usize>,
    /// The numbers of the text that are still to come, and those of the tree.
    numerals: &'n RefCell<(Numerals<'t>, &'t mut Numbers)>,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(D::Error::custom(format_args!("more than {VALUES_MAX} values")));
        };
        self.left.set(left);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        self.numerals.borrow_mut().0.next();
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        self.numerals.borrow_mut().0.next();
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        let (numerals, numbers) = &mut *self.numerals.borrow_mut();
        let written = numerals.next().unwrap_or_default();
        Ok(numbers.note(number, written))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let value = object.next_value_seed(self)?;
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the member {name:?} twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_what_serde_json_reads() {
        for text in
            [r#"{"b":[1,-2,2.5,1e3,true,null,"\u00e9\ud83d\ude00"],"a":{}}"#, "[]", "\"x\"", " 7 "]
        {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse(text.as_bytes()).unwrap().to_string(), expected.to_string());
        }
        for text in ["", "{", "[1,]", "{} {}", "nul", "{\"a\":1,\"a\":2}", "1e400", "\"\\ud8\""] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_were() {
        for text in [
            r#"[1e2,100.0,1E2,123456789012345678901234567890,123456789012345678901234567891,-0,0.10,1.0,18446744073709551616]"#,
            r#"{"a 1e5 \" 7":[-12.50e+1,{"b":"3.140"},3.140,3.14]}"#,
        ] {
            let mut numbers = Numbers::default();
            let tree = numbers.parse(text.as_bytes()).unwrap();
            assert_eq!(numbers.text(&tree), text);
            // As far as it is a number, it is the same one.
            let plain: Value = serde_json::from_str(text).unwrap();
            if let Some(list) = plain.as_array() {
                for (ours, theirs) in tree.as_array().unwrap().iter().zip(list) {
                    let (ours, theirs) = (ours.as_f64().unwrap(), theirs.as_f64().unwrap());
                    assert!((ours - theirs).abs() <= theirs.abs() * 1e-15, "{ours} {theirs}");
                }
            }
        }
    }

    #[test]
    fn half_a_pair_of_surrogates_is_no_character() {
        for (text, expected) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""a\uDE00b""#, "a\u{fffd}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d\u0041""#, "\\\u{fffd}A"),
            (r#""\ud83dx\ude00""#, "\u{fffd}x\u{fffd}"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn no_key_means_anything_to_the_parser() {
        for name in ["$serde_json::private::RawValue", "$serde_json::private::Number"] {
            let text = format!(r#"{{"{name}":"{{\"model\":\"other\"}}"}}"#);
            let tree = parse(text.as_bytes()).unwrap();
            assert_eq!(tree[name], "{\"model\":\"other\"}");
            assert!(tree.get("model").is_none());
        }
    }

    #[test]
    fn values_and_depth_are_bounded() {
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
        assert!(parse(list(VALUES_MAX).as_bytes()).is_ok());
        let error = parse(list(VALUES_MAX + 1).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("values"), "{error}");
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
