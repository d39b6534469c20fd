//! The seam under the reactor: what it asks of a network, and nothing else.
//!
//! `sys::Linux` answers with mio and real sockets, `sim::World` with seeded pipes and a virtual
//! clock. The worker is generic over [`Net`] by static dispatch, so both run the same source.
//!
//! * A socket is registered once, for both directions, edge-triggered, when it is born.
//! * `WouldBlock` is an answer, not a failure: `Err(ErrorKind::WouldBlock)` and only that.
//! * `Ok(0)` from a read is the peer's FIN. `Ok(0)` from a write of at least one byte is never given.
//! * Dropping a stream closes it and takes its registration with it.
//!
//! Absent on purpose: changes of interest. What we want is known by buffers and exchanges.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Instant;
pub use crate::config::snapshot::Keepalive;
pub use crate::config::snapshot::unix_path::{path_of, stand_in};
use crate::reactor::token::Token;

/// What the kernel said of one socket. An event sets readiness; it never takes any away.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub token: Token,
    pub readable: bool,
    pub writable: bool,
    /// The peer has shut down its writing half (FIN), or the connection is gone.
    pub read_closed: bool,
    /// The socket has an error to report (RST, refused connect).
    pub errored: bool,
}

/// The result of one `accept`. The errno table is haproxy's (`sock_accept_conn`).
#[derive(Debug)]
pub enum Accept<S> {
    Accepted(S, SocketAddr),
    /// The backlog is empty: the only result that clears the listener's readiness.
    Drained,
    /// This connection died before we took it (ECONNABORTED, EINTR): try the next.
    Retry,
    /// Out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM): pause, then try again.
    Exhausted(io::Error),
    /// The listener itself is broken.
    Fatal(io::Error),
}

/// One non-blocking byte stream.
pub trait Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;
    fn write(&mut self, from: &[u8]) -> io::Result<usize>;
    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Writes the last bytes of a connection. If all of them are taken, the writing half is ended in
    /// this very drive (`shutdown_write`, or the stream is dropped), and they may leave with the FIN.
    fn write_last(&mut self, from: &[u8]) -> io::Result<usize>;
    /// Looks at the next bytes without taking them.
    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize>;
    /// Has small segments acknowledged two by two, until one waits too long for the next: a hint.
    fn delay_acks(&mut self);
    /// Sends FIN after what was written. The reading half stays open.
    fn shutdown_write(&mut self) -> io::Result<()>;
    /// Makes the coming drop send RST instead of FIN, so that the peer cannot mistake the end of
    /// the connection for the end of a message.
    fn reset_on_drop(&mut self);
}

/// A network: readiness, listeners, outgoing connections, and the clock they live by.
pub trait Net {
    type Stream: Stream;

    /// The monotonic clock. The worker reads it once per turn.
    fn now(&self) -> Instant;

    /// The time since 1970, as the system has it. It may jump.
    fn time_of_day(&self) -> Duration;

    /// Waits for readiness for at most `timeout` (`None`: until something happens) and appends
    /// what happened to `events`. A wake-up through a [`crate::reactor::mailbox::Waker`] ends the wait
    /// without an event. An interrupted wait ends early, and what has come by then is told all the same.
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;

    /// Sleeps, whatever happens meanwhile; not at all if that instant has passed.
    fn pause(&mut self, until: Instant);

    /// Takes one connection from the backlog of listener number `listener`.
    fn accept(&mut self, listener: usize) -> Accept<Self::Stream>;

    /// How many listeners there are. Their tokens are `Token::listener(0..n)`, registered already.
    fn listeners(&self) -> usize;

    /// Closes every listener. Connections still in a backlog are refused by the kernel.
    fn close_listeners(&mut self);

    /// Starts a connection. It is usable at once for a speculative write, whose result tells
    /// whether the connection stands (`WouldBlock`: not yet; any other error: refused). Without
    /// descriptors or memory for it the error is `OutOfMemory`.
    fn connect(&mut self, address: SocketAddr) -> io::Result<Self::Stream>;

    /// How connections on which nothing moves are asked from now on whether their peer is there:
    /// those that are accepted, and those that are opened.
    fn keep_alive(&mut self, _keepalive: Option<Keepalive>) {}

    /// Registers a stream for both directions, edge-triggered, under `token`: once in its life.
    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;
}
