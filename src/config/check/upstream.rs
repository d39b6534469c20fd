//! `[[upstream]]`: named groups of endpoints.

use std::time::Duration;

use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Place, Report, nearest};
use super::super::snapshot::{
    Endpoint, EndpointId, HostField, Limits, PoolLimits, Route, Server, Target, Timeouts, Upstream,
    UpstreamId,
};
use super::super::{Environment, defaults};
use super::address::{self, EndpointText};
use super::{CONNECTIONS, Overrides, REQUESTS, fallback, policy};
use crate::service::Setting;
use crate::service::continuation::Prefill;

const NAME_MAX: usize = 64;

/// An upstream, and where it stands.
pub(super) struct Draft {
    pub upstream: Upstream,
    place: Place,
}

/// What an upstream is checked against.
pub(super) struct Given<'g> {
    pub server: &'g Server,
    pub limits: &'g Limits,
    pub timeouts: &'g Timeouts,
    pub environment: &'g Environment,
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

/// An upstream without a route costs nothing and does nothing, which is seldom meant.
pub(super) fn warn_of_unused(drafts: &[Draft], routes: &[Route], report: &mut Report) {
    for (index, draft) in drafts.iter().enumerate() {
        let used =
            |route: &Route| matches!(&route.target, Target::Chain(chain) if chain.leads_to(index));
        if !routes.iter().any(used) {
            let name = &draft.upstream.name;
            report.warn(&draft.place, Mistake::new(format!("no route leads to upstream {name:?}")));
        }
    }
}

fn one(mut section: Section<'_>, given: &Given<'_>, report: &mut Report) -> Draft {
    let place = section.place().clone();
    let name = section.require("name", report);
    let name = name.and_then(|field| name_of(&field, report)).unwrap_or_default();
    let list = section.require("endpoints", report);
    let endpoints = list
        .and_then(|field| endpoints(&field, given.server, given.environment, report))
        .unwrap_or_default();
    let pool = pool(section.table("pool", report), report);
    let host = section.take("host").and_then(|field| host(&field, report));
    let model = section.take("model");
    let overrides = Overrides::read(section.table("timeouts", report), report);
    let upstream = Upstream {
        id: UpstreamId::default(),
        host: host.unwrap_or(defaults::HOST),
        timeouts: overrides.over(&given.timeouts.exchange),
        service: section.choice(
            "service",
            &Setting::ALL.map(|setting| (setting.name(), setting)),
            Setting::Auto,
            report,
        ),
        delayed_acks: section.boolean("delayed_acks", defaults::DELAYED_ACKS, report),
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
        health: policy::health(&mut section, report),
        admission: policy::admission(&mut section, endpoints.len(), report),
        name,
        endpoints,
        pool,
    };
    section.finish(report);
    Draft { upstream, place }
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

fn endpoints(
    field: &Field<'_>,
    server: &Server,
    environment: &Environment,
    report: &mut Report,
) -> Option<Vec<Endpoint>> {
    let fields = field.list(report)?;
    if fields.is_empty() {
        report.error(field.place(), "must name at least one endpoint");
    }
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(fields.len());
    for field in &fields {
        let Some(endpoint) = endpoint(field, environment, report) else {
            continue;
        };
        if endpoints.iter().any(|earlier| earlier.address == endpoint.address) {
            report.error(
                field.place(),
                format!(
                    "{} is in the list already; a larger share is a larger weight",
                    endpoint.address
                ),
            );
        }
        if server.listen.contains(&endpoint.address) {
            report.error(
                field.place(),
                format!(
                    "{} is in server.listen: the gateway would forward to itself",
                    endpoint.address
                ),
            );
        }
        endpoints.push(endpoint);
    }
    Some(endpoints)
}

/// `"ip:port"`, or `{ address = "ip:port", weight = 2 }`.
fn endpoint(field: &Field<'_>, environment: &Environment, report: &mut Report) -> Option<Endpoint> {
    if !field.is_table() {
        let (address, authority) = located(field, environment, report)?;
        let id = EndpointId::default();
        return Some(Endpoint { id, address, authority, weight: defaults::WEIGHT });
    }
    let mut section = field.section(report);
    let address = section.require("address", report);
    let located = address.and_then(|field| located(&field, environment, report));
    let weight = section.count("weight", 1..=1_000, defaults::WEIGHT, report);
    section.finish(report);
    let (address, authority) = located?;
    Some(Endpoint { id: EndpointId::default(), address, authority, weight })
}

fn located(
    field: &Field<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<(std::net::SocketAddr, String)> {
    field.parsed(report, |text| {
        let address = match address::endpoint(text)? {
            EndpointText::Literal(address) => address,
            EndpointText::Name(name) => (environment.resolve)(name).map_err(|error| {
                Mistake::new(format!("the name {name:?} cannot be resolved: {error}"))
            })?,
        };
        Ok((address, text.to_owned()))
    })
}

fn pool(mut section: Section<'_>, report: &mut Report) -> PoolLimits {
    let default = defaults::POOL;
    let connections = section.count("connections", CONNECTIONS, default.connections, report);
    let idle = section.take("idle_per_endpoint");
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
    pool
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
