//! Events of Anthropic messages, written.

use serde_json::{Value, json};

pub fn stop_block(index: u64, out: &mut Vec<u8>) {
    write_event("content_block_stop", &json!({"type": "content_block_stop", "index": index}), out);
}

pub fn write_event(name: &str, data: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("event: {name}\ndata: {data}\n\n").as_bytes());
}
