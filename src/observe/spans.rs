//! Spans: what a collector is told of an exchange, as OTLP/HTTP's JSON.
//!
//! One server span for the exchange, and below it a client span for each connection its request was
//! given to. Names and attributes are those of OpenTelemetry's conventions for HTTP and for
//! generative AI where there are any, and begin with `sluicegate.` where there are none.
//! `docs/operations.md` lists them.
//!
//! Absent on purpose: sockets, threads, and text of a conversation.

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::measure::ends::UNOBSERVED;
use crate::measure::journal::{Record, Sent, SpanRecord};
use crate::measure::stall::Owner;
use crate::proxy::trace::SpanContext;

/// An exchange that ended at a moment.
pub type Ended = (SystemTime, Arc<Record>);

/// `Span.kind`
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// `Status.code`
const ERROR: u8 = 2;

/// The body of one request to a collector, and how many spans are in it.
pub fn export(service: &str, exchanges: &[Ended]) -> (String, u64) {
    let spans: Vec<Value> = exchanges.iter().flat_map(|(end, record)| of(*end, record)).collect();
    let count = spans.len() as u64;
    let version = env!("CARGO_PKG_VERSION");
    let resource = Attributes::default()
        .text("service.name", service)
        .text("service.version", version)
        .number("process.pid", std::process::id().into());
    let body = json!({
        "resourceSpans": [{
            "resource": { "attributes": resource.0 },
            "scopeSpans": [{ "scope": { "name": "sluicegate", "version": version }, "spans": spans }],
        }],
    });
    (body.to_string(), count)
}

/// The spans of one exchange; none if nobody wants them.
fn of(end: SystemTime, record: &Record) -> Vec<Value> {
    let (Some(place), Some(story)) = (&record.trace, &record.story) else { return Vec::new() };
    let moments = Moments { start: end - record.total };
    let last = story.sends.len().saturating_sub(1);
    let clients = story.sends.iter().enumerate().map(|(index, sent)| {
        let whole = (index == last).then_some(record);
        client(place, story, sent, index, whole, record.asked.as_deref(), &moments)
    });
    std::iter::once(server(place, story, record, &moments)).chain(clients).collect()
}

/// When something was.
struct Moments {
    start: SystemTime,
}

impl Moments {
    /// Nanoseconds since 1970; a string, as numbers of 64 bits are in JSON.
    fn at(&self, since_start: Duration) -> String {
        let since = (self.start + since_start).duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_nanos().to_string()
    }
}

fn server(place: &SpanContext, story: &SpanRecord, record: &Record, moments: &Moments) -> Value {
    let name = match &record.route {
        Some(route) => format!("{} {route}", method(story)),
        None => method(story).to_owned(),
    };
    let waited = |owner: Owner| record.waited[owner as usize].as_micros() as u64;
    let failed = (!matches!(record.end, "complete" | UNOBSERVED)).then_some(record.end);
    let attributes = request_attributes(story)
        .text("url.scheme", "http")
        .text("url.path", &story.path)
        .maybe_text("http.route", record.route.as_deref())
        .text("client.address", &record.client.to_string())
        .number("http.response.status_code", record.status.into())
        .maybe_text("error.type", failed)
        .number("http.request.body.size", record.bytes_in)
        .number("http.response.body.size", record.bytes_out)
        .text("sluicegate.request_id", &record.request_id.to_string())
        .number("sluicegate.attempts", record.attempts.into())
        .number("sluicegate.events", record.events)
        .number("sluicegate.waited_us.upstream", waited(Owner::Upstream))
        .number("sluicegate.waited_us.client", waited(Owner::Client))
        .number("sluicegate.waited_us.gateway", waited(Owner::Gateway));
    let events: Vec<Value> = [
        ("sluicegate.request_written", record.request_written),
        ("sluicegate.first_byte", record.first_byte),
        ("sluicegate.first_event", record.first_event),
    ]
    .into_iter()
    .filter_map(|(name, at)| Some(json!({ "timeUnixNano": moments.at(at?), "name": name })))
    .collect();
    let mut span = json!({
        "traceId": place.trace.to_string(),
        "spanId": place.span.to_string(),
        "name": name,
        "kind": SERVER,
        "startTimeUnixNano": moments.at(Duration::ZERO),
        "endTimeUnixNano": moments.at(record.total),
        "attributes": attributes.0,
        "events": events,
        "status": status(failed.filter(|_| is_ours_to_mend(record))),
    });
    if let Some(parent) = place.parent {
        span["parentSpanId"] = parent.to_string().into();
    }
    span
}

/// Whether an end is an error of the server, as the conventions count: not what a client did.
fn is_ours_to_mend(record: &Record) -> bool {
    !(400..500).contains(&record.status) && record.end != "request_refused"
}

/// `whole`: the record, if this is the one whose answer counts.
fn client(
    place: &SpanContext,
    story: &SpanRecord,
    sent: &Sent,
    index: usize,
    whole: Option<&Record>,
    asked: Option<&str>,
    moments: &Moments,
) -> Value {
    // A name has its address in brackets behind it.
    let (authority, peer) = match sent.endpoint.split_once(" (") {
        Some((authority, peer)) => (authority, peer.strip_suffix(')')),
        None => (&*sent.endpoint, None),
    };
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let mut attributes = request_attributes(story)
        .text("server.address", host.trim_matches(['[', ']']))
        .text("url.full", &format!("http://{authority}{}", story.path))
        .text("sluicegate.upstream", &sent.upstream)
        .truth("sluicegate.connection.reused", sent.reused);
    if let Ok(port) = port.parse::<u16>() {
        attributes = attributes.number("server.port", port.into());
    }
    if let Some((address, port)) = peer.and_then(|peer| peer.rsplit_once(':')) {
        attributes = attributes.text("network.peer.address", address.trim_matches(['[', ']']));
        attributes = attributes.number("network.peer.port", port.parse().unwrap_or_default());
    }
    if index > 0 {
        attributes = attributes.number("http.request.resend_count", index as u64);
    }
    if let Some(status) = sent.status {
        attributes = attributes.number("http.response.status_code", status.into());
    }
    let refused = sent.status.filter(|status| *status >= 400).map(|status| status.to_string());
    let failed = sent.failed.map(str::to_owned).or(refused);
    attributes = attributes.maybe_text("error.type", failed.as_deref());
    let operation = story.dialect.operation();
    if let Some((operation, provider)) = operation {
        attributes = attributes
            .text("gen_ai.operation.name", operation)
            .text("gen_ai.provider.name", provider)
            .maybe_text("gen_ai.request.model", asked);
        if let Some(record) = whole {
            let usage = record.usage.as_ref();
            let told = usage.and_then(|it| it.completion).filter(|_| !record.completion.estimated);
            attributes = attributes
                .maybe_text("gen_ai.response.model", record.model.as_deref())
                .maybe_number("gen_ai.usage.input_tokens", usage.and_then(|it| it.prompt))
                .maybe_number(
                    "gen_ai.usage.cache_read.input_tokens",
                    usage.and_then(|it| it.cached),
                )
                .maybe_number("gen_ai.usage.output_tokens", told);
        }
    }
    json!({
        "traceId": place.trace.to_string(),
        "spanId": sent.span.to_string(),
        "parentSpanId": place.span.to_string(),
        "name": operation.map_or(method(story), |(operation, _)| operation),
        "kind": CLIENT,
        "startTimeUnixNano": moments.at(sent.began),
        "endTimeUnixNano": moments.at(sent.ended),
        "attributes": attributes.0,
        "status": status(failed.as_deref()),
    })
}

fn status(failed: Option<&str>) -> Value {
    match failed {
        Some(reason) => json!({ "code": ERROR, "message": reason }),
        None => json!({}),
    }
}

/// The method if it is one of HTTP's own: the others are as many as clients like.
fn method(story: &SpanRecord) -> &str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "QUERY"];
    if KNOWN.contains(&&*story.method) { &story.method } else { "HTTP" }
}

fn request_attributes(story: &SpanRecord) -> Attributes {
    match method(story) {
        "HTTP" => Attributes::default()
            .text("http.request.method", "_OTHER")
            .text("http.request.method_original", &story.method),
        method => Attributes::default().text("http.request.method", method),
    }
}

/// Attributes in the making.
#[derive(Default)]
struct Attributes(Vec<Value>);

impl Attributes {
    fn add(mut self, name: &str, value: Value) -> Attributes {
        self.0.push(json!({ "key": name, "value": value }));
        self
    }

    fn text(self, name: &str, text: &str) -> Attributes {
        self.add(name, json!({ "stringValue": text }))
    }

    fn maybe_text(self, name: &str, text: Option<&str>) -> Attributes {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    fn number(self, name: &str, number: u64) -> Attributes {
        self.add(name, json!({ "intValue": number.to_string() }))
    }

    fn maybe_number(self, name: &str, number: Option<u32>) -> Attributes {
        match number {
            Some(number) => self.number(name, number.into()),
            None => self,
        }
    }

    fn truth(self, name: &str, truth: bool) -> Attributes {
        self.add(name, json!({ "boolValue": truth }))
    }
}
