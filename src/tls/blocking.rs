//! Sessions for the threads that block: health checks, lists of models.
//!
//! They have no loop that a session could step through, and a connection of theirs is rare. So this is
//! the buffered interface of rustls, over whatever stream they have.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::{ClientConnection, StreamOwned};

use super::client::TlsDialer;
use super::failure::alert_of;

/// A connection whose bytes are sealed.
pub struct SealedStream<S: Read + Write>(StreamOwned<ClientConnection, S>);

impl TlsDialer {
    /// A session over a connection that stands. The handshake is made with the first write.
    pub fn over<S: Read + Write>(&self, stream: S) -> io::Result<SealedStream<S>> {
        let (config, name) = self.parts();
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(SealedStream(StreamOwned::new(session, stream)))
    }
}

impl<S: Read + Write> SealedStream<S> {
    pub fn get(&self) -> &S {
        &self.0.sock
    }

    /// The connection below.
    pub fn inner(&mut self) -> &mut S {
        &mut self.0.sock
    }
}

/// What of the peer's certificate or its TLS is wrong, in one clause, if that is what this error is.
pub fn why(error: &io::Error) -> Option<&'static str> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(alert_of(inner).why)
}

impl<S: Read + Write> Read for SealedStream<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl<S: Read + Write> Write for SealedStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
