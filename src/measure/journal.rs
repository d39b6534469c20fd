//! Journal: one record for each exchange that is over, handed to whoever keeps them.
//!
//! A worker fills in a record and gives it away; the keeper takes it or drops it and never makes
//! the worker wait. Text is made of it elsewhere.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::{Money, PaidTokens, PriceTable};
use crate::http::request_id::RequestId;
use crate::http::trace_context::SpanId;
use crate::measure::ends::UNOBSERVED;
use crate::measure::reel::Reel;
use crate::proxy::trace::SpanContext;
use crate::service::{Completion, Dialect, Usage};

/// Who keeps the records.
pub trait Journal: fmt::Debug + Send + Sync {
    /// Takes a record, or drops it. Returns at once.
    fn keep(&self, record: Arc<Record>);

    /// Something to keep the last of a stream with, in case it fails.
    fn reel(&self) -> Option<Reel> {
        None
    }

    /// Takes what was kept of a stream that has failed, or drops it. Returns at once.
    fn keep_reel(&self, _reel: Reel, _record: &Arc<Record>) {}
}

/// When an attempt got where. [`Instant::NEVER`]: it did not.
#[derive(Clone, Copy, Debug)]
pub struct Hops {
    /// It was given a connection.
    pub attached: Instant,
    /// The connection took the first byte.
    pub connected: Instant,
    /// It took the last byte, or takes no more.
    pub written: Instant,
    pub first_byte: Instant,
    pub first_event: Instant,
}

impl Hops {
    pub const NONE: Hops = Hops {
        attached: Instant::NEVER,
        connected: Instant::NEVER,
        written: Instant::NEVER,
        first_byte: Instant::NEVER,
        first_event: Instant::NEVER,
    };
}

/// What the spans of an exchange tell.
#[derive(Clone, Debug)]
pub struct SpanRecord {
    pub method: String,
    pub path: String,
    pub dialect: Dialect,
    /// The times its request was given to a connection.
    pub sends: Vec<Sent>,
}

/// One of these times.
#[derive(Clone, Debug)]
pub struct Sent {
    pub span: SpanId,
    pub upstream: String,
    pub endpoint: String,
    /// Since the start of the exchange.
    pub began: Duration,
    pub ended: Duration,
    pub reused: bool,
    /// Of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it was not the one that counts.
    pub failed: Option<&'static str>,
}

/// Why tokens were paid for that no client got, sorted.
pub const WASTE_REASONS: [&str; 4] = ["cancel", "continuation", "failed", "retry"];

/// Tokens of one attempt that were paid for and that no client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WastedTokens {
    pub upstream: Option<String>,
    /// The model that produced them, where it has said so.
    pub model: Option<Box<str>>,
    /// One of [`WASTE_REASONS`].
    pub reason: &'static str,
    /// Of the prompt, where the server has told.
    pub input: u64,
    /// Of those, what came from a cache.
    pub cached: u64,
    pub output: u64,
}

/// One exchange that is over.
#[derive(Clone, Debug)]
pub struct Record {
    pub request_id: RequestId,
    pub client: IpAddr,
    /// Who it has proved to be by a certificate.
    pub identity: Option<Box<str>>,
    /// The name of the key that it came with.
    pub key: Option<Box<str>>,
    pub trace: Option<SpanContext>,
    /// What its spans tell beside this; `None`: nobody wants them.
    pub story: Option<Box<SpanRecord>>,
    /// The path of its route, as configured.
    pub route: Option<String>,
    /// The upstream and the endpoint of the last attempt.
    pub upstream: Option<(String, String)>,
    /// What the client was told; 499: nothing, it had gone.
    pub status: u16,
    /// Of a stream that is watched; else empty.
    pub content_type: &'static str,
    /// It is a stream of events that was read, compressed or not.
    pub is_stream: bool,
    /// The model that was asked for, where that was read.
    pub asked: Option<Box<str>>,
    /// The model that answered, where it has said so.
    pub model: Option<Box<str>>,
    /// `complete`, `unobserved`, or a code of the closed list.
    pub end: &'static str,
    pub attempts: u8,
    /// How often its stream broke and somebody was asked for the rest.
    pub continued: u32,
    /// The connection of the last attempt came from the pool.
    pub reused: bool,
    /// Since the start; `None`: it did not get there.
    pub attached: Option<Duration>,
    pub connected: Option<Duration>,
    pub request_written: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub first_event: Option<Duration>,
    pub total: Duration,
    /// Data events.
    pub events: u64,
    /// Of a stream that was continued: tokens of the streams that broke.
    pub tokens_before: u64,
    /// What the server has said of the tokens of the answer that the client got.
    pub usage: Option<Usage>,
    /// The tokens of that answer, without `tokens_before`.
    pub completion: Completion,
    /// What other attempts have cost.
    pub wasted: Vec<WastedTokens>,
    /// What tokens cost by the configuration that the exchange has obeyed.
    pub prices: Option<Arc<PriceTable>>,
    /// Bytes of the bodies.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// How long who was waited for, in the order of [`Owner::ALL`].
    pub waited: [Duration; 3],
}

impl Record {
    /// The tokens of the answer, over all servers that have given parts of it.
    pub fn output(&self) -> Completion {
        let Completion { tokens, estimated } = self.completion;
        // What broke was not counted to its end.
        Completion {
            tokens: tokens + self.tokens_before,
            estimated: estimated || self.continued > 0,
        }
    }

    /// The tokens of the answer that the client got, and of its prompt.
    pub fn paid(&self) -> PaidTokens {
        let usage = self.usage.unwrap_or_default();
        PaidTokens {
            input: usage.prompt.map_or(0, u64::from),
            cached: usage.cached.map_or(0, u64::from),
            output: self.output().tokens,
        }
    }

    /// What those have cost, estimates included. `None`: no price is known for them.
    pub fn cost(&self) -> Option<Money> {
        self.cost_of(self.model.as_deref(), self.paid())
    }

    /// What an attempt has cost that was given up. `None`: no price is known for it.
    pub fn cost_wasted(&self, wasted: &WastedTokens) -> Option<Money> {
        let WastedTokens { input, cached, output, .. } = *wasted;
        self.cost_of(wasted.model.as_deref(), PaidTokens { input, cached, output })
    }

    fn cost_of(&self, model: Option<&str>, tokens: PaidTokens) -> Option<Money> {
        self.prices.as_ref()?.cost(model, self.asked.as_deref(), tokens)
    }

    /// Why the exchange failed, by a name of [`crate::measure::ends::END_REASONS`]; `None`: it did not.
    /// A whole answer with a status of 400 and above has failed too.
    pub fn failure(&self) -> Option<&'static str> {
        match (self.end, self.status) {
            ("complete" | UNOBSERVED, 500..) => Some("upstream_status"),
            ("complete" | UNOBSERVED, 400..) => Some("request_refused"),
            ("complete" | UNOBSERVED, _) => None,
            (end, _) => Some(end),
        }
    }
}
