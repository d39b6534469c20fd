//! [`Net`] on Linux: epoll through mio, TCP and Unix sockets.
//!
//! * mio registers edge-triggered, always; reading adds EPOLLRDHUP. That is the contract of
//!   [`Net`], so nothing is added here but names.
//! * Listeners have TCP_NODELAY and the settings of TCP keepalive, and accepted sockets inherit them:
//!   no call per connection.
//! * One descriptor is held in reserve. When descriptors run out it is given up for a moment to
//!   accept one connection and close it, so that the client sees an end instead of a hang.
//! * Reads and writes go straight to the kernel (rustix), past libc's points of cancellation: nobody
//!   cancels threads here, and they are paid for by every call.
//! * The clock is CLOCK_MONOTONIC, so that stamps can be compared across processes.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Interest, Poll};
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_quickack;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use rustix::thread::{clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::{ClockId, Timespec, clock_gettime};
use socket2::{Domain, SockRef, TcpKeepalive};

use crate::clock::Instant;
use crate::reactor::mailbox::Waker;
use crate::reactor::net::{Accept, Event, Keepalive, Net, Stream, path_of};
use crate::reactor::token::Token;
use crate::sys::listen::{set_keep_alive, tcp_keepalive};
use crate::sys::unix;

/// The address of a client that has none, as one of a Unix socket.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Events taken by one poll; doubled when a poll fills it.
const EVENTS: usize = 1024;
const EVENTS_MAX: usize = 16 * 1024;

/// One worker's network.
pub struct Linux {
    poll: Poll,
    events: Events,
    listeners: Vec<Listener>,
    waker: Arc<mio::Waker>,
    reserve: Option<File>,
    /// The kernel has been told to add nothing to our sleeps.
    punctual: bool,
    keepalive: Option<TcpKeepalive>,
}

impl Linux {
    /// A network with these listeners, which are registered here.
    pub fn new(listeners: Vec<std::net::TcpListener>) -> io::Result<Linux> {
        let poll = Poll::new()?;
        let listeners = listeners.into_iter().map(Listener::new);
        let mut listeners = listeners.collect::<io::Result<Vec<_>>>()?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            let token = mio_token(Token::listener(index));
            poll.registry().register(listener.source(), token, Interest::READABLE)?;
        }
        Ok(Linux {
            waker: Arc::new(mio::Waker::new(poll.registry(), mio_token(Token::WAKER))?),
            events: Events::with_capacity(EVENTS),
            listeners,
            reserve: reserve_descriptor(),
            punctual: false,
            keepalive: None,
            poll,
        })
    }

    /// Ends a poll of this network from another thread.
    pub fn waker(&self) -> Waker {
        let waker = Arc::clone(&self.waker);
        Arc::new(move || {
            // It fails only if the eventfd is gone, and then nobody polls it.
            let _ = waker.wake();
        })
    }

    /// Takes one connection for its descriptor's sake and closes it.
    fn turn_one_away(&mut self, listener: usize) {
        if self.reserve.take().is_some() {
            drop(self.listeners[listener].accept());
            self.reserve = reserve_descriptor();
        }
    }
}

/// A listening socket.
enum Listener {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
}

impl Listener {
    fn new(listener: std::net::TcpListener) -> io::Result<Listener> {
        let is_unix = SockRef::from(&listener).domain()? == Domain::UNIX;
        Ok(match is_unix {
            true => {
                let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(listener));
                Listener::Unix(mio::net::UnixListener::from_std(listener))
            }
            false => Listener::Tcp(mio::net::TcpListener::from_std(listener)),
        })
    }

    fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Listener::Tcp(listener) => listener,
            Listener::Unix(listener) => listener,
        }
    }

    fn accept(&self) -> io::Result<(mio::net::TcpStream, SocketAddr)> {
        match self {
            Listener::Tcp(listener) => listener.accept(),
            Listener::Unix(listener) => {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let stream = std::net::TcpStream::from(accept_with(listener, flags)?);
                Ok((mio::net::TcpStream::from_std(stream), NOWHERE))
            }
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Listener::Tcp(listener) => SockRef::from(listener),
            Listener::Unix(listener) => SockRef::from(listener),
        }
    }
}

/// CLOCK_MONOTONIC.
pub fn now() -> Instant {
    let now = clock_gettime(ClockId::Monotonic);
    Instant::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

fn reserve_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

fn mio_token(token: Token) -> mio::Token {
    // A token is 64 bits and so is usize, or `token` does not compile.
    mio::Token(token.to_bits() as usize)
}

/// Whether an error tells of want of descriptors or memory.
fn is_exhausted(error: &io::Error) -> bool {
    let wanting = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| wanting.contains(&errno))
}

/// An error of connect(2), as [`Net::connect`] promises it.
fn exhausted(error: io::Error) -> io::Error {
    match is_exhausted(&error) {
        true => io::Error::new(io::ErrorKind::OutOfMemory, error),
        false => error,
    }
}

/// What follows from an error of accept(2).
fn not_accepted<S>(error: io::Error) -> Accept<S> {
    match Errno::from_io_error(&error) {
        Some(Errno::AGAIN) => Accept::Drained,
        _ if is_exhausted(&error) => Accept::Exhausted(error),
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP) => {
            Accept::Fatal(error)
        }
        // ECONNABORTED, EINTR, and the errors of the new connection that Linux reports here
        // (accept(2): ENETDOWN, EPROTO, EHOSTUNREACH …): the next may be sound.
        _ => Accept::Retry,
    }
}

impl Net for Linux {
    type Stream = TcpStream;

    fn now(&self) -> Instant {
        now()
    }

    fn time_of_day(&self) -> Duration {
        super::process::time_of_day()
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut timeout = timeout;
        loop {
            match self.poll.poll(&mut self.events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    // A process that was stopped is woken by a signal, and epoll has told nothing of
                    // what came meanwhile (linux: fs/eventpoll.c, ep_poll).
                    timeout = Some(Duration::ZERO);
                    continue;
                }
                Err(error) => return Err(error),
            }
            let before = events.len();
            events.extend(self.events.iter().map(|event| Event {
                token: Token::from_bits(event.token().0 as u64),
                readable: event.is_readable(),
                writable: event.is_writable(),
                read_closed: event.is_read_closed(),
                errored: event.is_error() || event.is_write_closed(),
            }));
            let capacity = self.events.capacity();
            if events.len() - before < capacity || capacity >= EVENTS_MAX {
                return Ok(());
            }
            // There may be more, and whoever is believed to be silent may be among them.
            self.events = Events::with_capacity(capacity * 2);
            timeout = Some(Duration::ZERO);
        }
    }

    fn pause(&mut self, until: Instant) {
        if !std::mem::replace(&mut self.punctual, true) {
            // By default a sleep may take 50 µs more: as much as all of ours.
            let _ = set_current_timer_slack(NonZeroU64::new(1));
        }
        let nanos = until.as_nanos();
        let until = Timespec {
            tv_sec: (nanos / 1_000_000_000) as i64,
            tv_nsec: (nanos % 1_000_000_000) as i64,
        };
        // Interrupted, it ends early; the poll that follows is right at any time.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
    }

    fn accept(&mut self, listener: usize) -> Accept<TcpStream> {
        let error = match self.listeners[listener].accept() {
            Ok((stream, address)) => return Accept::Accepted(TcpStream(stream), address),
            Err(error) => error,
        };
        if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
            self.turn_one_away(listener);
        }
        not_accepted(error)
    }

    fn listeners(&self) -> usize {
        self.listeners.len()
    }

    fn close_listeners(&mut self) {
        for mut listener in self.listeners.drain(..) {
            // A successor may hold the same socket: epoll would tell us of its connections for as
            // long. If this fails we only hear of something that no longer concerns us.
            let _ = self.poll.registry().deregister(listener.source());
        }
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<TcpStream> {
        if let Some(path) = path_of(address) {
            let stream = unix::connect(path).map_err(exhausted)?;
            return Ok(TcpStream(mio::net::TcpStream::from_std(stream)));
        }
        let stream = mio::net::TcpStream::connect(address).map_err(exhausted)?;
        stream.set_nodelay(true)?;
        if let Some(keepalive) = &self.keepalive {
            // If it fails, only timers notice that the peer has vanished.
            let _ = SockRef::from(&stream).set_tcp_keepalive(keepalive);
        }
        Ok(TcpStream(stream))
    }

    fn keep_alive(&mut self, keepalive: Option<Keepalive>) {
        self.keepalive = keepalive.map(tcp_keepalive);
        for listener in &self.listeners {
            set_keep_alive(listener.socket(), self.keepalive.as_ref());
        }
    }

    fn register(&mut self, stream: &mut TcpStream, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream.0, mio_token(token), both)
    }
}

/// A connection, of TCP or of a Unix socket (`sys/unix.rs`). Dropping it closes it; epoll forgets it by itself.
#[derive(Debug)]
pub struct TcpStream(mio::net::TcpStream);

impl Stream for TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (read, _) = recv(&self.0, into, RecvFlags::empty())?;
        Ok(read)
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(send(&self.0, from, SendFlags::NOSIGNAL)?)
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(from)
    }

    fn write_last(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(send(&self.0, from, SendFlags::NOSIGNAL | SendFlags::MORE)?)
    }

    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.peek(into)
    }

    fn delay_acks(&mut self) {
        // Interactive ("pingpong") mode, which Linux leaves when an acknowledgement was late
        // (tcp(7); linux: net/ipv4/tcp.c, __tcp_cleanup_rbuf). If it fails, each is acknowledged.
        let _ = set_tcp_quickack(&self.0, false);
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn reset_on_drop(&mut self) {
        // If it fails the peer gets a FIN, as it would have without us.
        let _ = SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_accept_has_its_consequence() {
        let verdict = |errno: Errno| match not_accepted::<()>(errno.into()) {
            Accept::Accepted(..) => "accepted",
            Accept::Drained => "drained",
            Accept::Retry => "retry",
            Accept::Exhausted(_) => "exhausted",
            Accept::Fatal(_) => "fatal",
        };
        for (errnos, expected) in [
            (&[Errno::AGAIN][..], "drained"),
            (&[Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM], "exhausted"),
            (&[Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::OPNOTSUPP], "fatal"),
            (
                &[Errno::CONNABORTED, Errno::INTR, Errno::PROTO, Errno::NETDOWN, Errno::PERM],
                "retry",
            ),
        ] {
            for errno in errnos {
                assert_eq!(verdict(*errno), expected, "{errno}");
            }
        }
    }
}
