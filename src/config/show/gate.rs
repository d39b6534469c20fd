//! `[gate]` and `[keys]`, printed. Keys of a keys file stand in that.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::super::snapshot::{
    Across, AddressLimits, AuthPlace, AuthoriserSettings, FleetSettings, GateSettings,
    IssuerSettings, KeyHolder, KeyMode, KeySettings, KeySource, KeysPlace, Pattern, Tells,
    TokenPrice,
};
use super::super::units::show_duration;
use super::{entry, key, list, quoted};
use crate::http::timestamp;
use crate::tls::ClientFiles;

pub(super) fn gate(settings: &GateSettings, out: &mut String) -> fmt::Result {
    let path = |path: &Path| quoted(&path.to_string_lossy());
    let gate = &settings.gate;
    writeln!(out, "\n[gate]")?;
    entry(out, "keys", quoted(mode(settings.keys)))?;
    if let Some(file) = &settings.keys_file {
        let count = gate.keys.keys().iter().filter(|key| key.settings.in_file).count();
        entry(out, "keys_file", path(file))?;
        writeln!(out, "# {count} keys in it, not shown here")?;
    }
    settings.spent_file.iter().try_for_each(|file| entry(out, "spent_file", path(file)))?;
    entry(out, "pass_keys", gate.passes_keys)?;
    entry(out, "guess_tokens", gate.guess_tokens)?;
    entry(out, "client_field", quoted(gate.client_field.name()))?;
    let networks = [
        ("trusted_proxies", &gate.trusted),
        ("proxy_protocol", &gate.balancers),
        ("allow", &gate.allow),
        ("deny", &gate.deny),
    ];
    for (key, networks) in networks.into_iter().filter(|(_, networks)| !networks.is_empty()) {
        entry(out, key, list(networks.iter().map(|network| quoted(&network.to_string()))))?;
    }
    match &gate.addresses {
        None => entry(out, "per_address", quoted("off"))?,
        Some((limits, _)) => per_address(limits, out)?,
    }
    if let Some(FleetSettings { store, name, ttl, hints }) = &settings.fleet {
        writeln!(out, "\n[fleet]")?;
        store.iter().try_for_each(|store| entry(out, "store", quoted(&store.written())))?;
        name.iter().try_for_each(|name| entry(out, "name", quoted(name)))?;
        entry(out, "ttl", quoted(&show_duration(*ttl)))?;
        entry(out, "hints", hints)?;
    }
    let own = gate.keys.keys().iter().filter(|key| !key.settings.in_file);
    own.into_iter().try_for_each(|key| one(&key.settings, out))?;
    for (name, tier) in &gate.tiers {
        writeln!(out, "\n[tiers.{}]", key(name))?;
        opened(tier, out)?;
    }
    let issuers = gate.issuers.iter().zip(&settings.key_sources);
    issuers.into_iter().try_for_each(|(it, source)| issuer(&it.settings, source, out))?;
    match (&gate.authoriser, &settings.auth_place) {
        (Some(it), Some(place)) => authoriser(&it.settings, place, out),
        _ => Ok(()),
    }
}

fn authoriser(settings: &AuthoriserSettings, place: &AuthPlace, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[auth]")?;
    entry(out, "url", quoted(&place.to_string()))?;
    if let Some(ClientFiles { ca: Some(ca), .. }) = &place.tls {
        entry(out, "ca", quoted(&ca.to_string_lossy()))?;
    }
    entry(out, "headers", list(settings.headers.iter().map(|it| quoted(it))))?;
    let Tells { method, host, uri, client } = settings.tells;
    let told = [("method", method), ("host", host), ("uri", uri), ("client", client)];
    let told = told.iter().filter(|(_, told)| *told);
    entry(out, "tell", list(told.map(|(word, _)| quoted(word))))?;
    for (claim, field) in &settings.claims {
        if *claim != "name" || settings.wants_name {
            entry(out, &format!("claims.{claim}"), quoted(field))?;
        }
    }
    settings.tier.iter().try_for_each(|tier| entry(out, "tier", quoted(tier)))?;
    entry(out, "timeout", quoted(&show_duration(settings.timeout)))?;
    entry(out, "concurrency", place.concurrency)?;
    entry(out, "anonymous", settings.anonymous)?;
    entry(out, "cache.yes", quoted(&show_duration(settings.yes_for)))?;
    entry(out, "cache.no", quoted(&show_duration(settings.no_for)))?;
    entry(out, "cache.size", settings.size)
}

fn issuer(settings: &IssuerSettings, source: &KeySource, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[issuers.{}]", key(&settings.name))?;
    entry(out, "issuer", quoted(&settings.issuer))?;
    entry(out, "audience", list(settings.audience.iter().map(|it| quoted(it))))?;
    entry(out, "jwks", quoted(&source.place.to_string()))?;
    if let KeysPlace::Url { tls: Some(ClientFiles { ca: Some(ca), .. }), .. } = &source.place {
        entry(out, "ca", quoted(&ca.to_string_lossy()))?;
    }
    entry(out, "algorithms", list(settings.algorithms.iter().map(|it| quoted(it.name()))))?;
    entry(out, "leeway", quoted(&show_duration(settings.leeway)))?;
    entry(out, "refresh", quoted(&show_duration(source.refresh)))?;
    entry(out, "keys_age_max", quoted(&show_duration(settings.keys_age_max)))?;
    settings.tier.iter().try_for_each(|tier| entry(out, "tier", quoted(tier)))?;
    let names = &settings.claims;
    let claims = [
        ("name", Some(&names.name)),
        ("tier", names.tier.as_ref()),
        ("routes", names.routes.as_ref()),
        ("models", names.models.as_ref()),
        ("networks", names.networks.as_ref()),
        ("priority", names.priority.as_ref()),
        ("concurrency", names.concurrency.as_ref()),
        ("requests_per_minute", names.requests_per_minute.as_ref()),
        ("tokens_per_minute", names.tokens_per_minute.as_ref()),
        ("tokens_per_day", names.tokens_per_day.as_ref()),
        ("tokens_per_month", names.tokens_per_month.as_ref()),
        ("cost_per_day", names.cost_per_day.as_ref()),
        ("cost_per_month", names.cost_per_month.as_ref()),
    ];
    for (name, path) in claims {
        match path.map(Vec::as_slice) {
            None => {}
            Some([alone]) => entry(out, &format!("claims.{name}"), quoted(alone))?,
            Some(path) => {
                let path = list(path.iter().map(|it| quoted(it)));
                entry(out, &format!("claims.{name}"), path)?;
            }
        }
    }
    Ok(())
}

fn per_address(limits: &AddressLimits, out: &mut String) -> fmt::Result {
    let limited = [
        ("connections", limits.connections.map(u64::from)),
        ("connections_per_second", limits.connections_per_second),
        ("requests_per_second", limits.requests_per_second),
        ("ipv4_prefix", Some(limits.ipv4_prefix.into())),
        ("ipv6_prefix", Some(limits.ipv6_prefix.into())),
    ];
    let mut given = limited.into_iter().filter_map(|(key, value)| Some((key, value?)));
    given.try_for_each(|(key, value)| entry(out, &format!("per_address.{key}"), value))
}

pub(super) fn mode(mode: KeyMode) -> &'static str {
    match mode {
        KeyMode::Off => "off",
        KeyMode::Optional => "optional",
        KeyMode::Required => "required",
    }
}

fn one(settings: &KeySettings, out: &mut String) -> fmt::Result {
    let moment = |unix: u64| quoted(&timestamp::written(unix));
    writeln!(out, "\n[keys.{}]", key(&settings.name))?;
    holder(&settings.holder, out)?;
    if let Some((digest, until)) = &settings.previous {
        entry(out, "previous_hash", quoted(&digest.to_string()))?;
        entry(out, "previous_until", moment(*until))?;
    }
    opened(settings, out)?;
    settings.expires.iter().try_for_each(|end| entry(out, "expires", moment(*end)))
}

/// By what whoever has a key is known.
pub(in super::super) fn holder(holder: &KeyHolder, out: &mut String) -> fmt::Result {
    match holder {
        KeyHolder::Secret(digest) => entry(out, "hash", quoted(&digest.to_string())),
        KeyHolder::Certificate(names) => entry(out, "certificate", patterns(names)),
    }
}

fn patterns(patterns: &[Pattern]) -> String {
    list(patterns.iter().map(|it| quoted(it.as_str())))
}

/// What a key or a tier opens.
fn opened(settings: &KeySettings, out: &mut String) -> fmt::Result {
    let money = |billionths: u64| TokenPrice(billionths / 1_000).to_string();
    let number = |count: u64| count.to_string();
    if !settings.routes.is_empty() {
        entry(out, "routes", list(settings.routes.iter().map(|path| quoted(path))))?;
    }
    if !settings.models.is_empty() {
        entry(out, "models", patterns(&settings.models))?;
    }
    if !settings.networks.is_empty() {
        entry(out, "networks", list(settings.networks.iter().map(|it| quoted(&it.to_string()))))?;
    }
    if !settings.certificates.is_empty() {
        entry(out, "client_certificate", patterns(&settings.certificates))?;
    }
    let entries = [
        ("priority", settings.priority.map(|it| it.to_string())),
        ("concurrency", settings.concurrency.map(|it| it.to_string())),
        ("requests_per_minute", settings.requests_per_minute.map(number)),
        ("tokens_per_minute", settings.tokens_per_minute.map(number)),
        ("tokens_per_day", settings.tokens_per_day.map(number)),
        ("tokens_per_month", settings.tokens_per_month.map(number)),
        ("cost_per_day", settings.cost_per_day.map(money)),
        ("cost_per_month", settings.cost_per_month.map(money)),
    ];
    if settings.across == Across::Fleet {
        entry(out, "across", quoted("fleet"))?;
    }
    let given = entries.into_iter().filter_map(|(key, value)| Some((key, value?)));
    given.into_iter().try_for_each(|(key, value)| entry(out, key, value))
}
