//! What this gateway is busy with, as its workers count it.

use std::sync::Arc;

use crate::clock::Instant;
use crate::fleet::hints::BrokenEndpoints;
use crate::fleet::limit::Amounts;
use crate::fleet::report::MemberReport;
use crate::measure::stats::Counters;
use crate::observe::obeyed::ConfigState;
use crate::observe::reading::Tokens;
use crate::sys;

/// Makes the report of this member.
pub(super) struct LoadMeter {
    counters: Vec<Arc<Counters>>,
    config: Arc<ConfigState>,
    name: String,
    admin: Option<String>,
    started: u64,
    before: Option<(Instant, u64, Tokens)>,
}

impl LoadMeter {
    pub fn new(
        counters: Vec<Arc<Counters>>,
        config: Arc<ConfigState>,
        name: String,
        admin: Option<String>,
    ) -> LoadMeter {
        let started = sys::time_of_day().as_secs();
        LoadMeter { counters, config, name, admin, started, before: None }
    }

    /// What is to be said now: rates are those since the last time.
    pub fn report(
        &mut self,
        now: Instant,
        (demand, broken): (&Amounts, &BrokenEndpoints),
        draining: bool,
    ) -> MemberReport {
        let streams: Vec<u64> = self.counters.iter().map(|it| it.exchanges_active()).collect();
        let total: u64 = streams.iter().sum();
        let fullest = streams.iter().max().copied().unwrap_or(0);
        let mean = total as f64 / streams.len().max(1) as f64;
        let requests = self.counters.iter().map(|it| it.exchanges.get()).sum();
        let tokens = Tokens::of_all(&self.counters);
        let (requests_per_second, tokens_per_second) = match &self.before {
            Some((at, had, tokens_had)) => {
                let seconds = now.since(*at).as_secs_f64().max(0.001);
                let (new, _) = tokens.since(tokens_had);
                ((requests - had) as f64 / seconds, new as f64 / seconds)
            }
            None => (0.0, 0.0),
        };
        self.before = Some((now, requests, tokens));
        MemberReport {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: self.config.in_force().0,
            revision: self.config.revision(),
            admin: self.admin.clone(),
            draining,
            started: self.started,
            at: u64::try_from(sys::time_of_day().as_millis()).unwrap_or(0),
            streams: total,
            requests_per_second,
            tokens_per_second,
            workers: streams.len() as u64,
            skew: (total > 0).then_some(fullest as f64 / mean),
            demand: demand.clone(),
            broken: broken.clone(),
        }
    }
}
