//! The policies of an upstream: retry, balance, breaker, health, admission.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::defaults;
use super::super::file::{Field, Section, Switch};
use super::super::problem::{Mistake, Report, nearest};
use super::super::snapshot::{
    Admission, Balance, BreakerSettings, Condition, Conditions, HashKey, HealthCheck, KeyPriority,
    Limits, Listed, PRIORITIES, PoolLimits, Retry,
};
use super::plugins::{self, PluginDraft};
use super::{CONNECTIONS, field_name, is_token, path, unique};
use crate::service::Setting;

const ATTEMPTS: RangeInclusive<u64> = 1..=10;
const BACKOFF: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
const PERCENT: RangeInclusive<u64> = 0..=100;
/// Of a fault rate and the like, nought would mean "always".
const SHARE: RangeInclusive<u64> = 1..=100;
const OUTAGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3_600);
/// The rolling window is kept in slots of a second.
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
/// Names on the way to a field of a body.
const MEMBERS_MAX: usize = 4;
const PROMPT_BYTES: RangeInclusive<u64> = 16..=16 << 10;
const QUEUE: RangeInclusive<u64> = 0..=10_000;
const QUEUE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(3_600);
/// A request of a chat with a little history is no shorter than this.
const USUAL_REQUEST: usize = 16 << 10;

/// `retry = { … }`, or "off".
pub(super) fn retry(
    upstream: &mut Section<'_>,
    limits: &Limits,
    pool: &PoolLimits,
    report: &mut Report,
) -> Retry {
    let place = upstream.place_of("retry");
    // Who forbids to repeat a POST on a dead connection forbids it after a failure all the more.
    let default = Retry { post: pool.replay_stale_post, ..defaults::retry() };
    let (mut section, written) = match upstream.switch("retry", report) {
        Switch::Off => return Retry { attempts: 1, ..default },
        Switch::Absent(section) => (section, false),
        Switch::On(section) => (section, true),
    };
    let on = section.take("on").and_then(|field| conditions(&field, report));
    let retry = Retry {
        attempts: section.count("attempts", ATTEMPTS, default.attempts, report),
        on: on.unwrap_or(default.on),
        backoff: section.duration("backoff", BACKOFF, default.backoff, report),
        backoff_max: section.duration("backoff_max", BACKOFF, default.backoff_max, report),
        retry_after_max: section.duration(
            "retry_after_max",
            BACKOFF,
            default.retry_after_max,
            report,
        ),
        budget: section.count("budget", PERCENT, default.budget, report),
        post: section.boolean("post", default.post, report),
    };
    if retry.backoff > retry.backoff_max {
        report.error(&section.place_of("backoff_max"), "is less than backoff");
    }
    if retry.post != pool.replay_stale_post {
        let mistake = if retry.post {
            "a POST is sent again after a failure, but not when a pooled connection turns out \
             dead: pool.replay_stale_post is false"
        } else {
            "a POST is still sent again when a pooled connection turns out dead: \
             pool.replay_stale_post is true"
        };
        report.warn(&section.place_of("post"), Mistake::new(mistake));
    }
    if written && retry.attempts > 1 && limits.replay_bytes < USUAL_REQUEST {
        report.warn(
            &place,
            Mistake::new(
                "hardly a request is sent again: limits.replay_bytes keeps less than 16KiB of it",
            ),
        );
    }
    section.finish(report);
    retry
}

fn conditions(field: &Field<'_>, report: &mut Report) -> Option<Conditions> {
    let fields = field.list(report)?;
    if fields.is_empty() {
        report.error(
            field.place(),
            "must name at least one; to repeat nothing, write retry = \"off\"",
        );
    }
    unique(&fields, report, |field, report| field.parsed(report, condition)).map(Conditions::new)
}

fn condition(written: &str) -> Result<Condition, Mistake> {
    let words = || Condition::WORDS.iter().map(|(word, _)| *word);
    if let Some((_, condition)) = Condition::WORDS.iter().find(|(word, _)| *word == written) {
        return Ok(*condition);
    }
    if written == "stale" {
        return Err(Mistake::new(
            "a pooled connection that turns out dead has a rule of its own, \
             pool.replay_stale_post, and is always replaced",
        ));
    }
    match written.parse::<u16>() {
        Ok(status) if Condition::is_retriable(status) && written.len() == 3 => {
            Ok(Condition::Status(status))
        }
        Ok(400..=499) => Err(Mistake::new(format!(
            "{written} speaks of the request, which would be the same again; \
             of the 4xx only 408, 425 and 429 can be repeated"
        ))),
        Ok(_) => Err(Mistake::new(format!("{written} is no status of a failure, 500 to 599"))),
        Err(_) => {
            let known = words().collect::<Vec<_>>().join(", ");
            let mistake = Mistake::new(format!("there is no condition {written:?}"));
            Err(match nearest(written, words()) {
                Some(meant) => mistake.meant(meant),
                None => Mistake::new(format!(
                    "there is no condition {written:?}; known are {known}, and statuses such as \
                     \"503\""
                )),
            })
        }
    }
}

/// A word, or `{ hash = { header = "x-user" } }`.
pub(super) fn balance(upstream: &mut Section<'_>, report: &mut Report) -> Balance {
    let words = [
        ("least_outstanding", Balance::LeastOutstanding),
        ("round_robin", Balance::RoundRobin),
        ("peak_ewma", Balance::PeakEwma),
    ];
    let Some(field) = upstream.take("balance") else { return defaults::BALANCE };
    if !field.is_table() {
        return field.choice(&words, report).unwrap_or(defaults::BALANCE);
    }
    let mut section = field.section(report);
    let hash = section.require("hash", report).map(|field| field.section(report));
    section.finish(report);
    hash.and_then(|hash| hash_key(hash, report)).map_or(defaults::BALANCE, Balance::Hash)
}

fn hash_key(mut section: Section<'_>, report: &mut Report) -> Option<HashKey> {
    let header = section.take("header");
    let cookie = section.take("cookie");
    let member = section.take("field");
    let prompt = section.take("prompt");
    let place = section.place().clone();
    section.finish(report);
    match (header, cookie, member, prompt) {
        (Some(field), None, None, None) => field.parsed(report, field_name).map(HashKey::Header),
        (None, Some(field), None, None) => field.parsed(report, cookie_name).map(HashKey::Cookie),
        (None, None, Some(field), None) => field.parsed(report, members).map(HashKey::Field),
        (None, None, None, Some(field)) => {
            let bytes = field.size(PROMPT_BYTES, None, report).flatten()?;
            Some(HashKey::Prompt(super::usize_of(bytes)))
        }
        _ => {
            report.error(&place, "needs one of header, cookie, field and prompt");
            None
        }
    }
}

/// `user`, or `metadata.user_id`: the names of members on the way to a value.
pub(super) fn members(text: &str) -> Result<Vec<String>, Mistake> {
    let legal = |name: &str| {
        !name.is_empty() && !name.chars().any(|it| it.is_control() || matches!(it, '"' | '\\'))
    };
    let path: Vec<&str> = text.split('.').collect();
    if text.len() > super::FIELD_NAME_MAX
        || path.len() > MEMBERS_MAX
        || !path.iter().all(|it| legal(it))
    {
        return Err(Mistake::new(format!(
            "{text:?} is no field of a JSON body; write a name, or names with dots between them, as \
             \"metadata.user_id\""
        )));
    }
    Ok(path.into_iter().map(str::to_owned).collect())
}

/// RFC 6265 section 4.1.1: a token. Unlike those of fields, the names of cookies keep their case.
pub(super) fn cookie_name(text: &str) -> Result<String, Mistake> {
    match text.len() <= super::FIELD_NAME_MAX && is_token(text) {
        true => Ok(text.to_owned()),
        false => Err(Mistake::new(format!("{text:?} is no name of a cookie"))),
    }
}

/// `breaker = { … }`, or "off".
pub(super) fn breaker(upstream: &mut Section<'_>, report: &mut Report) -> Option<BreakerSettings> {
    let mut section = match upstream.switch("breaker", report) {
        Switch::Off => return None,
        Switch::Absent(section) | Switch::On(section) => section,
    };
    let default = defaults::BREAKER;
    let faults = 1..=1_000_000;
    let breaker = BreakerSettings {
        consecutive: section.count("consecutive", faults.clone(), default.consecutive, report),
        rate: section.count("rate", SHARE, default.rate, report),
        window: section.duration("window", WINDOW, default.window, report),
        volume: section.count("volume", faults, default.volume, report),
        open: section.duration("open", OUTAGE, default.open, report),
        open_max: section.duration("open_max", OUTAGE, default.open_max, report),
        slow_start: section.duration(
            "slow_start",
            Duration::ZERO..=*OUTAGE.end(),
            default.slow_start,
            report,
        ),
        cooldown: section.duration("cooldown", OUTAGE, default.cooldown, report),
        unauthorized: section
            .take("unauthorized")
            .and_then(|field| field.duration_or_off(OUTAGE, report))
            .unwrap_or(default.unauthorized),
        panic: section.count("panic", PERCENT, default.panic, report),
    };
    if breaker.window.subsec_nanos() != 0 {
        report.error(&section.place_of("window"), "must be whole seconds: its slots last one each");
    }
    if breaker.open > breaker.open_max {
        report.error(&section.place_of("open_max"), "is less than open");
    }
    section.finish(report);
    Some(breaker)
}

/// `health = { … }`; "off", the default, where there is none.
pub(super) fn health(
    upstream: &mut Section<'_>,
    service: Setting,
    drafts: &[PluginDraft],
    report: &mut Report,
) -> Option<HealthCheck> {
    let Switch::On(mut section) = upstream.switch("health", report) else { return None };
    let default = defaults::health();
    let checked = section
        .take("path")
        .and_then(|field| field.parsed(report, |text| path::plain(text).map(str::to_owned)));
    let statuses = section.take("status").and_then(|field| statuses(&field, report));
    let interval = Duration::from_millis(100)..=Duration::from_secs(3_600);
    let in_a_row = 1..=100;
    let health = HealthCheck {
        path: checked.unwrap_or_else(|| service.health_path().to_owned()),
        statuses: statuses.unwrap_or(default.statuses),
        interval: section.duration("interval", interval, default.interval, report),
        timeout: section.duration(
            "timeout",
            Duration::from_millis(1)..=Duration::from_secs(60),
            default.timeout,
            report,
        ),
        unhealthy: section.count("unhealthy", in_a_row.clone(), default.unhealthy, report),
        healthy: section.count("healthy", in_a_row, default.healthy, report),
        plugin: section
            .take("plugin")
            .and_then(|field| field.parsed(report, |text| plugins::index_of(text, drafts))),
    };
    if health.timeout > health.interval {
        report.error(
            &section.place_of("timeout"),
            "is more than interval: a check would begin before the last has ended",
        );
    }
    section.finish(report);
    Some(health)
}

/// One status, `200` or `"200"`, or a range, `"200-299"`.
fn statuses(field: &Field<'_>, report: &mut Report) -> Option<RangeInclusive<u16>> {
    if field.is_integer() {
        let one: u16 = field.count(200..=599, report)?;
        return Some(one..=one);
    }
    field.parsed(report, |text| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| match text.len() {
            3 => text.parse().ok().filter(|status| (200..=599_u16).contains(status)),
            _ => None,
        };
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Ok(first..=last),
            _ => Err(Mistake::new(format!(
                "{text:?} is no status and no range of statuses from 200 to 599: write 200 or \
                 \"200-299\""
            ))),
        }
    })
}

/// `admission = { … }`.
pub(super) fn admission(
    upstream: &mut Section<'_>,
    endpoints: &[Listed],
    report: &mut Report,
) -> Admission {
    let mut section = upstream.table("admission", report);
    let default = defaults::ADMISSION;
    let mut concurrency = |key| section.take(key).and_then(|field| unlimited(&field, report));
    let max_concurrency = concurrency("max_concurrency").unwrap_or(default.max_concurrency);
    let endpoint_concurrency =
        concurrency("endpoint_concurrency").unwrap_or(default.endpoint_concurrency);
    let keys = section.take("keys").and_then(|field| keys(&field, report));
    let header = section.take("priority_header");
    let admission = Admission {
        max_concurrency,
        endpoint_concurrency,
        queue: section.count("queue", QUEUE, default.queue, report),
        queue_timeout: section.duration(
            "queue_timeout",
            QUEUE_TIMEOUT,
            default.queue_timeout,
            report,
        ),
        keys: keys.unwrap_or_default(),
        priority_header: header.and_then(|field| field.parsed(report, field_name)),
        priority: section.count(
            "priority",
            0..=u64::from(PRIORITIES) - 1,
            default.priority,
            report,
        ),
    };
    if let (Some(all), Some(each)) = (max_concurrency, endpoint_concurrency) {
        if each > all {
            report.warn(
                &section.place_of("endpoint_concurrency"),
                Mistake::new(format!("is never reached: max_concurrency is {all}")),
            );
        } else if !endpoints.iter().any(|one| one.is_name)
            && (each as usize).saturating_mul(endpoints.len().max(1)) < all as usize
        {
            let endpoints = endpoints.len();
            report.warn(
                &section.place_of("max_concurrency"),
                Mistake::new(format!(
                    "is never reached: {endpoints} times endpoint_concurrency is less"
                )),
            );
        }
    }
    section.finish(report);
    admission
}

/// Whose key gives which priority: `{ sha256 = "…", priority = 0 }` each.
fn keys(field: &Field<'_>, report: &mut Report) -> Option<Vec<KeyPriority>> {
    let mut keys: Vec<KeyPriority> = Vec::new();
    for field in &field.list(report)? {
        let mut section = field.section(report);
        let sha256 = section.require("sha256", report);
        let sha256 = sha256.and_then(|field| field.parsed(report, digest));
        let priority = section.require("priority", report);
        let priority =
            priority.and_then(|field| field.count(0..=u64::from(PRIORITIES) - 1, report));
        section.finish(report);
        let (Some(sha256), Some(priority)) = (sha256, priority) else { continue };
        if keys.iter().any(|known| known.sha256 == sha256) {
            report.error(field.place(), "this key is in the list already");
        }
        keys.push(KeyPriority { sha256, priority });
    }
    keys.sort_by_key(|known| known.sha256);
    Some(keys)
}

/// A SHA-256, as `sha256sum` prints it.
pub(super) fn digest(text: &str) -> Result<[u8; 32], Mistake> {
    let mistake = || Mistake::new("must be a SHA-256, 64 hex digits");
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(mistake()) };
    let mut digest = [0; 32];
    if pairs.len() != digest.len() {
        return Err(mistake());
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        let (Some(high), Some(low)) = (value(pair[0]), value(pair[1])) else {
            return Err(mistake());
        };
        *byte = (high << 4 | low) as u8;
    }
    Ok(digest)
}

/// A count, or "unlimited": `Some(None)`.
fn unlimited(field: &Field<'_>, report: &mut Report) -> Option<Option<u32>> {
    if field.is_integer() {
        return field.count(CONNECTIONS, report).map(Some);
    }
    field.choice(&[("unlimited", None)], report)
}
