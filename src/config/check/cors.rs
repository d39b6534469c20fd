//! `cors = { … }` of a route: whose pages may call it from within a browser.
//!
//! * A pattern is refused that would take in strangers: a star stands for whole names in front of one that
//!   is written out, for a part of such a name, for the host as a whole, or for the port.

use std::time::Duration;

use super::super::defaults;
use super::super::file::{Field, Section, Switch};
use super::super::problem::{Location, Mistake, Report};
use super::super::snapshot::{Cors, HeaderRules, Pattern, Route, Target};
use super::{field_name, unique};
use crate::http::cors::is_about_cors;

/// More is a table of tenants, which belongs elsewhere.
const ORIGINS_MAX: usize = 256;
const ORIGIN_MAX: usize = 256;
const NAMES_MAX: usize = 64;
/// Firefox keeps an answer for a day at most, the others for less.
const MAX_AGE: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);

/// "off", the default, where there is none.
pub(super) fn cors(section: &mut Section<'_>, report: &mut Report) -> Option<Box<Cors>> {
    let Switch::On(mut section) = section.switch("cors", report) else { return None };
    let origins = section.require("origins", report);
    let origins = origins.and_then(|field| origins_of(&field, report)).unwrap_or_default();
    let credentials = section.boolean("credentials", defaults::CORS_CREDENTIALS, report);
    let headers = section.take("headers").and_then(|field| {
        let any = "leave it out: then every field that a page asks for may be sent";
        names(&field, Err(any), report)
    });
    let any = match credentials {
        true => Err("where there are credentials, a browser takes no \"*\": name the fields"),
        false => Ok(()),
    };
    let expose = section.take("expose").and_then(|field| names(&field, any, report));
    let max_age = section.duration("max_age", MAX_AGE, defaults::CORS_MAX_AGE, report);
    if max_age.subsec_nanos() != 0 {
        report
            .error(&section.place_of("max_age"), "must be whole seconds: the field counts in them");
    }
    if let Some(open) = origins.iter().find(|pattern| credentials && is_anybodys(pattern)) {
        let why = match open.as_str() {
            Cors::ANY => "a browser takes no wildcard for an answer to a request with credentials",
            _ => "that may be anybody's page, and it would act for whoever looks at it",
        };
        report.error(
            &section.place_of("credentials"),
            format!("excludes the origin {:?}: {why}; name the origins", open.as_str()),
        );
    }
    section.finish(report);
    let expose = expose.unwrap_or_else(|| defaults::CORS_EXPOSE.map(str::to_owned).to_vec());
    Some(Box::new(Cors { origins, credentials, headers, expose, max_age }))
}

fn origins_of(field: &Field<'_>, report: &mut Report) -> Option<Vec<Pattern>> {
    let fields = field.list(report)?;
    if fields.is_empty() || fields.len() > ORIGINS_MAX {
        let reason = format!("must have from 1 to {ORIGINS_MAX} entries");
        report.error(field.place(), format!("{reason}; \"*\" is every page"));
    }
    unique(&fields, report, |field, report| {
        field.parsed(report, |text| origin(text).map(Pattern::new))
    })
}

/// Names of fields; `any`: whether `*` is one, or why not.
fn names(
    field: &Field<'_>,
    any: Result<(), &'static str>,
    report: &mut Report,
) -> Option<Vec<String>> {
    let fields = field.list(report)?;
    if fields.len() > NAMES_MAX {
        report.error(field.place(), format!("must have at most {NAMES_MAX} fields"));
    }
    unique(&fields, report, |field, report| {
        field.parsed(report, |text| match (text, any) {
            (Cors::ANY, Err(reason)) => Err(Mistake::new(reason)),
            _ => field_name(text),
        })
    })
}

/// A pattern of origins, in lower case: scheme, host and port, `*` or `null`.
fn origin(text: &str) -> Result<String, Mistake> {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), Cors::ANY | "null") {
        return Ok(lower);
    }
    let form = || {
        Mistake::new(format!(
            "{text:?} is no origin; write \"https://app.example\", \"https://*.corp.example\", \
             \"http://localhost:*\" or \"*\""
        ))
    };
    let (scheme, rest) = lower.split_once("://").ok_or_else(form)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if !is_scheme || lower.len() > ORIGIN_MAX {
        return Err(form());
    }
    if let Some(bare) = rest.find('/').map(|at| &rest[..at]) {
        let mistake = Mistake::new(format!("{text:?} has a path, and an origin has none"));
        return Err(mistake.meant(format!("{scheme}://{bare}")));
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    if let ("https", Some("443")) | ("http", Some("80")) = (scheme, port) {
        let mistake = Mistake::new(format!(
            "{text:?} never matches: a browser leaves out a scheme's own port"
        ));
        return Err(mistake.meant(format!("{scheme}://{host}")));
    }
    let is_port = |port: &str| port == "*" || port.parse::<u16>().is_ok_and(|port| port > 0);
    if !is_host(host) || !port.is_none_or(is_port) {
        return Err(form());
    }
    if reaches_strangers(host) {
        return Err(Mistake::new(format!(
            "{text:?} takes in strangers' hosts: a star stands in front of a name that is written out, \
             as in \"https://*.corp.example\" or \"https://app-*.corp.example\""
        )));
    }
    Ok(lower)
}

fn is_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._*".contains(c);
    match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(legal) && !host.ends_with('.'),
    }
}

/// Whether somebody else may have a host that matches: the last name is not written out, or only a part of
/// the one before it, as in `*corp.example`.
fn reaches_strangers(host: &str) -> bool {
    let mut names = host.rsplit('.');
    let (last, before) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    host != "*" && (last.contains('*') || before != "*" && before.contains('*'))
}

/// Whether pages of strangers match: every host, or an origin that any page can give itself.
fn is_anybodys(pattern: &Pattern) -> bool {
    let text = pattern.as_str();
    let host = text.split_once("://").map_or(text, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    host == "*" || text == "null"
}

/// Tells of fields that are given twice: here, and by what changes answers.
pub(super) fn check_answers(
    cors: Option<&Cors>,
    place: &Location,
    rules: &HeaderRules,
    target: &Target,
    report: &mut Report,
) {
    if cors.is_none() {
        return;
    }
    let mut given: Vec<(&str, &String)> = Vec::new();
    if let Some(rules) = rules.rules.as_deref() {
        let set = rules.set.iter().chain(&rules.add).map(|(name, _)| name);
        let all = set.chain(rules.rename.iter().map(|(_, to)| to));
        given.extend(all.map(|name| ("response_headers", name)));
    }
    if let Target::Chain(chain) = target
        && let Some(fallback) = &chain.fallback
    {
        given.extend(fallback.headers.iter().map(|(name, _)| ("fallback.headers", name)));
    }
    for (key, name) in given.into_iter().filter(|(_, name)| is_about_cors(name.as_bytes())) {
        report.error(place, format!("and {key} both say {name}; leave it to cors"));
    }
}

/// Tells of routes that a preflight cannot tell apart, where one has `cors` and another has none: no page
/// may call those. `routes`: in matching order.
pub(super) fn warn_of_mixed(routes: &[(Route, Location)], report: &mut Report) {
    for (index, (route, place)) in routes.iter().enumerate() {
        if route.is_told_by_target() {
            continue;
        }
        let behind = routes[index + 1..].iter().filter(|(other, _)| may_be_taken_for(other, route));
        for (other, elsewhere) in behind {
            if route.cors.is_some() != other.cors.is_some() {
                let with = |route: &Route| if route.cors.is_some() { "has" } else { "has no" };
                let line = elsewhere.line.map_or(String::new(), |line| format!(" (line {line})"));
                let told = format!(
                    "{} cors and {}{line} {} cors: a preflight carries neither field nor model, so it \
                     may be for either, and is refused",
                    with(route),
                    elsewhere.key,
                    with(other),
                );
                report.warn(place, Mistake::new(told));
                break;
            }
            if other.is_told_by_target() && other.methods.is_empty() {
                break;
            }
        }
    }
}

/// Whether `other`, which stands behind `route`, takes requests of the same path, host and method.
fn may_be_taken_for(other: &Route, route: &Route) -> bool {
    let path = other.path.covers(&route.path);
    let target = |route: &Route| {
        let when = route.when.as_deref().cloned().unwrap_or_default();
        (when.hosts, when.query)
    };
    let (theirs, ours) = (target(other), target(route));
    let method = other.methods.is_empty()
        || route.methods.is_empty()
        || route.methods.iter().any(|method| other.takes_method(method));
    path && method && (theirs == ours || theirs == Default::default())
}
