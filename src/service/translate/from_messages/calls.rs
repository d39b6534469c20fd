//! Calls that come in pieces, told one block after the other.
//!
//! OpenAI numbers the calls of an answer, and their pieces may come mixed; Anthropic's blocks do not
//! mix. So one call is open, and what comes of others meanwhile is held until its arguments are
//! whole, or the answer ends.

use serde_json::json;

use super::super::BadAnswer;
use super::super::chat::calls::{CallTable, PartialCall};
use super::super::chat::chunk::CallPiece;
use super::events::{stop_block, write_event};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CallBlock {
    #[default]
    Waiting,
    Open {
        index: u64,
    },
    Stopped,
}

type Call = PartialCall<CallBlock>;

/// The calls of one answer.
#[derive(Debug, Default)]
pub struct Calls {
    table: CallTable<CallBlock>,
}

impl Calls {
    /// Whether there is one.
    pub fn any(&self) -> bool {
        self.table.any()
    }

    /// Takes a piece. `next` is the number of the next block.
    pub fn piece(
        &mut self,
        piece: &CallPiece<'_>,
        exchange: &str,
        next: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        let (place, more) = self.table.take(piece)?;
        if more > 0 && self.table.get_mut(place).state == CallBlock::Stopped {
            return Err(BadAnswer::Malformed("goes on with a call that was whole".into()));
        }
        self.tell(exchange, next, out);
        Ok(())
    }

    /// Tells what can be told.
    fn tell(&mut self, exchange: &str, next: &mut u64, out: &mut Vec<u8>) {
        let mut calls = self.table.iter_mut().enumerate().peekable();
        while let Some((number, call)) = calls.next() {
            match call.state {
                CallBlock::Stopped => continue,
                CallBlock::Waiting if call.name.is_empty() => return,
                CallBlock::Waiting => start(call, number, exchange, next, out),
                CallBlock::Open { .. } => {}
            }
            write_held(call, out);
            // The last one stays open: white space may follow what is whole.
            if !call.arguments.is_whole() || calls.peek().is_none() {
                return;
            }
            stop(call, out);
        }
    }

    /// Whether the arguments of one have begun and not ended, as far as they have come.
    pub fn are_cut(&self) -> bool {
        self.table.are_cut()
    }

    /// The answer goes on with something else, or ends: all calls are told.
    pub fn settle(
        &mut self,
        exchange: &str,
        next: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        for (number, call) in self.table.iter_mut().enumerate() {
            if call.state == CallBlock::Waiting {
                if call.name.is_empty() {
                    return Err(BadAnswer::Malformed("has a call without a name".into()));
                }
                start(call, number, exchange, next, out);
            }
            if call.state != CallBlock::Stopped {
                write_held(call, out);
                stop(call, out);
            }
        }
        Ok(())
    }
}

fn start(call: &mut Call, number: usize, exchange: &str, next: &mut u64, out: &mut Vec<u8>) {
    let index = *next;
    *next += 1;
    if call.id.is_empty() {
        call.id = format!("toolu_{exchange}_{number}");
    }
    let block = json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
    let start = json!({"type": "content_block_start", "index": index, "content_block": block});
    write_event("content_block_start", &start, out);
    call.state = CallBlock::Open { index };
}

fn write_held(call: &mut Call, out: &mut Vec<u8>) {
    let CallBlock::Open { index } = call.state else { return };
    if call.held.is_empty() {
        return;
    }
    out.extend_from_slice(
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}}}\n\n",
            call.held
        )
        .as_bytes(),
    );
    call.held.clear();
}

fn stop(call: &mut Call, out: &mut Vec<u8>) {
    if let CallBlock::Open { index } = call.state {
        stop_block(index, out);
    }
    call.state = CallBlock::Stopped;
}
