//! A stream of Anthropic messages, told as one of OpenAI chat.
//!
//! ```text
//!   message_start                     a chunk with the role
//!   content_block_start tool_use      delta.tool_calls with index, id and name
//!   text_delta                        delta.content
//!   thinking_delta                    delta.reasoning_content
//!   input_json_delta                  delta.tool_calls with arguments
//!   message_delta with stop_reason    finish_reason
//!   message_stop, or the end          usage if it was asked for, [DONE]
//!   ping                              a comment
//! ```
//!
//! * Unknown events are passed over, as Anthropic wants of its clients; an unknown block or delta is a
//!   part of the answer that would be missing, and ends the translation.
//! * Signatures, thinking that only Anthropic can read and citations have no place in OpenAI chat.

mod event;

use serde_json::{Value, json};

use self::event::{Block, MessagesEvent};
use super::errors::ServerError;
use super::events::StreamPart;
use super::raw::{inside, meaning, some_text};
use super::reasons::{self, TokenCounts};
use super::template::TextTemplate;
use super::{BadAnswer, Memo};
use crate::http::json::escape;
use crate::service::Dialect;

/// What the text of a delta is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Text,
    Thinking,
    /// Arguments of the call with this number.
    Arguments(u64),
}

/// The block that is open, by Anthropic's number.
#[derive(Clone, Copy, Debug)]
struct OpenedBlock {
    index: u64,
    kind: BlockKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockKind {
    Text,
    Thinking,
    Redacted,
    /// `bare`: nothing of its arguments has come.
    Call {
        number: u64,
        bare: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Before,
    Under,
    Finished,
    Over,
}

/// Writes the events of one stream.
#[derive(Debug)]
pub struct ChatTeller {
    model: String,
    include_usage: bool,
    created: u64,
    id: String,
    progress: Progress,
    block: Option<OpenedBlock>,
    calls: u64,
    tokens: TokenCounts,
    /// A chunk up to its choices.
    opening: Vec<u8>,
    template: TextTemplate<Said>,
}

impl ChatTeller {
    pub fn new(memo: &Memo, created: u64, id: &str) -> ChatTeller {
        ChatTeller {
            model: memo.model.clone(),
            include_usage: memo.include_usage,
            created,
            id: id.to_owned(),
            progress: Progress::Before,
            block: None,
            calls: 0,
            tokens: TokenCounts::default(),
            opening: Vec::new(),
            template: TextTemplate::default(),
        }
    }

    pub fn part(&mut self, part: StreamPart<'_>, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match part {
            _ if self.progress == Progress::Over => Ok(()),
            StreamPart::Event { name, data } => match self.template.text(data) {
                // The shape says everything but the name of the event, and only an error has another.
                Some((said, text)) if name != b"error" => {
                    self.says(said, text, out);
                    Ok(())
                }
                _ => self.event(name, data, out),
            },
            // Anthropic's streams have no such mark.
            StreamPart::Done => Ok(()),
            StreamPart::Comment => {
                out.extend_from_slice(b": ping\n\n");
                Ok(())
            }
        }
    }

    /// The server's body is complete.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match self.progress {
            Progress::Before | Progress::Under => Err(BadAnswer::Unfinished),
            Progress::Finished => {
                self.conclude(out);
                Ok(())
            }
            Progress::Over => Ok(()),
        }
    }

    fn event(&mut self, name: &[u8], data: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if name == b"error" {
            self.fail(data, out);
            return Ok(());
        }
        let event = MessagesEvent::read(data)?;
        let kind = event.kind().unwrap_or_default();
        if self.progress == Progress::Before
            && matches!(kind, "content_block_start" | "content_block_delta" | "message_delta")
        {
            return Err(BadAnswer::Malformed("has a block before its `message_start`".into()));
        }
        match kind {
            "message_start" => self.start(&event, out),
            "content_block_start" => self.open(&event, out)?,
            "content_block_delta" => self.delta(&event, data, out)?,
            "content_block_stop" => self.stop(&event, out),
            "message_delta" => self.message_delta(&event, out),
            "message_stop" if self.progress == Progress::Finished => self.conclude(out),
            // The model never said why: what it cost is known all the same.
            "message_stop" if self.progress == Progress::Under => {
                self.finish("end_turn", out);
                self.conclude(out);
            }
            "ping" => out.extend_from_slice(b": ping\n\n"),
            "error" => self.fail(data, out),
            _ => {}
        }
        Ok(())
    }

    fn fail(&mut self, data: &[u8], out: &mut Vec<u8>) {
        ServerError::read(0, data).event(Dialect::OpenAiChat, out);
        self.progress = Progress::Over;
    }

    fn start(&mut self, event: &MessagesEvent<'_>, out: &mut Vec<u8>) {
        if self.progress != Progress::Before {
            return;
        }
        let message = event.message();
        let text =
            |name: &str| message.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
        if let Some(usage) = message.get("usage") {
            self.tokens.read_messages(usage);
        }
        let id = text("id").map_or_else(|| format!("chatcmpl-{}", self.id), str::to_owned);
        let head = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": text("model").unwrap_or(&self.model),
        });
        let head = head.to_string();
        // The members of the object, without the brace behind them.
        let members = head.strip_suffix('}').unwrap_or(&head);
        self.opening = format!("data: {members},\"choices\":[").into_bytes();
        self.progress = Progress::Under;
        self.choice(r#"{"role":"assistant","content":""}"#, None, out);
    }

    fn open(&mut self, event: &MessagesEvent<'_>, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        self.template.forget();
        let index = event.index;
        let block: Block<'_> = event.block()?;
        let kind = match block.kind().unwrap_or_default() {
            "text" => {
                if let Some(text) = some_text(block.text, "text")? {
                    self.says(Said::Text, text, out);
                }
                BlockKind::Text
            }
            "thinking" => {
                if let Some(text) = some_text(block.thinking, "thinking")? {
                    self.says(Said::Thinking, text, out);
                }
                BlockKind::Thinking
            }
            "redacted_thinking" => BlockKind::Redacted,
            "tool_use" => {
                let number = self.calls;
                self.calls += 1;
                let text = |raw| some_text(raw, "tool_use").map(|it| it.map(meaning));
                let id = text(block.id)?;
                let id = id.unwrap_or_else(|| format!("call_{}_{number}", self.id));
                let name = text(block.name)?.unwrap_or_default();
                let function = json!({"name": name, "arguments": ""});
                let call =
                    json!({"index": number, "id": id, "type": "function", "function": function});
                self.choice(&json!({"tool_calls": [call]}).to_string(), None, out);
                // Some servers say all of it at once.
                let input = block.input();
                let mut bare = true;
                if let Some(input) = input {
                    let mut text = Vec::new();
                    escape(&input.to_string(), &mut text);
                    self.says(Said::Arguments(number), &String::from_utf8_lossy(&text), out);
                    bare = false;
                }
                BlockKind::Call { number, bare }
            }
            kind => return Err(BadAnswer::Unknown(format!("a block `{kind}`"))),
        };
        self.block = Some(OpenedBlock { index, kind });
        Ok(())
    }

    fn delta(
        &mut self,
        event: &MessagesEvent<'_>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        let delta = event.delta()?;
        let open = self.block.as_mut().filter(|block| block.index == event.index);
        let Some(OpenedBlock { kind, .. }) = open else {
            return Err(BadAnswer::Malformed("has a delta of a block that is not open".into()));
        };
        let (said, text) = match (delta.kind().unwrap_or_default(), &mut *kind) {
            ("text_delta", BlockKind::Text) => (Said::Text, delta.text),
            ("thinking_delta", BlockKind::Thinking) => (Said::Thinking, delta.thinking),
            ("input_json_delta", BlockKind::Call { number, bare }) => {
                *bare &= delta.partial_json.and_then(inside).is_none_or(str::is_empty);
                (Said::Arguments(*number), delta.partial_json)
            }
            ("signature_delta" | "citations_delta", _) => return Ok(()),
            (kind, _) => return Err(BadAnswer::Unknown(format!("a delta `{kind}`"))),
        };
        if let Some(text) = some_text(text, "delta")? {
            self.says(said, text, out);
            self.template.learn(said, data, text);
        }
        Ok(())
    }

    fn stop(&mut self, event: &MessagesEvent<'_>, out: &mut Vec<u8>) {
        self.template.forget();
        match self.block.take() {
            // A client reads the arguments as JSON, and nothing is none.
            Some(OpenedBlock { kind: BlockKind::Call { number, bare: true }, .. }) => {
                self.says(Said::Arguments(number), "{}", out);
            }
            Some(block) if block.index != event.index => self.block = Some(block),
            _ => {}
        }
    }

    fn message_delta(&mut self, event: &MessagesEvent<'_>, out: &mut Vec<u8>) {
        if let Some(usage) = event.usage() {
            self.tokens.read_messages(&usage);
        }
        let reason = event.delta().ok().and_then(|delta| delta.stop_reason.and_then(inside));
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            self.finish(reason, out);
        }
    }

    /// The model is done: the first reason holds.
    fn finish(&mut self, reason: &str, out: &mut Vec<u8>) {
        if self.progress == Progress::Under {
            self.template.forget();
            self.choice("{}", Some(reasons::to_chat(reason)), out);
            self.progress = Progress::Finished;
        }
    }

    fn conclude(&mut self, out: &mut Vec<u8>) {
        if self.include_usage {
            out.extend_from_slice(&self.opening);
            out.extend_from_slice(format!("],\"usage\":{}}}\n\n", self.tokens.chat()).as_bytes());
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.progress = Progress::Over;
    }

    /// A delta with a text, which is the inside of a JSON string.
    fn says(&self, said: Said, text: &str, out: &mut Vec<u8>) {
        if self.progress != Progress::Under {
            return;
        }
        out.extend_from_slice(&self.opening);
        match said {
            Said::Text => out.extend_from_slice(br#"{"index":0,"delta":{"content":""#),
            Said::Thinking => {
                out.extend_from_slice(br#"{"index":0,"delta":{"reasoning_content":""#);
            }
            Said::Arguments(number) => out.extend_from_slice(
                format!(
                    r#"{{"index":0,"delta":{{"tool_calls":[{{"index":{number},"function":{{"arguments":""#
                )
                .as_bytes(),
            ),
        }
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(match said {
            Said::Text | Said::Thinking => br#""},"logprobs":null,"finish_reason":null}"#,
            Said::Arguments(_) => br#""}}]},"logprobs":null,"finish_reason":null}"#,
        });
        out.extend_from_slice(self.closing());
    }

    fn choice(&self, delta: &str, reason: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.opening);
        let reason = json!(reason);
        out.extend_from_slice(
            format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}"#)
                .as_bytes(),
        );
        out.extend_from_slice(self.closing());
    }

    /// Who asked for usage finds it in every chunk, as `null` until it is known.
    fn closing(&self) -> &'static [u8] {
        if self.include_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" }
    }
}
