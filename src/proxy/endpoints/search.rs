//! The search for an endpoint: who is asked before whom, and when one is asked that is out.
//!
//! **Panic.** When more than `panic` percent of the endpoints that are not draining are out, the
//! judgement is doubted and not the endpoints: those that are out by judgement (breaker, checks)
//! are asked like the others. Those that said so themselves (429, 401) are not, as long as
//! anybody else is left. A request that somebody else could answer does not panic.
//!
//! **The last resort.** A breaker spares a request an endpoint that would fail it, for one that would
//! not. Where there is none, it could only refuse, and one client's bad requests would be everybody's
//! outage. So when all endpoints are out, and nobody else could answer, those are asked that their
//! own 429 or our judgement alone keeps out, a single endpoint too: those that rest come first, for they
//! have answered, and one client's 429 is not everybody's. What the checks say
//! is evidence only until traffic says otherwise: whoever they call unwell is asked like those whose
//! breakers are open, and one that answers is sent requests until its breaker opens.
//!
//! **Beside a predefined answer** those that are out are asked as long as that costs nobody much
//! ([`crate::proxy::breaker`]): where they fail soon each request goes to one where it has not been,
//! else one goes at a time, as a probe, a second after the last one failed.
//!
//! With `panic = 100` none of this holds: open is open.
//!
//! An endpoint that has refused this request a connection counts as one that is out: nobody has heard
//! the request, so somebody else is looked for.

use super::{Endpoints, Member, Pick, Settings, Tried};
use crate::clock::Instant;
use crate::config::snapshot::EndpointId;
use crate::proxy::balance::Candidate;
use crate::proxy::breaker::{Admits, Outcome};
use crate::proxy::health::HealthStatus;

/// A request, as far as the choice of an endpoint cares.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The endpoints its attempts have failed at.
    pub tried: &'a Tried,
    /// What makes requests alike ([`crate::proxy::balance::key`]), where the policy asks for it.
    pub key: Option<u64>,
    /// Nobody else could answer it, for now: rather an endpoint that is out than none.
    pub last_resort: bool,
    /// Nobody but a predefined answer stands in for them.
    pub degrades: bool,
    /// No endpoint of this upstream has heard it yet: those that were tried did not take a connection.
    pub unheard: bool,
    /// Nobody but this one may be asked.
    pub only: Option<EndpointId>,
}

impl Search<'_> {
    /// Whether this one may be asked at all.
    fn is_for(&self, member: &Member) -> bool {
        !member.draining && self.only.is_none_or(|only| only == member.endpoint.id)
    }
}

/// Which of the endpoints that may be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    First,
    Second,
    /// Those that are asked for want of anybody: they have refused this request a connection, they
    /// rest, or they are probed before their time.
    Last,
}

/// Who is out.
#[derive(Clone, Copy)]
pub(super) struct Survey {
    pub panic: bool,
    /// Nobody is left, and a breaker may not refuse what nobody else could answer.
    pub last_resort: bool,
    /// Nobody is left but a predefined answer.
    pub degrades: bool,
    /// When somebody may be back.
    pub until: Instant,
}

impl Survey {
    /// Nobody is out, and everybody may be asked.
    pub(super) const CALM: Survey =
        Survey { panic: false, last_resort: false, degrades: false, until: Instant::NEVER };
}

impl Endpoints {
    /// Fills `candidates` with all endpoints, if all are well and of one priority and none was tried or
    /// loads its model: then they are one tier, and there is nothing to weigh. Whether it is so, as it
    /// nearly always is.
    pub(super) fn gather_if_calm(&mut self, request: &Search<'_>, now: Instant) -> bool {
        if !request.tried.is_empty() || self.levels.len() > 1 {
            return false;
        }
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        let members = self.members.iter().enumerate();
        let mut members = members.filter(|(_, member)| request.is_for(member));
        let calm = members.all(|(endpoint, member)| {
            let well = member.loading.is_none() && self.admits(member, now) == Admits::Yes;
            let weight = member.endpoint.weight_in(self.settings.weight_share(member, now));
            candidates.push(Candidate { endpoint, weight });
            well
        });
        self.candidates = candidates;
        calm && !self.candidates.is_empty()
    }

    pub(super) fn survey(&self, request: &Search<'_>, now: Instant) -> Survey {
        self.survey_as(request, |member| self.admits(member, now))
    }

    /// The same, where endpoints admit what `admits` says.
    fn survey_as(&self, request: &Search<'_>, admits: impl Fn(&Member) -> Admits) -> Survey {
        let (mut all, mut out, mut left, mut soonest) = (0u64, 0u64, 0u64, Instant::NEVER);
        for member in self.members.iter().filter(|member| request.is_for(member)) {
            all += 1;
            if member.loading.is_some() {
                // It is there, and will answer: nobody is asked in its place who is out.
                left += 1;
            } else if let Admits::No { until, .. } = admits(member) {
                out += 1;
                soonest = soonest.min(until);
            } else if !request.unheard || !request.tried.contains(member.endpoint.id) {
                left += 1;
            }
        }
        let threshold = self.settings.breaker.as_ref().map(|breaker| u64::from(breaker.panic));
        let too_many = threshold.is_some_and(|percent| out * 100 > percent * all);
        let nobody = left == 0 && self.settings.doubts();
        Survey {
            panic: request.last_resort && all > 1 && too_many,
            last_resort: request.last_resort && nobody,
            degrades: request.degrades && nobody,
            until: soonest,
        }
    }

    /// Where a request could go that has failed at `tried`: to an endpoint that is none of them,
    /// and to one that is. `ended`: the attempt that is not recorded yet; what its endpoint admits
    /// is asked as if it were. Room is not asked for: a place can be waited for.
    pub fn prospects(
        &self,
        request: &Search<'_>,
        ended: Option<(&Pick, Outcome)>,
        now: Instant,
    ) -> (bool, bool) {
        let admits = |member: &Member| match (&ended, &self.settings.breaker) {
            (Some((pick, outcome)), Some(settings)) if pick.endpoint == member.endpoint.id => {
                let mut breaker = member.breaker.clone();
                let mut random = self.random.clone();
                breaker.record(pick.ticket, *outcome, now, settings, &mut random);
                self.combined(member, breaker.admits(now), now)
            }
            _ => self.admits(member, now),
        };
        let survey = self.survey_as(request, admits);
        let mut found = (false, false);
        for member in self.members.iter().filter(|member| request.is_for(member)) {
            let loads = matches!(&ended, Some((pick, Outcome::Loading)) if pick.endpoint == member.endpoint.id);
            if loads || member.awaits_model(now) {
                continue;
            }
            let (admits, again) = (admits(member), request.tried.contains(member.endpoint.id));
            match admits {
                Admits::Yes if !again => found.0 = true,
                // What nobody has heard loses nothing by an experiment.
                Admits::Probe if !again && request.unheard => found.0 = true,
                Admits::Reserve if !again => found.0 = true,
                Admits::Yes | Admits::Probe | Admits::Reserve => found.1 = true,
                // Who is out is not asked twice.
                Admits::No { .. } => {
                    found.0 |= !again && member.tier(admits, request, survey, now).is_some();
                }
            }
        }
        found
    }

    /// Fills `candidates` with the endpoints of a tier that have this priority.
    pub(super) fn gather(
        &mut self,
        tier: Tier,
        priority: u16,
        request: &Search<'_>,
        survey: Survey,
        now: Instant,
    ) {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        let members = self.members.iter().enumerate();
        let level = |member: &Member| member.endpoint.priority == priority;
        for (endpoint, member) in members.filter(|(_, it)| level(it) && request.is_for(it)) {
            let found = member.tier(self.admits(member, now), request, survey, now);
            if found == Some(tier) {
                let weight = member.endpoint.weight_in(self.settings.weight_share(member, now));
                candidates.push(Candidate { endpoint, weight });
            }
        }
        self.candidates = candidates;
    }
}

impl Member {
    /// Among whom a request may go to it, if it may at all.
    fn tier(
        &self,
        admits: Admits,
        request: &Search<'_>,
        survey: Survey,
        now: Instant,
    ) -> Option<Tier> {
        if self.awaits_model(now) {
            return None;
        }
        let tried = request.tried.contains(self.endpoint.id);
        // Who has failed once is no experiment: it goes where nobody is doubted, if it can.
        let begins = request.tried.is_empty();
        match admits {
            Admits::Yes if !tried => Some(Tier::First),
            Admits::Probe if begins => Some(Tier::First),
            Admits::Yes | Admits::Probe | Admits::Reserve if request.unheard && tried => {
                Some(Tier::Last)
            }
            Admits::Yes | Admits::Probe | Admits::Reserve => Some(Tier::Second),
            Admits::No { judged, .. } if survey.last_resort => {
                self.tier_at_last(judged, request, now)
            }
            Admits::No { judged: true, .. } if survey.panic => Some(match tried {
                false if begins => Tier::First,
                false => Tier::Second,
                true => Tier::Last,
            }),
            Admits::No { .. } if self.may_be_asked(survey, now) => (!tried).then_some(Tier::Second),
            Admits::No { .. } => self.may_be_probed(survey, now).then_some(Tier::Last),
        }
    }

    /// The same of one that is out, like all others. Who rests has answered, and perhaps for one
    /// client only; who is out by judgement has failed everybody. An answer that there is, a 429 for
    /// one, is not given away for a port that was shut a moment ago.
    fn tier_at_last(&self, judged: bool, request: &Search<'_>, now: Instant) -> Option<Tier> {
        let rests = self.breaker.is_resting(now) && self.endpoint.address.is_some();
        let answered = !request.unheard && !request.tried.is_empty();
        if !(rests || judged) || answered && self.breaker.is_unreachable() {
            return None;
        }
        Some(match request.tried.contains(self.endpoint.id) {
            true => Tier::Last,
            false if rests && self.believed() != HealthStatus::Unwell => Tier::First,
            false => Tier::Second,
        })
    }

    /// Whether a request may be sent to it although it is out, for there is only a predefined answer
    /// beside it. Whoever is unwell by its checks too is away.
    pub(super) fn may_be_asked(&self, survey: Survey, now: Instant) -> bool {
        survey.degrades
            && self.believed() != HealthStatus::Unwell
            && self.endpoint.address.is_some()
            && self.breaker.may_be_asked(now)
    }

    /// Whether a probe may be sent before its time, for there is only a predefined answer beside it.
    fn may_be_probed(&self, survey: Survey, now: Instant) -> bool {
        survey.degrades && self.breaker.may_probe_early(now) && self.endpoint.address.is_some()
    }
}

impl Settings {
    /// Whether an open breaker may be doubted at all.
    pub(super) fn doubts(&self) -> bool {
        self.breaker.as_ref().is_some_and(|breaker| breaker.panic < 100)
    }
}
