//! Predefined answers of llama.cpp's `/completion`, and its error document.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::service::dialects::writing::{CODE, CannedStream, bytes_of};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(super) struct Stream {
    model: String,
}

pub(super) fn document(identity: &Identity<'_>, text: &str) -> Bytes {
    bytes_of(&Stream::new(identity).last(text))
}

impl Stream {
    pub fn new(identity: &Identity<'_>) -> Stream {
        Stream { model: identity.model.to_owned() }
    }

    fn last(&self, text: &str) -> Value {
        json!({
            "index": 0,
            "content": text,
            "tokens": [],
            "id_slot": -1,
            "stop": true,
            "model": self.model,
            "tokens_predicted": 0,
            "tokens_evaluated": 0,
            "stop_type": "eos",
            "stopping_word": "",
            "truncated": false,
        })
    }
}

fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

impl CannedStream for Stream {
    fn piece(&self, _index: u64, text: &str) -> Bytes {
        event(&json!({
            "index": 0,
            "content": text,
            "tokens": [],
            "stop": false,
            "id_slot": -1,
            "tokens_predicted": 0,
            "tokens_evaluated": 0,
        }))
    }

    fn closing(&self, _pieces: u64, _text: &str) -> Option<Bytes> {
        Some(event(&self.last("")))
    }
}

pub(super) fn error_document(status: u16, text: &str) -> Bytes {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        501 => "not_supported_error",
        503 => "unavailable_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let error = json!({"code": status, "message": text, "type": kind, "reason": CODE});
    bytes_of(&json!({"error": error}))
}
