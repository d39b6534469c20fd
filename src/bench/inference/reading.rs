//! What an answer says: its tokens, what it cost, whether it is whole.
//!
//! ```text
//!   text/event-stream ─▶ events ─┐
//!   NDJSON ────────────▶ lines ──┼─▶ JSON ─▶ Said { content, usage, end, error }
//!   anything else ─────▶ one document ┘
//! ```
//!
//! * A chunk is an event that carries a part of the answer that is not empty: text, a thought, the
//!   arguments of a call. An event with the role alone, with the usage or with the end is none.
//! * A stream is whole when it has said so. One that just ends was cut.

use serde_json::Value;

use super::api::Api;
use crate::http::ndjson::LineObserver;
use crate::http::sse::{EventObserver, Watcher};

/// As much of a document, or of one event, as is kept.
const KEPT_MAX: usize = 64 << 20;
/// As much of what a server says about an error as is kept; less is shown.
const TOLD_MAX: usize = 4_096;

/// What the server has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: Option<u64>,
    pub output: Option<u64>,
}

/// What one JSON text of an answer says.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    content: bool,
    usage: Usage,
    end: bool,
    error: Option<String>,
}

/// In which form the answer comes.
#[derive(Debug)]
enum Form {
    Events(EventObserver),
    Lines(LineObserver),
    Document,
}

/// Follows one answer through any pieces it comes in.
#[derive(Debug)]
pub struct Reading {
    form: Form,
    heard: Heard,
}

/// What has been understood so far.
#[derive(Debug)]
struct Heard {
    api: Api,
    /// The data of the event that is coming, or the document.
    pending: Vec<u8>,
    chunks: u64,
    usage: Usage,
    ended: bool,
    error: Option<String>,
    illegible: u64,
}

impl Reading {
    /// `success`: the status was 2xx; else it is a document about an error.
    pub fn new(api: Api, success: bool, event_stream: bool, lines: bool) -> Reading {
        let form = match success {
            true if event_stream => Form::Events(EventObserver::default()),
            true if lines => Form::Lines(LineObserver::new()),
            _ => Form::Document,
        };
        let heard = Heard {
            api,
            pending: Vec::new(),
            chunks: 0,
            usage: Usage::default(),
            ended: false,
            error: None,
            illegible: 0,
        };
        Reading { form, heard }
    }

    /// Whether it comes in pieces that can be timed.
    pub fn is_stream(&self) -> bool {
        !matches!(self.form, Form::Document)
    }

    /// Takes the next bytes. Returns how many chunks they have completed.
    pub fn feed(&mut self, data: &[u8]) -> u64 {
        let before = self.heard.chunks;
        match &mut self.form {
            Form::Events(observer) => observer.feed_to(data, &mut self.heard),
            Form::Lines(observer) => observer.feed_to(data, &mut self.heard),
            Form::Document => self.heard.keep(data),
        }
        self.heard.chunks - before
    }

    /// The answer is over. Returns how many chunks that has completed: of a document its one.
    pub fn end(&mut self) -> u64 {
        let before = self.heard.chunks;
        match &mut self.form {
            Form::Events(_) => {}
            Form::Lines(observer) => observer.end(&mut self.heard),
            Form::Document => {
                let document = std::mem::take(&mut self.heard.pending);
                self.heard.understand(&document);
            }
        }
        self.heard.chunks - before
    }

    pub fn chunks(&self) -> u64 {
        self.heard.chunks
    }

    pub fn usage(&self) -> Usage {
        self.heard.usage
    }

    /// Whether the answer has said that it is whole.
    pub fn has_ended(&self) -> bool {
        self.heard.ended
    }

    /// What the server says is wrong, if it says so.
    pub fn error(&self) -> Option<&str> {
        self.heard.error.as_deref()
    }

    /// Events that were no JSON.
    pub fn illegible(&self) -> u64 {
        self.heard.illegible
    }

    /// What a server has answered in place of an answer: its message, or the beginning of its words.
    pub fn told(mut self) -> String {
        let document = std::mem::take(&mut self.heard.pending);
        let value = serde_json::from_slice::<Value>(&document).ok();
        let told = value.as_ref().and_then(error_of);
        short(&told.unwrap_or_else(|| String::from_utf8_lossy(&document).into_owned()))
    }
}

/// On one line, and bounded.
fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TOLD_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

impl Heard {
    fn keep(&mut self, data: &[u8]) {
        let room = KEPT_MAX.saturating_sub(self.pending.len());
        self.pending.extend_from_slice(&data[..data.len().min(room)]);
    }

    fn understand(&mut self, text: &[u8]) {
        let Ok(value) = serde_json::from_slice::<Value>(text) else {
            self.illegible += 1;
            return;
        };
        let said = said(self.api, &value);
        self.chunks += u64::from(said.content);
        self.ended |= said.end;
        let Usage { input, output } = said.usage;
        self.usage.input = input.or(self.usage.input);
        self.usage.output = output.or(self.usage.output);
        if let Some(error) = said.error {
            self.error.get_or_insert(short(&error));
        }
    }
}

impl Watcher for Heard {
    fn name_start(&mut self) {}
    fn name(&mut self, _: &[u8]) {}
    fn name_end(&mut self) {}
    fn error_line(&mut self) {}

    fn object(&mut self, line: &[u8]) {
        self.understand(line);
    }

    fn data(&mut self, part: &[u8]) {
        self.keep(part);
    }

    fn data_end(&mut self) {
        self.pending.push(b'\n');
    }

    fn done(&mut self) {
        self.ended = true;
    }

    fn dispatched(&mut self, has_data: bool) -> bool {
        let text = std::mem::take(&mut self.pending);
        if !text.trim_ascii().is_empty() {
            self.understand(&text);
        }
        has_data
    }
}

fn is_text(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

fn error_of(value: &Value) -> Option<String> {
    let error = value.get("error").filter(|error| !error.is_null())?;
    let message = error.get("message").unwrap_or(error);
    Some(message.as_str().map_or_else(|| message.to_string(), str::to_owned))
}

fn said(api: Api, value: &Value) -> Said {
    let said = match api {
        Api::OpenaiChat | Api::OpenaiCompletions => openai(value),
        Api::OpenaiResponses => responses(value),
        Api::Anthropic => anthropic(value),
        Api::OllamaChat | Api::OllamaGenerate => ollama(value),
        Api::Tgi => tgi(value),
    };
    Said { error: said.error.or_else(|| error_of(value)), ..said }
}

/// Chats and completions, streamed or whole.
fn openai(value: &Value) -> Said {
    let mut said = Said::default();
    for choice in value.get("choices").and_then(Value::as_array).into_iter().flatten() {
        let part = choice.get("delta").or_else(|| choice.get("message")).unwrap_or(choice);
        let texts = ["content", "reasoning_content", "reasoning", "text", "refusal"];
        let calls = part.get("tool_calls").and_then(Value::as_array);
        said.content |= texts.iter().any(|name| is_text(part.get(name)));
        said.content |= calls.is_some_and(|calls| !calls.is_empty());
        said.end |= choice.get("finish_reason").is_some_and(|reason| !reason.is_null());
    }
    if let Some(usage) = value.get("usage") {
        said.usage = Usage {
            input: number(usage, "prompt_tokens"),
            output: number(usage, "completion_tokens"),
        };
    }
    said
}

fn responses(value: &Value) -> Said {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    // An event of the end has the document in it; a document stands for itself.
    let document = value.get("response").unwrap_or(value);
    let state = document.get("status").and_then(Value::as_str).unwrap_or_default();
    let whole = value.get("object").and_then(Value::as_str) == Some("response");
    let output = document.get("output").and_then(Value::as_array);
    let usage = document.get("usage").map_or_else(Usage::default, |usage| Usage {
        input: number(usage, "input_tokens"),
        output: number(usage, "output_tokens"),
    });
    let ends = ["response.completed", "response.incomplete"].contains(&kind);
    let failed = (kind == "response.failed" || state == "failed")
        .then(|| error_of(document).unwrap_or_else(|| "the response has failed".to_owned()));
    let told = (kind == "error").then(|| {
        let message = value.get("message").and_then(Value::as_str);
        error_of(value).unwrap_or_else(|| message.unwrap_or("an error without words").to_owned())
    });
    Said {
        content: (kind.ends_with(".delta") && is_text(value.get("delta")))
            || (whole && output.is_some_and(|output| !output.is_empty())),
        usage,
        end: ends || (whole && ["completed", "incomplete"].contains(&state)),
        error: failed.or(told),
    }
}

fn anthropic(value: &Value) -> Said {
    let delta = value.get("delta");
    let part = |name| is_text(delta.and_then(|delta| delta.get(name)));
    let content = value.get("content").and_then(Value::as_array);
    let message = value.get("message");
    let usage = value.get("usage").or_else(|| message?.get("usage"));
    let is_start = message.is_some();
    Said {
        content: ["text", "thinking", "partial_json"].into_iter().any(part)
            || content.is_some_and(|content| !content.is_empty()),
        usage: usage.map_or_else(Usage::default, |usage| Usage {
            input: number(usage, "input_tokens"),
            // What a message begins with is no count of its answer.
            output: number(usage, "output_tokens").filter(|_| !is_start),
        }),
        end: match value.get("type").and_then(Value::as_str) {
            Some("message_stop") => true,
            Some("message") => value.get("stop_reason").is_some_and(|reason| !reason.is_null()),
            _ => false,
        },
        error: None,
    }
}

fn ollama(value: &Value) -> Said {
    let message = value.get("message");
    let part = |name| is_text(message.and_then(|message| message.get(name)));
    let calls = message.and_then(|message| message.get("tool_calls")?.as_array());
    Said {
        content: is_text(value.get("response"))
            || is_text(value.get("thinking"))
            || ["content", "thinking"].into_iter().any(part)
            || calls.is_some_and(|calls| !calls.is_empty()),
        usage: Usage {
            input: number(value, "prompt_eval_count"),
            output: number(value, "eval_count"),
        },
        end: value.get("done").and_then(Value::as_bool).unwrap_or(false),
        error: None,
    }
}

fn tgi(value: &Value) -> Said {
    let token = value.get("token");
    let special = token.and_then(|token| token.get("special")?.as_bool()).unwrap_or(false);
    let whole = value.get("generated_text").is_some_and(|text| !text.is_null());
    let details = value.get("details");
    Said {
        content: (!special && is_text(token.and_then(|token| token.get("text"))))
            || (token.is_none() && is_text(value.get("generated_text"))),
        usage: Usage {
            input: details.and_then(|details| number(details, "input_length")),
            output: details.and_then(|details| number(details, "generated_tokens")),
        },
        end: whole,
        error: None,
    }
}

#[cfg(test)]
mod tests;
