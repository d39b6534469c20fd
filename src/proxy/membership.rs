//! Membership: what of the sets that a source tells of an upstream is believed, and when.
//!
//! | told | in force |
//! |---|---|
//! | a set | that set |
//! | one that has lost more than the share `shrink` of the last one | both, in *doubt*, until it has been told for `confirm`, or the others are back |
//! | an empty one | the last one, in doubt; for good, unless `empty` says otherwise |
//! | a member that was away | it too; from the second time in [`WINDOW`] on after a pause, which doubles with each time |
//! | nothing but members that pause | these |
//!
//! A source fails as a whole far more often than its servers do: a registry that has lost its data, a name
//! server that answers with half of its records, a health check that everybody fails. An endpoint that is
//! really gone costs a failed attempt, an upstream without endpoints costs everything.
//!
//! Absent on purpose: how an endpoint is. Breakers and checks know that.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::{Belief, FoundMember};

#[cfg(test)]
mod tests;

/// A member that has left twice within this is damped.
pub const WINDOW: Duration = Duration::from_secs(300);
/// The first pause of one that comes back; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(1);
pub const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is believed of one source.
#[derive(Debug, Default)]
pub struct Membership {
    /// The last set that was believed, sorted.
    last: Vec<FoundMember>,
    doubt: Option<Doubt>,
    /// Who has left within the window.
    absences: BTreeMap<String, Absences>,
    in_force: Vec<FoundMember>,
    /// How many are told, and wait for their pauses to end.
    paused: usize,
    /// When the first of these pauses ends.
    back: Option<Instant>,
}

#[derive(Debug)]
struct Doubt {
    told: Vec<FoundMember>,
    /// When it is believed; [`Instant::NEVER`]: it is not.
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Absences {
    times: u32,
    left: Instant,
    /// When it is in force again.
    back: Instant,
}

/// What became of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Other members are in force than before.
    pub changed: bool,
    /// It is doubted, and the one before was not.
    pub doubted: bool,
    /// What was doubted is believed now, or was taken back.
    pub settled: bool,
}

impl Membership {
    /// The source tells this set.
    pub fn told(&mut self, mut told: Vec<FoundMember>, belief: &Belief, now: Instant) -> Judgement {
        told.sort();
        told.dedup_by(|one, other| one.identity() == other.identity());
        let lost = self.last.len().saturating_sub(told.len());
        let much = lost as f64 > belief.shrink * self.last.len() as f64;
        let empties = told.is_empty() && !self.last.is_empty();
        let was = self.doubt.is_some();
        if !(empties && !belief.empty || much) {
            self.believe(told, now);
            return self.judge(false, was, now);
        }
        let until = match empties && !belief.empty {
            true => Instant::NEVER,
            // A doubt that goes on is not prolonged, unless it could not be resolved so far, or more is lost.
            false => {
                let since = self.doubt.as_ref().filter(|doubt| doubt.told.len() <= told.len());
                let since = since.map(|doubt| doubt.until);
                since.filter(|until| *until != Instant::NEVER).unwrap_or(now + belief.confirm)
            }
        };
        self.doubt = Some(Doubt { told, until });
        self.judge(!was, false, now)
    }

    /// The source has failed: what is doubted is not told any more, and not believed before it is told
    /// again, for as long as at first.
    pub fn unknown(&mut self) {
        if let Some(doubt) = &mut self.doubt {
            doubt.until = Instant::NEVER;
        }
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Instant) -> Judgement {
        let confirmed = self.doubt.take_if(|doubt| doubt.until <= now);
        let settled = confirmed.is_some();
        if let Some(doubt) = confirmed {
            self.believe(doubt.told, now);
        }
        self.judge(false, settled, now)
    }

    /// When [`Membership::on_time`] has something to do; [`Instant::NEVER`]: only when something is told.
    pub fn due(&self, now: Instant) -> Instant {
        let doubt = self.doubt.as_ref().map_or(Instant::NEVER, |doubt| doubt.until);
        self.back.map_or(Instant::NEVER, |back| back.max(now)).min(doubt)
    }

    /// The members as they are in force.
    pub fn in_force(&self) -> &[FoundMember] {
        &self.in_force
    }

    /// The size of the set that is doubted, if one is.
    pub fn doubted(&self) -> Option<usize> {
        self.doubt.as_ref().map(|doubt| doubt.told.len())
    }

    /// How many are told, and not in force yet, because they come and go.
    pub fn paused(&self) -> usize {
        self.paused
    }

    fn believe(&mut self, told: Vec<FoundMember>, now: Instant) {
        self.doubt = None;
        self.absences.retain(|_, absences| now.since(absences.left) < WINDOW);
        for gone in self.last.iter().filter(|one| !has(&told, one)) {
            let first = Absences { times: 0, left: now, back: now };
            let absences = self.absences.entry(gone.key()).or_insert(first);
            absences.times += 1;
            absences.left = now;
        }
        for back in told.iter().filter(|one| !has(&self.last, one)) {
            if let Some(absences) = self.absences.get_mut(&back.key()) {
                let doublings = absences.times.saturating_sub(2).min(16);
                let pause = PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX);
                absences.back = if absences.times < 2 { now } else { now + pause };
            }
        }
        self.last = told;
    }

    fn paused_until(&self, member: &FoundMember, now: Instant) -> Option<Instant> {
        if self.absences.is_empty() {
            return None;
        }
        self.absences.get(&member.key()).map(|absences| absences.back).filter(|back| *back > now)
    }

    fn judge(&mut self, doubted: bool, settled: bool, now: Instant) -> Judgement {
        let mut members = Vec::with_capacity(self.last.len());
        let mut back = None;
        for member in &self.last {
            match self.paused_until(member, now) {
                None => members.push(member.clone()),
                Some(until) => {
                    back = Some(back.map_or(until, |soonest: Instant| soonest.min(until)))
                }
            }
        }
        if members.is_empty() {
            members.clone_from(&self.last);
            back = None;
        }
        (self.paused, self.back) = (self.last.len() - members.len(), back);
        // Newcomers of a set in doubt are as good as any.
        let told = self.doubt.iter().flat_map(|doubt| &doubt.told);
        for newcomer in told {
            if !has(&self.last, newcomer) {
                members.push(newcomer.clone());
            }
        }
        let changed = members != self.in_force;
        self.in_force = members;
        Judgement { changed, doubted, settled }
    }
}

/// Whether a set, which is sorted, has a member of this identity.
fn has(set: &[FoundMember], one: &FoundMember) -> bool {
    set.binary_search_by(|other| other.identity().cmp(&one.identity())).is_ok()
}

impl FoundMember {
    /// What makes it the same one in another set. A sorted set is sorted by it.
    fn identity(&self) -> (&str, Option<&str>) {
        (&self.address, self.name.as_deref())
    }

    fn key(&self) -> String {
        format!("{} {}", self.address, self.name.as_deref().unwrap_or_default())
    }
}
