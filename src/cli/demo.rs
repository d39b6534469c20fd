//! `sluicegate demo`: a gateway, a mock inference server behind it, and a line to try them with.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::mock::{self, Failed};
use super::run::{catch_termination, serve};
use super::{DemoArguments, Exit, complain};
use crate::config::snapshot::{Admin, AdminToken, Secret, Snapshot};
use crate::config::{self, Environment};
use crate::server::{self, Server, StartError};
use crate::sys;

/// Clients of a demo: enough to play with, and no limit of the process is in the way.
const CONNECTIONS: usize = 1000;

pub fn execute(arguments: &DemoArguments) -> Exit {
    match start(arguments) {
        Ok(exit) => exit,
        Err(reason) => {
            complain(&reason);
            Exit::Failure
        }
    }
}

fn start(arguments: &DemoArguments) -> Result<Exit, String> {
    let DemoArguments { listen, mock_listen, tls, admin_listen, mock: flags } = arguments;
    let termination = catch_termination()?;
    let mock = mock::start(*mock_listen, 2 * CONNECTIONS, flags)
        .map_err(|failed| failed.told("--mock-listen", None))?;
    let mock_address = mock.addresses().first().copied().unwrap_or(*mock_listen);
    let token = sys::random_token().map_err(|error| format!("no random bytes: {error}"))?;
    let certificate = if *tls { Some(DemoCertificate::make(*listen)?) } else { None };
    let server = match &certificate {
        None => format!("listen = [\"{listen}\"]"),
        Some(made) => made.server(*listen),
    };
    let text = configuration(&server, &mock_address.to_string());
    let started = config::parse(&text, &Environment::current())
        .map_err(|problems| problems.iter().map(|problem| format!("{problem}\n")).collect())
        .and_then(|loaded| {
            start_gateway(loaded.snapshot, *admin_listen, &token)
                .map_err(|error| Failed::Start(error).told("--listen", None))
        });
    let gateway = match started {
        Ok(gateway) => gateway,
        Err(reason) => {
            mock.control().stop();
            return Err(reason);
        }
    };
    // Nobody reads it again, so nobody else says where it comes from.
    let now = sys::time_of_day().as_secs();
    let source = "sluicegate demo, made by the program";
    gateway.control().config().obey(source.to_owned(), 0, now);
    let address = gateway.addresses().first().copied().unwrap_or(*listen);
    let dashboard = match gateway.admin_address() {
        Some(address) => format!("http://{address}/#token={token}"),
        None => "off".to_owned(),
    };
    // What has read the key does not need the file.
    certificate.iter().for_each(DemoCertificate::forget_key);
    let (scheme, curl) = match &certificate {
        None => ("http", "curl".to_owned()),
        Some(made) => ("https", format!("curl --cacert {}", made.certificate.display())),
    };
    print!(
        "\
gateway                {scheme}://{address}
mock inference server  http://{mock_address}
dashboard              {dashboard}

Watch tokens arrive one by one, half a second apart:

  {curl} -N -d '{{\"prompt\":\"hi\"}}' {scheme}://{address}/inference

The same with OpenAI's API, twenty tokens a second:

  {curl} -N -H 'Content-Type: application/json' {scheme}://{address}/v1/chat/completions \\
       -d '{{\"model\":\"mock\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}'

And an upstream that breaks off after three tokens:

  {curl} -N -d '{{\"prompt\":\"hi\"}}' '{scheme}://{address}/inference?cut=3'

More faults and knobs: docs/mock.md. This gateway's configuration: docs/configuration.md.
Ctrl-C drains and ends.
"
    );
    Ok(serve(vec![gateway, mock], termination))
}

/// Starts the gateway, with the dashboard on its usual port if that is free.
fn start_gateway(
    snapshot: Snapshot,
    admin_listen: Option<SocketAddr>,
    token: &str,
) -> Result<Server, StartError> {
    let start = |address: SocketAddr| {
        let token = AdminToken { file: String::new(), secret: Secret::new(token) };
        let admin = Admin {
            listen: Some(address),
            token: Some(token),
            hosts: Vec::new(),
            playground: true,
            tls: None,
        };
        server::start("worker", Arc::new(Snapshot { admin, ..snapshot.clone() }))
    };
    let usual = SocketAddr::from(([127, 0, 0, 1], 9090));
    match start(admin_listen.unwrap_or(usual)) {
        Err(StartError::Admin { .. }) if admin_listen.is_none() => {
            start(SocketAddr::from(([127, 0, 0, 1], 0)))
        }
        started => started,
    }
}

/// A certificate for the demo, in a folder of its own below the temporary one, which goes with it.
struct DemoCertificate {
    certificate: PathBuf,
    key: PathBuf,
    folder: PathBuf,
}

impl Drop for DemoCertificate {
    fn drop(&mut self) {
        // Nobody has to be told: it is a folder that the system clears as well.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl DemoCertificate {
    fn make(listen: SocketAddr) -> Result<DemoCertificate, String> {
        let name = sys::random_token().map_err(|error| format!("no random bytes: {error}"))?;
        let folder = std::env::temp_dir().join(format!("sluicegate-demo-{name}"));
        let told = |error: io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir(&folder).map_err(told)?;
        // From here on it is removed, whatever comes.
        let files = DemoCertificate {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            folder: folder.clone(),
        };
        let names = ["localhost".to_owned(), listen.ip().to_string()];
        let made = super::cert::self_signed(&names)?;
        crate::files::create(&files.key, 0o600, made.key.as_bytes()).map_err(told)?;
        crate::files::create(&files.certificate, 0o644, made.certificate.as_bytes())
            .map_err(told)?;
        Ok(files)
    }

    fn server(&self, listen: SocketAddr) -> String {
        let DemoCertificate { certificate, key, .. } = self;
        format!(
            "tls.listen = [\"{listen}\"]\n\
             tls.certificates = [{{ certificate = {certificate:?}, key = {key:?} }}]"
        )
    }

    fn forget_key(&self) {
        let _ = std::fs::remove_file(&self.key);
    }
}

/// The demo's configuration, as a user would write it.
fn configuration(server: &str, mock: &str) -> String {
    format!(
        r#"
[server]
{server}

[limits]
connections = {CONNECTIONS}

[timeouts]
drain = "10s"

[[upstream]]
name = "mock"
endpoints = ["{mock}"]
pool = {{ connections = {CONNECTIONS} }}

[[route]]
path = "/inference"
methods = ["POST"]
upstream = "mock"
rewrite = "/stream"

[[route]]
path = "/v1/*"
upstream = "mock"

[[route]]
path = "/health"
methods = ["GET"]
upstream = "mock"
"#
    )
}
