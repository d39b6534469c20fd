//! `[gate]` and `[keys]`: who comes in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Snapshot;
use crate::config::store::StorePlace;
pub use crate::gate::addresses::AddressLimits;
pub use crate::gate::forwarded::ClientField;
pub use crate::gate::key::{Across, ApiKey, KeyDigest, KeySettings, KeyUse, SECRET_PREFIX};
pub use crate::gate::network::Cidr;
pub use crate::gate::table::KeyTable;
pub use crate::gate::{Gate, KeyMode};

/// `[fleet]`: gateways that know of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetSettings {
    /// `None`: that of the configuration.
    pub store: Option<StorePlace>,
    /// `None`: as the command line has it, or the host.
    pub name: Option<String>,
    /// Of the leases.
    pub ttl: Duration,
}

/// `[gate]`, `[fleet]`, and the keys of the configuration and of its keys file.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// What a worker asks.
    pub gate: Arc<Gate>,
    /// Of a route that says nothing of keys.
    pub keys: KeyMode,
    /// More keys. It is watched as the configuration is.
    pub keys_file: Option<PathBuf>,
    /// Where what keys have spent is kept over a restart; `None`: it is forgotten.
    pub spent_file: Option<PathBuf>,
    /// `None`: this gateway knows of no other.
    pub fleet: Option<FleetSettings>,
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
        files
    }

    /// What keys have used in the generation before goes on.
    pub(super) fn keep_used(&mut self, before: &Snapshot) {
        let (new, old) = (&self.gate.gate, &before.gate.gate);
        if new.keys.is_empty() && new.addresses.is_none() {
            return;
        }
        let mut next = Gate::clone(new);
        next.keys = new.keys.follow(&old.keys);
        // Connections are counted by prefix, and those of trusted proxies are not: where either is another
        // one, who was counted could not be found again when it leaves.
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
