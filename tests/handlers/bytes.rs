//! One read, and as many writes as go: with readiness, as every socket of a loop is used.

use std::io::{ErrorKind, Result};

use sluicegate::reactor::net::Stream;
use sluicegate::reactor::readiness::Readiness;

/// Reads once, behind what `into` has. Whether the connection goes on; a FIN is its end.
pub fn receive<S: Stream>(
    stream: &mut S,
    ready: &mut Readiness,
    into: &mut Vec<u8>,
) -> Result<bool> {
    let mut room = [0; 4096];
    let read = stream.read(&mut room);
    ready.after_read(room.len(), &read);
    match read {
        Ok(count) => into.extend(&room[..count]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
        Err(error) => return Err(error),
    }
    Ok(matches!(read, Ok(1..)))
}

/// Writes `unsent`, until all of it is gone or the kernel takes no more.
pub fn send<S: Stream>(stream: &mut S, ready: &mut Readiness, unsent: &mut Vec<u8>) -> Result<()> {
    while !unsent.is_empty() && ready.writable() {
        let written = stream.write(unsent);
        ready.after_write(unsent.len(), &written);
        match written {
            Ok(count) => drop(unsent.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
