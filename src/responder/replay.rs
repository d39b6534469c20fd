//! Replay: a recorded answer, given again at its pace, to whoever asks for anything.
//!
//! The recording is one of `GET /recordings/ID`. Each of its frames becomes one piece of body at its
//! moment, counted from the head of the answer; where the beginning of the stream was not kept, from
//! the first frame that was. Then it ends the way it ended: cut, reset, stalled, or clean and
//! unfinished.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{Action, Head, Request, Responder, Service};
use crate::clock::Instant;
use crate::config::snapshot::{
    AcceptEncoding, CommitAt, ExchangeTimeouts, KeyMode, PathPattern, Route, Target,
};

/// What a recording may be at most: it was made of 16 KiB.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// A recorded answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAnswer {
    status: u16,
    content_type: &'static str,
    /// From the request to the head.
    head: Duration,
    /// Since the head.
    frames: Vec<(Duration, Bytes)>,
    ended: Duration,
    ending: Ending,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Clean in HTTP.
    Clean,
    Cut,
    Reset,
    Garbled,
    /// Nothing more came, until somebody lost patience.
    Stalled,
}

impl Ending {
    /// By the end reason of the exchange.
    fn of(end: &str) -> Ending {
        match end {
            "complete" | "upstream_unfinished" => Ending::Clean,
            "upstream_reset" => Ending::Reset,
            "upstream_bad_chunk" => Ending::Garbled,
            "inter_event_timeout" | "ttft_timeout" | "response_timeout" | "total_timeout" => {
                Ending::Stalled
            }
            _ => Ending::Cut,
        }
    }
}

impl RecordedAnswer {
    /// Reads a recording, or tells what is wrong with it.
    pub fn parse(text: &str) -> Result<RecordedAnswer, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value["recording"] != 1 {
            return Err("it is no recording, or one of a later version".to_owned());
        }
        let number = |value: &Value, name: &str| {
            value[name].as_u64().ok_or_else(|| format!("{name} is no whole number"))
        };
        let status = u16::try_from(number(&value, "status")?).ok();
        let status = status.filter(|status| (200..600).contains(status));
        let skipped = number(&value, "skipped_bytes")? > 0;
        let frames = value["frames"].as_array().ok_or("frames is no list")?;
        let first = frames.first().filter(|_| skipped);
        let begin = first.map_or(Ok(0), |frame| number(frame, "at_us"))?;
        let since = |at: u64| Duration::from_micros(at.saturating_sub(begin));
        let frames = frames.iter().map(|frame| {
            let data = data(frame).ok_or("a frame has neither text nor hex")?;
            Ok((since(number(frame, "at_us")?), data))
        });
        let frames = frames.collect::<Result<Vec<_>, String>>()?;
        Ok(RecordedAnswer {
            status: status.ok_or("status is none of a final answer")?,
            content_type: match value["content_type"].as_str() {
                Some("application/x-ndjson") => "application/x-ndjson",
                _ => "text/event-stream",
            },
            head: Duration::from_micros(number(&value, "head_us")?),
            frames: frames.into_iter().filter(|(_, data)| !data.is_empty()).collect(),
            ended: since(number(&value, "lasted_us")?),
            ending: Ending::of(value["end"].as_str().unwrap_or_default()),
        })
    }

    /// The one route of a server that gives this answer to everybody.
    pub fn route(self) -> Route {
        Route {
            path: PathPattern::Prefix("/".to_owned()),
            when: None,
            request_headers: Default::default(),
            response_headers: Default::default(),
            methods: Vec::new(),
            target: Target::Service(Arc::new(Replay(Arc::new(self)))),
            rewrite: None,
            timeouts: TIMEOUTS,
            commit: CommitAt::Head,
            heartbeat: None,
            continues: None,
            server_timing: false,
            decode_requests: false,
            model_in_path: None,
            accept_encoding: AcceptEncoding::Client,
            include_usage: false,
            cors: None,
            keys: KeyMode::Off,
        }
    }
}

fn data(frame: &Value) -> Option<Bytes> {
    if let Some(text) = frame["text"].as_str() {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    let digits = frame["hex"].as_str()?.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        // A sign would be taken for a digit's.
        u8::from_str_radix(pair, 16).ok().filter(|_| pair.as_bytes()[0] != b'+')
    });
    pairs.collect()
}

/// A stall is to be ended by whoever is tested, not by us.
const TIMEOUTS: ExchangeTimeouts = ExchangeTimeouts {
    body: Some(Duration::from_secs(300)),
    client_write: Some(Duration::from_secs(300)),
    ..ExchangeTimeouts::OFF
};

#[derive(Debug)]
struct Replay(Arc<RecordedAnswer>);

impl Service for Replay {
    fn respond(&self, _request: &Request<'_>, _now: Instant) -> Box<dyn Responder> {
        Box::new(Playing { recording: Arc::clone(&self.0), state: State::Receiving })
    }
}

/// One exchange.
#[derive(Debug)]
struct Playing {
    recording: Arc<RecordedAnswer>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Receiving,
    /// The request was complete then.
    Asked(Instant),
    /// The head was due then; so many frames have been given.
    Begun {
        at: Instant,
        given: usize,
    },
}

impl Responder for Playing {
    fn on_request_end(&mut self, now: Instant) {
        self.state = State::Asked(now);
    }

    fn step(&mut self, now: Instant) -> Action {
        let RecordedAnswer { status, content_type, head, frames, ended, ending } = &*self.recording;
        match self.state {
            State::Receiving => Action::NeedBody,
            State::Asked(at) if now < at + *head => Action::Sleep(at + *head),
            State::Asked(at) => {
                self.state = State::Begun { at: at + *head, given: 0 };
                Action::Head(Head {
                    status: *status,
                    content_type,
                    length: None,
                    fields: vec![("Cache-Control".into(), "no-cache".to_owned())],
                })
            }
            State::Begun { at, given } => {
                let Some((due, data)) = frames.get(given) else {
                    return match ending {
                        Ending::Stalled => Action::Sleep(Instant::NEVER),
                        _ if now < at + *ended => Action::Sleep(at + *ended),
                        Ending::Clean => Action::End,
                        Ending::Cut => Action::Cut,
                        Ending::Reset => Action::Reset,
                        Ending::Garbled => Action::Garble,
                    };
                };
                if now < at + *due {
                    return Action::Sleep(at + *due);
                }
                self.state = State::Begun { at, given: given + 1 };
                Action::Data(data.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"recording":1,"status":200,"content_type":"text/event-stream",
        "end":"upstream_reset","head_us":2000,"lasted_us":90000,"skipped_bytes":0,
        "frames":[{"at_us":10000,"text":"data: a\n\n"},{"at_us":50000,"hex":"c3a9"}]}"#;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// Every step with the moment it was given at.
    fn played(file: &str) -> Vec<(u64, Action)> {
        let recording = Arc::new(RecordedAnswer::parse(file).expect("a recording"));
        let mut playing = Playing { recording, state: State::Receiving };
        assert_eq!(playing.step(at(1)), Action::NeedBody);
        playing.on_request_end(at(100));
        let (mut now, mut steps) = (at(100), Vec::new());
        loop {
            match playing.step(now) {
                Action::Sleep(Instant::NEVER) => {
                    steps.push((0, Action::Sleep(Instant::NEVER)));
                    return steps;
                }
                Action::Sleep(until) => now = until,
                step => {
                    let over = !matches!(step, Action::Head(_) | Action::Data(_));
                    steps.push(((now - at(100)).as_millis() as u64, step));
                    if over {
                        return steps;
                    }
                }
            }
        }
    }

    #[test]
    fn frames_come_at_their_pace_and_it_ends_as_it_ended() {
        let steps = played(FILE);
        let times: Vec<u64> = steps.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [2, 12, 52, 92]);
        assert_eq!(steps[1].1, Action::Data("data: a\n\n".into()));
        assert_eq!(steps[2].1, Action::Data("é".into()));
        for (end, expected) in [
            ("upstream_reset", Action::Reset),
            ("upstream_truncated", Action::Cut),
            ("upstream_unfinished", Action::End),
            ("upstream_bad_chunk", Action::Garble),
            ("inter_event_timeout", Action::Sleep(Instant::NEVER)),
        ] {
            let steps = played(&FILE.replace("upstream_reset", end));
            assert_eq!(steps.last().map(|(_, step)| step), Some(&expected), "{end}");
        }
        // Without its beginning it begins with what there is.
        let steps = played(&FILE.replace("\"skipped_bytes\":0", "\"skipped_bytes\":9"));
        let times: Vec<u64> = steps.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [2, 2, 42, 82]);
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        for (from, to) in [
            ("\"recording\":1", "\"recording\":2"),
            ("\"status\":200", "\"status\":100"),
            ("\"status\":200", "\"status\":70000"),
            ("\"at_us\":10000", "\"at_us\":-1"),
            ("\"c3a9\"", "\"c3a\""),
            ("\"c3a9\"", "\"+1+2\""),
            ("\"hex\"", "\"base64\""),
            ("{\"recording\"", "[\"recording\""),
        ] {
            assert!(FILE.contains(from));
            assert!(RecordedAnswer::parse(&FILE.replace(from, to)).is_err(), "{from} → {to}");
        }
    }
}
