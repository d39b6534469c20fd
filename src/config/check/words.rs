//! What names are made of, and what is said of one that nobody knows.

use super::super::problem::Mistake;
use super::FIELD_NAME_MAX;

/// The name of a header field (RFC 9110 section 5.1), in lower case: names ignore case.
pub(super) fn field_name(text: &str) -> Result<String, Mistake> {
    if text.len() > FIELD_NAME_MAX || !is_token(text) {
        return Err(Mistake::new(format!("{text:?} is no name of a header field")));
    }
    Ok(text.to_ascii_lowercase())
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(legal)
}

/// A mistake in a name, with the name that was probably meant.
pub(super) fn unknown_name(kind: &str, written: &str, meant: Option<&str>) -> Mistake {
    let mistake = Mistake::new(format!("there is no {kind} named {written:?}"));
    match meant {
        Some(meant) => mistake.meant(meant),
        None => mistake,
    }
}
