//! Writes a stream of OpenAI chat: what every server's answer becomes, for the client or for whoever tells it
//! on in another dialect.
//!
//! ```text
//!   begin        a chunk with the role
//!   turn_to      what follows is of another choice, which begins with its role
//!   says         delta.content, delta.reasoning_content, delta.tool_calls with arguments
//!   call         delta.tool_calls with index, id and name
//!   finish       finish_reason
//!   conclude     usage if it was asked for, [DONE]
//!   fail         an event with `error`, and nothing more
//! ```
//!
//! * In this order. What is asked for at another moment is passed over.
//! * Choices may be told in turns. The stream is finished when each that has begun is.
//! * Texts are the insides of JSON strings, and are copied as they stand.

use serde_json::{Value, json};

use super::super::AnswerContext;
use super::super::errors::ServerError;
use super::super::reasons::TokenCounts;
use super::super::tree::Numbers;
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

/// The first delta of a choice.
const ROLE: &str = r#"{"role":"assistant","content":""}"#;

/// One choice of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct ChoiceState {
    index: u64,
    calls: u64,
    finished: bool,
}

/// Writes the chunks of one stream.
#[derive(Debug)]
pub struct ChatWriter {
    model: String,
    include_usage: bool,
    created: u64,
    id: String,
    /// How far the choice is that is being told.
    progress: Progress,
    /// The choices that have begun, and the place of the one that is being told.
    choices: Vec<ChoiceState>,
    at: usize,
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
            choices: vec![ChoiceState::default()],
            at: 0,
            opening: Vec::new(),
            lead: Vec::new(),
            lead_of: None,
        }
    }

    /// How far the stream is: finished with the last of its choices.
    pub fn progress(&self) -> Progress {
        match self.progress {
            Progress::Finished if self.choices.iter().any(|choice| !choice.finished) => {
                Progress::Under
            }
            progress => progress,
        }
    }

    /// How many choices are finished.
    pub fn finished(&self) -> u64 {
        self.choices.iter().filter(|choice| choice.finished).count() as u64
    }

    /// Whether the choice that is being told has calls in it.
    pub fn has_calls(&self) -> bool {
        self.choices[self.at].calls > 0
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
        self.choice(ROLE, None, out);
    }

    /// What follows is of the choice with this index, once the answer has begun. It stays so until another
    /// one is told.
    pub fn turn_to(&mut self, index: u64, out: &mut Vec<u8>) {
        let over = matches!(self.progress, Progress::Before | Progress::Over);
        if over || self.choices[self.at].index == index {
            return;
        }
        self.lead_of = None;
        match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => {
                self.at = at;
                let finished = self.choices[at].finished;
                self.progress = if finished { Progress::Finished } else { Progress::Under };
            }
            None => {
                self.at = self.choices.len();
                self.choices.push(ChoiceState { index, ..ChoiceState::default() });
                self.progress = Progress::Under;
                self.choice(ROLE, None, out);
            }
        }
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

    /// The same with how likely its tokens were: a list, as it is written.
    pub fn says_with(&mut self, said: Said, text: &str, logprobs: &str, out: &mut Vec<u8>) {
        if self.progress != Progress::Under {
            return;
        }
        if self.lead_of != Some(said) {
            self.set_lead(said);
        }
        out.extend_from_slice(&self.lead);
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(br#""},"logprobs":{"content":"#);
        out.extend_from_slice(logprobs.as_bytes());
        out.extend_from_slice(br#","refusal":null},"finish_reason":null}"#);
        self.close(out);
    }

    #[cold]
    fn set_lead(&mut self, said: Said) {
        self.lead.clear();
        self.lead.extend_from_slice(&self.opening);
        let index = self.choices[self.at].index;
        self.lead.extend_from_slice(format!(r#"{{"index":{index},"delta":{{"#).as_bytes());
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
        let ChoiceState { index, calls, .. } = &mut self.choices[self.at];
        let (index, number) = (*index, *calls);
        *calls += 1;
        if self.progress == Progress::Under {
            let id = id.unwrap_or_else(|| match index {
                0 => format!("call_{}_{number}", self.id),
                index => format!("call_{}_{index}_{number}", self.id),
            });
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

    /// The choice is done: the first reason holds.
    pub fn finish(&mut self, reason: &str, out: &mut Vec<u8>) {
        if self.progress == Progress::Under {
            self.choice("{}", Some(reason), out);
            self.progress = Progress::Finished;
            self.choices[self.at].finished = true;
        }
    }

    /// The answer ends. `tokens`: what it cost, if anybody knows.
    pub fn conclude(&mut self, tokens: Option<&TokenCounts>, out: &mut Vec<u8>) {
        if self.progress() != Progress::Finished {
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
        let (index, reason) = (self.choices[self.at].index, json!(reason));
        let choice = format!(
            r#"{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":{reason}}}"#
        );
        out.extend_from_slice(choice.as_bytes());
        self.close(out);
    }

    /// Ends a chunk behind its choice. Who asked for usage finds it in every chunk, as `null` until it is
    /// known.
    fn close(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.include_usage {
            b"],\"usage\":null}\n\n"
        } else {
            b"]}\n\n"
        });
    }
}

/// A whole answer of OpenAI chat, written as the stream that it would have been.
pub fn stream_of(
    completion: &Value,
    numbers: &Numbers,
    context: &AnswerContext,
    out: &mut Vec<u8>,
) {
    let mut writer = ChatWriter::new(context);
    let (id, model) = (text(completion, "id"), text(completion, "model"));
    writer.begin(id.as_deref(), model.as_deref(), out);
    for choice in completion["choices"].as_array().into_iter().flatten() {
        writer.turn_to(choice["index"].as_u64().unwrap_or(0), out);
        stream_choice(choice, numbers, &mut writer, out);
    }
    let usage = completion.get("usage").filter(|usage| usage.is_object());
    let tokens = usage.map(|usage| {
        let mut tokens = TokenCounts::default();
        tokens.read_chat(usage);
        tokens
    });
    writer.conclude(tokens.as_ref(), out);
}

fn stream_choice(choice: &Value, numbers: &Numbers, writer: &mut ChatWriter, out: &mut Vec<u8>) {
    let message = &choice["message"];
    let parts = [
        (Said::Thinking, "reasoning_content"),
        (Said::Text, "content"),
        (Said::Refusal, "refusal"),
    ];
    let logprobs = choice["logprobs"].get("content").filter(|list| list.is_array());
    for (said, name) in parts {
        let part = text(message, name).map(|part| inside(&part));
        match (part, logprobs.filter(|_| said == Said::Text)) {
            (part, Some(logprobs)) => {
                writer.says_with(said, &part.unwrap_or_default(), &numbers.text(logprobs), out);
            }
            (Some(part), None) => writer.says(said, &part, out),
            (None, None) => {}
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
}

fn text(value: &Value, name: &str) -> Option<String> {
    let text = value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

fn inside(text: &str) -> String {
    let mut inside = Vec::new();
    crate::http::json::escape(text, &mut inside);
    String::from_utf8(inside).unwrap_or_default()
}
