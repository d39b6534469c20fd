//! TLS on the clients' side of a stage: a token that is sealed, and a handshake.
//!
//! The certificate is Ed25519: its signatures have one length, so what is written is as long in each round.
//! The clients' own sessions are played outside of the worker's turns, where nothing is counted.

use std::fs;
use std::sync::OnceLock;
use std::time::SystemTime;

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use sluicegate::tls::{
    self, AcceptorSettings, Credentials, DialerSettings, TlsAcceptor, TlsDialer, TlsVersion, Trust,
};
use sluicegate::wire::transport::{Acceptor, Dialer, Session, Sessions, put_out};

use super::Link;
use super::stage::{Stage, Turn};

/// Clients are sealed, servers are plain.
struct Clients(TlsAcceptor);

impl Sessions for Clients {
    fn accept(&mut self) -> Option<Box<dyn Session>> {
        Some(self.0.accept())
    }

    fn connect(&mut self) -> Option<Box<dyn Session>> {
        None
    }
}

/// Both sides of one certificate, made once: no session is resumed.
fn ends() -> &'static (TlsAcceptor, TlsDialer) {
    static ENDS: OnceLock<(TlsAcceptor, TlsDialer)> = OnceLock::new();
    ENDS.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("sluicegate-tape-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let made = params.self_signed(&key).expect("signed");
        let (certificate, secret) = (folder.join("own.pem"), folder.join("own.key"));
        fs::write(&certificate, made.pem()).expect("written");
        fs::write(&secret, key.serialize_pem()).expect("written");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let chain = tls::chain(&certificate, now).expect("a chain");
        let own = Credentials::new(chain, tls::key(&secret).expect("a key")).expect("they fit");
        let min_version = TlsVersion::Tls13;
        let settings =
            AcceptorSettings { credentials: vec![own], clients: None, min_version, tickets: true };
        let trust = Trust::These(tls::authorities(&certificate).expect("an authority"));
        let dialer = DialerSettings { trust, credentials: None, min_version };
        let dialer = TlsDialer::new(&dialer, "localhost").expect("a name").afresh();
        let acceptor = TlsAcceptor::new(&settings).expect("it can be used");
        let _ = fs::remove_dir_all(&folder);
        (acceptor, dialer)
    })
}

/// A stage to whose clients TLS is spoken.
pub fn stage(routes: &str) -> Stage {
    Stage::with_sessions(routes, Box::new(Clients(ends().0.clone())))
}

/// A client that has connected and shaken hands; its link and its session.
fn client(stage: &mut Stage, turn: Turn) -> (Link, Box<dyn Session>) {
    let link = stage.tape.links();
    stage.tape.dial();
    turn(&mut stage.worker);
    let mut session = ends().1.dial();
    let (mut inbox, mut said) = (Vec::new(), put_out(|wire| session.speak(wire)));
    while !said.is_empty() {
        stage.tape.keep(link);
        // Of a handshake a few hundred bytes are left behind, until the process ends.
        stage.tape.say(link, said.leak());
        turn(&mut stage.worker);
        inbox.extend(stage.tape.taken(link));
        loop {
            let opened = session.open(&mut inbox, &mut []).expect("the worker speaks TLS");
            inbox.drain(..opened.taken);
            if opened.taken == 0 {
                break;
            }
        }
        said = put_out(|wire| session.speak(wire));
    }
    assert!(session.is_established(), "both have shaken hands");
    (link, session)
}

/// As [`Stage::open`], with clients that speak TLS.
pub fn open(stage: &mut Stage, count: usize, request: &[u8], head: &'static [u8]) {
    let turn: Turn = |worker| {
        worker.turn().expect("a tape does not fail");
    };
    for _ in 0..count {
        let (client, mut session) = client(stage, turn);
        stage.tape.say(client, put_out(|wire| session.seal(request, wire)).leak());
        let server = stage.tape.links();
        stage.turn();
        assert_eq!(stage.tape.links(), server + 1, "the worker has connected");
        let before = stage.tape.written(client);
        stage.tape.say(server, head);
        stage.turn();
        assert!(stage.tape.written(client) > before, "the answer has begun");
        stage.clients.push(client);
        stage.servers.push(server);
    }
}

/// A client that comes, shakes hands and leaves.
pub fn handshake(stage: &mut Stage, turn: Turn) {
    let (link, mut session) = client(stage, turn);
    stage.tape.say(link, put_out(|wire| session.close(wire)).leak());
    stage.tape.end(link);
    turn(&mut stage.worker);
    assert!(!stage.tape.is_open(link), "it has left");
}
