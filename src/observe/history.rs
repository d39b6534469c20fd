//! History: the last hour, in rings of fixed length.
//!
//! A thread of the control side takes a reading of the workers' counters each second and puts the
//! difference in; the thread that adds usage up puts in what each exchange has been. A worker does
//! nothing for it.
//!
//! ```text
//!   second    … 298 299 │ 300 301 …       a lane: 300 slots of one second, 360 of ten
//!   fine      … [298][299][ 0 ][ 1 ] …    slot = second mod 300
//!   coarse    … [   29   ][   30  ] …     slot = second / 10 mod 360
//! ```
//!
//! * A lane takes 2.6 KiB. There are 18 of the gateway, 7 for each of [`UPSTREAMS`] upstreams at most, and
//!   one for each code that has happened: less than two megabytes in all, however many exchanges go by.
//! * The tokens of an answer are laid over the time from its first event to its end, when it has ended:
//!   so the past becomes right, and what still runs is not in the lanes of an upstream yet.

mod lane;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use self::lane::{HistoryLane, HistoryRange, LaneKind};
use super::reading::Reading;
use crate::clock::Instant;
use crate::measure::ends::UNOBSERVED;
use crate::measure::histogram::Sample;
use crate::measure::journal::Record;
use crate::measure::stats::Counters;

/// Upstreams with a history of their own; later ones have none.
pub const UPSTREAMS: usize = 64;

/// The lanes of the gateway.
const OVERALL: [(&str, LaneKind); 18] = [
    ("tokens", LaneKind::Sum),
    ("events", LaneKind::Sum),
    ("exchanges", LaneKind::Sum),
    ("failed_client", LaneKind::Sum),
    ("failed_upstream", LaneKind::Sum),
    ("failed_gateway", LaneKind::Sum),
    ("waited_upstream_ms", LaneKind::Sum),
    ("waited_client_ms", LaneKind::Sum),
    ("waited_gateway_ms", LaneKind::Sum),
    ("tokens_estimated", LaneKind::Most),
    ("active", LaneKind::Most),
    ("clients", LaneKind::Most),
    ("ttft_p50_us", LaneKind::Last),
    ("ttft_p99_us", LaneKind::Last),
    ("itl_p50_us", LaneKind::Last),
    ("itl_p99_us", LaneKind::Last),
    ("lag_p50_us", LaneKind::Last),
    ("lag_p99_us", LaneKind::Last),
];

/// The lanes of an upstream. The last two are told as their quotient.
const OF_AN_UPSTREAM: [(&str, LaneKind); 7] = [
    ("requests", LaneKind::Sum),
    ("failed", LaneKind::Sum),
    ("tokens", LaneKind::Sum),
    ("tokens_estimated", LaneKind::Sum),
    ("in_flight", LaneKind::Most),
    ("ttft_sum", LaneKind::Sum),
    ("ttft_count", LaneKind::Sum),
];

/// The history of a process.
#[derive(Debug)]
pub struct History {
    clock: fn() -> Instant,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    began: Instant,
    /// The last second that has a slot, and the one of the last reading.
    second: u64,
    ticked: u64,
    /// The readings that the next differences are made to: one second old, and at most ten.
    fine: Option<Reading>,
    coarse: Option<Reading>,
    /// What had been counted of each end by then.
    ends: BTreeMap<&'static str, u64>,
    faults: [u64; 3],
    overall: Vec<HistoryLane>,
    upstreams: BTreeMap<String, Vec<HistoryLane>>,
    codes: BTreeMap<&'static str, HistoryLane>,
}

impl History {
    /// One that begins now.
    pub fn new(clock: fn() -> Instant) -> History {
        let book = Book {
            began: clock(),
            second: 0,
            ticked: 0,
            fine: None,
            coarse: None,
            ends: BTreeMap::new(),
            faults: [0; 3],
            overall: lanes(&OVERALL),
            upstreams: BTreeMap::new(),
            codes: BTreeMap::new(),
        };
        History { clock, book: Mutex::new(book) }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nobody panics while it is held.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in what the workers have counted since the last call, and how many exchanges are under way
    /// at each upstream. To be called once a second.
    pub fn tick(&self, counters: &[Arc<Counters>], in_flight: &[(String, u32)]) {
        let now = (self.clock)();
        let mut book = self.book();
        book.advance(now);
        let (before, second) = (book.ticked, book.second);
        book.take(now, counters);
        for (name, count) in in_flight {
            if let Some(lanes) = book.upstream(name) {
                for past in (before + 1).min(second)..=second {
                    lanes[IN_FLIGHT].put(past, second, f64::from(*count));
                }
            }
        }
    }

    /// Puts in an exchange that is over.
    pub fn add(&self, record: &Record) {
        let now = (self.clock)();
        let mut book = self.book();
        book.advance(now);
        let second = book.second;
        if matches!(record.end, "complete" | UNOBSERVED)
            && let Some(code) = record.failure()
        {
            book.count(code, 1);
        }
        let Some((name, _)) = &record.upstream else { return };
        let Some(lanes) = book.upstream(name) else { return };
        lanes[REQUESTS].put(second, second, 1.0);
        if record.failure().is_some() {
            lanes[FAILED].put(second, second, 1.0);
        }
        let output = record.output();
        let streamed = record.total.saturating_sub(record.first_event.unwrap_or(record.total));
        lay(&mut lanes[TOKENS], second, streamed, output.tokens);
        if output.estimated {
            lay(&mut lanes[ESTIMATED], second, streamed, output.tokens);
        }
        if let Some(first) = record.first_event.filter(|_| record.is_stream && output.tokens > 0) {
            let waited = first.saturating_sub(record.request_written.unwrap_or_default());
            lanes[TTFT_SUM].put(second, second, waited.as_secs_f64() * 1e6);
            lanes[TTFT_COUNT].put(second, second, 1.0);
        }
    }

    /// The last five minutes by the second, or the last hour by ten: of the gateway, or of one of its
    /// upstreams. `None`: nothing is known of that one. `until`: the moment now, as text.
    pub fn document(&self, range: &str, upstream: Option<&str>, until: &str) -> Option<Value> {
        let range = HistoryRange::of(range);
        let mut book = self.book();
        // What has passed since the last tick is empty, and not what was there before.
        book.advance((self.clock)());
        let slots = range.slots(book.second);
        let shown = |lane: &HistoryLane| lane.shown(range, slots.clone());
        let mut document = json!({
            "range": range.name(),
            "step_seconds": range.step(),
            "until": until,
            "upstreams": book.upstreams.keys().collect::<Vec<_>>(),
        });
        let series: Map<String, Value> = match upstream {
            None => named(&OVERALL, &book.overall, shown),
            Some(name) => {
                let lanes = book.upstreams.get(name)?;
                let mut series = named(&OF_AN_UPSTREAM[..TTFT_SUM], lanes, shown);
                let mean = lanes[TTFT_SUM].over(&lanes[TTFT_COUNT], range, slots.clone());
                series.insert("ttft_mean_us".into(), mean);
                document["upstream"] = name.into();
                series
            }
        };
        document["series"] = series.into();
        if upstream.is_none() {
            let codes = book.codes.iter().map(|(code, lane)| ((*code).to_owned(), shown(lane)));
            document["codes"] = codes.collect::<Map<_, _>>().into();
        }
        Some(document)
    }
}

const REQUESTS: usize = 0;
const FAILED: usize = 1;
const TOKENS: usize = 2;
const ESTIMATED: usize = 3;
const IN_FLIGHT: usize = 4;
const TTFT_SUM: usize = 5;
const TTFT_COUNT: usize = 6;

fn named(
    names: &[(&str, LaneKind)],
    lanes: &[HistoryLane],
    shown: impl Fn(&HistoryLane) -> Value,
) -> Map<String, Value> {
    let named = names.iter().zip(lanes).map(|((name, _), lane)| ((*name).to_owned(), shown(lane)));
    named.collect()
}

/// Lays tokens evenly over the seconds that a stream has lasted until `second`.
fn lay(lane: &mut HistoryLane, second: u64, lasted: Duration, tokens: u64) {
    let over = (lasted.as_secs() + 1).min(second + 1);
    let each = tokens as f64 / over as f64;
    (second + 1 - over..=second).for_each(|past| lane.put(past, second, each));
}

fn lanes(kinds: &[(&str, LaneKind)]) -> Vec<HistoryLane> {
    kinds.iter().map(|(_, kind)| HistoryLane::new(*kind)).collect()
}

impl Book {
    /// Gives each second until `now` a slot of its own.
    fn advance(&mut self, now: Instant) {
        let second = (now - self.began).as_secs();
        let before = self.second;
        if second <= before {
            return;
        }
        self.second = second;
        let upstreams = self.upstreams.values_mut().flatten();
        let lanes = self.overall.iter_mut().chain(upstreams).chain(self.codes.values_mut());
        lanes.for_each(|lane| lane.clear(before, second));
    }

    /// The lanes of this upstream, new ones if there is room.
    fn upstream(&mut self, name: &str) -> Option<&mut Vec<HistoryLane>> {
        if !self.upstreams.contains_key(name) {
            if self.upstreams.len() == UPSTREAMS {
                return None;
            }
            self.upstreams.insert(name.to_owned(), lanes(&OF_AN_UPSTREAM));
        }
        self.upstreams.get_mut(name)
    }

    /// So many ends with this code. The codes are a closed list, and so are their lanes.
    fn count(&mut self, code: &'static str, number: u64) {
        let second = self.second;
        let lane = self.codes.entry(code).or_insert_with(|| HistoryLane::new(LaneKind::Sum));
        lane.put(second, second, number as f64);
    }

    /// Puts the differences to the last reading in.
    fn take(&mut self, now: Instant, counters: &[Arc<Counters>]) {
        let reading = Reading::take(now, counters);
        let faults = faults(counters);
        if let Some(before) = &self.fine {
            let second = self.second;
            let values = differences(before, &reading, &self.faults, &faults);
            let gauges = [Counters::exchanges_active, |c: &Counters| c.downstreams_open.get()];
            let gauges = gauges.map(|gauge| sum(counters, gauge) as f64);
            let values = values.into_iter().chain(gauges);
            // A thread that came late counts for the seconds that it has missed.
            let missed = (self.ticked + 1).min(second)..=second;
            let share = (second + 1 - missed.start()) as f64;
            for ((lane, value), (_, kind)) in self.overall.iter_mut().zip(values).zip(OVERALL) {
                let value = if kind == LaneKind::Sum { value / share } else { value };
                missed.clone().for_each(|past| lane.put(past, second, value));
            }
            quantiles(&mut self.overall, before, &reading, second, HistoryLane::put_fine);
        }
        self.take_coarse(&reading);
        self.take_ends(counters);
        self.faults = faults;
        self.ticked = self.second;
        self.fine = Some(reading);
    }

    /// Percentiles of ten seconds: those of one second cannot be added up.
    fn take_coarse(&mut self, reading: &Reading) {
        let second = self.second;
        let is_last = second % HistoryRange::Hour.step() == HistoryRange::Hour.step() - 1;
        match &self.coarse {
            Some(before) if is_last => {
                quantiles(&mut self.overall, before, reading, second, HistoryLane::put_coarse);
            }
            Some(_) => return,
            None => {}
        }
        self.coarse = Some(reading.clone());
    }

    fn take_ends(&mut self, counters: &[Arc<Counters>]) {
        for (code, count) in ends(counters) {
            let before = self.ends.insert(code, count).unwrap_or(0);
            if count > before {
                self.count(code, count - before);
            }
        }
    }
}

/// Ends that are errors, by their code, as all workers have counted them.
pub fn ends(counters: &[Arc<Counters>]) -> BTreeMap<&'static str, u64> {
    let mut ends = BTreeMap::new();
    for (code, count) in counters.iter().flat_map(|counters| counters.ends.iter()) {
        if !matches!(code, "complete" | UNOBSERVED) {
            *ends.entry(code).or_default() += count;
        }
    }
    ends
}

fn sum(counters: &[Arc<Counters>], value: fn(&Counters) -> u64) -> u64 {
    counters.iter().map(|counters| value(counters)).sum()
}

/// How many exchanges have failed by the fault of client, upstream and gateway.
fn faults(counters: &[Arc<Counters>]) -> [u64; 3] {
    [
        sum(counters, |c| c.client_faults.get() + c.client_gone.get()),
        sum(counters, |c| c.upstream_faults.get()),
        sum(counters, |c| c.local_faults.get()),
    ]
}

/// The first ten lanes of [`OVERALL`].
fn differences(
    before: &Reading,
    after: &Reading,
    failed_before: &[u64; 3],
    failed: &[u64; 3],
) -> [f64; 10] {
    let (was, is) = (before.total(), after.total());
    let (tokens, estimated) = is.since(&was);
    let millis =
        |owner: usize| after.waited[owner].saturating_sub(before.waited[owner]) as f64 / 1e6;
    let failures = |owner: usize| failed[owner].saturating_sub(failed_before[owner]) as f64;
    [
        tokens as f64,
        (is.events - was.events) as f64,
        (is.exchanges - was.exchanges) as f64,
        failures(0),
        failures(1),
        failures(2),
        millis(0),
        millis(1),
        millis(2),
        f64::from(u8::from(estimated && tokens > 0)),
    ]
}

/// The last six lanes of [`OVERALL`], where something has happened.
fn quantiles(
    overall: &mut [HistoryLane],
    before: &Reading,
    after: &Reading,
    second: u64,
    put: fn(&mut HistoryLane, u64, f64),
) {
    let samples: [fn(&Reading) -> &Sample; 3] =
        [|it| &it.first_event, |it| &it.event_gap, |it| &it.turn_time];
    let first = OVERALL.len() - 6;
    for (pair, sample) in overall[first..].chunks_mut(2).zip(samples) {
        let recent = sample(after).since(sample(before));
        for (lane, quantile) in pair.iter_mut().zip([0.5, 0.99]) {
            if let Some(value) = recent.quantile(quantile) {
                put(lane, second, value as f64);
            }
        }
    }
}
