//! The mock inference server: OpenAI's streaming API without a model behind it.
//!
//! It exists to be proxied: in the demo, in tests, in benchmarks. So it is exact about time (a
//! token has one instant at which it is due), cheap (at most one allocation a token, a few hundred
//! bytes a stream), and able to fail in every way an inference server has been seen to fail.
//!
//! Read it in this order: `settings` (what can be asked for), `exchange` (what a request
//! gets), `stream` (pacing and faults), `text` and `service::openai` (the bytes).
//!
//! Absent on purpose: sockets, framing, routing, clocks, randomness. The same calls at the same
//! instants give the same bytes; only a service's serial number tells two of its answers apart.

mod ask;
mod document;
mod serve;
mod settings;
mod stream;
mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::serve::MockResponder;
pub use self::settings::{Faults, Invalid, Rate, Settings};
use super::{Request, Responder, Service};
use crate::clock::Instant;
use crate::config::snapshot::{
    AcceptEncoding, CommitAt, ExchangeTimeouts, KeyMode, PathPattern, Route, Target,
};

/// What a path answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    /// Chunked plain text.
    Text,
    Chat,
    Completions,
    Models,
    Health,
}

const ENDPOINTS: [Endpoint; 5] =
    [Endpoint::Text, Endpoint::Chat, Endpoint::Completions, Endpoint::Models, Endpoint::Health];

impl Endpoint {
    fn path(self) -> &'static str {
        match self {
            Endpoint::Text => "/stream",
            Endpoint::Chat => "/v1/chat/completions",
            Endpoint::Completions => "/v1/completions",
            Endpoint::Models => "/v1/models",
            Endpoint::Health => "/health",
        }
    }

    fn method(self) -> &'static str {
        if self.infers() { "POST" } else { "GET" }
    }

    fn infers(self) -> bool {
        matches!(self, Endpoint::Text | Endpoint::Chat | Endpoint::Completions)
    }

    fn reads_body(self) -> bool {
        matches!(self, Endpoint::Chat | Endpoint::Completions)
    }

    /// Tokens per second where no setting tells.
    fn rate(self) -> Rate {
        Rate::per_second(if self == Endpoint::Text { 2 } else { 20 })
    }

    /// Tokens of an answer where no setting tells.
    fn tokens(self) -> u64 {
        if self == Endpoint::Text { 4 } else { 16 }
    }
}

/// One endpoint, shared by every worker.
#[derive(Debug)]
struct Mock {
    endpoint: Endpoint,
    defaults: Settings,
    /// Exchanges so far. Relaxed: it only has to differ from one to the next.
    serial: AtomicU64,
}

impl Service for Mock {
    fn respond(&self, request: &Request<'_>, _now: Instant) -> Box<dyn Responder> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        Box::new(match self.defaults.overridden(request.query.unwrap_or("")) {
            Ok(settings) => MockResponder::new(self.endpoint, settings, serial),
            Err(invalid) => MockResponder::refused(self.endpoint, &invalid),
        })
    }
}

/// The mock's routes, for a snapshot of its own or beside others.
///
/// `settings` shape the inference endpoints. `/health` and `/v1/models` answer at once and without
/// faults unless their own query asks for one.
pub fn routes(settings: Settings) -> Vec<Route> {
    ENDPOINTS.into_iter().map(|endpoint| route(endpoint, settings)).collect()
}

fn route(endpoint: Endpoint, settings: Settings) -> Route {
    let defaults = if endpoint.infers() {
        settings
    } else {
        Settings { epoch: settings.epoch, ..Settings::default() }
    };
    Route {
        path: PathPattern::Exact(endpoint.path().to_owned()),
        when: None,
        request_headers: Default::default(),
        response_headers: Default::default(),
        methods: vec![endpoint.method().to_owned()],
        target: Target::Service(Arc::new(Mock { endpoint, defaults, serial: AtomicU64::new(1) })),
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

/// A stall is to be ended by whoever is tested, not by us: only a client that is plainly gone is
/// given up, later than any gateway would.
const TIMEOUTS: ExchangeTimeouts = ExchangeTimeouts {
    body: Some(Duration::from_secs(300)),
    client_write: Some(Duration::from_secs(300)),
    ..ExchangeTimeouts::OFF
};
