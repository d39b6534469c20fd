//! Which configuration is in force, and how the change stands that is tried here.

use crate::observe::exposition::{MetricType, Page};
use crate::observe::obeyed::ConfigState;

pub(super) fn write(page: &mut Page, state: &ConfigState) {
    let (generation, in_force) = state.in_force();
    page.family(
        "sluicegate_config_generation",
        MetricType::Gauge,
        "The generation of the configuration in force; the first is 0.",
    );
    page.sample(&[], generation);
    page.family(
        "sluicegate_config_in_force",
        MetricType::Gauge,
        "1 while what was read last is in force, 0 after it was refused.",
    );
    page.sample(&[], u8::from(in_force));
    page.family(
        "sluicegate_config_reads_total",
        MetricType::Counter,
        "Configurations read, by what became of them.",
    );
    for (result, count) in state.reads() {
        page.sample(&[("result", result)], count);
    }
    page.family(
        "sluicegate_config_candidate",
        MetricType::Gauge,
        "The number of the change that is tried here first; 0 while there is none.",
    );
    page.sample(&[], state.candidate());
    page.family(
        "sluicegate_config_canaries_total",
        MetricType::Counter,
        "Changes that went to a share of the gateways first, by what became of them.",
    );
    for (result, count) in state.canaries() {
        page.sample(&[("result", result)], count);
    }
}
