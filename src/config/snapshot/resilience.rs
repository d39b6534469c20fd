//! What is done when an upstream is slow, full, failing or lying: the policies of an upstream and
//! of a route, compiled.
//!
//! Numbers and words only. What they do is decided in `proxy`, in the module of the same name.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// `[[upstream]] retry`: when a request is sent again before the client has seen a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts of one request at this upstream; 1: none is repeated. What comes after the last is
    /// the next upstream of the route, if it has one.
    pub attempts: u32,
    pub on: Conditions,
    /// Upper bound of the pause before the second attempt, which is drawn between zero and this
    /// ("full jitter"). Doubles with every further attempt.
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// A server's `Retry-After` up to this is waited for where no other endpoint is left; a longer
    /// one ends the attempts at this upstream.
    pub retry_after_max: Duration,
    /// Retries allowed, in percent of the requests of late.
    pub budget: u32,
    /// Whether a request that is not idempotent may be sent again after bytes of it have left.
    pub post: bool,
}

/// Why another attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// No connection came to stand: refused, unreachable, or `timeouts.connect` ran out.
    Connect,
    /// A connection broke or was closed before the head of the answer was complete.
    Reset,
    /// The answer is not HTTP, or not what its service sends (an HTML page with status 200).
    BadAnswer,
    /// `timeouts.ttft` ran out, before or after the head: the first attempt is cancelled.
    TtftTimeout,
    /// The first event of the stream is an error.
    ErrorEvent,
    /// The stream ended or broke after its head and before its first data event.
    EmptyStream,
    /// An answer with this status: [`Condition::is_retriable`].
    Status(u16),
}

impl Condition {
    /// The conditions that have a word of their own; a status is written as its number.
    pub const WORDS: [(&str, Condition); 6] = [
        ("connect", Condition::Connect),
        ("reset", Condition::Reset),
        ("bad_answer", Condition::BadAnswer),
        ("ttft_timeout", Condition::TtftTimeout),
        ("error_event", Condition::ErrorEvent),
        ("empty_stream", Condition::EmptyStream),
    ];

    /// Whether asking again can help: a server's failure can pass, and of the 4xx only those that
    /// speak of the moment (408, 425, 429). The others speak of the request, which stays the same.
    pub fn is_retriable(status: u16) -> bool {
        matches!(status, 408 | 425 | 429 | 500..=599)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Condition::Status(status) = self {
            return write!(f, "{status}");
        }
        let word = Condition::WORDS.iter().find(|(_, condition)| condition == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// A set of [`Condition`]s, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    pub fn new(mut conditions: Vec<Condition>) -> Conditions {
        conditions.sort_unstable();
        conditions.dedup();
        Conditions(conditions)
    }

    pub fn contains(&self, condition: Condition) -> bool {
        self.0.binary_search(&condition).is_ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = Condition> + '_ {
        self.0.iter().copied()
    }
}

/// `[[upstream]] balance`: which endpoint a request goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The less loaded of two endpoints drawn at random, by outstanding exchanges over weight.
    LeastOutstanding,
    /// Smooth weighted round robin.
    RoundRobin,
    /// The better of two by (moving average of the time to the first token, peaks at once) ×
    /// (outstanding + 1) / weight.
    PeakEwma,
    /// The same endpoint for the same key, as long as it holds no more than its fair share times
    /// `HASH_LOAD_PERCENT`.
    Hash(HashKey),
}

/// What makes two requests alike for [`Balance::Hash`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The value of this field, by its lower-case name.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// What stands in the JSON of the body: the names of the members on the way.
    Field(Vec<String>),
    /// The first bytes of the prompt (from the request's `prompt`, `messages` or `inputs` on).
    Prompt(usize),
}

/// `[[upstream]] breaker`: when an endpoint gets no requests for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Faults in a row that open it.
    pub consecutive: u32,
    /// Share of faults, in percent, that opens it …
    pub rate: u32,
    /// … among the exchanges that ended in this window …
    pub window: Duration,
    /// … if there were so many at least.
    pub volume: u32,
    /// How long it stays open at first; doubles with each opening in a row, ±10 % at random.
    pub open: Duration,
    pub open_max: Duration,
    /// How long an endpoint takes to get back to its full weight after closing.
    pub slow_start: Duration,
    /// How long an endpoint rests after a 429 without `Retry-After`.
    pub cooldown: Duration,
    /// How long an endpoint that answers 401 or 403 stays out. `None`: such an answer is the client's,
    /// whose credentials were refused.
    pub unauthorized: Option<Duration>,
    /// With more than this share of endpoints out, in percent, all are asked again: panic.
    pub panic: u32,
}

/// `[[upstream]] health`: the control thread asks every endpoint how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub path: String,
    /// The statuses that mean "well".
    pub statuses: std::ops::RangeInclusive<u16>,
    pub interval: Duration,
    pub timeout: Duration,
    /// Failed checks in a row that take an endpoint out.
    pub unhealthy: u32,
    /// Good ones in a row that bring it back.
    pub healthy: u32,
    /// The plugin that looks at what the endpoint has answered: an index. `None`: its status says all.
    pub plugin: Option<usize>,
}

/// `[[upstream]] while_loading`: requests wait for a server that says that it loads its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhileLoading {
    /// How long one waits for it.
    pub wait: Duration,
}

/// `[[upstream]] admission`: how many exchanges at once, and who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Exchanges with the upstream at once, all workers together.
    pub max_concurrency: Option<u32>,
    /// Exchanges with one endpoint at once, all workers together.
    pub endpoint_concurrency: Option<u32>,
    /// Requests that may wait, per worker.
    pub queue: usize,
    /// How long one may wait.
    pub queue_timeout: Duration,
    /// The priorities of those who come with a key that is listed, in the order of the digests.
    pub keys: Vec<KeyPriority>,
    /// The request field, by its lower-case name, that gives the priority of the others: 0 (first)
    /// to 3.
    pub priority_header: Option<String>,
    /// The priority of requests with neither.
    pub priority: u8,
}

impl Admission {
    /// Whether there are permits at all, and so somebody who may lack one.
    pub fn has_ceilings(&self) -> bool {
        self.max_concurrency.is_some() || self.endpoint_concurrency.is_some()
    }
}

/// A key of the API, which is known by its digest alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPriority {
    pub sha256: [u8; 32],
    pub priority: u8,
}

pub use crate::gate::key::PRIORITIES;

/// `[[route]] fallback`: the predefined answer that ends the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub answer: FallbackAnswer,
    /// The file that `answer` was read from.
    pub file: Option<String>,
    /// The name of the model that is said to have answered. `None`: the one that was asked for.
    pub model: Option<String>,
    /// Pause between two pieces of an event stream.
    pub pace: Duration,
}

impl Fallback {
    /// Whether it can be given as the stream that somebody has asked for.
    pub fn is_stream(&self) -> bool {
        self.status < 400 && matches!(self.answer, FallbackAnswer::Text(_))
    }
}

/// `[[route]] continue`: when a stream breaks between two events, another server goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continue {
    /// How often one stream is continued.
    pub attempts: u32,
    /// The most text that a server is given to go on from.
    pub text_bytes: usize,
}

/// Signs of life in a silent event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// How long a stream may be silent before it gets a comment of ours.
    pub every: Duration,
    /// The same where no server has answered yet: that sends the head of the stream.
    pub before_head: bool,
}

/// What a predefined answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FallbackAnswer {
    /// What the model would have said: put into the form of the caller's dialect, streamed if it
    /// asked for a stream.
    Text(Arc<str>),
    /// A JSON body, sent as it is.
    Json(Arc<str>),
}

/// `[[route]] commit`: when the client is told that its request has been accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAt {
    /// With the first data event of an event stream, while another attempt is still possible.
    FirstEvent,
    /// With the head.
    Head,
}
