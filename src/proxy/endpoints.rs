//! The endpoints of one upstream as one worker sees them: who is asked next, and what is learnt
//! from how it went.
//!
//! Ties together what each of its parts decides alone: the breaker and the active checks say who
//! may be asked, the balancer who is, and the load counts it. A [`Pick`] is the right to one
//! attempt; it is given back to [`Endpoints::record`], whatever became of the attempt.
//!
//! Who is asked, in this order:
//!
//! 1. Endpoints that are not draining, that breaker and checks admit, that this request has not
//!    tried, and that have room. A half-open endpoint gets its probe here, but not from a request
//!    that has failed once already: its next attempt should not be an experiment.
//! 2. If there is none: those it has tried, and probes, and those that are asked although they are
//!    out ([`search`]).
//!
//! In each of these, those with a lower priority number come before all others.
//!
//! 3. If there is none either: nobody. [`Choice::Full`] where room is all that is missing,
//!    [`Choice::Loading`] where one loads its model, else [`Choice::None`] with the time at which it
//!    may be different.
//!
//! Invariant: every pick is recorded exactly once. Dropping one gives its place back (the
//! [`Permit`] does), but the breaker would wait for its probe for ever.
//!
//! Absent on purpose: sockets, and the connection pool. An endpoint that is picked may still have
//! to be waited for.

use std::time::Duration;

use super::balance::{Balancer, Candidate};
use super::breaker::{Admits, Breaker, Outcome, Standing, Ticket, Transition, WHOLE};
use super::health::{self, HealthStatus};
use super::load::{Full, Permit, SharedLoad};
use super::random::Random;
use crate::clock::Instant;
use crate::config::snapshot::{
    Admission, BreakerSettings, Endpoint, EndpointId, HealthCheck, Upstream,
};

mod following;
mod gate;
mod hearsay;
mod loading;
mod member;
mod search;
mod tried;

#[cfg(test)]
mod tests;

use following::levels_of;
use loading::LoadingChange;
use member::{Departed, Member};
pub use search::Search;
pub use tried::Tried;

use search::{Survey, Tier};

/// When the checks may bring an endpoint back, if there are none any more, and when a name may have
/// an address.
const BACK_HINT: Duration = Duration::from_secs(1);

/// When one that loads its model is looked for again, that could have been asked and was not.
const LOADING_HINT: Duration = Duration::from_millis(100);

/// One upstream, in one worker.
#[derive(Debug)]
pub struct Endpoints {
    settings: Settings,
    /// In the order of the configuration.
    members: Vec<Member>,
    /// Who has left a while ago at most, or is still finishing: with what is known of it.
    departed: Vec<Departed>,
    /// Which set of members it is.
    version: u64,
    balancer: Balancer,
    load: SharedLoad,
    random: Random,
    /// Those a pick chooses among; kept for its capacity.
    candidates: Vec<Candidate>,
    panicking: bool,
    /// The priorities that members have, in the order in which they are asked: mostly one.
    levels: Vec<u16>,
}

/// What the configuration says of the upstream.
#[derive(Debug)]
struct Settings {
    /// `None`: off.
    breaker: Option<BreakerSettings>,
    health: Option<HealthCheck>,
    admission: Admission,
}

#[derive(Debug)]
pub enum Choice {
    Endpoint(Pick),
    /// There are endpoints that would be asked, and none has room.
    Full,
    /// There is one that loads its model, and is asked again then; nobody else would be asked.
    Loading {
        again: Instant,
    },
    /// Their server could not be started, and is tried again after so long.
    WakeFailed {
        retry_after: Duration,
    },
    /// No endpoint may be asked.
    None {
        /// When one may be, at the soonest; [`Instant::NEVER`] if all are draining.
        until: Instant,
    },
}

/// The right to one attempt at an endpoint, counted as long as it lives.
#[derive(Debug)]
#[must_use = "a pick goes back to `Endpoints::record`"]
pub struct Pick {
    /// Held, not read: the exchange counts until this is dropped.
    _permit: Permit,
    endpoint: EndpointId,
    /// Where it was in the list when it was picked.
    index: u32,
    ticket: Ticket,
}

impl Pick {
    pub fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    /// Its index among the endpoints of the generation that was the latest when it was picked.
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// It is out to see whether a half-open endpoint is well.
    pub fn is_probe(&self) -> bool {
        self.ticket.is_probe()
    }

    /// Its endpoint was out, or was to be probed.
    pub fn is_in_doubt(&self) -> bool {
        self.ticket.is_in_doubt()
    }

    /// It was sent to an endpoint that is out, and is no probe.
    pub fn is_panic(&self) -> bool {
        self.ticket.was_out() && !self.ticket.is_probe()
    }
}

/// How an endpoint is, for metrics and the admin API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    pub endpoint: EndpointId,
    /// `None`: the breaker is off.
    pub breaker: Option<Standing>,
    pub active: HealthStatus,
    pub draining: bool,
    /// It has said that it loads its model.
    pub loading: bool,
    /// A request would be sent now, if there is room.
    pub up: bool,
    /// Of its weight, in thousandths.
    pub weight_share: u32,
    /// Exchanges, all workers together.
    pub outstanding: u32,
    /// The moving average of the time to the first token.
    pub ttft: Option<Duration>,
}

impl Endpoints {
    /// `load` is that of the same endpoints, shared by all workers; `seed` tells workers apart.
    pub fn new(upstream: &Upstream, load: SharedLoad, seed: u64) -> Endpoints {
        let addresses = upstream.endpoints.iter().map(|endpoint| endpoint.address);
        let members = upstream.endpoints.iter().map(|one| Member::new(one, Breaker::new()));
        let endpoints = Endpoints {
            settings: Settings::of(upstream),
            members: members.collect(),
            departed: Vec::new(),
            version: upstream.version,
            balancer: Balancer::new(upstream.balance.clone(), addresses, load.next_turn()),
            load,
            random: Random::new(seed),
            candidates: Vec::with_capacity(upstream.endpoints.len()),
            panicking: false,
            levels: levels_of(&upstream.endpoints),
        };
        endpoints.check();
        endpoints
    }

    /// Chooses an endpoint and counts the exchange.
    pub fn pick(&mut self, request: &Search<'_>, now: Instant) -> Choice {
        if let Some(choice) = self.behind_gate(now) {
            return choice;
        }
        let calm = self.gather_if_calm(request, now);
        let survey = if calm { Survey::CALM } else { self.survey(request, now) };
        self.panicking = survey.panic || survey.last_resort;
        let mut full = false;
        let levels = self.levels.len();
        for (tier, level) in [Tier::First, Tier::Second, Tier::Last]
            .into_iter()
            .flat_map(|tier| (0..levels).map(move |level| (tier, level)))
            .take(if calm { 1 } else { usize::MAX })
        {
            if !calm {
                self.gather(tier, self.levels[level], request, survey, now);
            }
            while let Some(place) = self.balancer.pick(
                &self.candidates,
                request.key,
                now,
                &mut self.random,
                |endpoint| self.load.outstanding(endpoint),
            ) {
                let endpoint = self.candidates[place].endpoint;
                match self.load.try_begin(endpoint, &self.settings.admission) {
                    // It was counted first: nobody is sent to a server that is being stopped.
                    Ok(_) if !self.gate_admits() => {
                        return Choice::Loading { again: now + gate::WAKE_HINT };
                    }
                    Ok(permit) => {
                        return Choice::Endpoint(self.begin(endpoint, permit, survey, now));
                    }
                    Err(Full::Upstream) => return Choice::Full,
                    Err(Full::Endpoint) => {
                        full = true;
                        self.candidates.remove(place);
                    }
                }
            }
        }
        match self.loading_until() {
            _ if full => Choice::Full,
            Some(again) => Choice::Loading { again: again.max(now + LOADING_HINT) },
            None => Choice::None { until: survey.until },
        }
    }

    /// When the first endpoint that loads its model is asked again, if there is one.
    fn loading_until(&self) -> Option<Instant> {
        let members = self.members.iter().filter(|member| !member.draining);
        members.filter_map(|member| Some(member.loading.as_ref()?.asked_at())).min()
    }

    /// The answer to a pick has begun. A half-open endpoint that got this far is well. `ttft`: it is
    /// a stream, whose first output came so long after the request was written.
    pub fn first_event(
        &mut self,
        pick: &Pick,
        ttft: Option<Duration>,
        now: Instant,
    ) -> Option<Transition> {
        let endpoint = self.find(pick)?;
        let loaded = self.members[endpoint].model_answers(now);
        if let Some(ttft) = ttft {
            self.balancer.observe(endpoint, ttft, now);
        }
        if self.settings.breaker.is_none() {
            return loaded;
        }
        let member = &mut self.members[endpoint];
        let overruled =
            pick.ticket.was_out() && member.breaker.is_current(pick.ticket) && member.overrule();
        let transition = member.breaker.first_event(pick.ticket, now);
        self.tell_load(endpoint, transition, now);
        loaded.or(transition).or(overruled.then_some(Transition::Overruled))
    }

    /// An attempt has ended; its place is free. What is worth a line in the log.
    pub fn record(&mut self, pick: Pick, outcome: Outcome, now: Instant) -> Option<Transition> {
        let endpoint = self.find(&pick)?;
        if let Outcome::TimedOut { waited } = outcome {
            self.balancer.observe(endpoint, waited, now);
        }
        let member = &mut self.members[endpoint];
        let loading = match loading::record(&mut member.loading, outcome, now) {
            Some(LoadingChange::Begins) => Some(Transition::Loading),
            Some(LoadingChange::Ends { lasted }) => Some(Transition::Loaded { lasted }),
            None => None,
        };
        let Some(settings) = self.settings.breaker.as_ref() else { return loading };
        let answers = matches!(outcome, Outcome::Success | Outcome::ClientError);
        let counts = pick.ticket.was_out() && answers && member.breaker.is_current(pick.ticket);
        let overruled = counts && member.overrule();
        let transition =
            member.breaker.record(pick.ticket, outcome, now, settings, &mut self.random);
        if let Some(Transition::Opened { .. } | Transition::Unauthorized { .. }) = transition {
            // Traffic agrees with the checks.
            member.overruled = false;
        }
        self.tell_load(endpoint, transition, now);
        loading.or(transition).or(overruled.then_some(Transition::Overruled))
    }

    /// Somebody has found that the model of an endpoint is there.
    pub fn model_is_there(&mut self, endpoint: EndpointId) {
        if let Some(member) = self.get_mut(endpoint) {
            member.loading = None;
        }
    }

    /// What the control thread's checks say now.
    pub fn set_active_verdict(
        &mut self,
        endpoint: EndpointId,
        verdict: HealthStatus,
        now: Instant,
    ) {
        let Some(member) = self.get_mut(endpoint) else { return };
        if member.active == HealthStatus::Unwell && verdict == HealthStatus::Well {
            member.breaker.well_again(now);
            if let Some(loading) = &mut member.loading {
                loading.hurry(now);
            }
        }
        member.active = verdict;
        member.overruled = false;
    }

    /// The control thread has found that its port answers.
    pub fn set_reachable(&mut self, endpoint: EndpointId) {
        if let Some(member) = self.get_mut(endpoint) {
            member.breaker.reachable();
        }
    }

    /// Whether somebody would be asked who is neither out nor draining, besides those that were.
    pub fn has_anybody_but(&self, tried: &Tried, now: Instant) -> bool {
        let mut members = self.members.iter().filter(|member| !member.draining);
        !self.is_asleep()
            && members.any(|member| {
                let admits = self.admits(member, now);
                !member.awaits_model(now)
                    && !tried.contains(member.endpoint.id)
                    && !matches!(admits, Admits::No { .. })
            })
    }

    /// A draining endpoint finishes what it has and gets nothing new, over reloads too.
    pub fn set_draining(&mut self, endpoint: EndpointId, draining: bool) {
        if let Some(member) = self.get_mut(endpoint) {
            member.draining = draining;
        }
    }

    /// Until the next generation says another.
    pub fn set_weight(&mut self, endpoint: EndpointId, weight: u32) {
        if let Some(member) = self.get_mut(endpoint) {
            member.endpoint.weight = weight.max(1);
            member.adjusted = true;
        }
    }

    /// The configuration has been read again: its weights are in force.
    pub fn forget_weights(&mut self) {
        self.members.iter_mut().for_each(|member| member.adjusted = false);
    }

    /// What the latest generation says of an endpoint: its address, for an attempt of an exchange
    /// that began before it was there.
    pub fn get(&self, endpoint: EndpointId) -> Option<&Endpoint> {
        self.members.iter().map(|member| &member.endpoint).find(|known| known.id == endpoint)
    }

    /// The endpoints that there are, in the order of the configuration.
    pub fn ids(&self) -> impl Iterator<Item = EndpointId> + '_ {
        self.members.iter().map(|member| member.endpoint.id)
    }

    /// Whether the ceilings leave room for one more exchange.
    pub fn has_room(&self) -> bool {
        self.load.has_room(&self.settings.admission)
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn view(&self, endpoint: usize, now: Instant) -> View {
        let member = &self.members[endpoint];
        let breaker = self.settings.breaker.as_ref();
        View {
            endpoint: member.endpoint.id,
            breaker: breaker.map(|settings| member.breaker.standing(now, settings)),
            active: member.active,
            draining: member.draining,
            loading: member.loading.is_some(),
            up: !member.draining
                && member.loading.is_none()
                && !matches!(self.admits(member, now), Admits::No { .. }),
            weight_share: self.settings.weight_share(member, now),
            outstanding: self.load.outstanding(endpoint),
            ttft: self.balancer.ttft(endpoint, now),
        }
    }

    /// Whether the last pick found too many endpoints out.
    pub fn is_panicking(&self) -> bool {
        self.panicking
    }

    /// Probes that are out: zero when no exchange is.
    pub fn probes(&self) -> usize {
        self.members.iter().filter(|member| member.breaker.is_probing()).count()
    }

    fn begin(&mut self, index: usize, permit: Permit, survey: Survey, now: Instant) -> Pick {
        let out = matches!(self.admits(&self.members[index], now), Admits::No { .. });
        let member = &mut self.members[index];
        if let Some(loading) = &mut member.loading {
            loading.begin(now);
        }
        let asked = member.may_be_asked(survey, now);
        let breaker = &mut member.breaker;
        // A probe is out only for one whose checks are well: in panic nobody decides anything.
        let ticket = match out {
            true if asked => breaker.begin_asked(),
            true if survey.degrades => breaker.begin_early(),
            true => breaker.begin_in_panic(),
            false => breaker.begin(now),
        };
        Pick { _permit: permit, endpoint: member.endpoint.id, index: index as u32, ticket }
    }

    fn admits(&self, member: &Member, now: Instant) -> Admits {
        // Its own word, which is younger than what breaker and checks have seen.
        if member.loading.is_some() && member.endpoint.address.is_some() {
            return Admits::Yes;
        }
        let breaker =
            self.settings.breaker.as_ref().map_or(Admits::Yes, |_| member.breaker.admits(now));
        self.combined(member, breaker, now)
    }

    fn combined(&self, member: &Member, breaker: Admits, now: Instant) -> Admits {
        if member.endpoint.address.is_none() {
            return Admits::No { until: now + BACK_HINT, judged: false };
        }
        health::combine(member.believed(), breaker, || now + self.settings.back())
    }

    /// Where the endpoint of a pick is now, if it is still there.
    fn find(&self, pick: &Pick) -> Option<usize> {
        let same = |member: &Member| member.endpoint.id == pick.endpoint;
        if self.members.get(pick.index()).is_some_and(same) {
            return Some(pick.index());
        }
        self.members.iter().position(same)
    }

    fn get_mut(&mut self, endpoint: EndpointId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.endpoint.id == endpoint)
    }

    fn check(&self) {
        let ids = self.members.iter().map(|member| member.endpoint.id);
        debug_assert!(ids.eq((0..self.load.len()).map(|endpoint| self.load.id(endpoint))));
    }
}

impl Settings {
    fn of(upstream: &Upstream) -> Settings {
        Settings {
            breaker: upstream.breaker.clone(),
            health: upstream.health.clone(),
            admission: upstream.admission.clone(),
        }
    }

    fn weight_share(&self, member: &Member, now: Instant) -> u32 {
        let slow_start = self.breaker.as_ref().map(|breaker| breaker.slow_start);
        slow_start.map_or(WHOLE, |slow_start| member.breaker.weight_share(now, slow_start))
    }

    /// How long the checks take at least to bring an endpoint back.
    fn back(&self) -> Duration {
        let checks = |health: &HealthCheck| health.interval.saturating_mul(health.healthy);
        self.health.as_ref().map_or(BACK_HINT, checks)
    }
}
