//! Looking for servers: where somebody says, or where they usually listen on this machine.
//!
//! * Who listens on a usual port is taken by evidence alone: what it answers, or that it wants a key as APIs do.
//! * Whoever was named is taken as what it is, and with `--upstream` even if it does not answer.
//!
//! Absent on purpose: questions to a person. `init` asks them.

use super::apis::{self, KnownApi};
use super::configuration::PlannedServer;
use super::places::located;
use crate::control::identify::{self, AskFailure, FoundServer, ServerKind};
use crate::escape::escaped;

/// Where to look, and with which key.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// Where to look if nobody is named.
    pub usual: &'a [String],
    pub probe: &'a [String],
    pub upstream: &'a [String],
    /// The variable that the servers' key stands in.
    pub key_env: Option<&'a str>,
}

/// Who was found.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    pub servers: Vec<PlannedServer>,
    /// Usual places that let nobody in without a key, and do not tell what they are.
    pub closed: Vec<String>,
}

/// The servers that answer, and those that are taken on trust.
pub fn look_around(wishes: &Wishes<'_>) -> Result<Looked, String> {
    if wishes.probe.is_empty() && wishes.upstream.is_empty() {
        return Ok(look_usual(wishes.usual, wishes.key_env));
    }
    let mut looked = Looked::default();
    for text in wishes.probe {
        looked.servers.extend(look_at(text, false, wishes.key_env)?);
    }
    for text in wishes.upstream {
        looked.servers.extend(look_at(text, true, wishes.key_env)?);
    }
    Ok(looked)
}

/// Looks where nobody has said that there is a server.
fn look_usual(places: &[String], key_env: Option<&str>) -> Looked {
    let mut looked = Looked::default();
    for text in places {
        let Ok(located) = located(text) else { continue };
        let Ok(found) = identify::look(located.place(&key_lines(key_env))) else { continue };
        if found.kind != ServerKind::Unknown || found.wants_bearer {
            tell(&told(text, &found, key_env));
            looked.servers.push(PlannedServer::found(text, found));
        } else if found.wants_key {
            tell(&format!("{text} lets nobody in without a key, and does not tell what it is"));
            looked.closed.push(text.clone());
        }
    }
    looked
}

/// Looks where somebody has said; `None`: there is nobody. Who is trusted is taken all the same.
fn look_at(
    text: &str,
    is_trusted: bool,
    key_env: Option<&str>,
) -> Result<Option<PlannedServer>, String> {
    if let Some(api) = apis::at(text) {
        return Ok(look_at_known(api, text, is_trusted, key_env));
    }
    let found = match located(text) {
        Ok(located) => identify::look(located.place(&key_lines(key_env)))
            .map_err(|failure| format!("does not answer now: {failure}")),
        Err(reason) if !is_trusted => return Err(format!("{text}: {reason}")),
        Err(reason) => Err(format!("cannot be asked now: {reason}")),
    };
    Ok(match found {
        Ok(found) => {
            tell(&told(text, &found, key_env));
            Some(PlannedServer::found(text, found))
        }
        Err(why) => {
            let taken = if is_trusted { "; it is taken as it is" } else { "" };
            tell(&format!("{text} {why}{taken}"));
            is_trusted.then(|| PlannedServer::unasked(text))
        }
    })
}

/// What a person reads of a server that answers.
fn told(text: &str, found: &FoundServer, key_env: Option<&str>) -> String {
    let title = found.kind.title();
    let with = match (&found.models[..], key_env.filter(|name| key_of(name).is_some())) {
        _ if !found.wants_key && found.models.is_empty() => "no model yet".to_owned(),
        (_, Some(name)) if found.wants_key => format!("it refuses the key in {name}"),
        (_, None) if found.wants_key => {
            "it wants a key; --api-key-env NAME tells the variable that it stands in".to_owned()
        }
        (models, _) => models.join(", "),
    };
    format!("found {title} on {text}: {with}")
}

/// A known API is asked where it is only probed, as that costs nothing but a list.
fn look_at_known(
    api: &'static KnownApi,
    text: &str,
    is_trusted: bool,
    key_env: Option<&str>,
) -> Option<PlannedServer> {
    let asked = match is_trusted {
        true => Ok(format!("{text} is {}: it is taken without being asked", api.title)),
        false => ask_known(api, key_env)
            .map_err(|why| format!("{text}: {why}; --upstream takes it without asking")),
    };
    let is_taken = asked.is_ok();
    let (Ok(told) | Err(told)) = asked;
    tell(&told);
    is_taken.then(|| PlannedServer::of(api))
}

/// Asks an API for its models: what it says of the key. An error: why it has not answered.
fn ask_known(api: &KnownApi, key_env: Option<&str>) -> Result<String, String> {
    let (url, title) = (api.url(), api.title);
    let located = located(&url)?;
    let variable = key_env.unwrap_or(api.variable);
    let key_lines = key_of(variable).map(|key| api.key_lines(&key)).unwrap_or_default();
    let says = match located.place(&key_lines).get(api.list) {
        Ok(_) | Err(AskFailure::TooLong) if key_lines.is_empty() => "no key was sent".to_owned(),
        Ok(_) | Err(AskFailure::TooLong) => format!("it takes the key in {variable}"),
        Err(AskFailure::Status(status)) if key_lines.is_empty() => {
            format!("it says {status} without a key; {variable} is not set here")
        }
        Err(AskFailure::Status(status)) => format!("it says {status} to the key in {variable}"),
        Err(failure) => return Err(failure.to_string()),
    };
    Ok(format!("found {title} on {url}: {says}"))
}

/// The lines of a head that carry the key in this variable.
fn key_lines(variable: Option<&str>) -> String {
    match variable.and_then(key_of) {
        Some(key) => format!("Authorization: Bearer {key}\r\nx-api-key: {key}\r\n"),
        None => String::new(),
    }
}

/// The key in this variable, if it can stand in a head.
fn key_of(variable: &str) -> Option<String> {
    let is_plain =
        |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    std::env::var(variable).ok().filter(is_plain)
}

/// One line for the person at the terminal.
fn tell(line: &str) {
    eprintln!("{}", escaped(line));
}
