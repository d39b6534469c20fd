//! `when = { … }` of a route: what it asks of a request beside path and method.

use super::super::file::{Field, Section};
use super::super::problem::{Location, Mistake, Report};
use super::super::snapshot::{Pattern, ServerSettings, Share, ShareBy, When};
use super::policy::{cookie_name, members};
use super::{fallback, field_name, unique};

/// More is a table of models, which belongs elsewhere.
const PATTERNS_MAX: usize = 256;
const TEXT_MAX: usize = 256;
/// Members of the body that one route may ask for.
const FIELDS_MAX: usize = 16;

pub(super) fn when(
    section: &mut Section<'_>,
    server: &ServerSettings,
    report: &mut Report,
) -> Option<Box<When>> {
    let field = section.take("when")?;
    let mut section = field.section(report);
    let hosts = patterns(&mut section, "host", host, report);
    let headers = table(&mut section, "header", field_name, report);
    let query = table(&mut section, "query", parameter, report);
    let fields = fields(&mut section, report);
    let models = patterns(&mut section, "model", fallback::model_name, report);
    let certificates = patterns(&mut section, "client_certificate", certificate_name, report);
    let share = section.take("share").and_then(|field| share(&field, report));
    let place = section.place().clone();
    section.finish(report);
    warn_of_certificates(&certificates, server, &place, report);
    let when = When { hosts, headers, query, fields, models, certificates, share };
    if when == When::default() {
        report.warn(&place, Mistake::new("asks for nothing, so every request is for this route"));
        return None;
    }
    Some(Box::new(when))
}

/// Whether any client is asked for a certificate.
pub(super) fn asks_for_certificates(server: &ServerSettings) -> bool {
    server.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
}

/// Warns of what is for clients with certificates, where no client is asked for one.
pub(super) fn warn_of_certificates(
    wanted: &[Pattern],
    server: &ServerSettings,
    place: &Location,
    report: &mut Report,
) {
    if !wanted.is_empty() && !asks_for_certificates(server) {
        let warning = "client_certificate holds for nobody: without server.tls.client_ca no client is \
                       asked for a certificate";
        report.warn(place, Mistake::new(warning));
    }
}

/// `share = "10%"`, or `{ of = "10%", by = "key" }`, where `by` may be a header or a cookie.
fn share(field: &Field<'_>, report: &mut Report) -> Option<Share> {
    let share = |of_ten_thousand, by| Share { of_ten_thousand, by, towards: String::new() };
    if !field.is_table() {
        return Some(share(field.parsed(report, percent)?, ShareBy::Request));
    }
    let mut section = field.section(report);
    let of = section.require("of", report).and_then(|field| field.parsed(report, percent));
    let by = match section.take("by") {
        None => Some(ShareBy::Request),
        Some(field) if field.is_table() => share_key(field.section(report), report),
        Some(field) => {
            field.choice(&[("request", ShareBy::Request), ("key", ShareBy::Key)], report)
        }
    };
    section.finish(report);
    Some(share(of?, by?))
}

fn share_key(mut section: Section<'_>, report: &mut Report) -> Option<ShareBy> {
    let (header, cookie) = (section.take("header"), section.take("cookie"));
    let place = section.place().clone();
    section.finish(report);
    match (header, cookie) {
        (Some(field), None) => field.parsed(report, field_name).map(ShareBy::Header),
        (None, Some(field)) => field.parsed(report, cookie_name).map(ShareBy::Cookie),
        _ => {
            report.error(&place, "needs one of header and cookie");
            None
        }
    }
}

/// A percentage with up to two decimals, as ten-thousandths.
fn percent(text: &str) -> Result<u16, Mistake> {
    let read = || {
        let number = text.strip_suffix('%')?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || !(1..=2).contains(&part.len()) {
            return None;
        }
        let hundredths: u16 = format!("{part:0<2}").parse().ok()?;
        let share = whole.parse::<u16>().ok()?.checked_mul(100)?.checked_add(hundredths)?;
        (share <= Share::WHOLE).then_some(share)
    };
    read().ok_or_else(|| {
        Mistake::new(format!(
            "{text:?} is no share; write a percentage from \"0%\" to \"100%\", as \"2.5%\""
        ))
    })
}

/// One pattern, or a list of them, each of which `read` understands.
pub(super) fn patterns(
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

/// `field = { user = "a*", "metadata.user_id" = "x", stream = true }`: members of the body, each with the
/// pattern that its value has to match, or the number or truth value that it has to be.
fn fields(section: &mut Section<'_>, report: &mut Report) -> Vec<(Vec<String>, Pattern)> {
    let Some(field) = section.take("field") else { return Vec::new() };
    let mut pairs: Vec<(Vec<String>, Pattern)> = Vec::new();
    let entries = field.section(report).entries();
    if entries.len() > FIELDS_MAX {
        report.error(field.place(), format!("must have at most {FIELDS_MAX} entries"));
    }
    for (key, field) in entries {
        let Some(path) = report.noted(field.place(), members(key)) else { continue };
        if path == ["model"] {
            report.error(field.place(), "is when.model");
        }
        let pattern = match field.literal() {
            Some(literal) => Some(literal),
            None => field.parsed(report, value).map(str::to_owned),
        };
        pairs.extend(pattern.map(|pattern| (path, Pattern::new(pattern))));
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

/// Who a certificate says that its owner is, as the access log has it.
pub(super) fn certificate_name(text: &str) -> Result<String, Mistake> {
    if text.is_empty() {
        return Err(Mistake::new("must be a name in a certificate, or \"*\" for any"));
    }
    value(text).map(str::to_owned)
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
