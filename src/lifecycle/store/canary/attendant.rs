//! What a gateway does about a canary: what it sees and a moment in, an act out.
//!
//! In this order, so that the first reason is the one that is told:
//!
//! | it sees | it does |
//! |---|---|
//! | the parts are not those that the canary was made against | stop |
//! | it tries the candidate, and refuses it | stop |
//! | it obeys the candidate, and has served worse for [`STANDING`] | stop |
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
use super::judge::{Evidence, Figures, worse};

/// Who does not say for so long that it obeys a candidate has ended, is cut off, or cannot obey it.
pub const SILENCE: Duration = Duration::from_secs(30);

/// A complaint has to stand for so long: by then the others have measured the same while, have said so
/// and been asked. An outage of all is seen here first.
pub const STANDING: Duration = Duration::from_secs(12);

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
    /// Since when it serves worse.
    worse_since: Option<Instant>,
    /// Those that should obey it and do not say so, and since when.
    missed: BTreeMap<String, Instant>,
    /// What the others said last.
    heard: BTreeMap<String, Heard>,
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
            worse_since: None,
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
        let Some(why) = self.worse(sight) else {
            self.worse_since = None;
            return Complaint::None;
        };
        let since = *self.worse_since.get_or_insert(now);
        match now.duration_since(since) >= STANDING {
            true => Complaint::Stands(why),
            false => Complaint::New,
        }
    }

    fn worse(&self, sight: &Sight<'_>) -> Option<String> {
        let Sight { canary, mine, others, .. } = sight;
        if !mine.obeyed {
            return None;
        }
        let is_compared = |(name, report): &(&String, &Report)| {
            **name != self.name && report.number == canary.number && !report.obeyed
        };
        let others: Vec<&Figures> = others.map_or_else(Vec::new, |others| {
            others.iter().filter(is_compared).map(|(_, report)| &report.now).collect()
        });
        let evidence = Evidence { before: &mine.before, now: &mine.now, others: &others };
        worse(&evidence).map(|why| format!("{}: {why}", self.name))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(gateways: &[&str]) -> Canary {
        Canary {
            number: 43,
            by: "ann".into(),
            at: String::new(),
            message: String::new(),
            share: 20,
            watch_seconds: 300,
            requests_min: 20,
            gateways: gateways.iter().map(|name| (*name).to_owned()).collect(),
            changed: vec!["config".into()],
            parts: BTreeMap::new(),
            base: BTreeMap::new(),
            decided: None,
        }
    }

    fn report(obeyed: bool, requests: u64, failed: u64) -> Report {
        let now = Figures { requests, failed, ..Figures::default() };
        let before = Figures { requests: 1_000, ..Figures::default() };
        Report { number: 43, obeyed, seconds: 0, requests, before, now }
    }

    type Others = BTreeMap<String, Report>;

    fn others<const N: usize>(told: [(&str, Report); N]) -> Others {
        told.into_iter().map(|(name, report)| (name.to_owned(), report)).collect()
    }

    fn sight<'a>(canary: &'a Canary, mine: &'a Report, others: &'a Others) -> Sight<'a> {
        Sight { canary, holds: true, refused: None, mine, others: Some(others) }
    }

    fn stops(act: &Act, part: &str) {
        assert!(matches!(act, Act::Stop(why) if why.contains(part)), "{act:?} is not {part:?}");
    }

    #[test]
    fn a_quiet_watch_ends_with_a_promotion_by_whoever_tries_it() {
        let canary = canary(&["a"]);
        let (mine, rest) = (report(true, 30, 0), others([("b", report(false, 500, 0))]));
        let mut attendant = Attendant::new("a".into());
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let told = sight(&canary, &mine, &rest);
        assert_eq!(attendant.decide(&told, at(0)), Act::Nothing);
        assert_eq!(attendant.decide(&told, at(299)), Act::Nothing);
        assert_eq!(attendant.decide(&told, at(300)), Act::Promote);
        // Too few requests prove nothing: it waits for more.
        let few = report(true, 19, 0);
        assert_eq!(attendant.decide(&Sight { mine: &few, ..told }, at(400)), Act::Nothing);
        // Nor does the watch go on while the store is away, or by somebody who does not try it.
        assert_eq!(attendant.decide(&Sight { others: None, ..told }, at(401)), Act::Nothing);
        let onlooker = report(false, 500, 0);
        let seen = others([("a", report(true, 30, 0))]);
        let mut other = Attendant::new("b".into());
        for second in [0, 400] {
            assert_eq!(other.decide(&sight(&canary, &onlooker, &seen), at(second)), Act::Nothing);
        }
        // Another canary is watched from its own beginning.
        let next = Canary { number: 44, ..canary.clone() };
        let mine = Report { number: 44, ..mine.clone() };
        assert_eq!(attendant.decide(&sight(&next, &mine, &rest), at(402)), Act::Nothing);
    }

    #[test]
    fn all_that_try_it_have_to_obey_it_and_their_requests_count_together() {
        let canary = canary(&["a", "b"]);
        let mine = report(true, 12, 0);
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut attendant = Attendant::new("a".into());
        let both = |seconds| others([("b", Report { seconds, ..report(true, 8, 0) })]);
        attendant.decide(&sight(&canary, &mine, &both(0)), at(0));
        let one = others([]);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &one), at(300)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &both(299)), at(301)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &both(300)), at(302)), Act::Promote);
    }

    #[test]
    fn one_that_ends_while_it_tries_a_candidate_holds_the_promotion_back_and_stops_it() {
        let canary = canary(&["a", "b"]);
        let mine = report(true, 40, 0);
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let says = |seconds| others([("b", Report { seconds, ..report(true, 8, 0) })]);
        // Its last words stay for as long as its lease: they are no sign of life.
        let mut attendant = Attendant::new("a".into());
        attendant.decide(&sight(&canary, &mine, &says(290)), at(290));
        let last = says(300);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &last), at(295)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &last), at(590)), Act::Nothing);
        stops(&attendant.decide(&sight(&canary, &mine, &last), at(620)), "b has not said for 30 s");
        // Once may be an update, twice is none.
        let mut attendant = Attendant::new("a".into());
        for (second, seconds) in [(0, 5), (10, 2), (20, 12)] {
            let told = says(seconds);
            assert_eq!(attendant.decide(&sight(&canary, &mine, &told), at(second)), Act::Nothing);
        }
        let act = attendant.decide(&sight(&canary, &mine, &says(1)), at(30));
        stops(&act, "b has begun anew 2 times");
    }

    #[test]
    fn what_answers_half_of_its_requests_in_vain_is_not_promoted_whatever_was_before() {
        let canary = canary(&["a"]);
        let before = Figures { requests: 100, failed: 100, ..Figures::default() };
        let (mine, rest) = (report(true, 40, 40), others([("b", report(false, 500, 0))]));
        let mine = Report { before, ..mine };
        let mut attendant = Attendant::new("a".into());
        let begin = Instant::now();
        for second in [0, 300, 900] {
            let now = begin + Duration::from_secs(second);
            assert_eq!(attendant.decide(&sight(&canary, &mine, &rest), now), Act::Nothing);
        }
    }

    #[test]
    fn each_reason_stops_it() {
        let canary = canary(&["a"]);
        let rest = others([("b", report(false, 500, 0))]);
        let now = Instant::now();
        let (good, bad) = (report(true, 40, 0), report(true, 40, 12));
        let told = sight(&canary, &good, &rest);
        let decide = |sight: &Sight<'_>| {
            let mut attendant = Attendant::new("a".into());
            match attendant.decide(sight, now) {
                Act::Nothing => attendant.decide(sight, now + STANDING),
                act => act,
            }
        };
        assert_eq!(decide(&told), Act::Nothing);
        stops(&decide(&Sight { holds: false, ..told }), "changed meanwhile");
        stops(&decide(&Sight { refused: Some("no"), ..told }), "a refuses it: no");
        stops(&decide(&Sight { mine: &bad, ..told }), "a: 12 of 40 (30.0 %) requests were failed");
        // Without the store it can still tell.
        stops(&decide(&Sight { mine: &bad, others: None, ..told }), "requests were failed");
        // Where all are so, it is not the candidate.
        let outage = others([("b", report(false, 500, 150))]);
        assert_eq!(decide(&Sight { mine: &bad, others: Some(&outage), ..told }), Act::Nothing);
        // What others say of another canary is not compared with, nor what those say that try it.
        let stale = others([
            ("b", Report { number: 42, ..report(false, 500, 150) }),
            ("c", report(true, 500, 150)),
        ]);
        stops(&decide(&Sight { mine: &bad, others: Some(&stale), ..told }), "requests were failed");
        // Whoever does not try it has nothing to say.
        let bystander = report(false, 40, 12);
        assert_eq!(decide(&Sight { mine: &bystander, ..told }), Act::Nothing);
    }

    #[test]
    fn a_complaint_has_to_stand_until_the_others_have_measured_the_same_while() {
        let canary = canary(&["a"]);
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let bad = report(true, 40, 12);
        // What they said before the outage, and what they say of it.
        let before = others([("b", report(false, 500, 0))]);
        let outage = others([("b", report(false, 540, 160))]);
        let mut attendant = Attendant::new("a".into());
        assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(0)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(9)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &bad, &outage), at(10)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &bad, &outage), at(60)), Act::Nothing);
        // The others are well again, and here it goes on.
        assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(61)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(72)), Act::Nothing);
        stops(&attendant.decide(&sight(&canary, &bad, &before), at(73)), "requests were failed");
        // And nothing is promoted while it stands.
        let mut attendant = Attendant::new("a".into());
        let good = report(true, 40, 0);
        attendant.decide(&sight(&canary, &good, &before), at(0));
        assert_eq!(attendant.decide(&sight(&canary, &bad, &before), at(301)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &good, &before), at(302)), Act::Promote);
    }

    #[test]
    fn whoever_is_silent_for_half_a_minute_is_missed_by_all() {
        let canary = canary(&["a"]);
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mine = report(false, 0, 0);
        let (gone, here) = (others([]), others([("a", report(true, 0, 0))]));
        let mut attendant = Attendant::new("b".into());
        assert_eq!(attendant.decide(&sight(&canary, &mine, &gone), at(0)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &here), at(30)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &gone), at(40)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &gone), at(69)), Act::Nothing);
        // While nobody can be asked, nobody is missed.
        let away = Sight { others: None, ..sight(&canary, &mine, &gone) };
        assert_eq!(attendant.decide(&away, at(70)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &gone), at(71)), Act::Nothing);
        stops(&attendant.decide(&sight(&canary, &mine, &gone), at(101)), "a has not said for 30 s");
        // One that is there, and does not obey it, is missed as well.
        let idle = others([("a", report(false, 0, 0))]);
        let mut attendant = Attendant::new("b".into());
        attendant.decide(&sight(&canary, &mine, &idle), at(0));
        stops(&attendant.decide(&sight(&canary, &mine, &idle), at(30)), "a has not said");
    }
}
