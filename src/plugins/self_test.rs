//! The conversation that is played before a plugin is activated.
//!
//! Every hook that it has is called at least once, in the order of an exchange: an answer that is streamed to its
//! end, and one that its client leaves. A verdict is whatever the plugin likes; an error is none.

use super::{
    Edits, EventsShown, Guest, Hook, HookResult, Plugin, PluginEnd, PluginEvent, PluginField,
    PluginHead, PluginProbe, PluginRequest,
};
use std::sync::Arc;

const BODY: &[u8] =
    br#"{"model":"self-test","stream":true,"messages":[{"role":"user","content":"Say hello."}]}"#;
const REQUEST_FIELDS: &[PluginField<'_>] = &[
    (b"Host", b"self-test.invalid"),
    (b"Content-Type", b"application/json"),
    (b"Authorization", b"Bearer self-test"),
];
const ANSWER_FIELDS: &[PluginField<'_>] = &[(b"Content-Type", b"text/event-stream")];
/// Data of the events of the stream.
const EVENTS: [&str; 4] = [
    r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"self-test","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"self-test","choices":[{"index":0,"delta":{"content":"Hello."},"finish_reason":null}]}"#,
    r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"self-test","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "[DONE]",
];

/// Plays it. An error: which hook failed, and how.
pub fn play(plugin: &Arc<dyn Plugin>) -> Result<(), String> {
    if Hook::ALL.iter().all(|hook| !plugin.hooks().has(*hook)) {
        return Err("has no hook".to_owned());
    }
    exchange(plugin, false)?;
    exchange(plugin, true)?;
    if plugin.hooks().has(Hook::HealthProbe) {
        let body = b"ok";
        let probe = PluginProbe { self_test: true, status: 200, upstream: b"self-test", body };
        checked(Hook::HealthProbe, |edits| plugin.health_probe(&probe, edits))?;
    }
    Ok(())
}

fn exchange(plugin: &Arc<dyn Plugin>, cancelled: bool) -> Result<(), String> {
    let mut guest = Arc::clone(plugin).begin(0);
    let told = converse(&mut *guest, plugin, cancelled);
    if plugin.hooks().has(Hook::End) {
        // What the plugin keeps of the exchange is freed, whatever has failed before.
        checked(Hook::End, |edits| guest.on_end(&end(cancelled), edits)).and(told)?;
        return Ok(());
    }
    told
}

fn end(cancelled: bool) -> PluginEnd<'static> {
    PluginEnd {
        status: if cancelled { 499 } else { 200 },
        code: if cancelled { "client_gone" } else { "" },
        bytes_in: BODY.len() as u64,
        bytes_out: 512,
        duration_us: 1_000,
        tokens: (!cancelled).then_some((9, 2)),
    }
}

fn converse(
    guest: &mut dyn Guest,
    plugin: &Arc<dyn Plugin>,
    cancelled: bool,
) -> Result<(), String> {
    let has = |hook| plugin.hooks().has(hook);
    if has(Hook::Request) {
        let shown = BODY.len().min(usize::try_from(plugin.body_max()).unwrap_or(usize::MAX));
        let request = PluginRequest {
            self_test: true,
            method: b"POST",
            target: b"/v1/chat/completions",
            id: b"self-test",
            route: b"/v1/*",
            fields: REQUEST_FIELDS,
            body: &BODY[..shown],
            whole: shown == BODY.len(),
        };
        checked(Hook::Request, |edits| guest.on_request(&request, edits))?;
    }
    if has(Hook::ResponseHead) {
        let head = PluginHead {
            self_test: true,
            events: EventsShown::Shown,
            status: 200,
            upstream: b"self-test",
            fields: ANSWER_FIELDS,
        };
        checked(Hook::ResponseHead, |edits| guest.on_response_head(&head, edits))?;
    }
    let events = if cancelled { &EVENTS[..2] } else { &EVENTS[..] };
    for (number, data) in (0..).zip(events).filter(|_| has(Hook::Event)) {
        let raw = format!("data: {data}\n\n");
        let (data, raw) = (data.as_bytes(), raw.as_bytes());
        let event = PluginEvent { number, name: b"", data, raw };
        checked(Hook::Event, |edits| guest.on_event(&event, edits))?;
    }
    match cancelled && has(Hook::Cancel) {
        true => checked(Hook::Cancel, |edits| guest.on_cancel(&end(true), edits)),
        false => Ok(()),
    }
}

fn checked(hook: Hook, call: impl FnOnce(&mut Edits) -> HookResult) -> Result<(), String> {
    let mut edits = Edits::default();
    let failed = match call(&mut edits) {
        Ok(_) => {
            return super::fields::rules(&edits)
                .map(drop)
                .map_err(|why| format!("does not pass its self-test: {} {why}", hook.name()));
        }
        Err(failed) => failed,
    };
    let said = edits.message.as_deref().map(String::from_utf8_lossy);
    let said = said.map_or(String::new(), |said| format!(": {said}"));
    Err(format!("does not pass its self-test: {} failed with {failed}{said}", hook.name()))
}
