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
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use self::apis::KnownApi;
use self::configuration::{Plan, PlannedServer};
use super::{Exit, complain};
use crate::config::{self, Environment};
use crate::control::identify::{self, AskFailure, ServerKind, ServerPlace, USUAL_PORTS};
use crate::escape::{escaped, escaped_lines};
use crate::files;
use crate::tls::{ClientFiles, TlsDialer};

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
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|key| !key.is_empty());
    let mut spare = apis::with_key(is_set);
    let is_alone = arguments.probe.is_empty() && arguments.upstream.is_empty();
    if is_alone && let Some(api) = in_place_of_servers(&servers, &spare, key_env.as_deref()) {
        let KnownApi { title, variable, .. } = api;
        eprintln!("no server of models answers on this machine; {variable} is set: taking {title}");
        servers.push(PlannedServer::of(api));
    }
    if may_ask {
        servers = ask(servers, &mut key_env)?;
    }
    if servers.is_empty() {
        return Err(nothing_found(arguments));
    }
    spare.retain(|api| servers.iter().all(|server| server.api != Some(api)));
    for KnownApi { title, variable, .. } in &spare {
        eprintln!("{variable} is set: {title} is in the file too, as a comment");
    }
    let plan = Plan {
        listen: free(arguments.listen, &LISTEN_PORTS)?,
        admin: free(arguments.admin_listen, &ADMIN_PORTS)?,
        key_env,
        servers,
        spare,
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
        if let Some(api) = apis::at(text) {
            let asked = match trusted {
                true => Ok(format!("{text} is {}: it is taken without being asked", api.title)),
                false => look_at_api(api, arguments.api_key_env.as_deref())
                    .map_err(|why| format!("{text}: {why}; --upstream takes it without asking")),
            };
            let is_taken = asked.is_ok();
            let (Ok(told) | Err(told)) = asked;
            eprintln!("{}", escaped(&told));
            servers.extend(is_taken.then(|| PlannedServer::of(api)));
            continue;
        }
        let found = match located(text) {
            Ok(located) => identify::look(located.place(&key_lines))
                .map_err(|failure| format!("does not answer now: {failure}")),
            Err(reason) if !trusted => return Err(format!("{text}: {reason}")),
            Err(reason) => Err(format!("cannot be asked now: {reason}")),
        };
        // Who speaks HTTP on a usual port need not be a server of models.
        let asked_for = trusted || !arguments.probe.is_empty();
        match found {
            Ok(found) if !asked_for && found.kind == ServerKind::Unknown => {}
            Ok(found) => {
                let title = found.kind.title();
                let models = match &found.models[..] {
                    [] => "no model yet".to_owned(),
                    models => models.join(", "),
                };
                eprintln!("{}", escaped(&format!("found {title} on {text}: {models}")));
                let written = text.to_owned();
                servers.push(PlannedServer { written, found: Some(found), api: None });
            }
            Err(why) if trusted => {
                eprintln!("{}", escaped(&format!("{text} {why}; it is taken as it is")));
                servers.push(PlannedServer::unasked(text));
            }
            Err(why) if asked_for => eprintln!("{}", escaped(&format!("{text} {why}"))),
            Err(_) => {}
        }
    }
    Ok(servers)
}

/// The API to begin with where no server was found: the first whose key is here. With `--api-key-env` it is
/// the one of that variable.
fn in_place_of_servers(
    servers: &[PlannedServer],
    set: &[&'static KnownApi],
    key_env: Option<&str>,
) -> Option<&'static KnownApi> {
    let is_meant = |api: &&&'static KnownApi| key_env.is_none_or(|name| name == api.variable);
    set.iter().find(is_meant).copied().filter(|_| servers.is_empty())
}

/// Asks an API for its models: what it says of the key. An error: why it has not answered.
fn look_at_api(api: &KnownApi, key_env: Option<&str>) -> Result<String, String> {
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

/// Where a server is, and how it is dialled.
struct Located {
    address: SocketAddr,
    tls: Option<TlsDialer>,
    /// What `Host` says.
    host: String,
    /// In front of every path.
    base: String,
}

impl Located {
    /// Whom to ask, with these lines in the head.
    fn place<'a>(&'a self, key_lines: &'a str) -> ServerPlace<'a> {
        ServerPlace {
            address: self.address,
            tls: self.tls.as_ref(),
            host: &self.host,
            base: &self.base,
            key_lines,
            rules: None,
        }
    }
}

/// What a server's text says. An error is a sentence.
fn located(text: &str) -> Result<Located, String> {
    let (sealed, rest) = match text.split_once("://") {
        None => (false, text),
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some((scheme, _)) => return Err(format!("{scheme}:// is neither http:// nor https://")),
    };
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let with_port = match authority.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => authority.to_owned(),
        _ => format!("{authority}:{}", if sealed { 443 } else { 80 }),
    };
    let mut addresses = with_port.to_socket_addrs().map_err(|error| error.to_string())?;
    let address = addresses.next().ok_or("the name has no address")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let tls = sealed.then(|| ClientFiles::default().dialer(&with_port, now)).transpose()?;
    let base = base.trim_end_matches('/').to_owned();
    Ok(Located { address, tls, host: authority.to_owned(), base })
}

/// The lines of a head that carry the key in this variable.
pub(super) fn key_lines(variable: Option<&str>) -> String {
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

/// Asks a person which servers to take.
fn ask(
    mut found: Vec<PlannedServer>,
    key_env: &mut Option<String>,
) -> Result<Vec<PlannedServer>, String> {
    if found.is_empty() {
        eprintln!("No server of models was found on the usual ports of this machine.");
        let text = answer("Where is yours? (host:port or a URL) ")?;
        if !text.is_empty() {
            found.push(PlannedServer::unasked(&text));
        }
    } else {
        found.retain(|server| {
            let question = format!("Use the server on {}? [Y/n] ", server.written);
            !answer(&question).is_ok_and(|text| text.to_ascii_lowercase().starts_with('n'))
        });
    }
    let wanted = found
        .iter()
        .any(|server| server.api.is_none() && server.found.as_ref().is_none_or(|it| it.wants_key));
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
            "no server of models answers on this machine (ports {ports}): start one, name one with \
             --upstream host:port, or set the variable of an API's key (OPENAI_API_KEY, \
             ANTHROPIC_API_KEY, …)"
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
    let names = plan.servers.iter().filter_map(|server| plan.variable_of(server));
    for name in BTreeSet::from_iter(names) {
        if std::env::var_os(name).is_some() {
            continue;
        }
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
