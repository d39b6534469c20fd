//! Usage: what requests have cost, by route, upstream and model.
//!
//! A worker puts the record of an exchange into a queue and goes on; a thread adds it up here, and the
//! admin pages read the sums.
//!
//! * Each exchange is counted once, in one row, so the rows add up to the total. What attempts have cost
//!   that were given up is counted in the row of *their* upstream and model, and as no request.
//! * The names of models come from strangers. Only an answer opens a row of its own, one that did not
//!   fail or of which tokens have come. There are `usage.series` of them at most, and everything beyond is
//!   counted under [`OTHER`], of its route and upstream. Those rows are as many at most, and then there
//!   is one for all.
//! * Nothing is lost but what finds the queue full, and that is counted.
//!
//! Absent on purpose: what a worker would have to wait for.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::time::Utc;
use crate::config::snapshot::{Money, UsageSettings};
use crate::escape::escaped;
use crate::measure::journal::{Record, WASTE_REASONS, WastedTokens};

/// The name under which models are counted that have no row of their own.
pub const OTHER: &str = "other";

/// Records that wait to be added up: a pointer each, and what they hold.
const QUEUE: usize = 16_384;

/// What a row is of. `None`: there was none, or nobody has told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    /// The name of the API key.
    pub api_key: Option<String>,
    /// The path of the route, as configured.
    pub route: Option<String>,
    pub upstream: Option<String>,
    /// The model that was asked for.
    pub asked: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
}

impl UsageKey {
    fn of(
        api_key: Option<&str>,
        route: Option<&str>,
        upstream: Option<&str>,
        models: [Option<&str>; 2],
    ) -> UsageKey {
        // Escaped here and not where they are shown: two names that are shown alike are one row.
        let name = |name: &str| (!name.is_empty()).then(|| escaped(name).into_owned());
        let [asked, model] = models.map(|model| model.and_then(name));
        UsageKey {
            api_key: api_key.map(str::to_owned),
            route: route.map(str::to_owned),
            upstream: upstream.map(str::to_owned),
            asked,
            model,
        }
    }

    /// The row for models without one of their own.
    fn other(self) -> UsageKey {
        UsageKey { asked: Some(OTHER.into()), model: Some(OTHER.into()), ..self }
    }

    fn names_models(&self) -> bool {
        self.asked.is_some() || self.model.is_some()
    }

    fn is_other(&self) -> bool {
        !self.names_models() || self.asked.as_deref() == Some(OTHER)
    }
}

/// Tokens that no client got, for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waste {
    pub input: u64,
    pub output: u64,
}

/// The sums of one row, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageSums {
    pub requests: u64,
    /// Requests whose answers had tokens that were estimated.
    pub estimated: u64,
    /// Those of a cache included.
    pub input: u64,
    pub cached: u64,
    /// Those that were reasoning and those that are estimated included.
    pub output: u64,
    pub reasoning: u64,
    pub output_estimated: u64,
    /// In the order of [`WASTE_REASONS`].
    pub wasted: [Waste; WASTE_REASONS.len()],
    /// Of those with a price.
    pub cost: Money,
    /// Of attempts that were given up.
    pub cost_wasted: Money,
    /// Requests and attempts that had tokens, and no price.
    pub unpriced: u64,
    /// Streams that have said something, and how long they took to that, in microseconds, together.
    pub streams: u64,
    pub first_token_micros: u64,
    /// Their tokens behind the first, and how long those took together.
    pub spaced_tokens: u64,
    pub spaced_micros: u64,
    /// Failures by their names.
    pub errors: BTreeMap<&'static str, u64>,
    /// Those whose clients were told a status of 400 and above, by [`status_name`].
    pub statuses: BTreeMap<&'static str, u64>,
}

/// The name under which a failure with this status is counted: servers choose them, so those that mean
/// nothing here are told by their class. `None`: the client was told no failure.
fn status_name(status: u16) -> Option<&'static str> {
    const KNOWN: [(u16, &str); 20] = [
        (400, "400"),
        (401, "401"),
        (402, "402"),
        (403, "403"),
        (404, "404"),
        (405, "405"),
        (408, "408"),
        (409, "409"),
        (413, "413"),
        (415, "415"),
        (422, "422"),
        (424, "424"),
        (429, "429"),
        (499, "499"),
        (500, "500"),
        (501, "501"),
        (502, "502"),
        (503, "503"),
        (504, "504"),
        // Anthropic's "overloaded".
        (529, "529"),
    ];
    match KNOWN.binary_search_by_key(&status, |(known, _)| *known) {
        Ok(place) => Some(KNOWN[place].1),
        Err(_) => match status {
            400..500 => Some("4xx"),
            500.. => Some("5xx"),
            _ => None,
        },
    }
}

impl UsageSums {
    fn add_exchange(&mut self, record: &Record) {
        let usage = record.usage.unwrap_or_default();
        let output = record.output();
        let told = |count: Option<u32>| count.map_or(0, u64::from);
        self.requests += 1;
        self.input += told(usage.prompt);
        self.cached += told(usage.cached);
        self.output += output.tokens;
        self.reasoning += told(usage.reasoning);
        if output.estimated && output.tokens > 0 {
            self.estimated += 1;
            self.output_estimated += output.tokens;
        }
        self.add_times(record, output.tokens);
        let paid = record.paid();
        match record.cost() {
            Some(cost) => self.cost += cost,
            None => self.unpriced += u64::from(paid.input + paid.output > 0),
        }
        if let Some(failure) = record.failure() {
            *self.errors.entry(failure).or_default() += 1;
            if let Some(status) = status_name(record.status) {
                *self.statuses.entry(status).or_default() += 1;
            }
        }
    }

    /// How long the tokens of a stream took.
    fn add_times(&mut self, record: &Record, tokens: u64) {
        // A document has no first token, and what comes of an error is none.
        let Some(first) =
            record.first_event.filter(|_| record.is_stream && record.status < 300 && tokens > 0)
        else {
            return;
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let asked = record.request_written.unwrap_or_default();
        self.streams += 1;
        self.first_token_micros += micros(first.saturating_sub(asked));
        if tokens > 1 {
            self.spaced_tokens += tokens - 1;
            self.spaced_micros += micros(record.total.saturating_sub(first));
        }
    }

    fn add_waste(&mut self, wasted: &WastedTokens, cost: Option<Money>) {
        match cost {
            Some(cost) => self.cost_wasted += cost,
            None => self.unpriced += 1,
        }
        if let Ok(reason) = WASTE_REASONS.binary_search(&wasted.reason) {
            self.wasted[reason].input += wasted.input;
            self.wasted[reason].output += wasted.output;
        }
    }

    fn add(&mut self, row: &UsageSums) {
        self.requests += row.requests;
        self.estimated += row.estimated;
        self.input += row.input;
        self.cached += row.cached;
        self.output += row.output;
        self.reasoning += row.reasoning;
        self.output_estimated += row.output_estimated;
        self.cost += row.cost;
        self.cost_wasted += row.cost_wasted;
        self.unpriced += row.unpriced;
        self.streams += row.streams;
        self.first_token_micros += row.first_token_micros;
        self.spaced_tokens += row.spaced_tokens;
        self.spaced_micros += row.spaced_micros;
        for (all, one) in self.wasted.iter_mut().zip(row.wasted) {
            all.input += one.input;
            all.output += one.output;
        }
        for (failure, count) in &row.errors {
            *self.errors.entry(failure).or_default() += count;
        }
        for (status, count) in &row.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }

    fn shown(&self) -> Value {
        let reasons = WASTE_REASONS.iter().zip(self.wasted);
        let wasted =
            reasons.filter(|(_, waste)| *waste != Waste::default()).map(|(reason, waste)| {
                ((*reason).to_owned(), json!({ "in": waste.input, "out": waste.output }))
            });
        let wasted: serde_json::Map<String, Value> = wasted.collect();
        let millis =
            |micros: u64, of: u64| (of > 0).then(|| (micros as f64 / of as f64).round() / 1_000.0);
        json!({
            "streams": self.streams,
            "ttft_ms": millis(self.first_token_micros, self.streams),
            "time_per_output_token_ms": millis(self.spaced_micros, self.spaced_tokens),
            "requests": self.requests,
            "requests_estimated": self.estimated,
            "tokens_in": self.input,
            "tokens_cached": self.cached,
            "tokens_out": self.output,
            "tokens_reasoning": self.reasoning,
            "tokens_estimated": self.output_estimated,
            "tokens_wasted": wasted,
            "requests_unpriced": self.unpriced,
            "cost": self.cost.to_string(),
            "cost_wasted": self.cost_wasted.to_string(),
            "errors": self.errors,
            "error_statuses": self.statuses,
        })
    }
}

/// The sums of a process.
#[derive(Debug)]
pub struct UsageBook {
    since: SystemTime,
    /// Rows that name models, at most; and as many that name none.
    series: usize,
    currency: String,
    rows: Mutex<Rows>,
    /// Exchanges that found the queue full.
    missed: AtomicU64,
}

#[derive(Debug, Default)]
struct Rows {
    sums: BTreeMap<UsageKey, UsageSums>,
    /// Of those, how many name models, and how many name none or are [`OTHER`].
    named: usize,
    others: usize,
}

impl UsageBook {
    pub fn new(settings: &UsageSettings) -> UsageBook {
        UsageBook {
            since: SystemTime::now(),
            series: settings.series,
            currency: settings.currency.clone(),
            rows: Mutex::default(),
            missed: AtomicU64::new(0),
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an exchange that is over.
    pub fn add(&self, record: &Record) {
        let (route, asked) = (record.route.as_deref(), record.asked.as_deref());
        let upstream = record.upstream.as_ref().map(|(upstream, _)| upstream.as_str());
        let api_key = record.key.as_deref();
        let key = UsageKey::of(api_key, route, upstream, [asked, record.model.as_deref()]);
        let mut rows = self.rows();
        let opens = record.failure().is_none() || record.output().tokens > 0;
        rows.at(key, opens, self.series).add_exchange(record);
        for wasted in &record.wasted {
            let models = [asked, wasted.model.as_deref()];
            let key = UsageKey::of(api_key, route, wasted.upstream.as_deref(), models);
            // An attempt that has produced tokens was made for a model that there is.
            rows.at(key, true, self.series).add_waste(wasted, record.cost_wasted(wasted));
        }
    }

    /// Every row, sorted, and their sum.
    pub fn read(&self) -> (Vec<(UsageKey, UsageSums)>, UsageSums) {
        let rows = self.rows();
        let read: Vec<_> = rows.sums.iter().map(|(key, row)| (key.clone(), row.clone())).collect();
        drop(rows);
        let mut total = UsageSums::default();
        read.iter().for_each(|(_, row)| total.add(row));
        (read, total)
    }

    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// Exchanges that are in no row, as they came too fast.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// All of it, for `GET /usage`.
    pub fn document(&self) -> Value {
        let (rows, total) = self.read();
        let row = |(key, sums): &(UsageKey, UsageSums)| {
            let mut shown = sums.shown();
            shown["key"] = json!(key.api_key);
            shown["route"] = json!(key.route);
            shown["upstream"] = json!(key.upstream);
            shown["model_asked"] = json!(key.asked);
            shown["model"] = json!(key.model);
            shown
        };
        json!({
            "since": Utc::at(self.since).to_string(),
            "missed": self.missed(),
            "currency": self.currency,
            "total": total.shown(),
            "series": rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

impl Rows {
    /// The row of this key, or the one that stands for it. `opens`: it may be a new one.
    fn at(&mut self, key: UsageKey, opens: bool, series: usize) -> &mut UsageSums {
        if self.sums.contains_key(&key) {
            return self.sums.entry(key).or_default();
        }
        let key = match key.is_other() {
            false if opens && self.named < series => {
                self.named += 1;
                key
            }
            false => return self.at(key.other(), opens, series),
            true if self.others < series => {
                self.others += 1;
                key
            }
            // More routes and upstreams than rows, over many reloads.
            true => UsageKey::of(None, None, None, [None, None]).other(),
        };
        self.sums.entry(key).or_default()
    }
}

/// Where a worker leaves records to be added up.
#[derive(Clone, Debug)]
pub struct UsageQueue {
    queue: SyncSender<Arc<Record>>,
    book: Arc<UsageBook>,
}

impl UsageQueue {
    /// Starts the thread that adds up, and gives each record to `also`. It ends when the last queue is
    /// gone.
    pub fn start(
        settings: &UsageSettings,
        also: impl Fn(&Arc<Record>) + Send + 'static,
    ) -> io::Result<UsageQueue> {
        let book = Arc::new(UsageBook::new(settings));
        let (queue, records) = sync_channel::<Arc<Record>>(QUEUE);
        let sums = Arc::clone(&book);
        let adds = move || {
            for record in records {
                sums.add(&record);
                also(&record);
            }
        };
        thread::Builder::new().name("usage".into()).spawn(adds)?;
        Ok(UsageQueue { queue, book })
    }

    pub fn book(&self) -> &Arc<UsageBook> {
        &self.book
    }

    /// Takes a record, or counts it as missed. Returns at once.
    pub fn put(&self, record: &Arc<Record>) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Arc::clone(record)) {
            self.book.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
