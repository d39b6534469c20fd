//! A paced stream: token after token, each at its own instant.
//!
//! Token `k` is due at `start + k / rate`, reckoned from the start each time. A late turn delays
//! the tokens that were due in it and no others, so ten thousand streams do not drift.
//!
//! ```text
//! Head → Tokens ─────────────────────▶ Finish → Usage → Done → End
//!          │ a fault's turn has come
//!          └─▶ Cut, Reset, silence for ever, or an error event → End
//! ```
//!
//! A fault after N tokens strikes when token N+1 would have been due. After 0 tokens it strikes
//! before the first event, the role included.

use bytes::Bytes;

use super::settings::{Rate, Settings};
use super::text::{self, Script, Size, Token};
use crate::clock::Instant;
use crate::responder::{Action, Head};
use crate::service::openai::{Cost, DONE, Envelope, Finish};

const COMMENT: Bytes = Bytes::from_static(b": ping\n\n");
const ERROR_EVENT: Bytes = Bytes::from_static(
    b"data: {\"error\":{\"message\":\"The mock was asked to fail here.\",\
      \"type\":\"server_error\",\"param\":null,\"code\":\"injected_fault\"}}\n\n",
);

/// How tokens are wrapped.
#[derive(Debug)]
pub(super) enum Voice {
    /// Bare text.
    Plain,
    /// Server-sent events.
    Events(Envelope),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Tokens,
    Finish,
    Usage,
    Done,
    End,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    voice: Voice,
    /// When the first token is due.
    start: Instant,
    rate: Rate,
    /// Tokens behind us, comments in their place included.
    sent: u64,
    /// Tokens that were said in the prompt.
    before: u16,
    cost: Cost,
    finish: Finish,
    stage: Stage,
    role_given: bool,
}

impl Stream {
    /// A stream of `cost.completion_tokens` tokens.
    pub fn new(voice: Voice, start: Instant, rate: Rate, cost: Cost, finish: Finish) -> Stream {
        let (sent, before, stage) = (0, 0, Stage::Head);
        Stream { voice, start, rate, sent, before, cost, finish, stage, role_given: false }
    }

    /// Goes on with the text behind so many tokens of it.
    pub fn behind(mut self, tokens: u16) -> Stream {
        self.before = tokens;
        self
    }

    pub fn step(&mut self, settings: &Settings, now: Instant) -> Action {
        loop {
            let (next, step) = match self.stage {
                Stage::Head => (Stage::Tokens, Some(Action::Head(self.head(settings)))),
                Stage::Tokens => self.step_tokens(settings, now),
                Stage::Finish => (Stage::Usage, self.finish_event(settings).map(Action::Data)),
                Stage::Usage => (Stage::Done, self.usage_event().map(Action::Data)),
                Stage::Done => (Stage::End, self.done_event(settings).map(Action::Data)),
                Stage::End => (Stage::End, Some(Action::End)),
            };
            self.stage = next;
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn step_tokens(&mut self, settings: &Settings, now: Instant) -> (Stage, Option<Action>) {
        let faults = &settings.faults;
        let broken = faults.first_break().filter(|(after, _)| *after == self.sent);
        let is_event_stream = matches!(self.voice, Voice::Events(_));
        let error_event = is_event_stream && is_at(faults.error_event, self.sent);
        if broken.is_none() && !error_event && self.sent >= self.cost.completion_tokens {
            return (Stage::Finish, None);
        }
        let due = self.start + self.rate.offset(self.sent);
        if now < due {
            return (Stage::Tokens, Some(Action::Sleep(due)));
        }
        if let Some((_, kind)) = broken {
            return (Stage::Tokens, Some(kind.step()));
        }
        if error_event {
            return (Stage::End, Some(Action::Data(ERROR_EVENT)));
        }
        (Stage::Tokens, Some(Action::Data(self.next_piece(settings, now))))
    }

    /// A token, or what a fault puts in its place. The role comes before the first of them.
    fn next_piece(&mut self, settings: &Settings, now: Instant) -> Bytes {
        let size = Size { bytes: settings.token_bytes, stamp: settings.stamp };
        let faults = &settings.faults;
        let piece = match &self.voice {
            Voice::Plain => Token::new(Script::Lines, size, self.sent, now).into_bytes(),
            Voice::Events(_) if faults.comments.is_some_and(|after| self.sent >= after.into()) => {
                COMMENT
            }
            Voice::Events(envelope) => {
                if !self.role_given {
                    self.role_given = true;
                    if let Some(role) = envelope.role() {
                        return role;
                    }
                }
                let token = Token::new(Script::Flow, size, u64::from(self.before) + self.sent, now);
                if is_at(faults.malformed, self.sent) {
                    envelope.malformed([token.stamp(), token.words])
                } else {
                    envelope.text([token.stamp(), token.words])
                }
            }
        };
        self.sent += 1;
        piece
    }

    fn head(&self, settings: &Settings) -> Head {
        let (content_type, fields) = match self.voice {
            Voice::Plain => ("text/plain; charset=utf-8", Vec::new()),
            Voice::Events(_) => {
                ("text/event-stream", vec![("Cache-Control".into(), "no-cache".to_owned())])
            }
        };
        let known = settings.known_length && matches!(self.voice, Voice::Plain);
        let size = Size { bytes: settings.token_bytes, stamp: settings.stamp };
        let length = known.then(|| text::length(size, self.cost.completion_tokens)).flatten();
        Head { status: 200, content_type, length: length.map(|length| length as u64), fields }
    }

    fn finish_event(&self, settings: &Settings) -> Option<Bytes> {
        match &self.voice {
            Voice::Events(envelope) if !settings.faults.no_finish => {
                Some(envelope.finish(self.finish))
            }
            _ => None,
        }
    }

    fn usage_event(&self) -> Option<Bytes> {
        match &self.voice {
            Voice::Events(envelope) if envelope.with_usage() => Some(envelope.usage(self.cost)),
            _ => None,
        }
    }

    fn done_event(&self, settings: &Settings) -> Option<Bytes> {
        let wanted = matches!(self.voice, Voice::Events(_)) && !settings.faults.no_done;
        wanted.then_some(DONE)
    }
}

fn is_at(after: Option<u32>, sent: u64) -> bool {
    after.is_some_and(|after| u64::from(after) == sent)
}
