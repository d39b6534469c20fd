//! Answers that the workers have to give: asked at once, gathered until all are there or the time
//! is over.

use std::fmt;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use serde_json::json;

use super::{Reloaded, StoreChanges, WorkerHandles};
use crate::clock::Instant;
use crate::gateway::command::Command;
use crate::measure::live::{Inquiry, Survey};
use crate::observe::view::StreamId;
use crate::responder::admin::{Pending, Reply};

/// A name server may take its time.
const RELOAD_PATIENCE: Duration = Duration::from_secs(30);
/// Some members of a store may be away before one answers.
const STORE_PATIENCE: Duration = Duration::from_secs(15);
/// A worker whose turn is longer than this has other worries than our question.
const PATIENCE: Duration = Duration::from_millis(500);

/// A moment by which something has to be there, counted from the first look.
#[derive(Debug, Default)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub fn has_passed(&mut self, now: Instant) -> bool {
        self.is_over(PATIENCE, now)
    }

    fn is_over(&mut self, patience: Duration, now: Instant) -> bool {
        now >= *self.0.get_or_insert(now + patience)
    }
}

/// The surveys of all workers, as far as they have come.
#[derive(Debug)]
pub(super) struct Surveys {
    awaited: Vec<(usize, Receiver<Survey>)>,
    gathered: Vec<(usize, Survey)>,
    deadline: Deadline,
}

impl Surveys {
    /// Asks every worker.
    pub fn ask(workers: &WorkerHandles, rows_max: usize) -> Surveys {
        let asked = workers.posts.iter().enumerate().filter_map(|(worker, post)| {
            let (reply, answer) = mpsc::channel();
            let inquiry = Command::Inquire(Inquiry::Survey { rows_max, reply });
            post.send(inquiry).is_ok().then_some((worker, answer))
        });
        Surveys { awaited: asked.collect(), gathered: Vec::new(), deadline: Deadline::default() }
    }

    /// The surveys, once all have come that will come.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<(usize, Survey)>> {
        let gathered = &mut self.gathered;
        self.awaited.retain(|(worker, answer)| match answer.try_recv() {
            Ok(survey) => {
                gathered.push((*worker, survey));
                false
            }
            Err(TryRecvError::Empty) => true,
            Err(TryRecvError::Disconnected) => false,
        });
        if !self.awaited.is_empty() && !self.deadline.has_passed(now) {
            return None;
        }
        self.gathered.sort_by_key(|(worker, _)| *worker);
        Some(std::mem::take(&mut self.gathered))
    }
}

/// A reply made from the surveys.
pub(super) struct FromSurveys<F> {
    pub surveys: Surveys,
    pub make: F,
}

impl<F> fmt::Debug for FromSurveys<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.surveys.fmt(f)
    }
}

impl<F: Fn(&[(usize, Survey)]) -> Reply + Send> Pending for FromSurveys<F> {
    fn poll(&mut self, now: Instant) -> Option<Reply> {
        self.surveys.poll(now).map(|surveys| (self.make)(&surveys))
    }
}

/// Asks one worker about one stream; `None`: there is no such worker.
pub(super) fn ask_one<T>(
    workers: &WorkerHandles,
    id: &StreamId,
    inquiry: impl FnOnce(mpsc::Sender<T>) -> Inquiry,
) -> Option<Receiver<T>> {
    let (reply, answer) = mpsc::channel();
    let post = workers.posts.get(id.worker)?;
    post.send(Command::Inquire(inquiry(reply))).ok()?;
    Some(answer)
}

/// The end of a stream, on its way.
#[derive(Debug)]
pub(super) struct Killing {
    id: String,
    answer: Option<Receiver<bool>>,
    deadline: Deadline,
}

impl Killing {
    pub fn of(workers: &WorkerHandles, id: String) -> Killing {
        let answer = id.parse::<StreamId>().ok().and_then(|stream| {
            ask_one(workers, &stream, |reply| Inquiry::Kill { stream: stream.key, reply })
        });
        Killing { id, answer, deadline: Deadline::default() }
    }
}

impl Pending for Killing {
    fn poll(&mut self, now: Instant) -> Option<Reply> {
        let Some(answer) = &self.answer else { return Some(no_such_stream()) };
        match answer.try_recv() {
            Ok(true) => {
                log::info!("stream {} was ended through the admin API", self.id);
                Some(Reply::json(200, &json!({ "killed": self.id })))
            }
            Ok(false) | Err(TryRecvError::Disconnected) => Some(no_such_stream()),
            Err(TryRecvError::Empty) => self.deadline.has_passed(now).then(no_answer),
        }
    }
}

/// What a store says of its changes, on its way.
#[derive(Debug)]
pub(super) struct StoreAsking {
    /// `None`: there is no store.
    answer: Option<Receiver<StoreChanges>>,
    deadline: Deadline,
}

impl StoreAsking {
    pub fn ask(fleet: &WorkerHandles) -> StoreAsking {
        let answer = fleet.store_history.get().map(|ask| {
            let (reply, answer) = mpsc::channel();
            ask(reply);
            answer
        });
        StoreAsking { answer, deadline: Deadline::default() }
    }
}

impl Pending for StoreAsking {
    fn poll(&mut self, now: Instant) -> Option<Reply> {
        let Some(answer) = &self.answer else {
            return Some(Reply::json(200, &json!({ "store": null, "changes": [] })));
        };
        match answer.try_recv() {
            Ok(Ok(changes)) => Some(Reply::json(200, &changes)),
            Ok(Err(why)) => Some(Reply::error(503, "no_answer", &why)),
            Err(TryRecvError::Empty) if !self.deadline.is_over(STORE_PATIENCE, now) => None,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                Some(Reply::error(503, "no_answer", "the store has not answered"))
            }
        }
    }
}

/// A configuration on its way.
#[derive(Debug)]
pub(super) struct Reloading {
    /// `None`: there is no file.
    answer: Option<Receiver<Reloaded>>,
    deadline: Deadline,
}

impl Reloading {
    pub fn ask(workers: &WorkerHandles) -> Reloading {
        let answer = workers.reload.get().map(|reload| {
            let (reply, answer) = mpsc::channel();
            log::info!("a reload was asked for through the admin API");
            reload(reply);
            answer
        });
        Reloading { answer, deadline: Deadline::default() }
    }
}

impl Pending for Reloading {
    fn poll(&mut self, now: Instant) -> Option<Reply> {
        let Some(answer) = &self.answer else {
            let reason = "the configuration was made by the program: there is no file";
            return Some(Reply::error(409, "no_file", reason));
        };
        match answer.try_recv() {
            Ok(Ok(generation)) => Some(Reply::json(200, &json!({ "generation": generation }))),
            Ok(Err(reasons)) => {
                Some(Reply::error(422, "configuration_refused", &reasons.join("\n")))
            }
            Err(TryRecvError::Empty) if !self.deadline.is_over(RELOAD_PATIENCE, now) => None,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                Some(Reply::error(503, "no_answer", "nobody has answered; the log may tell why"))
            }
        }
    }
}

pub(super) fn no_such_stream() -> Reply {
    Reply::error(404, "no_such_stream", "there is no such stream; it may have ended")
}

pub(super) fn no_answer() -> Reply {
    Reply::error(503, "worker_busy", "the worker has not answered within half a second")
}
