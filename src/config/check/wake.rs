//! What is done while the model of an upstream is not there: `while_loading` of an upstream.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::defaults;
use super::super::file::{Section, Switch};
use super::super::problem::Report;
use super::super::snapshot::WhileLoading;

const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3_600);

/// `while_loading = { … }`, or "off".
pub(super) fn while_loading(
    upstream: &mut Section<'_>,
    report: &mut Report,
) -> Option<WhileLoading> {
    let mut section = match upstream.switch("while_loading", report) {
        Switch::Off => return None,
        Switch::Absent(section) | Switch::On(section) => section,
    };
    let wait = section.duration("wait", WAIT, defaults::WHILE_LOADING.wait, report);
    section.finish(report);
    Some(WhileLoading { wait })
}
