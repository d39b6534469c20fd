//! Whether a candidate serves worse: numbers in, a sentence out, or none.
//!
//! | figure | worse when |
//! |---|---|
//! | requests that failed, that were turned away, that got a predefined answer | there were [`REQUESTS_MIN`] requests, [`BAD_MIN`] of them so; and the share is two points and a half of itself above what it is compared with, and three standard deviations beyond chance |
//! | a median time | there were [`MEDIAN_MIN`] of it; and it is twice the other, and 100 ms more |
//! | a 95th percentile | the same of [`P95_MIN`] |
//!
//! * It is compared with what the same gateway had before, and with what the others have now. It has to
//!   be worse than both: a general outage, or a server that was slow before, is not the candidate's.
//!   What has too few requests is not compared with.
//! * With nothing to compare with, half of the requests have to fail, and nothing else is judged.
//! * It is *flagrant* where half of the requests are so, and the others have had [`REQUESTS_MIN`] since it
//!   began, with hardly one in ten of them so: that it is not everybody's outage is seen, and need not be
//!   waited for.
//! * No clock, no store: a table of tests walks each row.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Fewer requests are not judged, and not compared with.
pub const REQUESTS_MIN: u64 = 20;
/// Fewer bad ones among them are chance.
pub const BAD_MIN: u64 = 5;
/// Fewer times have no median worth telling.
pub const MEDIAN_MIN: u64 = 50;
/// Fewer times have no 95th percentile.
pub const P95_MIN: u64 = 100;
/// A share has to be above the other one by so much, and by half of the other.
const SHARE_ABOVE: f64 = 0.02;
/// In standard deviations of what chance does.
const BEYOND_CHANCE: f64 = 3.0;
/// The share that is too much, with nothing to compare with.
const SHARE_ALONE: f64 = 0.5;
/// Of the others, not more than this share is bad while a candidate is flagrantly so.
const SHARE_WELL: f64 = 0.1;
/// A time has to be so many times the other one,
const TIMES: u64 = 2;
/// and so much above it, in microseconds.
const ABOVE_US: u64 = 100_000;

/// What a gateway has measured over a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Requests that are over, but for those that their clients gave up or wrote wrong.
    pub requests: u64,
    /// Of these: a server or the gateway has failed.
    pub failed: u64,
    /// Of these: turned away by the gateway, or answered with a 4xx by a server.
    pub refused: u64,
    /// Of these: answered in the servers' place.
    pub predefined: u64,
    /// Until a connection to a server was there.
    pub queue: Times,
    /// From the request written to the first byte of its answer.
    pub first_byte: Times,
    /// From the request written to the first event of its stream.
    pub first_token: Times,
}

/// Some times, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    pub count: u64,
    pub p50_us: u64,
    pub p95_us: u64,
}

type Share = (&'static str, fn(&Figures) -> u64);
type Time = (&'static str, u64, fn(&Figures) -> (u64, u64));

const FAILED: &str = "failed";
const SHARES: [Share; 3] = [
    (FAILED, |figures| figures.failed),
    ("refused", |figures| figures.refused),
    ("answered with a predefined text", |figures| figures.predefined),
];

/// What is told, how many of it there have to be, and how many there are with their time.
const TIMES_JUDGED: [Time; 6] = [
    ("the first token, p50", MEDIAN_MIN, |it| (it.first_token.count, it.first_token.p50_us)),
    ("the first token, p95", P95_MIN, |it| (it.first_token.count, it.first_token.p95_us)),
    ("the first byte, p50", MEDIAN_MIN, |it| (it.first_byte.count, it.first_byte.p50_us)),
    ("the first byte, p95", P95_MIN, |it| (it.first_byte.count, it.first_byte.p95_us)),
    ("the wait for a server, p50", MEDIAN_MIN, |it| (it.queue.count, it.queue.p50_us)),
    ("the wait for a server, p95", P95_MIN, |it| (it.queue.count, it.queue.p95_us)),
];

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// This gateway, before the candidate.
    pub before: &'a Figures,
    /// This gateway, under the candidate.
    pub now: &'a Figures,
    /// The gateways that obey the parts in force, now.
    pub others: &'a [&'a Figures],
}

/// Why the candidate serves worse; `None`: it does not, as far as anybody can tell.
pub fn worse(evidence: &Evidence<'_>) -> Option<String> {
    let share = SHARES.iter().find_map(|share| worse_share(evidence, share));
    share.or_else(|| TIMES_JUDGED.iter().find_map(|time| worse_time(evidence, time)))
}

/// Whether there is no doubt that it is the candidate: half of the requests or more are bad here, and the
/// others, in `lately`, have had enough and are well. `lately`: all others together, since this one is bad.
/// It has to be [`worse`] besides.
pub fn is_flagrant(evidence: &Evidence<'_>, lately: &Figures) -> bool {
    SHARES.iter().any(|share| {
        let (_, bad) = share;
        let of = |figures: &Figures| Part { bad: bad(figures), all: figures.requests };
        worse_share(evidence, share).is_some()
            && of(evidence.now).share() >= SHARE_ALONE
            && lately.requests >= REQUESTS_MIN
            && of(lately).share() <= SHARE_WELL
    })
}

fn worse_share(evidence: &Evidence<'_>, (what, bad): &Share) -> Option<String> {
    let of = |figures: &Figures| Part { bad: bad(figures), all: figures.requests };
    let now = of(evidence.now);
    if now.all < REQUESTS_MIN || now.bad < BAD_MIN {
        return None;
    }
    let enough = |part: Part| (part.all >= REQUESTS_MIN).then_some(part);
    let before = enough(of(evidence.before));
    let others = enough(evidence.others.iter().map(|figures| of(figures)).fold(
        Part::default(),
        |sum, part| Part {
            bad: sum.bad.saturating_add(part.bad),
            all: sum.all.saturating_add(part.all),
        },
    ));
    let worse = match (before, others) {
        // Alone, nobody knows what is usual but that requests should not fail.
        (None, None) => *what == FAILED && now.share() >= SHARE_ALONE,
        (before, others) => before.into_iter().chain(others).all(|other| now.is_worse_than(other)),
    };
    worse.then(|| format!("{now} requests were {what}{}", compared(before, others)))
}

fn worse_time(evidence: &Evidence<'_>, (what, least, time): &Time) -> Option<String> {
    let of = |figures: &Figures| {
        let (count, time) = time(figures);
        (count >= *least).then_some(time)
    };
    let now = of(evidence.now)?;
    let mut others: Vec<u64> = evidence.others.iter().filter_map(|figures| of(figures)).collect();
    others.sort_unstable();
    let (before, others) = (of(evidence.before), others.get(others.len() / 2).copied());
    if before.is_none() && others.is_none() {
        return None;
    }
    let above =
        |other: u64| now >= other.saturating_mul(TIMES) && now >= other.saturating_add(ABOVE_US);
    before.into_iter().chain(others).all(above).then(|| {
        let shown = |time| format!("{:?}", Duration::from_micros(time));
        format!("{what} is {}{}", shown(now), compared(before.map(shown), others.map(shown)))
    })
}

/// `, before … and … at the others`
fn compared(before: Option<impl fmt::Display>, others: Option<impl fmt::Display>) -> String {
    let before = before.map_or(String::new(), |before| format!(", before {before}"));
    let others = others.map_or(String::new(), |others| format!(", at the others {others}"));
    format!("{before}{others}")
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    bad: u64,
    all: u64,
}

impl Part {
    fn share(self) -> f64 {
        self.bad as f64 / self.all.max(1) as f64
    }

    fn is_worse_than(self, other: Part) -> bool {
        let (now, then) = (self.share(), other.share());
        // The two-proportion z test, with both taken together for what chance does.
        let all = self.all as f64 + other.all as f64;
        let both = (self.bad as f64 + other.bad as f64) / all;
        let error = both * (1.0 - both) * (1.0 / self.all as f64 + 1.0 / other.all as f64);
        let excess = now - then;
        excess >= SHARE_ABOVE.max(then / 2.0) && excess > BEYOND_CHANCE * error.max(0.0).sqrt()
    }
}

impl Figures {
    /// What was counted after `earlier`, without the times; what has fallen out of the window meanwhile
    /// counts as nothing.
    pub fn counted_since(&self, earlier: &Figures) -> Figures {
        Figures {
            requests: self.requests.saturating_sub(earlier.requests),
            failed: self.failed.saturating_sub(earlier.failed),
            refused: self.refused.saturating_sub(earlier.refused),
            predefined: self.predefined.saturating_sub(earlier.predefined),
            ..Figures::default()
        }
    }

    /// Both together, without the times.
    pub fn counted_with(&self, other: &Figures) -> Figures {
        Figures {
            requests: self.requests.saturating_add(other.requests),
            failed: self.failed.saturating_add(other.failed),
            refused: self.refused.saturating_add(other.refused),
            predefined: self.predefined.saturating_add(other.predefined),
            ..Figures::default()
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} ({:.1} %)", self.bad, self.all, 100.0 * self.share())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(failed: u64, requests: u64) -> Figures {
        Figures { requests, failed, ..Figures::default() }
    }

    #[test]
    fn a_share_is_worse_than_before_and_than_the_others() {
        for (now, before, others, is_worse, why) in [
            ((12, 40), (0, 200), (1, 500), true, "a plain rise"),
            ((12, 40), (0, 200), (0, 0), true, "nobody else has requests"),
            ((12, 40), (0, 0), (1, 500), true, "it had none before"),
            ((12, 40), (0, 200), (150, 500), false, "all are so: a general outage"),
            ((12, 40), (60, 200), (1, 500), false, "it was so before"),
            ((19, 19), (0, 200), (0, 500), false, "too few requests"),
            ((4, 20), (0, 200), (0, 500), false, "too few bad ones"),
            ((5, 20), (0, 200), (0, 500), true, "just enough"),
            ((5, 20), (0, 20), (0, 0), false, "chance, where little is known"),
            ((8, 20), (0, 20), (0, 0), true, "beyond chance"),
            ((1_150, 100_000), (0, 100_000), (0, 0), false, "certain, and less than two points"),
            ((2_100, 100_000), (0, 100_000), (0, 0), true, "two points"),
            ((440, 1_000), (400, 1_000), (0, 0), false, "not half as much again"),
            ((700, 1_000), (400, 1_000), (400, 1_000), true, "half as much again"),
            ((9, 20), (0, 0), (0, 0), false, "nothing to compare with, not half"),
            ((10, 20), (0, 0), (0, 0), true, "nothing to compare with, half"),
            ((10, 20), (0, 19), (0, 19), true, "what has too few is not compared with"),
        ] {
            let of = |(bad, all)| failed(bad, all);
            let (now, before, others) = (of(now), of(before), of(others));
            let evidence = Evidence { before: &before, now: &now, others: &[&others] };
            assert_eq!(worse(&evidence).is_some(), is_worse, "{why}: {:?}", worse(&evidence));
        }
    }

    #[test]
    fn it_is_flagrant_where_half_is_bad_and_the_others_are_seen_to_be_well_meanwhile() {
        for (now, before, lately, is_flagrant, why) in [
            ((19, 20), (0, 200), (0, 20), true, "nearly all"),
            ((20, 40), (0, 200), (2, 20), true, "half, and one in ten of the others"),
            ((19, 40), (0, 200), (0, 20), false, "not half"),
            ((19, 20), (0, 200), (3, 20), false, "the others are not well"),
            ((19, 20), (0, 200), (0, 19), false, "the others have had too few to tell"),
            ((19, 19), (0, 200), (0, 500), false, "too few requests"),
            ((19, 20), (150, 200), (0, 20), false, "it was so before"),
        ] {
            let of = |(bad, all)| failed(bad, all);
            let (now, before, lately) = (of(now), of(before), of(lately));
            let all = failed(0, 500).counted_with(&lately);
            let evidence = Evidence { before: &before, now: &now, others: &[&all] };
            assert_eq!(super::is_flagrant(&evidence, &lately), is_flagrant, "{why}");
        }
        // What is bad there is counted for what is bad here.
        let now = Figures { requests: 30, refused: 30, ..Figures::default() };
        let (before, failing) = (failed(0, 100), failed(30, 30));
        let evidence = Evidence { before: &before, now: &now, others: &[] };
        assert!(super::is_flagrant(&evidence, &failing));
        let refused = Figures { refused: 30, ..failing };
        assert!(!super::is_flagrant(&evidence, &refused));
    }

    #[test]
    fn the_reason_names_all_that_was_compared() {
        let (now, before, one, two) =
            (failed(12, 40), failed(0, 200), failed(1, 200), failed(0, 200));
        let evidence = Evidence { before: &before, now: &now, others: &[&one, &two] };
        assert_eq!(
            worse(&evidence).as_deref(),
            Some(
                "12 of 40 (30.0 %) requests were failed, before 0 of 200 (0.0 %), at the others 1 of \
                 400 (0.2 %)"
            )
        );
        let refused = Figures { requests: 40, refused: 40, ..Figures::default() };
        let nothing = Figures::default();
        let alone = Evidence { before: &nothing, now: &refused, others: &[] };
        assert_eq!(worse(&alone), None, "nobody knows what is usual");
        let evidence = Evidence { now: &refused, others: &[], ..evidence };
        assert!(worse(&evidence).is_some_and(|why| why.contains("requests were refused")));
        let predefined = Figures { requests: 40, predefined: 40, ..Figures::default() };
        let evidence = Evidence { now: &predefined, ..evidence };
        assert!(worse(&evidence).is_some_and(|why| why.contains("with a predefined text")));
    }

    #[test]
    fn a_time_is_worse_when_it_is_twice_and_a_tenth_of_a_second_more() {
        let times = |count, p50_ms: u64, p95_ms: u64| Figures {
            first_token: Times { count, p50_us: p50_ms * 1_000, p95_us: p95_ms * 1_000 },
            ..Figures::default()
        };
        for (now, before, others, found, why) in [
            ((50, 400, 0), (50, 200, 0), (0, 0, 0), Some("p50 is 400ms, before 200ms"), "twice"),
            ((49, 400, 0), (50, 200, 0), (0, 0, 0), None, "too few"),
            ((50, 400, 0), (49, 200, 0), (0, 0, 0), None, "too few before, and nobody else"),
            ((50, 399, 0), (50, 200, 0), (0, 0, 0), None, "not twice"),
            ((50, 90, 0), (50, 2, 0), (0, 0, 0), None, "not a tenth of a second"),
            ((50, 400, 0), (50, 200, 0), (50, 300, 0), None, "all are slow"),
            ((50, 400, 0), (50, 300, 0), (50, 100, 0), None, "it was slow before"),
            ((100, 200, 4_000), (100, 200, 900), (100, 200, 1_000), Some("p95 is 4s"), "the tail"),
            ((99, 200, 4_000), (100, 200, 900), (100, 200, 1_000), None, "too few for a tail"),
            ((50, 400, 0), (0, 0, 0), (50, 100, 0), Some("at the others 100ms"), "none before"),
            ((50, 400, 0), (0, 0, 0), (0, 0, 0), None, "nothing to compare with"),
        ] {
            let of = |(count, p50, p95)| times(count, p50, p95);
            let (now, before, others) = (of(now), of(before), of(others));
            let evidence = Evidence { before: &before, now: &now, others: &[&others] };
            let told = worse(&evidence);
            match found {
                Some(part) => {
                    assert!(
                        told.as_ref().is_some_and(|told| told.contains(part)),
                        "{why}: {told:?}"
                    );
                }
                None => assert_eq!(told, None, "{why}"),
            }
        }
    }

    #[test]
    fn of_the_others_the_median_counts_and_no_number_is_too_large() {
        let of = |p50_us| Figures {
            first_byte: Times { count: u64::MAX, p50_us, p95_us: 0 },
            requests: u64::MAX,
            ..Figures::default()
        };
        let (now, slow, quick) = (of(400_000), of(u64::MAX), of(100_000));
        let nothing = Figures::default();
        let evidence = Evidence { before: &nothing, now: &now, others: &[&slow, &quick, &quick] };
        assert!(worse(&evidence).is_some());
        let evidence = Evidence { others: &[&slow, &slow, &quick], ..evidence };
        assert_eq!(worse(&evidence), None);
    }
}
