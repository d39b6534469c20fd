//! The limits of this process that are shared, as the gate keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Instant;
use crate::config::snapshot::{Across, ApiKey, Gate, KeySettings, KeyUse};
use crate::fleet::demand::{PeakDemand, RateDemand};
use crate::fleet::limit::{Amounts, LimitId, LimitKind};
use crate::fleet::member::{LocalLimits, limits_of};

/// The shares of a gate, and how much is asked for.
#[derive(Debug, Default)]
pub struct GateLimits {
    used: BTreeMap<String, Arc<KeyUse>>,
    rates: BTreeMap<LimitId, RateDemand>,
    peaks: BTreeMap<LimitId, PeakDemand>,
    demand: Amounts,
}

impl GateLimits {
    /// Those of this gate from now on.
    pub fn follow(&mut self, gate: &Gate) -> Amounts {
        let keys = gate.keys.keys().iter();
        let shared = || keys.clone().filter(|key| key.settings.across == Across::Fleet);
        let used = |key: &Arc<ApiKey>| (key.settings.name.clone(), Arc::clone(&key.used));
        self.used = shared().map(used).collect();
        let limits: Amounts = shared().flat_map(|key| limits(&key.settings)).collect();
        self.rates.retain(|id, _| limits.contains_key(id));
        self.peaks.retain(|id, _| limits.contains_key(id));
        self.demand.retain(|id, _| limits.contains_key(id));
        limits
    }

    /// Looks at how much is asked for now.
    pub fn observe(&mut self, limits: &Amounts, now: Instant) {
        for id in limits.keys() {
            let Some(used) = self.used.get(&id.key) else { continue };
            let demand = match id.kind {
                LimitKind::Concurrency => {
                    self.peaks.entry(id.clone()).or_default().observe(used.places_wanted(), now)
                }
                kind => {
                    let asked = used.asked(kind == LimitKind::Tokens);
                    self.rates.entry(id.clone()).or_default().observe(asked, now)
                }
            };
            self.demand.insert(id.clone(), demand);
        }
    }

    pub fn demands(&self) -> &Amounts {
        &self.demand
    }

    fn set(&self, id: &LimitId, share: u64, granted: bool, now: Instant) -> u64 {
        let Some(used) = self.used.get(&id.key) else { return 0 };
        match id.kind {
            LimitKind::Concurrency => {
                used.share_places(u32::try_from(share).unwrap_or(u32::MAX)).into()
            }
            kind => {
                used.share_rate(kind == LimitKind::Tokens, share, granted, now);
                0
            }
        }
    }
}

impl LocalLimits for GateLimits {
    fn demand(&mut self, id: &LimitId) -> u64 {
        self.demand.get(id).copied().unwrap_or(0)
    }

    fn allow(&mut self, id: &LimitId, share: u64, now: Instant) -> u64 {
        self.set(id, share, false, now)
    }

    fn grant(&mut self, id: &LimitId, share: u64, now: Instant) {
        self.set(id, share, true, now);
    }
}

fn limits(settings: &KeySettings) -> impl Iterator<Item = (LimitId, u64)> {
    let KeySettings { name, requests_per_minute, tokens_per_minute, concurrency, .. } = settings;
    limits_of(name, *requests_per_minute, *tokens_per_minute, concurrency.map(u64::from))
}
