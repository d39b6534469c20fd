//! The predefined answer that ends a chain of upstreams: `fallback` in the configuration.
//!
//! ```text
//! Head → Opening → Pieces ──▶ Closing → End      text, to who asked for a stream
//! Head → Document → End                          anything else
//! ```
//!
//! It answers at once and reads no body: what there is to know of the request the gateway has read
//! already. Piece `k` is due at `start + k × pace`, so that a client shows it as it shows a model's
//! words. Whoever looks at the head can tell: `x-sluice-degraded` gives the reason.
//!
//! * A status that is an error is answered with the dialect's error document, stream or not: that
//!   is where clients look for it.
//! * JSON from the configuration is sent as it is; nobody but its author knows its shape.
//! * A text is shared by all exchanges that send it; one exchange holds a position in it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Action, Head, Responder};
use crate::clock::Instant;
use crate::config::snapshot::{Fallback, FallbackAnswer};
use crate::service::canned::{self, AnswerForm, CannedDocument, Voice};
use crate::service::openai::Identity;

/// Says that a predefined answer was given, and why.
pub const DEGRADED_FIELD: &str = "x-sluice-degraded";
/// The model of an answer to a request that names none.
const MODEL: &str = "predefined";
/// A long body is given in pieces of this size, so that nobody has to hold more of it.
const PIECE_BYTES: usize = 16 * 1024;

/// Who is answered, and why like this.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    pub asked: AnswerForm<'a>,
    /// The model asked for.
    pub model: Option<&'a str>,
    /// One word: `upstream_refused`, `queue_full`, …
    pub reason: &'static str,
    /// Differs from one answer to the next.
    pub serial: u64,
    /// Unix time, in seconds, at the clock's zero.
    pub epoch: u64,
}

/// Begins the answer.
pub fn respond(fallback: &Fallback, caller: &Caller<'_>, now: Instant) -> Box<dyn Responder> {
    let identity = Identity {
        serial: caller.serial,
        created: caller.epoch.saturating_add(now.since(Instant::ZERO).as_secs()),
        model: fallback.model.as_deref().or(caller.model).unwrap_or(MODEL),
        fingerprint: "fp_predefined",
    };
    let asked = &caller.asked;
    let (content_type, length, body) = match &fallback.answer {
        FallbackAnswer::Text(text) if fallback.status < 400 && asked.stream => {
            let voice = Voice::new(asked, &identity);
            let stream = Stream {
                text: Arc::clone(text),
                sent: 0,
                pieces: 0,
                start: now,
                pace: fallback.pace,
                stage: Stage::Opening,
                voice,
            };
            (stream.voice.content_type(), None, Body::Stream(stream))
        }
        FallbackAnswer::Text(text) => {
            let document = match fallback.status < 400 {
                true => canned::document(asked, &identity, text),
                false => canned::error_document(asked.dialect, fallback.status, text),
            };
            whole(document)
        }
        FallbackAnswer::Json(json) => {
            let body = Bytes::from_owner(Shared(Arc::clone(json)));
            whole(CannedDocument { content_type: "application/json", body })
        }
    };
    let mut fields: Vec<(Cow<'static, str>, String)> =
        vec![(DEGRADED_FIELD.into(), caller.reason.to_owned())];
    if matches!(body, Body::Stream(_)) {
        fields.push(("cache-control".into(), "no-cache".to_owned()));
    }
    let given = |(name, value): &(String, String)| (name.clone().into(), value.clone());
    fields.extend(fallback.headers.iter().map(given));
    let head = Head { status: fallback.status, content_type, length, fields };
    Box::new(Canned { head: Some(head), body })
}

fn whole(document: CannedDocument) -> (&'static str, Option<u64>, Body) {
    let length = document.body.len() as u64;
    (document.content_type, Some(length), Body::Whole { body: document.body, sent: 0 })
}

/// Text of the configuration as bytes, without a copy.
struct Shared(Arc<str>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The responder.
#[derive(Debug)]
struct Canned {
    /// Taken when it has been given.
    head: Option<Head>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Whole { body: Bytes, sent: usize },
    Stream(Stream),
}

#[derive(Debug)]
struct Stream {
    voice: Voice,
    text: Arc<str>,
    /// Bytes of the text behind us.
    sent: usize,
    pieces: u64,
    start: Instant,
    pace: Duration,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    Pieces,
    Closing,
    End,
}

impl Stream {
    fn step(&mut self, now: Instant) -> Action {
        loop {
            let (next, data) = match self.stage {
                Stage::Opening => (Stage::Pieces, self.voice.opening()),
                Stage::Pieces => match canned::pieces(&self.text[self.sent..]).next() {
                    None => (Stage::Closing, None),
                    Some(piece) => {
                        let count = u32::try_from(self.pieces).unwrap_or(u32::MAX);
                        let due = self.start + self.pace.saturating_mul(count);
                        if now < due {
                            return Action::Sleep(due);
                        }
                        let data = self.voice.piece(self.pieces, piece);
                        self.sent += piece.len();
                        self.pieces += 1;
                        (Stage::Pieces, Some(data))
                    }
                },
                Stage::Closing => (Stage::End, self.voice.closing(self.pieces, &self.text)),
                Stage::End => return Action::End,
            };
            self.stage = next;
            if let Some(data) = data {
                return Action::Data(data);
            }
        }
    }
}

impl Responder for Canned {
    fn step(&mut self, now: Instant) -> Action {
        if let Some(head) = self.head.take() {
            return Action::Head(head);
        }
        match &mut self.body {
            Body::Stream(stream) => stream.step(now),
            Body::Whole { body, sent } if *sent < body.len() => {
                let piece = body.slice(*sent..body.len().min(*sent + PIECE_BYTES));
                *sent += piece.len();
                Action::Data(piece)
            }
            Body::Whole { .. } => Action::End,
        }
    }
}

#[cfg(test)]
mod tests;
