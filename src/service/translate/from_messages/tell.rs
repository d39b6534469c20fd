//! A stream of OpenAI chat, told as one of Anthropic messages.
//!
//! ```text
//!   first chunk              message_start
//!   delta.reasoning…         content_block_start thinking, thinking_delta …, content_block_stop
//!   delta.content            content_block_start text, text_delta …, content_block_stop
//!   delta.tool_calls         content_block_start tool_use, input_json_delta …, content_block_stop
//!   finish_reason            (the open block stops)
//!   usage, [DONE], the end   message_delta, message_stop
//! ```
//!
//! * One block is open at a time, and blocks are numbered as they begin.
//! * What the answer cost comes behind its `finish_reason`, so the end waits for it.

use serde_json::json;

use super::super::chat::chunk::{self, ChatChoice, Chunk, Delta};
use super::super::errors::ServerError;
use super::super::events::StreamPart;
use super::super::raw::{inside, meaning, some_text, value};
use super::super::reasons::{self, TokenCounts};
use super::super::{AnswerContext, BadAnswer, Memo, Teller};
use super::calls::Calls;
use super::events::{stop_block, write_event};
use crate::service::Dialect;

/// A block that holds a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Text,
    Thinking,
}

impl Told {
    /// Its type, and the type and the member of its deltas.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Told::Text => ("text", "text_delta", "text"),
            Told::Thinking => ("thinking", "thinking_delta", "thinking"),
        }
    }
}

/// Which block is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenBlock {
    None,
    Holding(Told),
    /// One of the calls.
    Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No `message_start` has been written.
    Before,
    Under,
    /// The model has said that it is done.
    Finished,
    /// Nothing more is written.
    Over,
}

/// Tells one stream.
#[derive(Debug)]
pub struct ChatAsMessages {
    memo: Memo,
    id: String,
    stage: Stage,
    open: OpenBlock,
    /// The number of the next block.
    next: u64,
    calls: Calls,
    refused: bool,
    reason: &'static str,
    stop_sequence: Option<String>,
    tokens: TokenCounts,
    /// A delta of the open block, up to its text.
    delta: Vec<u8>,
    /// The text of another delta of the same shape belongs into the open block.
    repeats: bool,
}

impl Teller for ChatAsMessages {
    fn part<'e>(
        &mut self,
        part: StreamPart<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        match part {
            _ if self.stage == Stage::Over => {}
            StreamPart::Event { name, data } => return self.event(name, data, out),
            StreamPart::Done if self.stage == Stage::Before => return Err(BadAnswer::Unfinished),
            StreamPart::Done => {
                self.finish(None, out)?;
                self.conclude(out);
            }
            StreamPart::Comment => {
                out.extend_from_slice(b"event: ping\ndata: {\"type\": \"ping\"}\n\n");
            }
        }
        Ok(None)
    }

    fn again(&mut self, text: &str, out: &mut Vec<u8>) -> Result<bool, BadAnswer> {
        if self.repeats && !text.is_empty() {
            self.write_delta(text, out);
        }
        Ok(self.repeats)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match self.stage {
            Stage::Before | Stage::Under => Err(BadAnswer::Unfinished),
            Stage::Finished => {
                self.conclude(out);
                Ok(())
            }
            Stage::Over => Ok(()),
        }
    }
}

impl ChatAsMessages {
    pub fn new(context: &AnswerContext) -> ChatAsMessages {
        ChatAsMessages {
            memo: context.memo.clone(),
            id: context.id.clone(),
            stage: Stage::Before,
            open: OpenBlock::None,
            next: 0,
            calls: Calls::default(),
            refused: false,
            reason: reasons::MESSAGES_OTHERWISE,
            stop_sequence: None,
            tokens: TokenCounts::default(),
            delta: Vec::new(),
            repeats: false,
        }
    }

    fn event<'e>(
        &mut self,
        name: &[u8],
        data: &'e [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        self.repeats = false;
        let is_error = name == b"error" || chunk::is_error(data);
        if is_error {
            ServerError::read(0, data).event(Dialect::Anthropic, out);
            self.stage = Stage::Over;
            return Ok(None);
        }
        let chunk = Chunk::read(data)?;
        if let Some(usage) = chunk.usage() {
            self.tokens.read_chat(&usage);
        }
        let (mut count, mut text) = (0, None);
        for choice in chunk.choices.iter().flat_map(chunk::Choices::all) {
            if self.stage == Stage::Before {
                self.start(&chunk, out);
            }
            text = self.choice(choice, out)?;
            count += 1;
        }
        if count == 0 && chunk.usage.is_some() && self.stage == Stage::Finished {
            self.conclude(out);
        }
        // The shape has a place for one text.
        self.repeats = count == 1 && text.is_some();
        Ok(text.filter(|_| self.repeats))
    }

    /// Tells what it says. Returns the text, if that is all.
    fn choice<'e>(
        &mut self,
        choice: &ChatChoice<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        if choice.index.is_some_and(|index| index.get() != "0") {
            return Err(BadAnswer::Unknown("a second choice".into()));
        }
        if let Some(usage) = choice.usage.and_then(value) {
            self.tokens.read_chat(&usage);
        }
        let mut text = None;
        if let Some(delta) = &choice.delta {
            text = self.says(delta, out)?;
        }
        let reason = choice.finish_reason.and_then(inside);
        match reason.filter(|reason| !reason.is_empty() && *reason != "null") {
            None => return Ok(text),
            Some("error") => {
                ServerError::read(0, b"{}").event(Dialect::Anthropic, out);
                self.stage = Stage::Over;
            }
            Some(reason) => {
                self.finish(Some(reason), out)?;
                self.stop_sequence = self.stop_sequence.take().or_else(|| self.stopped_at(choice));
                if self.stop_sequence.is_some() && self.reason == "end_turn" {
                    self.reason = "stop_sequence";
                }
            }
        }
        Ok(None)
    }

    /// vLLM and SGLang tell at which of the client's sequences the text has stopped.
    fn stopped_at(&self, choice: &ChatChoice<'_>) -> Option<String> {
        let sequence = choice.stop_reason.or(choice.matched_stop).and_then(inside).map(meaning)?;
        self.memo.stop.contains(&sequence).then_some(sequence)
    }

    fn says<'e>(
        &mut self,
        delta: &Delta<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        if let Some(name) = delta.unknown() {
            return Err(BadAnswer::Unknown(format!("a `{name}` in a delta")));
        }
        let thought = delta.thought()?;
        let text = some_text(delta.content, "content")?;
        let refusal = some_text(delta.refusal, "refusal")?;
        self.refused |= refusal.is_some();
        let calls = delta.tool_calls.map(chunk::call_pieces).transpose()?.unwrap_or_default();
        if self.stage != Stage::Under {
            // Nothing is said behind the end, whatever a server repeats there.
            return Ok(None);
        }
        let told = [(Told::Thinking, thought), (Told::Text, text), (Told::Text, refusal)];
        for (told, text) in told.iter().filter_map(|(told, text)| Some((*told, (*text)?))) {
            self.hold(told, out)?;
            self.write_delta(text, out);
        }
        if !calls.is_empty() {
            self.stop_text(out);
            self.open = OpenBlock::Call;
            for piece in &calls {
                self.calls.piece(piece, &self.id, &mut self.next, out)?;
            }
            return Ok(None);
        }
        Ok(match (thought, text, refusal) {
            (Some(text), None, None) | (None, Some(text), None) => Some(text),
            _ => None,
        })
    }

    fn start(&mut self, chunk: &Chunk<'_>, out: &mut Vec<u8>) {
        let id = chunk.id.and_then(inside).map(meaning).filter(|id| !id.is_empty());
        let model = chunk.model.and_then(inside).map(meaning).filter(|model| !model.is_empty());
        let message = json!({
            "id": id.unwrap_or_else(|| format!("msg_{}", self.id)),
            "type": "message",
            "role": "assistant",
            "model": model.as_deref().unwrap_or(&self.memo.model),
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": self.tokens.messages(),
        });
        write_event("message_start", &json!({"type": "message_start", "message": message}), out);
        self.stage = Stage::Under;
    }

    /// Opens a block for such a text, unless it is open.
    fn hold(&mut self, told: Told, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if self.open == OpenBlock::Holding(told) {
            return Ok(());
        }
        self.stop_block(out)?;
        let (kind, delta, member) = told.names();
        let index = self.next;
        self.next += 1;
        let mut block = json!({ "type": kind, member: "" });
        if told == Told::Thinking {
            // Nobody has signed it; clients want the member.
            block["signature"] = "".into();
        }
        let start = json!({"type": "content_block_start", "index": index, "content_block": block});
        write_event("content_block_start", &start, out);
        self.delta = format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"{delta}\",\"{member}\":\""
        )
        .into_bytes();
        self.open = OpenBlock::Holding(told);
        Ok(())
    }

    fn write_delta(&self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.delta);
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\"}}\n\n");
    }

    fn stop_text(&mut self, out: &mut Vec<u8>) {
        if matches!(self.open, OpenBlock::Holding(_)) {
            stop_block(self.next - 1, out);
            self.open = OpenBlock::None;
        }
    }

    fn stop_block(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        self.stop_text(out);
        if self.open == OpenBlock::Call {
            self.calls.settle(&self.id, &mut self.next, out)?;
            self.open = OpenBlock::None;
        }
        Ok(())
    }

    /// The model is done: the first reason holds.
    fn finish(&mut self, reason: Option<&str>, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if self.stage != Stage::Under {
            return Ok(());
        }
        let reason = reason.unwrap_or_default();
        if self.calls.are_cut() && reason != "length" {
            return Err(BadAnswer::Malformed("ends inside the arguments of a call".into()));
        }
        self.stop_block(out)?;
        self.reason = match reasons::to_messages(reason, self.calls.any()) {
            "end_turn" if self.refused => "refusal",
            reason => reason,
        };
        self.stage = Stage::Finished;
        Ok(())
    }

    fn conclude(&mut self, out: &mut Vec<u8>) {
        let delta = json!({"stop_reason": self.reason, "stop_sequence": self.stop_sequence});
        let usage = self.tokens.messages();
        let delta = json!({"type": "message_delta", "delta": delta, "usage": usage});
        write_event("message_delta", &delta, out);
        write_event("message_stop", &json!({"type": "message_stop"}), out);
        self.stage = Stage::Over;
    }
}
