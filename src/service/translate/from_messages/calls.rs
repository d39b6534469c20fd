//! Calls that come in pieces, told one block after the other.
//!
//! OpenAI numbers the calls of an answer, and their pieces may come mixed; Anthropic's blocks do not
//! mix. So one call is open, and what comes of others meanwhile is held until its arguments are
//! whole, or the answer ends.
//!
//! * A call begins with its name. Ids and indexes may be missing from later pieces, and an index may
//!   stand for a second call, which tells by its id.
//! * Bounded: no more is held than [`HELD_BYTES_MAX`] bytes and [`CALLS_MAX`] calls.

use std::borrow::Cow;

use serde_json::json;
use serde_json::value::RawValue;

use super::super::BadAnswer;
use super::super::chat::brackets::Brackets;
use super::super::chat::chunk::CallPiece;
use super::super::events::EVENT_BYTES_MAX;
use super::super::raw::{inside, malformed, meaning, some_text};
use super::super::tree;
use super::events::{stop_block, write_event};
use crate::http::json::escape;

const HELD_BYTES_MAX: usize = EVENT_BYTES_MAX;
const CALLS_MAX: usize = 1_024;

#[derive(Debug)]
struct Call {
    index: Option<u64>,
    /// As the server calls it; empty: it does not.
    id: String,
    name: String,
    /// Pieces of the arguments that have not been told: insides of JSON strings.
    held: String,
    block: CallBlock,
    arguments: Brackets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallBlock {
    Waiting,
    Open { index: u64 },
    Stopped,
}

/// The calls of one answer.
#[derive(Debug, Default)]
pub struct Calls {
    calls: Vec<Call>,
    held: usize,
}

impl Calls {
    /// Whether there is one.
    pub fn any(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Takes a piece. `next` is the number of the next block.
    pub fn piece(
        &mut self,
        piece: &CallPiece<'_>,
        exchange: &str,
        next: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        let id = piece.id.and_then(inside).map(meaning).unwrap_or_default();
        let function = piece.function.as_ref();
        let name = function.and_then(|function| function.name).and_then(inside).map(meaning);
        let name = name.unwrap_or_default();
        let at = match self.place_of(piece.index, &id, &name) {
            Some(at) => at,
            None if self.calls.len() == CALLS_MAX => {
                return Err(BadAnswer::TooLong(HELD_BYTES_MAX));
            }
            None => {
                self.calls.push(Call {
                    index: piece.index,
                    id: String::new(),
                    name: String::new(),
                    held: String::new(),
                    block: CallBlock::Waiting,
                    arguments: Brackets::default(),
                });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if call.block == CallBlock::Waiting {
            if call.id.is_empty() {
                call.id = id;
            }
            if call.name.is_empty() {
                call.name = name;
            }
        }
        let arguments = function.and_then(|function| function.arguments);
        if let Some(text) = written(arguments)? {
            if call.block == CallBlock::Stopped {
                return Err(BadAnswer::Malformed("goes on with a call that was whole".into()));
            }
            call.arguments.feed(&text);
            self.held += text.len();
            if self.held > HELD_BYTES_MAX {
                return Err(BadAnswer::TooLong(HELD_BYTES_MAX));
            }
            call.held.push_str(&text);
        }
        self.tell(exchange, next, out);
        Ok(())
    }

    /// The call that a piece belongs to.
    fn place_of(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let same = |call: &&Call| match index {
            Some(index) => call.index == Some(index),
            None => id.is_empty() || call.id == id,
        };
        let at = self.calls.iter().rposition(|call| same(&call))?;
        let call = &self.calls[at];
        let another = !name.is_empty() && !id.is_empty() && !call.id.is_empty() && call.id != id;
        // A name behind whole arguments begins a call too, where nobody gives ids.
        let again = id.is_empty() && !name.is_empty() && call.arguments.is_whole();
        (!another && !again).then_some(at)
    }

    /// Tells what can be told.
    fn tell(&mut self, exchange: &str, next: &mut u64, out: &mut Vec<u8>) {
        let last = self.calls.len() - 1;
        for (number, call) in self.calls.iter_mut().enumerate() {
            match call.block {
                CallBlock::Stopped => continue,
                CallBlock::Waiting if call.name.is_empty() => return,
                CallBlock::Waiting => call.start(number, exchange, next, out),
                CallBlock::Open { .. } => {}
            }
            self.held -= call.held.len();
            call.write_held(out);
            // The last one stays open: white space may follow what is whole.
            if !call.arguments.is_whole() || number == last {
                return;
            }
            call.stop(out);
        }
    }

    /// Whether the arguments of one have begun and not ended, as far as they have come.
    pub fn are_cut(&self) -> bool {
        self.calls.iter().any(|call| call.arguments.are_cut())
    }

    /// The answer goes on with something else, or ends: all calls are told.
    pub fn settle(
        &mut self,
        exchange: &str,
        next: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        for (number, call) in self.calls.iter_mut().enumerate() {
            if call.block == CallBlock::Waiting {
                if call.name.is_empty() {
                    return Err(BadAnswer::Malformed("has a call without a name".into()));
                }
                call.start(number, exchange, next, out);
            }
            if call.block != CallBlock::Stopped {
                call.write_held(out);
                call.stop(out);
            }
        }
        self.held = 0;
        Ok(())
    }
}

impl Call {
    fn start(&mut self, number: usize, exchange: &str, next: &mut u64, out: &mut Vec<u8>) {
        let index = *next;
        *next += 1;
        if self.id.is_empty() {
            self.id = format!("toolu_{exchange}_{number}");
        }
        let block = json!({"type": "tool_use", "id": self.id, "name": self.name, "input": {}});
        let start = json!({"type": "content_block_start", "index": index, "content_block": block});
        write_event("content_block_start", &start, out);
        self.block = CallBlock::Open { index };
    }

    fn write_held(&mut self, out: &mut Vec<u8>) {
        let CallBlock::Open { index } = self.block else { return };
        if self.held.is_empty() {
            return;
        }
        out.extend_from_slice(
            format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}}}\n\n",
                self.held
            )
            .as_bytes(),
        );
        self.held.clear();
    }

    fn stop(&mut self, out: &mut Vec<u8>) {
        if let CallBlock::Open { index } = self.block {
            stop_block(index, out);
        }
        self.block = CallBlock::Stopped;
    }
}

/// What a piece says of the arguments, as the inside of a JSON string. Ollama has sent objects.
fn written(arguments: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, BadAnswer> {
    match arguments {
        Some(object) if object.get().starts_with('{') => {
            tree::parse(object.get().as_bytes()).map_err(|it| malformed(&it))?;
            let mut inside = Vec::new();
            escape(object.get(), &mut inside);
            Ok(String::from_utf8(inside).ok().map(Cow::Owned))
        }
        arguments => Ok(some_text(arguments, "arguments")?.map(Cow::Borrowed)),
    }
}
