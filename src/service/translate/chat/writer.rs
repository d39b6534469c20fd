//! Writes a stream of OpenAI chat: what every server's answer becomes, for the client or for whoever tells it
//! on in another dialect.
//!
//! ```text
//!   begin        a chunk with the role
//!   says         delta.content, delta.reasoning_content, delta.tool_calls with arguments
//!   call         delta.tool_calls with index, id and name
//!   finish       finish_reason
//!   conclude     usage if it was asked for, [DONE]
//!   fail         an event with `error`, and nothing more
//! ```
//!
//! * In this order. What is asked for at another moment is passed over.
//! * Texts are the insides of JSON strings, and are copied as they stand.

use serde_json::{Value, json};

use super::super::AnswerContext;
use super::super::errors::ServerError;
use super::super::reasons::TokenCounts;
use crate::service::Dialect;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Text,
    Thinking,
    Refusal,
    /// Arguments of the call with this number.
    Arguments(u64),
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Before,
    Under,
    Finished,
    Over,
}

/// Writes the chunks of one stream.
#[derive(Debug)]
pub struct ChatWriter {
    model: String,
    include_usage: bool,
    created: u64,
    id: String,
    progress: Progress,
    calls: u64,
    /// A chunk up to its choices.
    opening: Vec<u8>,
    /// A delta up to its text, of the kind that was written last.
    lead: Vec<u8>,
    lead_of: Option<Said>,
}

impl ChatWriter {
    pub fn new(context: &AnswerContext) -> ChatWriter {
        ChatWriter {
            model: context.memo.model.clone(),
            include_usage: context.memo.include_usage,
            created: context.created,
            id: context.id.clone(),
            progress: Progress::Before,
            calls: 0,
            opening: Vec::new(),
            lead: Vec::new(),
            lead_of: None,
        }
    }

    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether the answer has calls in it.
    pub fn has_calls(&self) -> bool {
        self.calls > 0
    }

    /// The answer begins. `id`, `model`: as the server names them, if it does.
    pub fn begin(&mut self, id: Option<&str>, model: Option<&str>, out: &mut Vec<u8>) {
        if self.progress != Progress::Before {
            return;
        }
        let id = id.map_or_else(|| format!("chatcmpl-{}", self.id), str::to_owned);
        let head = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": model.unwrap_or(&self.model),
        });
        let head = head.to_string();
        // The members of the object, without the brace behind them.
        let members = head.strip_suffix('}').unwrap_or(&head);
        self.opening = format!("data: {members},\"choices\":[").into_bytes();
        self.progress = Progress::Under;
        self.choice(r#"{"role":"assistant","content":""}"#, None, out);
    }

    /// A delta with a text.
    #[inline]
    pub fn says(&mut self, said: Said, text: &str, out: &mut Vec<u8>) {
        if self.progress != Progress::Under {
            return;
        }
        if self.lead_of != Some(said) {
            self.set_lead(said);
        }
        out.extend_from_slice(&self.lead);
        out.extend_from_slice(text.as_bytes());
        // Who asked for usage finds it in every chunk, as `null` until it is known.
        out.extend_from_slice(match (said, self.include_usage) {
            (Said::Arguments(_), false) => br#""}}]},"logprobs":null,"finish_reason":null}]}"#,
            (Said::Arguments(_), true) => {
                br#""}}]},"logprobs":null,"finish_reason":null}],"usage":null}"#
            }
            (_, false) => br#""},"logprobs":null,"finish_reason":null}]}"#,
            (_, true) => br#""},"logprobs":null,"finish_reason":null}],"usage":null}"#,
        });
        out.extend_from_slice(b"\n\n");
    }

    #[cold]
    fn set_lead(&mut self, said: Said) {
        self.lead.clear();
        self.lead.extend_from_slice(&self.opening);
        self.lead.extend_from_slice(br#"{"index":0,"delta":{"#);
        match said {
            Said::Text => self.lead.extend_from_slice(br#""content":""#),
            Said::Thinking => self.lead.extend_from_slice(br#""reasoning_content":""#),
            Said::Refusal => self.lead.extend_from_slice(br#""refusal":""#),
            Said::Arguments(number) => self.lead.extend_from_slice(
                format!(r#""tool_calls":[{{"index":{number},"function":{{"arguments":""#)
                    .as_bytes(),
            ),
        }
        self.lead_of = Some(said);
    }

    /// A call begins. Returns its number. `id`: as the server names it, if it does; `more`: what else is
    /// said of it.
    pub fn call(
        &mut self,
        id: Option<String>,
        name: &str,
        more: Option<(&str, Value)>,
        out: &mut Vec<u8>,
    ) -> u64 {
        let number = self.calls;
        self.calls += 1;
        if self.progress == Progress::Under {
            let id = id.unwrap_or_else(|| format!("call_{}_{number}", self.id));
            let function = json!({"name": name, "arguments": ""});
            let mut call =
                json!({"index": number, "id": id, "type": "function", "function": function});
            if let Some((member, value)) = more {
                call[member] = value;
            }
            self.choice(&json!({"tool_calls": [call]}).to_string(), None, out);
        }
        number
    }

    /// The model is done: the first reason holds.
    pub fn finish(&mut self, reason: &str, out: &mut Vec<u8>) {
        if self.progress == Progress::Under {
            self.choice("{}", Some(reason), out);
            self.progress = Progress::Finished;
        }
    }

    /// The answer ends. `tokens`: what it cost, if anybody knows.
    pub fn conclude(&mut self, tokens: Option<&TokenCounts>, out: &mut Vec<u8>) {
        if self.progress != Progress::Finished {
            return;
        }
        if let Some(tokens) = tokens.filter(|_| self.include_usage) {
            out.extend_from_slice(&self.opening);
            out.extend_from_slice(format!("],\"usage\":{}}}\n\n", tokens.chat()).as_bytes());
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.progress = Progress::Over;
    }

    /// The server reports an error.
    pub fn fail(&mut self, error: &ServerError, out: &mut Vec<u8>) {
        if self.progress != Progress::Over {
            error.event(Dialect::OpenAiChat, out);
            self.progress = Progress::Over;
        }
    }

    /// A sign of life.
    pub fn ping(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b": ping\n\n");
    }

    fn choice(&self, delta: &str, reason: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.opening);
        let reason = json!(reason);
        out.extend_from_slice(
            format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}"#)
                .as_bytes(),
        );
        out.extend_from_slice(if self.include_usage {
            b"],\"usage\":null}\n\n"
        } else {
            b"]}\n\n"
        });
    }
}

/// A whole answer of OpenAI chat, written as the stream that it would have been.
pub fn stream_of(completion: &Value, context: &AnswerContext, out: &mut Vec<u8>) {
    let text = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map(str::to_owned)
    };
    let inside = |text: &str| {
        let mut inside = Vec::new();
        crate::http::json::escape(text, &mut inside);
        String::from_utf8(inside).unwrap_or_default()
    };
    let mut writer = ChatWriter::new(context);
    let (id, model) = (text(completion, "id"), text(completion, "model"));
    writer.begin(id.as_deref(), model.as_deref(), out);
    let choice = &completion["choices"][0];
    let message = &choice["message"];
    let parts = [
        (Said::Thinking, "reasoning_content"),
        (Said::Text, "content"),
        (Said::Refusal, "refusal"),
    ];
    for (said, name) in parts {
        if let Some(part) = text(message, name) {
            writer.says(said, &inside(&part), out);
        }
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        let name = text(function, "name").unwrap_or_default();
        let more = call.get("extra_content").map(|more| ("extra_content", more.clone()));
        let number = writer.call(text(call, "id"), &name, more, out);
        let arguments = text(function, "arguments").unwrap_or_else(|| "{}".into());
        writer.says(Said::Arguments(number), &inside(&arguments), out);
    }
    writer.finish(text(choice, "finish_reason").as_deref().unwrap_or("stop"), out);
    let usage = completion.get("usage").filter(|usage| usage.is_object());
    let tokens = usage.map(|usage| {
        let mut tokens = TokenCounts::default();
        tokens.read_chat(usage);
        tokens
    });
    writer.conclude(tokens.as_ref(), out);
}
