//! `sluicegate init`: a configuration for the servers that are there, and how to use it.
//!
//! Servers are looked for where they usually listen on this machine, or where `--probe` says, and told
//! apart by what they answer. In a terminal a person is asked; a script gives flags, and is never
//! asked. What is written has been checked as `check` does.
//!
//! An API that is known by its host is asked only where `--probe` says so, as that costs nothing but a
//! list; with no server here, the first whose variable is set is taken.
//!
//! Absent on purpose: keys. The file names the variable that a key stands in.

mod apis;
mod clients;
mod configuration;
mod looking;
mod places;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use clap::Args;

use self::apis::KnownApi;
use self::configuration::{Plan, PlannedServer};
use self::looking::{Looked, Wishes, look_around, look_at};
use super::{Exit, complain};
use crate::config::{self, Environment, Problem};
use crate::control::identify::USUAL_PORTS;
use crate::escape::escaped_lines;
use crate::files;

/// Where the gateway listens, if nothing else does: the first of these.
const LISTEN_PORTS: [u16; 4] = [8080, 8088, 8090, 4000];
const ADMIN_PORTS: [u16; 3] = [9090, 9091, 9190];

/// `sluicegate init`
#[derive(Args, Clone, Debug)]
pub struct InitArguments {
    /// Where the configuration is written; "-" is standard output
    #[arg(long, value_name = "FILE", default_value = "sluicegate.toml")]
    pub output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
    /// Look for a server here, and nowhere else: host:port, a URL or unix:/path; may be given several times
    #[arg(long, value_name = "SERVER")]
    pub probe: Vec<String>,
    /// Take this server whether or not it answers now: host:port, a URL or unix:/path
    #[arg(long, value_name = "SERVER")]
    pub upstream: Vec<String>,
    /// The variable that the key of the servers stands in; a known API has its own, unless it is the only one
    #[arg(long, value_name = "NAME", value_parser = variable_name)]
    pub api_key_env: Option<String>,
    /// Where the gateway listens [default: 127.0.0.1:8080, or another port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where the dashboard is [default: 127.0.0.1:9090, or another port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// Ask nothing, even in a terminal
    #[arg(long)]
    pub yes: bool,
}

pub fn execute(arguments: &InitArguments) -> Exit {
    match init(arguments) {
        Ok(()) => Exit::Success,
        Err(reason) => {
            complain(&reason);
            Exit::Failure
        }
    }
}

fn init(arguments: &InitArguments) -> Result<(), String> {
    let to_stdout = arguments.output.as_os_str() == "-";
    if !to_stdout && !arguments.force && arguments.output.exists() {
        let file = arguments.output.display();
        return Err(format!(
            "{file} is there already; --force replaces it, --output names another"
        ));
    }
    let may_ask = !arguments.yes
        && arguments.probe.is_empty()
        && arguments.upstream.is_empty()
        && io::stdin().is_terminal()
        && io::stderr().is_terminal();
    let key_env = arguments.api_key_env.as_deref();
    let mut looked = look_around(&Wishes {
        usual: &USUAL_PORTS.map(|port| format!("127.0.0.1:{port}")),
        probe: &arguments.probe,
        upstream: &arguments.upstream,
        key_env,
    })?;
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|key| !key.is_empty());
    let mut spare = apis::with_key(is_set);
    let is_alone = arguments.probe.is_empty() && arguments.upstream.is_empty();
    if is_alone && let Some(api) = in_place_of_servers(&looked, &spare, key_env) {
        let KnownApi { title, variable, .. } = api;
        eprintln!("no server of models answers on this machine; {variable} is set: taking {title}");
        looked.servers.push(PlannedServer::of(api, variable));
    }
    let Looked { mut servers, closed } = looked;
    if may_ask {
        servers = ask(servers, key_env, &mut answer)?;
    }
    if servers.is_empty() {
        return Err(nothing_found(arguments, &closed));
    }
    spare.retain(|api| servers.iter().all(|server| server.api != Some(api)));
    for KnownApi { title, variable, .. } in &spare {
        eprintln!("{variable} is set: {title} is in the file too, as a comment");
    }
    let plan = Plan {
        listen: free(arguments.listen, &LISTEN_PORTS)?,
        admin: free(arguments.admin_listen, &ADMIN_PORTS)?,
        servers,
        spare,
    };
    for name in plan.nameless() {
        eprintln!("nobody knows what the models of {name} are called: write it into its route");
    }
    let text = plan.text();
    for warning in checked(&text, &plan)? {
        eprintln!("warning: {}", warning.in_file(&arguments.output));
    }
    let guide = clients::guide(&plan, &arguments.output);
    let guide = escaped_lines(&guide);
    let told = match to_stdout {
        true => io::stdout().write_all(text.as_bytes()).and_then(|()| {
            // The file alone goes to standard output.
            io::stderr().write_all(guide.as_bytes())
        }),
        false => {
            let written = files::write(&arguments.output, &text, arguments.force);
            let file = arguments.output.display();
            written.map_err(|error| format!("{file} cannot be written: {error}"))?;
            io::stdout().write_all(guide.as_bytes())
        }
    };
    told.map_err(|error| format!("the output cannot be written: {error}"))
}

/// The API to begin with where no server was found: the first whose key is here. With `--api-key-env` it is
/// the one of that variable. Where a server lets nobody in, that may be the one that is meant, and an API costs money.
fn in_place_of_servers(
    looked: &Looked,
    set: &[&'static KnownApi],
    key_env: Option<&str>,
) -> Option<&'static KnownApi> {
    let is_meant = |api: &&&'static KnownApi| key_env.is_none_or(|name| name == api.variable);
    let is_nobody_here = looked.servers.is_empty() && looked.closed.is_empty();
    set.iter().find(is_meant).copied().filter(|_| is_nobody_here)
}

/// Asks a person which servers to take, by this way to put a question. What is answered is looked at as what
/// `--upstream` names.
fn ask(
    mut found: Vec<PlannedServer>,
    key_env: Option<&str>,
    answer: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<Vec<PlannedServer>, String> {
    if found.is_empty() {
        eprintln!("No server of models was found on the usual ports of this machine.");
        let text = answer("Where is yours? (host:port, a URL or unix:/path) ")?;
        if !text.is_empty() {
            found.extend(look_at(&text, true, key_env)?);
        }
    } else {
        found.retain(|server| {
            let question = format!("Use the server on {}? [Y/n] ", server.written);
            !answer(&question).is_ok_and(|text| text.to_ascii_lowercase().starts_with('n'))
        });
    }
    for server in &mut found {
        let may_want = server.found.as_ref().is_none_or(|it| it.wants_key);
        if server.key_env.is_some() || !may_want {
            continue;
        }
        let place = server.written.clone();
        let name = answer(&format!("The variable of the key of {place}? (empty: none is sent) "))?;
        if name.is_empty() {
            continue;
        }
        let name = variable_name(&name)?;
        // With its key it tells more.
        match &server.found {
            Some(_) => *server = look_at(&place, true, Some(&name))?.unwrap_or(server.clone()),
            None => server.key_env = Some(name),
        }
    }
    Ok(found)
}

/// What a shell takes for the name of a variable.
fn variable_name(text: &str) -> Result<String, String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match text.bytes().all(is_part) && !text.is_empty() && !text.as_bytes()[0].is_ascii_digit() {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no name of a variable: letters, digits and \"_\"")),
    }
}

/// What a person types behind a question.
fn answer(question: &str) -> Result<String, String> {
    eprint!("{question}");
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| format!("no answer can be read: {error}"))?;
    Ok(line.trim().to_owned())
}

fn nothing_found(arguments: &InitArguments, closed: &[String]) -> String {
    let ports = USUAL_PORTS.map(|port| port.to_string()).join(", ");
    match (arguments.probe.is_empty(), closed) {
        (false, _) => {
            "no server of models answers there; --upstream takes one that is not running".into()
        }
        (true, []) => format!(
            "no server of models answers on this machine (ports {ports}): start one, name one with \
             --upstream host:port, or set the variable of an API's key (OPENAI_API_KEY, \
             ANTHROPIC_API_KEY, …)"
        ),
        (true, [first, ..]) => format!(
            "no server of models is known on this machine: if the one on {first} is yours, \
             --probe {first} --api-key-env NAME takes it; an API that is paid for is taken with \
             --upstream https://api.openai.com or the like"
        ),
    }
}

/// The address that was asked for, or the first free one of these ports on this machine.
fn free(asked: Option<SocketAddr>, ports: &[u16]) -> Result<SocketAddr, String> {
    let usual = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port)));
    match asked {
        Some(address) => Ok(address),
        None => usual
            .into_iter()
            .find(|address| TcpListener::bind(address).is_ok())
            .ok_or_else(|| format!("the ports {ports:?} are taken; say another with --listen")),
    }
}

/// Checks what is about to be written, as `check` does, and tells its warnings. A key that is not set now is no
/// mistake.
fn checked(text: &str, plan: &Plan) -> Result<Vec<Problem>, String> {
    let names = plan.servers.iter().filter_map(|server| server.key_env.as_deref());
    for name in BTreeSet::from_iter(names) {
        if std::env::var_os(name).is_some() {
            continue;
        }
        eprintln!("note: the variable {name} is not set here; the gateway needs it when it starts");
    }
    let variable = |name: &str| std::env::var(name).ok().or(Some("not-set-yet".to_owned()));
    let environment = Environment { variable, ..Environment::current() };
    match config::parse(text, &environment) {
        Ok(loaded) => Ok(loaded.warnings),
        Err(problems) => {
            // Nobody has the text, so its lines say nothing.
            let told = problems.into_iter().map(|problem| Problem { line: None, ..problem });
            let told: Vec<String> = told.map(|problem| problem.to_string()).collect();
            Err(format!("nothing is written, since it would be refused:\n{}", told.join("\n")))
        }
    }
}
