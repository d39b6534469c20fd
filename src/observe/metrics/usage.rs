//! What requests have cost, by route, upstream and model.

use crate::measure::journal::WASTE_REASONS;
use crate::observe::exposition::{MetricType, Page};
use crate::observe::usage::{UsageBook, UsageKey, UsageSums};

/// The families of usage. `None`: nothing is added up.
pub(super) fn write(page: &mut Page, book: Option<&UsageBook>) {
    page.family(
        "sluicegate_usage_missed_total",
        MetricType::Counter,
        "Exchanges that are in no sum of usage, as they came too fast.",
    );
    page.sample(&[], book.map_or(0, UsageBook::missed));
    let rows = book.map_or_else(Vec::new, |book| book.read().0);
    family(
        page,
        ("sluicegate_model_requests_total", "Exchanges that are over."),
        &rows,
        |page, labels, sums| page.sample(labels, sums.requests),
    );
    family(
        page,
        (
            "sluicegate_model_tokens_total",
            "Tokens; cached are a part of input, reasoning and estimated of output.",
        ),
        &rows,
        |page, labels, sums| {
            let kinds = [
                ("cached", sums.cached),
                ("estimated", sums.output_estimated),
                ("input", sums.input),
                ("output", sums.output),
                ("reasoning", sums.reasoning),
            ];
            for (kind, tokens) in kinds {
                page.sample(&with(labels, ("gen_ai_token_type", kind)), tokens);
            }
        },
    );
    family(
        page,
        ("sluicegate_model_tokens_wasted_total", "Tokens that were paid for and no client got."),
        &rows,
        |page, labels, sums| {
            for (reason, waste) in WASTE_REASONS.iter().zip(sums.wasted) {
                for (kind, tokens) in [("input", waste.input), ("output", waste.output)] {
                    if tokens > 0 {
                        let labels = with(labels, ("gen_ai_token_type", kind));
                        page.sample(&with(&labels, ("reason", reason)), tokens);
                    }
                }
            }
        },
    );
    costs(page, book, &rows);
    times(page, &rows);
    errors(page, &rows);
}

/// What they have cost.
fn costs(page: &mut Page, book: Option<&UsageBook>, rows: &[(UsageKey, UsageSums)]) {
    let currency = ("currency", book.map_or("", UsageBook::currency));
    family(
        page,
        ("sluicegate_model_cost_total", "What tokens have cost, where they have a price."),
        rows,
        |page, labels, sums| page.sample(&with(labels, currency), sums.cost),
    );
    family(
        page,
        ("sluicegate_model_cost_wasted_total", "What wasted tokens have cost beside that."),
        rows,
        |page, labels, sums| page.sample(&with(labels, currency), sums.cost_wasted),
    );
}

/// Which of them failed.
fn errors(page: &mut Page, rows: &[(UsageKey, UsageSums)]) {
    family(
        page,
        ("sluicegate_model_errors_total", "Exchanges that failed, by their end reason."),
        rows,
        |page, labels, sums| {
            for (reason, count) in &sums.errors {
                page.sample(&with(labels, ("reason", reason)), count);
            }
        },
    );
    family(
        page,
        (
            "sluicegate_model_error_statuses_total",
            "Exchanges that failed, by the status that their client got.",
        ),
        rows,
        |page, labels, sums| {
            for (status, count) in &sums.statuses {
                page.sample(&with(labels, ("status", status)), count);
            }
        },
    );
}

/// How long their streams took.
fn times(page: &mut Page, rows: &[(UsageKey, UsageSums)]) {
    let seconds = |micros: u64| micros as f64 / 1e6;
    family(
        page,
        ("sluicegate_model_streams_total", "Streams that have said something."),
        rows,
        |page, labels, sums| page.sample(labels, sums.streams),
    );
    family(
        page,
        ("sluicegate_model_first_token_seconds_total", "How long they took to their first token."),
        rows,
        |page, labels, sums| page.sample(labels, seconds(sums.first_token_micros)),
    );
    family(
        page,
        ("sluicegate_model_spaced_tokens_total", "Their tokens behind the first."),
        rows,
        |page, labels, sums| page.sample(labels, sums.spaced_tokens),
    );
    family(
        page,
        ("sluicegate_model_spaced_tokens_seconds_total", "How long those tokens took."),
        rows,
        |page, labels, sums| page.sample(labels, seconds(sums.spaced_micros)),
    );
}

/// A family with some samples for each row.
fn family(
    page: &mut Page,
    (name, help): (&'static str, &str),
    rows: &[(UsageKey, UsageSums)],
    samples: impl Fn(&mut Page, &[(&str, &str)], &UsageSums),
) {
    page.family(name, MetricType::Counter, help);
    for (key, sums) in rows {
        let told = |name: &'static str, value: &'_ Option<String>| {
            (name, value.clone().unwrap_or_default())
        };
        let labels = [
            told("route", &key.route),
            told("upstream", &key.upstream),
            told("gen_ai_request_model", &key.asked),
            told("gen_ai_response_model", &key.model),
        ];
        // Where nobody has a key there is no such label.
        let api_key = key.api_key.as_deref().map(|name| ("key", name));
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(name, value)| (*name, value.as_str())).chain(api_key).collect();
        samples(page, &labels, sums);
    }
}

fn with<'a>(labels: &[(&'a str, &'a str)], one: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    let mut labels = labels.to_vec();
    labels.push(one);
    labels
}
