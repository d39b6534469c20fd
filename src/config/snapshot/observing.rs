//! `[trace]`, `[recorder]` and `[usage]`: what is told of exchanges beside their log lines.

use std::sync::Arc;
use std::time::Duration;

use super::TlsDialer;

/// `[trace]`
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    pub context: TraceContext,
    /// The share of the traces begun here that are sampled, 0 to 1.
    pub sample: f64,
    /// Where the spans go. `None`: nowhere.
    pub export: Option<Collector>,
    /// What the spans are told to be of.
    pub service: String,
    /// How long spans wait for others to go with.
    pub interval: Duration,
    /// How long the collector may take.
    pub timeout: Duration,
    /// Exchanges whose spans wait to be sent.
    pub queue: usize,
}

impl TraceSettings {
    /// Whether exchanges are part of traces at all.
    pub fn is_on(&self) -> bool {
        self.context != TraceContext::Off
    }
}

/// What becomes of the `traceparent` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceContext {
    /// It is passed on as any other field.
    Off,
    /// Its trace goes on; without one, a trace begins.
    Continue,
    /// A trace begins in any case: for a gateway that faces strangers.
    Restart,
}

/// Who takes spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// `host:port`
    pub authority: String,
    /// With its query.
    pub path: String,
    /// How it is dialled where its URL is `https://`.
    pub tls: Option<Arc<TlsDialer>>,
}

impl Collector {
    /// For people to read: the URL without its query, which may hold a key.
    pub fn shown(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority)
    }
}

/// `[usage]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSettings {
    /// Rows that name models, of all routes and upstreams together.
    pub series: usize,
    /// What prices and costs are in: a label.
    pub currency: String,
}

/// `[recorder]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorder {
    /// Streams recorded at once, by all workers together. `None`: none is.
    pub streams: Option<usize>,
    /// Recordings of failed streams that are kept.
    pub keep: usize,
}
