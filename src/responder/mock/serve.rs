//! One exchange with the mock: takes the request in, decides once, answers.
//!
//! ```text
//! Receiving ── request complete ──▶ Streaming | Answering | Resetting | Silent
//!     └─────── body too large ────▶ Answering(413)
//! Refusing (the query made no sense) ── request complete ──▶ Answering(400)
//! ```
//!
//! The answer waits for the whole request, even where the body does not matter: an inference
//! server reads its prompt first, and a connection whose request is unfinished could not be kept.

use super::Endpoint;
use super::ask::{self, Ask};
use super::document::{Document, error_body_of_size};
use super::settings::{Break, Faults, Invalid, Rate, Reason, Settings};
use super::stream::{Stream, Voice};
use super::text::{self, Script, Token};
use crate::clock::Instant;
use crate::responder::{Action, Responder};
use crate::service::openai::{Cost, Envelope, Failure, Finish, Identity, Shape, Whole, error_kind};

/// The longest request body that is read. Endpoints that ignore their body take any.
pub(super) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a proxy in front of an inference server says when it has nothing better.
const PAGE: &[u8] = b"<!DOCTYPE html>\n<html><head><title>The mock</title></head>\n\
    <body><h1>A web page</h1><p>It was asked for.</p></body></html>\n";
/// The longest text of an answer in one piece.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The responder. Ten thousand of them live in one reactor: see the size test.
#[derive(Debug)]
pub(super) struct MockResponder {
    endpoint: Endpoint,
    settings: Settings,
    serial: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Receiving { body: Vec<u8> },
    Refusing(Box<Document>),
    Streaming(Stream),
    Answering(Box<Document>),
    Resetting { due: Instant },
    Silent,
}

impl MockResponder {
    pub fn new(endpoint: Endpoint, settings: Settings, serial: u64) -> MockResponder {
        let settings = settings.of(serial);
        MockResponder { endpoint, settings, serial, phase: Phase::Receiving { body: Vec::new() } }
    }

    /// An exchange whose query could not be understood.
    pub fn refused(endpoint: Endpoint, invalid: &Invalid) -> MockResponder {
        let message = match invalid.expected() {
            None => format!("Unknown query parameter `{}`.", invalid.name()),
            Some(expected) => format!("Query parameter `{}` must be {expected}.", invalid.name()),
        };
        let refusal = refusal(Instant::ZERO, 400, &message, Some(invalid.name()));
        let phase = Phase::Refusing(refusal);
        MockResponder { endpoint, settings: Settings::default(), serial: 0, phase }
    }

    /// Decides what a complete request gets.
    fn decide(&self, body: &[u8], now: Instant) -> Phase {
        let faults = &self.settings.faults;
        let start = now + self.settings.first_token;
        if faults.silent {
            return Phase::Silent;
        }
        if faults.reset {
            return Phase::Resetting { due: start };
        }
        if let Some(status) = faults.refusal() {
            return Phase::Answering(self.injected_error(status, start));
        }
        match self.endpoint {
            Endpoint::Text => self.plain_stream(start),
            Endpoint::Chat => self.completion(Shape::Chat, body, now),
            Endpoint::Completions => self.completion(Shape::Completions, body, now),
            Endpoint::Models => {
                let body = models(self.settings.epoch);
                Phase::Answering(Box::new(Document::new(start, 200, body.into())))
            }
            Endpoint::Health => {
                let body = bytes::Bytes::from_static(br#"{"status":"ok"}"#);
                Phase::Answering(Box::new(Document::new(start, 200, body)))
            }
        }
    }

    fn plain_stream(&self, start: Instant) -> Phase {
        // Bare text tells nobody what it cost.
        let cost = Cost { prompt_tokens: 0, completion_tokens: self.tokens() };
        let stream = Stream::new(Voice::Plain, start, self.rate(), cost, Finish::Stop);
        Phase::Streaming(stream)
    }

    fn rate(&self) -> Rate {
        self.settings.rate.unwrap_or(self.endpoint.rate())
    }

    /// Tokens of an answer, before the request's own bound.
    fn tokens(&self) -> u64 {
        self.settings.tokens.unwrap_or(self.endpoint.tokens())
    }

    fn completion(&self, shape: Shape, body: &[u8], now: Instant) -> Phase {
        let ask = match Ask::parse(body) {
            Ok(ask) => ask,
            Err(message) => return Phase::Answering(refusal(now, 400, &message, None)),
        };
        let identity = Identity {
            serial: self.serial,
            created: self.settings.epoch.saturating_add(now.since(Instant::ZERO).as_secs()),
            model: &ask.model,
            fingerprint: "fp_mock",
        };
        let size = text::Size { bytes: self.settings.token_bytes, stamp: false };
        let all = self.tokens();
        // Of a completion that is asked to go on, what its prompt says already is not said again.
        let prompt = ask.prompt.as_deref().filter(|_| shape == Shape::Completions);
        let before = prompt.map_or(0, |prompt| text::tokens_at_the_end(prompt, size, all));
        let wanted = all - u64::from(before);
        let completion_tokens = ask.tokens_max.map_or(wanted, |most| wanted.min(most));
        let finish = if completion_tokens < wanted { Finish::Length } else { Finish::Stop };
        let cost = Cost { prompt_tokens: ask.prompt_tokens, completion_tokens };
        if !ask.stream {
            return Phase::Answering(self.whole(shape, &identity, cost, finish, now));
        }
        let voice = Voice::Events(Envelope::new(shape, &identity, ask.include_usage));
        let start = now + self.settings.first_token;
        Phase::Streaming(Stream::new(voice, start, self.rate(), cost, finish).behind(before))
    }

    /// The answer in one piece, due when the last token of a stream would have been.
    fn whole(
        &self,
        shape: Shape,
        identity: &Identity<'_>,
        cost: Cost,
        finish: Finish,
        now: Instant,
    ) -> Box<Document> {
        let token_bytes = self.settings.token_bytes;
        // A whole text carries no stamps.
        let size = text::Size { bytes: token_bytes, stamp: false };
        let text_length = |tokens| text::length(size, tokens);
        if text_length(cost.completion_tokens).is_none_or(|length| length > TEXT_BYTES_MAX) {
            let message = "A text of more than 16 MiB has to be streamed.";
            return refusal(now, 400, message, Some("stream"));
        }
        let size = text::Size { bytes: token_bytes, stamp: false };
        let tokens = (0..cost.completion_tokens)
            .map(|index| Token::new(Script::Flow, size, index, Instant::ZERO).words);
        let whole = Whole::new(shape, identity, cost, finish, tokens);
        let last = cost.completion_tokens.saturating_sub(1);
        let due = now + self.settings.first_token + self.rate().offset(last);
        let document = Document::new(due, 200, whole.body);
        let broken = self.settings.faults.first_break();
        Box::new(match broken.filter(|(after, _)| *after <= cost.completion_tokens) {
            None => document,
            // Before the first token nothing of the body is sent.
            Some((0, kind)) => document.broken_after(0, kind),
            Some((after, kind)) => {
                // The text up to here is shorter than the whole, whose length was known.
                let text = text_length(after).unwrap_or(TEXT_BYTES_MAX);
                document.broken_after(whole.text_at + text, kind)
            }
        })
    }

    fn injected_error(&self, status: u16, due: Instant) -> Box<Document> {
        let faults = &self.settings.faults;
        let mut document = if faults.html {
            let page = bytes::Bytes::from_static(PAGE);
            Document::new(due, status, page).of_type("text/html; charset=utf-8")
        } else {
            let failure = failure(status, faults.refuse);
            let body = error_body_of_size(&failure, faults.huge_error.unwrap_or(0) as usize);
            Document::new(due, status, body)
        };
        if let Some(seconds) = faults.retry_after {
            document = document.with_field("Retry-After", seconds.to_string());
        }
        if let Some(bytes) = faults.stall_error {
            document = document.broken_after(bytes as usize, Break::Stall);
        }
        Box::new(document)
    }
}

impl Responder for MockResponder {
    fn on_body(&mut self, data: &[u8]) {
        let Phase::Receiving { body } = &mut self.phase else {
            return;
        };
        if !self.endpoint.reads_body() {
            return;
        }
        if body.len() + data.len() > BODY_BYTES_MAX {
            let message = "The request body is larger than 16 MiB.";
            self.phase = Phase::Answering(refusal(Instant::ZERO, 413, message, None));
            return;
        }
        body.extend_from_slice(data);
    }

    fn on_request_end(&mut self, now: Instant) {
        // The state between is never seen: both arms that matter put a new one in its place.
        self.phase = match std::mem::replace(&mut self.phase, Phase::Silent) {
            Phase::Receiving { body } => self.decide(&body, now),
            Phase::Refusing(document) => Phase::Answering(document),
            // A 413 has begun already.
            other => other,
        };
    }

    fn step(&mut self, now: Instant) -> Action {
        match &mut self.phase {
            Phase::Receiving { .. } | Phase::Refusing(_) => Action::NeedBody,
            Phase::Streaming(stream) => {
                self.settings.faults.at_end(stream.step(&self.settings, now))
            }
            Phase::Answering(document) => self.settings.faults.at_end(document.step(now)),
            Phase::Resetting { due } if now < *due => Action::Sleep(*due),
            Phase::Resetting { .. } => Action::Reset,
            Phase::Silent => Action::Sleep(Instant::NEVER),
        }
    }
}

impl Faults {
    /// What an answer that has come to its end does with its connection.
    fn at_end(&self, step: Action) -> Action {
        match step {
            Action::End if self.hang_up => Action::HangUp,
            step => step,
        }
    }
}

/// The error that was asked for, as OpenAI's API words it.
fn failure(status: u16, reason: Option<Reason>) -> Failure<'static> {
    let (message, param, code) = match reason {
        None => ("The mock was asked for this error.", None, "injected_fault"),
        Some(Reason::ContextLength) => (
            "The prompt is longer than this model's context.",
            Some("messages"),
            "context_length_exceeded",
        ),
        Some(Reason::ContentFilter) => {
            ("The prompt was refused by the content filter.", Some("messages"), "content_filter")
        }
    };
    Failure { message, kind: error_kind(status), param, code }
}

fn refusal(due: Instant, status: u16, message: &str, param: Option<&str>) -> Box<Document> {
    let code = match (status, param) {
        (413, _) => "request_too_large",
        (_, Some(_)) => "invalid_parameter",
        _ => "invalid_body",
    };
    let failure = Failure { message, kind: "invalid_request_error", param, code };
    Box::new(Document::new(due, status, failure.body()))
}

fn models(created: u64) -> String {
    let model = ask::MODEL;
    format!(
        r#"{{"object":"list","data":[{{"id":"{model}","object":"model","created":{created},"owned_by":"sluicegate"}}]}}"#
    )
}
