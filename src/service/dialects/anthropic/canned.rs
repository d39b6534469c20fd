//! `/v1/messages`

use bytes::Bytes;
use serde_json::{Value, json};

use crate::service::dialects::writing::{CannedStream, bytes_of, event};
use crate::service::openai::Identity;

fn message(identity: &Identity<'_>, content: Value, stop_reason: Option<&str>) -> Value {
    json!({
        "id": format!("msg_{:016x}", identity.serial),
        "type": "message",
        "role": "assistant",
        "model": identity.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    })
}

pub(super) fn document(identity: &Identity<'_>, text: &str) -> Bytes {
    let content = json!([{"type": "text", "text": text}]);
    bytes_of(&message(identity, content, Some("end_turn")))
}

#[derive(Debug)]
pub(super) struct Stream {
    message: Value,
}

impl Stream {
    pub fn new(identity: &Identity<'_>) -> Stream {
        Stream { message: message(identity, json!([]), None) }
    }
}

impl CannedStream for Stream {
    fn opening(&self) -> Option<Bytes> {
        let start = json!({"type": "message_start", "message": self.message});
        let block = json!({
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        });
        let events = event("message_start", &start) + &event("content_block_start", &block);
        Some(Bytes::from(events))
    }

    fn piece(&self, _index: u64, text: &str) -> Bytes {
        let delta = json!({
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": text},
        });
        Bytes::from(event("content_block_delta", &delta))
    }

    fn closing(&self, _pieces: u64, _text: &str) -> Option<Bytes> {
        let block = json!({"type": "content_block_stop", "index": 0});
        let delta = json!({
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": 0},
        });
        let stop = json!({"type": "message_stop"});
        Some(Bytes::from(
            event("content_block_stop", &block)
                + &event("message_delta", &delta)
                + &event("message_stop", &stop),
        ))
    }
}
