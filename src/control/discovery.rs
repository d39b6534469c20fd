//! Discovery: who tells the endpoints of an upstream, asked again and again on a thread of its own.
//!
//! ```text
//!   Provider::watch ──▶ a whole set ──▶ publish ──▶ lifecycle: proxy::membership ──▶ Command::Members
//!        │ fails: told once, tried again after a pause that grows
//! ```
//!
//! * A [`Provider`] knows one source and nothing else: it blocks until the set is another one, and returns
//!   all of it. What is believed of a set, what of an endpoint stays and what a worker is told is
//!   decided behind it, once for all sources.
//! * A source that fails tells nothing, and nothing changes: the last good set stays.
//! * An upstream has one source, and a source one thread. It is asked from the moment the configuration
//!   names it, and no more when the configuration names it no more.
//!
//! To add a source: a file beside `discovery/file.rs` with a [`Provider`], an arm in [`provider`], a
//! variant of [`DiscoverySource`] and its key in `config/check/discover.rs`. docs/discovery.md tells it
//! step by step.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use crate::config::snapshot::FoundMember;
use crate::config::snapshot::{DiscoverySource, Snapshot};
use crate::dns::Resolver;

mod api;
mod consul;
mod dns;
mod etcd;
mod file;
mod kubernetes;

use self::dns::{DnsProvider, DnsQuestion};

/// From one listing of a store's keys to the next, at least.
pub const STORE_LIST: Duration = etcd::LIST;
/// How long a member of a store may be away until a gateway knows it, at most: it is asked now and then, and
/// has so long to answer.
pub const STORE_SILENCE: Duration = etcd::PROBE.saturating_add(etcd::TIMEOUT);

/// The pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long a source that fails is left alone, by how often it has failed in a row.
#[derive(Clone, Debug)]
pub struct Pacing {
    next: Duration,
}

impl Pacing {
    /// No pause is longer, unless the source itself has said so.
    pub const MAX: Duration = PAUSE_MAX;

    /// The source has been asked. How long to leave it alone; `None`: it has answered.
    pub fn after<T>(&mut self, set: &Result<T, Trouble>) -> Option<Duration> {
        let Err(trouble) = set else {
            self.next = PAUSE;
            return None;
        };
        let pause = trouble.again.unwrap_or(self.next);
        self.next = (self.next * 2).min(PAUSE_MAX);
        Some(pause)
    }
}

impl Default for Pacing {
    fn default() -> Pacing {
        Pacing { next: PAUSE }
    }
}

/// One source of endpoints.
pub trait Provider: Send {
    /// Blocks until the set is another one than the last that was returned; the first call returns as
    /// soon as it knows a set. What it does on the network has an end of its own, ten seconds at most,
    /// and in between it looks whether it is to [`Stop`]: then it may return anything.
    ///
    /// An empty set is an answer: the source is there and has nobody. An error says that nothing is known;
    /// the call is made again after a pause. The set that follows an error is returned even if it is the one
    /// of before: that the source answers again is news.
    fn watch(&mut self, stop: &Stop) -> Result<Vec<FoundMember>, Trouble>;
}

/// Why nothing is known of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// For people: a clause.
    pub reason: String,
    /// When it makes sense to ask again; `None`: after a pause that grows.
    pub again: Option<Duration>,
}

impl Trouble {
    pub fn new(reason: impl Into<String>) -> Trouble {
        Trouble { reason: reason.into(), again: None }
    }
}

/// Tells a provider that nobody wants to know any more.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    pub fn is_stopped(&self) -> bool {
        *self.flag()
    }

    /// Sleeps. Whether it is to stop.
    pub fn wait(&self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        let mut flag = self.flag();
        while !*flag {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            flag = self.0.1.wait_timeout(flag, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn stop(&self) {
        *self.flag() = true;
        self.0.1.notify_all();
    }

    fn flag(&self) -> MutexGuard<'_, bool> {
        // Nobody panics while it is held.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a source has told of an upstream.
#[derive(Clone, Debug)]
pub struct SourceReport {
    /// Its name.
    pub upstream: String,
    pub source: DiscoverySource,
    pub set: Result<Vec<FoundMember>, Trouble>,
}

/// What providers share.
#[derive(Clone, Debug)]
pub struct Means {
    pub resolver: Arc<Resolver>,
    /// What is asked for again and again is asked for as often as this at least.
    pub again_max: Duration,
}

/// Takes what sources tell, on their threads.
pub type Publish = Arc<dyn Fn(SourceReport) + Send + Sync>;

/// The sources that are asked.
pub struct Discovery {
    running: BTreeMap<String, (DiscoverySource, Stop)>,
    publish: Publish,
    resolver: Arc<Resolver>,
}

impl Discovery {
    pub fn new(publish: Publish, resolver: Arc<Resolver>) -> Discovery {
        Discovery { running: BTreeMap::new(), publish, resolver }
    }

    /// Asks the sources of this configuration from now on. One that stays is not asked anew.
    pub fn follow(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let sources = snapshot.upstreams.iter().filter_map(|upstream| {
            Some((upstream.name.clone(), upstream.discover.as_ref()?.source.clone()))
        });
        let wanted: BTreeMap<String, DiscoverySource> = sources.collect();
        self.running.retain(|name, (source, stop)| {
            let stays = wanted.get(name) == Some(source);
            if !stays {
                stop.stop();
            }
            stays
        });
        for (upstream, source) in wanted {
            if !self.running.contains_key(&upstream) {
                let again_max = snapshot.server.dns.longest;
                let means = Means { resolver: Arc::clone(&self.resolver), again_max };
                let stop = self.begin(upstream.clone(), source.clone(), &means)?;
                self.running.insert(upstream, (source, stop));
            }
        }
        Ok(())
    }

    /// Asks each source of this configuration once.
    pub fn ask_once(
        snapshot: &Snapshot,
        resolver: &Arc<Resolver>,
        publish: &Publish,
    ) -> io::Result<()> {
        for upstream in &snapshot.upstreams {
            let Some(discover) = &upstream.discover else { continue };
            let (name, source) = (upstream.name.clone(), discover.source.clone());
            let again_max = snapshot.server.dns.longest;
            let means = Means { resolver: Arc::clone(resolver), again_max };
            let (mut provider, publish) = (provider(&source, &means), Arc::clone(publish));
            let ask = move || {
                let set = provider.watch(&Stop::default());
                publish(SourceReport { upstream: name, source, set });
            };
            thread::Builder::new().name("discovery".into()).spawn(ask)?;
        }
        Ok(())
    }

    fn begin(&self, upstream: String, source: DiscoverySource, means: &Means) -> io::Result<Stop> {
        let stop = Stop::default();
        let (mut provider, publish) = (provider(&source, means), Arc::clone(&self.publish));
        let watched = stop.clone();
        let watch = move || {
            let told = |set| {
                publish(SourceReport { upstream: upstream.clone(), source: source.clone(), set })
            };
            ask(&mut *provider, &watched, told);
        };
        thread::Builder::new().name("discovery".into()).spawn(watch)?;
        Ok(stop)
    }
}

/// Ends the threads. One that waits for the network ends when that is over.
impl Drop for Discovery {
    fn drop(&mut self) {
        self.running.values().for_each(|(_, stop)| stop.stop());
    }
}

/// Asks one source until it is to stop.
fn ask(provider: &mut dyn Provider, stop: &Stop, told: impl Fn(Result<Vec<FoundMember>, Trouble>)) {
    let mut pacing = Pacing::default();
    while !stop.is_stopped() {
        let set = provider.watch(stop);
        if stop.is_stopped() {
            return;
        }
        let wait = pacing.after(&set);
        told(set);
        if wait.is_some_and(|wait| stop.wait(wait)) {
            return;
        }
    }
}

/// Who knows a source.
fn provider(source: &DiscoverySource, means: &Means) -> Box<dyn Provider> {
    let dns = |question| DnsProvider::new(question, Arc::clone(&means.resolver), means.again_max);
    match source {
        DiscoverySource::Dns(name) => Box::new(dns(DnsQuestion::Addresses(name.clone()))),
        DiscoverySource::Srv(name) => Box::new(dns(DnsQuestion::Services(name.clone()))),
        DiscoverySource::File(path) => Box::new(file::FileProvider::new(path.clone())),
        DiscoverySource::Etcd(source) => Box::new(etcd::EtcdProvider::new(source)),
        DiscoverySource::Consul(source) => {
            Box::new(consul::ConsulProvider::new((**source).clone()))
        }
        DiscoverySource::Kubernetes(source) => {
            Box::new(kubernetes::KubernetesProvider::new((**source).clone()))
        }
    }
}
