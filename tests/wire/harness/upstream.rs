//! A server for the gateway to talk to, played by the test.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::peer::Peer;
use super::{PATIENCE, WATCH};

/// A listening socket on a port of its own.
pub struct Upstream {
    listener: TcpListener,
}

impl Upstream {
    pub fn listen() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        Upstream { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a socket")
    }

    /// The gateway's next connection; it must come.
    pub fn accept(&self) -> Peer {
        self.accept_within(PATIENCE).expect("the gateway connects")
    }

    /// The gateway's next connection, if one comes in time.
    pub fn accept_within(&self, patience: Duration) -> Option<Peer> {
        let deadline = Instant::now() + patience;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(Peer::of(stream)),
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                Err(_) => return None,
            }
        }
    }

    /// Asserts that the gateway makes no connection.
    pub fn expect_nobody(&self) {
        if let Some(mut peer) = self.accept_within(WATCH) {
            peer.receive(WATCH);
            panic!("the gateway connected: {}", peer.transcript());
        }
    }

    /// Asserts that the gateway asks nothing. Of an endpoint that is out it may look whether the port
    /// answers, and says nothing there.
    pub fn expect_no_request(&self) {
        while let Some(mut peer) = self.accept_within(WATCH) {
            peer.receive(WATCH);
            assert!(peer.received().is_empty(), "the gateway asked: {}", peer.transcript());
        }
    }

    /// Plays every connection with `script`, each in a thread of its own, for as long as the
    /// process lives. A script that panics closes its connection, and the test sees that.
    pub fn serve(script: impl Fn(Peer) + Send + Sync + 'static) -> SocketAddr {
        let upstream = Upstream::listen();
        upstream.listener.set_nonblocking(false).expect("a socket");
        let address = upstream.address();
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in upstream.listener.incoming().flatten() {
                let script = Arc::clone(&script);
                thread::spawn(move || script(Peer::of(stream)));
            }
        });
        address
    }
}

/// The first of two that a new connection is made to.
pub fn whoever_is_asked(upstreams: [&Upstream; 2]) -> (usize, Peer) {
    let asked = || {
        let mut each = upstreams.iter().enumerate();
        each.find_map(|(at, upstream)| Some((at, upstream.accept_within(Duration::ZERO)?)))
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = asked() {
            return found;
        }
        assert!(Instant::now() < deadline, "nobody was asked");
        std::thread::sleep(Duration::from_millis(1));
    }
}
