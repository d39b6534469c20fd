//! What a plugin may change in a head, and how it is written there.

use super::Edits;
use crate::http::field_rules::{FieldRules, is_field_name, is_field_value, is_ours};

/// The most fields that one call may change.
const FIELDS_MAX: usize = 64;

/// What the edits of a call change in the fields of a head. An error: why that is not done, as the rest of a
/// sentence.
pub fn rules(edits: &Edits) -> Result<FieldRules, String> {
    let count = edits.set.len() + edits.add.len() + edits.remove.len();
    if count > FIELDS_MAX {
        return Err(format!("changes {count} fields, and {FIELDS_MAX} are the most"));
    }
    let pairs = |pairs: &[(Vec<u8>, Vec<u8>)]| -> Result<Vec<(String, Vec<u8>)>, String> {
        let pair = |(name, value): &(Vec<u8>, Vec<u8>)| {
            let name = name_of(name)?;
            match is_field_value(value) {
                true => Ok((name, value.clone())),
                false => Err(format!("gives the field {name} a value that none can have")),
            }
        };
        pairs.iter().map(pair).collect()
    };
    let removed = edits.remove.iter().map(|name| Ok(name_of(name)?.to_ascii_lowercase()));
    Ok(FieldRules {
        remove: removed.collect::<Result<_, String>>()?,
        rename: Vec::new(),
        set: pairs(&edits.set)?,
        add: pairs(&edits.add)?,
    })
}

fn name_of(name: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(name).into_owned();
    if !is_field_name(name) {
        return Err(format!("names a field {text:?}, which is no name"));
    }
    if is_ours(&text.to_ascii_lowercase()) {
        return Err(format!("changes the field {text}, which is the gateway's own"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_a_message_is_not_changed() {
        let set = |name: &str, value: &str| {
            let pair = (name.as_bytes().to_vec(), value.as_bytes().to_vec());
            rules(&Edits { set: vec![pair], ..Edits::default() })
        };
        let expected =
            FieldRules { set: vec![("X-A".into(), b"b".to_vec())], ..FieldRules::default() };
        assert_eq!(set("X-A", "b"), Ok(expected));
        for (name, value) in [
            ("Content-Length", "3"),
            ("transfer_encoding", "chunked"),
            ("Host", "a"),
            ("a b", "c"),
            ("", "c"),
            ("X-A", "b\r\nX-B: c"),
            ("X-A", "b\0"),
        ] {
            assert!(set(name, value).is_err(), "{name}: {value}");
        }
        let remove = Edits { remove: vec![b"Connection".to_vec()], ..Edits::default() };
        assert!(rules(&remove).is_err());
        let many = Edits { remove: vec![b"X-A".to_vec(); 65], ..Edits::default() };
        assert!(rules(&many).is_err());
    }
}
