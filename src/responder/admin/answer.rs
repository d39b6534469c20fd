//! The responders behind the pages: one for each way an answer comes about.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::assets::Asset;
use super::{Feed, Next, Pending, Process, Reply};
use crate::clock::Instant;
use crate::escape::escaped_lines;
use crate::responder::finished::Finished;
use crate::responder::{Action, Head, Responder};

/// How often an answer that others have to give is looked for.
const LOOK: Duration = Duration::from_millis(1);
/// No request body of these pages is longer.
const BODY_BYTES_MAX: usize = 1024;

/// What keeps a browser from doing anything with a page but showing it.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// A document.
pub(super) fn answering(reply: Reply) -> Finished {
    let Reply { status, content_type, body } = reply;
    Finished::new(status, content_type, body).with_field("Cache-Control", "no-store")
}

/// A part of the dashboard.
pub(super) fn asset_answer(asset: &'static Asset) -> Finished {
    let body = Bytes::from_static(asset.body.as_bytes());
    answering(Reply { status: 200, content_type: asset.content_type, body })
        .with_field("Content-Security-Policy", CONTENT_POLICY)
        .with_field("X-Content-Type-Options", "nosniff")
        .with_field("Referrer-Policy", "no-referrer")
}

/// A document that comes later.
#[derive(Debug)]
pub(super) enum Asking {
    Pending(Box<dyn Pending>),
    Answering(Finished),
}

impl Asking {
    pub fn new(pending: Box<dyn Pending>) -> Asking {
        Asking::Pending(pending)
    }
}

impl Responder for Asking {
    fn step(&mut self, now: Instant) -> Action {
        if let Asking::Pending(pending) = self {
            match pending.poll(now) {
                Some(reply) => *self = Asking::Answering(answering(reply)),
                None => return Action::Sleep(now + LOOK),
            }
        }
        match self {
            Asking::Answering(answering) => answering.step(now),
            Asking::Pending(_) => Action::Sleep(now + LOOK),
        }
    }
}

/// Server-sent events.
#[derive(Debug)]
pub(super) struct Feeding {
    feed: Box<dyn Feed>,
    /// The first thing the feed gave, until the head that goes before it has been given.
    first: Option<Next>,
    begun: bool,
    refused: Option<Finished>,
}

impl Feeding {
    pub fn new(feed: Box<dyn Feed>) -> Feeding {
        Feeding { feed, first: None, begun: false, refused: None }
    }

    fn begin(&mut self, now: Instant) -> Action {
        match self.feed.poll(now) {
            Next::Wait(until) => Action::Sleep(until),
            Next::Refused(reply) => self.refused.insert(answering(reply)).step(now),
            next => {
                self.begun = true;
                self.first = Some(next);
                Action::Head(Head {
                    status: 200,
                    content_type: "text/event-stream",
                    length: None,
                    fields: vec![
                        ("Cache-Control".into(), "no-store".to_owned()),
                        ("X-Accel-Buffering".into(), "no".to_owned()),
                    ],
                })
            }
        }
    }
}

impl Responder for Feeding {
    fn is_feed(&self) -> bool {
        self.begun
    }

    fn step(&mut self, now: Instant) -> Action {
        if let Some(refused) = &mut self.refused {
            return refused.step(now);
        }
        if !self.begun {
            return self.begin(now);
        }
        match self.first.take().unwrap_or_else(|| self.feed.poll(now)) {
            Next::Event(data) => {
                let lines = escaped_lines(&data).replace('\n', "\ndata: ");
                Action::Data(Bytes::from(format!("data: {lines}\n\n")))
            }
            Next::Wait(until) => Action::Sleep(until),
            Next::End | Next::Refused(_) => Action::End,
        }
    }
}

/// What is done with a request body.
type Act = fn(&dyn Process, &[u8]) -> Reply;

/// A request whose body says what to do.
pub(super) struct Reading {
    process: Arc<dyn Process>,
    act: Act,
    body: Vec<u8>,
    done: Option<Finished>,
}

impl Reading {
    pub fn new(process: Arc<dyn Process>, act: Act) -> Reading {
        Reading { process, act, body: Vec::new(), done: None }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("body", &self.body.len()).finish_non_exhaustive()
    }
}

impl Responder for Reading {
    fn on_body(&mut self, data: &[u8]) {
        // One byte over the limit is enough to know that it is over.
        let room = (BODY_BYTES_MAX + 1).saturating_sub(self.body.len());
        self.body.extend_from_slice(&data[..data.len().min(room)]);
    }

    fn on_request_end(&mut self, _now: Instant) {
        let reply = if self.body.len() > BODY_BYTES_MAX {
            Reply::error(413, "body_too_large", "the body of this request is a word or a line")
        } else {
            (self.act)(self.process.as_ref(), &self.body)
        };
        self.done = Some(answering(reply));
    }

    fn step(&mut self, now: Instant) -> Action {
        self.done.as_mut().map_or(Action::NeedBody, |answering| answering.step(now))
    }
}
