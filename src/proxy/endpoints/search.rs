//! The search for an endpoint: who is asked before whom, and when one is asked that is out.
//!
//! **Panic.** When more than `panic` percent of the endpoints that are not draining are out, the
//! judgement is doubted and not the endpoints: those that are out by judgement (breaker, checks)
//! are asked like the others. Those that said so themselves (429, 401) are not; their answer is
//! known. A request that somebody else could answer does not panic.
//!
//! **The last resort.** A breaker spares a request an endpoint that would fail it, for one that would
//! not. Where there is none, it could only refuse, and one client's bad requests would be everybody's
//! outage. So when all endpoints are out, and nobody else could answer, those are asked that their
//! breakers alone keep out, a single endpoint too; and if none is left, those that rest, for one
//! client's 429 is not everybody's. What the checks say of a single endpoint is believed: they are
//! the operator's own. Where a predefined answer is left, one request is sent at a time, as a probe, a
//! second after the last one failed. With `panic = 100` none of this holds: open is open.
//!
//! An endpoint that has refused this request a connection counts as one that is out: nobody has heard
//! the request, so somebody else is looked for.

use super::{Endpoints, Member, Settings, Tried};
use crate::clock::Instant;
use crate::proxy::balance::Candidate;
use crate::proxy::breaker::Admits;
use crate::proxy::health::Verdict;

/// A request, as far as the choice of an endpoint cares.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
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

impl Endpoints {
    pub(super) fn survey(&self, request: &Request<'_>, now: Instant) -> Survey {
        let (mut all, mut out, mut left, mut soonest) = (0u64, 0u64, 0u64, Instant::NEVER);
        for member in self.members.iter().filter(|member| !member.draining) {
            all += 1;
            if let Admits::No { until, .. } = self.admits(member, now) {
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

    /// Fills `candidates` with the endpoints of a tier.
    pub(super) fn gather(
        &mut self,
        tier: Tier,
        request: &Request<'_>,
        survey: Survey,
        now: Instant,
    ) {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        let members = self.members.iter().enumerate();
        for (endpoint, member) in members.filter(|(_, member)| !member.draining) {
            let tried = request.tried.contains(member.endpoint.id);
            let doubted = survey.panic || survey.last_resort && member.active != Verdict::Unwell;
            // Who has failed once is no experiment: it goes where nobody is doubted, if it can.
            let begins = request.tried.is_empty();
            let found = match self.admits(member, now) {
                Admits::Yes if !tried => Tier::First,
                Admits::Probe if begins => Tier::First,
                Admits::Yes | Admits::Probe if request.unheard && tried => Tier::Last,
                Admits::Yes | Admits::Probe => Tier::Second,
                Admits::No { judged: true, .. } if doubted && begins => Tier::First,
                Admits::No { judged: true, .. } if doubted && !tried => Tier::Second,
                Admits::No { judged: true, .. } if doubted => Tier::Last,
                Admits::No { .. } if member.stands_by(survey, now) => Tier::Last,
                Admits::No { .. } => continue,
            };
            if found == tier {
                let weight = member.endpoint.weight_in(self.settings.weight_share(member, now));
                candidates.push(Candidate { endpoint, weight });
            }
        }
        self.candidates = candidates;
    }
}

impl Member {
    /// Whether it is asked when nobody else is left, although its breaker says no.
    fn stands_by(&self, survey: Survey, now: Instant) -> bool {
        let rests = survey.last_resort && self.breaker.is_resting(now);
        let early = survey.degrades && self.breaker.may_probe_early(now);
        self.endpoint.address.is_some() && self.active != Verdict::Unwell && (rests || early)
    }
}

impl Settings {
    /// Whether an open breaker may be doubted at all.
    pub(super) fn doubts(&self) -> bool {
        self.breaker.as_ref().is_some_and(|breaker| breaker.panic < 100)
    }
}
