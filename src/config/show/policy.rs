//! The policies of upstreams and routes, as TOML.

use std::fmt::{self, Write as _};

use super::super::snapshot::{
    Balance, BreakerSettings, Fallback, FallbackAnswer, HashKey, HealthCheck, ModelRoute,
    ModelSource, Retry, Route, Share, ShareBy, Snapshot, TranslateTo, Upstream, WakeBy,
    WakeSettings, When,
};
use super::super::units::{show_duration, show_size};
use super::{entry, key, list, quoted};

pub(super) fn policies(upstream: &Upstream, out: &mut String) -> fmt::Result {
    retry(&upstream.retry, out)?;
    balance(&upstream.balance, out)?;
    match &upstream.breaker {
        None => entry(out, "breaker", quoted("off"))?,
        Some(it) => breaker(it, out)?,
    }
    match &upstream.health {
        None => entry(out, "health", quoted("off"))?,
        Some(it) => health(it, out)?,
    }
    admission(upstream, out)?;
    match &upstream.while_loading {
        None => entry(out, "while_loading", quoted("off"))?,
        Some(it) => entry(out, "while_loading.wait", quoted(&show_duration(it.wait)))?,
    }
    match &upstream.wake {
        None => entry(out, "wake", quoted("off")),
        Some(it) => wake(it, out),
    }
}

fn wake(wake: &WakeSettings, out: &mut String) -> fmt::Result {
    let mut by = |kinds: [&str; 2], by: &WakeBy| match by {
        WakeBy::Command(words) => {
            entry(out, &format!("wake.{}", kinds[0]), list(words.iter().map(|word| quoted(word))))
        }
        WakeBy::Url(url) => {
            if url.has_query() {
                writeln!(
                    out,
                    "# wake.{} has a query, which is not shown: keys stand in some",
                    kinds[1]
                )?;
            }
            entry(out, &format!("wake.{}", kinds[1]), quoted(&url.shown()))
        }
    };
    by(["command", "url"], &wake.start)?;
    if let Some(stop) = &wake.stop {
        by(["stop_command", "stop_url"], stop)?;
    }
    entry(out, "wake.health", quoted(wake.health.as_deref().unwrap_or("off")))?;
    entry(out, "wake.timeout", quoted(&show_duration(wake.timeout)))?;
    entry(out, "wake.idle", super::timeout(wake.idle))?;
    entry(out, "wake.grace", quoted(&show_duration(wake.grace)))?;
    match &wake.group {
        Some(group) => entry(out, "wake.group", quoted(group)),
        None => Ok(()),
    }
}

fn retry(retry: &Retry, out: &mut String) -> fmt::Result {
    entry(out, "retry.attempts", retry.attempts)?;
    entry(out, "retry.on", list(retry.on.iter().map(|condition| quoted(&condition.to_string()))))?;
    entry(out, "retry.backoff", quoted(&show_duration(retry.backoff)))?;
    entry(out, "retry.backoff_max", quoted(&show_duration(retry.backoff_max)))?;
    entry(out, "retry.retry_after_max", quoted(&show_duration(retry.retry_after_max)))?;
    entry(out, "retry.budget", retry.budget)?;
    entry(out, "retry.post", retry.post)
}

fn balance(balance: &Balance, out: &mut String) -> fmt::Result {
    match balance {
        Balance::LeastOutstanding => entry(out, "balance", quoted("least_outstanding")),
        Balance::RoundRobin => entry(out, "balance", quoted("round_robin")),
        Balance::PeakEwma => entry(out, "balance", quoted("peak_ewma")),
        Balance::Hash(HashKey::Header(name)) => entry(out, "balance.hash.header", quoted(name)),
        Balance::Hash(HashKey::Cookie(name)) => entry(out, "balance.hash.cookie", quoted(name)),
        Balance::Hash(HashKey::Field(path)) => {
            entry(out, "balance.hash.field", quoted(&path.join(".")))
        }
        Balance::Hash(HashKey::Prompt(bytes)) => {
            entry(out, "balance.hash.prompt", quoted(&show_size(*bytes as u64)))
        }
    }
}

fn breaker(breaker: &BreakerSettings, out: &mut String) -> fmt::Result {
    entry(out, "breaker.consecutive", breaker.consecutive)?;
    entry(out, "breaker.rate", breaker.rate)?;
    entry(out, "breaker.window", quoted(&show_duration(breaker.window)))?;
    entry(out, "breaker.volume", breaker.volume)?;
    entry(out, "breaker.open", quoted(&show_duration(breaker.open)))?;
    entry(out, "breaker.open_max", quoted(&show_duration(breaker.open_max)))?;
    entry(out, "breaker.slow_start", quoted(&show_duration(breaker.slow_start)))?;
    entry(out, "breaker.cooldown", quoted(&show_duration(breaker.cooldown)))?;
    entry(out, "breaker.unauthorized", super::timeout(breaker.unauthorized))?;
    entry(out, "breaker.panic", breaker.panic)
}

fn health(health: &HealthCheck, out: &mut String) -> fmt::Result {
    let (first, last) = health.statuses.clone().into_inner();
    entry(out, "health.path", quoted(&health.path))?;
    entry(out, "health.status", quoted(&format!("{first}-{last}")))?;
    entry(out, "health.interval", quoted(&show_duration(health.interval)))?;
    entry(out, "health.timeout", quoted(&show_duration(health.timeout)))?;
    entry(out, "health.unhealthy", health.unhealthy)?;
    entry(out, "health.healthy", health.healthy)
}

fn admission(upstream: &Upstream, out: &mut String) -> fmt::Result {
    let admission = &upstream.admission;
    let unlimited = |limit: Option<u32>| match limit {
        Some(limit) => limit.to_string(),
        None => quoted("unlimited"),
    };
    entry(out, "admission.max_concurrency", unlimited(admission.max_concurrency))?;
    entry(out, "admission.endpoint_concurrency", unlimited(admission.endpoint_concurrency))?;
    entry(out, "admission.queue", admission.queue)?;
    entry(out, "admission.queue_timeout", quoted(&show_duration(admission.queue_timeout)))?;
    if !admission.keys.is_empty() {
        let keys = admission.keys.iter().map(|key| {
            let digest: String = key.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{{ sha256 = {}, priority = {} }}", quoted(&digest), key.priority)
        });
        let keys: Vec<String> = keys.collect();
        entry(out, "admission.keys", format!("[{}]", keys.join(", ")))?;
    }
    if let Some(header) = &admission.priority_header {
        entry(out, "admission.priority_header", quoted(header))?;
    }
    entry(out, "admission.priority", admission.priority)
}

pub(super) fn when(when: &When, out: &mut String) -> fmt::Result {
    let When { hosts, headers, query, fields, models, certificates, share } = when;
    let lists =
        [("when.host", hosts), ("when.model", models), ("when.client_certificate", certificates)];
    for (name, patterns) in lists {
        if !patterns.is_empty() {
            let patterns = patterns.iter().map(|pattern| quoted(pattern.as_str()));
            entry(out, name, list(patterns))?;
        }
    }
    for (name, pairs) in [("when.header", headers), ("when.query", query)] {
        for (field, pattern) in pairs {
            entry(out, &format!("{name}.{}", key(field)), quoted(pattern.as_str()))?;
        }
    }
    for (path, pattern) in fields {
        let name = format!("when.field.{}", key(&path.join(".")));
        entry(out, &name, quoted(pattern.as_str()))?;
    }
    share.as_ref().map_or(Ok(()), |share| self::share(share, out))
}

fn share(share: &Share, out: &mut String) -> fmt::Result {
    let (whole, hundredths) = (share.of_ten_thousand / 100, share.of_ten_thousand % 100);
    entry(out, "when.share.of", format_args!("\"{whole}.{hundredths:02}%\""))?;
    match &share.by {
        ShareBy::Request => entry(out, "when.share.by", quoted("request")),
        ShareBy::Key => entry(out, "when.share.by", quoted("key")),
        ShareBy::Header(name) => entry(out, "when.share.by.header", quoted(name)),
        ShareBy::Cookie(name) => entry(out, "when.share.by.cookie", quoted(name)),
    }
}

pub(super) fn continues(route: &Route, out: &mut String) -> fmt::Result {
    let Some(continues) = &route.continues else { return entry(out, "continue", quoted("off")) };
    entry(out, "continue.attempts", continues.attempts)?;
    entry(out, "continue.text_bytes", quoted(&show_size(continues.text_bytes as u64)))
}

pub(super) fn fallback(fallback: &Fallback, out: &mut String) -> fmt::Result {
    entry(out, "fallback.status", fallback.status)?;
    for (name, value) in &fallback.headers {
        entry(out, &format!("fallback.headers.{}", key(name)), quoted(value))?;
    }
    match (&fallback.file, &fallback.answer) {
        (Some(file), _) => entry(out, "fallback.file", quoted(file))?,
        (None, FallbackAnswer::Text(text)) => entry(out, "fallback.text", quoted(text))?,
        (None, FallbackAnswer::Json(json)) => entry(out, "fallback.json", quoted(json))?,
    }
    if let Some(model) = &fallback.model {
        entry(out, "fallback.model", quoted(model))?;
    }
    entry(out, "fallback.pace", quoted(&show_duration(fallback.pace)))
}

pub(super) fn models(source: &ModelSource, out: &mut String) -> fmt::Result {
    match source {
        ModelSource::Ask => entry(out, "models", quoted("ask")),
        ModelSource::AskAt(path) => entry(out, "models.path", quoted(path)),
        ModelSource::Off => entry(out, "models", quoted("off")),
        ModelSource::Stated(names) => {
            entry(out, "models", list(names.iter().map(|name| quoted(name))))
        }
    }
}

pub(super) fn translates(to: &TranslateTo, out: &mut String) -> fmt::Result {
    let more = [
        ("translate_to.path", &to.path),
        ("translate_to.input", &to.tensors.input),
        ("translate_to.output", &to.tensors.output),
    ];
    let mut more =
        more.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?))).peekable();
    if more.peek().is_none() {
        return entry(out, "translate_to", quoted(to.name()));
    }
    entry(out, "translate_to.dialect", quoted(to.name()))?;
    more.try_for_each(|(key, text)| entry(out, key, quoted(text)))
}

pub(super) fn model_route(
    route: &ModelRoute,
    snapshot: &Snapshot,
    out: &mut String,
) -> fmt::Result {
    let Some(upstreams) = &route.upstreams else { return entry(out, "models", quoted("all")) };
    let names = upstreams.iter().filter_map(|index| snapshot.upstreams.get(*index));
    entry(out, "models", list(names.map(|upstream| quoted(&upstream.name))))
}
