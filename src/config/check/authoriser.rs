//! `[auth]`: who comes in by the word of an authoriser.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::file::{Field, Section};
use super::super::problem::{Location, Mistake, Report};
use super::super::snapshot::{
    AuthPlace, Authoriser, AuthoriserSettings, ClaimNames, ClaimPath, GateSettings, ServerSettings,
    Tells, Tiers,
};
use super::super::{Environment, defaults};
use super::{address, field_name, gate, tls, unique};
use crate::gate::authoriser::AUTHORISER;
use crate::http::credential::FIELDS;
use crate::tls::ClientFiles;

const HEADERS_MAX: usize = 32;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
const HOLDS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);
const SIZE: RangeInclusive<u64> = 1..=1_000_000;
const CONCURRENCY: RangeInclusive<u64> = 1..=256;

/// What is said to the authoriser by ourselves.
const OURS: [&str; 13] = [
    "accept",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// `[auth]`, if there is one.
pub(super) fn authoriser(
    root: &mut Section<'_>,
    tiers: &Tiers,
    environment: &Environment,
    report: &mut Report,
) -> Option<(Authoriser, AuthPlace)> {
    let mut section = root.take("auth")?.section(report);
    let url = section.require("url", report);
    let ca = section.take("ca");
    let place = url.and_then(|url| place(&url, ca.as_ref(), environment, report));
    let headers = section.take("headers").and_then(|field| {
        let fields = gate::some_of(&field, report)?;
        if fields.len() > HEADERS_MAX {
            report.error(field.place(), format!("there are more than {HEADERS_MAX} fields"));
        }
        unique(&fields, report, |field, report| field.parsed(report, told_field))
    });
    let tells = section.take("tell").and_then(|field| tells(&field, report));
    let claims = section.take("claims");
    let claims = claims.map(|field| claims_of(field.section(report), report));
    let wants_name = claims.as_ref().is_some_and(|all| all.iter().any(|(it, _)| *it == "name"));
    let mut claims = claims.unwrap_or_default();
    if !wants_name {
        claims.push(("name", defaults::AUTH_NAME.to_owned()));
    }
    let tier = section.take("tier").and_then(|field| {
        field.parsed(report, |text| match tiers.contains_key(text) {
            true => Ok(text.to_owned()),
            false => Err(Mistake::new(format!("there is no [tiers.{text}]"))),
        })
    });
    let timeout = section.duration("timeout", TIMEOUT, defaults::AUTH_TIMEOUT, report);
    let concurrency = section.count("concurrency", CONCURRENCY, defaults::AUTH_CONCURRENCY, report);
    let anonymous = section.boolean("anonymous", false, report);
    let mut cache = section.table("cache", report);
    let settings = AuthoriserSettings {
        headers: headers.unwrap_or_else(|| FIELDS.map(str::to_owned).to_vec()),
        tells: tells.unwrap_or(Tells { method: true, host: true, uri: true, client: true }),
        names: names_of(&claims),
        claims,
        wants_name,
        tier,
        timeout,
        yes_for: cache.duration("yes", HOLDS, defaults::AUTH_YES_FOR, report),
        no_for: cache.duration("no", HOLDS, defaults::AUTH_NO_FOR, report),
        size: cache.count("size", SIZE, defaults::AUTH_SIZE, report),
        anonymous,
    };
    cache.finish(report);
    section.finish(report);
    let (authority, path, tls) = place?;
    Some((Authoriser::new(settings), AuthPlace { authority, path, tls, concurrency }))
}

fn place(
    field: &Field<'_>,
    ca: Option<&Field<'_>>,
    environment: &Environment,
    report: &mut Report,
) -> Option<(String, String, Option<ClientFiles>)> {
    let sealed = field.string(report)?.starts_with("https://");
    let (authority, path) = field.parsed(report, address::url)?;
    if let (Some(ca), false) = (ca, sealed) {
        report.error(ca.place(), "is for an authoriser at https://");
        return None;
    }
    if !sealed && !address::is_local(&authority) {
        report.warn(
            field.place(),
            Mistake::new(
                "is asked without TLS: whoever is on the way sees credentials, and can let anybody in",
            ),
        );
    }
    let ca = match ca {
        None => None,
        Some(ca) => Some(gate::path(ca, environment, report)?),
    };
    let files = sealed.then_some(ClientFiles { ca, own: None, server_name: None });
    if let Some(files) = &files {
        // A file that is wrong is told now.
        let made = files.dialer(&authority, tls::now()).map_err(Mistake::new);
        report.noted(field.place(), made)?;
    }
    Some((authority, path, files))
}

/// A field of a request that is shown.
fn told_field(text: &str) -> Result<String, Mistake> {
    let name = field_name(text)?;
    match OURS.contains(&&*name) || name.starts_with("x-forwarded-") {
        false => Ok(name),
        true => Err(Mistake::new(format!(
            "{text} is said to the authoriser by the gateway itself, and is not passed on"
        ))),
    }
}

/// `tell = ["method", …]`
fn tells(field: &Field<'_>, report: &mut Report) -> Option<Tells> {
    const WORDS: [(&str, usize); 4] = [("method", 0), ("host", 1), ("uri", 2), ("client", 3)];
    let fields = field.list(report)?;
    let told = unique(&fields, report, |field, report| field.choice(&WORDS, report))?;
    let [method, host, uri, client] = [0, 1, 2, 3].map(|word| told.contains(&word));
    Some(Tells { method, host, uri, client })
}

/// `claims = { … }`: each claim, and the field of an answer that says it.
fn claims_of(mut section: Section<'_>, report: &mut Report) -> Vec<(&'static str, String)> {
    const CLAIMS: [&str; 13] = [
        "name",
        "tier",
        "routes",
        "models",
        "networks",
        "priority",
        "concurrency",
        "requests_per_minute",
        "tokens_per_minute",
        "tokens_per_day",
        "tokens_per_month",
        "cost_per_day",
        "cost_per_month",
    ];
    let mut claims = Vec::new();
    for claim in CLAIMS {
        let field = section.take(claim).and_then(|field| field.parsed(report, field_name));
        claims.extend(field.map(|field| (claim, field)));
    }
    section.finish(report);
    claims
}

/// Where the claims of an answer stand, once it is read.
fn names_of(claims: &[(&'static str, String)]) -> ClaimNames {
    let named = |claim: &str| -> Option<ClaimPath> {
        claims.iter().any(|(it, _)| *it == claim).then(|| vec![claim.to_owned()])
    };
    ClaimNames {
        name: vec!["name".to_owned()],
        tier: named("tier"),
        routes: named("routes"),
        models: named("models"),
        networks: named("networks"),
        priority: named("priority"),
        concurrency: named("concurrency"),
        requests_per_minute: named("requests_per_minute"),
        tokens_per_minute: named("tokens_per_minute"),
        tokens_per_day: named("tokens_per_day"),
        tokens_per_month: named("tokens_per_month"),
        cost_per_day: named("cost_per_day"),
        cost_per_month: named("cost_per_month"),
    }
}

/// Compares it with the issuers, addresses and prices that there are.
pub(super) fn cross_check(
    settings: &GateSettings,
    server: &ServerSettings,
    has_prices: bool,
    report: &mut Report,
) {
    let Some((authoriser, place)) =
        settings.gate.authoriser.as_ref().zip(settings.auth_place.as_ref())
    else {
        return;
    };
    let nowhere = |key: &str| Location { line: None, key: key.to_owned() };
    if settings.gate.issuers.iter().any(|issuer| issuer.settings.name == AUTHORISER) {
        let reason = "is the name of those whom [auth] lets in: the issuer needs another one";
        report.error(&nowhere("issuers.auth"), reason);
    }
    if server.listen.iter().any(|address| address.to_string() == place.authority) {
        report.error(&nowhere("auth.url"), "is an address of this gateway itself");
    }
    let names = &authoriser.settings.names;
    if names.tell_cost() && !has_prices {
        let reason = "claims tell a budget in money, and there is no [[price]]";
        report.error(&nowhere("auth.claims"), reason);
    }
    if names.tier.is_some() && settings.gate.tiers.is_empty() {
        let reason = "names a field, and there is no [tiers.NAME] that it could say";
        report.error(&nowhere("auth.claims.tier"), reason);
    }
}
