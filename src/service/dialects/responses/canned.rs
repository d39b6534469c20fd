//! `/v1/responses`

use bytes::Bytes;
use serde_json::{Value, json};

use crate::service::dialects::writing::{CannedStream, bytes_of, event};
use crate::service::openai::Identity;

/// Events before the first piece.
const OPENING_EVENTS: u64 = 4;

/// What all events of one stream have in common.
#[derive(Debug)]
pub(super) struct Stream {
    id: String,
    item: String,
    created: u64,
    model: String,
}

pub(super) fn document(identity: &Identity<'_>, text: &str) -> Bytes {
    let stream = Stream::new(identity);
    bytes_of(&stream.response("completed", json!([stream.message("completed", Some(text))])))
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

impl Stream {
    pub fn new(identity: &Identity<'_>) -> Stream {
        Stream {
            id: format!("resp_{:016x}", identity.serial),
            item: format!("msg_{:016x}", identity.serial),
            created: identity.created,
            model: identity.model.to_owned(),
        }
    }

    fn response(&self, status: &str, output: Value) -> Value {
        let usage = (status == "completed").then(|| {
            json!({
                "input_tokens": 0,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": 0,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 0,
            })
        });
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "error": null,
            "incomplete_details": null,
            "instructions": null,
            "metadata": {},
            "parallel_tool_calls": false,
            "temperature": null,
            "tool_choice": "auto",
            "tools": [],
            "top_p": null,
            "usage": usage,
        })
    }

    fn message(&self, status: &str, text: Option<&str>) -> Value {
        let content: Vec<Value> = text.map(part).into_iter().collect();
        json!({
            "id": self.item,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        })
    }

    /// An event, with what all events have and what only those of the message have.
    fn event(&self, sequence: u64, name: &str, of_message: bool, mut data: Value) -> String {
        data["type"] = name.into();
        data["sequence_number"] = sequence.into();
        if of_message {
            data["item_id"] = self.item.as_str().into();
            data["output_index"] = 0.into();
            data["content_index"] = 0.into();
        }
        event(name, &data)
    }
}

impl CannedStream for Stream {
    fn opening(&self) -> Option<Bytes> {
        let response = json!({"response": self.response("in_progress", json!([]))});
        let item = json!({"output_index": 0, "item": self.message("in_progress", None)});
        let events = [
            self.event(0, "response.created", false, response.clone()),
            self.event(1, "response.in_progress", false, response),
            self.event(2, "response.output_item.added", false, item),
            self.event(3, "response.content_part.added", true, json!({"part": part("")})),
        ];
        debug_assert_eq!(events.len() as u64, OPENING_EVENTS);
        Some(Bytes::from(events.concat()))
    }

    fn piece(&self, index: u64, text: &str) -> Bytes {
        let data = json!({"delta": text, "logprobs": []});
        let sequence = OPENING_EVENTS + index;
        Bytes::from(self.event(sequence, "response.output_text.delta", true, data))
    }

    fn closing(&self, pieces: u64, text: &str) -> Option<Bytes> {
        let first = OPENING_EVENTS + pieces;
        let message = self.message("completed", Some(text));
        let done = json!({"text": text, "logprobs": []});
        let item = json!({"output_index": 0, "item": message});
        let response = json!({"response": self.response("completed", json!([message]))});
        let events = [
            self.event(first, "response.output_text.done", true, done),
            self.event(first + 1, "response.content_part.done", true, json!({"part": part(text)})),
            self.event(first + 2, "response.output_item.done", false, item),
            self.event(first + 3, "response.completed", false, response),
        ];
        Some(Bytes::from(events.concat()))
    }
}
