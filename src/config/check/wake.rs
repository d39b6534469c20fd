//! What is done while the model of an upstream is not there: `while_loading` and `wake`.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::super::defaults;
use super::super::file::{Field, Section, Switch};
use super::super::problem::{Mistake, Report};
use super::super::snapshot::{Listed, WakeBy, WakeSettings, WakeUrl, WhileLoading};
use super::path;

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

const GRACE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);
const IDLE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3_600);
const ARGUMENTS_MAX: usize = 256;
const GROUP_MAX: usize = 64;

/// `wake = { … }`; "off", the default, where there is none. `endpoints`: those of the upstream.
pub(super) fn wake(
    upstream: &mut Section<'_>,
    endpoints: &[Listed],
    report: &mut Report,
) -> Option<Arc<WakeSettings>> {
    let Switch::On(mut section) = upstream.switch("wake", report) else { return None };
    let place = section.place().clone();
    let port = match endpoints {
        [one] => one.authority.rsplit_once(':').map_or("", |(_, port)| port),
        _ => {
            report.error(&place, "is for an upstream with one endpoint: one server is started");
            ""
        }
    };
    let start = by(&mut section, ["command", "url"], port, report);
    let stop = by(&mut section, ["stop_command", "stop_url"], port, report).flatten();
    let health = section.take("health").map(|field| match field.is_off() {
        true => None,
        false => field.parsed(report, |text| path::plain(text).map(str::to_owned)),
    });
    if start.is_none() {
        report.error(&place, "needs command or url: what starts the server");
    }
    let default = defaults::wake();
    let idle = section.take("idle").filter(|field| !field.is_off());
    let idle = idle.and_then(|field| field.duration(IDLE, report));
    let group = section.take("group").and_then(|field| field.parsed(report, group));
    let settings = WakeSettings {
        stop,
        health: health.unwrap_or(default.health),
        timeout: section.duration("timeout", WAIT, default.timeout, report),
        idle,
        grace: section.duration("grace", GRACE, default.grace, report),
        group,
        start: start.flatten().unwrap_or(default.start),
    };
    if matches!(settings.start, WakeBy::Url(_)) && settings.stop.is_none() {
        for (key, given) in [("idle", settings.idle.is_some()), ("group", settings.group.is_some())]
        {
            if given {
                let reason = "needs stop_url or stop_command: nothing stops this server";
                report.error(&section.place_of(key), reason);
            }
        }
    }
    section.finish(report);
    Some(Arc::new(settings))
}

/// One of two keys: a command or a URL. `None`: neither is there; `Some(None)`: it is refused.
fn by(
    section: &mut Section<'_>,
    [command, url]: [&'static str; 2],
    port: &str,
    report: &mut Report,
) -> Option<Option<WakeBy>> {
    let put = |text: &str| text.replace("${PORT}", port);
    let told = section.take(command);
    let asked = section.take(url);
    match (told, asked) {
        (None, None) => None,
        (Some(_), Some(asked)) => {
            report.error(asked.place(), format!("stands beside {command}: write one of them"));
            Some(None)
        }
        (Some(told), None) => Some(self::command(&told, put, report)),
        (None, Some(asked)) => {
            Some(asked.parsed(report, |text| self::url(&put(text))).map(WakeBy::Url))
        }
    }
}

/// A program and its arguments.
fn command(field: &Field<'_>, put: impl Fn(&str) -> String, report: &mut Report) -> Option<WakeBy> {
    let words = field.list(report)?;
    let words = words.iter().map(|word| word.string(report).map(&put));
    let words: Vec<String> = words.collect::<Option<_>>()?;
    let legal = (1..=ARGUMENTS_MAX).contains(&words.len())
        && !words[0].is_empty()
        && !words.iter().any(|word| word.contains('\0'));
    if !legal {
        let reason = format!(
            "must be a program and its arguments, {ARGUMENTS_MAX} words at most, none with a NUL; \
             there is no shell: write [\"sh\", \"-c\", \"…\"] for one"
        );
        report.error(field.place(), reason);
        return None;
    }
    Some(WakeBy::Command(words))
}

fn url(text: &str) -> Result<WakeUrl, Mistake> {
    let rest = text.strip_prefix("http://");
    let split = rest.map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())));
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    match split {
        Some((authority, path)) if visible && !authority.is_empty() && !authority.contains('@') => {
            let has_port = authority
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
            let path = if path.is_empty() { "/" } else { path };
            Ok(WakeUrl { authority, path: path.to_owned() })
        }
        _ => Err(Mistake::new("must be http://host:port/path, in visible ASCII characters")),
    }
}

fn group(text: &str) -> Result<String, Mistake> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match (1..=GROUP_MAX).contains(&text.len()) && text.bytes().all(legal) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!(
            "must have 1 to {GROUP_MAX} letters, digits, dots, hyphens or underscores"
        ))),
    }
}
