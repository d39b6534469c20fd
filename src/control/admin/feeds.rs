//! Feeds: what the admin pages show as it happens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use serde_json::json;

use super::WorkerHandles;
use super::clerk::Clerk;
use super::inquiry::{Deadline, Surveys, ask_one, no_answer, no_such_stream};
use crate::clock::Instant;
use crate::measure::live::Piece;
use crate::measure::live::{Inquiry, Tailed};
use crate::observe::tail::Cutter;
use crate::observe::view::{Scene, StreamId, Viewer};
use crate::responder::admin::{Feed, Next, Reply, TailForm};
use crate::sys;

/// How often something new is looked for.
const LOOK: Duration = Duration::from_millis(1);
const TAIL_LOOK: Duration = Duration::from_millis(20);
/// Rows of each worker in the live view.
const ROWS_MAX: usize = 100;

/// The live view: one event every period.
#[derive(Debug)]
pub(super) struct View {
    clerk: Arc<Clerk>,
    viewer: Viewer,
    period: Duration,
    /// When the next event is due.
    due: Instant,
    asked: Option<Surveys>,
}

impl View {
    pub fn new(clerk: Arc<Clerk>, period: Duration) -> View {
        View { clerk, viewer: Viewer::new(), period, due: Instant::ZERO, asked: None }
    }
}

impl Feed for View {
    fn poll(&mut self, now: Instant) -> Next {
        if now < self.due {
            return Next::Wait(self.due);
        }
        let workers = &self.clerk.workers;
        let asked = self.asked.get_or_insert_with(|| Surveys::ask(workers, ROWS_MAX));
        let Some(surveys) = asked.poll(now) else { return Next::Wait(now + LOOK) };
        self.asked = None;
        self.due = now + self.period;
        let scene = Scene {
            now,
            counters: &workers.counters,
            surveys: &surveys,
            is_ready: self.clerk.is_ready(),
            uptime: now - self.clerk.started,
        };
        let mut view = self.viewer.look(&scene);
        view["discovery"] = workers.discovered.document(sys::time_of_day().as_secs());
        Next::Event(view.to_string())
    }
}

/// The events of one stream, as they go by.
#[derive(Debug)]
pub(super) struct Tail {
    state: State,
    plain: bool,
    /// Each event is told with its time.
    timed: bool,
    /// When the exchange began.
    began: Instant,
    cutter: Cutter,
    waiting: VecDeque<String>,
}

#[derive(Debug)]
enum State {
    Unknown,
    Asking { answer: Receiver<Tailed>, deadline: Deadline },
    Listening(Receiver<Piece>),
    Over,
}

impl Tail {
    pub fn of(workers: &WorkerHandles, id: &str, wanted: TailForm) -> Tail {
        let TailForm { plain, timed } = wanted;
        let answer = id.parse::<StreamId>().ok().and_then(|stream| {
            let clock = sys::now;
            ask_one(workers, &stream, |reply| Inquiry::Tail { stream: stream.key, clock, reply })
        });
        let state = match answer {
            Some(answer) => State::Asking { answer, deadline: Deadline::default() },
            None => State::Unknown,
        };
        Tail {
            state,
            plain,
            timed,
            began: Instant::ZERO,
            cutter: Cutter::new(plain),
            waiting: VecDeque::new(),
        }
    }

    /// The worker's answer.
    fn begin(&mut self, tailed: Result<Tailed, TryRecvError>, now: Instant) -> Next {
        match tailed {
            Ok(Tailed::Listening { pieces, began }) => {
                self.state = State::Listening(pieces);
                self.began = began;
                let mut note = json!({ "tail": "from here on", "redacted": !self.plain });
                if self.timed {
                    note["at_us"] = micros(now - began).into();
                }
                Next::Event(note.to_string())
            }
            Ok(Tailed::NoSuchStream) | Err(TryRecvError::Disconnected) => {
                Next::Refused(no_such_stream())
            }
            Ok(Tailed::NoResponse) => Next::Refused(Reply::error(
                409,
                "no_response_yet",
                "no response has begun that comes from a server",
            )),
            Ok(Tailed::TooManyListeners) => Next::Refused(Reply::error(
                409,
                "too_many_listeners",
                "too many look at this stream already",
            )),
            Err(TryRecvError::Empty) => Next::Wait(now + LOOK),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Feed for Tail {
    fn poll(&mut self, now: Instant) -> Next {
        if let Some(event) = self.waiting.pop_front() {
            return Next::Event(event);
        }
        match &mut self.state {
            State::Unknown => Next::Refused(no_such_stream()),
            State::Over => Next::End,
            State::Asking { answer, deadline } => {
                let answered = answer.try_recv();
                if matches!(answered, Err(TryRecvError::Empty)) && deadline.has_passed(now) {
                    return Next::Refused(no_answer());
                }
                self.begin(answered, now)
            }
            State::Listening(pieces) => {
                let waiting = &mut self.waiting;
                match pieces.try_recv() {
                    Ok(Piece { at, data, missed }) => {
                        if missed > 0 {
                            self.cutter.skip();
                            waiting.push_back(json!({ "missed_pieces": missed }).to_string());
                        }
                        let at_us = micros(at - self.began);
                        let timed = self.timed;
                        self.cutter.feed(&data, |event| {
                            waiting.push_back(match timed {
                                true => json!({ "at_us": at_us, "data": event }).to_string(),
                                false => event,
                            });
                        });
                        self.waiting.pop_front().map_or(Next::Wait(now), Next::Event)
                    }
                    Err(TryRecvError::Empty) => Next::Wait(now + TAIL_LOOK),
                    Err(TryRecvError::Disconnected) => {
                        self.state = State::Over;
                        Next::Event(json!({ "tail": "the stream has ended" }).to_string())
                    }
                }
            }
        }
    }
}
