//! Dial: whether a port takes connections, found out without waiting for it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use super::unix;
use crate::reactor::net::path_of;

/// A connection that is asked for, and closed when this is dropped. Nothing is sent on it.
pub struct Dial(mio::net::TcpStream, bool);

impl Dial {
    pub fn begin(address: SocketAddr) -> io::Result<Dial> {
        match path_of(address) {
            Some(path) => {
                unix::connect(path).map(|stream| Dial(mio::net::TcpStream::from_std(stream), true))
            }
            None => mio::net::TcpStream::connect(address).map(|stream| Dial(stream, false)),
        }
    }

    /// How it went; `None`: nobody knows yet.
    pub fn result(&self) -> Option<io::Result<()>> {
        match self.0.take_error().and_then(|error| error.map_or(Ok(()), Err)) {
            Err(error) => Some(Err(error)),
            // A Unix socket stands from the start.
            Ok(()) if self.1 => Some(Ok(())),
            Ok(()) => match self.0.peer_addr() {
                Ok(_) => Some(Ok(())),
                Err(error) if error.kind() == ErrorKind::NotConnected => None,
                Err(error) => Some(Err(error)),
            },
        }
    }
}
