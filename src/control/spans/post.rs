//! One batch to a collector, and what it says of it.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::config::snapshot::Collector;
use crate::control::client::{Ask, AskFailure, Whereabouts};

const AGENT: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));
/// No answer of a collector is longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) struct PostFailure {
    failure: AskFailure,
    /// When the collector wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl PostFailure {
    /// Whether another try may do better (OTLP/HTTP).
    pub fn may_pass(&self) -> bool {
        match self.failure {
            AskFailure::Status(status) => matches!(status, 429 | 502 | 503 | 504),
            AskFailure::NotHttp | AskFailure::TooLong | AskFailure::Probe => false,
            AskFailure::NoAddress(_)
            | AskFailure::Connect(_)
            | AskFailure::Tls(_)
            | AskFailure::Timeout
            | AskFailure::Broken(_)
            | AskFailure::Closed
            | AskFailure::Cut => true,
        }
    }
}

impl fmt::Display for PostFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

/// Posts a batch. Returns how many of its spans the collector says it has rejected.
pub(super) fn post(
    collector: &Collector,
    body: &str,
    timeout: Duration,
) -> Result<u64, PostFailure> {
    let Collector { authority, path, tls } = collector;
    let ask = Ask {
        to: Whereabouts::Name(authority),
        tls: tls.as_deref(),
        host: authority,
        path,
        agent: AGENT,
        lines: "",
        rules: None,
        post: Some(body),
        timeout,
    };
    let answer = ask.begin().map_err(|failure| PostFailure { failure, retry_after: None })?;
    if !(200..300).contains(&answer.status) {
        let (failure, retry_after) = (AskFailure::Status(answer.status), answer.retry_after);
        return Err(PostFailure { failure, retry_after });
    }
    // That it took them is known; what else it says is only for counting.
    let text = answer.document(ANSWER_BYTES_MAX).unwrap_or_default();
    let said: Value = serde_json::from_slice(&text).unwrap_or_default();
    Ok(rejected(&said["partialSuccess"]["rejectedSpans"]))
}

/// A number of 64 bits is a string in this JSON; some write a number all the same.
fn rejected(count: &Value) -> u64 {
    let written = count.as_str().and_then(|text| text.parse().ok());
    written.or_else(|| count.as_u64()).unwrap_or(0)
}
