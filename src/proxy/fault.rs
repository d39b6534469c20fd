//! Faults: who is to blame decides what the client is told, and whether another try is fair.
//!
//! One closed list for the answer to the client, the log line and the counters. `code` is the same
//! word in all three.

mod limit;
mod sentence;
#[cfg(test)]
mod tests;
mod tls;

pub use limit::Limit;
pub use tls::TlsFault;

use std::io;
use std::time::Duration;

use crate::gate::refusal::GateRefusal;
use crate::http::chunk::ChunkError;
use crate::http::head::HeadError;
use crate::proxy::admission::Lack;
use crate::proxy::cors::OriginRefused;
use crate::proxy::route::Unmet;
use crate::service::naming::Unclear;
use crate::service::translate::{BadAnswer, Untranslatable};

/// Something went wrong with an exchange.
#[derive(Debug)]
pub enum Fault {
    /// The client broke the protocol or went away: 4xx if anyone listens.
    Downstream(DownstreamFault),
    /// The server failed: 502 or 504 if no byte went out, else the client is cut off.
    Upstream(UpstreamFault),
    /// We are out of something we had promised: 503.
    Local(LocalFault),
}

#[derive(Debug)]
pub enum DownstreamFault {
    Head(HeadError),
    NotFound(Unmet),
    /// There are routes for such a request, but none for its model; `None`: it names none.
    ModelNotFound {
        model: Option<Box<str>>,
    },
    MethodNotAllowed {
        allow: String,
    },
    /// A browser asks whether a page may call, and it may not.
    OriginNotAllowed(OriginRefused),
    Chunk(ChunkError),
    BodyTooLarge,
    /// The model decides where the request goes, or is replaced on its way, and cannot be told.
    Model(Unclear),
    /// What it asks for cannot be said in the dialect of the upstream.
    Untranslatable(Box<Untranslatable>),
    /// It is longer than what is translated.
    TooLongToTranslate,
    /// It is in a coding and has to be read, and the coding is not what it says.
    Undecodable,
    /// It is in a coding and has to be read, and would be too long.
    DecodedTooLarge,
    /// It is to be translated, and compressed.
    EncodedForTranslation,
    HeadTimeout,
    BodyTimeout,
    /// It does not read: nobody is left to be told.
    WriteTimeout,
    TunnelIdle,
    /// Its key, or the lack of one: it is not let in.
    Gate(GateRefusal),
    /// FIN or RST while it was owed an answer, or a write to it failed.
    Gone,
    /// A plugin of its route refuses it, or its answer.
    PluginRefused(Box<PluginRefusal>),
    /// The server says, inside a 200, that it will not have the request: a prompt too long, a filter.
    Refused,
}

#[derive(Debug)]
pub enum UpstreamFault {
    Connect(io::ErrorKind),
    ConnectTimeout,
    /// No session came about; and why, in a clause.
    Tls(TlsFault, &'static str),
    Reset(io::ErrorKind),
    /// It closed the connection before the head of its answer was complete.
    Closed,
    Head(HeadError),
    Chunk(ChunkError),
    /// Its answer is HTTP, and more than is taken here: our limit, and not its failure.
    OverLimit(Limit),
    /// The answer is HTTP and not what its service sends: a web page, most often.
    BadAnswer,
    /// Its answer, of this status, is no stream that could follow the head the client has.
    Status(u16),
    /// A server has said 429 or 503 to the request, and whoever was asked after it has given no answer.
    Busy {
        status: u16,
        /// What is left of its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The first event of its stream is an error.
    ErrorEvent,
    /// Its answer cannot be said in the dialect of the client.
    Untranslatable(Box<BadAnswer>),
    /// Its stream ended after the head and before the first data event.
    EmptyStream,
    /// It closed the connection inside the body of its answer.
    Truncated,
    /// Its stream was whole, as its dialect has it, and the message around it never ended: the
    /// connection was closed behind the last event, or broke, or fell silent.
    Unterminated,
    /// The stream ended as HTTP has it and not as its dialect has it: what was said is not all.
    Unfinished,
    /// It does not take the request.
    WriteTimeout,
    TtftTimeout,
    /// The document did not begin in time.
    ResponseTimeout,
    InterEventTimeout,
    TotalTimeout,
    /// A responder in this process broke off, as it was asked to.
    BrokenOff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalFault {
    /// As many wait for the upstream as may.
    QueueFull {
        retry_after: Duration,
    },
    /// No place at the upstream came free, for as long as `admission.queue_timeout`.
    QueueTimeout {
        retry_after: Duration,
        /// What it waited for, where that is known.
        lack: Option<Lack>,
    },
    /// No endpoint of any upstream of the route may be asked: breakers are open, or health checks
    /// fail.
    NoUpstream {
        retry_after: Duration,
    },
    /// The model of the upstream was not there in time: its server loads it, or is being started.
    ModelLoading {
        retry_after: Duration,
    },
    /// The upstream's server could not be started.
    WakeFailed {
        retry_after: Duration,
    },
    Descriptors,
    /// No buffer came free to read the request with, for as long as `timeouts.head`.
    Buffers,
    /// The drain's deadline came first.
    Drained,
    /// An operator ended it.
    Killed,
    /// A hook of a plugin has failed, and its route goes on without it in no case.
    PluginFailed,
    /// The same of a plugin that is not called, because it was too slow too often.
    PluginQuarantined,
}

/// What a plugin says to a request that it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRefusal {
    /// 400 to 599.
    pub status: u16,
    pub message: String,
}

/// What a client is told: `status`, and `error.type` and `error.code` of the JSON body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorAnswer {
    pub status: u16,
    pub kind: &'static str,
    pub code: &'static str,
}

impl Fault {
    /// The answer, or `None` where nobody is left to hear it.
    pub fn answer(&self) -> Option<ErrorAnswer> {
        use DownstreamFault::*;
        let (status, kind) = match self {
            Fault::Downstream(fault) => match fault {
                Head(error) => (error.status(), "invalid_request_error"),
                NotFound(_) | ModelNotFound { .. } => (404, "invalid_request_error"),
                MethodNotAllowed { .. } => (405, "invalid_request_error"),
                OriginNotAllowed(_) => (403, "invalid_request_error"),
                Chunk(_) => (400, "invalid_request_error"),
                BodyTooLarge
                | TooLongToTranslate
                | DecodedTooLarge
                | Model(Unclear::Late | Unclear::FieldLate) => (413, "invalid_request_error"),
                Model(Unclear::Ambiguous | Unclear::FieldAmbiguous)
                | Undecodable
                | DownstreamFault::Untranslatable(_) => (400, "invalid_request_error"),
                Model(Unclear::Encoded) | EncodedForTranslation => (415, "invalid_request_error"),
                Gate(refusal) => (refusal.status(), refusal.kind()),
                HeadTimeout | BodyTimeout => (408, "timeout"),
                PluginRefused(refusal) => (
                    refusal.status,
                    match refusal.status {
                        429 | 500.. => "overloaded",
                        _ => "invalid_request_error",
                    },
                ),
                WriteTimeout | TunnelIdle | Gone | Refused => return None,
            },
            Fault::Upstream(fault) => match fault {
                UpstreamFault::ConnectTimeout
                | UpstreamFault::WriteTimeout
                | UpstreamFault::TtftTimeout
                | UpstreamFault::ResponseTimeout
                | UpstreamFault::InterEventTimeout
                | UpstreamFault::TotalTimeout => (504, "timeout"),
                UpstreamFault::BrokenOff => return None,
                UpstreamFault::Busy { status, .. } => (*status, "overloaded"),
                _ => (502, "upstream_error"),
            },
            // The one that the client can do something about: too many requests.
            Fault::Local(LocalFault::QueueFull { .. }) => (429, "overloaded"),
            Fault::Local(LocalFault::PluginFailed) => (502, "upstream_error"),
            Fault::Local(_) => (503, "overloaded"),
        };
        Some(ErrorAnswer { status, kind, code: self.code() })
    }

    /// The fault's one name: `error.code`, end reason, log.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::Downstream(fault) => match fault {
                DownstreamFault::Head(error) => error.code(),
                DownstreamFault::NotFound(_) => "no_route",
                DownstreamFault::ModelNotFound { .. } => "model_not_found",
                DownstreamFault::MethodNotAllowed { .. } => "method_not_allowed",
                DownstreamFault::OriginNotAllowed(_) => "origin_not_allowed",
                DownstreamFault::Chunk(_) => "bad_chunk",
                DownstreamFault::BodyTooLarge => "body_too_large",
                DownstreamFault::Model(Unclear::Ambiguous) => "model_ambiguous",
                DownstreamFault::Model(Unclear::Late) => "model_too_late",
                DownstreamFault::Model(Unclear::FieldAmbiguous) => "field_ambiguous",
                DownstreamFault::Model(Unclear::FieldLate) => "field_too_late",
                DownstreamFault::Model(Unclear::Encoded)
                | DownstreamFault::EncodedForTranslation => "body_encoded",
                DownstreamFault::Untranslatable(_) => "untranslatable",
                DownstreamFault::TooLongToTranslate => "too_long_to_translate",
                DownstreamFault::Undecodable => "body_undecodable",
                DownstreamFault::DecodedTooLarge => "decoded_too_large",
                DownstreamFault::HeadTimeout => "head_timeout",
                DownstreamFault::BodyTimeout => "body_timeout",
                DownstreamFault::WriteTimeout => "client_write_timeout",
                DownstreamFault::TunnelIdle => "tunnel_idle",
                DownstreamFault::Gate(refusal) => refusal.code(),
                DownstreamFault::Gone => "client_gone",
                DownstreamFault::PluginRefused(_) => "plugin_refused",
                DownstreamFault::Refused => "request_refused",
            },
            Fault::Upstream(fault) => match fault {
                UpstreamFault::Connect(_) => "upstream_connect",
                UpstreamFault::ConnectTimeout => "connect_timeout",
                UpstreamFault::Tls(fault, _) => fault.code(),
                UpstreamFault::Reset(_) => "upstream_reset",
                UpstreamFault::Closed => "upstream_closed",
                UpstreamFault::Head(_) => "upstream_bad_head",
                UpstreamFault::Chunk(_) => "upstream_bad_chunk",
                UpstreamFault::OverLimit(_) => "upstream_over_limit",
                UpstreamFault::BadAnswer => "upstream_bad_answer",
                UpstreamFault::Untranslatable(_) => "upstream_untranslatable",
                UpstreamFault::Status(_) => "upstream_status",
                UpstreamFault::Busy { .. } => "upstream_busy",
                UpstreamFault::ErrorEvent => "upstream_error_event",
                UpstreamFault::EmptyStream => "upstream_empty_stream",
                UpstreamFault::Truncated => "upstream_truncated",
                UpstreamFault::Unterminated => "upstream_unterminated",
                UpstreamFault::Unfinished => "upstream_unfinished",
                UpstreamFault::WriteTimeout => "upstream_write_timeout",
                UpstreamFault::TtftTimeout => "ttft_timeout",
                UpstreamFault::ResponseTimeout => "response_timeout",
                UpstreamFault::InterEventTimeout => "inter_event_timeout",
                UpstreamFault::TotalTimeout => "total_timeout",
                UpstreamFault::BrokenOff => "broken_off",
            },
            Fault::Local(fault) => match fault {
                LocalFault::QueueFull { .. } => "queue_full",
                LocalFault::QueueTimeout { .. } => "queue_timeout",
                LocalFault::NoUpstream { .. } => "no_upstream",
                LocalFault::ModelLoading { .. } => "model_loading",
                LocalFault::WakeFailed { .. } => "wake_failed",
                LocalFault::Descriptors => "descriptors_exhausted",
                LocalFault::Buffers => "buffers_exhausted",
                LocalFault::Drained => "drained",
                LocalFault::Killed => "killed",
                LocalFault::PluginFailed => "plugin_failed",
                LocalFault::PluginQuarantined => "plugin_quarantined",
            },
        }
    }

    /// `Retry-After`, in seconds: as long as was worked out, else the least there is; of a server's word
    /// what it said.
    pub fn retry_after(&self) -> Option<u32> {
        let worked_out = match self {
            Fault::Upstream(UpstreamFault::Busy { retry_after, .. }) => (*retry_after)?,
            Fault::Downstream(DownstreamFault::Gate(refusal)) => refusal.retry_after()?,
            Fault::Downstream(_) | Fault::Upstream(_) => return None,
            Fault::Local(
                LocalFault::QueueFull { retry_after }
                | LocalFault::QueueTimeout { retry_after, .. }
                | LocalFault::NoUpstream { retry_after }
                | LocalFault::ModelLoading { retry_after }
                | LocalFault::WakeFailed { retry_after },
            ) => *retry_after,
            Fault::Local(
                LocalFault::Descriptors
                | LocalFault::Buffers
                | LocalFault::Drained
                | LocalFault::Killed
                | LocalFault::PluginQuarantined,
            ) => Duration::ZERO,
            Fault::Local(LocalFault::PluginFailed) => return None,
        };
        let rounded_up = worked_out.as_nanos().div_ceil(Duration::from_secs(1).as_nanos());
        Some(u32::try_from(rounded_up).unwrap_or(u32::MAX).max(1))
    }

    /// `WWW-Authenticate`: what has to be shown (RFC 9110 §15.5.2, RFC 6750 §3).
    pub fn challenge(&self) -> Option<&'static str> {
        match self {
            Fault::Downstream(DownstreamFault::Gate(refusal)) => refusal.challenge(),
            _ => self.answer().is_some_and(|answer| answer.status == 401).then_some("Bearer"),
        }
    }

    /// The methods a route does have, for `Allow`.
    pub fn allow(&self) -> Option<&str> {
        match self {
            Fault::Downstream(DownstreamFault::MethodNotAllowed { allow }) => Some(allow),
            _ => None,
        }
    }
}
