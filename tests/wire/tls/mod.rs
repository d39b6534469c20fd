//! TLS, with clients and servers that are not ours: curl, `openssl`, Python's ssl.
//!
//! | file | about |
//! |---|---|
//! | `certificates.rs` | what clients' certificates open, OCSP responses, the admin address |
//! | `clients.rs` | what clients see: versions, names, tickets, certificates of their own |
//! | `files.rs` | certificate files: refused by `check`, renewed under a gateway that runs |
//! | `ours.rs` | what the gateway asks for itself: a store, a collector of spans, an authoriser |
//! | `strangers.rs` | scanners, a browser, nginx behind it |
//! | `servers.rs` | `https://` upstreams, and what becomes of those that cannot be believed |

mod authority;
mod certificates;
mod clients;
mod files;
mod ours;
mod servers;
mod strangers;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

pub use authority::{Authority, EXPIRED, GOOD, Pair};

use crate::harness::{Config, Gateway, run};

/// A gateway that speaks TLS too, on a port of its own.
pub struct Sealed {
    pub gateway: Gateway,
    pub port: u16,
}

impl Sealed {
    /// `tls` are the lines of `[server.tls]` but `listen`.
    pub fn start(config: &Config, tls: &str) -> Sealed {
        Sealed::of(Gateway::start(&Sealed::text(config, tls)))
    }

    /// The same, its access log in its log.
    pub fn start_logging(config: &Config, tls: &str) -> Sealed {
        let text = format!("{}\n[access_log]\nto = \"stderr\"\n", Sealed::text(config, tls));
        Sealed::of(Gateway::start(&text))
    }

    pub fn text(config: &Config, tls: &str) -> String {
        format!("{}\n[server.tls]\nlisten = [\"127.0.0.1:0\"]\n{tls}\n", config.text())
    }

    fn of(gateway: Gateway) -> Sealed {
        let line = gateway.wait_for_log("listening on https://");
        let (_, port) = line.trim().rsplit_once(':').expect("a port");
        let port = port.parse().expect("a port");
        Sealed { gateway, port }
    }

    /// What curl prints, or how it failed. It believes `authority`.
    pub fn curl(&self, authority: &Authority, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "15", "--resolve"]);
        command.arg(format!("*:{}:127.0.0.1", self.port)).arg("--cacert").arg(&authority.ca);
        let ended = run(command.args(arguments));
        if ended.status.success() { Ok(ended.stdout) } else { Err(ended.stderr) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }
}

/// What `openssl s_client` prints of a connection to this port on which `request` is sent.
pub fn s_client(port: u16, arguments: &[&str], request: &str) -> String {
    let mut process = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-ign_eof"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    process.stdin.take().expect("a pipe").write_all(request.as_bytes()).expect("it reads");
    let ended = process.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}", text(&ended.stdout), text(&ended.stderr))
}

/// A request after whose answer the connection ends.
pub const LAST: &str = "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// `tests/clients/tls_server.py`, until it is dropped.
pub struct TlsServer {
    process: Child,
    pub port: u16,
    said: BufReader<ChildStdout>,
}

impl TlsServer {
    /// It shows this certificate, and asks for one that `clients` has signed.
    pub fn start(shown: &Pair, clients: Option<&Authority>) -> TlsServer {
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/tls_server.py"));
        command.arg(&shown.certificate).arg(&shown.key);
        command.args(clients.map(|authority| &authority.ca));
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is installed");
        let said = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut server = TlsServer { process, port: 0, said };
        server.port = server.line().parse().expect("a port");
        server
    }

    /// What it says next.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `tests/clients/tls_stream.py` prints: when each event came, and how the body ended.
pub fn python_reads(sealed: &Sealed, authority: &Authority, version: &str) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/tls_stream.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(sealed.port.to_string()).arg(&authority.ca).args(["/a", version]);
    let ended = run(&mut command);
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stdout.lines().map(str::to_owned).collect()
}
