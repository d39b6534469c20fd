//! What a gateway does about a canary: what it sees and a moment in, an act out.
//!
//! In this order, so that the first reason is the one that is told:
//!
//! | it sees | it does |
//! |---|---|
//! | the parts are not those that the canary was made against | stop |
//! | it tries the candidate, and refuses it | stop |
//! | it obeys the candidate, and has served worse for [`STANDING`]; or flagrantly so, while the others are well | stop |
//! | one that is to try it has not said for [`SILENCE`] that it obeys it | stop |
//! | one that tries it has begun anew [`RESTARTS`] times | stop |
//! | all that are to try it have obeyed it for as long as it is to be watched, and together they have answered enough requests, not half of them in vain | promote |
//!
//! All times are of one clock that never jumps, this gateway's: how long it has obeyed, how long it has
//! missed another one. So clocks may differ and be set.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Canary;
use super::judge::{Evidence, Figures, is_flagrant, worse};

/// Who does not say for so long that it obeys a candidate has ended, is cut off, or cannot obey it.
pub const SILENCE: Duration = Duration::from_secs(30);

/// A complaint has to stand for so long: by then the others have measured the same while, have said so
/// and been asked. An outage of all is seen here first.
pub const STANDING: Duration = Duration::from_secs(12);

/// As long as a canary is so young, all gateways measure and say closely what becomes of it.
pub const YOUNG: Duration = Duration::from_secs(60);

/// How often a gateway says then what it has measured, and one that tries the candidate asks the others.
pub const CLOSELY: Duration = Duration::from_secs(1);

/// What is known of others so long after a complaint has begun was measured behind its beginning: it has been
/// said, and asked for, since. A quarter of a second each is what a thread may be late by.
const SINCE_MEASURED: Duration = Duration::from_millis(2_500);

/// Who has not said anything new for so long is as one that says nothing: what it said last stays in the store
/// until its lease is over.
const STALE: Duration = Duration::from_secs(15);

/// One that tries a candidate and begins anew may have been updated. One that does so again has been ended by
/// it, as far as anybody can tell.
const RESTARTS: u32 = 2;

/// What a gateway says of a canary, in its status key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Of the change.
    pub number: u64,
    /// The candidate is in force here.
    pub obeyed: bool,
    /// For so long; of one that does not obey it, since it has seen it.
    pub seconds: u64,
    /// Requests since then.
    pub requests: u64,
    /// The ten minutes before.
    pub before: Figures,
    /// Since then, the last ten minutes at most.
    pub now: Figures,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Nothing,
    /// For this reason.
    Stop(String),
    Promote,
}

/// What a gateway has to say against a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    None,
    /// Something, which may pass, or be everybody's.
    New,
    /// This, for as long as it takes.
    Stands(String),
}

/// What a gateway sees.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    pub canary: &'a Canary,
    /// The parts are those that it was made against.
    pub holds: bool,
    /// Why this gateway does not obey the candidate that it has read.
    pub refused: Option<&'a str>,
    pub mine: &'a Report,
    /// What the others say; `None`: they could not be asked.
    pub others: Option<&'a BTreeMap<String, Report>>,
}

/// What one gateway remembers of a canary.
#[derive(Debug)]
pub struct Attendant {
    /// This gateway.
    name: String,
    number: u64,
    /// Since when it has obeyed the candidate.
    obeys_since: Option<Instant>,
    /// It serves worse.
    worse: Option<Worse>,
    /// Those that should obey it and do not say so, and since when.
    missed: BTreeMap<String, Instant>,
    /// What the others said last.
    heard: BTreeMap<String, Heard>,
}

/// A complaint that has begun.
#[derive(Debug)]
struct Worse {
    since: Instant,
    /// What the others had measured soon after.
    others: Option<BTreeMap<String, Figures>>,
}

/// What was heard of another gateway that tries the candidate.
#[derive(Debug)]
struct Heard {
    /// For how long it has obeyed it, as it says.
    seconds: u64,
    /// When it said so first.
    at: Instant,
    /// How often it has begun anew.
    restarts: u32,
}

impl Attendant {
    pub fn new(name: String) -> Attendant {
        Attendant {
            name,
            number: 0,
            obeys_since: None,
            worse: None,
            missed: BTreeMap::new(),
            heard: BTreeMap::new(),
        }
    }

    /// What is to be done now.
    pub fn decide(&mut self, sight: &Sight<'_>, now: Instant) -> Act {
        let Sight { canary, mine, others, .. } = sight;
        if self.number != canary.number {
            *self = Attendant { number: canary.number, ..Attendant::new(self.name.clone()) };
        }
        self.obeys_since = mine.obeyed.then(|| self.obeys_since.unwrap_or(now));
        if !sight.holds {
            return Act::Stop("the parts were changed meanwhile by something else".into());
        }
        if let Some(reason) = sight.refused {
            return Act::Stop(format!("{} refuses it: {reason}", self.name));
        }
        match self.complaint(sight, now) {
            Complaint::None => {}
            // Nothing good is said of it meanwhile.
            Complaint::New => return Act::Nothing,
            Complaint::Stands(why) => return Act::Stop(why),
        }
        let Some(others) = others else {
            // Who cannot be asked is not missed.
            self.missed.clear();
            return Act::Nothing;
        };
        self.hear(canary, others, now);
        self.miss(canary, others, now);
        let silent = self.missed.iter().find(|(_, since)| now.duration_since(**since) >= SILENCE);
        if let Some((name, _)) = silent {
            let seconds = SILENCE.as_secs();
            return Act::Stop(format!("{name} has not said for {seconds} s that it obeys it"));
        }
        let restless = self.heard.iter().find(|(_, heard)| heard.restarts >= RESTARTS);
        if let Some((name, heard)) = restless {
            let times = heard.restarts;
            return Act::Stop(format!("{name} has begun anew {times} times while it tried it"));
        }
        let watched = Duration::from_secs(canary.watch_seconds);
        let is_over = self.obeys_since.is_some_and(|since| now.duration_since(since) >= watched)
            && self.heard.values().all(|heard| heard.seconds >= canary.watch_seconds);
        let trying = others.iter().filter(|(name, _)| canary.is_for(name) && **name != self.name);
        let all: Vec<&Report> = trying.map(|(_, report)| report).chain([*mine]).collect();
        let sum = |of: fn(&Report) -> u64| all.iter().map(|it| of(it)).fold(0, u64::saturating_add);
        let enough = sum(|report| report.requests) >= canary.requests_min;
        // An outage of all is nobody's fault, and proves nothing either.
        let good = sum(|report| report.now.failed) <= sum(|report| report.now.requests) / 2;
        match is_over && self.missed.is_empty() && enough && good {
            true => Act::Promote,
            false => Act::Nothing,
        }
    }

    /// Notes what the others that try it say.
    fn hear(&mut self, canary: &Canary, others: &BTreeMap<String, Report>, now: Instant) {
        for (name, report) in others {
            let tries = report.number == canary.number && report.obeyed;
            if !tries || !canary.is_for(name) || *name == self.name {
                continue;
            }
            let seconds = report.seconds;
            let fresh = Heard { seconds, at: now, restarts: 0 };
            let heard = self.heard.entry(name.clone()).or_insert(fresh);
            if seconds != heard.seconds {
                heard.restarts += u32::from(seconds < heard.seconds);
                (heard.seconds, heard.at) = (seconds, now);
            }
        }
    }

    /// What this gateway has to say against the candidate, if it obeys it.
    pub fn complaint(&mut self, sight: &Sight<'_>, now: Instant) -> Complaint {
        let compared = self.compared(sight);
        let others: Vec<&Figures> = compared.values().map(|report| &report.now).collect();
        let Report { before, now: measured, obeyed, .. } = sight.mine;
        let evidence = Evidence { before, now: measured, others: &others };
        let Some(why) = worse(&evidence).filter(|_| *obeyed) else {
            self.worse = None;
            return Complaint::None;
        };
        let begun = self.worse.get_or_insert(Worse { since: now, others: None });
        let stands = now.duration_since(begun.since);
        let is_so = stands >= STANDING
            || stands >= SINCE_MEASURED
                && is_flagrant(&evidence, &begun.lately(&compared, sight.others.is_some()));
        match is_so {
            true => Complaint::Stands(format!("{}: {why}", self.name)),
            false => Complaint::New,
        }
    }

    /// What those say that do not try the candidate, by their names.
    fn compared<'a>(&self, sight: &Sight<'a>) -> BTreeMap<&'a str, &'a Report> {
        let is_compared = |(name, report): &(&String, &Report)| {
            **name != self.name && report.number == sight.canary.number && !report.obeyed
        };
        let others = sight.others.into_iter().flatten().filter(is_compared);
        others.map(|(name, report)| (name.as_str(), report)).collect()
    }

    /// Notes who should obey the candidate and does not say so.
    fn miss(&mut self, canary: &Canary, others: &BTreeMap<String, Report>, now: Instant) {
        let obeys = |report: &Report| report.number == canary.number && report.obeyed;
        let is_new = |heard: &Heard| now.duration_since(heard.at) < STALE;
        for name in &canary.gateways {
            let said = match *name == self.name {
                true => self.obeys_since.is_some(),
                false => {
                    others.get(name).is_some_and(obeys) && self.heard.get(name).is_some_and(is_new)
                }
            };
            match said {
                true => drop(self.missed.remove(name)),
                false => drop(self.missed.entry(name.clone()).or_insert(now)),
            }
        }
    }
}

impl Worse {
    /// What all others together have had since the complaint began, as far as they say it closely: who is behind
    /// may tell of what was before.
    fn lately(&mut self, others: &BTreeMap<&str, &Report>, can_be_asked: bool) -> Figures {
        let is_young = |report: &Report| report.seconds <= YOUNG.as_secs();
        let young = others.iter().filter(|(_, report)| can_be_asked && is_young(report));
        let young = young.map(|(name, report)| ((*name).to_owned(), &report.now));
        let Some(then) = &self.others else {
            let then: BTreeMap<String, Figures> =
                young.map(|(name, it)| (name, it.clone())).collect();
            self.others = can_be_asked.then_some(then);
            return Figures::default();
        };
        let since = young.filter_map(|(name, now)| Some(now.counted_since(then.get(&name)?)));
        since.fold(Figures::default(), |sum, one| sum.counted_with(&one))
    }
}

#[cfg(test)]
mod tests;
