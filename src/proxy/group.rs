//! Groups: what a worker knows of its upstreams while it runs, from one snapshot to the next.
//!
//! A snapshot is immutable and is replaced as a whole; idle connections, queues and balances are
//! neither. They live here under the upstream's id, which it keeps through all generations.
//!
//! * A group lives as long as a snapshot that names it: the latest one, or one that an exchange
//!   still holds. So an exchange always finds the groups of its own generation.
//! * Limits of a pool are those of the latest generation that names the upstream: connections are
//!   shared by exchanges of all generations.
//! * What the latest generation does not name is *leaving*: exchanges that have it go on, and no
//!   connection to it is kept idle.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use super::admission::{Fronts, Queue};
use super::endpoints::Endpoints;
use super::load::{Loads, MemberSet};
use super::pool::Pool;
use super::retry::RetryBudget;
use crate::clock::Instant;
use crate::config::snapshot::{Admission, EndpointId, PoolLimits, Snapshot, Upstream, UpstreamId};

/// What one upstream is while the worker runs. `C` names a connection, `W` who waits for a place.
#[derive(Debug)]
pub struct Group<C, W> {
    pub name: String,
    pub pool: Pool<C>,
    pub endpoints: Endpoints,
    pub queue: Queue<W>,
    /// Who waits for its model, in the order they came.
    pub awaiting: Vec<W>,
    /// The fronts of all workers' queues.
    pub fronts: Arc<Fronts>,
    /// What retries may cost.
    pub budget: RetryBudget,
    pub limits: PoolLimits,
    pub admission: Admission,
    /// Until then it is not asked to go on with a text: it has refused one.
    pub refuses_prefill: Instant,
    /// The latest generation does not name it.
    leaving: bool,
}

impl<C: Copy + PartialEq, W: Copy + PartialEq> Group<C, W> {
    fn new(upstream: &Upstream, loads: &Loads, seed: u64) -> Group<C, W> {
        let (load, fronts) = loads.of(upstream);
        Group {
            name: upstream.name.clone(),
            pool: Pool::default(),
            endpoints: Endpoints::new(upstream, load, seed),
            queue: Queue::new(),
            awaiting: Vec::new(),
            fronts,
            budget: RetryBudget::new(),
            limits: upstream.pool.clone(),
            admission: upstream.admission.clone(),
            refuses_prefill: Instant::ZERO,
            leaving: false,
        }
    }

    fn follow(&mut self, upstream: &Upstream, loads: &Loads, now: Instant) {
        let (load, fronts) = loads.of(upstream);
        self.endpoints.reconcile(upstream, load, now);
        self.fronts = fronts;
        self.limits = upstream.pool.clone();
        self.admission = upstream.admission.clone();
        self.leaving = false;
    }

    /// Takes up another set of members. Returns the idle connections that nobody will use again; they
    /// are still open.
    pub fn follow_members(&mut self, set: &MemberSet, now: Instant) -> Vec<C> {
        self.endpoints.follow(set.version, &set.endpoints, set.load.clone(), now);
        let here: BTreeSet<EndpointId> = self.endpoints.ids().collect();
        let leaving = self.leaving;
        self.pool.retain(|id| !leaving && here.contains(&id))
    }

    fn keeps(&self, endpoint: EndpointId) -> bool {
        !self.leaving && self.endpoints.get(endpoint).is_some()
    }

    /// What the other workers have to know: where the first one here stands, if a permit is what
    /// would help it.
    pub fn front(&self) -> Option<Instant> {
        self.queue.front().filter(|_| !self.pool.is_full(&self.limits))
    }

    /// Takes a connection back after its exchange. Returns the one that is to be closed: the coldest
    /// if that is one too many, or this one if its endpoint is leaving.
    pub fn release(&mut self, endpoint: EndpointId, connection: C) -> Option<C> {
        match self.keeps(endpoint) {
            true => self.pool.release(endpoint, connection, &self.limits),
            false => Some(connection),
        }
    }

    /// Somebody waits for its model.
    pub fn begin_awaiting(&mut self, who: W) {
        self.awaiting.push(who);
        self.endpoints.waits(true);
    }

    /// Somebody waits no more for its model.
    pub fn stop_awaiting(&mut self, who: W) {
        let before = self.awaiting.len();
        self.awaiting.retain(|one| *one != who);
        if self.awaiting.len() < before {
            self.endpoints.waits(false);
        }
    }

    /// How many of those who wait could open a connection.
    pub fn may_call(&self) -> usize {
        self.pool.room(&self.limits).min(self.queue.len())
    }
}

/// The groups of a worker, in the order of their ids: few, and looked up several times a request.
#[derive(Debug)]
pub struct Groups<C, W>(Vec<(UpstreamId, Group<C, W>)>);

impl<C: Copy + PartialEq, W: Copy + PartialEq> Groups<C, W> {
    pub fn new(snapshot: &Snapshot, loads: &Loads, seed: u64) -> Groups<C, W> {
        let group = |upstream| Group::new(upstream, loads, seed);
        let groups = snapshot.upstreams.iter().map(|upstream| (upstream.id, group(upstream)));
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by_key(|(id, _)| *id);
        Groups(groups)
    }

    /// Takes up a new generation. Returns the idle connections that nobody will use again; they
    /// are still open.
    pub fn follow(&mut self, latest: &Snapshot, loads: &Loads, seed: u64, now: Instant) -> Vec<C> {
        for (_, group) in &mut self.0 {
            group.leaving = true;
        }
        for upstream in &latest.upstreams {
            match self.place(upstream.id) {
                Ok(place) => self.0[place].1.follow(upstream, loads, now),
                Err(place) => {
                    self.0.insert(place, (upstream.id, Group::new(upstream, loads, seed)));
                }
            }
        }
        let mut useless = Vec::new();
        for (_, Group { pool, endpoints, leaving, .. }) in &mut self.0 {
            let keeps = |id| !*leaving && endpoints.get(id).is_some();
            useless.append(&mut pool.retain(keeps));
        }
        useless
    }

    /// Forgets what none of these generations names: all that an exchange may still hold, and the
    /// latest.
    pub fn forget_others<'a>(&mut self, generations: impl Iterator<Item = &'a Snapshot> + Clone) {
        let named = |id| {
            let mut upstreams = generations.clone().flat_map(|one| &one.upstreams);
            upstreams.any(|upstream| upstream.id == id)
        };
        self.0.retain(|(id, _)| named(*id));
    }

    pub fn ids(&self) -> impl Iterator<Item = UpstreamId> {
        self.0.iter().map(|(id, _)| *id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group<C, W>> {
        self.0.iter().map(|(_, group)| group)
    }
}

impl<C, W> Groups<C, W> {
    /// Where a group is, or where it would be.
    fn place(&self, id: UpstreamId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// The same of a group that is there: whoever names one holds, by its exchange, a snapshot that names
    /// it, and a group is forgotten only after the last such snapshot.
    fn known_place(&self, id: UpstreamId) -> usize {
        self.place(id).expect("a group outlives the snapshots that name it")
    }
}

impl<C, W> Index<UpstreamId> for Groups<C, W> {
    type Output = Group<C, W>;

    fn index(&self, id: UpstreamId) -> &Group<C, W> {
        &self.0[self.known_place(id)].1
    }
}

impl<C, W> IndexMut<UpstreamId> for Groups<C, W> {
    fn index_mut(&mut self, id: UpstreamId) -> &mut Group<C, W> {
        let place = self.known_place(id);
        &mut self.0[place].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::snapshot_of;
    use crate::proxy::admission::{Admit, Lack};
    use crate::proxy::pool::Checkout;

    /// Upstreams "a" with these endpoints and limit, and "b" unless it is left out.
    fn generation(before: Option<&Snapshot>, a: &[&str], connections: u32, b: bool) -> Snapshot {
        let b = "[[upstream]]\nname = \"b\"\nendpoints = [\"10.0.0.9:1\"]\n".repeat(b.into());
        let mut snapshot = snapshot_of(&format!(
            "[server]\nlisten = [\"127.0.0.1:80\"]\n\
             [[upstream]]\nname = \"a\"\nendpoints = {a:?}\npool.connections = {connections}\n\
             {b}[[route]]\npath = \"/*\"\nupstream = \"a\"\n"
        ));
        if let Some(before) = before {
            snapshot.follow(before);
        }
        snapshot
    }

    fn names(snapshot: &Snapshot, upstream: usize) -> (UpstreamId, Vec<EndpointId>) {
        let upstream = &snapshot.upstreams[upstream];
        (upstream.id, upstream.endpoints.iter().map(|endpoint| endpoint.id).collect())
    }

    #[test]
    fn idle_connections_and_queues_survive_and_what_leaves_is_given_up() {
        let first = generation(None, &["10.0.0.1:1", "10.0.0.2:1"], 2, true);
        let ((a, of_a), (b, of_b)) = (names(&first, 0), names(&first, 1));
        let mut groups: Groups<u32, char> = Groups::new(&first, &Loads::new(&first, 1), 1);
        for (group, endpoint, connection) in [(a, of_a[0], 1), (a, of_a[1], 2), (b, of_b[0], 3)] {
            groups[group].pool.opened();
            assert_eq!(groups[group].release(endpoint, connection), None);
        }
        let waits = groups[a].queue.admit(
            'w',
            0,
            Some(Lack::Connection),
            Instant::ZERO,
            &Admission { queue: 9, ..crate::config::defaults::ADMISSION },
        );
        assert!(matches!(waits, Admit::Wait { .. }));
        // The second endpoint of "a" and all of "b" leave, "a" may have one connection more.
        let second = generation(Some(&first), &["10.0.0.3:1", "10.0.0.1:1"], 3, false);
        assert_eq!(
            groups.follow(&second, &Loads::new(&first, 1).follow(&second), 1, Instant::ZERO),
            [2, 3]
        );
        groups[a].pool.closed(of_a[1], 2);
        groups[b].pool.closed(of_b[0], 3);
        assert_eq!((groups[a].queue.len(), groups[a].may_call()), (1, 1));
        let Group { pool, limits, .. } = &mut groups[a];
        assert_eq!(pool.checkout(of_a[0], false, limits), Checkout::Idle(1));
        // An exchange of the first generation may still come to "b".
        groups.forget_others([&first, &second].into_iter());
        let Group { pool, limits, .. } = &mut groups[b];
        assert_eq!(pool.checkout(of_b[0], false, limits), Checkout::Open);
        pool.opened();
        assert_eq!(groups[b].release(of_b[0], 4), Some(4), "nobody would take it out again");
        groups[b].pool.closed(of_b[0], 4);
        groups.forget_others([&second].into_iter());
        assert_eq!(groups.ids().collect::<Vec<_>>(), [a]);
    }
}
