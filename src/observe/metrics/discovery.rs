//! What sources tell of endpoints.

use super::super::discovered::{DiscoveryState, SourceState};
use super::super::exposition::{MetricType, Page};

type Value = fn(&SourceState, u64) -> Option<u64>;

const FAMILIES: [(&str, MetricType, &str, Value); 7] = [
    (
        "sluicegate_discovery_members",
        MetricType::Gauge,
        "Endpoints that are in force by a source.",
        |state, _| Some(state.members as u64),
    ),
    (
        "sluicegate_discovery_paused",
        MetricType::Gauge,
        "Endpoints that a source tells, and that come and go: not in force for now.",
        |state, _| Some(state.paused as u64),
    ),
    (
        "sluicegate_discovery_doubted",
        MetricType::Gauge,
        "1 while a source tells far fewer endpoints than before, and the others are kept.",
        |state, _| Some(u64::from(state.doubted.is_some())),
    ),
    ("sluicegate_discovery_up", MetricType::Gauge, "1 while a source answers.", |state, _| {
        Some(u64::from(state.failing.is_none() && state.told > 0))
    }),
    (
        "sluicegate_discovery_age_seconds",
        MetricType::Gauge,
        "Since a source has told another set.",
        |state, now| (state.told_at > 0).then(|| now.saturating_sub(state.told_at)),
    ),
    (
        "sluicegate_discovery_sets_total",
        MetricType::Counter,
        "Sets that a source has told.",
        |state, _| Some(state.told),
    ),
    (
        "sluicegate_discovery_failures_total",
        MetricType::Counter,
        "Times that a source could not be asked.",
        |state, _| Some(state.failed),
    ),
];

/// `now`: in Unix seconds.
pub(super) fn write(page: &mut Page, state: &DiscoveryState, now: u64) {
    let states = state.all();
    for (name, kind, help, value) in FAMILIES {
        page.family(name, kind, help);
        for (upstream, state) in &states {
            if let Some(value) = value(state, now) {
                page.sample(&[("upstream", upstream), ("source", &state.source)], value);
            }
        }
    }
}
