//! Dial: whether a port takes connections, found out without waiting for it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// A connection that is asked for, and closed when this is dropped. Nothing is sent on it.
pub struct Dial(mio::net::TcpStream);

impl Dial {
    pub fn begin(address: SocketAddr) -> io::Result<Dial> {
        mio::net::TcpStream::connect(address).map(Dial)
    }

    /// How it went; `None`: nobody knows yet.
    pub fn result(&self) -> Option<io::Result<()>> {
        match self.0.take_error().and_then(|error| error.map_or(Ok(()), Err)) {
            Err(error) => Some(Err(error)),
            Ok(()) => match self.0.peer_addr() {
                Ok(_) => Some(Ok(())),
                Err(error) if error.kind() == ErrorKind::NotConnected => None,
                Err(error) => Some(Err(error)),
            },
        }
    }
}
