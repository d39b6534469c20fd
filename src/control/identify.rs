//! Identifying: which inference server listens on a port, told by what it answers.
//!
//! | server | evidence |
//! |---|---|
//! | vLLM, SGLang, llama.cpp | `owned_by` in `/v1/models`: `vllm`, `sglang`, `llamacpp` |
//! | llama.cpp | `/props` has `default_generation_settings` |
//! | Ollama | `/api/version` has a `version` |
//! | TGI | `/info` has `model_id`, and `max_concurrent_requests` or `docker_label` |
//! | LM Studio | `/api/v0/models` is a list whose elements have a `publisher` |
//! | SGLang | `/get_model_info` has a `model_path` |
//! | vLLM, SGLang behind a key | a 401 as APIs say it, and `/metrics` with names like `vllm:…`, `sglang:…` |
//! | another one with OpenAI's API | `/v1/models` is a list |
//! | a gateway of ours | `Via` of what it passes on, and the codes of its own errors |
//!
//! * A port number is no evidence. It only says where to ask.
//! * Nothing is asked that makes a model work, or that changes anything.
//!
//! Absent on purpose: what follows from it. `cli/init` writes a configuration, `cli/doctor` advises.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::config::snapshot::TlsDialer;
use crate::control::client::{Ask, Whereabouts};
pub use crate::control::client::{AskFailure, host_of};
use crate::http::explained::hint;
use crate::http::field_rules::FieldRules;
use crate::http::path::base;
use crate::service::listing;

pub use streamed::{Streamed, lines_of, spoken, stream};

mod streamed;
#[cfg(test)]
mod tests;

/// Where servers listen when nobody has said otherwise: llama.cpp and TGI, vLLM, SGLang, Ollama, TGI's
/// container, LM Studio.
pub const USUAL_PORTS: [u16; 6] = [8080, 8000, 30000, 11434, 3000, 1234];

/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 1 << 20;
const AGENT: &str = "sluicegate-discover";

/// What a server turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerKind {
    LlamaCpp,
    Vllm,
    Sglang,
    Ollama,
    Tgi,
    LmStudio,
    /// It has OpenAI's list of models.
    OpenAi,
    /// It speaks HTTP.
    Unknown,
}

impl ServerKind {
    /// As its makers write it.
    pub fn title(self) -> &'static str {
        match self {
            ServerKind::LlamaCpp => "llama.cpp",
            ServerKind::Vllm => "vLLM",
            ServerKind::Sglang => "SGLang",
            ServerKind::Ollama => "Ollama",
            ServerKind::Tgi => "TGI",
            ServerKind::LmStudio => "LM Studio",
            ServerKind::OpenAi => "a server with OpenAI's API",
            ServerKind::Unknown => "an HTTP server",
        }
    }
}

/// A server that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundServer {
    pub address: SocketAddr,
    pub kind: ServerKind,
    /// What requests call its models.
    pub models: Vec<String>,
    /// A path that answers 200 while it is well.
    pub health: Option<&'static str>,
    /// It takes Anthropic's messages itself.
    pub takes_messages: bool,
    /// It has asked for a key, or lets nobody in.
    pub wants_key: bool,
    /// It has asked for a key as APIs do, and not as pages for people do.
    pub wants_bearer: bool,
}

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub struct ServerPlace<'a> {
    pub address: SocketAddr,
    /// How it is dialled where it speaks TLS.
    pub tls: Option<&'a TlsDialer>,
    /// What `Host` says.
    pub host: &'a str,
    /// In front of every path.
    pub base: &'a str,
    /// Further lines of the head, one with a key among them, each with its line end.
    pub key_lines: &'a str,
    /// What its upstream changes in the fields of requests, a key among it.
    pub rules: Option<&'a FieldRules>,
}

/// Looks who listens on `address`. An error: nobody, or nobody who answers by HTTP. Whoever has said nothing to
/// the first question is not asked the others.
pub fn look(place: ServerPlace<'_>) -> Result<FoundServer, AskFailure> {
    let path = place.path("/v1/models");
    let answer = place.ask(&path, TIMEOUT).begin()?;
    let (status, challenge) = (answer.status, answer.field("www-authenticate"));
    let text = match (status, answer.document(ANSWER_BYTES_MAX)) {
        (_, Ok(text)) => text,
        (200, Err(failure)) if failure != AskFailure::TooLong => return Err(failure),
        (_, Err(_)) => Vec::new(),
    };
    let wants_bearer = status == 401 && is_said_by_an_api(challenge.as_deref(), &text);
    let models = Some(text).filter(|_| status == 200).and_then(|text| listing::read(&text).ok());
    let owner = models.as_ref().and_then(|models| Some(models.first()?.owned_by.clone()));
    let kind = match kind_of(place, owner.as_deref(), models.is_some()) {
        ServerKind::Unknown if wants_bearer => kind_of_closed(place),
        kind => kind,
    };
    let models = models.unwrap_or_default();
    let mut models: Vec<String> = models.into_iter().map(|model| model.id).collect();
    if models.is_empty() {
        models.extend(other_models(place, kind));
    }
    let health = if kind == ServerKind::Ollama { "/api/version" } else { "/health" };
    let is_well = |path: &&str| place.get(path).is_ok();
    Ok(FoundServer {
        address: place.address,
        kind,
        models,
        // LM Studio answers every path with 200.
        health: Some(health).filter(|_| kind != ServerKind::LmStudio).filter(is_well),
        takes_messages: takes_messages(place),
        wants_key: matches!(status, 401 | 403),
        wants_bearer,
    })
}

/// Whether one of our gateways listens there. It is asked for a path that no server has: what it passes on tells it
/// in `Via`, and its own error has a code that is explained.
pub fn is_gateway(place: ServerPlace<'_>) -> bool {
    let path = place.path("/sluicegate-discover");
    let Ok(answer) = place.ask(&path, TIMEOUT).begin() else { return false };
    let mut via = answer.fields("via").into_iter();
    if via.any(|value| String::from_utf8_lossy(&value).split(',').any(is_our_hop)) {
        return true;
    }
    let text = answer.document(ANSWER_BYTES_MAX).unwrap_or_default();
    let said: Value = serde_json::from_slice(&text).unwrap_or_default();
    let error = &said["error"];
    let is_ours = error["code"].as_str().is_some_and(|code| !hint(code).is_empty());
    is_ours && error["hint"].is_string() && !is_mock(place)
}

/// Whether it is `sluicegate mock`, which has the same errors, and a model of its own.
fn is_mock(place: ServerPlace<'_>) -> bool {
    let list = place.get("/v1/models").ok().and_then(|text| listing::read(&text).ok());
    list.is_some_and(|models| models.iter().any(|model| model.owned_by == "sluicegate"))
}

/// Of a `Via`, `1.1 NAME`.
fn is_our_hop(hop: &str) -> bool {
    hop.split_ascii_whitespace().nth(1) == Some("sluicegate")
}

/// Whether a 401 is that of an API: in JSON, or for a `Bearer`. Frameworks for pages add the path to it.
fn is_said_by_an_api(challenge: Option<&str>, text: &[u8]) -> bool {
    match challenge {
        Some(challenge) => {
            challenge.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
        }
        None => {
            let said: Value = serde_json::from_slice(text).unwrap_or_default();
            said.get("error").is_some() && said.get("path").is_none()
        }
    }
}

/// What a server that keeps its API closed has beside it: the metrics of vLLM and SGLang are open.
fn kind_of_closed(place: ServerPlace<'_>) -> ServerKind {
    let metrics = place.get("/metrics").unwrap_or_default();
    let metrics = String::from_utf8_lossy(&metrics);
    let has = |prefix: &str| metrics.lines().any(|line| line.starts_with(prefix));
    if has("vllm:") {
        ServerKind::Vllm
    } else if has("sglang:") {
        ServerKind::Sglang
    } else {
        ServerKind::Unknown
    }
}

/// By what it says.
fn kind_of(place: ServerPlace<'_>, owner: Option<&str>, lists: bool) -> ServerKind {
    match owner {
        Some("vllm") => return ServerKind::Vllm,
        Some("sglang") => return ServerKind::Sglang,
        Some("llamacpp") => return ServerKind::LlamaCpp,
        _ => {}
    }
    let has = |path: &str, member: &str| {
        place.json(path).is_some_and(|value| !value.get(member).unwrap_or(&Value::Null).is_null())
    };
    let tgi = |value: &Value| {
        value.get("model_id").is_some_and(Value::is_string)
            && (value.get("max_concurrent_requests").is_some()
                || value.get("docker_label").is_some())
    };
    let studio = |value: &Value| value.pointer("/data/0/publisher").is_some_and(Value::is_string);
    if place.json("/api/version").is_some_and(|it| it["version"].is_string()) {
        ServerKind::Ollama
    } else if has("/props", "default_generation_settings") {
        ServerKind::LlamaCpp
    } else if place.json("/info").as_ref().is_some_and(tgi) {
        ServerKind::Tgi
    } else if place.json("/api/v0/models").as_ref().is_some_and(studio) {
        ServerKind::LmStudio
    } else if has("/get_model_info", "model_path") {
        ServerKind::Sglang
    } else if lists {
        ServerKind::OpenAi
    } else {
        ServerKind::Unknown
    }
}

/// The models of a server without OpenAI's list.
fn other_models(place: ServerPlace<'_>, kind: ServerKind) -> Vec<String> {
    match kind {
        ServerKind::Ollama => {
            let list = place.get("/api/tags").ok().and_then(|text| listing::read(&text).ok());
            list.unwrap_or_default().into_iter().map(|model| model.id).collect()
        }
        ServerKind::Tgi => {
            let info = place.json("/info");
            info.and_then(|info| Some(info["model_id"].as_str()?.to_owned())).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Whether it has Anthropic's path: an empty message is refused there, and not with 404 or 405.
fn takes_messages(place: ServerPlace<'_>) -> bool {
    let path = place.path("/v1/messages");
    let ask = Ask { post: Some("{}"), ..place.ask(&path, TIMEOUT) };
    matches!(ask.status(), Ok(400 | 422))
}

impl<'a> ServerPlace<'a> {
    fn ask<'p>(&'p self, path: &'p str, timeout: Duration) -> Ask<'p> {
        Ask {
            to: Whereabouts::Address(self.address),
            tls: self.tls,
            host: self.host,
            path,
            agent: AGENT,
            lines: self.key_lines,
            post: None,
            rules: self.rules,
            timeout,
        }
    }

    fn path(&self, path: &str) -> String {
        base::for_ours(self.base, path)
    }

    /// The document at `path`.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, AskFailure> {
        let path = self.path(path);
        self.ask(&path, TIMEOUT).document(ANSWER_BYTES_MAX)
    }

    fn json(&self, path: &str) -> Option<Value> {
        serde_json::from_slice(&self.get(path).ok()?).ok()
    }
}
