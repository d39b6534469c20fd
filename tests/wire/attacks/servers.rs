//! Every request of the tables, through the gateway, to servers that are not ours.
//!
//! What they log is no more than the gateway has counted, and nothing that was hidden in a request.
//! Plain, and over TLS: what the session opens must be judged as what comes without one.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{passed, refused};
use crate::harness::{Config, Gateway, PATIENCE};
use crate::smuggling::{self, SMUGGLED};
use crate::tls::{Authority, Sealed};
use crate::{hostile, protocol};

const SECOND: &[u8] = b"GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// How long a connection has to be silent until nothing more is expected on it.
const QUIET: Duration = Duration::from_millis(60);

/// A server, until it is dropped. What it has seen is in `log`, a line for each request.
struct Server {
    process: Child,
    port: u16,
    folder: PathBuf,
    /// Lines about the look whether it listens.
    before: usize,
}

impl Server {
    /// Starts `program`; `arguments` come of a port that is free and of a folder of its own. The log
    /// is what it prints, or its file `log`.
    fn start(program: &str, arguments: impl Fn(u16, &str) -> Vec<String>) -> Server {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("a socket").port();
        drop(socket);
        let name = format!("sluicegate-seen-{}-{port}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let log = std::fs::File::create(folder.join("log")).expect("a file");
        let errors = std::fs::File::create(folder.join("errors")).expect("a file");
        let process = Command::new(program)
            .args(arguments(port, folder.to_str().expect("a path")))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn();
        let process = process.unwrap_or_else(|error| {
            panic!("{program} is not installed; `tests/run --install` does that: {error}")
        });
        let mut server = Server { process, port, folder, before: 0 };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.process.try_wait().expect("a child");
            let errors = std::fs::read_to_string(server.folder.join("errors"));
            assert!(ended.is_none() && Instant::now() < deadline, "{program}: {errors:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(200));
        server.before = server.seen().len();
        server
    }

    fn nginx() -> Server {
        Server::start("nginx", |port, folder| {
            let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let paths = paths.map(|name| format!("{name}_temp_path {folder};")).join(" ");
            let text = format!(
                "daemon off; master_process off; pid {folder}/pid; error_log stderr;\n\
                 events {{}}\nhttp {{ {paths} log_format seen '$status $request';\n\
                 access_log {folder}/log seen; server {{ listen 127.0.0.1:{port};\n\
                 location / {{ add_header X-Means $uri always; return 200 seen; }} }} }}\n"
            );
            let file = format!("{folder}/nginx.conf");
            std::fs::write(&file, text).expect("written");
            vec!["-c".into(), file, "-e".into(), "stderr".into()]
        })
    }

    fn haproxy() -> Server {
        Server::start("haproxy", |port, folder| {
            let text = format!(
                "global\n log stdout format raw local0\ndefaults\n mode http\n log global\n\
                 \x20timeout client 5s\n timeout http-request 5s\n log-format \"%ST %r\"\n\
                 frontend seen\n bind 127.0.0.1:{port}\n\
                 \x20http-request return status 200 content-type text/plain string seen\n"
            );
            let file = format!("{folder}/haproxy.cfg");
            std::fs::write(&file, text).expect("written");
            vec!["-db".into(), "-f".into(), file]
        })
    }

    fn python() -> Server {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/seen_server.py");
        Server::start("python3", |port, _| vec![script.into(), port.to_string()])
    }

    fn node() -> Server {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/node/seen_server.mjs");
        Server::start("node", |port, _| vec![script.into(), port.to_string()])
    }

    fn seen(&self) -> Vec<String> {
        let log = std::fs::read(self.folder.join("log")).expect("a log");
        String::from_utf8_lossy(&log).lines().skip(self.before).map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What a client sends, and whether it is a request that the server answers.
fn rows() -> Vec<(&'static str, Vec<u8>, bool)> {
    let mut rows = Vec::new();
    for (row, request) in smuggling::cases().into_iter().chain(refused::hostile_heads()) {
        rows.push((row.id, [&request[..], SMUGGLED].concat(), false));
    }
    for (row, chunks) in hostile::refused_chunks().into_iter().chain(refused::hostile_chunks()) {
        let request = [hostile::UPLOAD, hostile::GOOD_CHUNK, &chunks, SMUGGLED].concat();
        rows.push((row.id, request, false));
    }
    for (id, case) in protocol::accepted_requests() {
        // These announce a body that does not come.
        let whole = !["cl-largest", "expect-continue"].contains(&id);
        rows.push((id, case.request.into(), whole));
    }
    for (id, case) in passed::suspicious() {
        rows.push((id, [case.request.as_bytes(), SECOND].concat(), true));
    }
    rows
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// Sends, and reads until the end or until it is quiet.
fn ask(mut wire: Box<dyn Wire>, id: &str, request: &[u8], answered: bool) -> Vec<u8> {
    // A refusal may come before the last byte has left.
    let _ = wire.write_all(request).and_then(|()| wire.flush());
    let mut received = Vec::new();
    let mut block = [0; 16 * 1024];
    let deadline = Instant::now() + PATIENCE;
    loop {
        match wire.read(&mut block) {
            Ok(0) => return received,
            Ok(count) => received.extend_from_slice(&block[..count]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    if !received.is_empty() || !answered && id != "tls-hello" {
                        return received;
                    }
                }
                ErrorKind::Interrupted => {}
                _ => return received,
            },
        }
        assert!(Instant::now() < deadline, "{id}: no answer");
    }
}

fn plain(port: u16) -> Box<dyn Wire> {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(QUIET)).expect("a socket");
    Box::new(stream)
}

fn sealed(port: u16, trusted: &Arc<ClientConfig>) -> Box<dyn Wire> {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::clone(trusted), name).expect("a session");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let mut session = session;
    while session.is_handshaking() {
        session.complete_io(&mut stream).expect("a handshake");
    }
    stream.set_read_timeout(Some(QUIET)).expect("a socket");
    Box::new(StreamOwned::new(session, stream))
}

/// How often the gateway has asked a server, by its logs: attempts, and what was sent again because
/// a connection of the pool was dead. A server that closes without an answer makes it so.
fn counted(gateway: &Gateway) -> usize {
    let log = gateway.log();
    let attempts = log.iter().filter_map(|line| {
        let (_, behind) = line.split_once("\"attempts\":")?;
        behind.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
    });
    let replays = log.iter().filter(|line| line.ends_with("; replayed on a fresh connection"));
    attempts.sum::<usize>() + replays.count()
}

fn play(server: &Server) {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let config =
        Config { limits: smuggling::limits(), ..Config::to(([127, 0, 0, 1], server.port).into()) };
    let certificates = format!("certificates = [{}]", own.entry());
    let gate = Sealed::start_logging(&config, &certificates);
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&authority.ca).expect("a certificate"))
        .expect("a root");
    let trusted = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let trusted = Arc::new(trusted);
    let mut answers = 0;
    for (id, request, answered) in rows() {
        for over_tls in [false, true] {
            let wire = match over_tls {
                true => sealed(gate.port, &trusted),
                false => plain(gate.gateway.address().port()),
            };
            let answer = ask(wire, id, &request, answered);
            if answered {
                answers += 1;
                assert!(answer.starts_with(b"HTTP/1.1 "), "{id}, TLS {over_tls}");
            }
        }
    }
    // Lines of either log may be late.
    std::thread::sleep(Duration::from_millis(500));
    let (seen, counted) = (server.seen(), counted(&gate.gateway));
    let hidden: Vec<_> = ["/smuggled", "/hidden", "/bad"]
        .into_iter()
        .flat_map(|path| seen.iter().filter(move |line| line.contains(path)))
        .collect();
    assert!(hidden.is_empty(), "{hidden:#?}");
    assert!(seen.len() <= counted, "{counted} counted, {} seen: {seen:#?}", seen.len());
    // All that it was asked and could have answered: what it does not like counts too.
    assert!(seen.len() >= answers, "{answers} answers, {} seen: {seen:#?}", seen.len());
}

#[test]
fn nginx_sees_what_the_gateway_counts() {
    play(&Server::nginx());
}

#[test]
fn haproxy_sees_what_the_gateway_counts() {
    play(&Server::haproxy());
}

#[test]
fn pythons_server_sees_what_the_gateway_counts() {
    play(&Server::python());
}

#[test]
fn nodes_server_sees_what_the_gateway_counts() {
    play(&Server::node());
}

/// Other spellings of a path below `/admin/`, to one server or another.
const SPELLINGS: [&str; 36] = [
    "/admin/x",
    "/%61dmin/x",
    "/admi%6E/x",
    "//admin/x",
    "///admin/x",
    "/admin%2fx",
    "/%2fadmin/x",
    "/%2F%2Fadmin//x",
    "/admin//x",
    "/admin/./x",
    "/./admin/x",
    "/x/../admin/x",
    "/x/%2e%2e/admin/x",
    "/x/.%2E/admin/x",
    "/x%2f..%2fadmin/x",
    "/x/..%2fadmin/x",
    "/x/..;/admin/x",
    "/x/..;a=b/admin/x",
    "/x/%2e%2e;/admin/x",
    "/;/../admin/x",
    "/\\admin/x",
    "/x\\..\\admin/x",
    "/%5cadmin/x",
    "/x/..%5cadmin/x",
    "/x/%c0%ae%c0%ae/admin/x",
    "/x/%e0%80%ae%e0%80%ae/admin/x",
    "/%c0%afadmin/x",
    "/%e0%80%afadmin/x",
    "/%f0%80%80%afadmin/x",
    "/x/%252e%252e/admin/x",
    "/%252fadmin/x",
    "/admin;a=b/x",
    "/;a=b/admin/x",
    "/admin/;x",
    "/x/%uff0e%uff0e/admin/x",
    "/x?/../admin/x",
];

/// What a server takes a path for. `None`: it has not answered, or with a refusal.
fn meaning(port: u16, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = ask(plain(port), path, request.as_bytes(), true);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let field = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-means").then_some(value)
    });
    field.filter(|_| answer.starts_with("HTTP/1.1 200")).map(str::to_owned)
}

/// Whatever a server makes of a path, one that is below a guarded route there was guarded here.
#[test]
fn no_server_finds_a_guarded_path_behind_another_spelling() {
    let servers =
        [("nginx", Server::nginx()), ("python", Server::python()), ("node", Server::node())];
    for (name, server) in &servers {
        let port = server.port;
        let gateway = Gateway::start(&format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
             [keys.nobody]\nhash = \"sha256:{}\"\n\
             [[upstream]]\nname = \"server\"\nendpoints = [\"127.0.0.1:{port}\"]\n\
             [[route]]\npath = \"/admin/*\"\nupstream = \"server\"\n\
             [[route]]\npath = \"/*\"\nupstream = \"server\"\nkeys = \"off\"\n",
            "0".repeat(64)
        ));
        let is_guarded = |path: &str| path.starts_with("/admin/");
        let mut dangerous = 0;
        for path in SPELLINGS {
            dangerous += usize::from(meaning(port, path).is_some_and(|path| is_guarded(&path)));
            let through = meaning(gateway.address().port(), path);
            assert!(!through.as_deref().is_some_and(is_guarded), "{name}: {path} is {through:?}");
        }
        // Asked directly, it takes many of them for one.
        assert!(dangerous >= 5, "{name}: {dangerous}");
        let open = meaning(gateway.address().port(), "/open/x");
        assert_eq!(open.as_deref(), Some("/open/x"), "{name}");
    }
}
