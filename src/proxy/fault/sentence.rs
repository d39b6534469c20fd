//! One sentence for each fault, for `error.message` and the log.

use std::fmt;

use super::{DownstreamFault, Fault, LocalFault, UpstreamFault};
use crate::proxy::admission::Lack;
use crate::proxy::cors::OriginRefused;
use crate::proxy::route::Unmet;
use crate::service::naming::Unclear;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Downstream(fault) => fault.fmt(f),
            Fault::Upstream(fault) => fault.fmt(f),
            Fault::Local(fault) => fault.fmt(f),
        }
    }
}

fn sentence_of(unmet: Unmet) -> &'static str {
    match unmet {
        Unmet::Path => "no route matches this path",
        Unmet::Host => "the routes of this path are for other hosts than that of the request",
        Unmet::Other => {
            "no route of this path takes such a request: look at what they ask for beside it"
        }
    }
}

impl fmt::Display for DownstreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DownstreamFault::Head(error) => return write!(f, "{error}"),
            DownstreamFault::NotFound(unmet) => sentence_of(*unmet),
            DownstreamFault::ModelNotFound { model: Some(model) } => {
                return write!(f, "no route takes the model {:?}", model);
            }
            DownstreamFault::ModelNotFound { model: None } => {
                "the routes that match want a model, and the request names none"
            }
            DownstreamFault::MethodNotAllowed { .. } => "this path does not take that method",
            DownstreamFault::OriginNotAllowed(OriginRefused { mixed: true, .. }) => {
                "no page may call here: which route it would call depends on its model or a field, and \
                 not all of them have cors"
            }
            DownstreamFault::OriginNotAllowed(OriginRefused { origin: Some(origin), .. }) => {
                return write!(f, "pages of {origin:?} may not call here: cors.origins lacks it");
            }
            DownstreamFault::OriginNotAllowed(OriginRefused { origin: None, .. }) => {
                "the page's Origin is none, or comes twice"
            }
            DownstreamFault::Chunk(error) => {
                return write!(f, "the request body is not valid chunked coding: {error}");
            }
            DownstreamFault::BodyTooLarge => "the request body is over the limit",
            DownstreamFault::Model(Unclear::Ambiguous) => {
                "the request's model has to be known, and is no text, can be read in two ways, or its \
                 body is not plain JSON or a plain form"
            }
            DownstreamFault::Model(Unclear::Late) => {
                "the request's model has to be known, and comes behind \
                 limits.model_search_bytes of its body: name it earlier"
            }
            DownstreamFault::Model(Unclear::FieldAmbiguous) => {
                "the request goes by a field of its body, which can be read in two ways"
            }
            DownstreamFault::Model(Unclear::FieldLate) => {
                "the request goes by a field of its body, which has not come in the first \
                 limits.model_search_bytes: write it earlier"
            }
            DownstreamFault::Model(Unclear::Encoded) => {
                "the request has to be read, and its body is encoded in a way that is not decoded \
                 here: send it as it is, in UTF-8, or in one of gzip, deflate, br, zstd"
            }
            DownstreamFault::Untranslatable(why) => {
                return write!(f, "the request cannot be translated for its upstream: {why}");
            }
            DownstreamFault::TooLongToTranslate => {
                "the request has to be translated, and is longer than limits.translate_bytes"
            }
            DownstreamFault::Undecodable => {
                "the request body is not what its Content-Encoding says: it is cut off, damaged, or \
                 something stands behind it"
            }
            DownstreamFault::DecodedTooLarge => {
                "the request body has to be decoded, and is longer than limits.translate_bytes"
            }
            DownstreamFault::EncodedForTranslation => {
                "the request has to be translated, and its body is encoded: send it as it is"
            }
            DownstreamFault::HeadTimeout => "the request head did not arrive in time",
            DownstreamFault::BodyTimeout => "the request body stopped arriving",
            DownstreamFault::WriteTimeout => "the client does not read its answer",
            DownstreamFault::TunnelIdle => "nothing passed through the tunnel for too long",
            DownstreamFault::Gate(refusal) => return refusal.fmt(f),
            DownstreamFault::Gone => "the client went away",
            DownstreamFault::PluginRefused(refusal) => return f.write_str(&refusal.message),
            DownstreamFault::Refused => "the upstream refused the request in its answer",
        })
    }
}

impl fmt::Display for UpstreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UpstreamFault::Connect(kind) => {
                return write!(f, "the upstream could not be reached: {kind}");
            }
            UpstreamFault::ConnectTimeout => "the upstream did not accept a connection in time",
            UpstreamFault::Tls(_, why) => {
                return write!(f, "no TLS session with the upstream: {why}");
            }
            UpstreamFault::Reset(kind) => {
                return write!(f, "the connection to the upstream broke: {kind}");
            }
            UpstreamFault::Closed => "the upstream closed the connection before it answered",
            UpstreamFault::Head(error) => {
                return write!(f, "the upstream's answer is not valid HTTP: {error}");
            }
            UpstreamFault::Chunk(error) => {
                return write!(f, "the upstream's body is not valid chunked coding: {error}");
            }
            UpstreamFault::OverLimit(limit) => {
                return write!(f, "the upstream's answer is over a limit: {limit}");
            }
            UpstreamFault::BadAnswer => "the upstream's answer is not one of its service",
            UpstreamFault::Untranslatable(why) => {
                return write!(f, "the upstream's answer cannot be translated: {why}");
            }
            UpstreamFault::Status(status @ 400..) => {
                return write!(f, "the upstream answered {status}");
            }
            UpstreamFault::Status(status) => {
                return write!(f, "the upstream answered {status} in place of a stream");
            }
            UpstreamFault::Busy { status, .. } => {
                return write!(f, "the upstream answered {status}, and no other has answered");
            }
            UpstreamFault::ErrorEvent => "the upstream reported an error in its answer",
            UpstreamFault::EmptyStream => "the upstream's stream ended before its first event",
            UpstreamFault::Truncated => "the upstream closed the connection inside its answer",
            UpstreamFault::Unterminated => {
                "the upstream's stream was whole and its message has no end"
            }
            UpstreamFault::Unfinished => "the upstream's stream ended before it was complete",
            UpstreamFault::WriteTimeout => "the upstream does not take the request",
            UpstreamFault::TtftTimeout => "the upstream sent no first event in time",
            UpstreamFault::ResponseTimeout => "the upstream did not answer in time",
            UpstreamFault::InterEventTimeout => "the upstream's stream fell silent",
            UpstreamFault::TotalTimeout => "the exchange took longer than it may",
            UpstreamFault::BrokenOff => "the responder broke off",
        })
    }
}

impl fmt::Display for LocalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LocalFault::QueueFull { .. } => {
                "too many requests wait for the upstream (admission.queue)"
            }
            LocalFault::QueueTimeout { lack: None, .. } => "the upstream had no place in time",
            LocalFault::QueueTimeout { lack: Some(Lack::Connection), .. } => {
                "the upstream had no place in time: all pool.connections are in use"
            }
            LocalFault::QueueTimeout { lack: Some(Lack::Permit), .. } => {
                "the upstream had no place in time: its concurrency limits are reached \
                 (admission.max_concurrency, admission.endpoint_concurrency)"
            }
            LocalFault::NoUpstream { .. } => "no upstream is available",
            LocalFault::ModelLoading { .. } => "the upstream's model was not loaded in time",
            LocalFault::WakeFailed { .. } => "the upstream's server could not be started",
            LocalFault::Descriptors => "the gateway is out of file descriptors",
            LocalFault::Buffers => "the gateway is out of buffers",
            LocalFault::Drained => "the gateway is shutting down",
            LocalFault::Killed => "an operator ended the exchange",
            LocalFault::PluginFailed => "a plugin of the gateway failed",
            LocalFault::PluginQuarantined => {
                "a plugin of the gateway is not in use, because it was too slow"
            }
        })
    }
}
