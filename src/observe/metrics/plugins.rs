//! Plugins: how long their hooks took, and how often they failed.

use serde_json::{Value, json};

use super::Page;
use crate::config::snapshot::ActivePlugin;
use crate::observe::exposition::{MetricType, Unit};
use crate::plugins::Hook;

pub(super) fn write(page: &mut Page, plugins: &[ActivePlugin]) {
    let counts: Vec<_> = plugins
        .iter()
        .flat_map(|plugin| {
            let counts = Hook::ALL.into_iter().zip(plugin.loaded.calls.counts());
            let has = plugin.loaded.hooks();
            counts.filter(move |(hook, _)| has.has(*hook)).map(move |(hook, counts)| {
                ([("plugin", plugin.settings.name.as_str()), ("hook", hook.name())], counts)
            })
        })
        .collect();
    page.family(
        "sluicegate_plugin_call_seconds",
        MetricType::Histogram,
        "Calls of a plugin's hooks.",
    );
    for (labels, counts) in &counts {
        page.histogram(labels, Unit::Time, &counts.time);
    }
    page.family(
        "sluicegate_plugin_slow_calls_total",
        MetricType::Counter,
        "Calls that took longer than the plugin's budget.",
    );
    for (labels, counts) in &counts {
        page.sample(labels, counts.slow);
    }
    page.family(
        "sluicegate_plugin_errors_total",
        MetricType::Counter,
        "Calls that failed, or asked for what cannot be done.",
    );
    for (labels, counts) in &counts {
        page.sample(labels, counts.errors);
    }
    page.family(
        "sluicegate_plugin_quarantined",
        MetricType::Gauge,
        "1 while the plugin is not called, because it was too slow too often.",
    );
    for plugin in plugins {
        let labels = [("plugin", plugin.settings.name.as_str())];
        page.sample(&labels, u8::from(plugin.loaded.is_quarantined()));
    }
}

/// The same as a document.
pub fn document(plugins: &[ActivePlugin]) -> Value {
    let one = |plugin: &ActivePlugin| {
        let (title, version) = plugin.loaded.plugin.title();
        let counts = plugin.loaded.calls.counts();
        let hooks = Hook::ALL.into_iter().filter(|hook| plugin.loaded.hooks().has(*hook));
        let hooks = hooks.map(|hook| {
            let counts = &counts[hook as usize];
            let told = json!({
                "calls": counts.time.count(),
                "us_total": counts.time.sum(),
                "us_p50": counts.time.quantile(0.5),
                "us_p99": counts.time.quantile(0.99),
                "slow": counts.slow,
                "errors": counts.errors,
                "fail": plugin.settings.fail[hook as usize].name(),
            });
            (hook.name().to_owned(), told)
        });
        json!({
            "name": plugin.settings.name,
            "title": title,
            "version": version,
            "path": plugin.settings.source.path,
            "sha256": plugin.settings.source.sha256,
            "budget_us": plugin.settings.budget.as_micros() as u64,
            "quarantined": plugin.loaded.is_quarantined(),
            "hooks": hooks.collect::<serde_json::Map<_, _>>(),
        })
    };
    json!({ "plugins": plugins.iter().map(one).collect::<Vec<_>>() })
}
