//! The items of a response, written.

use serde_json::{Value, json};

/// The name of an item, by what it is and where it stands: `msg_…_0`.
pub fn id(prefix: &str, exchange: &str, index: u64) -> String {
    format!("{prefix}_{exchange}_{index}")
}

/// Something said, whose `content` is written so.
pub fn message(id: &str, status: &str, content: &str) -> String {
    let id = Value::from(id);
    format!(
        r#"{{"id":{id},"type":"message","status":"{status}","role":"assistant","content":[{content}]}}"#
    )
}

/// Something thought, whose `content` is written so.
pub fn reasoning(id: &str, status: &str, content: &str) -> String {
    let id = Value::from(id);
    format!(
        r#"{{"id":{id},"type":"reasoning","status":"{status}","summary":[],"content":[{content}]}}"#
    )
}

/// A call. `arguments`: the inside of a JSON string.
pub fn call(id: &str, status: &str, call_id: &str, name: &str, arguments: &str) -> String {
    let (id, call_id, name) = (json!(id), json!(call_id), json!(name));
    format!(
        r#"{{"id":{id},"type":"function_call","status":"{status}","call_id":{call_id},"name":{name},"arguments":"{arguments}"}}"#
    )
}

/// What a part of an item holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    Text,
    Refusal,
    Thinking,
}

impl PartKind {
    /// The stem of its events: `response.STEM.delta`.
    pub fn stem(self) -> &'static str {
        match self {
            PartKind::Text => "output_text",
            PartKind::Refusal => "refusal",
            PartKind::Thinking => "reasoning_text",
        }
    }

    /// The member that has its text.
    pub fn member(self) -> &'static str {
        if self == PartKind::Refusal { "refusal" } else { "text" }
    }

    /// Of an item of this kind.
    pub fn is_thinking(self) -> bool {
        self == PartKind::Thinking
    }

    /// A part. `text`: the inside of a JSON string; `logprobs`: how likely the tokens of it were, the inside
    /// of a list.
    pub fn part(self, text: &str, logprobs: &str) -> String {
        match self {
            PartKind::Text => format!(
                r#"{{"type":"output_text","annotations":[],"logprobs":[{logprobs}],"text":"{text}"}}"#
            ),
            PartKind::Refusal => format!(r#"{{"type":"refusal","refusal":"{text}"}}"#),
            PartKind::Thinking => format!(r#"{{"type":"reasoning_text","text":"{text}"}}"#),
        }
    }
}
