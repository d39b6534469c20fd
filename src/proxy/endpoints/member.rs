//! One endpoint of an upstream in one worker, and what of it goes on when the list changes.

use super::super::breaker::{Breaker, Transition};
use super::super::health::HealthStatus;
use super::loading::Loading;
use crate::clock::Instant;
use crate::config::snapshot::{Endpoint, Upstream};

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

    /// A new address of a name whose other addresses are draining, or weigh something else than the
    /// configuration says: the order was for the name.
    pub fn like_siblings(mut self, old: &[Member]) -> Member {
        let named = |member: &&Member| member.endpoint.authority == self.endpoint.authority;
        let mut siblings = old.iter().filter(named).peekable();
        if let Some(first) = siblings.peek().copied() {
            let same = |member: &Member| {
                member.adjusted && member.endpoint.weight == first.endpoint.weight
            };
            self.draining = siblings.clone().all(|member| member.draining);
            self.adjusted = siblings.all(same);
            if self.adjusted {
                self.endpoint.weight = first.endpoint.weight;
            }
        }
        self
    }

    /// The same in the next generation.
    pub fn kept(mut self, endpoint: &Endpoint, upstream: &Upstream) -> Member {
        let weight = if self.adjusted { self.endpoint.weight } else { endpoint.weight };
        self.endpoint.clone_from(endpoint);
        self.endpoint.weight = weight;
        self.breaker.reloaded();
        if upstream.breaker.is_none() {
            self.breaker = Breaker::new();
        }
        if upstream.health.is_none() {
            self.active = HealthStatus::Unknown;
            self.overruled = false;
        }
        self
    }
}
