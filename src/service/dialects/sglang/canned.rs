//! Predefined answers of SGLang's `/generate`.

use std::cell::RefCell;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::service::dialects::writing::{CannedStream, bytes_of};
use crate::service::openai::Identity;

/// Each event has all of the text so far.
#[derive(Debug)]
pub(super) struct Stream {
    id: String,
    text: RefCell<String>,
}

pub(super) fn document(identity: &Identity<'_>, text: &str) -> Bytes {
    bytes_of(&Stream::new(identity).answer(text, true))
}

impl Stream {
    pub fn new(identity: &Identity<'_>) -> Stream {
        Stream { id: format!("{:032x}", identity.serial), text: RefCell::default() }
    }

    fn answer(&self, text: &str, ends: bool) -> Value {
        let reason = ends.then(|| json!({"type": "stop", "matched": null}));
        json!({
            "text": text,
            "output_ids": [],
            "meta_info": {
                "id": self.id,
                "finish_reason": reason,
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "cached_tokens": 0,
            },
        })
    }
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

impl CannedStream for Stream {
    fn piece(&self, _index: u64, text: &str) -> Bytes {
        let mut all = self.text.borrow_mut();
        all.push_str(text);
        Bytes::from(event(&self.answer(&all, false)))
    }

    fn closing(&self, _pieces: u64, text: &str) -> Option<Bytes> {
        Some(Bytes::from(event(&self.answer(text, true)) + "data: [DONE]\n\n"))
    }
}
