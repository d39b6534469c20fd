//! The playground: a request of the dashboard's, put to the gateway itself.
//!
//! It goes the way of any client: over a connection of its own to the first address that the gateway
//! listens on, through its routes, keys and limits, with its name in the log. A thread for each blocks on
//! it, notes when each piece came, and hands it to the page.
//!
//! * At most [`PLACES`] at a time, each for at most [`PATIENCE`].
//! * A page that has gone ends its request: the socket is shut down under the thread, and the gateway
//!   cancels as for any client that leaves.
//! * The key is in one request, and in no log line and no field of this module.

use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Instant;
use crate::config::snapshot::TlsDialer;
use crate::control::client::{Ask, AskFailure, Whereabouts};
use crate::responder::admin::{Feed, Next, PlaygroundCall, Reply};
use crate::sys;

/// Requests at a time.
const PLACES: usize = 8;
/// Longer than any answer that somebody waits for.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Pieces that wait for the page.
const PIECES: usize = 256;
/// How often a piece is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// Where the gateway listens, and who is asking it.
#[derive(Debug)]
pub(super) struct Playground {
    /// Its first address, and whether clients speak TLS there.
    door: Option<(SocketAddr, bool)>,
    playing: Arc<AtomicUsize>,
}

impl Playground {
    pub fn new(door: Option<(SocketAddr, bool)>) -> Playground {
        Playground { door, playing: Arc::default() }
    }

    /// Puts a request to the gateway.
    pub fn play(&self, call: PlaygroundCall) -> Result<Playing, Reply> {
        let (address, sealed) = self.door.ok_or_else(|| {
            Reply::error(503, "playground_busy", "the gateway listens nowhere that can be asked")
        })?;
        let place = Place::take(&self.playing).ok_or_else(|| {
            Reply::error(503, "playground_busy", "as many requests of the playground go on as may")
        })?;
        let (sender, pieces) = sync_channel(PIECES);
        let line = Arc::<Mutex<Line>>::default();
        let held = Arc::clone(&line);
        let work = move || {
            let _place = place;
            let relay = Relay {
                address: reachable(address),
                sealed,
                sender,
                line: held,
                began: sys::now(),
            };
            relay.run(&call);
        };
        let spawned = thread::Builder::new().name("playground".into()).spawn(work);
        spawned.map_err(|_| Reply::error(503, "playground_busy", "there is no thread for it"))?;
        Ok(Playing { pieces, line, over: false })
    }
}

/// One of the places.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Place> {
        let before = taken.fetch_add(1, Ordering::Relaxed);
        // From here on the place is given back when it is dropped.
        let place = Place(Arc::clone(taken));
        (before < PLACES).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The address of this machine that leads to a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}

/// The connection of a request, for who ends it.
#[derive(Debug, Default)]
struct Line {
    socket: Option<TcpStream>,
    /// Nobody wants the answer any more.
    cut: bool,
}

/// A request on its way, on a thread of its own.
struct Relay {
    address: SocketAddr,
    sealed: bool,
    sender: SyncSender<Value>,
    line: Arc<Mutex<Line>>,
    began: Instant,
}

impl Relay {
    fn run(self, call: &PlaygroundCall) {
        let told = match self.ask(call) {
            Ok(()) => json!({ "end": "whole", "at_us": self.at() }),
            Err(failure) => json!({ "end": "failed", "reason": failure, "at_us": self.at() }),
        };
        // Who does not listen has ended it.
        let _ = self.sender.send(told);
    }

    fn ask(&self, call: &PlaygroundCall) -> Result<(), String> {
        let tls = self.sealed.then(TlsDialer::to_ourselves).transpose()?;
        let dialer = tls.as_ref();
        let PlaygroundCall { path, host, fields, body } = call;
        let lines: String =
            fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let address = self.address.to_string();
        let ask = Ask {
            to: Whereabouts::Address(self.address),
            tls: dialer,
            host: host.as_deref().unwrap_or(&address),
            path,
            agent: "sluicegate-playground",
            lines: &lines,
            rules: None,
            post: body.as_deref(),
            timeout: PATIENCE,
        };
        let answer = ask.begin_held(|socket| self.hold(socket)).map_err(|why| why.to_string())?;
        self.tell(json!({
            "status": answer.status,
            "request_id": answer.field("x-request-id"),
            "content_type": answer.field("content-type"),
            "at_us": self.at(),
        }))?;
        let mut text = Text::default();
        let mut gone = Ok(());
        let heard = answer.pieces(|data| {
            let data = text.take(data);
            if !data.is_empty() {
                gone = self.tell(json!({ "data": data, "at_us": self.at() }));
            }
            if gone.is_ok() { Ok(()) } else { Err(AskFailure::Closed) }
        });
        gone.and(heard.map_err(|why| why.to_string()))
    }

    /// Keeps the socket for who may end it; ends it, if that has been wished already.
    fn hold(&self, socket: TcpStream) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.cut {
            // It may be gone by itself.
            let _ = socket.shutdown(Shutdown::Both);
        }
        line.socket = Some(socket);
    }

    fn tell(&self, told: Value) -> Result<(), String> {
        self.sender.send(told).map_err(|_| "the page has gone".to_owned())
    }

    fn at(&self) -> u64 {
        u64::try_from((sys::now() - self.began).as_micros()).unwrap_or(u64::MAX)
    }
}

/// Bytes that become text, wherever they are cut.
#[derive(Debug, Default)]
struct Text(Vec<u8>);

impl Text {
    /// What is whole of it by now; what is no UTF-8 is told as such.
    fn take(&mut self, data: &[u8]) -> String {
        self.0.extend_from_slice(data);
        let whole = match str::from_utf8(&self.0) {
            Ok(_) => self.0.len(),
            // The rest of a character is still to come.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => self.0.len(),
        };
        let taken: Vec<u8> = self.0.drain(..whole).collect();
        String::from_utf8_lossy(&taken).into_owned()
    }
}

/// The answer, on its way to the page.
#[derive(Debug)]
pub(super) struct Playing {
    pieces: Receiver<Value>,
    line: Arc<Mutex<Line>>,
    over: bool,
}

impl Feed for Playing {
    fn poll(&mut self, now: Instant) -> Next {
        if self.over {
            return Next::End;
        }
        match self.pieces.try_recv() {
            Ok(told) => {
                self.over = told.get("end").is_some();
                Next::Event(told.to_string())
            }
            Err(TryRecvError::Empty) => Next::Wait(now + LOOK),
            Err(TryRecvError::Disconnected) => Next::End,
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.cut = true;
        if let Some(socket) = line.socket.take() {
            // It may be gone by itself.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_comes_in_two_pieces_is_one() {
        let mut text = Text::default();
        assert_eq!(text.take("a\u{e9}".as_bytes().split_last().expect("bytes").1), "a");
        assert_eq!(text.take(b"\xa9b"), "\u{e9}b");
        assert_eq!(text.take(b"\xffc"), "\u{fffd}c");
    }

    #[test]
    fn there_are_so_many_places_and_no_more() {
        let taken = Arc::default();
        let all: Vec<_> = (0..PLACES).map(|_| Place::take(&taken).expect("a place")).collect();
        assert!(Place::take(&taken).is_none());
        drop(all);
        assert!(Place::take(&taken).is_some());
    }

    #[test]
    fn a_listener_of_all_addresses_is_reached_on_this_machine() {
        for (listens, reached) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            let address: SocketAddr = listens.parse().expect("an address");
            assert_eq!(reachable(address).to_string(), reached);
        }
    }
}
