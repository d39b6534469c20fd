//! `discover` of an upstream: who tells its endpoints, and what one of them comes to.
//!
//! A member is judged by the rules of `endpoints`, when it is told: a source that tells nonsense loses that
//! member, and no other.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::file::{Field, Section};
use super::super::problem::{Location, Mistake, Report};
use super::super::snapshot::{Belief, Discover, DiscoverySource, DnsSettings, FoundMember, Listed};
use super::super::{Environment, defaults};
use super::endpoint::{self, Scheme};
use super::registry::{self, REGISTRIES};
use super::{address, path, tls, unique};

const CONFIRM: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(86_400);
const NAME_MAX: usize = 253;

/// The keys that name a source. Exactly one of them is given.
const SOURCES: [&str; 6] = ["dns", "srv", "file", "etcd", "consul", "kubernetes"];

const SERVERS_MAX: usize = 8;

/// `server.dns`
pub(super) fn dns(
    mut section: Section<'_>,
    resolve: Option<Duration>,
    report: &mut Report,
) -> DnsSettings {
    let field = section.take("servers");
    let fields = field.as_ref().and_then(|field| field.list(report)).unwrap_or_default();
    if let Some(field) = field.filter(|_| fields.len() > SERVERS_MAX) {
        report.error(field.place(), format!("must have {SERVERS_MAX} servers at most"));
    }
    let servers = unique(&fields, report, |field, report| field.parsed(report, dns_server));
    section.finish(report);
    let longest = resolve.unwrap_or(defaults::DISCOVER_AGAIN);
    DnsSettings { servers: servers.unwrap_or_default(), longest }
}

/// `10.0.0.2`, or `10.0.0.2:5353`.
fn dns_server(text: &str) -> Result<SocketAddr, Mistake> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 53));
    }
    text.parse().ok().filter(|address: &SocketAddr| address.port() != 0).ok_or_else(|| {
        Mistake::new(format!("{text:?} is no address of a name server")).meant("127.0.0.1:53")
    })
}

/// `discover` of an upstream.
pub(super) fn discover(
    field: &Field<'_>,
    upstream: &str,
    environment: &Environment,
    sealing: &mut tls::UpstreamDraft<'_>,
    report: &mut Report,
) -> Option<Discover> {
    let mut section = field.section(report);
    let source = source(&mut section, field.place(), upstream, environment, report);
    let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
    let scheme = section.choice("scheme", &schemes, Scheme::Http, report);
    let dialing = match scheme {
        Scheme::Http => None,
        Scheme::Https => sealing.template(field, report),
    };
    let base = section.take("base").and_then(|field| field.parsed(report, path::plain));
    let shrink = section.take("shrink").and_then(|field| field.fraction(report));
    let empties = [("keep", false), ("obey", true)];
    let belief = Belief {
        shrink: shrink.unwrap_or(defaults::BELIEF.shrink),
        confirm: section.duration("confirm", CONFIRM, defaults::BELIEF.confirm, report),
        empty: section.choice("empty", &empties, defaults::BELIEF.empty, report),
    };
    section.finish(report);
    let base = base.map_or("", |base| base.trim_end_matches('/')).to_owned();
    Some(Discover { source: source?, dialing, base, belief })
}

fn source(
    section: &mut Section<'_>,
    place: &Location,
    upstream: &str,
    environment: &Environment,
    report: &mut Report,
) -> Option<DiscoverySource> {
    let given = SOURCES.map(|key| (key, section.take(key)));
    let mut given = given.into_iter().filter_map(|(key, field)| Some((key, field?)));
    let Some((key, field)) = given.next() else {
        report.error(place, format!("must name a source: one of {}", SOURCES.join(", ")));
        return None;
    };
    if let Some((other, field)) = given.next() {
        report.error(field.place(), format!("{other} and {key} exclude each other"));
        return None;
    }
    match key {
        "dns" => field.parsed(report, dns_name).map(DiscoverySource::Dns),
        key if REGISTRIES.contains(&key) => {
            registry::source(key, &field, section, upstream, environment, report)
        }
        "srv" => field.parsed(report, srv_name).map(DiscoverySource::Srv),
        _ => {
            let path = environment.file(field.string(report)?);
            Some(DiscoverySource::File(path))
        }
    }
}

/// `name:port`, which is no address.
fn dns_name(text: &str) -> Result<String, Mistake> {
    match address::connectable(text)? {
        None => Ok(text.to_owned()),
        Some(_) => Err(Mistake::new(
            "is an address, of which nothing is to be found out: write it in endpoints",
        )),
    }
}

/// `_service._protocol.name`, without a port: the records have it.
fn srv_name(text: &str) -> Result<String, Mistake> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let labels = text.trim_end_matches('.').split('.');
    let is_name = labels.clone().all(|label| (1..=63).contains(&label.len()));
    if text.contains(':') {
        return Err(Mistake::new(
            "has a port, which is in the SRV records: write dns for A and AAAA",
        ));
    }
    match is_name && text.len() <= NAME_MAX && text.bytes().all(legal) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!("{text:?} is no name of SRV records"))
            .meant("_http._tcp.llama.internal")),
    }
}

/// Whether this can stand in `Host`: a name or an address, with a port or without.
fn is_authority(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    (1..=NAME_MAX + 6).contains(&name.len()) && name.bytes().all(legal)
}

impl Discover {
    /// The endpoint that a member is; or why it can be none.
    pub fn listed(&self, member: &FoundMember) -> Result<Listed, String> {
        let read = endpoint::read(&member.address).map_err(|mistake| mistake.reason)?;
        // Whoever may write a key of a store shall not pick a socket of this machine.
        let on_this_machine = matches!(self.source, DiscoverySource::File(_));
        if member.address.trim_start().starts_with("unix:") && !on_this_machine {
            return Err("a Unix socket is taken from a file alone".to_owned());
        }
        // It is written into heads.
        if member.name.as_deref().is_some_and(|name| !is_authority(name)) {
            return Err("its name is no name of a host, with a port or without".to_owned());
        }
        let authority = member.name.clone().unwrap_or_else(|| read.authority.clone());
        let sealed = match read.scheme {
            None => self.dialing.is_some(),
            Some(scheme) => scheme == Scheme::Https,
        };
        let tls = match (sealed, &self.dialing) {
            (false, _) => None,
            (true, Some(dialing)) => Some(dialing.dialer(&authority)?),
            (true, None) => return Err("it is https, and discover.scheme is not".to_owned()),
        };
        let base = if read.scheme.is_some() { read.base } else { self.base.clone() };
        let is_name = read.literal.is_none();
        Ok(Listed {
            authority: if is_name { read.authority } else { authority },
            base,
            is_name,
            addresses: read.literal.into_iter().collect(),
            weight: member.weight.clamp(1, FoundMember::WEIGHT_MAX),
            priority: member.priority,
            tls,
        })
    }
}
