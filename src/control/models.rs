//! Which models there are: asks the servers of listed upstreams, and keeps what they have said.
//!
//! An upstream is asked where a route with `models` lists it, and no other is. Its endpoints are taken
//! to serve the same: one is asked, the same one as long as it answers, then the next.
//!
//! | an upstream | is asked again after |
//! |---|---|
//! | has answered | `server.list_models` |
//! | did not answer, with endpoints left that were not asked in this round | a quarter of a second |
//! | none of its endpoints can be reached, and none ever was | five seconds, or `server.list_models` if that is less: a server that loads its model is listed soon after |
//! | none of its endpoints has a list now | `server.list_models` |
//!
//! What a server has said stays until it, or another of its upstream, says something else, however
//! long nobody answers: an outage does not change what is on offer, and whoever asks for a model of
//! a server that is away is told so, and asks again. Names go with the configuration.
//!
//! Asking blocks, so it has threads of its own: one for each upstream, [`THREADS_MAX`] at most. The
//! workers see finished lists ([`ModelList`](crate::responder::models::ModelList)) and nothing of this.
//!
//! Invariant: of an upstream one question counts at a time; an answer to one that was replaced is
//! dropped. Lists are made with the board locked, so the last one made is the one that is told.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::snapshot::{ModelSource, Snapshot, TlsDialer, Upstream, UpstreamId};
use crate::control::client::{Ask, AskFailure, Whereabouts, host_of, path_at};
use crate::http::field_rules::FieldRules;
use crate::observe::metrics::LearntModels;
use crate::proxy::offered::offered;
use crate::proxy::random::Random;
use crate::service::Setting;
use crate::service::listing::{self, ModelEntry, NoList};

#[cfg(test)]
mod tests;

/// Questions that may be under way at once.
const THREADS_MAX: usize = 8;
/// For the whole of an answer. A server that is busy with prompts may take a second.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The list of OpenRouter, the longest there is, has half of it.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Before the next endpoint of an upstream is asked.
const NEXT: Duration = Duration::from_millis(250);
/// Before one is asked again that nobody has ever reached.
const UNREACHED: Duration = Duration::from_secs(5);
/// Names in one line of the log.
const NAMES_TOLD: usize = 16;

/// What is known of models; `None`: no route has told any.
pub type KnownModels = Arc<Mutex<Option<Models>>>;

/// The lists of models of a process.
pub struct Models {
    shared: Arc<Shared>,
    threads: usize,
}

struct Shared {
    board: Mutex<Board>,
    /// The board has changed.
    changed: Condvar,
}

struct Board {
    snapshot: Arc<Snapshot>,
    jobs: Vec<Job>,
    random: Random,
    stopped: bool,
}

/// One upstream that is asked.
struct Job {
    id: UpstreamId,
    question: Arc<Question>,
    /// Whose turn it is, of its endpoints.
    at: usize,
    /// How many of them have failed since one has answered.
    failed: usize,
    /// `None`: nobody has answered so far.
    learnt: Option<Vec<ModelEntry>>,
    /// When somebody has answered last.
    answered: Instant,
    /// It has been told that nobody has a list.
    failing: bool,
    due: Instant,
    running: bool,
}

/// What is asked, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    name: String,
    service: Setting,
    rules: Option<Arc<FieldRules>>,
    /// What is asked of each.
    endpoints: Vec<ModelServer>,
}

/// An endpoint that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ModelServer {
    address: SocketAddr,
    /// How it is dialled where it speaks TLS.
    tls: Option<Arc<TlsDialer>>,
    /// What `Host` says to it.
    host: String,
    path: String,
    /// What the log calls it.
    name: String,
}

impl Question {
    fn of(upstream: &Upstream) -> Question {
        let endpoints = upstream.endpoints.iter().filter_map(|endpoint| {
            Some(ModelServer {
                address: endpoint.address?,
                tls: endpoint.tls.clone(),
                host: host_of(upstream, endpoint),
                path: match &upstream.models {
                    // As it is written: it need not lie behind the endpoint's base.
                    ModelSource::AskAt(path) => path.clone(),
                    _ => path_at(endpoint, listing::question(upstream.service).0),
                },
                name: endpoint.name.clone(),
            })
        });
        Question {
            name: upstream.name.clone(),
            service: upstream.service,
            rules: upstream.request_headers.rules.clone(),
            endpoints: endpoints.collect(),
        }
    }

    fn ask(&self, endpoint: usize) -> Result<Vec<ModelEntry>, NoAnswer> {
        let Some(ModelServer { address, tls, host, path, .. }) = self.endpoints.get(endpoint)
        else {
            return Err(NoAnswer::Nobody);
        };
        let (_, lines) = listing::question(self.service);
        let ask = Ask {
            to: Whereabouts::Address(*address),
            tls: tls.as_deref(),
            host,
            path,
            agent: "sluicegate-models",
            lines,
            rules: self.rules.as_deref(),
            post: None,
            timeout: TIMEOUT,
        };
        let text = ask.document(ANSWER_BYTES_MAX).map_err(NoAnswer::Failed)?;
        listing::read(&text).map_err(NoAnswer::Unread)
    }
}

/// Why an endpoint has said nothing.
#[derive(Clone, Debug)]
enum NoAnswer {
    /// No endpoint has an address.
    Nobody,
    Failed(AskFailure),
    Unread(NoList),
}

impl NoAnswer {
    /// Whether a server that begins to serve would answer otherwise.
    fn may_pass_soon(&self) -> bool {
        use AskFailure::{Broken, Closed, Connect, NoAddress, Status, Timeout, Tls};
        match self {
            NoAnswer::Nobody => true,
            NoAnswer::Failed(
                NoAddress(_) | Connect(_) | Tls(_) | Timeout | Broken(_) | Closed
                | Status(502..=504),
            ) => true,
            NoAnswer::Failed(_) | NoAnswer::Unread(_) => false,
        }
    }
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoAnswer::Nobody => f.write_str("no endpoint has an address"),
            NoAnswer::Failed(failure) => failure.fmt(f),
            NoAnswer::Unread(why) => why.fmt(f),
        }
    }
}

impl Models {
    /// Fills the lists of this generation with what is known, and begins to ask.
    pub fn start(snapshot: &Arc<Snapshot>, seed: u64) -> io::Result<Models> {
        let board = Board {
            snapshot: Arc::clone(snapshot),
            jobs: Vec::new(),
            random: Random::new(seed),
            stopped: false,
        };
        let shared = Shared { board: Mutex::new(board), changed: Condvar::new() };
        let mut models = Models { shared: Arc::new(shared), threads: 0 };
        models.follow(snapshot)?;
        Ok(models)
    }

    /// The same of a generation that follows. What is known of an upstream that stays is kept; where
    /// its servers, or what they are asked with, have changed, they are asked at once.
    pub fn follow(&mut self, snapshot: &Arc<Snapshot>) -> io::Result<()> {
        let wanted = {
            let mut board = self.shared.board();
            let mut old = std::mem::take(&mut board.jobs);
            let now = Instant::now();
            let soon = now + snapshot.server.list_models;
            for index in snapshot.asked_for_models() {
                let upstream = &snapshot.upstreams[index];
                let question = Question::of(upstream);
                let kept = old.iter().position(|job| job.id == upstream.id);
                board.jobs.push(match kept.map(|at| old.swap_remove(at)) {
                    Some(job) if *job.question == question => Job { due: job.due.min(soon), ..job },
                    Some(job) => Job {
                        learnt: job.learnt,
                        answered: job.answered,
                        ..Job::new(upstream.id, question, now)
                    },
                    None => Job::new(upstream.id, question, now),
                });
            }
            board.snapshot = Arc::clone(snapshot);
            board.publish();
            board.jobs.len().min(THREADS_MAX)
        };
        while self.threads < wanted {
            let shared = Arc::clone(&self.shared);
            let name = format!("models-{}", self.threads);
            thread::Builder::new().name(name).spawn(move || shared.work())?;
            self.threads += 1;
        }
        self.shared.changed.notify_all();
        Ok(())
    }
}

/// Which upstreams have said what models they have, and how long ago: for people.
pub fn learnt(known: &KnownModels) -> Vec<LearntModels> {
    let known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(models) = &*known else { return Vec::new() };
    let board = models.shared.board();
    let learnt = board.jobs.iter().filter_map(|job| {
        let count = job.learnt.as_ref()?.len();
        let upstream = job.question.name.clone();
        Some(LearntModels { upstream, count, age: job.answered.elapsed() })
    });
    learnt.collect()
}

/// Ends the questions. A thread that waits for an answer ends when that has come or its time is up;
/// nobody waits for it.
impl Drop for Models {
    fn drop(&mut self) {
        self.shared.board().stopped = true;
        self.shared.changed.notify_all();
    }
}

impl Job {
    fn new(id: UpstreamId, question: Question, due: Instant) -> Job {
        Job {
            id,
            question: Arc::new(question),
            at: 0,
            failed: 0,
            learnt: None,
            answered: due,
            failing: false,
            due,
            running: false,
        }
    }

    /// Takes an answer. Whether the lists have changed by it.
    fn learn(&mut self, models: Vec<ModelEntry>) -> bool {
        self.failed = 0;
        self.answered = Instant::now();
        let name = &self.question.name;
        let recovered = std::mem::replace(&mut self.failing, false);
        if self.learnt.as_ref() == Some(&models) {
            if recovered {
                log::info!("{name}: the list of models is read again");
            }
            return false;
        }
        let names: Vec<&str> =
            models.iter().take(NAMES_TOLD).map(|model| model.id.as_str()).collect();
        let more = if models.len() > NAMES_TOLD { ", …" } else { "" };
        log::info!("{name}: {} models: {}{more}", models.len(), names.join(", "));
        self.learnt = Some(models);
        true
    }

    /// Notes that the endpoint whose turn it was has no answer. How long to wait for the next.
    fn fail(&mut self, why: &NoAnswer, interval: Duration) -> Duration {
        let Question { name, endpoints, .. } = &*self.question;
        // Without an endpoint there was nobody to ask.
        let at = endpoints.get(self.at).map_or(String::new(), |asked| format!("{}: ", asked.name));
        log::debug!("{name}: {at}no list of models: {why}");
        self.failed += 1;
        self.at = (self.at + 1) % endpoints.len().max(1);
        if self.failed < endpoints.len() {
            return NEXT.min(interval);
        }
        self.failed = 0;
        if !std::mem::replace(&mut self.failing, true) {
            let kept = match self.learnt {
                Some(_) => "what it said last stays in the list",
                None => "none of its are in the list",
            };
            log::warn!(
                "{name}: no server has a list of models; the last answer: {at}{why}; {kept}"
            );
        }
        match self.learnt.is_none() && why.may_pass_soon() {
            true => UNREACHED.min(interval),
            false => interval,
        }
    }
}

impl Board {
    /// Makes the lists anew.
    fn publish(&self) {
        let snapshot = &*self.snapshot;
        let learnt = |index: usize| {
            let id = snapshot.upstreams[index].id;
            self.jobs.iter().find(|job| job.id == id)?.learnt.as_deref()
        };
        for route in snapshot.model_routes() {
            route.list.put(&offered(snapshot, &snapshot.listed(route), learnt));
        }
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing is left half done by a panic: every change of the board is a few stores.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread: the upstream that is due next, over and over.
    fn work(&self) {
        while let Some((id, question, endpoint)) = self.next() {
            let answer = question.ask(endpoint);
            self.conclude(id, &question, answer);
        }
    }

    /// Waits for an upstream to be due. `None`: it is over.
    fn next(&self) -> Option<(UpstreamId, Arc<Question>, usize)> {
        let mut board = self.board();
        loop {
            if board.stopped {
                return None;
            }
            let now = Instant::now();
            let waiting = board.jobs.iter_mut().filter(|job| !job.running);
            let wait = match waiting.min_by_key(|job| job.due) {
                Some(job) if job.due <= now => {
                    job.running = true;
                    return Some((job.id, Arc::clone(&job.question), job.at));
                }
                Some(job) => job.due - now,
                // All are being asked. Whoever ends one tells.
                None => Duration::from_secs(3_600),
            };
            board =
                self.changed.wait_timeout(board, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes what has come of a question. An answer to one that is asked no more is dropped.
    fn conclude(
        &self,
        id: UpstreamId,
        question: &Arc<Question>,
        answer: Result<Vec<ModelEntry>, NoAnswer>,
    ) {
        let mut board = self.board();
        let interval = board.snapshot.server.list_models;
        let jittered = board.random.jittered(interval);
        let is_mine = |job: &&mut Job| job.id == id && Arc::ptr_eq(&job.question, question);
        let Some(job) = board.jobs.iter_mut().find(is_mine) else { return };
        job.running = false;
        let (wait, changed) = match answer {
            Ok(models) => (jittered, job.learn(models)),
            Err(why) => (job.fail(&why, jittered), false),
        };
        job.due = Instant::now() + wait;
        if changed {
            board.publish();
        }
        drop(board);
        self.changed.notify_one();
    }
}
