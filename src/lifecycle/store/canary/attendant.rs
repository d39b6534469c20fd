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
//! | it has obeyed the candidate for as long as it is to be watched, all others that try it do so too, and together they have answered enough requests | promote |
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
}

impl Attendant {
    pub fn new(name: String) -> Attendant {
        let (obeys_since, worse_since, missed) = (None, None, BTreeMap::new());
        Attendant { name, number: 0, obeys_since, worse_since, missed }
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
        self.miss(canary, others, now);
        let silent = self.missed.iter().find(|(_, since)| now.duration_since(**since) >= SILENCE);
        if let Some((name, _)) = silent {
            let seconds = SILENCE.as_secs();
            return Act::Stop(format!("{name} has not said for {seconds} s that it obeys it"));
        }
        let watched = Duration::from_secs(canary.watch_seconds);
        let is_over = self.obeys_since.is_some_and(|since| now.duration_since(since) >= watched);
        let trying = others.iter().filter(|(name, _)| canary.is_for(name) && **name != self.name);
        let requests =
            trying.map(|(_, report)| report.requests).fold(mine.requests, u64::saturating_add);
        match is_over && self.missed.is_empty() && requests >= canary.requests_min {
            true => Act::Promote,
            false => Act::Nothing,
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
        for name in &canary.gateways {
            let said = match *name == self.name {
                true => self.obeys_since.is_some(),
                false => others.get(name).is_some_and(obeys),
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
        let both = others([("b", report(true, 8, 0))]);
        attendant.decide(&sight(&canary, &mine, &both), at(0));
        let one = others([]);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &one), at(300)), Act::Nothing);
        assert_eq!(attendant.decide(&sight(&canary, &mine, &both), at(301)), Act::Promote);
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
