//! A connection that may block, until a deadline and no longer: plain, or under TLS.
//!
//! The one place of the control threads that dials.
//!
//! Invariant: no call returns later than the deadline, whatever the server does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::{AskFailure, Whereabouts};
use crate::config::snapshot::TlsDialer;
use crate::config::snapshot::unix_path::path_of;
use crate::sys;
use crate::tls::{self, SealedStream};

pub(super) enum Connection {
    Plain(TimedStream),
    Sealed(Box<SealedStream<TimedStream>>),
}

impl Connection {
    /// Connects. Under TLS the handshake is made with the first bytes that are sent.
    pub fn dial(
        to: Whereabouts<'_>,
        dialer: Option<&TlsDialer>,
        deadline: Instant,
    ) -> Result<Connection, AskFailure> {
        let addresses = match to {
            Whereabouts::Address(address) => vec![address],
            Whereabouts::Name(authority) => authority
                .to_socket_addrs()
                .map_err(|error| AskFailure::NoAddress(error.to_string()))?
                .collect(),
        };
        let mut last = AskFailure::NoAddress("the name has none".to_owned());
        for address in addresses {
            match TimedStream::connect(address, deadline) {
                Ok(stream) => return Connection::over(stream, dialer),
                Err(error) => last = failure(&error, AskFailure::Connect),
            }
        }
        Err(last)
    }

    fn over(stream: TimedStream, dialer: Option<&TlsDialer>) -> Result<Connection, AskFailure> {
        Ok(match dialer {
            None => Connection::Plain(stream),
            Some(dialer) => {
                let sealed = dialer.over(stream);
                let sealed = sealed.map_err(|error| failure(&error, AskFailure::Broken))?;
                Connection::Sealed(Box::new(sealed))
            }
        })
    }

    /// A second handle of its socket, to end it from another thread.
    pub fn handle(&self) -> Option<TcpStream> {
        let stream = match self {
            Connection::Plain(stream) => stream,
            Connection::Sealed(sealed) => sealed.get(),
        };
        stream.stream.try_clone().ok()
    }

    /// From here on everything ends at another time.
    pub fn until(&mut self, deadline: Instant) {
        let stream = match self {
            Connection::Plain(stream) => stream,
            Connection::Sealed(sealed) => sealed.inner(),
        };
        stream.deadline = deadline;
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), AskFailure> {
        let sent = match self {
            Connection::Plain(stream) => stream.write_all(bytes),
            Connection::Sealed(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        sent.map_err(|error| failure(&error, AskFailure::Broken))
    }

    /// Reads some more. `false`: nothing more comes.
    pub fn read(&mut self, received: &mut Vec<u8>) -> Result<bool, AskFailure> {
        let mut piece = [0; 8192];
        loop {
            let read = match self {
                Connection::Plain(stream) => stream.read(&mut piece),
                Connection::Sealed(stream) => stream.read(&mut piece),
            };
            match read {
                Ok(length) => {
                    received.extend_from_slice(&piece[..length]);
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failure(&error, AskFailure::Broken)),
            }
        }
    }
}

/// A blocking stream each of whose calls may take as long as is left until its deadline.
pub(super) struct TimedStream {
    stream: TcpStream,
    /// Everything on it ends here.
    deadline: Instant,
}

impl TimedStream {
    /// Over TCP, or to a Unix socket.
    fn connect(address: SocketAddr, deadline: Instant) -> io::Result<TimedStream> {
        let left = left(deadline)?;
        let Some(path) = path_of(address) else {
            let stream = TcpStream::connect_timeout(&address, left)?;
            return Ok(TimedStream { stream, deadline });
        };
        let stream = sys::connect_unix(path)?;
        stream.set_nonblocking(false)?;
        Ok(TimedStream { stream, deadline })
    }
}

impl Read for TimedStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        self.stream.read(into)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The time until `deadline`, if there is any: a socket's timeout of zero would be none at all.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn failure(error: &io::Error, otherwise: impl Fn(ErrorKind) -> AskFailure) -> AskFailure {
    if let Some(why) = tls::why(error) {
        return AskFailure::Tls(why);
    }
    match error.kind() {
        // A blocking socket whose timeout ran out says `WouldBlock` on Linux.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AskFailure::Timeout,
        kind => otherwise(kind),
    }
}
