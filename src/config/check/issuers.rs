//! `[issuers]` and `[tiers]`: who comes in by tokens.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{Field, Section};
use super::super::problem::{Location, Mistake, Report};
use super::super::snapshot::{
    Algorithm, ClaimNames, ClaimPath, GateSettings, Issuer, IssuerKeys, IssuerSettings, KeySource,
    KeysPlace, PriceTable, Route, ServerSettings, Tiers,
};
use super::super::{Environment, defaults};
use super::gate::ReadKey;
use super::{address, authoriser, gate, tls, unique, when};
use crate::gate::key::KeySettings;
use crate::gate::token::jwks::KeySet;
use crate::tls::ClientFiles;

const ISSUERS_MAX: usize = 32;
const TIERS_MAX: usize = 1_000;
const TEXT_MAX: usize = 2_048;
const AUDIENCES_MAX: usize = 64;
const PATH_MAX: usize = 8;
const LEEWAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);
const REFRESH: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
const AGE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);

const ALGORITHMS: [(&str, Algorithm); 3] =
    [("RS256", Algorithm::Rs256), ("ES256", Algorithm::Es256), ("EdDSA", Algorithm::EdDsa)];

/// `[tiers]` and `[issuers]`, and `[gate]` and `[keys]` with them.
pub(super) fn gate(
    root: &mut Section<'_>,
    environment: &Environment,
    report: &mut Report,
) -> (GateSettings, Vec<ReadKey>) {
    let tiers = tiers(root.table("tiers", report), report);
    let issuers = issuers(root.table("issuers", report), &tiers, environment, report);
    let authoriser = authoriser::authoriser(root, &tiers, environment, report);
    gate::gate(root, (tiers, issuers, authoriser), environment, report)
}

/// `[tiers.NAME]`, every one.
fn tiers(mut section: Section<'_>, report: &mut Report) -> Tiers {
    let place = section.place().clone();
    let entries = section.entries();
    if entries.len() > TIERS_MAX {
        report.error(&place, format!("there are more than {TIERS_MAX} tiers"));
    }
    let tiers = entries.into_iter().map(|(name, field)| {
        report.noted(field.place(), gate::named("a tier", name));
        let mut section = field.section(report);
        let opened = gate::opened(&mut section, report);
        section.finish(report);
        (name.to_owned(), KeySettings { name: name.to_owned(), ..opened })
    });
    tiers.collect()
}

/// `[issuers.NAME]`, every one.
fn issuers(
    mut section: Section<'_>,
    tiers: &Tiers,
    environment: &Environment,
    report: &mut Report,
) -> Vec<(Arc<Issuer>, KeySource)> {
    let place = section.place().clone();
    let entries = section.entries();
    if entries.len() > ISSUERS_MAX {
        report.error(&place, format!("there are more than {ISSUERS_MAX} issuers"));
    }
    let mut all: Vec<(Arc<Issuer>, KeySource)> = Vec::new();
    for (name, field) in entries {
        let place = field.place().clone();
        report.noted(&place, gate::named("an issuer", name));
        let section = field.section(report);
        let Some(read) = issuer(name, section, tiers, environment, report) else { continue };
        let twin = |(other, _): &&(Arc<Issuer>, KeySource)| {
            other.settings.issuer == read.0.settings.issuer
        };
        if let Some((other, _)) = all.iter().find(twin) {
            let other = &other.settings.name;
            report.error(&place, format!("{name:?} and {other:?} are the same issuer"));
        }
        all.push(read);
    }
    all
}

fn issuer(
    name: &str,
    mut section: Section<'_>,
    tiers: &Tiers,
    environment: &Environment,
    report: &mut Report,
) -> Option<(Arc<Issuer>, KeySource)> {
    let issuer = section.require("issuer", report).and_then(|field| field.parsed(report, text));
    let audience = section.require("audience", report).and_then(|field| {
        let fields = match field.is_list() {
            true => gate::some_of(&field, report)?,
            false => vec![field],
        };
        if fields.len() > AUDIENCES_MAX {
            let reason = format!("there are more than {AUDIENCES_MAX} audiences");
            report.error(fields[0].place(), reason);
        }
        unique(&fields, report, |field, report| field.parsed(report, text))
    });
    let jwks = section.require("jwks", report);
    let ca = section.take("ca");
    let algorithms = section.take("algorithms").and_then(|field| {
        let fields = gate::some_of(&field, report)?;
        unique(&fields, report, |field, report| field.choice(&ALGORITHMS, report))
    });
    let algorithms = algorithms.unwrap_or_else(|| Algorithm::ALL.to_vec());
    let leeway = section.duration("leeway", LEEWAY, defaults::TOKEN_LEEWAY, report);
    let refresh = section.duration("refresh", REFRESH, defaults::KEYS_REFRESH, report);
    let keys_age_max = section.duration("keys_age_max", AGE, defaults::KEYS_AGE_MAX, report);
    let tier = section.take("tier").and_then(|field| {
        let known = |text: &str| match tiers.contains_key(text) {
            true => Ok(text.to_owned()),
            false => Err(Mistake::new(format!("there is no [tiers.{text}]"))),
        };
        field.parsed(report, known)
    });
    let claims = section.take("claims");
    let claims = claims.map(|field| claim_names(field.section(report), report));
    let keys = Arc::<IssuerKeys>::default();
    let place = jwks.and_then(|field| {
        let place = keys_place(&field, ca.as_ref(), environment, report)?;
        if let KeysPlace::File(path) = &place {
            let read = (environment.read)(path).and_then(|text| {
                KeySet::read(text.as_bytes(), &algorithms).map_err(|why| why.to_string())
            });
            let told = read.map_err(|why| Mistake::new(format!("{}: {why}", path.display())));
            let set = report.noted(field.place(), told)?;
            for flaw in &set.flaws {
                report.warn(field.place(), Mistake::new(flaw.clone()));
            }
            keys.put(set, tls::now().as_secs());
        }
        Some(place)
    });
    section.finish(report);
    let settings = IssuerSettings {
        name: name.to_owned(),
        issuer: issuer?,
        audience: audience?,
        algorithms,
        leeway,
        keys_age_max,
        claims: claims.unwrap_or_default(),
        tier,
    };
    Some((Arc::new(Issuer { settings, keys }), KeySource { place: place?, refresh }))
}

pub(super) fn text(text: &str) -> Result<String, Mistake> {
    match (1..=TEXT_MAX).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!("must have 1 to {TEXT_MAX} bytes"))),
    }
}

/// `http[s]://host[:port]/path`, or a file.
fn keys_place(
    field: &Field<'_>,
    ca: Option<&Field<'_>>,
    environment: &Environment,
    report: &mut Report,
) -> Option<KeysPlace> {
    let written = field.string(report)?;
    let sealed = written.starts_with("https://");
    if let (Some(ca), false) = (ca, sealed) {
        report.error(ca.place(), "is for keys that are fetched at https://");
        return None;
    }
    if !sealed && !written.starts_with("http://") {
        return gate::path(field, environment, report).map(KeysPlace::File);
    }
    let (authority, path) = field.parsed(report, address::url)?;
    if !sealed && !address::is_local(&authority) {
        report.warn(
            field.place(),
            Mistake::new("is fetched without TLS: whoever can change it can sign tokens"),
        );
    }
    let ca = match ca {
        None => None,
        Some(ca) => Some(gate::path(ca, environment, report)?),
    };
    let tls = sealed.then_some(ClientFiles { ca, own: None, server_name: None });
    if let Some(files) = &tls {
        // A file that is wrong is told now.
        let made = files.dialer(&authority, tls::now()).map_err(Mistake::new);
        report.noted(field.place(), made)?;
    }
    Some(KeysPlace::Url { authority, path, tls })
}

/// `claims = { … }`
fn claim_names(mut section: Section<'_>, report: &mut Report) -> ClaimNames {
    let mut claim = |key| section.take(key).and_then(|field| claim_path(&field, report));
    let names = ClaimNames {
        name: claim("name").unwrap_or_else(|| ClaimNames::default().name),
        tier: claim("tier"),
        routes: claim("routes"),
        models: claim("models"),
        networks: claim("networks"),
        priority: claim("priority"),
        concurrency: claim("concurrency"),
        requests_per_minute: claim("requests_per_minute"),
        tokens_per_minute: claim("tokens_per_minute"),
        tokens_per_day: claim("tokens_per_day"),
        tokens_per_month: claim("tokens_per_month"),
        cost_per_day: claim("cost_per_day"),
        cost_per_month: claim("cost_per_month"),
    };
    section.finish(report);
    names
}

/// The name of a claim, or the names from the outside to the inside.
fn claim_path(field: &Field<'_>, report: &mut Report) -> Option<ClaimPath> {
    if !field.is_list() {
        return field.parsed(report, text).map(|name| vec![name]);
    }
    let fields = gate::some_of(field, report)?;
    if fields.len() > PATH_MAX {
        report.error(field.place(), format!("has more than {PATH_MAX} names"));
        return None;
    }
    fields.iter().map(|field| field.parsed(report, text)).collect()
}

/// Compares keys, tiers and claims with the routes and prices that there are.
pub(super) fn cross_check(
    settings: &GateSettings,
    keys: &[ReadKey],
    (server, routes): (&ServerSettings, &[Route]),
    prices: Option<&PriceTable>,
    report: &mut Report,
) {
    gate::cross_check(settings, keys, (server, routes), prices, report);
    let has_prices = prices.is_some();
    let place = |key: &str| Location { line: None, key: key.to_owned() };
    let gate = &settings.gate;
    for (name, tier) in &gate.tiers {
        let place = place(&format!("tiers.{name}"));
        when::warn_of_certificates(&tier.certificates, server, &place, report);
        for path in &tier.routes {
            if !routes.iter().any(|route| route.path.to_string() == *path) {
                report.error(&place, format!("is for the route {path:?}, which there is not"));
            }
        }
        if tier.cost_per_day.or(tier.cost_per_month).is_some() && !has_prices {
            report.error(&place, "has a budget in money, and there is no [[price]]");
        }
    }
    if gate.issuers.iter().any(|issuer| issuer.settings.claims.tell_cost()) && !has_prices {
        report.error(&place("issuers"), "claims tell a budget in money, and there is no [[price]]");
    }
    let budgets = gate.tiers.values().any(KeySettings::has_budget);
    if budgets && settings.spent_file.is_none() {
        report.warn(
            &place("tiers"),
            Mistake::new("have a budget, which a restart forgets: gate.spent_file keeps it"),
        );
    }
    authoriser::cross_check(settings, server, has_prices, report);
    if gate.issuers.is_empty() && gate.authoriser.is_none() && !gate.tiers.is_empty() {
        report.warn(
            &place("tiers"),
            Mistake::new(
                "are for tokens and for what an authoriser says, and there is neither an \
                 [issuers.NAME] nor an [auth]",
            ),
        );
    }
}
