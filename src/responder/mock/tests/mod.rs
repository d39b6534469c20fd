//! Responders stepped with an invented clock: every byte and every instant is exact.

mod dialects;
mod faults;
mod pacing;
mod requests;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{Settings, routes};
use crate::clock::Instant;
use crate::config::snapshot::{PathPattern, Target};
use crate::responder::{Action, Head, Request, Responder, Service};

/// When each request of a test has arrived in full.
const START: Instant = Instant::from_nanos(7_000_000_000_000);
const EPOCH: u64 = 1_700_000_000;
const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const STREAMED: &str = r#"{"model":"m","messages":[],"stream":true}"#;
const PLAIN: &str = r#"{"model":"m","messages":[]}"#;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Complete,
    /// Complete, and the connection closes.
    HungUp,
    Cut,
    Garbled,
    Reset,
    /// It sleeps for ever.
    Stalled,
}

/// An answer as it was played, with the time since [`START`] of each part.
#[derive(Debug)]
struct Played {
    head: Option<(Duration, Head)>,
    data: Vec<(Duration, Bytes)>,
    ended: (Duration, Ended),
}

impl Played {
    fn status(&self) -> u16 {
        self.head.as_ref().expect("a head").1.status
    }

    fn times_ms(&self) -> Vec<u128> {
        self.data.iter().map(|(at, _)| at.as_millis()).collect()
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = self.data.iter().flat_map(|(_, data)| data.to_vec()).collect();
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// A body in one piece, its announced length checked.
    fn json(&self) -> Value {
        let text = self.text();
        let head = &self.head.as_ref().expect("a head").1;
        assert_eq!(head.content_type, "application/json");
        assert_eq!(head.length, Some(text.len() as u64));
        serde_json::from_str(&text).expect("JSON")
    }

    /// The events of a stream, each a piece of its own; `[DONE]` and broken JSON as strings.
    fn events(&self) -> Vec<Value> {
        let head = &self.head.as_ref().expect("a head").1;
        assert_eq!((head.content_type, head.length), ("text/event-stream", None));
        self.data.iter().map(|(_, data)| event(data)).collect()
    }
}

fn event(piece: &[u8]) -> Value {
    let piece = std::str::from_utf8(piece).expect("UTF-8");
    let event = piece.strip_suffix("\n\n").expect("one whole event a piece");
    assert!(!event.contains('\n'), "one line an event: {event:?}");
    match event.strip_prefix("data: ") {
        Some(data) => serde_json::from_str(data).unwrap_or_else(|_| Value::from(data)),
        None => Value::from(event),
    }
}

fn service(settings: Settings, path: &str) -> Arc<dyn Service> {
    let route = routes(settings)
        .into_iter()
        .find(|route| route.path == PathPattern::Exact(path.to_owned()))
        .expect("a route");
    match route.target {
        Target::Service(service) => service,
        Target::Chain(_) | Target::Models(_) => panic!("the mock answers by itself"),
    }
}

/// A responder whose request has arrived in full at [`START`], long after it began.
fn asked(settings: Settings, target: &str, body: &str) -> Box<dyn Responder> {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    asked_of(&*service(settings, path), target, body)
}

fn asked_of(service: &dyn Service, target: &str, body: &str) -> Box<dyn Responder> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let request = Request::bare("POST", path, query);
    let mut responder = service.respond(&request, Instant::ZERO);
    assert_eq!(responder.step(Instant::ZERO), Action::NeedBody);
    for piece in body.as_bytes().chunks(7) {
        responder.on_body(piece);
        assert_eq!(responder.step(Instant::ZERO), Action::NeedBody);
    }
    responder.on_request_end(START);
    responder
}

/// Plays a responder to its end, waking it exactly when it asks for it, plus `lateness`.
fn play_late(responder: &mut dyn Responder, lateness: Duration) -> Played {
    let mut now = START;
    let mut played =
        Played { head: None, data: Vec::new(), ended: (Duration::ZERO, Ended::Complete) };
    let ended = loop {
        match responder.step(now) {
            Action::Head(head) => {
                assert!(played.head.is_none() && played.data.is_empty(), "one head, first");
                played.head = Some((now.since(START), head));
            }
            Action::Data(data) => {
                assert!(played.head.is_some() && !data.is_empty());
                played.data.push((now.since(START), data));
            }
            Action::Sleep(Instant::NEVER) => break Ended::Stalled,
            Action::Sleep(until) => {
                assert!(until > now, "a sleep into the past would spin");
                // Woken early, by request bytes say, it goes back to sleep.
                let early = Instant::from_nanos(until.as_nanos() - 1);
                assert_eq!(responder.step(early), Action::Sleep(until));
                now = until + lateness;
            }
            Action::End => break Ended::Complete,
            Action::HangUp => break Ended::HungUp,
            Action::Cut => break Ended::Cut,
            Action::Garble => break Ended::Garbled,
            Action::Reset => break Ended::Reset,
            Action::NeedBody => panic!("the request is complete"),
        }
    };
    played.ended = (now.since(START), ended);
    played
}

fn play(target: &str, body: &str) -> Played {
    let settings = Settings { epoch: EPOCH, ..Settings::default() };
    play_late(&mut *asked(settings, target, body), Duration::ZERO)
}

/// The text of all deltas, or of all choices.
fn spoken(events: &[Value]) -> String {
    let piece = |event: &Value| {
        let choice = &event["choices"][0];
        let text = choice["delta"]["content"].as_str().or(choice["text"].as_str());
        text.unwrap_or("").to_owned()
    };
    events.iter().map(piece).collect()
}
