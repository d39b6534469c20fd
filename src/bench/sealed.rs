//! TLS to what is measured: a network whose connections are sealed, over one whose are not.
//!
//! * A read goes on until the room is full or the socket is empty: records are read in pieces, and a
//!   short read has to mean here what it means of a socket.
//! * A write is told when the kernel has taken its records. Until then it is `WouldBlock`, and the same
//!   bytes are offered again, as everywhere; they are not sealed twice.
//! * What is read in a handshake lets a write go on, so an edge of a sealed connection is one for both.
//!
//! It is the generator's side, which is not measured: sessions are rustls' buffered ones, which copy once
//! more than the gateway's, and are as simple as a client's should be.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Instant;
use crate::reactor::net::{Accept, Event, Net, Stream};
use crate::reactor::token::Token;
use crate::tls::{SealedStream, TlsDialer};

/// Plaintext of one write: what a record holds.
const PIECE: usize = 16 << 10;

/// A network on which every connection that is opened gets a session of `dialer`.
pub struct SealedNet<N> {
    below: N,
    dialer: TlsDialer,
}

impl<N> SealedNet<N> {
    pub fn new(below: N, dialer: TlsDialer) -> SealedNet<N> {
        SealedNet { below, dialer }
    }
}

impl<N: Net> Net for SealedNet<N> {
    type Stream = Sealed<N::Stream>;

    fn now(&self) -> Instant {
        self.below.now()
    }

    fn time_of_day(&self) -> Duration {
        self.below.time_of_day()
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let before = events.len();
        let result = self.below.poll(events, timeout);
        for event in &mut events[before..] {
            event.writable |= event.readable;
        }
        result
    }

    fn pause(&mut self, until: Instant) {
        self.below.pause(until);
    }

    /// Never: nobody listens.
    fn accept(&mut self, _: usize) -> Accept<Self::Stream> {
        Accept::Drained
    }

    fn listeners(&self) -> usize {
        0
    }

    fn close_listeners(&mut self) {}

    fn connect(&mut self, address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = self.below.connect(address)?;
        Ok(Sealed { inner: self.dialer.over(Raw(stream))?, owed: 0 })
    }

    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()> {
        self.below.register(&mut stream.inner.inner().0, token)
    }
}

/// A sealed connection.
pub struct Sealed<S: Stream> {
    inner: SealedStream<Raw<S>>,
    /// Bytes that are sealed, and whose records the kernel has not taken.
    owed: usize,
}

/// A stream as rustls wants it.
struct Raw<S>(S);

impl<S: Stream> Read for Raw<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl<S: Stream> Write for Raw<S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        // A connection that does not stand yet says so in either way.
        self.0.write(from).map_err(|error| match error.kind() {
            ErrorKind::NotConnected => ErrorKind::WouldBlock.into(),
            _ => error,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Stream> Stream for Sealed<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < into.len() {
            match self.inner.read(&mut into[count..]) {
                Ok(0) => break,
                Ok(more) => count += more,
                // It comes again with the next read.
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if self.owed == 0 {
            self.owed = self.inner.write(&from[..from.len().min(PIECE)])?;
        }
        self.inner.flush()?;
        Ok(std::mem::take(&mut self.owed))
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = from.iter().find(|part| !part.is_empty());
        first.map_or(Ok(0), |part| self.write(part))
    }

    fn write_last(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write(from)
    }

    /// Never asked for: plaintext cannot be looked at without being opened.
    fn peek(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }

    fn delay_acks(&mut self) {
        self.inner.inner().0.delay_acks();
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.inner.inner().0.shutdown_write()
    }

    fn reset_on_drop(&mut self) {
        self.inner.inner().0.reset_on_drop();
    }
}
