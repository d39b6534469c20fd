//! Looking for servers: where somebody says, or where they usually listen on this machine.
//!
//! * Who listens on a usual port is taken by evidence alone: what it answers, or that it wants a key as APIs do.
//! * A running gateway on a usual port is none: a second one in front of it is seldom meant.
//! * Whoever was named is taken as what it is, and with `--upstream` even if it does not answer.
//! * A key goes to those who were named; on the usual ports to nobody but the one server that has asked for one.
//! * The variable of a known API is its alone, wherever that is named; and it has no other's key, unless it is all
//!   that was named.
//!
//! Absent on purpose: questions to a person. `init` asks them.

use super::apis::{self, KnownApi};
use super::configuration::PlannedServer;
use super::places::{self, located};
use crate::control::identify::{self, AskFailure, FoundServer, ServerKind, ServerPlace};
use crate::escape::escaped;

/// Where to look, and with which key.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// Where to look if nobody is named.
    pub usual: &'a [String],
    pub probe: &'a [String],
    pub upstream: &'a [String],
    /// The variable that a key stands in: whose, [`key_of_place`] tells.
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
    let places = named(wishes);
    if places.is_empty() {
        return Ok(look_usual(wishes.usual, wishes.key_env));
    }
    let named: Vec<&str> = places.iter().map(|(text, _)| *text).collect();
    let key_of = |text| key_of_place(text, &named, wishes.key_env);
    if let Some(name) = wishes.key_env
        && !named.iter().any(|text| key_of(text) == Some(name))
    {
        return Err(format!(
            "{name} is the key of nobody: each of these APIs has a variable of its own"
        ));
    }
    let mut looked = Looked::default();
    for (text, is_trusted) in places {
        looked.servers.extend(look_at(text, is_trusted, key_of(text))?);
    }
    Ok(looked)
}

/// The places that were named, each once, and whether it is taken on trust.
fn named<'a>(wishes: &Wishes<'a>) -> Vec<(&'a str, bool)> {
    let probed = wishes.probe.iter().map(|text| (&**text, false));
    let mut places: Vec<(&str, bool)> = Vec::new();
    for (text, trusted) in probed.chain(wishes.upstream.iter().map(|text| (&**text, true))) {
        let is_same = |known: &str| match (apis::at(known), apis::at(text)) {
            (None, None) => places::is_same(known, text),
            (known, api) => known == api,
        };
        match places.iter_mut().find(|(known, _)| is_same(known)) {
            Some((known, is_trusted)) => {
                tell(&format!("{text} is the same place as {known}: it is taken once"));
                *is_trusted |= trusted;
            }
            None => places.push((text, trusted)),
        }
    }
    places
}

/// The variable of the key of one of the places that were named, if `said` is what a person says of keys.
pub fn key_of_place<'a>(text: &str, named: &[&str], said: Option<&'a str>) -> Option<&'a str> {
    let owner =
        |name: &str| named.iter().find_map(|text| apis::at(text).filter(|it| it.variable == name));
    match apis::at(text) {
        Some(api) if named.len() > 1 => Some(api.variable),
        Some(api) => said.or(Some(api.variable)),
        None => said.filter(|name| owner(name).is_none()),
    }
}

/// Looks where nobody has said that there is a server.
fn look_usual(places: &[String], said: Option<&str>) -> Looked {
    let (mut found, mut closed) = (Vec::new(), Vec::new());
    for text in places {
        let Some(server) = looked_at(text, None) else { continue };
        let is_one = server.kind != ServerKind::Unknown || server.wants_bearer;
        if is_one && is_gateway(text) {
            tell(&format!("{text} is a running sluicegate: it is left out"));
        } else if is_one {
            found.push(PlannedServer::at(text, Some(server), None));
        } else if server.wants_key {
            tell(&format!("{text} lets nobody in without a key, and does not tell what it is"));
            closed.push(text.clone());
        }
    }
    if let Some(name) = said {
        give_key(name, &mut found);
    }
    for server in &found {
        tell(&told(server));
    }
    Looked { servers: found, closed }
}

/// Whoever answers there.
fn looked_at(text: &str, key_env: Option<&str>) -> Option<FoundServer> {
    located(text).ok()?.ask(&key_lines(key_env), identify::look).ok()
}

/// Whether it is the server that is to be in front of the others.
fn is_gateway(text: &str) -> bool {
    let asked = |place: ServerPlace<'_>| Ok(identify::is_gateway(place));
    located(text).is_ok_and(|located| located.ask("", asked).unwrap_or(false))
}

/// Gives a key to the server that has asked for one. Where that may be another's, nobody gets it.
fn give_key(name: &str, found: &mut [PlannedServer]) {
    let nobody_is_here = found.is_empty();
    let wants_key =
        |server: &&mut PlannedServer| server.found.as_ref().is_some_and(|it| it.wants_key);
    let mut asking = found.iter_mut().filter(wants_key);
    let why = match (asking.next(), asking.next(), apis::with_variable(name)) {
        (Some(server), None, None) => {
            let again = looked_at(&server.written, Some(name));
            *server = PlannedServer::at(&server.written, again.or(server.found.take()), Some(name));
            return;
        }
        // What stands in for servers tells that itself.
        _ if nobody_is_here => return,
        (_, _, Some(api)) => format!("it is the key of {}", api.title),
        (None, ..) => "no server asks for one".to_owned(),
        (Some(_), ..) => "several servers ask for one".to_owned(),
    };
    tell(&format!("{name} is sent to nobody: {why}; --probe HOST:PORT says whose it is"));
}

/// Looks where somebody has said; `None`: there is nobody. Who is trusted is taken all the same.
pub fn look_at(
    text: &str,
    is_trusted: bool,
    key_env: Option<&str>,
) -> Result<Option<PlannedServer>, String> {
    if let Some(api) = apis::at(text) {
        return Ok(look_at_known(api, text, is_trusted, key_env.unwrap_or(api.variable)));
    }
    let found = match located(text) {
        Ok(located) => located
            .ask(&key_lines(key_env), identify::look)
            .map_err(|failure| format!("does not answer now: {failure}")),
        Err(reason) if !is_trusted => return Err(format!("{text}: {reason}")),
        Err(reason) => Err(format!("cannot be asked now: {reason}")),
    };
    let (found, why) = match found {
        Ok(found) => (Some(found), String::new()),
        Err(why) => (None, why),
    };
    let is_taken = is_trusted || found.is_some();
    let server = PlannedServer::at(text, found, key_env);
    match (&server.found, is_trusted) {
        (Some(_), _) => tell(&told(&server)),
        (None, true) => tell(&format!("{text} {why}; it is taken as it is")),
        (None, false) => tell(&format!("{text} {why}")),
    }
    Ok(is_taken.then_some(server))
}

/// What a person reads of a server that answers.
fn told(server: &PlannedServer) -> String {
    let Some(found) = &server.found else { return String::new() };
    let key_env = server.key_env.as_deref().filter(|name| key_in(name).is_some());
    let with = match (&found.models[..], key_env) {
        (_, Some(name)) if found.wants_key => format!("it refuses the key in {name}"),
        (_, None) if found.wants_key => {
            "it wants a key; --api-key-env NAME tells the variable that it stands in".to_owned()
        }
        ([], _) => "no model yet".to_owned(),
        (models, _) => models.join(", "),
    };
    format!("found {} on {}: {with}", found.kind.title(), server.written)
}

/// A known API is asked where it is only probed, as that costs nothing but a list.
fn look_at_known(
    api: &'static KnownApi,
    text: &str,
    is_trusted: bool,
    variable: &str,
) -> Option<PlannedServer> {
    let asked = match is_trusted {
        true => Ok(format!("{text} is {}: it is taken without being asked", api.title)),
        false => ask_known(api, variable)
            .map_err(|why| format!("{text}: {why}; --upstream takes it without asking")),
    };
    let is_taken = asked.is_ok();
    let (Ok(told) | Err(told)) = asked;
    tell(&told);
    is_taken.then(|| PlannedServer::of(api, variable))
}

/// Asks an API for its models: what it says of the key. An error: why it has not answered.
fn ask_known(api: &KnownApi, variable: &str) -> Result<String, String> {
    let (url, title) = (api.url(), api.title);
    let located = located(&url)?;
    let key_lines = key_in(variable).map(|key| api.key_lines(&key)).unwrap_or_default();
    let says = match located.ask(&key_lines, |place| place.get(api.list)) {
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
    match variable.and_then(key_in) {
        Some(key) => format!("Authorization: Bearer {key}\r\nx-api-key: {key}\r\n"),
        None => String::new(),
    }
}

/// The key in this variable, if it can stand in a head.
fn key_in(variable: &str) -> Option<String> {
    let is_plain =
        |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    std::env::var(variable).ok().filter(is_plain)
}

/// One line for the person at the terminal.
fn tell(line: &str) {
    eprintln!("{}", escaped(line));
}
