//! Journal: one record for each exchange that is over, handed to whoever keeps them.
//!
//! A worker fills in a record and gives it away; the keeper takes it or drops it and never makes
//! the worker wait. Text is made of it elsewhere.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::http::request_id::RequestId;
use crate::http::trace_context::SpanId;
use crate::measure::reel::Reel;
use crate::proxy::trace::SpanContext;
use crate::service::{Dialect, Usage};

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
    pub first_byte: Instant,
    pub first_event: Instant,
}

impl Hops {
    pub const NONE: Hops = Hops {
        attached: Instant::NEVER,
        connected: Instant::NEVER,
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

/// One exchange that is over.
#[derive(Clone, Debug)]
pub struct Record {
    pub request_id: RequestId,
    pub client: IpAddr,
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
    /// Data events: an estimate of the tokens where `usage` says nothing.
    pub events: u64,
    /// Of a stream that was continued: tokens of the streams that broke.
    pub tokens_before: u64,
    /// What the server has said of the tokens.
    pub usage: Option<Usage>,
    /// Bytes of the bodies.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// How long who was waited for, in the order of [`Owner::ALL`].
    pub waited: [Duration; 3],
}
