//! A network that is hardly there: what is left of a turn is the worker's own.
//!
//! The simulation of `src/sim/` plays clients and servers in full; measured, it would be most of
//! what is counted. A [`Tape`] plays bytes that are known beforehand, and does all its work inside
//! [`off_the_books`], which is one function by name, so that a profiler can leave it out.
//!
//! `stage` puts a worker on it, `works` are the pieces of work that are measured: counted by
//! `instructions`, timed by `micro`. `choice` needs no network at all.
// The test of the floor has the harness too, and with it the plugin a second time.
#![allow(dead_code, clippy::duplicate_mod)]

pub mod choice;
#[path = "../../tests/harness/plugin.rs"]
pub mod plugin;
pub mod sealed;
pub mod stage;
pub mod works;

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::reactor::net::{Accept, Event, Net, Stream};
use sluicegate::reactor::token::Token;

/// Everything the network itself does. Never inlined, so that its cost can be told apart.
#[inline(never)]
fn off_the_books<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Names one connection of a tape, in the order they came to be.
pub type Link = usize;

/// A handle to the network; the worker owns one, who drives it another.
#[derive(Clone)]
pub struct Tape(Rc<RefCell<State>>);

struct State {
    now: Instant,
    backlog: usize,
    events: Vec<Event>,
    links: Vec<Wire>,
}

/// One connection as the worker sees it.
struct Wire {
    token: Token,
    /// What the peer has said, and how much of it was read.
    said: &'static [u8],
    read: usize,
    written: u64,
    /// What was written and not taken, where somebody wants to read it.
    kept: Option<Vec<u8>>,
    fin: bool,
    open: bool,
}

impl Tape {
    pub fn new() -> Tape {
        let state = State { now: Instant::ZERO, backlog: 0, events: Vec::new(), links: Vec::new() };
        Tape(Rc::new(RefCell::new(state)))
    }

    /// A client connects. Its link is the next one.
    pub fn dial(&self) {
        let state = &mut *self.0.borrow_mut();
        state.backlog += 1;
        state.events.push(event(Token::listener(0)));
    }

    /// The peer says something; what it said before has been read.
    pub fn say(&self, link: Link, bytes: &'static [u8]) {
        let state = &mut *self.0.borrow_mut();
        let wire = &mut state.links[link];
        assert_eq!(wire.read, wire.said.len(), "the worker has left bytes unread");
        (wire.said, wire.read) = (bytes, 0);
        state.events.push(event(wire.token));
    }

    /// The peer sends its FIN.
    pub fn end(&self, link: Link) {
        let state = &mut *self.0.borrow_mut();
        let wire = &mut state.links[link];
        wire.fin = true;
        state.events.push(Event { read_closed: true, ..event(wire.token) });
    }

    /// Bytes the worker has written to a link.
    pub fn written(&self, link: Link) -> u64 {
        self.0.borrow().links[link].written
    }

    /// Has what is written to a link kept, for [`Tape::taken`].
    pub fn keep(&self, link: Link) {
        self.0.borrow_mut().links[link].kept = Some(Vec::new());
    }

    /// Takes what was kept of a link, and keeps no more of it.
    pub fn taken(&self, link: Link) -> Vec<u8> {
        self.0.borrow_mut().links[link].kept.take().unwrap_or_default()
    }

    pub fn is_open(&self, link: Link) -> bool {
        self.0.borrow().links[link].open
    }

    pub fn links(&self) -> usize {
        self.0.borrow().links.len()
    }

    fn open(&self) -> Reel {
        let links = &mut self.0.borrow_mut().links;
        let token = Token::WAKER;
        links.push(Wire {
            token,
            said: b"",
            read: 0,
            written: 0,
            kept: None,
            fin: false,
            open: true,
        });
        Reel { state: Rc::clone(&self.0), link: links.len() - 1 }
    }
}

fn event(token: Token) -> Event {
    Event { token, readable: true, writable: false, read_closed: false, errored: false }
}

impl Net for Tape {
    type Stream = Reel;

    fn now(&self) -> Instant {
        off_the_books(|| self.0.borrow().now)
    }

    fn time_of_day(&self) -> Duration {
        off_the_books(|| self.0.borrow().now - Instant::ZERO)
    }

    fn poll(&mut self, events: &mut Vec<Event>, _: Option<Duration>) -> io::Result<()> {
        off_the_books(|| {
            let state = &mut *self.0.borrow_mut();
            state.now += Duration::from_micros(50);
            events.append(&mut state.events);
        });
        Ok(())
    }

    fn pause(&mut self, _: Instant) {}

    fn accept(&mut self, _: usize) -> Accept<Reel> {
        off_the_books(|| {
            if self.0.borrow().backlog == 0 {
                return Accept::Drained;
            }
            self.0.borrow_mut().backlog -= 1;
            Accept::Accepted(self.open(), ([192, 0, 2, 7], 50_000).into())
        })
    }

    fn listeners(&self) -> usize {
        1
    }

    fn close_listeners(&mut self) {}

    fn connect(&mut self, _: SocketAddr) -> io::Result<Reel> {
        off_the_books(|| Ok(self.open()))
    }

    fn register(&mut self, stream: &mut Reel, token: Token) -> io::Result<()> {
        off_the_books(|| self.0.borrow_mut().links[stream.link].token = token);
        Ok(())
    }
}

/// The worker's end of a link.
pub struct Reel {
    state: Rc<RefCell<State>>,
    link: Link,
}

impl Stream for Reel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        off_the_books(|| {
            let wire = &mut self.state.borrow_mut().links[self.link];
            let rest = &wire.said[wire.read..];
            if rest.is_empty() {
                return if wire.fin { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
            }
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            wire.read += count;
            Ok(count)
        })
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        off_the_books(|| {
            let wire = &mut self.state.borrow_mut().links[self.link];
            wire.written += from.len() as u64;
            if let Some(kept) = &mut wire.kept {
                kept.extend_from_slice(from);
            }
            Ok(from.len())
        })
    }

    fn write_last(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write(from)
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        off_the_books(|| {
            let count: usize = from.iter().map(|part| part.len()).sum();
            self.state.borrow_mut().links[self.link].written += count as u64;
            Ok(count)
        })
    }

    fn peek(&mut self, _: &mut [u8]) -> io::Result<usize> {
        off_the_books(|| Err(ErrorKind::WouldBlock.into()))
    }

    fn delay_acks(&mut self) {}

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_drop(&mut self) {}
}

impl Drop for Reel {
    fn drop(&mut self) {
        off_the_books(|| self.state.borrow_mut().links[self.link].open = false);
    }
}
