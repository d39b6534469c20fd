//! A message body: which of the bytes that arrive belong to it.
//!
//! * `scan` clears bytes for forwarding. What it does not clear belongs to the next message, or to
//!   nobody, and is never passed on as a part of this one.
//! * A body that has not reached its end when the connection has is truncated, and stays so.
//!
//! Absent on purpose: the payload. `on_data` lends it to whoever counts or watches.

use std::fmt;

use super::chunk::{ChunkError, ChunkScanner, Tail};

#[cfg(test)]
mod tests;

/// How the end of a body is known (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// Exactly this many bytes.
    Length(u64),
    Chunked,
    /// Everything until the connection ends. Only a response may be framed like this.
    UntilClose,
}

/// The connection ended inside a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ended inside a message body")
    }
}

impl std::error::Error for Truncated {}

#[derive(Clone, Debug)]
enum State {
    Length { remaining: u64 },
    Chunked(ChunkScanner),
    UntilClose,
    Complete { tail: Tail },
}

/// One body as it passes by.
#[derive(Clone, Debug)]
pub struct Body {
    framing: Framing,
    state: State,
    /// Payload bytes so far, without chunk framing.
    received: u64,
}

impl Body {
    /// A request's body of which no byte has arrived yet. One that cannot have any is complete at
    /// once.
    pub fn new(framing: Framing) -> Body {
        Body::scanned_by(framing, ChunkScanner::new())
    }

    /// The same of a response, whose limits are wider.
    pub fn of_response(framing: Framing) -> Body {
        Body::scanned_by(framing, ChunkScanner::of_response())
    }

    fn scanned_by(framing: Framing, scanner: ChunkScanner) -> Body {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Complete { tail: Tail::default() },
            Framing::Length(remaining) => State::Length { remaining },
            Framing::Chunked => State::Chunked(scanner),
            Framing::UntilClose => State::UntilClose,
        };
        Body { framing, state, received: 0 }
    }

    /// Takes the next bytes of the connection and returns how many of them are this body's.
    /// `on_data` sees each range of payload among them.
    pub fn scan(
        &mut self,
        input: &[u8],
        mut on_data: impl FnMut(&[u8]),
    ) -> Result<usize, ChunkError> {
        match &mut self.state {
            State::Chunked(scanner) => {
                let received = &mut self.received;
                let cleared = scanner.scan(input, |data| {
                    *received += data.len() as u64;
                    on_data(data);
                })?;
                if scanner.is_done() {
                    self.state = State::Complete { tail: scanner.tail() };
                }
                Ok(cleared)
            }
            State::Length { remaining } => {
                let cleared =
                    usize::try_from(*remaining).map_or(input.len(), |n| n.min(input.len()));
                *remaining -= cleared as u64;
                if *remaining == 0 {
                    // Without its last byte it is not whole to anyone.
                    let tail = Tail { length: cleared.min(1) as u32, whole: false };
                    self.state = State::Complete { tail };
                }
                self.lend(&input[..cleared], on_data);
                Ok(cleared)
            }
            State::UntilClose => {
                self.lend(input, on_data);
                Ok(input.len())
            }
            State::Complete { .. } => Ok(0),
        }
    }

    fn lend(&mut self, data: &[u8], mut on_data: impl FnMut(&[u8])) {
        if !data.is_empty() {
            self.received += data.len() as u64;
            on_data(data);
        }
    }

    /// The peer will send no more. Completes a body that ends with its connection.
    pub fn on_eof(&mut self) -> Result<(), Truncated> {
        match self.state {
            State::Complete { .. } => Ok(()),
            State::UntilClose => {
                self.state = State::Complete { tail: Tail::default() };
                Ok(())
            }
            State::Length { .. } | State::Chunked(_) => Err(Truncated),
        }
    }

    /// Whether the last byte of the body has been seen.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete { .. })
    }

    /// What the scan that completed the body can still hold back to leave it unfinished.
    pub fn tail(&self) -> Tail {
        match self.state {
            State::Complete { tail } => tail,
            _ => Tail::default(),
        }
    }

    /// Whether bytes of somebody else's, framed as this body is, could stand here.
    pub fn at_boundary(&self) -> bool {
        match &self.state {
            State::Chunked(scanner) => scanner.at_boundary(),
            State::UntilClose => true,
            State::Length { .. } | State::Complete { .. } => false,
        }
    }

    /// Bytes of the input that was refused which can be passed on all the same.
    pub fn whole_before_refusal(&self) -> usize {
        match &self.state {
            State::Chunked(scanner) => scanner.whole_before_refusal(),
            _ => 0,
        }
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Payload bytes so far, without chunk framing.
    pub fn received(&self) -> u64 {
        self.received
    }
}
