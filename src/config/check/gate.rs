//! `[gate]` and `[keys]`: who comes in.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{Document, Field, Section};
use super::super::problem::{Location, Mistake, Problem, Report};
use super::super::snapshot::unix_path::is_stand_in;
use super::super::snapshot::{
    Across, AddressLimits, AuthPlace, Authoriser, Cidr, ClientField, FleetSettings, Gate,
    GateSettings, Issuer, KeyDigest, KeyHolder, KeyMode, KeySettings, KeySource, KeyTable,
    PRIORITIES, Pattern, PriceTable, Route, ServerSettings, Tiers,
};
use super::super::store::{StorePlace, is_store};
use super::super::{Environment, defaults};
use super::{fallback, policy, unique, when};
use crate::gate::key::{CONCURRENCY_MAX, RATE_MAX, TOKENS_MAX};
use crate::gate::network::NoCidr;
use crate::http::timestamp;

const NAME_MAX: usize = 64;
const KEYS_MAX: usize = 100_000;
/// Patterns of certificates that are keys: a worker tries them one by one.
const CERTIFICATE_PATTERNS_MAX: usize = 256;
const RATE: RangeInclusive<u64> = 1..=RATE_MAX;
const TOKENS: RangeInclusive<u64> = 1..=TOKENS_MAX;
const CONCURRENCY: RangeInclusive<u64> = 1..=CONCURRENCY_MAX;
const GUESS: RangeInclusive<u64> = 0..=10_000_000;
/// In seconds: a store gives no shorter leases.
const TTL: RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(300);
/// Keys whose limits are shared: what a member holds of them is one value in a store.
const SHARED_MAX: usize = 2_000;

const CLIENT_FIELDS: [(&str, ClientField); 2] =
    [("x-forwarded-for", ClientField::XForwardedFor), ("forwarded", ClientField::Forwarded)];
const ACROSS: [(&str, Across); 2] = [("gateway", Across::Gateway), ("fleet", Across::Fleet)];
pub(super) const MODES: [(&str, KeyMode); 3] =
    [("off", KeyMode::Off), ("optional", KeyMode::Optional), ("required", KeyMode::Required)];

/// A key, and where it stands.
pub(super) struct ReadKey {
    settings: KeySettings,
    place: Location,
}

/// Who comes in by tokens, or by the word of the authoriser: what those of a tier open, who signs tokens, and
/// where the keys for that are.
pub(super) type Tokens = (Tiers, Vec<(Arc<Issuer>, KeySource)>, Option<(Authoriser, AuthPlace)>);

/// `[gate]`, and the keys that it and `[keys]` have.
pub(super) fn gate(
    root: &mut Section<'_>,
    tokens: Tokens,
    environment: &Environment,
    report: &mut Report,
) -> (GateSettings, Vec<ReadKey>) {
    let mut section = root.table("gate", report);
    let mut all = self::keys(root.table("keys", report), false, report);
    let keys_file = section.take("keys_file").and_then(|field| {
        let path = path(&field, environment, report)?;
        let text = (environment.read)(&path);
        let text = text.map_err(|why| Mistake::new(format!("{}: {why}", path.display())));
        let text = report.noted(field.place(), text)?;
        of_file(&text, &path, field.place(), &mut all, report);
        Some(path)
    });
    refuse_twins(&all, report);
    let (tiers, issuers, authoriser) = tokens;
    let (authoriser, auth_place) = authoriser.unzip();
    let (issuers, key_sources): (Vec<_>, Vec<_>) = issuers.into_iter().unzip();
    let mode = section.take("keys").and_then(|field| field.choice(&MODES, report));
    let has_keys = !all.is_empty() || keys_file.is_some() || !issuers.is_empty();
    let has_keys = has_keys || authoriser.is_some();
    let default = if has_keys { KeyMode::Required } else { KeyMode::Off };
    let spent_file = section.take("spent_file");
    let mut nets = |key| {
        let read = section.take(key).and_then(|field| networks(&field, report));
        read.unwrap_or_default()
    };
    let (trusted, allow, deny) = (nets("trusted_proxies"), nets("allow"), nets("deny"));
    let balancers = nets("proxy_protocol");
    let client_field = section.take("client_field");
    let client_field = client_field.and_then(|field| field.choice(&CLIENT_FIELDS, report));
    let addresses = section.take("per_address").filter(|field| !field.is_off());
    let addresses = addresses.map(|field| per_address(field.section(report), report));
    let gate = Gate {
        keys: KeyTable::new(all.iter().map(|key| key.settings.clone())),
        issuers,
        authoriser: authoriser.map(Arc::new),
        tiers,
        subjects: Arc::default(),
        passes_keys: section.boolean("pass_keys", defaults::PASS_KEYS, report),
        guess_tokens: section.count("guess_tokens", GUESS, defaults::GUESS_TOKENS, report),
        trusted,
        client_field: client_field.unwrap_or_default(),
        balancers,
        allow,
        deny,
        addresses: addresses.map(|limits| (limits, Arc::default())),
    };
    let settings = GateSettings {
        gate: Arc::new(gate),
        key_sources,
        auth_place,
        keys: mode.unwrap_or(default),
        keys_file,
        spent_file: spent_file.and_then(|field| path(&field, environment, report)),
        fleet: fleet(root, &all, report),
    };
    section.finish(report);
    (settings, all)
}

/// `[fleet]`, and whether the keys that share have one.
fn fleet(root: &mut Section<'_>, keys: &[ReadKey], report: &mut Report) -> Option<FleetSettings> {
    let nowhere = root.place_of("fleet");
    let shared = || keys.iter().filter(|key| key.settings.across == Across::Fleet);
    if shared().count() > SHARED_MAX {
        let reason = format!("more than {SHARED_MAX} keys have limits across the fleet");
        report.error(&nowhere, reason);
    }
    for ReadKey { settings, place } in shared() {
        let KeySettings { requests_per_minute, tokens_per_minute, concurrency, .. } = settings;
        let concurrency = concurrency.map(u64::from);
        if requests_per_minute.or(*tokens_per_minute).or(concurrency).is_none() {
            let reason = "across = \"fleet\" needs one of requests_per_minute, tokens_per_minute \
                          and concurrency";
            report.error(place, reason);
        }
        if settings.has_budget() {
            report.warn(
                place,
                Mistake::new("has a budget, which each gateway of the fleet keeps for itself"),
            );
        }
    }
    let Some(field) = root.take("fleet") else {
        if let Some(key) = shared().next() {
            report.error(&key.place, "across = \"fleet\" needs a [fleet]");
        }
        return None;
    };
    let mut section = field.section(report);
    let store = section.take("store").and_then(|field| field.parsed(report, store));
    let name = section.take("name").and_then(|field| field.parsed(report, member_name));
    let ttl = section.duration("ttl", TTL, defaults::FLEET_TTL, report);
    let hints = section.boolean("hints", defaults::FLEET_HINTS, report);
    section.finish(report);
    Some(FleetSettings { store, name, ttl, hints })
}

fn store(text: &str) -> Result<StorePlace, Mistake> {
    match is_store(text) {
        true => text.parse().map_err(|why: String| Mistake::new(why)),
        false => Err(Mistake::new("must be a store: etcd://HOST:PORT/PREFIX, or etcds://…")),
    }
}

/// It is a part of a key in the store.
fn member_name(text: &str) -> Result<String, Mistake> {
    key_name(text).map(|()| text.to_owned()).map_err(|_| {
        Mistake::new(format!("must be 1 to {NAME_MAX} letters, digits, and -_.@, not {text:?}"))
    })
}

pub(super) fn path(
    field: &Field<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<PathBuf> {
    let written = field.string(report)?;
    if written.is_empty() {
        report.error(field.place(), "must be the path of a file");
        return None;
    }
    Some(environment.file(written))
}

/// `per_address = { … }`
fn per_address(mut section: Section<'_>, report: &mut Report) -> AddressLimits {
    let place = section.place().clone();
    let mut count = |key, range| section.take(key).and_then(|field| field.count(range, report));
    let limits = AddressLimits {
        connections: count("connections", CONCURRENCY).map(|count: u64| count as u32),
        connections_per_second: count("connections_per_second", CONCURRENCY),
        requests_per_second: count("requests_per_second", CONCURRENCY),
        ipv4_prefix: section.count("ipv4_prefix", 8..=32, defaults::IPV4_PREFIX, report),
        ipv6_prefix: section.count("ipv6_prefix", 16..=128, defaults::IPV6_PREFIX, report),
    };
    let AddressLimits { connections, connections_per_second, requests_per_second, .. } = limits;
    if connections.is_none() && connections_per_second.or(requests_per_second).is_none() {
        report.error(
            &place,
            "needs one of connections, connections_per_second and requests_per_second",
        );
    }
    section.finish(report);
    limits
}

/// Reads the keys of a file. What is wrong in it is told with its own lines.
fn of_file(
    text: &str,
    path: &std::path::Path,
    place: &Location,
    all: &mut Vec<ReadKey>,
    report: &mut Report,
) {
    match keys_of_text(text) {
        Ok(keys) => {
            let of_file = |settings| ReadKey { settings, place: place.clone() };
            all.extend(keys.into_iter().map(of_file));
        }
        Err(problems) => {
            for problem in problems {
                report.error(place, problem.in_file(path));
            }
        }
    }
}

/// The keys of a keys file, or all that is wrong with it.
pub(in super::super) fn keys_of_text(text: &str) -> Result<Vec<KeySettings>, Vec<Problem>> {
    // One without any key, because the last was revoked.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let document = Document::parse(text)?;
    let mut report = Report::default();
    let mut root = document.root();
    let keys = self::keys(root.table("keys", &mut report), true, &mut report);
    root.finish(&mut report);
    match report.is_good() {
        true => Ok(keys.into_iter().map(|key| key.settings).collect()),
        false => Err(report.into_errors()),
    }
}

/// `[keys.NAME]`, every one.
fn keys(mut section: Section<'_>, in_file: bool, report: &mut Report) -> Vec<ReadKey> {
    let place = section.place().clone();
    let entries = section.entries();
    if entries.len() > KEYS_MAX {
        report.error(&place, format!("there are more than {KEYS_MAX} keys"));
    }
    let keys = entries.into_iter().filter_map(|(name, field)| {
        let place = field.place().clone();
        let settings = key(name, field.section(report), &place, report)?;
        Some(ReadKey { settings: KeySettings { in_file, ..settings }, place })
    });
    keys.collect()
}

fn key(
    name: &str,
    mut section: Section<'_>,
    place: &Location,
    report: &mut Report,
) -> Option<KeySettings> {
    report.noted(place, key_name(name));
    let hash = section.take("hash").map(|field| field.parsed(report, digest));
    let previous = section.take("previous_hash").map(|field| field.parsed(report, digest));
    let until = section.take("previous_until").map(|field| moment(&field, report));
    if previous.is_some() != until.is_some() {
        report.error(place, "previous_hash and previous_until belong together");
    }
    let has_certificate = section.has("certificate");
    let certificate = when::patterns(&mut section, "certificate", when::certificate_name, report);
    let opened = opened(&mut section, report);
    let across = section.take("across").and_then(|field| field.choice(&ACROSS, report));
    let expires = section.take("expires").and_then(|field| moment(&field, report));
    section.finish(report);
    match (&hash, has_certificate) {
        (None, false) => report.error(
            place,
            "needs a hash, which sluicegate key new makes, or a certificate that opens without a secret",
        ),
        (Some(_), true) => report.error(
            place,
            "has a hash and a certificate, each of which would open alone; where both have to be shown, \
             write client_certificate beside the hash",
        ),
        (None, true) if previous.is_some() => {
            report.error(place, "has a previous_hash and a certificate, which has no secret");
        }
        (None, true) if !opened.certificates.is_empty() => {
            report.error(place, "has a certificate and a client_certificate, which goes with a hash");
        }
        _ => {}
    }
    let holder = match hash {
        Some(hash) => KeyHolder::Secret(hash?),
        None => KeyHolder::Certificate(certificate),
    };
    Some(KeySettings {
        name: name.to_owned(),
        holder,
        previous: previous.flatten().zip(until.flatten()),
        expires,
        across: across.unwrap_or_default(),
        ..opened
    })
}

/// What a key or a tier opens, and how much of it.
pub(super) fn opened(section: &mut Section<'_>, report: &mut Report) -> KeySettings {
    let mut count = |key, range| section.take(key).and_then(|field| field.count(range, report));
    let requests_per_minute = count("requests_per_minute", RATE);
    let tokens_per_minute = count("tokens_per_minute", RATE);
    let tokens_per_day = count("tokens_per_day", TOKENS);
    let tokens_per_month = count("tokens_per_month", TOKENS);
    let concurrency = count("concurrency", CONCURRENCY).map(|count| count as u32);
    let priority = count("priority", 0..=u64::from(PRIORITIES) - 1).map(|count| count as u8);
    let mut money = |key| section.take(key).and_then(|field| field.money(report));
    let (cost_per_day, cost_per_month) = (money("cost_per_day"), money("cost_per_month"));
    let routes = section.take("routes").and_then(|field| {
        let fields = some_of(&field, report)?;
        unique(&fields, report, |field, report| field.string(report).map(str::to_owned))
    });
    let models: Vec<Pattern> = when::patterns(section, "models", fallback::model_name, report);
    let networks = section.take("networks").and_then(|field| networks(&field, report));
    let certificates =
        when::patterns(section, "client_certificate", when::certificate_name, report);
    KeySettings {
        routes: routes.unwrap_or_default(),
        models,
        networks: networks.unwrap_or_default(),
        certificates,
        priority,
        concurrency,
        requests_per_minute,
        tokens_per_minute,
        tokens_per_day,
        tokens_per_month,
        cost_per_day,
        cost_per_month,
        ..KeySettings::unlimited("", KeyDigest([0; 32]))
    }
}

/// The elements of a list that is not empty: an empty one would allow nothing, or everything.
pub(super) fn some_of<'d>(field: &Field<'d>, report: &mut Report) -> Option<Vec<Field<'d>>> {
    let fields = field.list(report)?;
    if fields.is_empty() {
        report.error(field.place(), "must have at least one entry; leave it out for all");
    }
    Some(fields)
}

/// What is shown in logs and metrics, and written in a path of a store.
pub(in super::super) fn key_name(text: &str) -> Result<(), Mistake> {
    named("a key", text)
}

/// The name of a key, of an issuer or of a tier.
pub(super) fn named(what: &str, text: &str) -> Result<(), Mistake> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(legal) {
        return Err(Mistake::new(format!(
            "{what} has a name of 1 to {NAME_MAX} letters, digits, and -_.@, not {text:?}"
        )));
    }
    Ok(())
}

/// `sha256:` and 64 hex digits. What is there instead may be the secret, so it is not repeated.
fn digest(text: &str) -> Result<KeyDigest, Mistake> {
    let hex = text.strip_prefix("sha256:").ok_or_else(|| {
        Mistake::new(
            "must be sha256: and 64 hex digits; sluicegate key new makes a key and its hash",
        )
    })?;
    policy::digest(hex).map(KeyDigest)
}

fn moment(field: &Field<'_>, report: &mut Report) -> Option<u64> {
    field.parsed(report, |text| {
        timestamp::read(text).ok_or_else(|| {
            Mistake::new(format!("{text:?} is no moment; write it as \"2030-12-31T23:59:59Z\""))
        })
    })
}

/// A list of networks.
pub(super) fn networks(field: &Field<'_>, report: &mut Report) -> Option<Vec<Cidr>> {
    let fields = some_of(field, report)?;
    unique(&fields, report, |field, report| field.parsed(report, cidr))
}

fn cidr(text: &str) -> Result<Cidr, Mistake> {
    Cidr::parse(text).map_err(|why| {
        Mistake::new(match why {
            NoCidr::Address => format!(
                "{text:?} is no network; write an address, with or without a length, as \
                 \"10.0.0.0/8\" or \"2001:db8::/32\""
            ),
            NoCidr::Length => format!("the length of {text:?} is none that its address can have"),
            NoCidr::Host => {
                format!("{text:?} has bits set behind its length: one of the two is a slip")
            }
        })
    })
}

/// A secret or a certificate that opens as two keys, or a name that is in both places.
fn refuse_twins(all: &[ReadKey], report: &mut Report) {
    let (mut names, mut digests) = (HashMap::new(), HashMap::new());
    let mut certificates = HashMap::new();
    for ReadKey { settings, place } in all {
        let name = settings.name.as_str();
        if names.insert(name, ()).is_some() {
            report
                .error(place, format!("the key {name:?} is in the configuration and in its file"));
        }
        let previous = settings.previous.map(|(digest, _)| digest);
        for digest in [settings.digest(), previous].into_iter().flatten() {
            if let Some(other) = digests.insert(digest, name) {
                report.error(place, format!("{name:?} and {other:?} have the same hash"));
            }
        }
        for certificate in settings.certificate() {
            // In one key it is told where its list is read.
            let other = certificates.insert(certificate, name).filter(|other| *other != name);
            if let Some(other) = other {
                let shown = certificate.as_str();
                let reason = format!("{name:?} and {other:?} have the same certificate, {shown:?}");
                report.error(place, reason);
            }
        }
    }
    if certificates.keys().filter(|it| it.has_star()).count() > CERTIFICATE_PATTERNS_MAX {
        let nowhere = Location { line: None, key: "keys".to_owned() };
        let reason = format!(
            "more than {CERTIFICATE_PATTERNS_MAX} certificates of keys have a star; write whole names"
        );
        report.error(&nowhere, reason);
    }
}

/// Compares keys with the routes and prices that there are.
pub(super) fn cross_check(
    settings: &GateSettings,
    keys: &[ReadKey],
    (server, routes): (&ServerSettings, &[Route]),
    prices: Option<&PriceTable>,
    report: &mut Report,
) {
    for ReadKey { settings, place } in keys {
        when::warn_of_certificates(&settings.certificates, server, place, report);
        if !settings.certificate().is_empty() && !when::asks_for_certificates(server) {
            let reason = format!(
                "the key {:?} is a certificate's, and without server.tls.client_ca no client is asked for \
                 one",
                settings.name
            );
            report.error(place, reason);
        }
        for path in &settings.routes {
            if !routes.iter().any(|route| route.path.to_string() == *path) {
                let name = &settings.name;
                let reason =
                    format!("the key {name:?} is for the route {path:?}, which there is not");
                report.error(place, reason);
            }
        }
        let in_money = settings.cost_per_day.or(settings.cost_per_month).is_some();
        if in_money && prices.is_none() {
            let name = &settings.name;
            let reason =
                format!("the key {name:?} has a budget in money, and there is no [[price]]");
            report.error(place, reason);
        }
    }
    let budget = keys.iter().find(|key| key.settings.has_budget());
    if let (Some(key), None) = (budget, &settings.spent_file) {
        report.warn(
            &key.place,
            Mistake::new("has a budget, which a restart forgets: gate.spent_file keeps it"),
        );
    }
    let nowhere = Location { line: None, key: "gate".to_owned() };
    if server.listen.iter().any(|it| is_stand_in(*it)) && settings.gate.forgets_unix_sockets() {
        let warning = "clients that come over a Unix socket have no address, and count as one: with \
                       \"unix\" in trusted_proxies or proxy_protocol the front says whose requests \
                       they are";
        report.warn(&nowhere, Mistake::new(warning));
    }
    let required = routes.iter().any(|route| route.keys == KeyMode::Required);
    let nobody = keys.is_empty() && !settings.gate.takes_tokens();
    if required && nobody && settings.gate.authoriser.is_none() {
        report.warn(
            &nowhere,
            Mistake::new("routes want a key, and there is none: they refuse everybody"),
        );
    }
}
