//! Trace: an exchange as a part of a trace, with a span for each connection its request went to.
//!
//! Made only where `trace.context` is on; without it an exchange has a null pointer here. Where
//! spans are exported and the trace is sampled, a [`SpanNotes`] is kept beside, and goes with the record
//! of the exchange.

use crate::clock::Instant;
use crate::config::snapshot::{self, EndpointId};
use crate::http::head::RequestHead;
use crate::http::rewrite::TraceFields;
use crate::http::trace_context::{SpanId, TraceParent, is_tracestate};
use crate::proxy::trace::{Ids, SpanContext, place};

/// What is known of an exchange as a part of a trace.
#[derive(Debug)]
pub struct ExchangeTrace {
    pub place: SpanContext,
    /// `tracestate` goes on.
    keeps_state: bool,
    /// What the spans will tell; `None`: they are not exported, or the trace is not sampled.
    pub story: Option<SpanNotes>,
}

/// What the spans of one exchange tell beside its record.
#[derive(Debug)]
pub struct SpanNotes {
    pub method: String,
    pub path: String,
    pub sends: Vec<Sending>,
}

/// One time a request was given to a connection.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    pub span: SpanId,
    /// Index into the snapshot's upstreams.
    pub upstream: usize,
    pub endpoint: EndpointId,
    pub began: Instant,
    /// [`Instant::NEVER`]: it still goes on.
    pub ended: Instant,
    pub reused: bool,
    /// Of the answer; 0: there was none.
    pub status: u16,
    /// Why it failed, if it did.
    pub failed: Option<&'static str>,
}

impl ExchangeTrace {
    /// The trace of a request that has just come in; `None` where `trace.context` is off.
    pub(crate) fn of(
        head: &RequestHead<'_>,
        settings: &snapshot::TraceSettings,
        ids: &mut Ids,
    ) -> Option<Box<ExchangeTrace>> {
        if !settings.is_on() {
            return None;
        }
        let mut given = head.values("traceparent");
        let received = match (given.next(), given.next()) {
            (Some(only), None) => TraceParent::parse(only),
            _ => None,
        };
        let place = place(settings, received, ids);
        let told = place.sampled && settings.export.is_some();
        Some(Box::new(ExchangeTrace {
            place,
            keeps_state: place.parent.is_some() && is_tracestate(head.values("tracestate")),
            story: told.then(|| SpanNotes {
                method: head.method.to_owned(),
                path: head.path.to_owned(),
                sends: Vec::new(),
            }),
        }))
    }

    /// What becomes of the client's fields that tell of the trace.
    pub(crate) fn fields(&self) -> TraceFields {
        if self.keeps_state { TraceFields::KeepState } else { TraceFields::Drop }
    }

    /// The `traceparent` of a request that is given to a connection: each time with a span of its own.
    pub(crate) fn parent(&self, ids: &mut Ids) -> TraceParent {
        let SpanContext { trace, sampled, .. } = self.place;
        TraceParent { trace, span: ids.span(), sampled }
    }
}
