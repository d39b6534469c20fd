//! The figures of a level, out of what was seen of it. This is also the JSON.
//!
//! * Times are milliseconds. Percentiles of requests are exact, interpolated between neighbours as numpy
//!   does; those of gaps come from a histogram with three digits.
//! * Latencies are those of requests that were due in the measured time, however late they ended.
//! * Rates are what came in the measured time, over its length.
//! * A figure that was not measured is absent, never zero.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::load::{Plan, Seen};
use super::objectives::Objectives;
use super::outcome::Outcome;

const NANOS_PER_MILLI: f64 = 1e6;

/// How values are spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub count: u64,
    pub mean: f64,
    pub deviation: f64,
    pub min: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct LevelReport {
    /// The load, in words.
    pub label: String,
    pub arrivals: &'static str,
    /// Of a closed loop: requests in flight.
    pub concurrency: Option<usize>,
    /// Of an open loop: requests a second that are due.
    pub rate: Option<f64>,
    /// The measured time.
    pub seconds: f64,
    pub requests: Requests,
    pub failures: BTreeMap<String, FailureReport>,
    pub tokens: Tokens,
    pub requests_per_second: f64,
    pub output_tokens_per_second: Option<f64>,
    pub total_tokens_per_second: Option<f64>,
    pub goodput: Option<Goodput>,
    /// Requests in flight, on the average.
    pub concurrency_mean: f64,
    pub ttft_ms: Option<Spread>,
    pub itl_ms: Option<Spread>,
    pub tpot_ms: Option<Spread>,
    pub e2e_ms: Option<Spread>,
    /// Of an open loop: the same from when the request was sent, as tools count that forget how long it
    /// had waited.
    pub ttft_from_send_ms: Option<Spread>,
    pub e2e_from_send_ms: Option<Spread>,
    /// Of an open loop: due → sent.
    pub send_delay_ms: Option<Spread>,
    pub connections: u64,
    pub generator_busy_share: f64,
    /// More load than at the level before has brought hardly more.
    pub saturated: bool,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Requests {
    /// Due in the measured time, and over.
    pub ended: u64,
    pub succeeded: u64,
    pub failed: u64,
    /// Without an answer when the patience ended.
    pub unfinished: u64,
    /// Of an open loop: not answered well although there was time for it, as much as the first ones took.
    pub behind: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct FailureReport {
    pub count: u64,
    /// What the first of them has told.
    pub example: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Tokens {
    /// `usage`: the server has counted. `chunks`: it has not, and one chunk is taken for one token.
    /// `mixed`: some answers this, some that.
    pub output_counted_by: Option<&'static str>,
    pub input: Option<Spread>,
    pub output: Option<Spread>,
    /// What the prompts were made for; beside it stands what the server has counted.
    pub input_asked_mean: Option<f64>,
    pub output_asked_mean: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Goodput {
    pub objectives: String,
    pub requests_per_second: f64,
    /// Of the requests that were due, failures among them.
    pub share: f64,
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (first, last) = (*values.first()?, *values.last()?);
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let at = |quantile: f64| {
            let place = quantile * (count - 1.0);
            let low = place.floor() as usize;
            let low_value = values.get(low).copied().unwrap_or(last);
            let high_value = values.get(low + 1).copied().unwrap_or(last);
            low_value + (high_value - low_value) * place.fract()
        };
        Some(Spread {
            count: values.len() as u64,
            mean,
            deviation: (squares / count).sqrt(),
            min: first,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            max: last,
        })
    }

    /// Of nanoseconds, in milliseconds.
    fn of_histogram(histogram: &Histogram<u64>) -> Option<Spread> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / NANOS_PER_MILLI;
        (!histogram.is_empty()).then(|| Spread {
            count: histogram.len(),
            mean: histogram.mean() / NANOS_PER_MILLI,
            deviation: histogram.stdev() / NANOS_PER_MILLI,
            min: histogram.min() as f64 / NANOS_PER_MILLI,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            max: histogram.max() as f64 / NANOS_PER_MILLI,
        })
    }
}

pub fn millis(length: Duration) -> f64 {
    length.as_nanos() as f64 / NANOS_PER_MILLI
}

/// The load of a level, in words.
pub fn label(plan: &Plan) -> String {
    let process = &plan.process;
    match (process.rate(), process.is_open()) {
        (Some(rate), _) => format!("{rate} requests/s"),
        (None, true) => "trace".to_owned(),
        (None, false) => format!("concurrency {}", plan.in_flight_max),
    }
}

impl LevelReport {
    pub fn new(plan: &Plan, seen: &Seen, objectives: Option<&Objectives>) -> LevelReport {
        let measured = || seen.outcomes.iter().filter(|outcome| outcome.due >= seen.from);
        let succeeded: Vec<&Outcome> = measured().filter(|it| it.result.is_ok()).collect();
        let seconds = (seen.until - seen.from).as_secs_f64();
        let per_second = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        let inside = |it: &&Outcome| it.end >= seen.from && it.end <= seen.until;
        let ended_inside = || seen.outcomes.iter().filter(inside);
        let answered = ended_inside().filter(|it| it.result.is_ok()).count();
        let ended = measured().count() as u64;
        let spread = |of: &dyn Fn(&Outcome) -> Option<Duration>| {
            Spread::of(succeeded.iter().filter_map(|it| of(it)).map(millis).collect())
        };
        let open = plan.process.is_open();
        let when_open = |spread: Option<Spread>| spread.filter(|_| open);
        let output = rate_of_output(seen);
        let input = ended_inside().filter(|it| it.result.is_ok()).map(|it| it.usage.input);
        let input = input.map(|input| input.map(|input| input as f64)).sum::<Option<f64>>();
        LevelReport {
            label: label(plan),
            arrivals: plan.process.name(),
            concurrency: (!open).then_some(plan.in_flight_max),
            rate: plan.process.rate(),
            seconds,
            requests: Requests {
                ended,
                succeeded: succeeded.len() as u64,
                failed: ended - succeeded.len() as u64,
                unfinished: seen.unfinished,
                behind: if open { behind(seen) } else { 0 },
            },
            failures: failures(seen),
            tokens: Tokens::of(&succeeded),
            requests_per_second: per_second(answered as f64),
            output_tokens_per_second: output.map(per_second),
            total_tokens_per_second: output.zip(input).map(|(out, of)| per_second(out + of)),
            goodput: objectives.map(|objectives| {
                let kept = |it: &&Outcome| objectives.are_kept_by(it);
                let due = ended + seen.unfinished;
                Goodput {
                    objectives: objectives.to_string(),
                    requests_per_second: per_second(ended_inside().filter(kept).count() as f64),
                    share: measured().filter(kept).count() as f64 / due.max(1) as f64,
                }
            }),
            concurrency_mean: in_flight(seen),
            ttft_ms: spread(&Outcome::ttft),
            itl_ms: Spread::of_histogram(&seen.gaps),
            tpot_ms: spread(&Outcome::tpot),
            e2e_ms: spread(&|it| Some(it.e2e())),
            ttft_from_send_ms: when_open(spread(&|it| it.ttft()?.checked_sub(it.sent - it.due))),
            e2e_from_send_ms: when_open(spread(&|it| Some(it.end - it.sent))),
            send_delay_ms: when_open(spread(&|it| Some(it.sent - it.due))),
            connections: seen.connections,
            generator_busy_share: per_second(seen.busy.as_secs_f64()),
            saturated: false,
        }
    }
}

/// What has had its time and is not answered well when the last request becomes due. Its time is what nine of ten
/// of the first quarter took: those that became due before a queue could grow. So neither an answer that takes
/// long, nor a warm-up that was shorter than it, nor what became due at the very end counts as a server that
/// does not follow.
fn behind(seen: &Seen) -> u64 {
    let due = || seen.outcomes.iter().filter(|it| it.due >= seen.from && it.due <= seen.until);
    let Some(last) = due().map(|it| it.due).max() else { return seen.unfinished };
    let quarter = seen.from + (last - seen.from) / 4;
    let early = due().filter(|it| it.due <= quarter && it.result.is_ok());
    let took = Spread::of(early.map(|it| (it.end - it.due).as_secs_f64()).collect());
    let took = Duration::from_secs_f64(took.map_or(0.0, |took| took.p90));
    let failed = due().filter(|it| it.result.is_err()).count();
    let late = due().filter(|it| it.result.is_ok() && it.end > last && it.due + took <= last);
    (failed + late.count()) as u64 + seen.unfinished
}

/// Output tokens that came in the measured time. `None`: nobody has counted any.
fn rate_of_output(seen: &Seen) -> Option<f64> {
    let answered = seen.outcomes.iter().filter(|outcome| outcome.result.is_ok());
    let all: f64 = answered.map(Outcome::tokens_measured).sum();
    (all > 0.0).then_some(all)
}

/// Requests in flight in the measured time, on the average.
fn in_flight(seen: &Seen) -> f64 {
    let within = |it: &Outcome| it.end.min(seen.until) - it.sent.max(seen.from);
    let all: f64 = seen.outcomes.iter().map(|it| within(it).as_secs_f64()).sum();
    all / (seen.until - seen.from).as_secs_f64().max(1e-9)
}

fn failures(seen: &Seen) -> BTreeMap<String, FailureReport> {
    let mut all = BTreeMap::new();
    for outcome in seen.outcomes.iter().filter(|outcome| outcome.due >= seen.from) {
        let Err(failure) = outcome.result else { continue };
        let told = seen.told.get(&failure).filter(|told| !told.is_empty());
        let report = || FailureReport { count: 0, example: told.cloned() };
        all.entry(failure.name()).or_insert_with(report).count += 1;
    }
    all
}

impl Tokens {
    fn of(succeeded: &[&Outcome]) -> Tokens {
        let counted = succeeded.iter().filter(|it| it.usage.output.is_some()).count();
        let streamed = succeeded.iter().any(|it| it.streamed);
        let numbers = |of: &dyn Fn(&Outcome) -> Option<u64>| {
            Spread::of(succeeded.iter().filter_map(|it| of(it)).map(|count| count as f64).collect())
        };
        let output_counted_by = match counted {
            0 if succeeded.is_empty() || !streamed => None,
            0 => Some("chunks"),
            counted if counted == succeeded.len() => Some("usage"),
            _ => Some("mixed"),
        };
        let mean = |spread: Option<Spread>| spread.map(|spread| spread.mean);
        Tokens {
            output_counted_by,
            input: numbers(&|it| it.usage.input),
            output: numbers(&|it| Some(it.tokens()).filter(|tokens| *tokens > 0)),
            input_asked_mean: mean(numbers(&|it| it.asked_input.map(u64::from))),
            output_asked_mean: mean(numbers(&|it| Some(u64::from(it.asked_output)))),
        }
    }
}

/// Marks the levels that bring hardly more throughput than the one before (closed loop), or leave more of what
/// was due unanswered than chance explains (open loop, whose load is never quite what was asked for).
pub fn mark_saturation(levels: &mut [LevelReport]) {
    /// Of what the concurrency has grown by.
    const HARDLY: f64 = 0.1;
    /// Of what was due, and requests.
    const BEHIND: (f64, u64) = (0.1, 3);
    let load = |level: &LevelReport| level.concurrency.map(|count| count as f64);
    let work =
        |level: &LevelReport| level.output_tokens_per_second.unwrap_or(level.requests_per_second);
    let before: Vec<Option<(f64, f64)>> = std::iter::once(None)
        .chain(levels.iter().map(|level| load(level).map(|load| (load, work(level)))))
        .collect();
    for (level, before) in levels.iter_mut().zip(before) {
        let flat = load(level).zip(before).is_some_and(|(load, (load_before, before))| {
            let (more, gain) = (load / load_before - 1.0, work(level) / before.max(1e-9) - 1.0);
            more > 0.0 && gain < HARDLY * more
        });
        let Requests { ended, unfinished, behind, .. } = level.requests;
        let lags = behind >= BEHIND.1 && behind as f64 > (ended + unfinished) as f64 * BEHIND.0;
        level.saturated = flat || lags;
    }
}

#[cfg(test)]
mod tests;
