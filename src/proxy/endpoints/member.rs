//! One endpoint of an upstream in one worker, and what of it goes on when the list changes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::breaker::{Breaker, Transition};
use super::super::health::HealthStatus;
use super::super::load::SharedLoad;
use super::Settings;
use super::loading::Loading;
use crate::clock::Instant;
use crate::config::snapshot::Endpoint;

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub endpoint: Endpoint,
    /// Its weight is an operator's, and not the configuration's.
    pub adjusted: bool,
    pub draining: bool,
    pub active: HealthStatus,
    /// The checks say unwell, and a request has been answered since: traffic alone is asked.
    pub overruled: bool,
    pub breaker: Breaker,
    /// It has said that it loads its model.
    pub loading: Option<Box<Loading>>,
}

impl Member {
    pub fn new(endpoint: &Endpoint, breaker: Breaker) -> Member {
        let endpoint = endpoint.clone();
        let active = HealthStatus::Unknown;
        let (adjusted, draining, overruled) = (false, false, false);
        Member { endpoint, adjusted, draining, active, overruled, breaker, loading: None }
    }

    /// What is made of the checks.
    pub fn believed(&self) -> HealthStatus {
        if self.overruled { HealthStatus::Unknown } else { self.active }
    }

    /// It loads its model, and is not asked now.
    pub fn awaits_model(&self, now: Instant) -> bool {
        self.loading.as_ref().is_some_and(|loading| now < loading.asked_at())
    }

    /// It answers a request: its model is there. Whether that is news.
    pub fn model_answers(&mut self, now: Instant) -> Option<Transition> {
        let loading = self.loading.take()?;
        Some(Transition::Loaded { lasted: loading.lasted(now) })
    }

    /// Its server is another one than before.
    pub fn renew(&mut self) {
        self.breaker.renew();
        self.overruled |= self.active == HealthStatus::Unwell;
        self.loading = None;
    }

    /// One that was out has answered. Whether that speaks against the checks.
    pub fn overrule(&mut self) -> bool {
        let overrules = self.believed() == HealthStatus::Unwell;
        self.overruled |= overrules;
        overrules
    }

    /// The same in the next set.
    pub fn kept(mut self, endpoint: &Endpoint) -> Member {
        let weight = if self.adjusted { self.endpoint.weight } else { endpoint.weight };
        self.endpoint.clone_from(endpoint);
        self.endpoint.weight = weight;
        self
    }

    /// The same in the next generation.
    pub fn obey(&mut self, settings: &Settings) {
        self.breaker.reloaded();
        if settings.breaker.is_none() {
            self.breaker = Breaker::new();
        }
        if settings.health.is_none() {
            self.active = HealthStatus::Unknown;
            self.overruled = false;
        }
    }
}

/// How long it is remembered how an endpoint was that has left.
pub(super) const KEPT: Duration = Duration::from_secs(60);

/// An endpoint that has left, as it was.
#[derive(Clone, Debug)]
pub(super) struct Departed {
    pub member: Member,
    at: Instant,
}

impl Departed {
    pub fn of(mut member: Member, now: Instant) -> Departed {
        // Nobody will say what becomes of its probe.
        member.breaker.forget_probe();
        Departed { member, at: now }
    }

    /// Whether it comes back as the one it was, or is still asked for its name.
    pub fn is_kept(&self, load: &SharedLoad, now: Instant) -> bool {
        now.since(self.at) < KEPT || load.is_finishing(self.member.endpoint.id)
    }
}

/// What an operator has ordered for names, before other addresses come.
pub(super) struct Siblings(BTreeMap<String, (bool, Option<u32>)>);

impl Siblings {
    /// Of the names that newcomers have too.
    pub fn of(old: &[Member], endpoints: &[Endpoint]) -> Siblings {
        let mut found: BTreeMap<String, (bool, Option<u32>)> = BTreeMap::new();
        let ordered = old.iter().any(|member| member.draining || member.adjusted);
        for endpoint in endpoints.iter().filter(|_| ordered) {
            let named = |member: &&Member| member.endpoint.authority == endpoint.authority;
            let mut siblings = old.iter().filter(named).peekable();
            let Some(first) = siblings.peek().map(|first| first.endpoint.weight) else { continue };
            let draining = siblings.clone().all(|member| member.draining);
            let adjusted =
                siblings.all(|member| member.adjusted && member.endpoint.weight == first);
            found.insert(endpoint.authority.clone(), (draining, adjusted.then_some(first)));
        }
        Siblings(found)
    }

    /// A new address of a name whose other addresses are draining, or weigh something else than the
    /// configuration says: the order was for the name.
    pub fn like(&self, mut newcomer: Member) -> Member {
        if let Some((draining, weight)) = self.0.get(&newcomer.endpoint.authority) {
            newcomer.draining = *draining;
            newcomer.adjusted = weight.is_some();
            newcomer.endpoint.weight = weight.unwrap_or(newcomer.endpoint.weight);
        }
        newcomer
    }
}
