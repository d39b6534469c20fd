//! Networks that lie, over one that does not: bugs planted under the production worker.
//!
//! A worker with a bug and a worker that was told something else make the same calls. So a bug is
//! planted by changing what the worker is told, and the worker itself stays as it is shipped.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::reactor::net::{Accept, Event, Net, Stream};
use sluicegate::reactor::token::{Kind, Token};
use sluicegate::sim::toy::{CLOSE_NOTIFY, HEADER, kind};
use sluicegate::sim::{Socket, World};

/// A bug of the worker's, seen from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// None: the layer alone must change nothing.
    None,
    /// One writable edge is forgotten, the first that follows a write that was turned away.
    ForgetsWritable,
    /// One readable edge is forgotten, the nth.
    ForgetsReadable { nth: usize },
    /// A connection with bytes left on it goes into the pool: they show with the next answer.
    PoolsDirty,
    /// A FIN that came behind the last bytes is not looked for: a short read is the end of it.
    DropsEnd,
    /// For half a minute it turns and looks at its timers, and never listens.
    DoesNotListen,
    /// A body of which one byte has come is taken for all of it.
    CompletesBodies,
    /// The bare FIN of a sealed connection is taken for the end that `close_notify` announces.
    TakesFinForEnd,
    /// A sealed connection is judged by raw bytes: a ticket behind an answer is its death.
    JudgesByRawBytes,
    /// An answer is passed on when there is something behind its first event, and not with it.
    AwaitsSecondEvent,
    /// Every interval is measured by the wall clock.
    GoesByTheWallClock,
    /// No bug, but bad luck: the second write on each connection to a server meets a RST.
    FailsBehindAWrite,
}

/// A [`World`] as a worker with a bug would experience it.
pub struct Sabotaged {
    world: World,
    bug: Bug,
    memory: Rc<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    edges: Cell<usize>,
    polls: Cell<usize>,
    turned_away: RefCell<Vec<Token>>,
    /// Sockets with bytes that were overlooked, and now come to light.
    overlooked: RefCell<Vec<Token>>,
    done: Cell<bool>,
}

/// A worker that does not listen turns all the same, so often.
const LOOK_AWAY: Duration = Duration::from_millis(200);

impl Memory {
    /// From the twentieth turn on, for half a minute.
    fn looks_away(&self) -> bool {
        let polls = self.polls.get();
        self.polls.set(polls + 1);
        (20..170).contains(&polls)
    }
}

impl Sabotaged {
    pub fn new(world: World, bug: Bug) -> Sabotaged {
        Sabotaged { world, bug, memory: Rc::default() }
    }

    /// Changes an event; false to drop it.
    fn distort(&self, event: &mut Event) -> bool {
        match self.bug {
            Bug::ForgetsWritable if event.writable && !self.memory.done.get() => {
                let mut waiting = self.memory.turned_away.borrow_mut();
                if let Some(position) = waiting.iter().position(|token| *token == event.token) {
                    waiting.remove(position);
                    self.memory.done.set(true);
                    event.writable = false;
                }
            }
            Bug::ForgetsReadable { nth }
                if event.readable && event.token.kind() != Kind::Listener =>
            {
                let seen = self.memory.edges.get();
                self.memory.edges.set(seen + 1);
                event.readable = seen != nth;
            }
            Bug::DropsEnd => event.read_closed = false,
            _ => {}
        }
        event.readable || event.writable || event.read_closed || event.errored
    }

    fn wrap(&self, socket: Socket) -> SabotagedSocket {
        SabotagedSocket {
            socket,
            bug: self.bug,
            memory: Rc::clone(&self.memory),
            token: None,
            held_back: Vec::new(),
            written_since: false,
            second_event: false,
            writes: 0,
            answered: false,
            ended: false,
        }
    }
}

impl Net for Sabotaged {
    type Stream = SabotagedSocket;

    fn now(&self) -> Instant {
        let now = self.world.now();
        match self.bug {
            Bug::GoesByTheWallClock => Instant::ZERO + self.world.time_of_day(),
            _ => now,
        }
    }

    fn time_of_day(&self) -> Duration {
        self.world.time_of_day()
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        if self.bug == Bug::DoesNotListen && self.memory.looks_away() {
            self.world.pause(self.world.time() + LOOK_AWAY);
            return Ok(());
        }
        let overlooked = self.memory.overlooked.take();
        let timeout = if overlooked.is_empty() { timeout } else { Some(Duration::ZERO) };
        self.world.poll(events, timeout)?;
        events.extend(overlooked.into_iter().map(|token| Event {
            token,
            readable: true,
            writable: false,
            read_closed: false,
            errored: false,
        }));
        events.retain_mut(|event| self.distort(event));
        Ok(())
    }

    fn pause(&mut self, until: Instant) {
        self.world.pause(until);
    }

    fn accept(&mut self, listener: usize) -> Accept<SabotagedSocket> {
        match self.world.accept(listener) {
            Accept::Accepted(socket, address) => Accept::Accepted(self.wrap(socket), address),
            Accept::Drained => Accept::Drained,
            Accept::Retry => Accept::Retry,
            Accept::Exhausted(error) => Accept::Exhausted(error),
            Accept::Fatal(error) => Accept::Fatal(error),
        }
    }

    fn listeners(&self) -> usize {
        self.world.listeners()
    }

    fn close_listeners(&mut self) {
        self.world.close_listeners();
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<SabotagedSocket> {
        let socket = self.world.connect(address)?;
        Ok(self.wrap(socket))
    }

    fn register(&mut self, stream: &mut SabotagedSocket, token: Token) -> io::Result<()> {
        stream.token = Some(token);
        self.world.register(&mut stream.socket, token)
    }
}

pub struct SabotagedSocket {
    socket: Socket,
    bug: Bug,
    memory: Rc<Memory>,
    token: Option<Token>,
    /// Bytes behind an answer that were "overlooked", until the next request has been written.
    held_back: Vec<u8>,
    written_since: bool,
    /// The first event has been passed on, with what came behind it.
    second_event: bool,
    writes: usize,
    /// The last read brought plaintext, sealed.
    answered: bool,
    /// It was told of an end that is none.
    ended: bool,
}

/// How an answer begins that nobody asked for.
const STRAY: &[u8] = b"HTTP/1.1 200 OK\r\nx-exchange: stray";

/// The end of a request that announces a body of 100 bytes and has one.
const HALF: &[u8] = b"Content-Length: 100\r\n\r\nx";
const REST: usize = 99;

/// What the first event of a stream says, in the worlds that look at its time.
const FIRST: &[u8] = b"first";

impl SabotagedSocket {
    fn wrote(&mut self, offered: usize, result: &io::Result<usize>) {
        self.written_since = true;
        if !self.held_back.is_empty() {
            self.memory.overlooked.borrow_mut().extend(self.token);
        }
        let turned_away = match result {
            Ok(count) => *count < offered,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        self.writes += usize::from(result.is_ok());
        if turned_away {
            self.memory.turned_away.borrow_mut().extend(self.token);
        }
    }
}

impl SabotagedSocket {
    fn meets_a_reset(&self) -> io::Result<()> {
        let fails = self.bug == Bug::FailsBehindAWrite
            && self.writes > 0
            && self.token.is_some_and(|token| token.kind() == Kind::Upstream);
        if fails { Err(ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl SabotagedSocket {
    /// Reads as a worker does that keeps the first event until something comes behind it: another event,
    /// or the end.
    fn read_behind_the_first(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.socket.read(into)?;
        let kept = self.held_back.len();
        if kept == 0 && into[..length].windows(FIRST.len()).any(|bytes| bytes == FIRST) {
            self.held_back.extend_from_slice(&into[..length]);
            return Err(ErrorKind::WouldBlock.into());
        }
        if kept > 0 {
            self.second_event = true;
            into.copy_within(..length, kept);
            into[..kept].copy_from_slice(&self.held_back);
            self.held_back.clear();
        }
        Ok(kept + length)
    }
}

/// The kinds of the records that begin at the front of `sealed`, one behind the other.
fn kinds(sealed: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = sealed;
    std::iter::from_fn(move || {
        let &[kind, _, high, low, _] = rest.first_chunk::<HEADER>()?;
        let length = HEADER + (usize::from(high) << 8 | usize::from(low));
        rest = rest.get(length..).unwrap_or_default();
        Some(kind)
    })
}

impl SabotagedSocket {
    /// Whether this read, behind an answer, brought tickets and nothing else.
    fn is_mere_ticket(&mut self, read: &[u8]) -> bool {
        let behind = self.token.is_some_and(|token| token.kind() == Kind::Upstream)
            && std::mem::replace(&mut self.answered, kinds(read).any(|it| it == kind::DATA));
        behind && !read.is_empty() && kinds(read).all(|it| it == kind::TICKET)
    }

    fn sealed_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        match self.socket.read(into)? {
            0 if self.bug == Bug::TakesFinForEnd && into.len() >= CLOSE_NOTIFY.len() => {
                self.ended = true;
                into[..CLOSE_NOTIFY.len()].copy_from_slice(&CLOSE_NOTIFY);
                Ok(CLOSE_NOTIFY.len())
            }
            length if self.bug == Bug::JudgesByRawBytes && self.is_mere_ticket(&into[..length]) => {
                self.ended = true;
                Ok(0)
            }
            length => Ok(length),
        }
    }
}

impl Stream for SabotagedSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if matches!(self.bug, Bug::TakesFinForEnd | Bug::JudgesByRawBytes) {
            return self.sealed_read(into);
        }
        let upstream = self.token.is_some_and(|token| token.kind() == Kind::Upstream);
        if self.bug == Bug::AwaitsSecondEvent && upstream && !self.second_event {
            return self.read_behind_the_first(into);
        }
        if self.bug == Bug::PoolsDirty && self.written_since && !self.held_back.is_empty() {
            let length = self.held_back.len().min(into.len());
            into[..length].copy_from_slice(&self.held_back[..length]);
            self.held_back.drain(..length);
            return Ok(length);
        }
        let mut length = self.socket.read(into)?;
        if self.bug == Bug::CompletesBodies && into[..length].ends_with(HALF) {
            into[length..length + REST].fill(b'x');
            length += REST;
        }
        if self.bug == Bug::PoolsDirty
            && let Some(at) = into[..length].windows(STRAY.len()).position(|bytes| bytes == STRAY)
            && at > 0
        {
            self.held_back.extend_from_slice(&into[at..length]);
            self.written_since = false;
            return Ok(at);
        }
        Ok(length)
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.meets_a_reset()?;
        let result = self.socket.write(from);
        self.wrote(from.len(), &result);
        result
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.meets_a_reset()?;
        let result = self.socket.write_vectored(from);
        self.wrote(from.iter().map(|part| part.len()).sum(), &result);
        result
    }

    fn write_last(&mut self, from: &[u8]) -> io::Result<usize> {
        let result = self.socket.write_last(from);
        self.wrote(from.len(), &result);
        result
    }

    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.peek(into)
    }

    fn delay_acks(&mut self) {
        self.socket.delay_acks();
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown_write()
    }

    fn reset_on_drop(&mut self) {
        self.socket.reset_on_drop();
    }
}
