//! Predefined answers of TGI as a stream.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::service::dialects::writing::CannedStream;

/// Its events say nothing of the model or the request.
#[derive(Debug)]
pub(super) struct Stream;

fn token(index: u64, text: &str, special: bool, generated: Option<&str>) -> Bytes {
    let data: Value = json!({
        "index": index,
        "token": {"id": 0, "text": text, "logprob": 0.0, "special": special},
        "generated_text": generated,
        "details": null,
    });
    Bytes::from(format!("data:{data}\n\n"))
}

impl CannedStream for Stream {
    /// Tokens are counted from 1.
    fn piece(&self, index: u64, text: &str) -> Bytes {
        token(index + 1, text, false, None)
    }

    /// The end is a token that is no text, and carries all of it.
    fn closing(&self, pieces: u64, text: &str) -> Option<Bytes> {
        Some(token(pieces + 1, "", true, Some(text)))
    }
}
