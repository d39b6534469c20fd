//! An answer whose length is known: a JSON document, whole or broken off on request.

use bytes::Bytes;

use super::settings::Break;
use crate::clock::Instant;
use crate::responder::{Action, Head};
use crate::service::openai::Failure;

/// A long body is given in pieces of this size, so that nobody has to hold more of it.
const PIECE_BYTES: usize = 16 * 1024;

/// A document on its way out.
#[derive(Debug)]
pub(super) struct Document {
    /// Nothing is sent before.
    due: Instant,
    /// Taken when it has been given.
    head: Option<Head>,
    body: Bytes,
    sent: usize,
    /// How it ends, and after how many bytes of the body, if not in full.
    broken: Option<(usize, Break)>,
}

impl Document {
    pub fn new(due: Instant, status: u16, body: Bytes) -> Document {
        let head = Head {
            status,
            content_type: "application/json",
            length: Some(body.len() as u64),
            fields: Vec::new(),
        };
        Document { due, head: Some(head), body, sent: 0, broken: None }
    }

    pub fn with_field(mut self, name: &'static str, value: String) -> Document {
        if let Some(head) = &mut self.head {
            head.fields.push((name.into(), value));
        }
        self
    }

    pub fn of_type(mut self, content_type: &'static str) -> Document {
        if let Some(head) = &mut self.head {
            head.content_type = content_type;
        }
        self
    }

    /// Breaks off after `bytes` of the body.
    pub fn broken_after(mut self, bytes: usize, kind: Break) -> Document {
        self.broken = Some((bytes.min(self.body.len()), kind));
        self
    }

    pub fn step(&mut self, now: Instant) -> Action {
        if now < self.due {
            return Action::Sleep(self.due);
        }
        if let Some(head) = self.head.take() {
            return Action::Head(head);
        }
        let end = self.broken.map_or(self.body.len(), |(bytes, _)| bytes);
        if self.sent < end {
            let piece = self.body.slice(self.sent..end.min(self.sent + PIECE_BYTES));
            self.sent += piece.len();
            return Action::Data(piece);
        }
        match self.broken {
            None => Action::End,
            Some((_, kind)) => kind.step(),
        }
    }
}

impl Break {
    pub(super) fn step(self) -> Action {
        match self {
            Break::Reset => Action::Reset,
            Break::Cut => Action::Cut,
            Break::Garble => Action::Garble,
            Break::Stall => Action::Sleep(Instant::NEVER),
        }
    }
}

/// The error, its message drawn out until the body has `bytes` bytes.
pub(super) fn error_body_of_size(failure: &Failure<'_>, bytes: usize) -> Bytes {
    let missing = bytes.saturating_sub(failure.body().len());
    let message = format!("{}{}", failure.message, ".".repeat(missing));
    Failure { message: &message, ..*failure }.body()
}
