//! An answer that is all here: its head, and its body in pieces.

use bytes::Bytes;

use super::{Action, Head, Responder};
use crate::clock::Instant;

/// A long body is given in pieces of this size, so that nobody has to hold more of it.
const PIECE_BYTES: usize = 16 << 10;

/// One answer.
#[derive(Debug)]
pub struct Finished {
    /// Taken when it has been given.
    head: Option<Head>,
    body: Bytes,
}

impl Finished {
    pub fn new(status: u16, content_type: &'static str, body: Bytes) -> Finished {
        let length = Some(body.len() as u64);
        let head = Head { status, content_type, length, fields: Vec::new() };
        Finished { head: Some(head), body }
    }

    pub fn with_field(mut self, name: &'static str, value: &str) -> Finished {
        if let Some(head) = &mut self.head {
            head.fields.push((name.into(), value.to_owned()));
        }
        self
    }
}

impl Finished {
    /// With a field that whoever answers has named.
    pub fn with_own_field(mut self, name: String, value: String) -> Finished {
        if let Some(head) = &mut self.head {
            head.fields.push((name.into(), value));
        }
        self
    }
}

impl Responder for Finished {
    fn step(&mut self, _now: Instant) -> Action {
        if let Some(head) = self.head.take() {
            return Action::Head(head);
        }
        if self.body.is_empty() {
            return Action::End;
        }
        Action::Data(self.body.split_to(self.body.len().min(PIECE_BYTES)))
    }
}
