//! Trace: an exchange as a part of a trace, with a span for each connection its request went to.
//!
//! Made only where `trace.context` is on; without it an exchange has a null pointer here. Where
//! spans are exported and the trace is sampled, a [`Story`] is kept beside, and goes with the record
//! of the exchange.

use crate::clock::Instant;
use crate::config::snapshot::{self, EndpointId};
use crate::http::head::RequestHead;
use crate::http::rewrite::TraceFields;
use crate::http::trace_context::{SpanId, TraceParent, is_tracestate};
use crate::proxy::trace::{Ids, Place, place};

/// What is known of an exchange as a part of a trace.
#[derive(Debug)]
pub struct Trace {
    pub place: Place,
    /// The span its request names as its sender.
    sender: SpanId,
    /// The request has gone out with `sender` as its parent span.
    used: bool,
    /// `tracestate` goes on.
    keeps_state: bool,
    /// What the spans will tell; `None`: they are not exported, or the trace is not sampled.
    pub story: Option<Story>,
}

/// What the spans of one exchange tell beside its record.
#[derive(Debug)]
pub struct Story {
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

impl Trace {
    /// The trace of a request that has just come in; `None` where `trace.context` is off.
    pub(crate) fn of(
        head: &RequestHead<'_>,
        settings: &snapshot::Trace,
        ids: &mut Ids,
    ) -> Option<Box<Trace>> {
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
        Some(Box::new(Trace {
            place,
            sender: ids.span(),
            used: false,
            keeps_state: place.parent.is_some() && is_tracestate(head.values("tracestate")),
            story: told.then(|| Story {
                method: head.method.to_owned(),
                path: head.path.to_owned(),
                sends: Vec::new(),
            }),
        }))
    }

    /// The fields of the request to the upstream that tell of the trace.
    pub(crate) fn fields(&self) -> TraceFields {
        let Place { trace, sampled, .. } = self.place;
        TraceFields {
            parent: TraceParent { trace, span: self.sender, sampled },
            keeps_state: self.keeps_state,
        }
    }

    /// The request goes out, each time under a span of its own. Returns the `traceparent` that has to
    /// be written into it; `None` the first time, when it is there already.
    pub(crate) fn go_out(&mut self, ids: &mut Ids) -> Option<TraceParent> {
        if !std::mem::replace(&mut self.used, true) {
            return None;
        }
        self.sender = ids.span();
        Some(self.fields().parent)
    }
}
