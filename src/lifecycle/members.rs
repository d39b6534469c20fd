//! Members: the endpoints that names and sources come to, from what is told to what workers have.
//!
//! * The configuration of this thread is changed in place, one upstream at a time, and the workers are told
//!   of that upstream alone.
//! * Whoever else has to know (checks, lists of models, admin pages) gets the whole configuration, every
//!   [`SHOW`] at most: they need not know at once, and 10,000 changes a minute would cost them much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use super::{Chore, Lifecycle, Obeyed};
use crate::clock;
use crate::config::snapshot::{
    Addresses, Discover, DiscoverySource, FoundMember, Listed, Upstream,
};
use crate::control::discovery::{Discovery, Publish, SourceReport, Trouble};
use crate::dns::Resolver;
use crate::observe::discovered::SourceState;
use crate::proxy::membership::{Judgement, Membership};
use crate::sys;

/// How long a start waits for sources.
const PATIENCE: Duration = Duration::from_secs(3);
/// Characters of a member, and of why it is none, that a log line shows.
const SHOWN_MAX: usize = 200;
/// Members of a source that are told to be none; others are left out without a word.
const REFUSED_MAX: usize = 1_000;
/// How often the whole configuration is shown to those who need not know at once.
const SHOW: Duration = Duration::from_millis(250);

/// The sources of a gateway, and what is believed of them.
pub(super) struct Members {
    resolver: Arc<Resolver>,
    discovery: Discovery,
    sources: BTreeMap<String, SourceRecord>,
    /// When the configuration was shown last.
    shown: Instant,
    /// It has changed since.
    unshown: bool,
}

struct SourceRecord {
    source: DiscoverySource,
    membership: Membership,
    state: SourceState,
    /// Others are in force by it than the log says.
    unlogged: bool,
    /// What it tells and is no endpoint: told once.
    refused: BTreeSet<String>,
}

impl Members {
    pub fn new(chores: Sender<Chore>, resolver: Arc<Resolver>) -> Members {
        let publish = Arc::new(move |told| {
            // Who looks after the gateway lives as long as the process.
            let _ = chores.send(Chore::Told(told));
        });
        Members {
            discovery: Discovery::new(publish, Arc::clone(&resolver)),
            resolver,
            sources: BTreeMap::new(),
            shown: Instant::now(),
            unshown: false,
        }
    }

    /// When there is something to do without being told.
    pub fn due(&self) -> Option<Instant> {
        let show = self.unshown.then(|| self.shown + SHOW);
        let (now, clock) = (Instant::now(), sys::now());
        let sources = self.sources.values().map(|one| one.membership.due(clock));
        let soonest = sources.min().filter(|due| *due != clock::Instant::NEVER);
        let soonest = soonest.map(|due| now + due.since(clock));
        [show, soonest].into_iter().flatten().min()
    }
}

impl Lifecycle {
    /// Asks the sources of the generation in force from now on. What is known of one that stays is kept.
    pub(super) fn follow_sources(&mut self) -> std::io::Result<()> {
        let Lifecycle { snapshot, members, control, .. } = self;
        let mut before = std::mem::take(&mut members.sources);
        for upstream in &snapshot.upstreams {
            let Some(discover) = &upstream.discover else { continue };
            let record = match before.remove(&upstream.name) {
                Some(known) if known.source == discover.source => known,
                other => {
                    let source = discover.source.clone();
                    // What another source has told is in force until this one has told something.
                    let (membership, told) = other.map_or_else(Default::default, |other| {
                        (other.membership, other.state.told)
                    });
                    let name = source.to_string();
                    let state = SourceState { source: name, told, ..SourceState::default() };
                    control.discovered().set(&upstream.name, state.clone());
                    SourceRecord {
                        source,
                        membership,
                        state,
                        unlogged: false,
                        refused: BTreeSet::new(),
                    }
                }
            };
            members.sources.insert(upstream.name.clone(), record);
        }
        control.discovered().keep(|name| members.sources.contains_key(name));
        members.resolver.obey(&snapshot.server.dns);
        members.discovery.follow(snapshot)?;
        // What the sources have told is seen by what the configuration says of them now.
        let names: Vec<String> = self.members.sources.keys().cloned().collect();
        names.iter().for_each(|name| self.put_in_force(name));
        Ok(())
    }

    /// A source has told a set, or has failed.
    pub(super) fn told(&mut self, told: SourceReport) {
        let SourceReport { upstream, source, set } = told;
        let Some(discover) = self.discover_of(&upstream) else { return };
        let record = self.members.sources.get_mut(&upstream);
        let Some(record) = record.filter(|record| record.source == source) else { return };
        let second = sys::time_of_day().as_secs();
        match set {
            Ok(mut found) => {
                found.retain(|member| record.takes(&upstream, &discover, member));
                if record.state.failing.take().is_some() {
                    log::info!("{upstream}: {source} answers again");
                }
                (record.state.told, record.state.told_at) = (record.state.told + 1, second);
                let count = found.len();
                let judgement = record.membership.told(found, &discover.belief, sys::now());
                if judgement.doubted {
                    let kept = record.membership.in_force().len();
                    log::error!(
                        "{upstream}: {source} tells {count} endpoints, far fewer than before: it is \
                         doubted, and {kept} are kept"
                    );
                }
                self.judged(&upstream, judgement);
            }
            Err(Trouble { reason, .. }) => {
                record.state.failed += 1;
                record.membership.unknown();
                if record.state.failing.as_ref().is_none_or(|(known, _)| *known != reason) {
                    log::error!(
                        "{upstream}: {source}: {reason}; the endpoints it has told are kept"
                    );
                }
                let since = record.state.failing.as_ref().map_or(second, |(_, since)| *since);
                record.state.failing = Some((reason, since));
                self.control.discovered().set(&upstream, record.state.clone());
            }
        }
    }

    /// Does what is due by now.
    pub(super) fn on_time(&mut self) {
        let now = sys::now();
        let due = |record: &SourceRecord| record.membership.due(now) <= now;
        let records = self.members.sources.iter();
        let names: Vec<String> =
            records.filter(|(_, record)| due(record)).map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(record) = self.members.sources.get_mut(&name) {
                let judgement = record.membership.on_time(now);
                self.judged(&name, judgement);
            }
        }
        if self.members.unshown && self.members.shown.elapsed() >= SHOW {
            self.show();
        }
    }

    fn judged(&mut self, upstream: &str, judgement: Judgement) {
        if judgement.settled {
            log::info!("{upstream}: what its source tells is believed again");
        }
        if judgement.changed {
            self.put_in_force(upstream);
        }
        if let Some(record) = self.members.sources.get_mut(upstream) {
            record.state.members = record.membership.in_force().len();
            record.state.doubted = record.membership.doubted();
            record.state.paused = record.membership.paused();
            self.control.discovered().set(upstream, record.state.clone());
        }
    }

    /// Gives the workers what is believed of an upstream's source, if that is something else than they have.
    fn put_in_force(&mut self, name: &str) {
        let upstream = self.snapshot.upstreams.iter().find(|upstream| upstream.name == name);
        let Some(record) = self.members.sources.get(name) else { return };
        let Some((id, discover)) = upstream.and_then(|it| Some((it.id, it.discover.clone()?)))
        else {
            return;
        };
        if record.state.told == 0 {
            return;
        }
        let found = listed(name, &discover, record.membership.in_force());
        let names = found.iter().any(|one| one.is_name);
        if !self.snapshot.set_members(id, found) {
            return;
        }
        if let Some(record) = self.members.sources.get_mut(name) {
            record.unlogged = true;
        }
        self.tell_members(name);
        if names && let Err(error) = self.follow_names() {
            log::error!("names are not looked up: {error}");
        }
    }

    /// Gives the workers the addresses that a name has now, if they are others than before.
    pub(super) fn found(&mut self, name: &str, addresses: Vec<std::net::SocketAddr>) {
        if self.control.is_draining() {
            return;
        }
        let told: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let changed = self.snapshot.set_addresses(&Addresses::from([(name.to_owned(), addresses)]));
        if !changed.is_empty() {
            log::info!("{name} is now {}", told.join(", "));
        }
        let upstreams = self.snapshot.upstreams.iter();
        let names: Vec<String> = upstreams
            .filter(|upstream| changed.contains(&upstream.id))
            .map(|upstream| upstream.name.clone())
            .collect();
        names.iter().for_each(|name| self.tell_members(name));
    }

    fn tell_members(&mut self, name: &str) {
        let named = |upstream: &&Upstream| upstream.name == name;
        let Some(upstream) = self.snapshot.upstreams.iter().find(named) else { return };
        self.control.set_members(upstream);
        log::debug!("{name}: set {} of {} endpoints", upstream.version, upstream.endpoints.len());
        self.members.unshown = true;
        if self.members.shown.elapsed() >= SHOW {
            self.show();
        }
    }

    /// Shows the configuration to those who need not know at once: to the log too, so that sets which
    /// follow each other fast are one line.
    pub(super) fn show(&mut self) {
        (self.members.shown, self.members.unshown) = (Instant::now(), false);
        for (name, record) in &mut self.members.sources {
            if std::mem::take(&mut record.unlogged) {
                let count = record.membership.in_force().len();
                log::info!("{name}: {count} endpoints are in force by {}", record.source);
            }
        }
        if let Err(error) = self.control.show(&Arc::new(self.snapshot.clone())) {
            log::error!("the checks do not know the new endpoints: {error}");
        }
    }

    fn discover_of(&self, name: &str) -> Option<Arc<Discover>> {
        let upstream = self.snapshot.upstreams.iter().find(|upstream| upstream.name == name)?;
        upstream.discover.clone()
    }
}

/// The line about a member that is no endpoint, as long as a line may be: both texts are the source's.
fn refusal(upstream: &str, member: &FoundMember, reason: &str) -> String {
    let cut = |text: String| match text.char_indices().nth(SHOWN_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    };
    let (address, reason) = (cut(format!("{:?}", member.address)), cut(reason.to_owned()));
    format!("{upstream}: {address} is no endpoint: {reason}")
}

impl SourceRecord {
    /// Whether a member can be an endpoint. What cannot is not counted, and told once.
    fn takes(&mut self, upstream: &str, discover: &Discover, member: &FoundMember) -> bool {
        let Err(reason) = discover.listed(member) else { return true };
        let line = refusal(upstream, member, &reason);
        if self.refused.len() < REFUSED_MAX && self.refused.insert(line.clone()) {
            log::warn!("{line}");
        }
        false
    }
}

impl Obeyed {
    /// Asks the sources of endpoints, before anybody is served: who comes after a restart or a hand-over
    /// finds the servers that there are. One that does not answer within [`PATIENCE`] tells later.
    pub fn ask_sources(&mut self) {
        let discover_of =
            |one: &Upstream| Some((one.name.clone(), (one.id, one.discover.clone()?)));
        let mut waiting: BTreeMap<_, _> =
            self.snapshot.upstreams.iter().filter_map(discover_of).collect();
        if waiting.is_empty() {
            return;
        }
        let (tell, told) = mpsc::channel();
        let publish: Publish = Arc::new(move |report| {
            // What comes too late is told again.
            let _ = tell.send(report);
        });
        let resolver = Arc::new(Resolver::new(self.snapshot.server.dns.clone()));
        if let Err(error) = Discovery::ask_once(&self.snapshot, &resolver, &publish) {
            return log::error!("endpoints are not asked for: {error}");
        }
        let snapshot = Arc::make_mut(&mut self.snapshot);
        let until = Instant::now() + PATIENCE;
        while !waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(SourceReport { upstream, set, .. }) = told.recv_timeout(left) else { return };
            if let (Some((id, discover)), Ok(found)) = (waiting.remove(&upstream), set) {
                snapshot.set_members(id, listed(&upstream, &discover, &found));
            }
        }
    }
}

/// What the members come to. One that is no endpoint is left out, and told.
fn listed(upstream: &str, discover: &Discover, members: &[FoundMember]) -> Vec<Listed> {
    let mut found = Vec::with_capacity(members.len());
    for member in members {
        match discover.listed(member) {
            Ok(one) => found.push(one),
            Err(reason) => log::warn!("{}", refusal(upstream, member, &reason)),
        }
    }
    found
}
