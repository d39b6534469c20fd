//! What the authoriser has said, and how long requests have waited for it.

use std::sync::Arc;

use super::super::exposition::{MetricType, Page, Unit};
use super::sample;
use crate::measure::stats::Counters;

pub(super) fn write(page: &mut Page, counters: &[Arc<Counters>]) {
    page.family(
        "sluicegate_auth_answers_total",
        MetricType::Counter,
        "Requests that have waited for the authoriser, by what it has said.",
    );
    for (worker, counters) in counters.iter().enumerate() {
        let answers = [
            ("yes", &counters.auth_yes),
            ("no", &counters.auth_no),
            ("failed", &counters.auth_failed),
        ];
        for (answer, counter) in answers {
            page.sample(&[("worker", &worker.to_string()), ("answer", answer)], counter.get());
        }
    }
    page.family(
        "sluicegate_auth_wait_seconds",
        MetricType::Histogram,
        "How long requests have waited for the authoriser.",
    );
    page.histogram(&[], Unit::Time, &sample(counters, |c| &c.auth_wait));
}
