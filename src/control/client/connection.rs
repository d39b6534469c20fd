//! A connection that may block, until a deadline and no longer.
//!
//! The one place of the control threads that dials, so a transport under all their questions has one
//! place to stand.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::{AskFailure, Whereabouts};
use crate::config::snapshot::unix_path::path_of;
use crate::sys;

pub(super) struct Connection {
    stream: TcpStream,
    /// Everything on it ends here.
    deadline: Instant,
}

impl Connection {
    pub fn dial(to: Whereabouts<'_>, deadline: Instant) -> Result<Connection, AskFailure> {
        let addresses = match to {
            Whereabouts::Address(address) => vec![address],
            Whereabouts::Name(authority) => authority
                .to_socket_addrs()
                .map_err(|error| AskFailure::NoAddress(error.to_string()))?
                .collect(),
        };
        let mut last = AskFailure::NoAddress("the name has none".to_owned());
        for address in addresses {
            match connect(address, left(deadline)?) {
                Ok(stream) => return Ok(Connection { stream, deadline }),
                Err(error) => last = failure(&error, AskFailure::Connect),
            }
        }
        Err(last)
    }

    /// From here on everything ends at another time.
    pub fn until(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), AskFailure> {
        let left = left(self.deadline)?;
        self.stream
            .set_write_timeout(Some(left))
            .and_then(|()| self.stream.write_all(bytes))
            .map_err(|error| failure(&error, AskFailure::Broken))
    }

    /// Reads some more. `false`: nothing more comes.
    pub fn read(&mut self, received: &mut Vec<u8>) -> Result<bool, AskFailure> {
        let mut piece = [0; 8192];
        loop {
            self.stream
                .set_read_timeout(Some(left(self.deadline)?))
                .map_err(|error| failure(&error, AskFailure::Broken))?;
            match self.stream.read(&mut piece) {
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

/// A blocking connection, over TCP or to a Unix socket.
fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let Some(path) = path_of(address) else {
        return TcpStream::connect_timeout(&address, timeout);
    };
    let stream = sys::connect_unix(path)?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// The time until `deadline`, if there is any: a socket's timeout of zero would be none at all.
fn left(deadline: Instant) -> Result<Duration, AskFailure> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(AskFailure::Timeout) } else { Ok(left) }
}

fn failure(error: &io::Error, otherwise: impl Fn(ErrorKind) -> AskFailure) -> AskFailure {
    match error.kind() {
        // A blocking socket whose timeout ran out says `WouldBlock` on Linux.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AskFailure::Timeout,
        kind => otherwise(kind),
    }
}
