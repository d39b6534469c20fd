//! What this gateway has found of its endpoints, for others, and what is made of what they say.
//!
//! Read where all workers keep it ([`crate::proxy::load`]) and from the checks, and told to the checks and the
//! workers: neither waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, Snapshot, Upstream, UpstreamId};
use crate::control::health::HealthChecks;
use crate::fleet::hints::{BrokenEndpoints, EndpointName, NAMED_MAX};
use crate::gateway::command::Command;
use crate::proxy::health::HealthStatus;
use crate::proxy::load::Loads;
use crate::reactor::mailbox::Sender;
use crate::sys::TcpStream;

/// Where verdicts are, and who is told.
#[derive(Clone)]
pub struct VerdictSources {
    pub loads: Arc<Mutex<Loads>>,
    /// `None`: they have not begun.
    pub checks: Arc<Mutex<Option<HealthChecks>>>,
    /// The generation that is obeyed.
    pub obeyed: Arc<Mutex<Arc<Snapshot>>>,
    pub posts: Vec<Sender<Command<TcpStream>>>,
}

/// The endpoints of the generation that is obeyed now, as the fleet calls them.
pub(super) struct Known {
    snapshot: Arc<Snapshot>,
    /// Of each upstream that some hint is of, where its endpoints are: looked for once a round.
    found: Mutex<BTreeMap<String, Option<usize>>>,
}

impl Known {
    fn upstream(&self, name: &str) -> Option<&Upstream> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let upstreams = &self.snapshot.upstreams;
        let place = || upstreams.iter().position(|upstream| upstream.name == name);
        let place = *found.entry(name.to_owned()).or_insert_with(place);
        place.map(|place| &upstreams[place])
    }

    fn ids(&self, (upstream, endpoint): &EndpointName) -> Option<(&Upstream, EndpointId)> {
        let upstream = self.upstream(upstream)?;
        let known = upstream.endpoints.iter().find(|known| known.name == *endpoint)?;
        Some((upstream, known.id))
    }

    /// How many endpoints its upstream has, if it has this one.
    pub fn beside(&self, name: &EndpointName) -> Option<usize> {
        self.ids(name).map(|(upstream, _)| upstream.endpoints.len())
    }
}

impl VerdictSources {
    /// Of workers that share these loads and begin with this generation. No checks have begun.
    pub fn new(
        loads: &Loads,
        snapshot: &Arc<Snapshot>,
        posts: &[Sender<Command<TcpStream>>],
    ) -> VerdictSources {
        VerdictSources {
            loads: Arc::new(Mutex::new(loads.clone())),
            checks: Arc::default(),
            obeyed: Arc::new(Mutex::new(Arc::clone(snapshot))),
            posts: posts.to_vec(),
        }
    }

    pub(super) fn known(&self) -> Known {
        let snapshot = self.obeyed.lock().unwrap_or_else(PoisonError::into_inner);
        Known { snapshot: Arc::clone(&snapshot), found: Mutex::default() }
    }

    /// What is called broken here.
    pub(super) fn broken(&self, known: &Known, now: Instant) -> BrokenEndpoints {
        let loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let verdicts = checks.iter().flat_map(HealthChecks::verdicts);
        let unwell = verdicts.filter(|(_, verdict)| *verdict == HealthStatus::Unwell);
        let unwell: Vec<EndpointId> = unwell.map(|(target, _)| target.endpoint).collect();
        let each = known.snapshot.upstreams.iter().flat_map(|upstream| {
            let (load, _) = loads.of(upstream);
            let broken = (0..load.len()).filter(|at| load.is_broken(*at, now));
            let mut ids: Vec<EndpointId> = broken.map(|at| load.id(at)).collect();
            ids.extend(&unwell);
            let named = upstream.endpoints.iter().filter(move |one| ids.contains(&one.id));
            named.map(|one| (upstream.name.clone(), one.name.clone()))
        });
        each.take(NAMED_MAX).collect()
    }

    /// Has these looked at, by the checks where there are some, else by the workers.
    pub(super) fn look_at(&self, known: &Known, names: &[EndpointName]) {
        for (upstream, endpoint) in names.iter().filter_map(|name| known.ids(name)) {
            if upstream.health.is_some() {
                let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
                checks.iter().for_each(|checks| checks.hurry(endpoint));
            } else {
                self.doubt(upstream.id, endpoint);
            }
        }
    }

    fn doubt(&self, upstream: UpstreamId, endpoint: EndpointId) {
        for post in &self.posts {
            // A worker that has ended asks nobody.
            let _ = post.send(Command::Suspect(upstream, endpoint));
        }
    }
}
