//! `fallback = { … }`: the predefined answer that ends a route's chain.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::super::Environment;
use super::super::defaults;
use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Report};
use super::super::snapshot::{Fallback, FallbackAnswer};
use super::field_name;

const STATUS: RangeInclusive<u64> = 200..=599;
const PACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);
const HEADERS_MAX: usize = 32;
const VALUE_MAX: usize = 1_024;
const MODEL_MAX: usize = 256;
/// It is kept in memory, and a model says less.
pub(in super::super) const ANSWER_MAX: usize = 1 << 20;

/// Fields that say how the message is framed, or that the gateway writes itself.
const OURS: [&str; 14] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
    "x-sluice-attempts",
    "x-sluice-degraded",
    "x-sluice-upstream",
];

/// `streams`: the route leads to a service that may be asked for a stream.
pub(super) fn fallback(
    route: &mut Section<'_>,
    streams: bool,
    environment: &Environment,
    report: &mut Report,
) -> Option<Fallback> {
    let mut section = route.take("fallback")?.section(report);
    let status = section.count("status", STATUS, defaults::FALLBACK_STATUS, report);
    if let 204 | 205 | 304 = status {
        let place = section.place_of("status");
        report.error(&place, format!("an answer with status {status} cannot say anything"));
    }
    let headers = headers(section.table("headers", report), report);
    let answer = answer(&mut section, environment, report);
    let model = section.take("model").and_then(|field| field.parsed(report, model_name));
    let pace = section.duration("pace", PACE, defaults::FALLBACK_PACE, report);
    let place = section.place().clone();
    section.finish(report);
    let (answer, file) = answer?;
    // An error document is what clients of streams expect with an error's status.
    if streams && status < 400 && matches!(answer, FallbackAnswer::Json(_)) {
        report.warn(
            &place,
            Mistake::new("says JSON to a caller that has asked for a stream: text is streamed"),
        );
    }
    Some(Fallback { status, headers, answer, file, model, pace })
}

/// What is said, and the file it was read from.
fn answer(
    section: &mut Section<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<(FallbackAnswer, Option<String>)> {
    let text = section.take("text");
    let json = section.take("json");
    let file = section.take("file");
    match (text, json, file) {
        (Some(field), None, None) => Some((field.parsed(report, self::text)?, None)),
        (None, Some(field), None) => Some((field.parsed(report, self::json)?, None)),
        (None, None, Some(field)) => from_file(&field, environment, report),
        _ => {
            report.error(section.place(), "needs one of text, json and file");
            None
        }
    }
}

/// A file whose name ends in `.json` is a JSON body, every other one is text.
fn from_file(
    field: &Field<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<(FallbackAnswer, Option<String>)> {
    field.parsed(report, |written| {
        if written.is_empty() || written.chars().any(char::is_control) {
            return Err(Mistake::new(format!("{written:?} is no path of a file")));
        }
        let path = environment.file(written);
        let found = (environment.read)(&path)
            .map_err(|reason| Mistake::new(format!("{}: {reason}", path.display())))?;
        let is_json = Path::new(written).extension().is_some_and(|it| it == "json");
        let answer = if is_json { json(&found) } else { text(found.trim_end_matches('\n')) };
        Ok((answer?, Some(path.to_string_lossy().into_owned())))
    })
}

fn text(text: &str) -> Result<FallbackAnswer, Mistake> {
    limited(text)?;
    if text.is_empty() {
        return Err(Mistake::new("must not be empty: an answer says something"));
    }
    Ok(FallbackAnswer::Text(text.into()))
}

fn json(text: &str) -> Result<FallbackAnswer, Mistake> {
    limited(text)?;
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(FallbackAnswer::Json(text.into())),
        Err(error) => Err(Mistake::new(format!("is not valid JSON: {error}"))),
    }
}

fn limited(text: &str) -> Result<(), Mistake> {
    match text.len() <= ANSWER_MAX {
        true => Ok(()),
        false => Err(Mistake::new("is longer than 1MiB, which no predefined answer may be")),
    }
}

fn headers(mut section: Section<'_>, report: &mut Report) -> Vec<(String, String)> {
    let entries = section.entries();
    if entries.len() > HEADERS_MAX {
        report.error(section.place(), format!("must have at most {HEADERS_MAX} fields"));
    }
    let mut headers: Vec<(String, String)> = Vec::with_capacity(entries.len());
    for (name, field) in entries {
        let Some(name) = report.noted(field.place(), field_name(name)) else { continue };
        if OURS.contains(&name.as_str()) {
            report.error(field.place(), "is written by the gateway itself");
        } else if headers.iter().any(|(earlier, _)| *earlier == name) {
            report.error(field.place(), "is in the table already; names ignore case");
        }
        if let Some(value) = field.parsed(report, value) {
            headers.push((name, value.to_owned()));
        }
    }
    headers
}

/// A field value (RFC 9110 section 5.5), without what two readers could read in two ways.
fn value(text: &str) -> Result<&str, Mistake> {
    let legal = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !legal || text.trim() != text || text.len() > VALUE_MAX {
        return Err(Mistake::new(format!(
            "must be at most {VALUE_MAX} visible ASCII characters and inner spaces"
        )));
    }
    Ok(text)
}

/// The name of a model: what stands in the `model` of a request or an answer.
pub(super) fn model_name(text: &str) -> Result<String, Mistake> {
    let legal = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > MODEL_MAX || !legal {
        return Err(Mistake::new(format!(
            "must have 1 to {MODEL_MAX} visible ASCII characters and no space"
        )));
    }
    Ok(text.to_owned())
}
