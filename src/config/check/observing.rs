//! `[trace]`, `[recorder]` and `[usage]`: what is told of exchanges beside their log lines.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::super::defaults;
use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Report};
use super::super::snapshot::{
    Collector, ModelPrice, PriceTable, Recorder, TraceContext, TraceSettings, UsageSettings,
};
use super::{address, fallback, when};
use crate::tls::ClientFiles;

/// Where a collector takes spans, unless told otherwise (OTLP/HTTP).
const SPANS_PATH: &str = "/v1/traces";
const SERVICE_MAX: usize = 64;
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const QUEUE: RangeInclusive<u64> = 16..=1 << 20;
const STREAMS: RangeInclusive<u64> = 1..=100_000;
/// Each is some hundred bytes here and a dozen lines of `/metrics`.
const SERIES: RangeInclusive<u64> = 1..=10_000;
const CURRENCY_MAX: usize = 16;
/// Each exchange looks through them.
const PRICES_MAX: usize = 1_000;
const KEEP: RangeInclusive<u64> = 1..=1_000;

pub(super) fn trace(mut section: Section<'_>, report: &mut Report) -> TraceSettings {
    let default = defaults::trace();
    let contexts = [
        ("off", TraceContext::Off),
        ("continue", TraceContext::Continue),
        ("restart", TraceContext::Restart),
    ];
    let context = section.choice("context", &contexts, default.context, report);
    let sample = section.take("sample").and_then(|field| field.fraction(report));
    let export = section.take("export");
    let collector = export.as_ref().and_then(|field| field.parsed(report, collector)).flatten();
    if let (Some(field), Some(_), TraceContext::Off) = (&export, &collector, context) {
        report
            .error(field.place(), "needs trace.context: without it no exchange is part of a trace");
    }
    let service = section.take("service").and_then(|field| field.parsed(report, service));
    let trace = TraceSettings {
        context,
        sample: sample.unwrap_or(default.sample),
        export: collector,
        service: service.unwrap_or(default.service),
        interval: section.duration("interval", INTERVAL, default.interval, report),
        timeout: section.duration("timeout", TIMEOUT, default.timeout, report),
        queue: section.count("queue", QUEUE, default.queue, report),
    };
    section.finish(report);
    trace
}

/// `http://host:port/path`, or `https://`; `None` is "off".
fn collector(text: &str) -> Result<Option<Collector>, Mistake> {
    if text == "off" {
        return Ok(None);
    }
    let sealed = text.strip_prefix("https://");
    let Some(rest) = sealed.or_else(|| text.strip_prefix("http://")) else {
        return Err(Mistake::new(
            "must be \"off\" or a URL such as \"http://127.0.0.1:4318/v1/traces\"",
        ));
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, SPANS_PATH),
    };
    if authority.contains('@') {
        return Err(Mistake::new("takes neither a user nor a password"));
    }
    address::connectable(authority)?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        // Not told: it may end in a key.
        return Err(Mistake::new("has a character in its path or its query that no URL has"));
    }
    let tls = match sealed {
        None => None,
        Some(_) => {
            let dialer = ClientFiles::default().dialer(authority, super::tls::now());
            Some(Arc::new(dialer.map_err(Mistake::new)?))
        }
    };
    Ok(Some(Collector { authority: authority.to_owned(), path: path.to_owned(), tls }))
}

fn service(text: &str) -> Result<String, Mistake> {
    let legal = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if text.is_empty() || text.len() > SERVICE_MAX || !text.bytes().all(legal) {
        return Err(Mistake::new(format!(
            "must be 1 to {SERVICE_MAX} visible ASCII characters, not {text:?}"
        )));
    }
    Ok(text.to_owned())
}

pub(super) fn recorder(mut section: Section<'_>, report: &mut Report) -> Recorder {
    let streams = section.take("streams").and_then(|field| streams(&field, report));
    let recorder = Recorder {
        streams: streams.unwrap_or(defaults::RECORDER.streams),
        keep: section.count("keep", KEEP, defaults::RECORDER.keep, report),
    };
    section.finish(report);
    recorder
}

/// `[[price]]`, every one.
pub(super) fn prices(sections: Vec<Section<'_>>, report: &mut Report) -> Option<Arc<PriceTable>> {
    if let Some(section) = sections.get(PRICES_MAX) {
        report.error(section.place(), format!("there are more than {PRICES_MAX} prices"));
    }
    let prices: Vec<ModelPrice> =
        sections.into_iter().filter_map(|section| price(section, report)).collect();
    (!prices.is_empty()).then(|| Arc::new(PriceTable(prices)))
}

fn price(mut section: Section<'_>, report: &mut Report) -> Option<ModelPrice> {
    section.require("model", report);
    let models = when::patterns(&mut section, "model", fallback::model_name, report);
    let input = section.require("input", report).and_then(|field| field.price(report));
    let cached = section.take("cached").map(|field| field.price(report));
    let output = section.require("output", report).and_then(|field| field.price(report));
    section.finish(report);
    Some(ModelPrice { models, input: input?, cached: cached.unwrap_or(input)?, output: output? })
}

fn currency(text: &str) -> Result<String, Mistake> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric();
    if text.is_empty() || text.len() > CURRENCY_MAX || !text.bytes().all(legal) {
        let reason = format!("must be 1 to {CURRENCY_MAX} ASCII letters and digits, not {text:?}");
        return Err(Mistake::new(reason).meant("USD"));
    }
    Ok(text.to_owned())
}

pub(super) fn usage(mut section: Section<'_>, report: &mut Report) -> UsageSettings {
    let default = defaults::usage();
    let currency = section.take("currency").and_then(|field| field.parsed(report, currency));
    let usage = UsageSettings {
        series: section.count("series", SERIES, default.series, report),
        currency: currency.unwrap_or(default.currency),
    };
    section.finish(report);
    usage
}

/// `Some(None)` is "off".
fn streams(field: &Field<'_>, report: &mut Report) -> Option<Option<usize>> {
    if field.is_off() { Some(None) } else { field.count(STREAMS, report).map(Some) }
}
