//! Generations: what goes on from one configuration to the next.
//!
//! A snapshot is never changed, it is followed by another. An upstream of the same name keeps its id
//! through all of them, and in it an endpoint of the same name, address and TLS identity: whatever a worker, a counter or a
//! probe knows under that id stays true. An endpoint that comes back has the id it had, and no other ever
//! gets it, so a stale one finds nothing or the same server.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Endpoint, MEMBERS_MAX, Snapshot, Upstream};

/// Which configuration of this process it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// 0 for the one it started with.
    pub number: u32,
    /// How many ids all generations so far have given away.
    ids: u32,
    /// How many sets of endpoints there were.
    sets: u64,
}

/// Names an upstream through all generations that have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

/// Names an endpoint of one upstream through all generations that have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

impl Snapshot {
    /// Makes this the first generation of a process.
    pub fn begin(&mut self) {
        self.continue_from(Generation::default(), &[]);
    }

    /// Makes this the generation after `before`: what goes on keeps its id, the rest gets new ones.
    pub fn follow(&mut self, before: &Snapshot) {
        self.keep_sessions(before);
        self.keep_known(before);
        self.keep_used(before);
        if let (Some(new), Some(old)) = (&self.stored, &before.stored)
            && new.capacity() == old.capacity()
        {
            self.stored = Some(Arc::clone(old));
        }
        let number = before.generation.number + 1;
        self.continue_from(Generation { number, ..before.generation }, &before.upstreams);
    }

    /// What cannot be looked up now keeps the addresses it had.
    fn keep_known(&mut self, before: &Snapshot) {
        for upstream in &mut self.upstreams {
            let old = before.upstreams.iter().find(|old| old.name == upstream.name);
            let told = |one: &Upstream| one.discover.as_ref().map(|it| it.source.clone());
            if let Some(old) = old.filter(|old| told(old).is_some() && told(old) == told(upstream))
            {
                upstream.found.clone_from(&old.found);
                upstream.endpoints = upstream.resolved();
            }
        }
        let mut known = before.known();
        let down = self.names_down();
        known.retain(|name, _| down.contains(name));
        self.learn(&known);
    }

    fn continue_from(&mut self, mut generation: Generation, before: &[Upstream]) {
        for upstream in &mut self.upstreams {
            let old = before.iter().find(|old| old.name == upstream.name);
            upstream.id = old.map_or_else(|| UpstreamId(generation.take_id()), |old| old.id);
            let endpoints = old.map_or_else(Vec::new, |old| {
                upstream.departed.clone_from(&old.departed);
                old.endpoints.clone()
            });
            generation.continue_upstream(upstream, endpoints);
            if let Some(stored) = &self.stored {
                stored.settle(upstream.id, &upstream.endpoints);
            }
        }
        self.generation = generation;
    }
}

impl Generation {
    /// Gives ids to the endpoints of an upstream that had these before: the same ones to those that stay
    /// or come back, new ones to the others.
    pub(super) fn continue_upstream(&mut self, upstream: &mut Upstream, before: Vec<Endpoint>) {
        self.sets += 1;
        upstream.version = self.sets;
        let Upstream { endpoints, departed, .. } = upstream;
        // Found by what is hashed; TLS identities are compared. A set may have a thousand endpoints, and
        // a thousand may have left.
        let mut known: HashMap<_, Vec<&Endpoint>> = HashMap::with_capacity(before.len());
        for old in before.iter().chain(departed.iter().rev()) {
            known.entry(place_of(old)).or_default().push(old);
        }
        for endpoint in endpoints.iter_mut() {
            let alike = known.get(&place_of(endpoint)).into_iter().flatten();
            match alike.copied().find(|old| old.tls == endpoint.tls) {
                Some(old) => {
                    endpoint.id = old.id;
                    endpoint.tls.clone_from(&old.tls);
                }
                None => endpoint.id = EndpointId(self.take_id()),
            }
        }
        let here: BTreeSet<EndpointId> = endpoints.iter().map(|endpoint| endpoint.id).collect();
        let stays = |old: &Endpoint| here.contains(&old.id);
        departed.retain(|old| !stays(old));
        departed.extend(before.into_iter().filter(|old| !stays(old) && old.address.is_some()));
        let too_many = departed.len().saturating_sub(MEMBERS_MAX);
        departed.drain(..too_many);
    }

    fn take_id(&mut self) -> u32 {
        self.ids += 1;
        self.ids
    }
}

/// What an endpoint is the same one by, but for its TLS identity.
fn place_of(endpoint: &Endpoint) -> (Option<SocketAddr>, &str, &str) {
    (endpoint.address, &endpoint.authority, endpoint.base())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::snapshot_of;

    fn upstreams(list: &[(&str, &[&str])]) -> Snapshot {
        let tables = list.iter().map(|(name, endpoints)| {
            format!("[[upstream]]\nname = \"{name}\"\nendpoints = {endpoints:?}\n")
        });
        snapshot_of(&format!(
            "[server]\nlisten = [\"127.0.0.1:80\"]\n{}\
             [[route]]\npath = \"/*\"\nupstream = \"{}\"\n",
            tables.collect::<String>(),
            list[0].0
        ))
    }

    fn ids(snapshot: &Snapshot) -> Vec<(u32, Vec<u32>)> {
        let endpoints =
            |upstream: &Upstream| upstream.endpoints.iter().map(|one| one.id.0).collect();
        snapshot.upstreams.iter().map(|upstream| (upstream.id.0, endpoints(upstream))).collect()
    }

    #[test]
    fn what_goes_on_keeps_its_id_and_no_id_is_given_twice() {
        let first = upstreams(&[("a", &["10.0.0.1:1", "10.0.0.2:1"]), ("b", &["10.0.0.1:1"])]);
        assert_eq!(ids(&first), [(1, vec![2, 3]), (4, vec![5])]);
        // Other order, a new endpoint before an old one, one gone; the same address elsewhere is
        // another endpoint.
        let mut second = upstreams(&[("b", &["10.0.0.1:1"]), ("a", &["10.0.0.3:1", "10.0.0.1:1"])]);
        second.follow(&first);
        assert_eq!(ids(&second), [(4, vec![5]), (1, vec![6, 2])]);
        // "b" and an endpoint of "a" are gone; an upstream comes back as a stranger.
        let mut third = upstreams(&[("a", &["10.0.0.1:1"])]);
        third.follow(&second);
        let mut fourth = upstreams(&[("a", &["10.0.0.1:1", "10.0.0.3:1"]), ("b", &["10.0.0.1:1"])]);
        fourth.follow(&third);
        assert_eq!(ids(&fourth), [(1, vec![2, 6]), (7, vec![8])]);
        assert_eq!([first, second, third, fourth].map(|one| one.generation.number), [0, 1, 2, 3]);
    }
}
