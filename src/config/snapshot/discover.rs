//! `discover` of an upstream: where its endpoints are told, and how much of that is believed.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::registry::{ConsulSource, EtcdSource, KubernetesSource};
use super::{ADDRESSES_MAX, Endpoint, Listed, Snapshot, TlsDialer, Upstream, UpstreamId};
use crate::tls::DialerSettings;

/// An upstream has no more endpoints than this from a source.
pub const MEMBERS_MAX: usize = 1_024;

/// `discover`
#[derive(Clone, Debug)]
pub struct Discover {
    pub source: DiscoverySource,
    /// What an address that is no URL is dialled with; `None`: plain HTTP.
    pub dialing: Option<DialTemplate>,
    /// In front of the path of every request to an address that is no URL; empty, or `/` and more.
    pub base: String,
    pub belief: Belief,
}

/// Who tells the endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoverySource {
    /// The A and AAAA records of a `name:port`.
    Dns(String),
    /// The SRV records of a name.
    Srv(String),
    /// A file, JSON or TOML.
    File(PathBuf),
    /// Keys of a store.
    Etcd(Arc<EtcdSource>),
    /// A service of Consul's catalogue.
    Consul(Arc<ConsulSource>),
    /// A service of Kubernetes.
    Kubernetes(Arc<KubernetesSource>),
}

/// How much of what a source tells is believed at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Belief {
    /// A set that loses more than this share of its endpoints at once is doubted; 1: none is.
    pub shrink: f64,
    /// For how long it has to be told until it is believed.
    pub confirm: Duration,
    /// A set without an endpoint is believed as any other; `false`: never.
    pub empty: bool,
}

/// TLS towards endpoints that are not known yet.
#[derive(Clone, Debug)]
pub struct DialTemplate {
    pub settings: DialerSettings,
    /// What each has to prove; `None`: its own name or address.
    pub server_name: Option<String>,
}

/// An endpoint, as a source tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundMember {
    /// As `endpoints` has it: `10.0.0.1:8000`, `gpu-1:8000`, `https://gpu-1/v1`.
    pub address: String,
    /// `name:port` that it goes by: in `Host` and TLS. `None`: its address.
    pub name: Option<String>,
    /// Share of the traffic, from 1 to [`FoundMember::WEIGHT_MAX`].
    pub weight: u32,
    /// Those with the least number are asked; the others only when none of these can be.
    pub priority: u16,
    /// Where it stands, for people.
    pub zone: Option<String>,
}

impl FoundMember {
    pub const WEIGHT_MAX: u32 = 1_000;

    /// One like all others.
    pub fn at(address: impl Into<String>) -> FoundMember {
        FoundMember { address: address.into(), name: None, weight: 1, priority: 0, zone: None }
    }
}

impl DiscoverySource {
    /// What kind it is, as in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            DiscoverySource::Dns(_) => "dns",
            DiscoverySource::Srv(_) => "srv",
            DiscoverySource::File(_) => "file",
            DiscoverySource::Etcd(_) => "etcd",
            DiscoverySource::Consul(_) => "consul",
            DiscoverySource::Kubernetes(_) => "kubernetes",
        }
    }
}

impl fmt::Display for DiscoverySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiscoverySource::Dns(name) | DiscoverySource::Srv(name) => {
                write!(f, "{}:{name}", self.kind())
            }
            DiscoverySource::File(path) => write!(f, "file:{}", path.display()),
            DiscoverySource::Etcd(source) => source.fmt(f),
            DiscoverySource::Consul(source) => source.fmt(f),
            DiscoverySource::Kubernetes(source) => source.fmt(f),
        }
    }
}

impl DialTemplate {
    /// For the server at `host:port`.
    pub fn dialer(&self, authority: &str) -> Result<Arc<TlsDialer>, String> {
        let named = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let named = named.trim_start_matches('[').trim_end_matches(']');
        let name = self.server_name.as_deref().unwrap_or(named);
        TlsDialer::new(&self.settings, name).map(Arc::new)
    }
}

impl Upstream {
    /// What stands for its endpoints as long as there are none.
    pub(in crate::config) fn nobody(&self) -> Option<Listed> {
        let discover = self.discover.as_ref()?;
        (self.listed.is_empty() && self.found.is_empty()).then(|| Listed {
            authority: discover.source.to_string(),
            base: String::new(),
            is_name: false,
            addresses: Vec::new(),
            weight: 1,
            priority: 0,
            tls: None,
        })
    }

    /// What its endpoints come to.
    pub(in crate::config) fn resolved(&self) -> Vec<Endpoint> {
        let nobody = self.nobody();
        let listed = self.listed.iter().chain(&self.found).chain(&nobody);
        listed.flat_map(Listed::endpoints).collect()
    }
}

impl Snapshot {
    /// The members that a source has told of an upstream are its endpoints from now on, beside those that
    /// are written. What stays keeps its id, and what comes back has the id it had. `false`: nothing has
    /// changed.
    pub fn set_members(&mut self, upstream: UpstreamId, mut found: Vec<Listed>) -> bool {
        let own = self.server.listen.clone();
        let Some(place) = self.upstreams.iter().position(|one| one.id == upstream) else {
            return false;
        };
        let known = &self.upstreams[place];
        found.retain(|one| {
            let is_us = |address| own.contains(address);
            let is_written = |written: &Listed| {
                (&written.authority, &written.base) == (&one.authority, &one.base)
            };
            !one.addresses.iter().any(is_us) && !known.listed.iter().any(is_written)
        });
        found.truncate(MEMBERS_MAX);
        for one in found.iter_mut().filter(|one| one.is_name) {
            let same = |old: &&Listed| old.is_name && old.authority == one.authority;
            if let Some(old) = known.found.iter().find(same) {
                one.addresses = old.addresses.iter().take(ADDRESSES_MAX).copied().collect();
            }
        }
        if found == known.found {
            return false;
        }
        self.change(place, |upstream| upstream.found = found);
        true
    }

    /// Changes the lists of one upstream, and gives ids to what is new.
    pub(super) fn change(&mut self, place: usize, change: impl FnOnce(&mut Upstream)) {
        let upstream = &mut self.upstreams[place];
        let old = std::mem::take(&mut upstream.endpoints);
        change(upstream);
        upstream.endpoints = upstream.resolved();
        self.generation.continue_upstream(upstream, old);
        if let Some(stored) = &self.stored {
            stored.settle(upstream.id, &upstream.endpoints);
        }
    }
}
