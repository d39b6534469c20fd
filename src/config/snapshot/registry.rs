//! Registries: who knows which servers there are, besides files and names.
//!
//! No secret is held here: a token is named, and read each time that it is shown.

use std::fmt;
use std::path::PathBuf;

use crate::config::store::StorePlace;
use crate::tls::ClientFiles;

/// Keys of a store, below `PREFIX/.endpoints/SERVICE/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdSource {
    pub place: StorePlace,
    pub service: String,
}

/// A service of Consul's catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsulSource {
    pub api: ApiServer,
    pub service: String,
    /// It has to have all of these.
    pub tags: Vec<String>,
    /// `None`: the one of the agent that is asked.
    pub datacenter: Option<String>,
}

/// The EndpointSlices of a service of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSource {
    /// `None`: that of the cluster in which we run.
    pub api: Option<ApiServer>,
    pub service: String,
    /// `None`: the one in which we run.
    pub namespace: Option<String>,
    /// The name or the number of a port; `None`: the service has one.
    pub port: Option<String>,
}

/// Who is asked over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiServer {
    /// `host:port`
    pub authority: String,
    /// In front of each path; empty, or `/` and more.
    pub base: String,
    /// It speaks TLS, with these files.
    pub tls: Option<ClientFiles>,
    pub token: Option<TokenPlace>,
}

/// Where a token stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// A variable of the environment.
    Env(String),
    /// A file, which may be renewed.
    File(PathBuf),
}

impl fmt::Display for EtcdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/.endpoints/{}", self.place, self.service)
    }
}

impl fmt::Display for ConsulSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "consul:{}", self.service)
    }
}

impl fmt::Display for KubernetesSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_deref().unwrap_or("(ours)");
        write!(f, "kubernetes:{namespace}/{}", self.service)
    }
}
