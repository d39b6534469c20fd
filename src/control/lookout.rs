//! Lookout: sees when an endpoint that is out comes back, by its port.
//!
//! A worker whose breaker has opened says so once ([`DownEndpoint`]). From then on the port is dialled, soon at
//! first and then about once a second. When it has been seen away, by a connection that did not come
//! to stand or by a dial, and then answers, the server is another one than before: the workers are
//! told, and their breakers ask for a probe at once. So a server that comes back is used within a
//! second of its return, however long its breaker would have stayed open.
//!
//! A port that has answered all along says nothing: that of a server whose model has crashed goes on
//! taking connections. It is dialled while the breaker is open, in case the server goes.
//!
//! Nothing is sent on such a connection: that the port answers is all there is to know, and whether
//! the model works is found out by the probe.
//!
//! One thread, which sleeps for as long as every port is thought well. It never waits for a dial:
//! it begins one, and looks at it in its next round.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::snapshot::EndpointId;
use crate::config::snapshot::unix_path::shown_address;
use crate::proxy::health::DownEndpoint;
use crate::sys::Dial;

/// How long after a dial the next one follows, at first and at most. It doubles in between.
const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_millis(800);
/// How often a dial is looked at that has neither succeeded nor failed.
const ROUND: Duration = Duration::from_millis(50);

/// A port that is watched.
struct WatchedPort {
    look: DownEndpoint,
    /// It has been seen away, and is watched until it is back.
    away: bool,
    /// Until then it is watched in any case.
    until: Instant,
    pause: Duration,
    /// The dial that is under way, and when it is given up.
    dial: Option<(Dial, Instant)>,
    /// When the next one begins.
    due: Instant,
}

/// The endpoints that may be looked at: those of the latest generation.
pub type Known = Arc<Mutex<BTreeSet<EndpointId>>>;

/// Starts to look. It ends with the last sender. `publish` is called on its thread.
pub fn start(
    known: Known,
    publish: impl Fn(DownEndpoint) + Send + 'static,
) -> io::Result<Sender<DownEndpoint>> {
    let (sender, looks) = mpsc::channel();
    let watch = move || watch(&looks, &known, publish);
    thread::Builder::new().name("lookout".to_owned()).spawn(watch)?;
    Ok(sender)
}

fn watch(looks: &Receiver<DownEndpoint>, known: &Known, publish: impl Fn(DownEndpoint)) {
    let mut watched: Vec<WatchedPort> = Vec::new();
    loop {
        let now = Instant::now();
        let next = watched.iter().map(|port| port.next(now)).min();
        let look = match next {
            Some(next) => looks.recv_timeout(next.saturating_duration_since(now)),
            None => looks.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match look {
            Ok(look) => {
                let same = |port: &&mut WatchedPort| port.look.endpoint == look.endpoint;
                match watched.iter_mut().find(same) {
                    // The workers open their breakers one after another, and for the same reason.
                    Some(known) => known.again(look, Instant::now()),
                    None => watched.push(WatchedPort::new(look, Instant::now())),
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let known = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        watched.retain_mut(|port| {
            if !known.contains(&port.look.endpoint) {
                return false;
            }
            let now = Instant::now();
            let back = port.round(now);
            if back {
                log::info!("{} takes connections again", shown_address(port.look.address));
                publish(port.look);
            }
            !back && (port.away || now < port.until)
        });
    }
}

impl WatchedPort {
    fn new(look: DownEndpoint, now: Instant) -> WatchedPort {
        let DownEndpoint { unreachable, open, .. } = look;
        let (until, due) = (now + open, now + SOON);
        WatchedPort { look, away: unreachable, until, pause: SOON, dial: None, due }
    }

    /// Another worker has opened its breaker, or the same one again.
    fn again(&mut self, look: DownEndpoint, now: Instant) {
        self.away |= look.unreachable;
        self.until = self.until.max(now + look.open);
    }

    fn next(&self, now: Instant) -> Instant {
        if self.dial.is_some() { now + ROUND } else { self.due }
    }

    /// Begins what is due, and ends what is over. Whether the port is back.
    fn round(&mut self, now: Instant) -> bool {
        if self.dial.is_none() && now >= self.due {
            match Dial::begin(self.look.address) {
                Ok(dial) => self.dial = Some((dial, now + LATE)),
                // Out of descriptors, perhaps: it says nothing of the port.
                Err(_) => self.rest(now),
            }
        }
        let Some((dial, until)) = &self.dial else { return false };
        match dial.result() {
            Some(Ok(())) if self.away => return true,
            Some(Ok(())) => {
                self.pause = LATE;
                self.rest(now);
            }
            None if now < *until => {}
            Some(Err(_)) | None => {
                if !std::mem::replace(&mut self.away, true) {
                    log::info!("{} takes no connections", shown_address(self.look.address));
                }
                self.rest(now);
            }
        }
        false
    }

    fn rest(&mut self, now: Instant) {
        self.dial = None;
        self.due = now + self.pause;
        self.pause = (self.pause * 2).min(LATE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::UpstreamId;
    use std::net::{SocketAddr, TcpListener};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn look(endpoint: u32, address: SocketAddr) -> DownEndpoint {
        let (upstream, endpoint) = (UpstreamId::default(), EndpointId(endpoint));
        DownEndpoint { upstream, endpoint, address, unreachable: true, open: Duration::ZERO }
    }

    /// A port that refuses until it listens, and that nobody else can take.
    fn port() -> (socket2::Socket, SocketAddr) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        socket.set_reuse_port(true).expect("an option");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        (socket, address.expect("an address"))
    }

    #[test]
    fn a_port_that_answers_is_told_once_and_one_that_does_not_is_not() {
        let (tell, told) = mpsc::channel();
        let known = Known::default();
        known.lock().expect("no panic").extend([1, 2].map(EndpointId));
        let looks = start(known, move |look| tell.send(look).unwrap_or_default());
        let looks = looks.expect("a thread");
        let ((refusing, refused), (returning, address)) = (port(), port());
        let back = look(1, address);
        for look in [look(2, refused), back, back, look(3, address)] {
            looks.send(look).expect("it looks");
        }
        assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "nobody answers");
        returning.listen(1).expect("a listener");
        assert_eq!(told.recv_timeout(PATIENCE), Ok(back));
        assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "once is enough");
        // The next time it is away it is looked at anew.
        looks.send(back).expect("it looks");
        assert_eq!(told.recv_timeout(PATIENCE), Ok(back));
        drop(TcpListener::from(returning));
        drop(refusing);
        drop(looks);
        assert!(told.recv_timeout(PATIENCE).is_err(), "it ends with those who ask");
    }

    #[test]
    fn a_port_that_answers_all_along_says_nothing_until_it_has_gone() {
        let (_keeps_it, address) = port();
        let open = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.expect("a socket");
            socket.set_reuse_port(true).expect("an option");
            socket.bind(&address.into()).expect("the same port");
            socket.listen(8).expect("a listener");
            TcpListener::from(socket)
        };
        let listener = open();
        let start = Instant::now();
        let open_for = Duration::from_secs(3_600);
        let mut port = WatchedPort::new(
            DownEndpoint { unreachable: false, open: open_for, ..look(1, address) },
            start,
        );
        let mut now = start;
        let mut rounds = |port: &mut WatchedPort, count: usize| {
            (0..count).any(|_| {
                // A dial on this machine is over in a moment.
                std::thread::sleep(Duration::from_millis(5));
                now = port.next(now);
                port.round(now)
            })
        };
        assert!(!rounds(&mut port, 6) && !port.away, "it has been there all along");
        drop(listener);
        assert!(!rounds(&mut port, 6) && port.away, "it has gone");
        let _listener = open();
        assert!(rounds(&mut port, 6), "another server than before");
    }

    #[test]
    fn the_pauses_grow_and_stay_below_a_second() {
        let (_refusing, address) = port();
        let start = Instant::now();
        let mut port = WatchedPort::new(look(1, address), start);
        let (mut now, mut dials) = (start, Vec::new());
        while now < start + Duration::from_secs(10) {
            let due = port.due;
            assert!(!port.round(now), "it refuses");
            if port.due != due || port.dial.is_some() {
                dials.push(now);
            }
            // What the kernel says of a dial does not depend on this clock.
            port.rest(now);
            now = port.next(now);
        }
        let pauses: Vec<Duration> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.iter().is_sorted(), "{pauses:?}");
        assert_eq!(pauses.last(), Some(&LATE));
        assert!(dials[0] - start <= Duration::from_millis(100), "soon at first");
    }
}
