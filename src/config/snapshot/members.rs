//! Members: what the endpoints of an upstream come to, once their names have been looked up.
//!
//! | in the file | endpoints |
//! |---|---|
//! | an address | one |
//! | a name | one for each of its addresses; they share its weight |
//! | a name that has no address, or none yet | one that is down |
//!
//! What a look-up answers is the whole truth about a name: an address that it does not tell any more
//! belongs to somebody else. A look-up that fails tells nothing, and changes nothing.
//!
//! Absent on purpose: looking names up, which blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::unix_path::UNIX_PREFIX;
use super::{Endpoint, EndpointId, Snapshot, TlsDialer, Upstream, UpstreamId};

/// A name with more addresses than this has its first ones used.
pub const ADDRESSES_MAX: usize = 128;

/// The addresses of names, each as it stands in the file (`name:port`).
pub type Addresses = BTreeMap<String, Vec<SocketAddr>>;

/// An endpoint as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `Host` for `host = "endpoint"`.
    pub authority: String,
    /// What stands in front of the path of every request to it; empty, or `/` and more.
    pub base: String,
    /// It has to be looked up.
    pub is_name: bool,
    /// Of an address itself; of a name, those that it is known to have.
    pub addresses: Vec<SocketAddr>,
    /// Share of the traffic, at least 1.
    pub weight: u32,
    /// Asked before those with a higher number.
    pub priority: u16,
    /// How it is dialled where it speaks TLS.
    pub tls: Option<Arc<TlsDialer>>,
}

impl Listed {
    /// Takes up what a look-up has answered, in the order of before. An address that we listen on
    /// ourselves is left out: requests would go round in circles.
    fn learn(&mut self, found: &[SocketAddr], own: &[SocketAddr]) {
        let mut left: BTreeSet<SocketAddr> =
            found.iter().copied().filter(|address| !own.contains(address)).collect();
        self.addresses.retain(|known| left.remove(known));
        let new = found.iter().filter(|address| left.remove(address));
        self.addresses.extend(new);
        self.addresses.truncate(ADDRESSES_MAX);
    }

    /// Whether one of its addresses goes by another name than itself.
    fn is_by_name(&self) -> bool {
        let is_found = || self.authority.parse::<SocketAddr>().is_err();
        self.is_name || !self.authority.starts_with(UNIX_PREFIX) && is_found()
    }

    /// What it comes to; ids are given out later.
    pub(in crate::config) fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        let down = self.addresses.is_empty().then_some(None);
        let addresses = self.addresses.iter().copied().map(Some).chain(down);
        addresses.map(|address| Endpoint {
            id: EndpointId::default(),
            address,
            authority: match self.authority.starts_with(UNIX_PREFIX) {
                // What `Host` says there.
                true => "localhost".to_owned(),
                false => self.authority.clone(),
            },
            tls: self.tls.clone(),
            // A base is never longer (`config/check/endpoint.rs`).
            base_bytes: u16::try_from(self.base.len()).unwrap_or(0),
            name: match address {
                Some(address) if self.is_by_name() => {
                    format!("{}{} ({address})", self.authority, self.base)
                }
                _ => format!("{}{}", self.authority, self.base),
            },
            weight: self.weight,
            priority: self.priority,
            sharing: self.addresses.len().max(1) as u32,
        })
    }
}

impl Upstream {
    /// Its endpoints as they are written and told.
    fn all_listed(&self) -> impl Iterator<Item = &Listed> {
        self.listed.iter().chain(&self.found)
    }

    fn learn(&mut self, found: &Addresses, own: &[SocketAddr]) {
        let mut known = false;
        let all = self.listed.iter_mut().chain(&mut self.found);
        for listed in all.filter(|listed| listed.is_name) {
            if let Some(addresses) = found.get(&listed.authority) {
                listed.learn(addresses, own);
                known = true;
            }
        }
        if known {
            self.endpoints = self.resolved();
        }
    }
}

impl Snapshot {
    /// Every name that an endpoint has, once.
    pub fn names(&self) -> BTreeSet<String> {
        let listed = self.upstreams.iter().flat_map(Upstream::all_listed);
        listed.filter(|one| one.is_name).map(|one| one.authority.clone()).collect()
    }

    /// Those of them that have no address.
    pub fn names_down(&self) -> BTreeSet<String> {
        let listed = self.upstreams.iter().flat_map(Upstream::all_listed);
        let down = listed.filter(|one| one.is_name && one.addresses.is_empty());
        down.map(|one| one.authority.clone()).collect()
    }

    /// Takes up what look-ups have answered. Ids are given out afterwards.
    pub(in crate::config) fn learn(&mut self, found: &Addresses) {
        let own = &self.server.listen;
        self.upstreams.iter_mut().for_each(|upstream| upstream.learn(found, own));
    }

    /// What is known of the names here.
    pub(super) fn known(&self) -> Addresses {
        let listed = self.upstreams.iter().flat_map(Upstream::all_listed);
        let known = listed.filter(|one| one.is_name && !one.addresses.is_empty());
        known.map(|one| (one.authority.clone(), one.addresses.clone())).collect()
    }

    /// Takes up what look-ups have answered since, and tells which upstreams have other endpoints now.
    /// The number of the generation stays, and every endpoint that stays keeps its id.
    pub fn set_addresses(&mut self, found: &Addresses) -> Vec<UpstreamId> {
        let own = self.server.listen.clone();
        let is_new = |listed: &Listed| {
            found.get(&listed.authority).is_some_and(|addresses| {
                let mut next = listed.clone();
                next.learn(addresses, &own);
                listed.is_name && next != *listed
            })
        };
        let places = 0..self.upstreams.len();
        let changed: Vec<usize> =
            places.filter(|place| self.upstreams[*place].all_listed().any(is_new)).collect();
        for place in &changed {
            self.change(*place, |upstream| upstream.learn(found, &own));
        }
        changed.iter().map(|place| self.upstreams[*place].id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::snapshot_of;

    fn snapshot(endpoints: &[&str]) -> Snapshot {
        snapshot_of(&format!(
            "[server]\nlisten = [\"10.9.9.9:80\"]\n\
             [[upstream]]\nname = \"a\"\nendpoints = {endpoints:?}\n\
             [[route]]\npath = \"/*\"\nupstream = \"a\"\n"
        ))
    }

    fn found(name: &str, addresses: &[&str]) -> Addresses {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address"));
        Addresses::from([(name.to_owned(), addresses.collect())])
    }

    fn with(snapshot: &Snapshot, found: &Addresses) -> Option<Snapshot> {
        let mut next = snapshot.clone();
        (!next.set_addresses(found).is_empty()).then_some(next)
    }

    /// Each endpoint: its id, its address, and of how many that share a weight it is one.
    fn members(snapshot: &Snapshot) -> Vec<(u32, String, u32)> {
        let row = |one: &Endpoint| {
            let address = one.address.map_or("down".to_owned(), |address| address.to_string());
            (one.id.0, address, one.sharing)
        };
        snapshot.upstreams[0].endpoints.iter().map(row).collect()
    }

    #[test]
    fn every_address_of_a_name_is_an_endpoint_and_what_stays_keeps_its_id() {
        let first = snapshot(&["10.0.0.1:1", "nowhere.invalid:80"]);
        let row = |id, address: &str, sharing| (id, address.to_owned(), sharing);
        assert_eq!(members(&first), [row(2, "10.0.0.1:1", 1), row(3, "down", 1)]);
        assert_eq!(first.names_down(), first.names());
        let name = "nowhere.invalid:80";
        let two = found(name, &["10.0.0.2:80", "[::1]:80", "10.0.0.2:80", "10.9.9.9:80"]);
        let second = with(&first, &two).expect("two addresses are new");
        assert_eq!(
            members(&second),
            [row(2, "10.0.0.1:1", 1), row(4, "10.0.0.2:80", 2), row(5, "[::1]:80", 2)],
            "a name's own address is asked once, and we are not asked at all"
        );
        assert!(second.names_down().is_empty() && second.names().contains(name));
        // Another order is nothing new, and neither is a name that nobody has asked for.
        assert!(with(&second, &found(name, &["[::1]:80", "10.0.0.2:80"])).is_none());
        assert!(with(&second, &found("other:80", &["10.0.0.9:80"])).is_none());
        // It moves: one address goes, one comes, one stays.
        let third = with(&second, &found(name, &["10.0.0.3:80", "[::1]:80"]));
        let third = third.expect("an address has changed");
        assert_eq!(
            members(&third),
            [row(2, "10.0.0.1:1", 1), row(5, "[::1]:80", 2), row(6, "10.0.0.3:80", 2)]
        );
        assert_eq!([&first, &second, &third].map(|one| one.generation.number), [0, 0, 0]);
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_a_name_that_cannot_be_looked_up_now() {
        let name = "nowhere.invalid:80";
        let first = snapshot(&[name]);
        let second = with(&first, &found(name, &["10.0.0.2:80"])).expect("it is found");
        let mut third = snapshot(&["10.0.0.1:1", name]);
        third.follow(&second);
        let addresses: Vec<_> =
            members(&third).into_iter().map(|(_, address, _)| address).collect();
        assert_eq!(addresses, ["10.0.0.1:1", "10.0.0.2:80"]);
        assert_eq!(third.upstreams[0].endpoints[1].id, second.upstreams[0].endpoints[0].id);
        assert_eq!(third.generation.number, 1);
    }

    #[test]
    fn a_name_has_so_many_addresses_at_most() {
        let many: Vec<String> =
            (0..300).map(|n| format!("10.1.{}.{}:80", n / 250, n % 250)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let name = "nowhere.invalid:80";
        let next = with(&snapshot(&[name]), &found(name, &many)).expect("it is found");
        assert_eq!(next.upstreams[0].endpoints.len(), ADDRESSES_MAX);
    }
}
