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
        let old = std::mem::take(&mut self.members);
        let siblings = Siblings::of(&old, endpoints);
        let index = Places::of(&old);
        let places: Vec<_> = endpoints.iter().map(|endpoint| index.find(endpoint.id)).collect();
        let known = endpoints.iter().zip(&places);
        self.balancer.reconcile(known.map(|(endpoint, place)| (endpoint.address, *place)));
        let mut old: Vec<Option<Member>> = old.into_iter().map(Some).collect();
        let mut away: Vec<Option<Departed>> = self.departed.drain(..).map(Some).collect();
        let left = match places.iter().all(Option::is_some) {
            true => Places::default(),
            false => Places::of(away.iter().flatten().map(|one| &one.member)),
        };
        let mut members: Vec<Member> = Vec::with_capacity(endpoints.len());
        for (endpoint, place) in endpoints.iter().zip(&places) {
            let stays = place.and_then(|place| old[place].take());
            let back = || Some(away[left.find(endpoint.id)?].take()?.member);
            members.push(match stays.or_else(back) {
                Some(member) => member.kept(endpoint),
                None => siblings.like(Member::new(endpoint, Breaker::newcomer(now))),
            });
        }
        self.departed.extend(away.into_iter().flatten());
        self.departed.extend(old.into_iter().flatten().map(|member| Departed::of(member, now)));
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

/// Where each of many stands, by its id: a set may have a thousand, and is looked through for each.
#[derive(Default)]
struct Places(Vec<(EndpointId, usize)>);

impl Places {
    fn of<'a>(members: impl IntoIterator<Item = &'a Member>) -> Places {
        let ids = members.into_iter().map(|member| member.endpoint.id);
        let mut places: Vec<_> = ids.zip(0..).collect();
        places.sort_unstable();
        Places(places)
    }

    fn find(&self, id: EndpointId) -> Option<usize> {
        let at = self.0.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        Some(self.0[at].1)
    }
}

/// The priorities that these have, the least number first.
pub(super) fn levels_of(endpoints: &[Endpoint]) -> Vec<u16> {
    let levels: BTreeSet<u16> = endpoints.iter().map(|endpoint| endpoint.priority).collect();
    levels.into_iter().collect()
}
