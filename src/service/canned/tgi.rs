//! `/generate` and `/generate_stream`

use bytes::Bytes;
use serde_json::{Value, json};

use super::bytes_of;

pub(super) fn document(text: &str) -> Bytes {
    bytes_of(&json!({"generated_text": text}))
}

fn token(index: u64, text: &str, special: bool, generated: Option<&str>) -> Value {
    json!({
        "index": index,
        "token": {"id": 0, "text": text, "logprob": 0.0, "special": special},
        "generated_text": generated,
        "details": null,
    })
}

fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data:{data}\n\n"))
}

/// Tokens are counted from 1.
pub(super) fn piece(index: u64, text: &str) -> Bytes {
    event(&token(index + 1, text, false, None))
}

/// The end is a token that is no text, and carries all of it.
pub(super) fn closing(pieces: u64, text: &str) -> Bytes {
    event(&token(pieces + 1, "", true, Some(text)))
}
