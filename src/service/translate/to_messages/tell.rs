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

use serde_json::Value;

use super::super::chat::brackets::Brackets;
use super::super::chat::writer::{ChatWriter, Progress, Said};
use super::super::documents::nameless;
use super::super::errors::ServerError;
use super::super::events::StreamPart;
use super::super::raw::{inside, meaning, some_text};
use super::super::reasons::{self, TokenCounts};
use super::super::{AnswerContext, BadAnswer, Teller};
use super::event::{Block, MessagesEvent};
use crate::http::json::escape;

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

/// Tells one stream.
#[derive(Debug)]
pub struct MessagesAsChat {
    writer: ChatWriter,
    block: Option<OpenedBlock>,
    tokens: TokenCounts,
    /// Of the last call.
    arguments: Brackets,
    /// What the open call began with, in place of pieces that may never come.
    given: Option<String>,
    /// The arguments of a call have stopped in the middle.
    cut: bool,
    /// What the text of another delta of the same shape is.
    repeats: Option<Said>,
}

impl Teller for MessagesAsChat {
    fn part<'e>(
        &mut self,
        part: StreamPart<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        match part {
            _ if self.writer.progress() == Progress::Over => {}
            StreamPart::Event { name, data } => return self.event(name, data, out),
            // Anthropic's streams have no such mark.
            StreamPart::Done => {}
            StreamPart::Comment => self.writer.ping(out),
        }
        Ok(None)
    }

    fn again(&mut self, text: &str, out: &mut Vec<u8>) -> Result<bool, BadAnswer> {
        let Some(said) = self.repeats else { return Ok(false) };
        self.says(said, text, out);
        Ok(true)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match self.writer.progress() {
            Progress::Before | Progress::Under => Err(BadAnswer::Unfinished),
            Progress::Finished => {
                self.writer.conclude(Some(&self.tokens), out);
                Ok(())
            }
            Progress::Over => Ok(()),
        }
    }
}

impl MessagesAsChat {
    pub fn new(context: &AnswerContext) -> MessagesAsChat {
        MessagesAsChat {
            writer: ChatWriter::new(context),
            block: None,
            tokens: TokenCounts::default(),
            arguments: Brackets::default(),
            given: None,
            cut: false,
            repeats: None,
        }
    }

    fn event<'e>(
        &mut self,
        name: &[u8],
        data: &'e [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        self.repeats = None;
        if name == b"error" {
            self.fail(data, out);
            return Ok(None);
        }
        let event = MessagesEvent::read(data)?;
        let kind = event.kind().unwrap_or_default();
        if self.writer.progress() == Progress::Before
            && matches!(kind, "content_block_start" | "content_block_delta" | "message_delta")
        {
            return Err(BadAnswer::Malformed("has a block before its `message_start`".into()));
        }
        match kind {
            "message_start" => self.start(&event, out),
            "content_block_start" => self.open(&event, out)?,
            "content_block_delta" => return self.delta(&event, out),
            "content_block_stop" => self.stop(&event, out),
            "message_delta" => self.message_delta(&event, out)?,
            "message_stop" => {
                self.cut |= self.arguments.are_cut();
                if self.cut && self.writer.progress() == Progress::Under {
                    return Err(BadAnswer::Malformed("ends inside the arguments of a call".into()));
                }
                // The model may never have said why: what it cost is known all the same.
                self.finish("end_turn", out);
                self.writer.conclude(Some(&self.tokens), out);
            }
            "ping" => self.writer.ping(out),
            "error" => self.fail(data, out),
            _ => {}
        }
        Ok(None)
    }

    fn fail(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.writer.fail(&ServerError::read(0, data), out);
    }

    fn start(&mut self, event: &MessagesEvent<'_>, out: &mut Vec<u8>) {
        let message = event.message();
        let text =
            |name: &str| message.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
        if let Some(usage) = message.get("usage") {
            self.tokens.read_messages(usage);
        }
        self.writer.begin(text("id"), text("model"), out);
    }

    fn open(&mut self, event: &MessagesEvent<'_>, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        self.repeats = None;
        self.end_call(out);
        let index = event.index;
        let block: Block<'_> = event.block()?;
        let kind = match block.kind().unwrap_or_default() {
            "text" => {
                if let Some(text) = some_text(block.text, "text")? {
                    self.writer.says(Said::Text, text, out);
                }
                BlockKind::Text
            }
            "thinking" => {
                if let Some(text) = some_text(block.thinking, "thinking")? {
                    self.writer.says(Said::Thinking, text, out);
                }
                BlockKind::Thinking
            }
            "redacted_thinking" => BlockKind::Redacted,
            "tool_use" => {
                let text = |raw| some_text(raw, "tool_use").map(|it| it.map(meaning));
                let name = text(block.name)?.ok_or_else(nameless)?;
                let number = self.writer.call(text(block.id)?, &name, None, out);
                // Some servers say all of it at once, and some say it again in pieces.
                self.given = block.input().map(str::to_owned);
                BlockKind::Call { number, bare: true }
            }
            kind => return Err(BadAnswer::Unknown(format!("a block `{kind}`"))),
        };
        self.block = Some(OpenedBlock { index, kind });
        Ok(())
    }

    fn delta<'e>(
        &mut self,
        event: &MessagesEvent<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
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
            ("signature_delta" | "citations_delta", _) => return Ok(None),
            (kind, _) => return Err(BadAnswer::Unknown(format!("a delta `{kind}`"))),
        };
        let text = some_text(text, "delta")?;
        if let Some(text) = text {
            self.says(said, text, out);
            self.repeats = Some(said);
        }
        Ok(text)
    }

    fn says(&mut self, said: Said, text: &str, out: &mut Vec<u8>) {
        if matches!(said, Said::Arguments(_)) {
            self.arguments.feed(text);
        }
        self.writer.says(said, text, out);
    }

    fn stop(&mut self, event: &MessagesEvent<'_>, out: &mut Vec<u8>) {
        self.repeats = None;
        self.cut |= std::mem::take(&mut self.arguments).are_cut();
        if self.block.is_some_and(|block| block.index == event.index) {
            self.end_call(out);
        }
    }

    /// Ends the open block. A call of which no piece has come has what it began with.
    fn end_call(&mut self, out: &mut Vec<u8>) {
        let given = self.given.take();
        if let Some(OpenedBlock { kind: BlockKind::Call { number, bare: true }, .. }) =
            self.block.take()
        {
            let mut text = Vec::new();
            // A client reads the arguments as JSON, and nothing is none.
            escape(given.as_deref().unwrap_or("{}"), &mut text);
            self.writer.says(Said::Arguments(number), &String::from_utf8_lossy(&text), out);
        }
    }

    fn message_delta(
        &mut self,
        event: &MessagesEvent<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        if let Some(usage) = event.usage() {
            self.tokens.read_messages(&usage);
        }
        let reason = event.delta().ok().and_then(|delta| delta.stop_reason.and_then(inside));
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            self.cut |= self.arguments.are_cut();
            if self.cut && reasons::to_chat(reason) != "length" {
                return Err(BadAnswer::Malformed("ends inside the arguments of a call".into()));
            }
            self.finish(reason, out);
        }
        Ok(())
    }

    fn finish(&mut self, reason: &str, out: &mut Vec<u8>) {
        self.repeats = None;
        self.end_call(out);
        self.writer.finish(reasons::to_chat(reason), out);
    }
}
