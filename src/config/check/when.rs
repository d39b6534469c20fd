//! `when = { … }` of a route: what it asks of a request beside path and method.

use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Report};
use super::super::snapshot::{Pattern, When};
use super::{fallback, field_name, unique};

/// More is a table of models, which belongs elsewhere.
const PATTERNS_MAX: usize = 256;
const TEXT_MAX: usize = 256;

pub(super) fn when(section: &mut Section<'_>, report: &mut Report) -> Option<Box<When>> {
    let field = section.take("when")?;
    let mut section = field.section(report);
    let hosts = patterns(&mut section, "host", host, report);
    let headers = table(&mut section, "header", field_name, report);
    let query = table(&mut section, "query", parameter, report);
    let models = patterns(&mut section, "model", fallback::model_name, report);
    let place = section.place().clone();
    section.finish(report);
    let when = When { hosts, headers, query, models };
    if when == When::default() {
        report.warn(&place, Mistake::new("asks for nothing, so every request is for this route"));
        return None;
    }
    Some(Box::new(when))
}

/// One pattern, or a list of them, each of which `read` understands.
fn patterns(
    section: &mut Section<'_>,
    key: &'static str,
    read: fn(&str) -> Result<String, Mistake>,
    report: &mut Report,
) -> Vec<Pattern> {
    let Some(field) = section.take(key) else { return Vec::new() };
    let pattern = |field: &Field<'_>, report: &mut Report| {
        field.parsed(report, |text| read(text).map(Pattern::new))
    };
    if !field.is_list() {
        return pattern(&field, report).into_iter().collect();
    }
    let fields = field.list(report).unwrap_or_default();
    if fields.is_empty() || fields.len() > PATTERNS_MAX {
        report.error(field.place(), format!("must have from 1 to {PATTERNS_MAX} entries"));
    }
    unique(&fields, report, pattern).unwrap_or_default()
}

/// A table of names, each with the pattern that its value has to match.
fn table(
    section: &mut Section<'_>,
    key: &'static str,
    name: fn(&str) -> Result<String, Mistake>,
    report: &mut Report,
) -> Vec<(String, Pattern)> {
    let Some(field) = section.take(key) else { return Vec::new() };
    let mut pairs: Vec<(String, Pattern)> = Vec::new();
    let entries = field.section(report).entries();
    if entries.len() > PATTERNS_MAX {
        report.error(field.place(), format!("must have at most {PATTERNS_MAX} entries"));
    }
    for (key, field) in entries {
        let Some(key) = report.noted(field.place(), name(key)) else { continue };
        if pairs.iter().any(|(known, _)| *known == key) {
            report.error(field.place(), "is in the table already; names ignore case");
        }
        if let Some(pattern) = field.parsed(report, value) {
            pairs.push((key, Pattern::new(pattern)));
        }
    }
    pairs
}

/// A host as it is compared: in lower case, and without a port.
fn host(text: &str) -> Result<String, Mistake> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._*".contains(c);
    let is_host = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => text.chars().all(legal) && !text.ends_with('.'),
    };
    if text.is_empty() || text.len() > TEXT_MAX || !is_host {
        return Err(Mistake::new(format!(
            "{text:?} is no host; write a name, \"*.example.com\" or an address, without a port"
        )));
    }
    Ok(text.to_ascii_lowercase())
}

fn parameter(text: &str) -> Result<String, Mistake> {
    let legal = !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
    if !legal {
        return Err(Mistake::new(format!("{text:?} is no name of a parameter")));
    }
    Ok(text.to_owned())
}

/// What a value has to match, `*` included.
fn value(text: &str) -> Result<&str, Mistake> {
    if text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(Mistake::new(format!(
            "must have at most {TEXT_MAX} characters, and no control characters"
        )));
    }
    Ok(text)
}
