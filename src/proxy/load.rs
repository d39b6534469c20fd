//! Load: how many exchanges are outstanding at each endpoint of an upstream, all workers together.
//!
//! The one thing that workers share beside the configuration. Counting is an atomic add with
//! relaxed ordering, once when an exchange gets its endpoint and once when it ends: never while
//! tokens pass. Every endpoint has a cache line of its own.
//!
//! **How true is a number that was read?** An add takes effect at once, for every core, and none
//! is lost: the counts are exact. What is stale is a *reading*, by what other workers began and
//! ended between it and the add that follows from it. A worker is single-threaded and picks one
//! endpoint at a time, so W workers that pick at the same moment see at worst W−1 exchanges too
//! few: they may all choose the same idle endpoint. Nothing else follows from it, and the next
//! pick sees the truth.
//!
//! **Ceilings are exact.** [`SharedLoad::try_begin`] compares and adds in one atomic step on one
//! number, so neither `endpoint_concurrency` nor `max_concurrency` is ever exceeded, however many
//! workers race. The upstream's place is taken first and given back if the endpoint is full: for
//! that moment another worker may be told "full" by one place too many.
//!
//! Invariant: an exchange is counted as long as its [`Permit`] lives, which can be neither cloned
//! nor forgotten by a branch that returns early.
//!
//! Endpoints are known by their id. [`SharedLoad::of_endpoints`] makes the load of the next
//! generation of the configuration, in which endpoints that stay keep their count. It is made once
//! and given to all workers. An endpoint that leaves keeps its count for as long as exchanges run, and
//! has it again if it comes back under its id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::admission::Fronts;
use super::wake::WakeGate;
use crate::clock::Instant;
use crate::config::snapshot::{Admission, Endpoint, EndpointId, Snapshot, Upstream, UpstreamId};

/// How long a breaker that has not said otherwise is taken to be open behind its time: so long a probe may take.
const BROKEN_FOR: Duration = Duration::from_secs(10);

/// A counter on a cache line of its own: a worker that counts one endpoint does not take the next
/// one's number out of another core's cache.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU32);

#[derive(Debug)]
struct Counted {
    outstanding: Line,
    upstream: Arc<Line>,
    /// Until which nanosecond of the clock the breaker of some worker is taken to be open.
    broken_until: AtomicU64,
}

/// The outstanding exchanges of one upstream.
#[derive(Clone, Debug)]
pub struct SharedLoad {
    upstream: Arc<Line>,
    endpoints: Vec<(EndpointId, Arc<Counted>)>,
    /// Endpoints that have left with exchanges under way, for as long as these last; by id.
    departed: Vec<(EndpointId, Arc<Counted>)>,
    /// Where its server is started when it is asked for: whether it is there.
    gate: Option<Arc<WakeGate>>,
    /// With which endpoint the round robin of the next worker begins.
    turns: Arc<AtomicUsize>,
}

/// The right to an exchange with an endpoint, until it is dropped.
#[derive(Debug)]
#[must_use = "the exchange is counted only as long as its permit lives"]
pub struct Permit(Arc<Counted>);

/// Why there is no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// This endpoint has `endpoint_concurrency` exchanges; another one may have room.
    Endpoint,
    /// The upstream has `max_concurrency`.
    Upstream,
}

/// All that workers share of the upstreams, made once for each generation and given to each of
/// them: the loads, and the fronts of the lines of those who wait for a place.
#[derive(Clone, Debug)]
pub struct Loads {
    workers: usize,
    /// With which endpoint of an upstream the first worker's round robin begins.
    first_turn: usize,
    upstreams: Arc<BTreeMap<UpstreamId, (SharedLoad, Arc<Fronts>)>>,
}

/// The endpoints of one upstream from now on, as all workers are told.
#[derive(Debug)]
pub struct MemberSet {
    /// The later, the higher.
    pub version: u64,
    pub endpoints: Vec<Endpoint>,
    pub load: SharedLoad,
}

impl Loads {
    /// Those of the first generation.
    pub fn new(snapshot: &Snapshot, workers: usize) -> Loads {
        Loads::beginning_at(0, snapshot, workers)
    }

    /// The same; round robin begins with this endpoint of each upstream, in the first worker. Gateways that know
    /// of each other begin with different ones.
    pub fn beginning_at(first_turn: usize, snapshot: &Snapshot, workers: usize) -> Loads {
        Loads { workers, first_turn, upstreams: Arc::default() }.follow(snapshot)
    }

    /// Those of the generation after: what goes on keeps its counts, and who waits its place.
    pub fn follow(&self, snapshot: &Snapshot) -> Loads {
        let shared = |upstream: &Upstream| match self.upstreams.get(&upstream.id) {
            Some((load, fronts)) => {
                let load = load.of_endpoints(&upstream.endpoints).gated(upstream.wake.is_some());
                (load, Arc::clone(fronts))
            }
            None => self.unknown(upstream),
        };
        let shared = snapshot.upstreams.iter().map(|upstream| (upstream.id, shared(upstream)));
        let (workers, first_turn) = (self.workers, self.first_turn);
        Loads { workers, first_turn, upstreams: Arc::new(shared.collect()) }
    }

    /// Those of the endpoints that an upstream of the same generation has now.
    pub fn follow_members(&mut self, upstream: &Upstream) -> MemberSet {
        let endpoints = upstream.endpoints.clone();
        let load = match Arc::make_mut(&mut self.upstreams).get_mut(&upstream.id) {
            Some((load, _)) => {
                *load = load.of_endpoints(&endpoints);
                load.clone()
            }
            None => SharedLoad::new(&endpoints),
        };
        MemberSet { version: upstream.version, endpoints, load }
    }

    /// Exchanges at all upstreams.
    pub fn total(&self) -> u32 {
        self.upstreams.values().map(|(load, _)| load.total()).sum()
    }

    /// Those of an upstream of the generation they were made for.
    pub fn of(&self, upstream: &Upstream) -> (SharedLoad, Arc<Fronts>) {
        let known = self.upstreams.get(&upstream.id).cloned();
        known.unwrap_or_else(|| self.unknown(upstream))
    }

    fn unknown(&self, upstream: &Upstream) -> (SharedLoad, Arc<Fronts>) {
        let load = SharedLoad::new(&upstream.endpoints).gated(upstream.wake.is_some());
        load.turns.store(self.first_turn, Ordering::Relaxed);
        (load, Arc::new(Fronts::new(self.workers)))
    }
}

impl SharedLoad {
    pub fn new(endpoints: &[Endpoint]) -> SharedLoad {
        let none = SharedLoad {
            upstream: Arc::default(),
            endpoints: Vec::new(),
            departed: Vec::new(),
            gate: None,
            turns: Arc::default(),
        };
        none.of_endpoints(endpoints)
    }

    /// The load of the same upstream with these endpoints.
    pub fn of_endpoints(&self, endpoints: &[Endpoint]) -> SharedLoad {
        let known: BTreeMap<EndpointId, &Arc<Counted>> = self
            .departed
            .iter()
            .chain(&self.endpoints)
            .map(|(id, counted)| (*id, counted))
            .collect();
        let here: BTreeSet<EndpointId> = endpoints.iter().map(|endpoint| endpoint.id).collect();
        let counted = |&Endpoint { id, .. }: &Endpoint| {
            let counted = match known.get(&id) {
                Some(&counted) => Arc::clone(counted),
                None => Arc::new(Counted {
                    outstanding: Line::default(),
                    upstream: Arc::clone(&self.upstream),
                    broken_until: AtomicU64::default(),
                }),
            };
            (id, counted)
        };
        let has_left = |(id, counted): &(EndpointId, &Arc<Counted>)| {
            counted.outstanding.0.load(Ordering::Relaxed) > 0 && !here.contains(id)
        };
        let departed = known.iter().map(|(id, counted)| (*id, *counted)).filter(has_left);
        SharedLoad {
            upstream: Arc::clone(&self.upstream),
            departed: departed.map(|(id, counted)| (id, Arc::clone(counted))).collect(),
            endpoints: endpoints.iter().map(counted).collect(),
            gate: self.gate.clone(),
            turns: Arc::clone(&self.turns),
        }
    }

    /// With which endpoint a worker's round robin begins: each with the next one.
    pub fn next_turn(&self) -> usize {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether an endpoint that has left still has exchanges.
    pub fn is_finishing(&self, endpoint: EndpointId) -> bool {
        let place = self.departed.binary_search_by_key(&endpoint, |(id, _)| *id);
        place.is_ok_and(|at| self.departed[at].1.outstanding.0.load(Ordering::Relaxed) > 0)
    }

    /// The same behind a gate, or without one.
    fn gated(mut self, wakes: bool) -> SharedLoad {
        self.gate = wakes.then(|| self.gate.take().unwrap_or_default());
        self
    }

    /// Whether its server is there, where that is started when it is asked for.
    pub fn gate(&self) -> Option<&Arc<WakeGate>> {
        self.gate.as_ref()
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The id of the endpoint with this index.
    pub fn id(&self, endpoint: usize) -> EndpointId {
        self.endpoints[endpoint].0
    }

    /// Exchanges at this endpoint.
    pub fn outstanding(&self, endpoint: usize) -> u32 {
        self.endpoints[endpoint].1.outstanding.0.load(Ordering::Relaxed)
    }

    /// The breaker of a worker has opened, for so long: [`BROKEN_FOR`] more, in which a probe ends. It is told
    /// when a breaker opens or closes, and read by whoever tells other gateways.
    pub fn set_broken(&self, endpoint: usize, until: Instant) {
        let until = (until + BROKEN_FOR).as_nanos();
        self.endpoints[endpoint].1.broken_until.fetch_max(until, Ordering::Relaxed);
    }

    /// The breaker of a worker has closed: it has seen an answer.
    pub fn set_well(&self, endpoint: usize) {
        self.endpoints[endpoint].1.broken_until.store(0, Ordering::Relaxed);
    }

    /// Whether the breaker of some worker keeps requests from this endpoint.
    pub fn is_broken(&self, endpoint: usize, now: Instant) -> bool {
        now.as_nanos() < self.endpoints[endpoint].1.broken_until.load(Ordering::Relaxed)
    }

    /// Exchanges at the whole upstream.
    pub fn total(&self) -> u32 {
        self.upstream.0.load(Ordering::Relaxed)
    }

    /// Whether there is room for one more exchange somewhere.
    pub fn has_room(&self, ceilings: &Admission) -> bool {
        let below = |count: u32, most: Option<u32>| most.is_none_or(|most| count < most);
        let endpoint = |at| below(self.outstanding(at), ceilings.endpoint_concurrency);
        below(self.total(), ceilings.max_concurrency) && (0..self.len()).any(endpoint)
    }

    /// Counts an exchange, whatever the ceilings say.
    pub fn begin(&self, endpoint: usize) -> Permit {
        let counted = &self.endpoints[endpoint].1;
        counted.upstream.0.fetch_add(1, Ordering::Relaxed);
        counted.outstanding.0.fetch_add(1, Ordering::Relaxed);
        Permit(Arc::clone(counted))
    }

    /// Counts an exchange if there is room for it.
    pub fn try_begin(&self, endpoint: usize, ceilings: &Admission) -> Result<Permit, Full> {
        let counted = &self.endpoints[endpoint].1;
        if !add_below(&counted.upstream.0, ceilings.max_concurrency) {
            return Err(Full::Upstream);
        }
        if !add_below(&counted.outstanding.0, ceilings.endpoint_concurrency) {
            counted.upstream.0.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Endpoint);
        }
        Ok(Permit(Arc::clone(counted)))
    }
}

/// Adds one if that does not exceed `most`, as a single step.
fn add_below(count: &AtomicU32, most: Option<u32>) -> bool {
    let Some(most) = most else {
        count.fetch_add(1, Ordering::Relaxed);
        return true;
    };
    let below = |count: u32| (count < most).then(|| count + 1);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_ok()
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.outstanding.0.fetch_sub(1, Ordering::Relaxed);
        self.0.upstream.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    const UNLIMITED: Admission = crate::config::defaults::ADMISSION;

    fn load(ids: &[u32]) -> SharedLoad {
        SharedLoad::new(&endpoints(ids))
    }

    fn endpoints(ids: &[u32]) -> Vec<Endpoint> {
        let endpoint = |&id: &u32| Endpoint {
            tls: None,
            id: EndpointId(id),
            address: None,
            authority: String::new(),
            base_bytes: 0,
            name: String::new(),
            weight: 1,
            priority: 0,
            sharing: 1,
        };
        ids.iter().map(endpoint).collect()
    }

    fn ceilings(upstream: u32, endpoint: u32) -> Admission {
        Admission {
            max_concurrency: Some(upstream),
            endpoint_concurrency: Some(endpoint),
            ..UNLIMITED
        }
    }

    fn counts(load: &SharedLoad) -> (u32, Vec<u32>) {
        (load.total(), (0..load.len()).map(|endpoint| load.outstanding(endpoint)).collect())
    }

    #[test]
    fn a_permit_is_small_and_its_line_is_its_own() {
        assert_eq!(size_of::<Option<Permit>>(), 8);
        assert_eq!(align_of::<Counted>(), 64);
    }

    #[test]
    fn an_exchange_counts_as_long_as_its_permit_lives() {
        let load = load(&[1, 2]);
        let first = load.begin(0);
        let second = load.try_begin(1, &UNLIMITED).expect("no ceiling");
        let third = load.begin(1);
        assert_eq!(counts(&load), (3, vec![1, 2]));
        drop(second);
        drop(first);
        assert_eq!(counts(&load), (1, vec![0, 1]));
        drop(third);
        assert_eq!(counts(&load), (0, vec![0, 0]));
    }

    #[test]
    fn a_ceiling_refuses_and_counts_nothing() {
        let load = load(&[1, 2]);
        let held: Vec<_> =
            [0, 0, 1].map(|endpoint| load.try_begin(endpoint, &ceilings(3, 2))).into();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(load.try_begin(1, &ceilings(3, 2)).err(), Some(Full::Upstream));
        assert_eq!(load.try_begin(0, &ceilings(9, 2)).err(), Some(Full::Endpoint));
        assert_eq!(counts(&load), (3, vec![2, 1]));
        let room = [ceilings(3, 9), ceilings(9, 1), ceilings(9, 2), UNLIMITED];
        assert_eq!(room.map(|ceilings| load.has_room(&ceilings)), [false, false, true, true]);
    }

    #[test]
    fn an_endpoint_that_stays_keeps_its_count() {
        let old = load(&[1, 2]);
        let held = [old.begin(0), old.begin(1)];
        let new = old.of_endpoints(&endpoints(&[3, 2]));
        assert_eq!(counts(&new), (2, vec![0, 1]));
        let another = old.begin(1);
        assert_eq!((counts(&new), new.id(1)), ((3, vec![0, 2]), EndpointId(2)));
        drop((held, another));
        assert_eq!((counts(&old), counts(&new)), ((0, vec![0, 0]), (0, vec![0, 0])));
    }

    /// Whatever the threads do, nobody ever sees more than the ceilings allow, and in the end all
    /// permits are home.
    #[test]
    fn no_race_exceeds_a_ceiling() {
        let load = load(&[1, 2, 3]);
        // The endpoints could take nine, the upstream takes seven.
        let limits = ceilings(7, 3);
        let over = AtomicBool::new(false);
        let granted: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4u64)
                .map(|seed| {
                    let (load, limits, over) = (load.clone(), limits.clone(), &over);
                    scope.spawn(move || {
                        let mut random = crate::proxy::random::Random::new(seed);
                        let mut held = Vec::new();
                        let mut granted = 0;
                        for _ in 0..50_000 {
                            let endpoint = random.below(3) as usize;
                            if random.below(5) < 3 {
                                if let Ok(permit) = load.try_begin(endpoint, &limits) {
                                    held.push(permit);
                                    granted += 1;
                                }
                            } else {
                                held.pop();
                            }
                            if load.outstanding(endpoint) > 3 || load.total() > 7 {
                                over.store(true, Ordering::Relaxed);
                            }
                        }
                        granted
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
        });
        assert!(!over.load(Ordering::Relaxed));
        assert!(granted > 10_000, "{granted}");
        assert_eq!(counts(&load), (0, vec![0, 0, 0]));
    }
}
