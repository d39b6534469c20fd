//! Predefined answers of Gemini, and its error document.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::http::reply::google_status;
use crate::service::dialects::writing::{CODE, CannedStream, bytes_of};

fn response(model: &str, text: &str, ends: bool) -> Value {
    let mut candidate = json!({
        "content": {"parts": [{"text": text}], "role": "model"},
        "index": 0,
    });
    if ends {
        candidate["finishReason"] = "STOP".into();
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 0,
            "candidatesTokenCount": 0,
            "totalTokenCount": 0,
        },
        "modelVersion": model,
    })
}

/// `listed`: a stream was asked for, and not as events.
pub(super) fn document(model: &str, text: &str, listed: bool) -> Bytes {
    let response = response(model, text, true);
    bytes_of(&if listed { json!([response]) } else { response })
}

#[derive(Debug)]
pub(super) struct Stream {
    model: String,
}

impl Stream {
    pub fn new(model: &str) -> Stream {
        Stream { model: model.to_owned() }
    }

    fn event(&self, text: &str, ends: bool) -> Bytes {
        Bytes::from(format!("data: {}\r\n\r\n", response(&self.model, text, ends)))
    }
}

impl CannedStream for Stream {
    fn piece(&self, _index: u64, text: &str) -> Bytes {
        self.event(text, false)
    }

    fn closing(&self, _pieces: u64, _text: &str) -> Option<Bytes> {
        Some(self.event("", true))
    }
}

pub(super) fn error_document(status: u16, text: &str) -> Bytes {
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": CODE,
        "domain": "sluicegate",
    });
    let error = json!({
        "code": status,
        "message": text,
        "status": google_status(status),
        "details": [info],
    });
    bytes_of(&json!({"error": error}))
}
