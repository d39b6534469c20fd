//! The admin pages: what an operator asks of a running gateway, as responders.
//!
//! | file | owns |
//! |---|---|
//! | `access` | who may ask for what |
//! | `adjust` | how an endpoint is to be treated |
//! | `answer` | the responders: a document, an answer that others have to give, a feed of events |
//! | `places` | how many pages are answered at once, so that there is room for the health pages |
//! | `playground` | a request of the dashboard's that is put to the gateway |
//! | `assets` | the dashboard: one page, its styles and its modules |
//!
//! The pages know nothing of workers, metrics or configurations: they ask a [`Process`], and
//! whatever it cannot tell at once comes later, through a [`Pending`] or a [`Feed`].
//!
//! * Nothing is changed without the token, wherever the pages are listening.
//! * Beyond loopback nothing is told without the token either, but for health and the bare page.
//! * The token is compared in constant time, and it appears in no answer and no log line.
//!
//! Absent on purpose: sockets, locks, anything that blocks.

mod access;
mod adjust;
mod answer;
mod assets;
mod places;
mod playground;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;

pub use self::access::Policy;
use self::access::{Denied, Need};
pub use self::adjust::Adjust;
use self::adjust::adjust;
use self::answer::{Asking, Feeding, Reading, answering, asset_answer};
use self::places::{PageSlot, Placed};
use self::playground::Calling;
pub use self::playground::{PLAYGROUND_BYTES, PlaygroundCall};
use super::finished::Finished;
use super::{Request, Responder, Service};
use crate::clock::Instant;
use crate::config::snapshot::{
    AcceptEncoding, CommitAt, ExchangeTimeouts, KeyMode, PathPattern, Route, Target,
};
use crate::escape::escaped;
use crate::http::{explained, form};

/// The text formats of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    Prometheus,
    OpenMetrics,
}

/// What a page asks of the process it is part of. Every call returns at once.
pub trait Process: fmt::Debug + Send + Sync {
    /// Whether new work is welcome: neither draining nor stopping.
    fn is_ready(&self) -> bool;
    /// The effective configuration. Secrets are not in it.
    fn configuration(&self) -> String;
    /// Where it comes from, and why a later one is not in force.
    fn configuration_state(&self) -> Reply;
    fn log_level(&self) -> &'static str;
    /// `false`: there is no such level.
    fn set_log_level(&self, level: &str) -> bool;
    /// The table of the streams that have failed.
    fn recordings(&self) -> Reply;
    /// One of them. `plain`: with its text.
    fn recording(&self, id: &str, plain: bool) -> Option<Reply>;
    /// What requests have cost, by route, upstream and model.
    fn usage(&self) -> Reply;
    /// The last five minutes, or the last hour (`1h`): of the gateway, or of an upstream.
    fn history(&self, range: &str, upstream: Option<&str>) -> Reply;
    /// The exchanges that ended last; those of one request alone.
    fn exchanges(&self, request_id: Option<&str>) -> Reply;
    /// Errors by their codes, with examples.
    fn errors(&self) -> Reply;
    /// The other gateways, and how limits are divided among them.
    fn fleet(&self) -> Reply;
    /// The plugins, and how long their hooks took.
    fn plugins(&self) -> Reply;
    /// Changes how an endpoint is treated; why not, if it cannot be done.
    fn adjust(&self, endpoint: &Adjust) -> Result<(), &'static str>;
    /// Whether there is a playground.
    fn has_playground(&self) -> bool;
    /// Puts a request to the gateway; what of the answer comes is told as it comes.
    fn play(&self, call: PlaygroundCall) -> Result<Box<dyn Feed>, Reply>;
    /// What others have to be asked for.
    fn ask(&self, question: Question) -> Box<dyn Pending>;
    /// The live view: one event at once, and one every `period`.
    fn view(&self, period: Duration) -> Box<dyn Feed>;
    /// The events of one stream from here on.
    fn tail(&self, stream: &str, form: TailForm) -> Box<dyn Feed>;
}

/// How a tail is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailForm {
    /// With the text of the events.
    pub plain: bool,
    /// Each event as `{"at_us": …, "data": …}`: when it was read, since the exchange began.
    pub timed: bool,
}

/// What takes longer than a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    Metrics(Exposition),
    Endpoints,
    Streams,
    /// End the stream of that name.
    Kill(String),
    /// Read the configuration again.
    Reload,
    /// Who has changed what in the store that the configuration comes from.
    StoreHistory,
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
}

pub const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

impl Reply {
    pub fn json(status: u16, value: &serde_json::Value) -> Reply {
        let body = format!("{}\n", escaped(&value.to_string()));
        Reply { status, content_type: JSON, body: Bytes::from(body) }
    }

    pub fn error(status: u16, code: &str, message: &str) -> Reply {
        let kind = if status >= 500 { "overloaded" } else { "invalid_request_error" };
        let hint = explained::hint(code);
        let error =
            serde_json::json!({ "message": message, "type": kind, "code": code, "hint": hint });
        Reply::json(status, &serde_json::json!({ "error": error }))
    }

    fn text(status: u16, body: impl Into<Bytes>) -> Reply {
        Reply { status, content_type: TEXT, body: body.into() }
    }
}

/// An answer in the making.
pub trait Pending: fmt::Debug + Send {
    /// The answer, once it is there. It comes, or gives up, in bounded time.
    fn poll(&mut self, now: Instant) -> Option<Reply>;
}

/// A stream of server-sent events in the making.
pub trait Feed: fmt::Debug + Send {
    fn poll(&mut self, now: Instant) -> Next;
}

/// What a [`Feed`] gives next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The data of one event: a single line.
    Event(String),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing more will come.
    End,
    /// There is nothing to feed from; only instead of the first event.
    Refused(Reply),
}

/// A page, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Dashboard,
    /// `/dashboard/FILE`
    Asset,
    Health,
    Ready,
    Metrics,
    Configuration,
    ConfigurationState,
    ConfigurationHistory,
    Endpoints,
    Reload,
    LogLevel,
    Recordings,
    /// `/recordings/ID`
    Recording,
    Usage,
    History,
    Exchanges,
    Errors,
    Playground,
    Fleet,
    Plugins,
    Streams,
    /// `/streams/ID` and `/streams/ID/tail`
    Stream,
    Events,
}

/// Below this prefix are the pages of single streams.
const STREAM_PREFIX: &str = "/streams/";

/// Below this prefix are single recordings.
const RECORDING_PREFIX: &str = "/recordings/";

const READ: &[&str] = &["GET", "HEAD"];

/// Every page, with the methods it takes.
const PAGES: &[(&str, &[&str], Page)] = &[
    ("/", READ, Page::Dashboard),
    (assets::PREFIX, READ, Page::Asset),
    ("/healthz", READ, Page::Health),
    ("/readyz", READ, Page::Ready),
    ("/metrics", READ, Page::Metrics),
    ("/config", READ, Page::Configuration),
    ("/config/state", READ, Page::ConfigurationState),
    ("/config/history", READ, Page::ConfigurationHistory),
    ("/endpoints", &["GET", "HEAD", "PUT"], Page::Endpoints),
    ("/reload", &["POST"], Page::Reload),
    ("/loglevel", &["GET", "HEAD", "PUT"], Page::LogLevel),
    ("/recordings", READ, Page::Recordings),
    (RECORDING_PREFIX, READ, Page::Recording),
    ("/usage", READ, Page::Usage),
    ("/history", READ, Page::History),
    ("/exchanges", READ, Page::Exchanges),
    ("/errors", READ, Page::Errors),
    ("/playground", &["GET", "HEAD", "POST"], Page::Playground),
    ("/fleet", READ, Page::Fleet),
    ("/plugins", READ, Page::Plugins),
    ("/streams", READ, Page::Streams),
    (STREAM_PREFIX, &["GET", "DELETE"], Page::Stream),
    ("/events", READ, Page::Events),
];

/// How often the live view is told.
const VIEW_PERIOD: Duration = Duration::from_secs(1);

/// One page of one process.
#[derive(Debug)]
struct Admin {
    page: Page,
    policy: Policy,
    process: Arc<dyn Process>,
    /// Answers in progress, of all pages.
    places: Arc<AtomicUsize>,
    /// How many there may be.
    answers: usize,
}

/// The routes of the admin address. So many answers may be in progress at once, but for those of the
/// health pages.
pub fn routes(process: &Arc<dyn Process>, policy: &Policy, answers: usize) -> Vec<Route> {
    let places = Arc::<AtomicUsize>::default();
    let routes = PAGES.iter().map(|(path, methods, page)| {
        let admin = Admin {
            page: *page,
            policy: policy.clone(),
            process: Arc::clone(process),
            places: Arc::clone(&places),
            answers,
        };
        Route {
            path: match *path {
                prefix @ (STREAM_PREFIX | RECORDING_PREFIX | assets::PREFIX) => {
                    PathPattern::Prefix(prefix.to_owned())
                }
                path => PathPattern::Exact(path.to_owned()),
            },
            when: None,
            request_headers: Default::default(),
            response_headers: Default::default(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            target: Target::Service(Arc::new(admin)),
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
    });
    let (exact, prefixes): (Vec<_>, Vec<_>) =
        routes.partition(|route| matches!(route.path, PathPattern::Exact(_)));
    exact.into_iter().chain(prefixes).collect()
}

/// A live view lasts as long as somebody looks at it.
const TIMEOUTS: ExchangeTimeouts = ExchangeTimeouts {
    body: Some(Duration::from_secs(10)),
    client_write: Some(Duration::from_secs(10)),
    ..ExchangeTimeouts::OFF
};

impl Service for Admin {
    fn respond(&self, request: &Request<'_>, _now: Instant) -> Box<dyn Responder> {
        match self.policy.judge(self.page.need(request), request) {
            Ok(()) if matches!(self.page, Page::Health | Page::Ready) => self.open(request),
            Ok(()) => match PageSlot::take(&self.places, self.answers) {
                Some(place) => Box::new(Placed { responder: self.open(request), _place: place }),
                None => Box::new(answering(Reply::error(
                    503,
                    "admin_busy",
                    "too many admin pages are being answered; end a live view or a tail",
                ))),
            },
            Err(denied) => Box::new(refusal(denied)),
        }
    }
}

impl Page {
    /// What its caller must be allowed to do.
    fn need(self, request: &Request<'_>) -> Need {
        let reads = matches!(request.method, "GET" | "HEAD");
        match self {
            Page::Dashboard | Page::Asset | Page::Health | Page::Ready => Need::Nothing,
            // Text of a conversation is worth the token even on loopback.
            Page::Stream | Page::Recording if is_plain(request) => Need::Change,
            _ if reads => Need::Look,
            // Whoever is here could ask the gateway itself.
            Page::Playground => Need::Ask,
            _ => Need::Change,
        }
    }
}

/// Whether the tail of a stream is asked for with its text.
fn is_plain(request: &Request<'_>) -> bool {
    request.query.is_some_and(|query| query.split('&').any(|word| word == "text=1"))
}

/// A parameter of the query, decoded; what is no text is none.
fn parameter(request: &Request<'_>, name: &str) -> Option<String> {
    let value = form::parameters(request.query?, name).into_iter().next()?;
    String::from_utf8(value).ok()
}

impl Admin {
    fn open(&self, request: &Request<'_>) -> Box<dyn Responder> {
        let process = &self.process;
        let reply = match self.page {
            Page::Dashboard => return Box::new(asset_answer(&assets::HTML)),
            Page::Asset => match assets::file(request.path) {
                Some(asset) => return Box::new(asset_answer(asset)),
                None => Reply::error(404, "no_route", "the dashboard has no such file"),
            },
            Page::Metrics => {
                let question = Question::Metrics(form_wanted(request));
                return Box::new(Asking::new(process.ask(question)));
            }
            Page::Events => return Box::new(Feeding::new(process.view(VIEW_PERIOD))),
            Page::Endpoints if request.method == "PUT" => {
                return Box::new(Reading::new(Arc::clone(process), adjust));
            }
            Page::Reload => return Box::new(Asking::new(process.ask(Question::Reload))),
            Page::ConfigurationHistory => {
                return Box::new(Asking::new(process.ask(Question::StoreHistory)));
            }
            Page::Endpoints => return Box::new(Asking::new(process.ask(Question::Endpoints))),
            Page::Streams => return Box::new(Asking::new(process.ask(Question::Streams))),
            Page::Recordings => process.recordings(),
            Page::Usage => process.usage(),
            Page::History => {
                let range = parameter(request, "range").unwrap_or_default();
                process.history(&range, parameter(request, "upstream").as_deref())
            }
            Page::Exchanges => process.exchanges(parameter(request, "request_id").as_deref()),
            Page::Errors => process.errors(),
            Page::Playground if !process.has_playground() && request.method == "POST" => {
                Reply::error(404, "playground_off", "admin.playground is not true")
            }
            Page::Playground if request.method == "POST" => {
                return Box::new(Calling::new(Arc::clone(process)));
            }
            Page::Playground => {
                Reply::json(200, &serde_json::json!({ "playground": process.has_playground() }))
            }
            Page::Fleet => process.fleet(),
            Page::Plugins => process.plugins(),
            Page::Recording => return self.recording(request),
            Page::Stream => return self.stream(request),
            Page::LogLevel if request.method == "PUT" => {
                return Box::new(Reading::new(Arc::clone(process), set_log_level));
            }
            Page::LogLevel => Reply::text(200, format!("{}\n", process.log_level())),
            Page::Health => Reply::text(200, "ok\n"),
            Page::Ready if process.is_ready() => Reply::text(200, "ready\n"),
            Page::Ready => Reply::text(503, "draining\n"),
            Page::Configuration => Reply::text(200, process.configuration()),
            Page::ConfigurationState => process.configuration_state(),
        };
        Box::new(answering(reply))
    }

    fn recording(&self, request: &Request<'_>) -> Box<dyn Responder> {
        let id = request.path.strip_prefix(RECORDING_PREFIX).unwrap_or_default();
        Box::new(match self.process.recording(id, is_plain(request)) {
            Some(reply) => {
                // The id has been found, so it is a number and nothing else.
                let name = format!("attachment; filename=\"recording-{id}.json\"");
                answering(reply).with_field("Content-Disposition", &name)
            }
            None => answering(Reply::error(
                404,
                "no_such_recording",
                "there is no such recording; it may have given way to a later one",
            )),
        })
    }

    fn stream(&self, request: &Request<'_>) -> Box<dyn Responder> {
        let name = request.path.strip_prefix(STREAM_PREFIX).unwrap_or_default();
        match (request.method, name.strip_suffix("/tail")) {
            ("GET", Some(name)) => {
                let timed = parameter(request, "times").is_some_and(|it| it == "1");
                let form = TailForm { plain: is_plain(request), timed };
                Box::new(Feeding::new(self.process.tail(name, form)))
            }
            ("DELETE", None) => {
                Box::new(Asking::new(self.process.ask(Question::Kill(name.to_owned()))))
            }
            _ => Box::new(answering(Reply::error(
                404,
                "no_route",
                "there are DELETE /streams/ID and GET /streams/ID/tail",
            ))),
        }
    }
}

/// Whoever can read OpenMetrics says so.
fn form_wanted(request: &Request<'_>) -> Exposition {
    let accept = request.fields.get("accept").unwrap_or_default();
    let wanted = b"application/openmetrics-text";
    if accept.windows(wanted.len()).any(|it| it == wanted) {
        Exposition::OpenMetrics
    } else {
        Exposition::Prometheus
    }
}

fn set_log_level(process: &dyn Process, body: &[u8]) -> Reply {
    let level = str::from_utf8(body).unwrap_or_default().trim();
    if process.set_log_level(level) {
        return Reply::text(200, format!("{}\n", process.log_level()));
    }
    let message = "the body must be off, error, warn, info, debug or trace";
    Reply::error(400, "unknown_log_level", message)
}

fn refusal(denied: Denied) -> Finished {
    let reply = Reply::error(denied.status(), denied.code(), denied.message());
    match denied {
        Denied::TokenMissing | Denied::TokenWrong => {
            answering(reply).with_field("WWW-Authenticate", "Bearer")
        }
        Denied::NoToken | Denied::ForeignHost | Denied::ForeignOrigin => answering(reply),
    }
}
