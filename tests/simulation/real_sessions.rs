//! Worlds whose sessions are those of production: rustls at the worker, and rustls at the peers.
//!
//! What a handshake says is random, and so are the lengths of some of its records: the network cuts them
//! elsewhere in each run. So a seed draws what is asked and what goes wrong, as always, and no digest is
//! compared; what has to hold holds whatever the bytes are.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::harness::seeds;
use sluicegate::sim::World;
use sluicegate::sim::plan::Plan;
use sluicegate::tls::{
    self, AcceptorSettings, Credentials, DialerSettings, TlsAcceptor, TlsDialer, TlsVersion, Trust,
};
use sluicegate::wire::transport::{Acceptor, Dialer, Session, Sessions};

/// Who is sealed, and how: for the worker, whose clients it accepts, or for its peers.
#[derive(Clone)]
struct Real {
    acceptor: Option<TlsAcceptor>,
    dialer: Option<TlsDialer>,
}

impl Sessions for Real {
    fn accept(&mut self) -> Option<Box<dyn Session>> {
        Some(self.acceptor.as_ref()?.accept())
    }

    fn connect(&mut self) -> Option<Box<dyn Session>> {
        Some(self.dialer.as_ref()?.dial())
    }
}

/// A certificate of a test's own, in a folder that goes with it.
struct Files(PathBuf);

impl Files {
    fn new() -> Files {
        let path = std::env::temp_dir().join(format!("sluicegate-worlds-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        let made = tls::self_signed(&["localhost".to_owned()], (now().as_secs() / 86_400) as i64);
        let made = made.expect("made");
        std::fs::write(path.join("own.pem"), made.certificate).expect("written");
        std::fs::write(path.join("own.key"), made.key).expect("written");
        Files(path)
    }

    fn sessions(&self, min_version: TlsVersion) -> (TlsAcceptor, TlsDialer) {
        let certificate = self.0.join("own.pem");
        let chain = tls::chain(&certificate, now()).expect("a chain");
        let key = tls::key(&self.0.join("own.key")).expect("a key");
        let credentials = vec![Credentials::new(chain, key).expect("they fit")];
        let acceptor = AcceptorSettings { credentials, clients: None, min_version, tickets: true };
        let trust = Trust::These(tls::authorities(&certificate).expect("an authority"));
        let dialer = DialerSettings { trust, credentials: None, min_version };
        let dialer = TlsDialer::new(&dialer, "localhost").expect("a name");
        (TlsAcceptor::new(&acceptor).expect("it can be used"), dialer)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970")
}

/// Sealed worlds that are played.
const WORLDS: usize = 60;

#[test]
fn worlds_with_real_sessions_keep_every_promise() {
    let files = Files::new();
    let stalls = |plan: &Plan| {
        [plan.seals.clients, plan.seals.servers].into_iter().flatten().any(|it| it.stalls)
    };
    let plans = (0..).map(Plan::draw).filter(|plan| {
        let sealed = plan.seals.clients.is_some() || plan.seals.servers.is_some();
        sealed && !stalls(plan)
    });
    let (mut finished, mut handshakes) = (0, 0);
    for plan in plans.take(WORLDS) {
        let (acceptor, dialer) = files.sessions(TlsVersion::Tls12);
        let (clients, servers) = (plan.seals.clients.is_some(), plan.seals.servers.is_some());
        let worker = Real {
            acceptor: clients.then(|| acceptor.clone()),
            dialer: servers.then(|| dialer.clone()),
        };
        let peers =
            Real { acceptor: servers.then_some(acceptor), dialer: clients.then_some(dialer) };
        let world = World::with_faults(plan.seed, plan.faults.clone());
        world.seal_with(Box::new(peers));
        let report =
            seeds::run_in(world, &plan, false, |world| world, |_| {}, Some(Box::new(worker)));
        match report.verdict {
            Ok(_) => finished += 1,
            Err(reason) => panic!("seed {} with real sessions: {reason}", plan.seed),
        }
        handshakes += usize::from(clients) + usize::from(servers);
    }
    assert!(finished == WORLDS && handshakes >= WORLDS);
}
