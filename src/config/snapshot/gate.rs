//! `[gate]` and `[keys]`: who comes in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Snapshot;
use crate::config::store::StorePlace;
pub use crate::gate::addresses::AddressLimits;
pub use crate::gate::authoriser::{Authoriser, AuthoriserSettings, Tells};
pub use crate::gate::forwarded::ClientField;
pub use crate::gate::key::{
    Across, ApiKey, KeyDigest, KeyHolder, KeySettings, KeyUse, SECRET_PREFIX,
};
pub use crate::gate::network::Cidr;
pub use crate::gate::table::KeyTable;
pub use crate::gate::token::claims::Tiers;
pub use crate::gate::token::issuer::{ClaimNames, ClaimPath, Issuer, IssuerKeys, IssuerSettings};
pub use crate::gate::token::signature::Algorithm;
pub use crate::gate::{Gate, KeyMode};
use crate::tls::ClientFiles;

/// `[fleet]`: gateways that know of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetSettings {
    /// `None`: that of the configuration.
    pub store: Option<StorePlace>,
    /// `None`: as the command line has it, or the host.
    pub name: Option<String>,
    /// Of the leases.
    pub ttl: Duration,
    /// What is found of endpoints is told to others, and what they say is heard.
    pub hints: bool,
}

/// `[gate]`, `[fleet]`, and the keys of the configuration and of its keys file.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// What a worker asks.
    pub gate: Arc<Gate>,
    /// Where the keys of each issuer are read, in the order of `gate.issuers`.
    pub key_sources: Vec<KeySource>,
    /// Where the authoriser of the gate is, if it has one.
    pub auth_place: Option<AuthPlace>,
    /// Of a route that says nothing of keys.
    pub keys: KeyMode,
    /// More keys. It is watched as the configuration is.
    pub keys_file: Option<PathBuf>,
    /// Where what keys have spent is kept over a restart; `None`: it is forgotten.
    pub spent_file: Option<PathBuf>,
    /// `None`: this gateway knows of no other.
    pub fleet: Option<FleetSettings>,
}

/// Where the authoriser is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthPlace {
    /// `host:port`
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// It speaks TLS, with these files.
    pub tls: Option<ClientFiles>,
    /// Questions that it is asked at once.
    pub concurrency: usize,
}

/// As it is written in a configuration.
impl std::fmt::Display for AuthPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// Where an issuer publishes its keys, and how often they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    pub place: KeysPlace,
    /// Unless an answer says otherwise (`Cache-Control: max-age`).
    pub refresh: Duration,
}

/// A JWK set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysPlace {
    Url {
        /// `host:port`
        authority: String,
        /// Path and query.
        path: String,
        /// It speaks TLS, with these files.
        tls: Option<ClientFiles>,
    },
    File(PathBuf),
}

/// As it is written in a configuration.
impl std::fmt::Display for KeysPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeysPlace::Url { authority, path, tls } => {
                let scheme = if tls.is_some() { "https" } else { "http" };
                write!(f, "{scheme}://{authority}{path}")
            }
            KeysPlace::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Snapshot {
    /// Whether a request without a key can come in by any route.
    pub fn admits_strangers(&self) -> bool {
        self.routes.iter().any(|route| route.keys != KeyMode::Required)
    }

    /// The files that the configuration names, whose change makes it another one.
    pub fn watched_files(&self) -> Vec<PathBuf> {
        let mut files = self.tls_files();
        files.extend(self.gate.keys_file.clone());
        let sources = self.gate.key_sources.iter();
        files.extend(sources.filter_map(|source| match &source.place {
            KeysPlace::File(path) => Some(path.clone()),
            KeysPlace::Url { .. } => None,
        }));
        let auth = self.gate.auth_place.as_ref().and_then(|place| place.tls.as_ref());
        files.extend(auth.and_then(|files| files.ca.clone()));
        files
    }

    /// What keys have used in the generation before goes on.
    pub(super) fn keep_used(&mut self, before: &Snapshot) {
        let (new, old) = (&self.gate.gate, &before.gate.gate);
        if !new.has_credentials() && new.addresses.is_none() {
            return;
        }
        let mut next = Gate::clone(new);
        next.keys = new.keys.follow(&old.keys);
        next.subjects = Arc::clone(&old.subjects);
        let known: Vec<_> = old.issuers.iter().zip(&before.gate.key_sources).collect();
        for (issuer, source) in next.issuers.iter_mut().zip(&self.gate.key_sources) {
            // Of whom it is fetched at the same place.
            let same = |(old, known): &&(&Arc<Issuer>, &KeySource)| {
                known.place == source.place && old.settings.algorithms == issuer.settings.algorithms
            };
            if let Some((old, _)) = known.iter().find(same) {
                // Those that were read with the configuration are younger.
                old.keys.adopt(&issuer.keys);
                let (settings, keys) = (issuer.settings.clone(), Arc::clone(&old.keys));
                *issuer = Arc::new(Issuer { settings, keys });
            }
        }
        // What it has said goes on, as long as it is the same that is asked in the same way.
        if let (Some(now), Some(then)) = (&next.authoriser, &old.authoriser)
            && self.gate.auth_place == before.gate.auth_place
            && now.settings == then.settings
        {
            next.authoriser = Some(Arc::clone(then));
        }
        // Connections are counted by prefix, and those of trusted proxies are not: where either is another
        // one, who was counted could not be found again when it leaves. Workers count them anew.
        if let (Some((limits, table)), Some((before, known))) =
            (&mut next.addresses, &old.addresses)
            && limits.prefixes() == before.prefixes()
            && new.trusted == old.trusted
        {
            *table = Arc::clone(known);
        }
        self.gate.gate = Arc::new(next);
    }
}
