//! `discover` by a registry: a store, Consul, Kubernetes.

use std::sync::Arc;

use super::super::Environment;
use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Report};
use super::super::snapshot::{
    ApiServer, ConsulSource, DiscoverySource, EtcdSource, KubernetesSource, TokenPlace,
};
use super::super::store::StorePlace;
use super::{address, tls};
use crate::tls::ClientFiles;

const NAME_MAX: usize = 253;
const TAGS_MAX: usize = 16;

/// The keys of `discover` that name a registry.
pub(super) const REGISTRIES: [&str; 3] = ["etcd", "consul", "kubernetes"];

/// Reads the source that `key`, one of [`REGISTRIES`], names. `upstream` is the name of its upstream.
pub(super) fn source(
    key: &str,
    field: &Field<'_>,
    section: &mut Section<'_>,
    upstream: &str,
    environment: &Environment,
    report: &mut Report,
) -> Option<DiscoverySource> {
    let service = match section.take("service") {
        Some(field) => field.parsed(report, name),
        // A name that cannot be one has to be given.
        None => report.noted(
            field.place(),
            name(upstream).map_err(|_| {
                Mistake::new("needs service: the name of the upstream cannot be that of a service")
            }),
        ),
    };
    match key {
        "etcd" => {
            let place =
                field.parsed(report, |text| text.parse::<StorePlace>().map_err(Mistake::new));
            Some(DiscoverySource::Etcd(Arc::new(EtcdSource { place: place?, service: service? })))
        }
        "consul" => {
            let api = api(field, section, environment, report);
            let tags = section.take("tags").map(|field| tags(&field, report));
            let datacenter = section.take("datacenter").map(|field| field.parsed(report, name));
            let source = ConsulSource {
                api: api?,
                service: service?,
                tags: tags.unwrap_or(Some(Vec::new()))?,
                datacenter: optional(datacenter)?,
            };
            Some(DiscoverySource::Consul(Arc::new(source)))
        }
        _ => kubernetes(field, section, service, environment, report),
    }
}

fn kubernetes(
    field: &Field<'_>,
    section: &mut Section<'_>,
    service: Option<String>,
    environment: &Environment,
    report: &mut Report,
) -> Option<DiscoverySource> {
    let in_cluster = field.string(report)? == "in-cluster";
    let namespace = section.take("namespace").map(|field| field.parsed(report, name));
    let port = section.take("port").map(|field| match field.is_integer() {
        true => field.count::<u16>(1..=65_535, report).map(|port| port.to_string()),
        false => field.parsed(report, name),
    });
    if !in_cluster && namespace.is_none() {
        report.error(field.place(), "needs namespace: who asks from outside is in none");
    }
    let api = match in_cluster {
        true => Some(None),
        false => api(field, section, environment, report).map(Some),
    };
    let source = KubernetesSource {
        api: api?,
        service: service?,
        namespace: optional(namespace)?,
        port: optional(port)?,
    };
    Some(DiscoverySource::Kubernetes(Arc::new(source)))
}

/// A key that may be left out: `None` if it was there and is wrong.
#[expect(clippy::option_option, reason = "absent, wrong, or a value")]
fn optional<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}

/// `http[s]://host[:port][/base]`, and the keys that say how it is asked.
fn api(
    field: &Field<'_>,
    section: &mut Section<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<ApiServer> {
    let token = section.take("token").map(|field| token(&field, environment, report));
    let mut path = |key: &'static str, report: &mut Report| {
        let field = section.take(key)?;
        Some((field.string(report).map(|text| environment.file(text)), field))
    };
    let ca = path("ca", report);
    let (certificate, key) = (path("certificate", report), path("key", report));
    let files = [&ca, &certificate, &key].map(|told| told.as_ref().map(|(_, field)| field));
    let sealed = field.string(report)?.starts_with("https://");
    if let (Some(file), false) = (files.into_iter().flatten().next(), sealed) {
        report.error(file.place(), "is for a registry that is asked at https://");
        return None;
    }
    let own = match (certificate, key) {
        (None, None) => None,
        (Some((certificate, _)), Some((key, _))) => Some((certificate?, key?)),
        (Some((_, alone)), None) | (None, Some((_, alone))) => {
            report.error(alone.place(), "certificate and key belong together");
            return None;
        }
    };
    let ca = optional(ca.map(|(path, _)| path))?;
    let (authority, base) = field.parsed(report, url)?;
    let tls = sealed.then_some(ClientFiles { ca, own, server_name: None });
    if let Some(files) = &tls {
        // A file that is wrong is told now.
        let made = files.dialer(&authority, tls::now()).map_err(Mistake::new);
        report.noted(field.place(), made)?;
    }
    Some(ApiServer { authority, base, tls, token: optional(token)? })
}

/// `host:port` and base of a URL.
fn url(text: &str) -> Result<(String, String), Mistake> {
    let (rest, port) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (rest, 80),
        (_, Some(rest)) => (rest, 443),
        _ => return Err(Mistake::new("must be a URL, http://host:port or https://host")),
    };
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(Mistake::new("takes neither a user nor a password: a token is named in token"));
    }
    let authority = match address::has_port(authority)? {
        true => authority.to_owned(),
        false => format!("{authority}:{port}"),
    };
    address::connectable(&authority)?;
    if !base.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte)) {
        return Err(Mistake::new("has a character in its path that no base has"));
    }
    Ok((authority, base.trim_end_matches('/').to_owned()))
}

/// `{ env = "NAME" }` or `{ file = "path" }`
fn token(field: &Field<'_>, environment: &Environment, report: &mut Report) -> Option<TokenPlace> {
    let mut section = field.section(report);
    let (variable, file) = (section.take("env"), section.take("file"));
    section.finish(report);
    match (variable, file) {
        (Some(variable), None) => Some(TokenPlace::Env(variable.parsed(report, variable_name)?)),
        (None, Some(file)) => Some(TokenPlace::File(environment.file(file.string(report)?))),
        _ => {
            report.error(field.place(), "must be { env = \"NAME\" } or { file = \"path\" }");
            None
        }
    }
}

fn variable_name(text: &str) -> Result<String, Mistake> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match !text.is_empty() && text.bytes().all(good) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new("must be the name of a variable: letters, digits and \"_\"")),
    }
}

fn tags(field: &Field<'_>, report: &mut Report) -> Option<Vec<String>> {
    let fields = field.list(report)?;
    if fields.len() > TAGS_MAX {
        report.error(field.place(), format!("has more than {TAGS_MAX} tags"));
        return None;
    }
    let tag = |text: &str| match (1..=NAME_MAX).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!("must have 1 to {NAME_MAX} bytes"))),
    };
    fields.iter().map(|field| field.parsed(report, tag)).collect()
}

/// The name of a service, a namespace, a port or a datacenter.
fn name(text: &str) -> Result<String, Mistake> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(good) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!(
            "must have 1 to {NAME_MAX} letters, digits, dots, hyphens or underscores"
        ))),
    }
}
