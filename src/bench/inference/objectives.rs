//! Objectives (SLO): what an answer has to keep to count as good. Goodput is the rate of those that do.
//!
//! | name | of a request |
//! |---|---|
//! | `ttft` | time to its first token |
//! | `tpot`, `itl` | the mean time of a token behind the first |
//! | `max-gap` | the longest time between two chunks |
//! | `e2e` | time to the whole answer |

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::outcome::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Ttft,
    Tpot,
    MaxGap,
    E2e,
}

/// Limits that all have to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objectives {
    limits: Vec<(Figure, Duration)>,
    text: String,
}

impl Objectives {
    /// From `NAME=DURATION,…`, durations read by `duration`.
    pub fn read(
        text: &str,
        duration: impl Fn(&str) -> Result<Duration, String>,
    ) -> Result<Objectives, String> {
        let mut limits = Vec::new();
        for part in text.split(',') {
            let (name, limit) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not written NAME=DURATION"))?;
            let figure: Figure = name.trim().parse()?;
            let limit = duration(limit.trim()).map_err(|why| format!("{part}: {why}"))?;
            if limits.iter().any(|(known, _)| *known == figure) {
                return Err(format!("`{}` is limited twice", name.trim()));
            }
            limits.push((figure, limit));
        }
        Ok(Objectives { limits, text: text.to_owned() })
    }

    /// Whether only a stream can keep them.
    pub fn need_stream(&self) -> bool {
        self.limits.iter().any(|(figure, _)| *figure != Figure::E2e)
    }

    /// Whether this request counts as good. One with a single token has no time between tokens to be
    /// too long.
    pub fn are_kept_by(&self, outcome: &Outcome) -> bool {
        outcome.result.is_ok()
            && self.limits.iter().all(|(figure, limit)| match figure {
                Figure::Ttft => outcome.ttft().is_some_and(|ttft| ttft <= *limit),
                Figure::Tpot => outcome.tpot().is_none_or(|tpot| tpot <= *limit),
                Figure::MaxGap => outcome.longest_gap.is_none_or(|gap| gap <= *limit),
                Figure::E2e => outcome.e2e() <= *limit,
            })
    }
}

impl fmt::Display for Objectives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Figure {
    type Err = String;

    fn from_str(name: &str) -> Result<Figure, String> {
        match name {
            "ttft" => Ok(Figure::Ttft),
            "tpot" | "itl" => Ok(Figure::Tpot),
            "max-gap" => Ok(Figure::MaxGap),
            "e2e" => Ok(Figure::E2e),
            other => Err(format!(
                "there is no objective `{other}`; there are ttft, tpot (or itl), max-gap and e2e"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::inference::outcome::{Failure, outcome};

    fn read(text: &str) -> Result<Objectives, String> {
        Objectives::read(text, |text| {
            let millis = text.strip_suffix("ms").and_then(|number| number.parse().ok());
            millis.map(Duration::from_millis).ok_or_else(|| "no duration".to_owned())
        })
    }

    #[test]
    fn every_limit_has_to_be_kept() {
        // First token after 50 ms, 20 ms a token, 260 ms in all.
        let mut seen = outcome(100, 150, 350, 360, 11);
        seen.longest_gap = Some(Duration::from_millis(40));
        for (text, kept) in [
            ("ttft=50ms", true),
            ("ttft=49ms", false),
            ("itl=20ms,e2e=260ms", true),
            ("tpot=19ms", false),
            ("max-gap=40ms", true),
            ("max-gap=39ms", false),
            ("ttft=50ms,e2e=259ms", false),
        ] {
            let objectives = read(text).expect(text);
            assert_eq!(objectives.are_kept_by(&seen), kept, "{text}");
            let mut failed = seen.clone();
            failed.result = Err(Failure::Broken);
            assert!(!objectives.are_kept_by(&failed), "a failure is never good");
        }
        let whole = Outcome { streamed: false, ..seen };
        assert!(!read("ttft=50ms").expect("a limit").are_kept_by(&whole));
        assert!(read("ttft=1ms").expect("a limit").need_stream());
        assert!(!read("e2e=1ms").expect("a limit").need_stream());
    }

    #[test]
    fn what_is_no_objective_is_told() {
        for (text, part) in [
            ("ttft", "NAME=DURATION"),
            ("ttft=soon", "no duration"),
            ("p99=1ms", "no objective `p99`"),
            ("itl=1ms,tpot=2ms", "twice"),
        ] {
            let why = read(text).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
