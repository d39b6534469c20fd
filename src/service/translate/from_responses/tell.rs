//! A stream of OpenAI chat, told as one of OpenAI responses.
//!
//! ```text
//!   first chunk          response.created, response.in_progress
//!   delta.reasoning…     output_item.added reasoning, content_part.added, reasoning_text.delta …
//!   delta.content        output_item.added message, content_part.added, output_text.delta …
//!   delta.refusal        content_part.added refusal, refusal.delta …
//!   delta.tool_calls     output_item.added function_call, function_call_arguments.delta …
//!   (what is over)       ….done, content_part.done, output_item.done
//!   usage, [DONE], end   response.completed or response.incomplete
//!   error                response.failed, or `error` where nothing was begun
//! ```
//!
//! * Every event is numbered, from 0.
//! * Calls may be under way side by side: each is an item with a number of its own.
//! * An item is told again whole when it is done, and all of them at the end. So what was said is held, at
//!   most [`ANSWER_BYTES_MAX`]: there is no other way to say it in this dialect.

use super::super::chat::calls::CallTable;
use super::super::chat::chunk::{self, ChatChoice, Chunk, Delta};
use super::super::errors::ServerError;
use super::super::events::StreamPart;
use super::super::raw::{inside, meaning, some_text, value};
use super::super::reasons::TokenCounts;
use super::super::{AnswerContext, BadAnswer, Teller};
use super::events::EventWriter;
use super::items::{self, PartKind};
use super::response::{self, ResponseStatus};
use crate::service::Dialect;

/// How long what is said, thought and called may be, as it is written.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has been written.
    Before,
    Under,
    /// The model has said that it is done.
    Finished(ResponseStatus),
    /// Nothing more is written.
    Over,
}

/// An item with parts that is under way.
#[derive(Debug)]
struct OpenItem {
    id: String,
    index: u64,
    /// The part that is under way, and its number.
    kind: PartKind,
    part: u64,
    /// The parts before it, written.
    parts: String,
    /// What the part has said: the inside of a JSON string.
    text: String,
    /// How likely its tokens were: the inside of a list.
    logprobs: String,
}

/// What is told of a call.
#[derive(Debug, Default)]
struct CallItem {
    /// Its id and its number; `None`: it has not begun.
    item: Option<(String, u64)>,
    /// Arguments that have been told.
    told: String,
}

/// Tells one stream.
#[derive(Debug)]
pub struct ChatAsResponses {
    context: AnswerContext,
    model: String,
    phase: Phase,
    events: EventWriter,
    open: Option<OpenItem>,
    calls: CallTable<CallItem>,
    /// The number of the next item.
    next: u64,
    /// Items that are done, written, by their numbers.
    done: Vec<(u64, String)>,
    /// Bytes of all that is held.
    held: usize,
    tokens: Option<TokenCounts>,
    /// What the text of another delta of the same shape is.
    repeats: Option<PartKind>,
}

impl Teller for ChatAsResponses {
    fn part<'e>(
        &mut self,
        part: StreamPart<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        match part {
            _ if self.phase == Phase::Over => {}
            StreamPart::Event { name, data } => return self.event(name, data, out),
            StreamPart::Done if self.phase == Phase::Before => return Err(BadAnswer::Unfinished),
            StreamPart::Done => {
                self.finish("stop", out)?;
                self.conclude(out);
            }
            StreamPart::Comment => out.extend_from_slice(b": ping\n\n"),
        }
        Ok(None)
    }

    fn again(&mut self, text: &str, out: &mut Vec<u8>) -> Result<bool, BadAnswer> {
        let Some(kind) = self.repeats else { return Ok(false) };
        self.says(kind, text, out).map(|()| true)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match self.phase {
            Phase::Before | Phase::Under => Err(BadAnswer::Unfinished),
            Phase::Finished(_) => {
                self.conclude(out);
                Ok(())
            }
            Phase::Over => Ok(()),
        }
    }
}

impl ChatAsResponses {
    pub fn new(context: &AnswerContext) -> ChatAsResponses {
        ChatAsResponses {
            context: context.clone(),
            model: context.memo.model.clone(),
            phase: Phase::Before,
            events: EventWriter::default(),
            open: None,
            calls: CallTable::default(),
            next: 0,
            done: Vec::new(),
            held: 0,
            tokens: None,
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
        if name == b"error" || chunk::is_error(data) {
            self.fail(&ServerError::read(0, data), out);
            return Ok(None);
        }
        let chunk = Chunk::read(data)?;
        if let Some(usage) = chunk.usage() {
            self.tokens.get_or_insert_default().read_chat(&usage);
        }
        let (mut count, mut only) = (0, None);
        for choice in chunk.choices.iter().flat_map(chunk::Choices::all) {
            if self.phase == Phase::Before {
                self.start(&chunk, out);
            }
            only = self.choice(choice, out)?;
            count += 1;
        }
        if count == 0 && chunk.usage.is_some() && matches!(self.phase, Phase::Finished(_)) {
            self.conclude(out);
        }
        // The shape has a place for one text.
        let only = only.filter(|_| count == 1);
        self.repeats = only.map(|(kind, _)| kind);
        Ok(only.map(|(_, text)| text))
    }

    /// Tells what it says. Returns the text, if that is all.
    fn choice<'e>(
        &mut self,
        choice: &ChatChoice<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<(PartKind, &'e str)>, BadAnswer> {
        if choice.index.is_some_and(|index| index.get() != "0") {
            return Err(BadAnswer::Unknown("a second choice".into()));
        }
        if let Some(usage) = choice.usage.and_then(value) {
            self.tokens.get_or_insert_default().read_chat(&usage);
        }
        let mut only = None;
        if let Some(delta) = &choice.delta {
            only = self.delta(delta, choice.logprobs().as_deref(), out)?;
        }
        let reason = choice.finish_reason.and_then(inside);
        match reason.filter(|reason| !reason.is_empty() && *reason != "null") {
            None => return Ok(only),
            Some("error") => self.fail(&ServerError::read(0, b"{}"), out),
            Some(reason) => self.finish(reason, out)?,
        }
        Ok(None)
    }

    fn delta<'e>(
        &mut self,
        delta: &Delta<'e>,
        logprobs: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<Option<(PartKind, &'e str)>, BadAnswer> {
        if let Some(name) = delta.unknown() {
            return Err(BadAnswer::Unknown(format!("a `{name}` in a delta")));
        }
        let thought = delta.thought()?;
        let text = some_text(delta.content, "content")?;
        let refusal = some_text(delta.refusal, "refusal")?;
        let calls = delta.tool_calls.map(chunk::call_pieces).transpose()?.unwrap_or_default();
        if self.phase != Phase::Under {
            // Nothing is said behind the end, whatever a server repeats there.
            return Ok(None);
        }
        let said =
            [(PartKind::Thinking, thought), (PartKind::Text, text), (PartKind::Refusal, refusal)];
        let mut all = said.iter().filter_map(|(kind, text)| Some((*kind, (*text)?)));
        let only = all.next().filter(|_| calls.is_empty() && all.next().is_none());
        for (kind, text) in said {
            match (text, logprobs.filter(|_| kind == PartKind::Text)) {
                (text, Some(logprobs)) => {
                    self.says_with(text.unwrap_or_default(), logprobs, out)?;
                }
                (Some(text), None) => self.says(kind, text, out)?,
                (None, None) => {}
            }
        }
        // They are others with the next one.
        let only = only.filter(|_| logprobs.is_none());
        for piece in &calls {
            self.stop_item("completed", out);
            self.call(piece, out)?;
        }
        Ok(only)
    }

    fn start(&mut self, chunk: &Chunk<'_>, out: &mut Vec<u8>) {
        let model = chunk.model.and_then(inside).map(meaning).filter(|model| !model.is_empty());
        self.model = model.unwrap_or_else(|| self.context.memo.model.clone());
        self.phase = Phase::Under;
        for name in ["response.created", "response.in_progress"] {
            let response = self.response(ResponseStatus::InProgress, None);
            self.events.write(name, &format!("\"response\":{response}"), out);
        }
    }

    /// Tells some of what is said.
    fn says(&mut self, kind: PartKind, text: &str, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if text.is_empty() {
            return Ok(());
        }
        self.hold(text.len())?;
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            self.open_part(kind, out);
        }
        self.events.delta(text, out);
        if let Some(open) = &mut self.open {
            open.text.push_str(text);
        }
        Ok(())
    }

    /// The same of a text, with how likely its tokens were.
    fn says_with(
        &mut self,
        text: &str,
        logprobs: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        self.hold(text.len() + logprobs.len())?;
        if self.open.as_ref().is_none_or(|open| open.kind != PartKind::Text) {
            self.open_part(PartKind::Text, out);
        }
        self.events.delta_with(text, logprobs, out);
        if let Some(open) = &mut self.open {
            open.text.push_str(text);
            if !open.logprobs.is_empty() {
                open.logprobs.push(',');
            }
            open.logprobs.push_str(logprobs);
        }
        Ok(())
    }

    fn hold(&mut self, more: usize) -> Result<(), BadAnswer> {
        self.held += more;
        match self.held > ANSWER_BYTES_MAX {
            true => Err(BadAnswer::TooLong(ANSWER_BYTES_MAX)),
            false => Ok(()),
        }
    }

    /// Begins a part for such a text, in the item that is open if it has a place there.
    fn open_part(&mut self, kind: PartKind, out: &mut Vec<u8>) {
        match self.open.as_ref().map(|open| open.kind) {
            Some(before) if before.is_thinking() == kind.is_thinking() => self.stop_part(out),
            Some(_) => self.stop_item("completed", out),
            None => {}
        }
        if self.open.is_none() {
            let index = self.next;
            self.next += 1;
            let prefix = if kind.is_thinking() { "rs" } else { "msg" };
            let id = items::id(prefix, &self.context.id, index);
            let item = match kind.is_thinking() {
                true => items::reasoning(&id, "in_progress", ""),
                false => items::message(&id, "in_progress", ""),
            };
            self.events.item("response.output_item.added", index, &item, out);
            let (parts, text, logprobs) = (String::new(), String::new(), String::new());
            self.open = Some(OpenItem { id, index, kind, part: 0, parts, text, logprobs });
        }
        if let Some(open) = &mut self.open {
            open.kind = kind;
            self.events.part(
                "response.content_part.added",
                &open.id,
                (open.index, open.part),
                &kind.part("", ""),
                out,
            );
            self.events.set_delta(kind, &open.id, (open.index, open.part));
        }
    }

    /// The part that is open is over.
    fn stop_part(&mut self, out: &mut Vec<u8>) {
        let Some(open) = &mut self.open else { return };
        let at = (open.index, open.part);
        let part = open.kind.part(&open.text, &open.logprobs);
        self.events.text_done(open.kind, &open.id, at, (&open.text, &open.logprobs), out);
        self.events.part("response.content_part.done", &open.id, at, &part, out);
        if !open.parts.is_empty() {
            open.parts.push(',');
        }
        open.parts.push_str(&part);
        open.text.clear();
        open.logprobs.clear();
        open.part += 1;
    }

    /// The item that is open is over.
    fn stop_item(&mut self, status: &str, out: &mut Vec<u8>) {
        self.stop_part(out);
        let Some(OpenItem { id, index, kind, parts, .. }) = self.open.take() else { return };
        let item = match kind.is_thinking() {
            true => items::reasoning(&id, status, &parts),
            false => items::message(&id, status, &parts),
        };
        self.events.item("response.output_item.done", index, &item, out);
        self.done.push((index, item));
    }

    fn call(&mut self, piece: &chunk::CallPiece<'_>, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let (place, more) = self.calls.take(piece)?;
        self.hold(more)?;
        let call = self.calls.get_mut(place);
        if call.name.is_empty() {
            return Ok(());
        }
        if call.state.item.is_none() {
            let index = self.next;
            self.next += 1;
            let id = items::id("fc", &self.context.id, index);
            if call.id.is_empty() {
                call.id = items::id("call", &self.context.id, index);
            }
            let item = items::call(&id, "in_progress", &call.id, &call.name, "");
            self.events.item("response.output_item.added", index, &item, out);
            call.state.item = Some((id, index));
        }
        if let Some((id, index)) = call.state.item.as_ref().filter(|_| !call.held.is_empty()) {
            self.events.arguments_delta(id, *index, &call.held, out);
            call.state.told.push_str(&call.held);
            call.held.clear();
        }
        Ok(())
    }

    /// All calls are told.
    fn stop_calls(&mut self, status: &str, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        for call in self.calls.iter_mut() {
            let Some((id, index)) = call.state.item.take() else {
                return Err(BadAnswer::Malformed("has a call without a name".into()));
            };
            let mut arguments = std::mem::take(&mut call.state.told);
            if arguments.is_empty() {
                // A client reads them as JSON, and nothing is none.
                arguments = "{}".into();
                self.events.arguments_delta(&id, index, &arguments, out);
            }
            self.events.arguments_done(&id, index, &call.name, &arguments, out);
            let item = items::call(&id, status, &call.id, &call.name, &arguments);
            self.events.item("response.output_item.done", index, &item, out);
            self.done.push((index, item));
        }
        Ok(())
    }

    /// The model is done: the first reason holds.
    fn finish(&mut self, reason: &str, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if self.phase != Phase::Under {
            return Ok(());
        }
        let status = ResponseStatus::of(reason);
        if self.calls.are_cut() && status == ResponseStatus::Completed {
            return Err(BadAnswer::Malformed("ends inside the arguments of a call".into()));
        }
        self.stop_item(status.name(), out);
        self.stop_calls(status.name(), out)?;
        self.phase = Phase::Finished(status);
        Ok(())
    }

    fn conclude(&mut self, out: &mut Vec<u8>) {
        let Phase::Finished(status) = self.phase else { return };
        let name = match status {
            ResponseStatus::Incomplete(_) => "response.incomplete",
            _ => "response.completed",
        };
        let response = self.response(status, None);
        self.events.write(name, &format!("\"response\":{response}"), out);
        self.phase = Phase::Over;
    }

    fn fail(&mut self, error: &ServerError, out: &mut Vec<u8>) {
        if self.phase == Phase::Before {
            error.event(Dialect::OpenAiResponses, out);
        } else {
            let told = error.document(Dialect::OpenAiResponses);
            let error = &told["error"];
            let code = error["code"].as_str().or_else(|| error["type"].as_str());
            let said = (code.unwrap_or("server_error"), error["message"].as_str().unwrap_or(""));
            let response = self.response(ResponseStatus::Failed, Some(said));
            self.events.write("response.failed", &format!("\"response\":{response}"), out);
        }
        self.phase = Phase::Over;
    }

    /// The response as it stands.
    fn response(&mut self, status: ResponseStatus, error: Option<(&str, &str)>) -> String {
        self.done.sort_by_key(|(index, _)| *index);
        let items: Vec<&str> = self.done.iter().map(|(_, item)| item.as_str()).collect();
        let tokens = self.tokens.filter(|_| status != ResponseStatus::InProgress);
        let (context, model) = (&self.context, &self.model);
        response::write(context, model, status, &items.join(","), tokens.as_ref(), error)
    }
}
