//! Credentials: where in the head of a request the key of an API stands.
//!
//! | field | who sends it |
//! |---|---|
//! | `Authorization: Bearer KEY` | OpenAI's SDKs and most others |
//! | `x-api-key` | Anthropic's |
//! | `api-key` | Azure's |
//! | `x-goog-api-key` | Gemini's |
//!
//! Absent on purpose: `?key=` in a query. What stands in a URL ends in the logs of every hop.

use httparse::Header;

use super::head::{FieldSet, RequestHead};

/// The fields that can hold a key, in the order in which they are believed.
pub const FIELDS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// Every key that a head holds, in the order of [`FIELDS`]: each behind the place of its field in that
/// list.
pub fn keys_of<'b>(head: &RequestHead<'b>) -> impl Iterator<Item = (usize, &'b [u8])> {
    let fields = head.fields;
    FIELDS.iter().enumerate().flat_map(move |(place, name)| {
        let named = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.filter_map(move |field| key_in(place, field.value).map(|key| (place, key)))
    })
}

/// The value of every field of a head that can hold a key, whatever it holds.
pub fn credentials_of<'b>(head: &RequestHead<'b>) -> impl Iterator<Item = &'b [u8]> {
    let named = |name: &str| FIELDS.iter().any(|known| name.eq_ignore_ascii_case(known));
    head.fields.iter().filter(move |field| named(field.name)).map(|field| field.value)
}

/// The fields of a head that can hold a key, by their place in [`FIELDS`] and their value.
pub fn fields_that(holds: impl Fn(usize, &[u8]) -> bool, fields: &[Header<'_>]) -> FieldSet {
    let mut found = FieldSet::default();
    for (index, field) in fields.iter().enumerate() {
        let place = FIELDS.iter().position(|name| field.name.eq_ignore_ascii_case(name));
        if place.is_some_and(|place| holds(place, field.value)) {
            found.insert(index);
        }
    }
    found
}

/// The key in a value of one of [`FIELDS`].
pub fn key_in(place: usize, value: &[u8]) -> Option<&[u8]> {
    let key = match place {
        0 => bearer(value)?,
        _ => value,
    };
    Some(key.trim_ascii()).filter(|key| !key.is_empty())
}

/// The token behind the name of the scheme, in whatever case that is (RFC 9110 §11.1).
fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = credentials.trim_ascii_start().split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse_request};

    fn found(fields: &str) -> Vec<(usize, String)> {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut slots = FieldSlots::new();
        let limits = HeadLimits { bytes: 8_192, fields: 64 };
        let head = parse_request(text.as_bytes(), &mut slots, &limits).expect("legal");
        let head = head.expect("whole");
        keys_of(&head).map(|(at, key)| (at, String::from_utf8_lossy(key).into_owned())).collect()
    }

    #[test]
    fn the_key_is_where_the_dialects_have_it() {
        for (fields, expected) in [
            ("Authorization: Bearer sk-1\r\n", vec![(0, "sk-1")]),
            ("X-Api-Key: b\r\nauthorization: bEARER   a \r\n", vec![(0, "a"), (1, "b")]),
            ("Authorization: Basic c2s=\r\napi-key: c\r\n", vec![(2, "c")]),
            ("Authorization: Bearer \r\nx-goog-api-key: d\r\n", vec![(3, "d")]),
            ("Authorization: Bearer\r\nx-api-key: \r\n", vec![]),
            ("x-api-key: a\r\nx-api-key: b\r\n", vec![(1, "a"), (1, "b")]),
            ("x_api_key: a\r\n", vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(at, key)| (at, key.into())).collect();
            assert_eq!(found(fields), expected, "{fields:?}");
        }
    }
}
