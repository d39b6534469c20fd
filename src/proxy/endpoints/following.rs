//! Endpoints that come and go: another generation of the configuration, or another set of members.
//!
//! | an endpoint | its breaker, load, health |
//! |---|---|
//! | stays | are kept |
//! | comes | it starts slowly |
//! | leaves | are kept for a minute, and as long as an exchange is at it; it is not asked |
//! | comes back in that time | are what they were: it does not start slowly again |

use std::collections::BTreeSet;

use super::member::{Departed, Member, Siblings};
use super::{Endpoints, Settings};
use crate::clock::Instant;
use crate::config::snapshot::{Endpoint, EndpointId, Upstream};
use crate::proxy::breaker::Breaker;
use crate::proxy::load::SharedLoad;

/// Endpoints of one upstream that are remembered, the youngest.
const DEPARTED_MAX: usize = 1_024;

impl Endpoints {
    /// The upstream of the next generation. What it says of endpoints is obeyed unless a younger set
    /// has come already: mail of both kinds overtakes.
    pub fn reconcile(&mut self, upstream: &Upstream, load: SharedLoad, now: Instant) {
        self.settings = Settings::of(upstream);
        self.balancer.obey(upstream.balance.clone());
        if upstream.version >= self.version {
            self.follow(upstream.version, &upstream.endpoints, load, now);
        }
        for member in &mut self.members {
            member.obey(&self.settings);
        }
    }

    /// Takes up another set of members, if it is no older than the one that is known. Endpoints that
    /// stay keep what is known of them, and so do those that were away for [`member::KEPT`] at most; new ones
    /// start slowly. What was picked at one that is gone is still counted, and what is recorded of it
    /// is dropped.
    pub fn follow(&mut self, version: u64, endpoints: &[Endpoint], load: SharedLoad, now: Instant) {
        if version < self.version {
            return;
        }
        self.departed.retain(|one| one.is_kept(&load, now));
        let mut old = std::mem::take(&mut self.members);
        let siblings = Siblings::of(&old, endpoints);
        let index = |id| old.iter().position(|member| member.endpoint.id == id);
        let places: Vec<_> = endpoints.iter().map(|endpoint| index(endpoint.id)).collect();
        let known = endpoints.iter().zip(&places);
        self.balancer.reconcile(known.map(|(endpoint, place)| (endpoint.address, *place)));
        let mut members = Vec::with_capacity(endpoints.len());
        for (endpoint, place) in endpoints.iter().zip(&places) {
            let back =
                || self.departed.iter().position(|one| one.member.endpoint.id == endpoint.id);
            members.push(match place.map(|place| old[place].clone()) {
                Some(member) => member.kept(endpoint),
                None => match back() {
                    Some(at) => self.departed.swap_remove(at).member.kept(endpoint),
                    None => siblings.like(Member::new(endpoint, Breaker::newcomer(now))),
                },
            });
        }
        old.retain(|member| !endpoints.iter().any(|endpoint| endpoint.id == member.endpoint.id));
        self.departed.extend(old.into_iter().map(|member| Departed::of(member, now)));
        let too_many = self.departed.len().saturating_sub(DEPARTED_MAX);
        self.departed.drain(..too_many);
        (self.members, self.load, self.version) = (members, load, version);
        self.candidates = Vec::with_capacity(self.members.len());
        self.levels = levels_of(endpoints);
        self.check();
    }

    /// What an endpoint is called, one that has left lately included.
    pub fn name_of(&self, endpoint: EndpointId) -> Option<&str> {
        let departed = self.departed.iter().map(|one| &one.member);
        let mut known = self.members.iter().chain(departed).map(|member| &member.endpoint);
        known.find(|known| known.id == endpoint).map(|known| known.name.as_str())
    }
}

/// The priorities that these have, the least number first.
pub(super) fn levels_of(endpoints: &[Endpoint]) -> Vec<u16> {
    let levels: BTreeSet<u16> = endpoints.iter().map(|endpoint| endpoint.priority).collect();
    levels.into_iter().collect()
}
