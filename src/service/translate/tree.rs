//! A JSON text as a tree, for requests and documents.
//!
//! * No key of it means anything to the parser. serde_json's own trees unpack a string behind a key of its
//!   own (`$serde_json::private::RawValue`): whoever reads the text otherwise, to find its model, say, would
//!   read another request than the one that is translated.
//! * An object has a member once. What stands there twice can be read in two ways.
//! * A value takes many times the bytes that it is written with, so their number is bounded.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How many values a text may have, containers included: a hundred bytes each, roughly.
pub const VALUES_MAX: usize = 1 << 18;

/// Parses a whole text.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    let left = Cell::new(VALUES_MAX);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let tree = Node(&left).deserialize(&mut reader)?;
    reader.end()?;
    Ok(tree)
}

/// One value; the cell has how many more there may be.
#[derive(Clone, Copy)]
struct Node<'n>(&'n Cell<usize>);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let Some(left) = self.0.get().checked_sub(1) else {
            return Err(D::Error::custom(format_args!("more than {VALUES_MAX} values")));
        };
        self.0.set(left);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
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
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        // JSON has no number that is none.
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
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
        for text in ["", "{", "[1,]", "{} {}", "nul", "{\"a\":1,\"a\":2}", "1e400", "\"\\ud800\""] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
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
