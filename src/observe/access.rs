//! The access log: one line for each exchange, JSON or logfmt.
//!
//! A worker gives its record away; the line is made and written by the log thread.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::time::Utc;
use crate::measure::journal::Record;
use crate::measure::stall::Owner;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Logfmt,
}

/// A value of a line.
enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Truth(bool),
}

/// The line of an exchange that ended at `time`, without a line feed. Fields that would say nothing
/// are left out.
pub fn line(time: SystemTime, record: &Record, format: Format) -> String {
    let texts = Texts::of(time, record);
    let mut line = String::with_capacity(640);
    for (name, value) in fields(&texts, record) {
        if let Some(value) = value {
            match format {
                Format::Json => json(&mut line, name, &value),
                Format::Logfmt => logfmt(&mut line, name, &value),
            }
        }
    }
    if format == Format::Json {
        line.push('}');
    }
    line
}

/// What has to be made into text first.
struct Texts {
    time: String,
    request_id: String,
    client: String,
    trace_id: Option<String>,
    cost: Option<String>,
}

impl Texts {
    fn of(time: SystemTime, record: &Record) -> Texts {
        Texts {
            time: Utc::at(time).to_string(),
            request_id: record.request_id.to_string(),
            client: record.client.to_string(),
            trace_id: record.trace.map(|place| place.trace.to_string()),
            cost: record.cost().map(|cost| cost.to_string()),
        }
    }
}

fn fields<'a>(texts: &'a Texts, record: &'a Record) -> [(&'static str, Option<Value<'a>>); 34] {
    let text = |text: &'a str| Some(Value::Text(text));
    let number = |number: u64| Some(Value::Number(number));
    let span =
        |span: Duration| Some(Value::Number(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)));
    let reached = |at: Option<Duration>| at.and_then(span);
    let upstream = record.upstream.as_ref();
    let usage = record.usage.unwrap_or_default();
    let told = |count: Option<u32>| count.and_then(|count| number(count.into()));
    let output = record.output();
    let wasted: u64 = record.wasted.iter().map(|wasted| wasted.input + wasted.output).sum();
    let waited = |owner: Owner| span(record.waited[owner as usize]);
    [
        ("time", text(&texts.time)),
        ("request_id", text(&texts.request_id)),
        ("trace_id", texts.trace_id.as_deref().and_then(text)),
        ("client", text(&texts.client)),
        ("client_certificate", record.identity.as_deref().and_then(text)),
        ("key", record.key.as_deref().and_then(text)),
        ("route", record.route.as_deref().and_then(text)),
        ("upstream", upstream.and_then(|(upstream, _)| text(upstream))),
        ("endpoint", upstream.and_then(|(_, endpoint)| text(endpoint))),
        ("model_asked", record.asked.as_deref().and_then(text)),
        ("model", record.model.as_deref().and_then(text)),
        ("status", number(record.status.into())),
        ("end", text(record.end)),
        ("attempts", number(record.attempts.into())),
        ("continued", (record.continued > 0).then(|| Value::Number(record.continued.into()))),
        ("reused", Some(Value::Truth(record.reused))),
        ("attached_us", reached(record.attached)),
        ("connected_us", reached(record.connected)),
        ("request_written_us", reached(record.request_written)),
        ("first_byte_us", reached(record.first_byte)),
        ("first_event_us", reached(record.first_event)),
        ("total_us", span(record.total)),
        ("tokens_in", told(usage.prompt)),
        ("tokens_cached", told(usage.cached)),
        ("tokens_out", number(output.tokens)),
        ("tokens_reasoning", told(usage.reasoning)),
        ("tokens_estimated", Some(Value::Truth(output.estimated))),
        ("tokens_wasted", (wasted > 0).then_some(Value::Number(wasted))),
        ("cost", texts.cost.as_deref().and_then(text)),
        ("bytes_in", number(record.bytes_in)),
        ("bytes_out", number(record.bytes_out)),
        ("waited_upstream_us", waited(Owner::Upstream)),
        ("waited_client_us", waited(Owner::Client)),
        ("waited_gateway_us", waited(Owner::Gateway)),
    ]
}

fn json(line: &mut String, name: &str, value: &Value<'_>) {
    line.push(if line.is_empty() { '{' } else { ',' });
    // Writing to a String cannot fail, so the results say nothing.
    let _ = match value {
        Value::Text(text) => write!(line, "\"{name}\":{}", serde_json::Value::from(*text)),
        Value::Number(number) => write!(line, "\"{name}\":{number}"),
        Value::Truth(truth) => write!(line, "\"{name}\":{truth}"),
    };
}

fn logfmt(line: &mut String, name: &str, value: &Value<'_>) {
    if !line.is_empty() {
        line.push(' ');
    }
    let _ = match value {
        Value::Text(text) if is_bare(text) => write!(line, "{name}={text}"),
        Value::Text(text) => write!(line, "{name}={}", serde_json::Value::from(*text)),
        Value::Number(number) => write!(line, "{name}={number}"),
        Value::Truth(truth) => write!(line, "{name}={truth}"),
    };
}

/// Whether a value needs no quotes.
fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request_id::RequestId;
    use crate::service::{Completion, Usage};
    use std::time::UNIX_EPOCH;

    fn record() -> Record {
        let micros = Duration::from_micros;
        Record {
            request_id: RequestId::given(b"say \"hi\""),
            client: [127, 0, 0, 1].into(),
            identity: None,
            key: None,
            trace: None,
            story: None,
            route: Some("/v1/*".into()),
            upstream: Some(("llm".into(), "gpu-1:8000".into())),
            status: 200,
            content_type: "",
            is_stream: false,
            asked: Some("best".into()),
            model: Some("llama".into()),
            end: "complete",
            attempts: 1,
            continued: 0,
            reused: true,
            attached: Some(micros(10)),
            connected: Some(micros(12)),
            request_written: Some(micros(12)),
            first_byte: Some(micros(900)),
            first_event: None,
            total: micros(1_500_000),
            events: 17,
            tokens_before: 0,
            usage: Some(Usage { prompt: Some(5), completion: Some(16), ..Usage::default() }),
            completion: Completion { tokens: 16, estimated: false },
            wasted: Vec::new(),
            prices: None,
            bytes_in: 120,
            bytes_out: 4096,
            waited: [micros(1_499_000), micros(900), micros(100)],
        }
    }

    #[test]
    fn a_line_of_json_is_json() {
        let line = line(UNIX_EPOCH, &record(), Format::Json);
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["time"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(value["request_id"], "say \"hi\"");
        assert_eq!((&value["total_us"], &value["tokens_out"]), (&1_500_000.into(), &16.into()));
        assert_eq!(value["waited_client_us"], 900);
        assert!(value.get("first_event_us").is_none(), "it had none");
    }

    #[test]
    fn the_parts_of_a_continued_stream_are_added_up() {
        let record = Record { continued: 1, tokens_before: 20, ..record() };
        let line = line(UNIX_EPOCH, &record, Format::Json);
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&value["continued"], &value["tokens_out"]), (&1.into(), &36.into()));
        assert_eq!(value["tokens_estimated"], true);
    }

    #[test]
    fn a_line_of_logfmt_quotes_what_needs_it() {
        let line = line(UNIX_EPOCH, &record(), Format::Logfmt);
        assert!(
            line.starts_with("time=1970-01-01T00:00:00.000000Z request_id=\"say \\\"hi\\\"\" ")
        );
        assert!(line.contains(
            " route=/v1/* upstream=llm endpoint=gpu-1:8000 model_asked=best model=llama status=200 "
        ));
        assert!(line.ends_with(" waited_gateway_us=100"), "{line}");
    }

    #[test]
    fn every_field_is_documented_in_its_order() {
        let record = Record { first_event: Some(Duration::ZERO), ..record() };
        let texts = Texts::of(UNIX_EPOCH, &record);
        let fields = fields(&texts, &record).map(|(name, _)| name);
        let documentation = include_str!("../../docs/operations.md");
        let (_, section) = documentation.split_once("\n## The access log\n").expect("the section");
        let section = section.split("\n## ").next().unwrap_or_default();
        let documented: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        assert_eq!(documented, fields);
    }
}
