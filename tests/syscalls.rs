//! The floor on real sockets: what `tests/steady_state.rs` proves in the simulation, counted by the
//! production counters of a worker on Linux.
//!
//! A server and a client take turns: the next token leaves when the one before it has arrived, so
//! no two can share a read. Each may cost one read, one write and one poll, and nothing else; under TLS
//! too, on either side.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion, version,
};
use sluicegate::config::{self, Environment};
use sluicegate::measure::stats::Counters;
use sluicegate::server::{self, Server};
use sluicegate::tls;

const PATIENCE: Duration = Duration::from_secs(20);
const ROUNDS: u64 = 1_000;
/// A poll may be woken by a timer, once in a while.
const POLLS_BESIDE: u64 = 10;

/// A gateway of one worker in this process, so that its counters can be read.
struct Gateway {
    server: Option<Server>,
    counters: Arc<Counters>,
    address: SocketAddr,
}

impl Gateway {
    fn to(upstream: SocketAddr) -> Gateway {
        Gateway::with("", upstream)
    }

    /// With more lines below `[server]`.
    fn with(lines: &str, upstream: SocketAddr) -> Gateway {
        let listen = format!("listen = [\"127.0.0.1:0\"]\n{lines}");
        Gateway::of(&listen, &format!("endpoints = [\"{upstream}\"]"))
    }

    fn of(server: &str, upstream: &str) -> Gateway {
        let text = format!(
            "[server]\nworkers = 1\n{server}\n\
             [[upstream]]\nname = \"models\"\n{upstream}\n\
             [[route]]\npath = \"/*\"\nupstream = \"models\"\n"
        );
        let loaded = config::parse(&text, &Environment::current()).expect("it is valid");
        let server = server::start("floor", Arc::new(loaded.snapshot)).expect("it starts");
        let (counters, address) = (Arc::clone(&server.counters()[0]), server.addresses()[0]);
        Gateway { server: Some(server), counters, address }
    }

    fn client(&self) -> TcpStream {
        impatient(TcpStream::connect(self.address).expect("it listens"))
    }

    /// The counts of a worker that has come to rest: a client may have its answer before the turn
    /// that wrote it is over.
    fn counts(&self) -> Counts {
        let mut seen = self.counts_now();
        loop {
            thread::sleep(Duration::from_millis(20));
            let now = self.counts_now();
            if now == std::mem::replace(&mut seen, now) {
                return now;
            }
        }
    }

    fn counts_now(&self) -> Counts {
        let counters = &self.counters;
        Counts {
            polls: counters.polls.get(),
            pauses: counters.pauses.get(),
            reads: counters.reads.get(),
            writes: counters.writes.get(),
            would_block: counters.would_block.get(),
            peeks: counters.peeks.get(),
            registers: counters.registers.get(),
            connects: counters.connects.get(),
            accepts: counters.accepts.get(),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.control().stop();
            server.join().expect("its worker ends well");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    polls: u64,
    pauses: u64,
    reads: u64,
    writes: u64,
    would_block: u64,
    peeks: u64,
    registers: u64,
    connects: u64,
    accepts: u64,
}

impl std::ops::Sub for Counts {
    type Output = Counts;
    fn sub(self, before: Counts) -> Counts {
        Counts {
            polls: self.polls - before.polls,
            pauses: self.pauses - before.pauses,
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            would_block: self.would_block - before.would_block,
            peeks: self.peeks - before.peeks,
            registers: self.registers - before.registers,
            connects: self.connects - before.connects,
            accepts: self.accepts - before.accepts,
        }
    }
}

fn impatient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is allowed");
    stream.set_nodelay(true).expect("a socket");
    stream
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Reads up to and including `end`.
fn read_until(stream: &mut dyn Wire, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !bytes.ends_with(end) {
        let count = stream.read(&mut piece).expect("the other side goes on");
        assert!(count > 0, "ended after {:?}", bytes.escape_ascii().to_string());
        bytes.extend_from_slice(&piece[..count]);
    }
    bytes
}

/// A connection, plain or sealed.
trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

const CHUNK: &[u8] = b"d\r\ndata: token\n\n\r\n";

/// Asks for an event stream.
fn ask_for_stream(client: &mut dyn Wire) {
    client.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").expect("a socket");
}

/// Begins one.
fn begin_stream(server: &mut dyn Wire) {
    read_until(server, b"\r\n\r\n");
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    server.write_all(head).expect("a socket");
}

/// An event stream through the gateway that has begun: the server's end and the client's.
fn stream(gateway: &Gateway, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = gateway.client();
    ask_for_stream(&mut client);
    let mut server = impatient(listener.accept().expect("the gateway connects").0);
    begin_stream(&mut server);
    (server, client)
}

/// The floor of a token, on a stream that has begun.
fn assert_floor_of_tokens(gateway: &Gateway, server: &mut dyn Wire, client: &mut dyn Wire) {
    let mut token = || {
        server.write_all(CHUNK).expect("a socket");
        read_until(client, CHUNK);
    };
    token();
    let before = gateway.counts();
    (0..ROUNDS).for_each(|_| token());
    let spent = gateway.counts() - before;
    assert_eq!((spent.reads, spent.writes), (ROUNDS, ROUNDS), "{spent:?}");
    assert_eq!((spent.would_block, spent.peeks, spent.registers), (0, 0, 0), "{spent:?}");
    assert!(spent.polls <= ROUNDS + POLLS_BESIDE, "{spent:?}");
}

/// The floor of a request on connections that are warm. `accept` takes the gateway's to the server.
fn assert_floor_of_requests(
    gateway: &Gateway,
    client: &mut dyn Wire,
    mut accept: impl FnMut() -> Box<dyn Wire>,
) {
    let mut server = None;
    let mut exchange = || {
        client.write_all(b"GET /answer HTTP/1.1\r\nHost: x\r\n\r\n").expect("a socket");
        let server = server.get_or_insert_with(&mut accept).as_mut();
        read_until(server, b"\r\n\r\n");
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer").expect("a socket");
        read_until(client, b"answer");
    };
    exchange();
    let before = gateway.counts();
    (0..ROUNDS).for_each(|_| exchange());
    let spent = gateway.counts() - before;
    assert_eq!((spent.reads, spent.writes), (2 * ROUNDS, 2 * ROUNDS), "{spent:?}");
    assert_eq!((spent.peeks, spent.would_block), (0, 0), "{spent:?}");
    assert_eq!((spent.registers, spent.connects, spent.accepts), (0, 0, 0), "{spent:?}");
    assert!(spent.polls <= 2 * ROUNDS + POLLS_BESIDE, "{spent:?}");
}

#[test]
fn a_token_costs_one_read_one_write_and_one_poll() {
    let (listener, upstream) = listener();
    let gateway = Gateway::to(upstream);
    let (mut server, mut client) = stream(&gateway, &listener);
    assert_floor_of_tokens(&gateway, &mut server, &mut client);
}

/// Tokens that are farther apart than a spin are long: two waits tell, and then the worker sleeps.
#[test]
fn a_spin_that_does_not_pay_is_given_up() {
    const TOKENS: u64 = 100;
    let (listener, upstream) = listener();
    let gateway = Gateway::with("spin = \"200us\"", upstream);
    let (mut server, mut client) = stream(&gateway, &listener);
    let mut token = || {
        server.write_all(CHUNK).expect("a socket");
        read_until(&mut client, CHUNK);
        thread::sleep(Duration::from_millis(5));
    };
    (0..5).for_each(|_| token());
    let before = gateway.counts();
    (0..TOKENS).for_each(|_| token());
    let spent = gateway.counts() - before;
    // Each spin would be a hundred polls.
    assert!(spent.polls <= 2 * TOKENS, "{spent:?}");
}

#[test]
fn coalesced_tokens_share_their_polls_and_arrive_whole() {
    const STREAMS: usize = 20;
    const EVERY: Duration = Duration::from_micros(200);
    let (listener, upstream) = listener();
    let gateway = Gateway::with("coalesce = \"10ms\"", upstream);
    let (mut servers, mut clients): (Vec<_>, Vec<_>) =
        (0..STREAMS).map(|_| stream(&gateway, &listener)).unzip();
    let before = gateway.counts();
    for _ in 0..ROUNDS / STREAMS as u64 {
        for server in &mut servers {
            server.write_all(CHUNK).expect("a socket");
            thread::sleep(EVERY);
        }
    }
    let spent = gateway.counts() - before;
    let expected = [b"HTTP/1.1 200 OK\r\n", &CHUNK.repeat(ROUNDS as usize / STREAMS)[..]];
    for client in &mut clients {
        let got = read_until(client, expected[1]);
        assert!(got.starts_with(expected[0]));
    }
    // Without, every token has a poll of its own: they come a wake-up apart. A pause gathers up to
    // sixteen, and some of the polls do without.
    assert!(spent.pauses > 0 && spent.polls < ROUNDS / 2, "{spent:?}");
    assert!(spent.reads <= ROUNDS && spent.writes <= ROUNDS, "{spent:?}");
}

/// The kernels' buffers fill, megabytes on the way to each client, and that is all.
#[test]
fn clients_that_do_not_read_cost_nothing_once_buffers_are_full() {
    let (listener, upstream) = listener();
    let gateway = Gateway::to(upstream);
    let streams: Vec<_> = (0..20).map(|_| stream(&gateway, &listener)).collect();
    let clients: Vec<_> = streams
        .into_iter()
        .map(|(mut server, client)| {
            let flood = CHUNK.repeat(1_000);
            thread::spawn(move || while server.write_all(&flood).is_ok() {});
            client
        })
        .collect();
    // It comes to rest, however long the machine takes to fill the buffers: half a second without
    // work comes, or something works for nothing.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rest = gateway.counts();
        thread::sleep(Duration::from_millis(500));
        let spent = gateway.counts() - rest;
        let idle = (spent.reads, spent.writes, spent.would_block) == (0, 0, 0);
        if rest.would_block > 0 && idle && spent.polls <= POLLS_BESIDE {
            break;
        }
        assert!(Instant::now() < deadline, "{spent:?}");
    }
    drop(clients);
}

#[test]
fn a_request_on_warm_connections_costs_two_reads_two_writes_and_two_polls() {
    let (listener, upstream) = listener();
    let gateway = Gateway::to(upstream);
    let mut client = gateway.client();
    assert_floor_of_requests(&gateway, &mut client, || {
        Box::new(impatient(listener.accept().expect("the gateway connects").0))
    });
    client.shutdown(Shutdown::Both).expect("a socket");
}

/// A certificate for 127.0.0.1 that is its own authority, in a folder that goes with it.
struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    fn new(name: &str) -> Certificate {
        let folder = format!("sluicegate-floor-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let made = tls::self_signed(&["127.0.0.1".into()], (since.as_secs() / 86_400) as i64);
        let made = made.expect("a certificate");
        fs::write(folder.join("own.pem"), made.certificate).expect("written");
        fs::write(folder.join("own.key"), made.key).expect("written");
        Certificate { folder }
    }

    /// A gateway that speaks TLS to its clients, to its server, or to both.
    fn gateway(&self, clients: bool, servers: bool, upstream: SocketAddr) -> Gateway {
        let (own, key) = (self.folder.join("own.pem"), self.folder.join("own.key"));
        let listen = "listen = [\"127.0.0.1:0\"]";
        let shown = format!("certificates = [{{ certificate = {own:?}, key = {key:?} }}]");
        let server = match clients {
            true => format!("[server.tls]\n{listen}\n{shown}"),
            false => listen.to_owned(),
        };
        let upstream = match servers {
            true => format!("endpoints = [\"https://{upstream}\"]\ntls = {{ ca = {own:?} }}"),
            false => format!("endpoints = [\"{upstream}\"]"),
        };
        Gateway::of(&server, &upstream)
    }

    fn chain(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.folder.join("own.pem")).expect("a certificate")
    }

    /// A client of the gateway; one that speaks TLS has shaken hands.
    fn client(&self, gateway: &Gateway, speaks: Version) -> Box<dyn Wire> {
        let mut stream = gateway.client();
        let Some(version) = speaks else { return Box::new(stream) };
        let mut roots = RootCertStore::empty();
        roots.add(self.chain()).expect("a root");
        let config = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let mut session = ClientConnection::new(Arc::new(config), name).expect("a session");
        while session.is_handshaking() {
            session.complete_io(&mut stream).expect("a handshake");
        }
        assert_eq!(session.protocol_version(), Some(version.version));
        Box::new(StreamOwned::new(session, stream))
    }

    /// The server's end of the gateway's connection, likewise.
    fn accept(&self, listener: &TcpListener, speaks: Version) -> Box<dyn Wire> {
        let mut stream = impatient(listener.accept().expect("the gateway connects").0);
        let Some(version) = speaks else { return Box::new(stream) };
        let key = PrivateKeyDer::from_pem_file(self.folder.join("own.key")).expect("a key");
        let config = ServerConfig::builder_with_protocol_versions(&[version])
            .with_no_client_auth()
            .with_single_cert(vec![self.chain()], key)
            .expect("they fit");
        let mut session = ServerConnection::new(Arc::new(config)).expect("a session");
        while session.is_handshaking() {
            session.complete_io(&mut stream).expect("a handshake");
        }
        Box::new(StreamOwned::new(session, stream))
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The TLS that a client or a server speaks, or none.
type Version = Option<&'static SupportedProtocolVersion>;

/// What clients speak, and what servers do.
const SEALED: [(Version, Version); 4] = [
    (Some(&version::TLS13), None),
    (None, Some(&version::TLS13)),
    (Some(&version::TLS13), Some(&version::TLS13)),
    (Some(&version::TLS12), Some(&version::TLS12)),
];

/// A record is read and opened whole, and sealed and written whole: neither its header nor its end is
/// looked for by a call of its own.
#[test]
fn a_token_under_tls_costs_one_read_one_write_and_one_poll_too() {
    let own = Certificate::new("tokens");
    for (clients, servers) in SEALED {
        let (listener, upstream) = listener();
        let gateway = own.gateway(clients.is_some(), servers.is_some(), upstream);
        let mut client = own.client(&gateway, clients);
        ask_for_stream(client.as_mut());
        let mut server = own.accept(&listener, servers);
        begin_stream(server.as_mut());
        assert_floor_of_tokens(&gateway, server.as_mut(), client.as_mut());
    }
}

#[test]
fn a_request_under_tls_costs_two_reads_two_writes_and_two_polls_too() {
    let own = Certificate::new("requests");
    for (clients, servers) in SEALED {
        let (listener, upstream) = listener();
        let gateway = own.gateway(clients.is_some(), servers.is_some(), upstream);
        let mut client = own.client(&gateway, clients);
        assert_floor_of_requests(&gateway, client.as_mut(), || own.accept(&listener, servers));
    }
}
