//! A change that goes to a share of the gateways first: begun, told, promoted, aborted.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::{Failed, Why, someone};
use crate::cli::Exit;
use crate::config::units;
use crate::escape::escaped;
use crate::http::timestamp;
use crate::lifecycle::place::StorePlace;
use crate::lifecycle::store::canary::attendant::Report;
use crate::lifecycle::store::canary::judge::{Figures, REQUESTS_MIN, Times};
use crate::lifecycle::store::canary::{Canary, CanaryOutcome, Decision};
use crate::lifecycle::store::record::{PushOutcome, StoreContents, Trial, statuses};
use crate::sys;

/// Whether, and how, a change is tried first.
#[derive(Args, Clone, Debug)]
pub(super) struct Trying {
    /// Let this share of the gateways obey it first (20%), one at least and never all; it stops by
    /// itself when they serve worse, and is promoted when they do not
    #[arg(long, value_name = "SHARE", value_parser = share)]
    canary: Option<u8>,
    /// How long they are watched before it is promoted
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = seconds,
          requires = "canary")]
    watch: u64,
    /// How many requests they have to have answered by then, all together; 0: the time alone counts
    #[arg(long, value_name = "COUNT", default_value_t = REQUESTS_MIN, requires = "canary")]
    requests: u64,
}

/// A whole number of hundredths: `20%`.
fn share(told: &str) -> Result<u8, String> {
    let number = told.strip_suffix('%').and_then(|number| number.parse().ok());
    match number {
        Some(share @ 1..=99) => Ok(share),
        _ => Err("write a share from 1% to 99%; without --canary a change goes to all".to_owned()),
    }
}

/// A duration in whole seconds, from one second to a week.
fn seconds(told: &str) -> Result<u64, String> {
    let duration = units::duration(told).map_err(|mistake| mistake.to_string())?;
    match duration.as_secs() {
        seconds @ 1..=604_800 => Ok(seconds),
        _ => Err("write a duration from 1s to 168h".to_owned()),
    }
}

impl Trying {
    /// Whether the change is to be tried first.
    pub fn is_wanted(&self) -> bool {
        self.canary.is_some()
    }

    /// How it is to be tried; `None`: it goes to all at once.
    pub fn trial(&self, place: &StorePlace) -> Result<Option<Trial>, Failed> {
        let Some(share) = self.canary else { return Ok(None) };
        let statuses = statuses(place)?;
        // Others do not know of canaries, or do not obey the parts that it is compared with.
        let can = |status: &&Value| status["obeys"].is_string() && status["in_force"] == true;
        let names = statuses.iter().filter(can).filter_map(|status| status["gateway"].as_str());
        let mut gateways: Vec<String> = names.map(str::to_owned).collect();
        gateways.sort_unstable();
        gateways.dedup();
        if gateways.len() < 2 {
            let there = match gateways.first() {
                None => "no gateway says that it obeys what is here".to_owned(),
                Some(name) => format!("only {name} says that it obeys what is here"),
            };
            return Err(Failed::Plain(escaped(&format!(
                "{place}: {there}, and a canary needs two: one that tries the change, and one that goes \
                 on; push it without --canary"
            )).into_owned()));
        }
        let (watch_seconds, requests_min) = (self.watch, self.requests);
        Ok(Some(Trial { share, watch_seconds, requests_min, gateways }))
    }
}

/// Says that a change of this number is in the way.
pub(super) fn under_way(place: &StorePlace, number: u64) -> Failed {
    Failed::Plain(format!(
        "{place}: change {number} is tried by a share of the gateways; nothing was written: wait for it, \
         or end it with `config promote` or `config abort`"
    ))
}

/// Tells of the canary that is under way, or of the last one.
pub(super) fn tell(place: &StorePlace) -> Result<Exit, Failed> {
    let held = StoreContents::read(place)?.canary;
    let mut out = io::stdout().lock();
    match held.canary {
        Err(why) => {
            let told = format!(
                "{place}/.canary is no canary: {why}; gateways obey the parts, and `config abort` takes \
                 it out"
            );
            return Err(Failed::Plain(escaped(&told).into_owned()));
        }
        Ok(None) => writeln!(out, "there was none")?,
        Ok(Some(canary)) => {
            writeln!(out, "{}", escaped(&CanaryLine(&canary).to_string()))?;
            if canary.decided.is_none() {
                tell_gateways(&mut out, place, &canary)?;
            }
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}

/// What each gateway has measured, a line each.
fn tell_gateways(out: &mut impl Write, place: &StorePlace, canary: &Canary) -> Result<(), Failed> {
    let statuses = statuses(place)?;
    let mut silent: Vec<&String> = canary.gateways.iter().collect();
    let mut requests = 0_u64;
    for status in &statuses {
        let Ok(report) = serde_json::from_value::<Report>(status["canary"].clone()) else {
            continue;
        };
        if report.number != canary.number {
            continue;
        }
        let name = status["gateway"].as_str().unwrap_or_default();
        if report.obeyed {
            silent.retain(|known| *known != name);
            requests = requests.saturating_add(report.requests);
        }
        let obeys = if report.obeyed { "candidate" } else { "parts" };
        let told = format!(
            "{name}  {obeys}  {} s  {}; before: {}",
            report.seconds,
            Shown(&report.now),
            Shown(&report.before)
        );
        writeln!(out, "{}", escaped(&told))?;
    }
    for name in silent {
        writeln!(out, "{}", escaped(&format!("{name}  does not say that it obeys the candidate")))?;
    }
    if requests < canary.requests_min {
        writeln!(
            out,
            "{requests} requests so far; it is not promoted by itself before there are {}",
            canary.requests_min
        )?;
    }
    Ok(())
}

/// A canary in one line.
pub(super) struct CanaryLine<'a>(pub &'a Canary);

impl fmt::Display for CanaryLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Canary { number, by, at, message, share, watch_seconds, gateways, changed, .. } =
            self.0;
        let watch = units::show_duration(Duration::from_secs(*watch_seconds));
        let (changed, gateways) = (changed.join(","), gateways.join(", "));
        write!(
            f,
            "{number}  {at}  {by}  {changed}  {message}  ({share}%: {gateways}, for {watch}) "
        )?;
        match &self.0.decided {
            None => f.write_str(" running"),
            Some(decision) => decided(f, decision),
        }
    }
}

/// ` stopped by edge-1: why`
pub(super) fn decided(f: &mut impl fmt::Write, decision: &Decision) -> fmt::Result {
    let outcome = match decision.outcome {
        CanaryOutcome::Promoted => "promoted",
        CanaryOutcome::Stopped => "stopped",
    };
    write!(f, " {outcome} by {}: {}", decision.by, decision.why)
}

/// Figures for a person.
struct Shown<'a>(&'a Figures);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { requests, failed, refused, predefined, first_token, first_byte, .. } = self.0;
        write!(
            f,
            "{requests} requests, {failed} failed, {refused} refused, {predefined} predefined"
        )?;
        for (what, Times { count, p50_us, p95_us }) in
            [("first token", first_token), ("first byte", first_byte)]
        {
            if *count > 0 {
                let shown = |us: &u64| format!("{:?}", Duration::from_micros(*us));
                write!(f, ", {what} {} p50 {} p95", shown(p50_us), shown(p95_us))?;
            }
        }
        Ok(())
    }
}

/// Ends a canary by hand.
pub(super) fn decide(
    place: &StorePlace,
    outcome: CanaryOutcome,
    why: &Why,
) -> Result<Exit, Failed> {
    let mut held = StoreContents::read(place)?;
    let default = match outcome {
        CanaryOutcome::Promoted => "by hand",
        CanaryOutcome::Stopped => "aborted by hand",
    };
    let told = if why.message.is_empty() { default } else { &why.message };
    let decision = Decision {
        outcome,
        by: why.by.clone().unwrap_or_else(someone),
        at: timestamp::written(sys::time_of_day().as_secs()),
        why: told.to_owned(),
    };
    let done = match outcome {
        CanaryOutcome::Promoted => held.promote(decision)?,
        CanaryOutcome::Stopped => held.abort(decision)?,
    };
    match (done, outcome) {
        (PushOutcome::Made(0, _), _) => eprintln!("{place}: what was no canary is taken out"),
        (PushOutcome::Made(number, revision), CanaryOutcome::Promoted) => {
            eprintln!("{place}: change {number}, revision {revision}");
        }
        (PushOutcome::Made(number, _), CanaryOutcome::Stopped) => {
            eprintln!("{place}: change {number} is stopped; all gateways obey the parts");
        }
        (PushOutcome::Nothing, _) => {
            return Err(Failed::Plain(format!("{place}: no canary is under way")));
        }
        (PushOutcome::Lost | PushOutcome::UnderWay(_), _) => {
            return Err(Failed::Plain(format!(
                "{place}: somebody else has decided it, or changed the parts meanwhile; nothing was \
                 written: see `config canary`"
            )));
        }
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_part_and_a_watch_ends() {
        for (told, read) in [("20%", Some(20)), ("1%", Some(1)), ("99%", Some(99))] {
            assert_eq!(share(told).ok(), read);
        }
        for told in ["20", "0%", "100%", "-1%", "2.5%", "%", "", "20 %"] {
            assert!(share(told).is_err(), "{told}");
        }
        assert_eq!((seconds("5m"), seconds("1s")), (Ok(300), Ok(1)));
        for told in ["0s", "10ms", "169h", "5", ""] {
            assert!(seconds(told).is_err(), "{told}");
        }
    }
}
