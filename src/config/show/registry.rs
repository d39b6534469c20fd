//! The source of `discover`, where it is a registry.

use std::path::Path;

use super::quoted;
use crate::config::snapshot::{ApiServer, DiscoverySource, TokenPlace};
use crate::tls::ClientFiles;

/// The keys of `discover` that mean this registry, each with its value; none for a source of another kind.
pub fn registry_keys(source: &DiscoverySource) -> Vec<(&'static str, String)> {
    match source {
        DiscoverySource::Etcd(source) => {
            vec![("etcd", quoted(&source.place.written())), ("service", quoted(&source.service))]
        }
        DiscoverySource::Consul(source) => {
            let url = quoted(&url(&source.api));
            let mut keys = vec![("consul", url), ("service", quoted(&source.service))];
            if !source.tags.is_empty() {
                let tags: Vec<String> = source.tags.iter().map(|tag| quoted(tag)).collect();
                keys.push(("tags", format!("[{}]", tags.join(", "))));
            }
            keys.extend(source.datacenter.iter().map(|it| ("datacenter", quoted(it))));
            keys.extend(asked_with(&source.api));
            keys
        }
        DiscoverySource::Kubernetes(source) => {
            let url = source.api.as_ref().map_or_else(|| "in-cluster".to_owned(), url);
            let mut keys = vec![("kubernetes", quoted(&url)), ("service", quoted(&source.service))];
            keys.extend(source.namespace.iter().map(|it| ("namespace", quoted(it))));
            keys.extend(source.port.iter().map(|it| ("port", quoted(it))));
            keys.extend(source.api.iter().flat_map(asked_with));
            keys
        }
        DiscoverySource::Dns(_) | DiscoverySource::Srv(_) | DiscoverySource::File(_) => Vec::new(),
    }
}

fn url(api: &ApiServer) -> String {
    let scheme = if api.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}{}", api.authority, api.base)
}

fn asked_with(api: &ApiServer) -> Vec<(&'static str, String)> {
    let path = |path: &Path| quoted(&path.to_string_lossy());
    let mut keys = Vec::new();
    match &api.token {
        None => {}
        Some(TokenPlace::Env(name)) => {
            keys.push(("token", format!("{{ env = {} }}", quoted(name))))
        }
        Some(TokenPlace::File(file)) => {
            keys.push(("token", format!("{{ file = {} }}", path(file))))
        }
    }
    if let Some(ClientFiles { ca, own, .. }) = &api.tls {
        keys.extend(ca.iter().map(|file| ("ca", path(file))));
        let own = own.iter();
        keys.extend(own.flat_map(|(one, key)| [("certificate", path(one)), ("key", path(key))]));
    }
    keys
}
