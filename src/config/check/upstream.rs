//! `[[upstream]]`: named groups of endpoints.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{Field, Section};
use super::super::problem::{Location, Mistake, Report, nearest};
use super::super::snapshot::unix_path::is_stand_in;
use super::super::snapshot::{
    Addresses, Discover, GateSettings, HostField, KeyMode, Limits, Listed, ModelSource, PoolLimits,
    Route, ServerSettings, Snapshot, Target, Timeouts, Upstream, UpstreamId, UpstreamTls,
};
use super::super::{Environment, defaults, names};
use super::endpoint::{EndpointText, Scheme};
use super::plugins::PluginDraft;
use super::{
    CONNECTIONS, Overrides, REQUESTS, address, discover, endpoint, fallback, headers, path, policy,
    tls, translate, unique, wake,
};
use crate::service::continuation::Prefill;
use crate::service::listing::MODELS_MAX;
use crate::service::{Dialect, Setting};

const NAME_MAX: usize = 64;

/// An upstream, and where it stands.
pub(super) struct Draft {
    pub upstream: Upstream,
    /// Whether `pool.connections` and `pool.idle_per_endpoint` stand in the file.
    pub pool_written: (bool, bool),
    place: Location,
    /// Where its names stand.
    names: Vec<Name>,
}

/// A name that is to be looked up, and where it stands.
pub(super) struct Name {
    authority: String,
    place: Location,
}

/// What an upstream is checked against.
pub(super) struct Given<'g> {
    pub server: &'g ServerSettings,
    pub limits: &'g Limits,
    pub timeouts: &'g Timeouts,
    pub environment: &'g Environment,
    pub plugins: &'g [PluginDraft],
    /// Whether a route that says nothing of keys wants them.
    pub keys: KeyMode,
}

pub(super) fn all(
    sections: Vec<Section<'_>>,
    given: &Given<'_>,
    report: &mut Report,
) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::with_capacity(sections.len());
    for section in sections {
        let draft = one(section, given, report);
        let name = &draft.upstream.name;
        let twin = drafts.iter().find(|earlier| !name.is_empty() && earlier.upstream.name == *name);
        if let Some(twin) = twin {
            let where_it_is =
                twin.place.line.map_or(String::new(), |line| format!(" (line {line})"));
            report.error(
                &draft.place,
                format!("there is another upstream named {name:?} already{where_it_is}"),
            );
        }
        drafts.push(draft);
    }
    drafts
}

/// Warns of what is legal, and seldom meant.
pub(super) fn warn(
    drafts: &[Draft],
    routes: &[Route],
    doors: (&ServerSettings, &GateSettings),
    report: &mut Report,
) {
    warn_of_unused(drafts, routes, report);
    warn_of_open_keys(drafts, routes, doors, report);
}

/// An upstream without a route costs nothing and does nothing, which is seldom meant.
fn warn_of_unused(drafts: &[Draft], routes: &[Route], report: &mut Report) {
    for (index, draft) in drafts.iter().enumerate() {
        let used =
            |route: &Route| matches!(&route.target, Target::Chain(chain) if chain.leads_to(index));
        if !routes.iter().any(used) {
            let name = &draft.upstream.name;
            report.warn(&draft.place, Mistake::new(format!("no route leads to upstream {name:?}")));
        }
    }
}

/// An upstream whose key is paid for, open to whoever reaches a port, is seldom meant. What says who may come
/// in, by keys, certificates or addresses, is enough: whether it is well chosen is not looked at.
fn warn_of_open_keys(
    drafts: &[Draft],
    routes: &[Route],
    (server, gate): (&ServerSettings, &GateSettings),
    report: &mut Report,
) {
    let reachable = |at: &&SocketAddr| !at.ip().is_loopback() && !is_stand_in(**at);
    let Some(at) = server.listen.iter().find(reachable) else { return };
    let proves = server.tls.as_ref().is_some_and(|tls| tls.asks_all_for_certificates());
    if proves || gate.keys != KeyMode::Off || !gate.gate.allow.is_empty() {
        return;
    }
    for (index, draft) in drafts.iter().enumerate() {
        let open = |route: &Route| {
            let asks = route.when.as_ref().is_some_and(|when| !when.certificates.is_empty());
            let leads = matches!(&route.target, Target::Chain(chain) if chain.leads_to(index));
            route.keys == KeyMode::Off && !asks && leads
        };
        let is_key = |(name, _): &(String, String)| name == "api_key";
        if draft.upstream.request_headers.written.iter().any(is_key) && routes.iter().any(open) {
            let warning = format!(
                "whoever reaches {at} uses the api_key of {:?}: ask clients for keys ([gate] \
                 keys_file), name addresses in gate.allow, or listen on 127.0.0.1",
                draft.upstream.name
            );
            report.warn(&draft.place, Mistake::new(warning));
        }
    }
}

fn one(mut section: Section<'_>, given: &Given<'_>, report: &mut Report) -> Draft {
    let place = section.place().clone();
    let name = section.require("name", report);
    let name = name.and_then(|field| name_of(&field, report)).unwrap_or_default();
    let Servers { list, discover, tls } = servers(&mut section, &name, given, report);
    let List { listed, names, as_url } = list;
    let (pool, pool_written) = pool(section.table("pool", report), given.limits, report);
    let host = section.take("host").and_then(|field| host(&field, report));
    let model = section.take("model");
    let overrides = Overrides::read(section.table("timeouts", report), report);
    let service = section.choice(
        "service",
        &Setting::ALL.map(|setting| (setting.name(), setting)),
        Setting::Auto,
        report,
    );
    let stored = section.take("stored").and_then(|field| field.duration_or_off(STORED, report));
    let translate_to = translate::translates(&mut section, report);
    let asked_in = translate_to.as_ref().map(|to| to.dialect);
    let key_field = key_field(asked_in, service);
    let rules = headers::rules(&mut section, "request_headers", given.environment, report);
    let mut upstream = Upstream {
        id: UpstreamId::default(),
        // A URL is asked by its own name: no other is one that a server with a certificate knows.
        host: host.unwrap_or(if as_url { HostField::Endpoint } else { defaults::HOST }),
        tls,
        timeouts: overrides.over(&given.timeouts.exchange),
        service,
        request_headers: headers::api_key(
            &mut section,
            key_field,
            rules,
            given.environment,
            report,
        ),
        delayed_acks: section.boolean("delayed_acks", defaults::DELAYED_ACKS, report),
        models: models(&mut section, service, report),
        translate_to,
        stored: stored.flatten(),
        model: model.and_then(|field| field.parsed(report, fallback::model_name)),
        prefill: section.choice(
            "prefill",
            &Prefill::ALL.map(|prefill| (prefill.name(), prefill)),
            defaults::PREFILL,
            report,
        ),
        retry: policy::retry(&mut section, given.limits, &pool, report),
        balance: policy::balance(&mut section, report),
        breaker: policy::breaker(&mut section, report),
        health: policy::health(&mut section, service, given.plugins, report),
        admission: policy::admission(&mut section, &listed, report),
        while_loading: wake::while_loading(&mut section, report),
        wake: wake::wake(&mut section, &listed, report),
        name,
        discover: discover.map(Arc::new),
        found: Vec::new(),
        endpoints: Vec::new(),
        departed: Vec::new(),
        version: 0,
        listed,
        pool,
    };
    upstream.endpoints = upstream.resolved();
    section.finish(report);
    Draft { upstream, pool_written, place, names }
}

/// Who serves an upstream, and how they are spoken to.
struct Servers {
    list: List,
    discover: Option<Discover>,
    tls: Option<UpstreamTls>,
}

fn servers(
    section: &mut Section<'_>,
    name: &str,
    given: &Given<'_>,
    report: &mut Report,
) -> Servers {
    let discover = section.take("discover");
    let list = match discover {
        Some(_) => section.take("endpoints"),
        None => section.require("endpoints", report),
    };
    let mut sealing = tls::upstream(section.take("tls"), given.environment, report);
    let list = list.and_then(|field| listed(&field, given.server, &mut sealing, report));
    let list = list.unwrap_or_default();
    let discover = discover.and_then(|field| {
        discover::discover(&field, name, given.environment, &mut sealing, report)
    });
    let found_speak_tls = discover.as_ref().is_some_and(|it| it.dialing.is_some());
    let speaks_tls = list.listed.iter().any(|one| one.tls.is_some()) || found_speak_tls;
    Servers { tls: sealing.finish(speaks_tls, report), list, discover }
}

/// Where the servers of a dialect look for a key.
fn key_field(asked_in: Option<Dialect>, service: Setting) -> &'static str {
    match (asked_in, service) {
        (Some(Dialect::Anthropic), _) | (None, Setting::Anthropic) => "x-api-key",
        (Some(Dialect::Gemini), _) | (None, Setting::Gemini) => "x-goog-api-key",
        _ => "authorization",
    }
}

/// The name, even one that is refused: its routes shall not be told that it does not exist.
fn name_of(field: &Field<'_>, report: &mut Report) -> Option<String> {
    let name = field.string(report)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(legal) {
        report.error(
            field.place(),
            format!("must have 1 to {NAME_MAX} letters, digits, dots, hyphens or underscores"),
        );
    }
    Some(name.to_owned())
}

/// The endpoints of an upstream.
#[derive(Default)]
struct List {
    listed: Vec<Listed>,
    names: Vec<Name>,
    /// One of them is written as a URL.
    as_url: bool,
}

fn listed(
    field: &Field<'_>,
    server: &ServerSettings,
    sealing: &mut tls::UpstreamDraft<'_>,
    report: &mut Report,
) -> Option<List> {
    let fields = field.list(report)?;
    if fields.is_empty() {
        report.error(field.place(), "must name at least one endpoint");
    }
    let mut list = List::default();
    let List { listed, names, as_url } = &mut list;
    let mut known = HashSet::new();
    for field in &fields {
        let Some((one, is_url)) = one_of_them(field, sealing, report) else {
            continue;
        };
        *as_url |= is_url;
        let authority = &one.authority;
        // A name by its letters, all else by where it is.
        let host = match one.is_name {
            true => (authority.to_ascii_lowercase(), Vec::new()),
            false => (String::new(), one.addresses.clone()),
        };
        if !known.insert((host, one.base.clone())) {
            let reason =
                format!("{authority} is in the list already; a larger share is a larger weight");
            report.error(field.place(), reason);
        }
        if one.addresses.iter().any(|address| server.listen.contains(address)) {
            let reason =
                format!("{authority} is in server.listen: the gateway would forward to itself");
            report.error(field.place(), reason);
        }
        if one.is_name {
            names.push(Name { authority: authority.clone(), place: field.place().clone() });
        }
        listed.push(one);
    }
    Some(list)
}

/// `"ip:port"`, or `{ address = "ip:port", weight = 2 }`, and whether it is written as a URL.
fn one_of_them(
    field: &Field<'_>,
    sealing: &mut tls::UpstreamDraft<'_>,
    report: &mut Report,
) -> Option<(Listed, bool)> {
    if !field.is_table() {
        return located(field, defaults::WEIGHT, sealing, report);
    }
    let mut section = field.section(report);
    let address = section.require("address", report);
    let weight = section.count("weight", 1..=1_000, defaults::WEIGHT, report);
    let located = address.and_then(|field| located(&field, weight, sealing, report));
    section.finish(report);
    located
}

fn located(
    field: &Field<'_>,
    weight: u32,
    sealing: &mut tls::UpstreamDraft<'_>,
    report: &mut Report,
) -> Option<(Listed, bool)> {
    let read = field.parsed(report, endpoint::read)?;
    let EndpointText { scheme, authority, literal, base } = read;
    let tls = match scheme {
        Some(Scheme::Https) => Some(sealing.dialer(&authority, field, report)?),
        Some(Scheme::Http) | None => None,
    };
    let (is_name, addresses) = (literal.is_none(), literal.into_iter().collect());
    let priority = 0;
    let one = Listed { authority, base, is_name, addresses, weight, priority, tls };
    Some((one, scheme.is_some()))
}

/// The names of all upstreams, and where they stand.
pub(super) fn names(drafts: &[Draft]) -> Vec<Name> {
    let names = drafts.iter().flat_map(|draft| &draft.names);
    let named = |name: &Name| Name { authority: name.authority.clone(), place: name.place.clone() };
    names.map(named).collect()
}

/// Looks all names up. One that has no address now is down, and that is no mistake of the file.
pub(super) fn look_up(
    snapshot: &mut Snapshot,
    names: &[Name],
    environment: &Environment,
    report: &mut Report,
) {
    let wanted = names.iter().map(|name| name.authority.clone()).collect();
    let found = names::look_up(wanted, environment.resolve, &snapshot.server.dns);
    for Name { authority, place } in names {
        match &found[authority] {
            Err(error) => report.warn(
                place,
                Mistake::new(format!(
                    "the name {authority:?} cannot be resolved now, so it is down: {error}"
                )),
            ),
            Ok(addresses) => {
                let own = addresses.iter().filter(|one| snapshot.server.listen.contains(one));
                for address in own {
                    let reason = format!(
                        "{authority} is {address}, which is in server.listen: \
                                          it is not asked, the gateway would forward to itself"
                    );
                    report.warn(place, Mistake::new(reason));
                }
            }
        }
    }
    let found = found.into_iter().filter_map(|(name, found)| Some((name, found.ok()?)));
    snapshot.learn(&found.collect::<Addresses>());
}

/// The pool, and whether its connections and those it keeps idle are written.
fn pool(
    mut section: Section<'_>,
    limits: &Limits,
    report: &mut Report,
) -> (PoolLimits, (bool, bool)) {
    let default = defaults::POOL;
    let connections = section.take("connections");
    let idle = section.take("idle_per_endpoint");
    let written = (connections.is_some(), idle.is_some());
    // Every client may have a stream.
    let connections = connections.and_then(|field| field.count(CONNECTIONS, report));
    let connections = connections.unwrap_or(limits.connections);
    let idle_per_endpoint = match &idle {
        // The default adapts to a small pool; what is written does not, it is checked.
        None => default.idle_per_endpoint.min(connections),
        Some(field) => {
            let range = 0..=*CONNECTIONS.end();
            field.count(range, report).unwrap_or(default.idle_per_endpoint)
        }
    };
    if let Some(field) = idle.filter(|_| idle_per_endpoint > connections) {
        report.error(
            field.place(),
            format!("is more than the {connections} connections the pool may have at all"),
        );
    }
    let idle_range = Duration::from_millis(1)..=Duration::from_secs(24 * 3_600);
    let pool = PoolLimits {
        idle_per_endpoint,
        connections,
        idle_timeout: section.duration("idle_timeout", idle_range, default.idle_timeout, report),
        max_age: section.timeout("max_age", default.max_age, report),
        max_requests: section.count("max_requests", REQUESTS, default.max_requests, report),
        replay_stale_post: section.boolean("replay_stale_post", default.replay_stale_post, report),
    };
    section.finish(report);
    (pool, written)
}

/// For how long a stored response may be found again.
const STORED: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(8_760 * 3_600);

/// `models = ["name"]`, "ask", `{ path = "/…" }` or "off" of an upstream.
fn models(section: &mut Section<'_>, service: Setting, report: &mut Report) -> ModelSource {
    let Some(field) = section.take("models") else {
        return if service.lists_models() { ModelSource::Ask } else { ModelSource::Off };
    };
    if field.is_table() {
        let mut section = field.section(report);
        let path = section.require("path", report);
        let path = path.and_then(|field| field.parsed(report, path::plain));
        section.finish(report);
        return path.map_or(ModelSource::Ask, |path| ModelSource::AskAt(path.to_owned()));
    }
    if !field.is_list() {
        let words = [("ask", ModelSource::Ask), ("off", ModelSource::Off)];
        return field.choice(&words, report).unwrap_or_default();
    }
    let fields = field.list(report).unwrap_or_default();
    if fields.is_empty() || fields.len() > MODELS_MAX {
        let reason = format!("must have from 1 to {MODELS_MAX} names; for none, write \"off\"");
        report.error(field.place(), reason);
    }
    let names = unique(&fields, report, |field, report| field.parsed(report, fallback::model_name));
    ModelSource::Stated(names.unwrap_or_default())
}

fn host(field: &Field<'_>, report: &mut Report) -> Option<HostField> {
    const WORDS: [&str; 2] = ["preserve", "endpoint"];

    let text = field.string(report)?;
    match text {
        "preserve" => return Some(HostField::Preserve),
        "endpoint" => return Some(HostField::Endpoint),
        _ => {}
    }
    if let Some(meant) = nearest(text, WORDS) {
        // It may be a real name, so it is not for us to refuse it.
        let mistake = Mistake::new(format!("{text:?} is sent as it is, as a fixed name"));
        report.warn(field.place(), mistake.meant(meant));
    }
    report.noted(field.place(), address::host(text)).map(HostField::Fixed)
}
