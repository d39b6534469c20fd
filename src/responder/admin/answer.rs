//! The responders behind the pages: one for each way an answer comes about.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Feed, Next, Pending, Process, Reply};
use crate::clock::Instant;
use crate::escape::escaped_lines;
use crate::responder::{Action, Head, Responder};

/// A long body is given in pieces of this size, so that nobody has to hold more of it.
const PIECE_BYTES: usize = 16 * 1024;
/// How often an answer that others have to give is looked for.
const LOOK: Duration = Duration::from_millis(1);
/// No request body of these pages is longer.
const BODY_BYTES_MAX: usize = 1024;

/// What keeps a browser from doing anything with a page but showing it.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'";

/// A document.
#[derive(Debug)]
pub(super) struct Answering {
    /// Taken when it has been given.
    head: Option<Head>,
    body: Bytes,
}

impl Answering {
    pub fn new(reply: Reply) -> Answering {
        let head = Head {
            status: reply.status,
            content_type: reply.content_type,
            length: Some(reply.body.len() as u64),
            fields: vec![("Cache-Control".into(), "no-store".to_owned())],
        };
        Answering { head: Some(head), body: reply.body }
    }

    /// A part of the dashboard.
    pub fn asset(content_type: &'static str, body: &'static str) -> Answering {
        let body = Bytes::from_static(body.as_bytes());
        Answering::new(Reply { status: 200, content_type, body })
            .with_field("Content-Security-Policy", CONTENT_POLICY)
            .with_field("X-Content-Type-Options", "nosniff")
            .with_field("Referrer-Policy", "no-referrer")
    }

    pub fn with_field(mut self, name: &'static str, value: &str) -> Answering {
        if let Some(head) = &mut self.head {
            head.fields.push((name.into(), value.to_owned()));
        }
        self
    }
}

impl Responder for Answering {
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

/// A document that comes later.
#[derive(Debug)]
pub(super) enum Asking {
    Pending(Box<dyn Pending>),
    Answering(Answering),
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
                Some(reply) => *self = Asking::Answering(Answering::new(reply)),
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
    refused: Option<Answering>,
}

impl Feeding {
    pub fn new(feed: Box<dyn Feed>) -> Feeding {
        Feeding { feed, first: None, begun: false, refused: None }
    }

    fn begin(&mut self, now: Instant) -> Action {
        match self.feed.poll(now) {
            Next::Wait(until) => Action::Sleep(until),
            Next::Refused(reply) => self.refused.insert(Answering::new(reply)).step(now),
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
    done: Option<Answering>,
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
        self.done = Some(Answering::new(reply));
    }

    fn step(&mut self, now: Instant) -> Action {
        self.done.as_mut().map_or(Action::NeedBody, |answering| answering.step(now))
    }
}
