//! `sluicegate init`: a configuration for the servers that are there, and how to use it.
//!
//! Servers are looked for where they usually listen on this machine, or where `--probe` says, and told
//! apart by what they answer. In a terminal a person is asked; a script gives flags, and is never
//! asked. What is written has been checked as `check` does.
//!
//! Absent on purpose: keys. The file names the variable that a key stands in.

mod clients;
mod configuration;

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;

use self::configuration::{Plan, PlannedServer};
use super::{Exit, complain};
use crate::config::{self, Environment};
use crate::control::identify::{self, ServerKind, ServerPlace, USUAL_PORTS};
use crate::escape::{escaped, escaped_lines};
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
    /// Look for a server here, and nowhere else: host:port or a URL; may be given several times
    #[arg(long, value_name = "SERVER")]
    pub probe: Vec<String>,
    /// Take this server whether or not it answers now: host:port or a URL
    #[arg(long, value_name = "SERVER")]
    pub upstream: Vec<String>,
    /// The variable of the environment that the servers' key stands in
    #[arg(long, value_name = "NAME")]
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
    let mut key_env = arguments.api_key_env.clone();
    let mut servers = look_around(arguments)?;
    if may_ask {
        servers = ask(servers, &mut key_env)?;
    }
    if servers.is_empty() {
        return Err(nothing_found(arguments));
    }
    let plan = Plan {
        listen: free(arguments.listen, &LISTEN_PORTS)?,
        admin: free(arguments.admin_listen, &ADMIN_PORTS)?,
        key_env,
        servers,
    };
    let text = plan.text();
    checked(&text, &plan)?;
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

/// The servers that answer, and those that are taken on trust.
fn look_around(arguments: &InitArguments) -> Result<Vec<PlannedServer>, String> {
    let mut servers = Vec::new();
    let key_lines = key_lines(arguments.api_key_env.as_deref());
    let usual = USUAL_PORTS.map(|port| format!("127.0.0.1:{port}"));
    let places: Vec<(&str, bool)> = match arguments.probe.is_empty() {
        true if arguments.upstream.is_empty() => usual.iter().map(|it| (&**it, false)).collect(),
        _ => arguments.probe.iter().map(|it| (&**it, false)).collect(),
    };
    let trusted = arguments.upstream.iter().map(|it| (&**it, true));
    for (text, trusted) in places.into_iter().chain(trusted) {
        let found = match located(text) {
            Ok((address, host, base)) => {
                let place = ServerPlace {
                    address,
                    tls: None,
                    host: &host,
                    base: &base,
                    key_lines: &key_lines,
                    rules: None,
                };
                identify::look(place).ok()
            }
            Err(reason) if !trusted => return Err(format!("{text}: {reason}")),
            Err(_) => None,
        };
        // Who speaks HTTP on a usual port need not be a server of models.
        let asked_for = trusted || !arguments.probe.is_empty();
        let found = found.filter(|found| asked_for || found.kind != ServerKind::Unknown);
        match found {
            Some(found) => {
                let title = found.kind.title();
                let models = match &found.models[..] {
                    [] => "no model yet".to_owned(),
                    models => models.join(", "),
                };
                eprintln!("{}", escaped(&format!("found {title} on {text}: {models}")));
                servers.push(PlannedServer { written: text.to_owned(), found: Some(found) });
            }
            None if trusted => {
                eprintln!("{text} does not answer now, and is taken as it is");
                servers.push(PlannedServer { written: text.to_owned(), found: None });
            }
            None if !arguments.probe.is_empty() => eprintln!("{text}: no server of models answers"),
            None => {}
        }
    }
    Ok(servers)
}

/// The address of a server's text, what `Host` says to it, and its base path.
fn located(text: &str) -> Result<(SocketAddr, String, String), String> {
    let rest = text.strip_prefix("http://").unwrap_or(text);
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let with_port = match authority.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => authority.to_owned(),
        _ => format!("{authority}:80"),
    };
    let mut addresses = with_port.to_socket_addrs().map_err(|error| error.to_string())?;
    let address = addresses.next().ok_or("the name has no address")?;
    Ok((address, authority.to_owned(), base.trim_end_matches('/').to_owned()))
}

/// The lines of a head that carry the key in this variable.
pub(super) fn key_lines(variable: Option<&str>) -> String {
    let key = variable.and_then(|name| std::env::var(name).ok());
    let is_plain =
        |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    match key.filter(is_plain) {
        Some(key) => format!("Authorization: Bearer {key}\r\nx-api-key: {key}\r\n"),
        None => String::new(),
    }
}

/// Asks a person which servers to take.
fn ask(
    mut found: Vec<PlannedServer>,
    key_env: &mut Option<String>,
) -> Result<Vec<PlannedServer>, String> {
    if found.is_empty() {
        eprintln!("No server of models was found on the usual ports of this machine.");
        let text = answer("Where is yours? (host:port or a URL) ")?;
        if !text.is_empty() {
            found.push(PlannedServer { written: text, found: None });
        }
    } else {
        found.retain(|server| {
            let question = format!("Use the server on {}? [Y/n] ", server.written);
            !answer(&question).is_ok_and(|text| text.to_ascii_lowercase().starts_with('n'))
        });
    }
    let wanted = found.iter().any(|server| server.found.as_ref().is_none_or(|it| it.wants_key));
    if key_env.is_none() && wanted {
        let name = answer("The variable that its key stands in? (empty: it needs none) ")?;
        *key_env = Some(name).filter(|name| !name.is_empty());
    }
    Ok(found)
}

fn answer(question: &str) -> Result<String, String> {
    eprint!("{question}");
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| format!("no answer can be read: {error}"))?;
    Ok(line.trim().to_owned())
}

fn nothing_found(arguments: &InitArguments) -> String {
    let ports = USUAL_PORTS.map(|port| port.to_string()).join(", ");
    match arguments.probe.is_empty() {
        true => format!(
            "no server of models answers on this machine (ports {ports}): start one, or name one \
             with --upstream host:port"
        ),
        false => {
            "no server of models answers there; --upstream takes one that is not running".into()
        }
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

/// Checks what is about to be written, as `check` does. A key that is not set now is no mistake.
fn checked(text: &str, plan: &Plan) -> Result<(), String> {
    if let Some(name) = &plan.key_env
        && std::env::var_os(name).is_none()
    {
        eprintln!("note: the variable {name} is not set here; the gateway needs it when it starts");
    }
    let variable = |name: &str| std::env::var(name).ok().or(Some("not-set-yet".to_owned()));
    let environment = Environment { variable, ..Environment::current() };
    match config::parse(text, &environment) {
        Ok(_) => Ok(()),
        Err(problems) => {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(told.join("\n"))
        }
    }
}
