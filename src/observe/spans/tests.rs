//! Spans as a collector gets them.

use super::*;
use crate::http::request_id::RequestId;
use crate::http::trace_context::{SpanId, TraceId};
use crate::service::{Completion, Dialect, Usage};

fn sent(span: u64, status: Option<u16>, failed: Option<&'static str>) -> Sent {
    Sent {
        span: SpanId::from_random(span),
        upstream: "llm".into(),
        endpoint: "[::1]:8000".into(),
        began: Duration::from_micros(span),
        ended: Duration::from_millis(1),
        reused: true,
        status,
        failed,
    }
}

pub fn record(end: &'static str, status: u16) -> Record {
    let story = SpanRecord {
        method: "POST".into(),
        path: "/v1/messages".into(),
        dialect: Dialect::Anthropic,
        sends: vec![sent(7, Some(503), Some("upstream_status")), sent(8, Some(200), None)],
    };
    Record {
        request_id: RequestId::given(b"id-1"),
        client: [127, 0, 0, 1].into(),
        identity: None,
        key: None,
        trace: Some(SpanContext {
            trace: TraceId::from_random(1, 2),
            parent: Some(SpanId::from_random(3)),
            span: SpanId::from_random(4),
            sampled: true,
        }),
        story: Some(Box::new(story)),
        route: Some("/v1/*".into()),
        upstream: None,
        status,
        content_type: "text/event-stream",
        is_stream: true,
        asked: Some("best".into()),
        model: Some("m-1".into()),
        end,
        attempts: 2,
        continued: 0,
        tokens_before: 0,
        reused: true,
        attached: None,
        connected: None,
        request_written: None,
        first_byte: Some(Duration::from_micros(900)),
        first_event: None,
        total: Duration::from_secs(2),
        events: 17,
        usage: Some(Usage { prompt: Some(5), ..Usage::default() }),
        completion: Completion { tokens: 17, estimated: true },
        wasted: Vec::new(),
        prices: None,
        bytes_in: 120,
        bytes_out: 4096,
        waited: [Duration::ZERO; 3],
    }
}

fn exported(record: Record) -> Vec<Value> {
    let end = UNIX_EPOCH + Duration::from_secs(1_000);
    let (body, count) = export("edge", &[(end, Arc::new(record))]);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans");
    assert_eq!(spans.len() as u64, count);
    spans.clone()
}

fn attribute<'a>(span: &'a Value, name: &str) -> Option<&'a Value> {
    let attributes = span["attributes"].as_array().expect("attributes");
    let found: Vec<_> = attributes.iter().filter(|it| it["key"] == name).collect();
    assert!(found.len() <= 1, "{name} is told once");
    found.first().and_then(|it| it["value"].as_object()?.values().next())
}

#[test]
fn an_exchange_is_a_span_with_one_below_it_for_each_connection() {
    let spans = exported(record("complete", 200));
    let [server, first, second] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!(server["name"], "POST /v1/*");
    assert_eq!(server["parentSpanId"], "0000000000000003");
    assert_eq!(server["startTimeUnixNano"], "998000000000");
    assert_eq!(server["endTimeUnixNano"], "1000000000000");
    assert_eq!(server["status"], json!({}));
    assert_eq!(server["events"][0]["timeUnixNano"], "998000900000");
    assert_eq!(attribute(server, "http.route"), Some(&"/v1/*".into()));
    for span in [first, second] {
        assert_eq!(span["traceId"], "00000000000000010000000000000002");
        assert_eq!(span["parentSpanId"], server["spanId"]);
        assert_eq!(attribute(span, "server.address"), Some(&"::1".into()));
        assert_eq!(attribute(span, "server.port"), Some(&"8000".into()));
        assert_eq!(attribute(span, "gen_ai.provider.name"), Some(&"anthropic".into()));
        assert_eq!(attribute(span, "gen_ai.request.model"), Some(&"best".into()));
    }
    assert_eq!(first["status"]["message"], "upstream_status");
    assert_eq!(attribute(first, "error.type"), Some(&"upstream_status".into()));
    assert_eq!(attribute(first, "http.request.resend_count"), None);
    assert_eq!(attribute(second, "http.request.resend_count"), Some(&"1".into()));
    // What it cost is told once.
    assert_eq!(attribute(first, "gen_ai.usage.input_tokens"), None);
    assert_eq!(attribute(second, "gen_ai.usage.input_tokens"), Some(&"5".into()));
    assert_eq!(attribute(second, "gen_ai.response.model"), Some(&"m-1".into()));
    assert_eq!(attribute(second, "gen_ai.usage.output_tokens"), None);
}

#[test]
fn only_our_side_errs() {
    for (end, status, error) in [
        ("complete", 200, false),
        ("upstream_truncated", 200, true),
        ("no_upstream", 503, true),
        ("client_gone", 499, false),
        ("no_route", 404, false),
        ("request_refused", 200, false),
        ("unobserved", 200, false),
    ] {
        let spans = exported(record(end, status));
        assert_eq!(spans[0]["status"]["code"] == ERROR, error, "{end}");
        let told = attribute(&spans[0], "error.type").is_some();
        assert_eq!(told, !["complete", "unobserved"].contains(&end), "{end}");
    }
}

#[test]
fn a_method_of_ones_own_is_no_name_of_a_span() {
    let mut record = record("complete", 200);
    record.story.as_mut().expect("a story").method = "BREW".into();
    let spans = exported(record);
    assert_eq!(spans[0]["name"], "HTTP /v1/*");
    assert_eq!(attribute(&spans[0], "http.request.method"), Some(&"_OTHER".into()));
    assert_eq!(attribute(&spans[0], "http.request.method_original"), Some(&"BREW".into()));
}

#[test]
fn who_is_not_sampled_has_no_spans() {
    assert!(exported(Record { story: None, ..record("complete", 200) }).is_empty());
}
