//! Frames: a line of JSON, and as many bytes behind it as its `body` says.

use serde_json::{Map, Value, json};

use crate::plugins::{
    Edits, EventsShown, Hook, HookFailed, HookResult, Hooks, PluginEnd, PluginEvent, PluginField,
    PluginHead, PluginRequest, Verdict,
};

/// The version of the frames.
const VERSION: u32 = 1;
/// The error of an answer that cannot be read.
pub(super) const NO_ANSWER: HookFailed = HookFailed(-1002);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fields(fields: &[PluginField<'_>]) -> Value {
    fields.iter().map(|(name, value)| json!([text(name), text(value)])).collect()
}

fn framed(mut line: Value, body: &[u8]) -> Vec<u8> {
    line["body"] = body.len().into();
    let mut frame = line.to_string().into_bytes();
    frame.push(b'\n');
    frame.extend_from_slice(body);
    frame
}

pub(super) fn open(config: &str) -> Vec<u8> {
    framed(json!({ "hook": "open", "version": VERSION, "config": config }), b"")
}

pub(super) fn request(id: u64, exchange: u64, request: &PluginRequest<'_>) -> Vec<u8> {
    let line = json!({
        "id": id,
        "exchange": exchange,
        "hook": "on_request",
        "self_test": request.self_test,
        "method": text(request.method),
        "target": text(request.target),
        "request_id": text(request.id),
        "route": text(request.route),
        "fields": fields(request.fields),
        "whole": request.whole,
    });
    framed(line, request.body)
}

pub(super) fn head(id: u64, exchange: u64, head: &PluginHead<'_>) -> Vec<u8> {
    let events = match head.events {
        EventsShown::Shown => "shown",
        EventsShown::None => "none",
        EventsShown::Coded => "coded",
        EventsShown::Unframed => "unframed",
    };
    let line = json!({
        "id": id,
        "exchange": exchange,
        "hook": "on_response_head",
        "self_test": head.self_test,
        "status": head.status,
        "upstream": text(head.upstream),
        "events": events,
        "fields": fields(head.fields),
    });
    framed(line, b"")
}

pub(super) fn event(exchange: u64, event: &PluginEvent<'_>) -> Vec<u8> {
    let line = json!({
        "exchange": exchange,
        "hook": "on_event",
        "number": event.number,
        "name": text(event.name),
    });
    framed(line, event.data)
}

pub(super) fn end(hook: &str, exchange: u64, end: &PluginEnd<'_>) -> Vec<u8> {
    let line = json!({
        "exchange": exchange,
        "hook": hook,
        "status": end.status,
        "code": end.code,
        "bytes_in": end.bytes_in,
        "bytes_out": end.bytes_out,
        "duration_us": end.duration_us,
        "tokens": end.tokens.map(|(input, output)| [input, output]),
    });
    framed(line, b"")
}

/// What a plugin says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub name: String,
    pub version: String,
    pub hooks: Hooks,
    pub body_max: u64,
}

/// Reads the answer to `open`. An error: the rest of a sentence about the plugin.
pub(super) fn hello(line: &Value) -> Result<Hello, String> {
    if let Some(error) = line.get("error") {
        let message = line["message"].as_str().unwrap_or_default();
        return Err(format!("does not open: {error} {message}"));
    }
    if line["version"] != VERSION {
        return Err(format!("speaks version {} of the frames, not {VERSION}", line["version"]));
    }
    let listed = line["hooks"].as_array().map_or(&[][..], Vec::as_slice);
    let hooks = listed.iter().map(|name| {
        let named = |hook: &Hook| Some(hook.name()) == name.as_str();
        let hook = Hook::ALL.into_iter().find(named).filter(|hook| *hook != Hook::HealthProbe);
        hook.ok_or_else(|| format!("has a hook {name} that no plugin behind a socket has"))
    });
    Ok(Hello {
        name: line["name"].as_str().unwrap_or_default().to_owned(),
        version: line["plugin_version"].as_str().unwrap_or_default().to_owned(),
        hooks: hooks.collect::<Result<Hooks, String>>()?,
        body_max: line["body_max"].as_u64().unwrap_or(0),
    })
}

/// Reads an answer: to which question, and what.
pub(super) fn answer(line: &Value, body: Vec<u8>) -> Option<(u64, HookResult, Edits)> {
    let id = line["id"].as_u64()?;
    let pairs = |key: &str| -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let Some(pairs) = line.get(key) else { return Some(Vec::new()) };
        let pair = |pair: &Value| {
            let (name, value) = (pair.get(0)?.as_str()?, pair.get(1)?.as_str()?);
            Some((name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        };
        pairs.as_array()?.iter().map(pair).collect()
    };
    let read = || -> Option<Edits> {
        let bytes = |key: &str| line[key].as_str().map(|text| text.as_bytes().to_vec());
        let removed = line["remove"].as_array().map_or(&[][..], Vec::as_slice);
        Some(Edits {
            written: body,
            set: pairs("set")?,
            add: pairs("add")?,
            remove: removed
                .iter()
                .filter_map(|it| Some(it.as_str()?.as_bytes().to_vec()))
                .collect(),
            target: bytes("target"),
            upstream: bytes("upstream"),
            status: line["status"].as_u64().and_then(|status| u16::try_from(status).ok()),
            message: bytes("message"),
        })
    };
    let Some(edits) = read() else { return Some((id, Err(NO_ANSWER), Edits::default())) };
    let result = match (line["verdict"].as_str(), line["error"].as_i64()) {
        (_, Some(code)) => Err(HookFailed(i32::try_from(code).unwrap_or(-1).min(-1))),
        (Some("pass"), None) => Ok(Verdict::Pass),
        (Some("replace"), None) => Ok(Verdict::Replace),
        (Some("answer"), None) => Ok(Verdict::Answer),
        (Some("refuse"), None) => Ok(Verdict::Refuse),
        _ => Err(NO_ANSWER),
    };
    Some((id, result, edits))
}

/// The length of the body that a line announces.
pub(super) fn body_length(line: &Map<String, Value>) -> usize {
    line.get("body").and_then(Value::as_u64).and_then(|it| usize::try_from(it).ok()).unwrap_or(0)
}
