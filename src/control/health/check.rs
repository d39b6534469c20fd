//! One check: a request, and whether the answer's head says "well".

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::CheckTarget;
use crate::http::head::{FieldSlots, HeadLimits, ResponseContext, parse_response};

const HEAD: HeadLimits = HeadLimits { bytes: 16 << 10, fields: 100 };
const CONTEXT: ResponseContext = ResponseContext { head_request: false, upgrade_asked: false };

/// Why an endpoint is not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckFailure {
    /// No connection.
    Connect(ErrorKind),
    /// `health.timeout` ran out.
    Timeout,
    /// The connection broke before there was an answer.
    Broken(ErrorKind),
    /// It was closed before there was an answer.
    Closed,
    NotHttp,
    /// Not one of `health.status`.
    Status(u16),
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckFailure::Connect(kind) => write!(f, "no connection: {kind}"),
            CheckFailure::Timeout => f.write_str("no answer in time"),
            CheckFailure::Broken(kind) => write!(f, "the connection broke: {kind}"),
            CheckFailure::Closed => f.write_str("the connection was closed without an answer"),
            CheckFailure::NotHttp => f.write_str("the answer is not HTTP/1"),
            CheckFailure::Status(status) => write!(f, "status {status}"),
        }
    }
}

/// A check that took so much longer than it may was interrupted: by a process that was stopped, a
/// machine that was paused.
const STANDSTILL: Duration = Duration::from_millis(250);

/// Checks an endpoint, within its timeout. A failure that a standstill of ours explains says nothing
/// of the endpoint: it is checked anew.
pub(super) fn check(target: &CheckTarget) -> Result<(), CheckFailure> {
    believed(target.settings.timeout, || attempt(target))
}

fn believed(
    timeout: Duration,
    attempt: impl Fn() -> Result<(), CheckFailure>,
) -> Result<(), CheckFailure> {
    let began = Instant::now();
    let result = attempt();
    match result {
        Err(_) if began.elapsed() > timeout + STANDSTILL => attempt(),
        result => result,
    }
}

fn attempt(target: &CheckTarget) -> Result<(), CheckFailure> {
    let deadline = Instant::now() + target.settings.timeout;
    let mut stream = TcpStream::connect_timeout(&target.address, target.settings.timeout)
        .map_err(|error| failure(&error, CheckFailure::Connect))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sluicegate-health\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
        target.settings.path, target.host
    );
    let mut changed = Vec::new();
    let request = match &target.rules {
        Some(rules) => {
            rules.apply(request.as_bytes(), &mut changed);
            &changed
        }
        None => request.as_bytes(),
    };
    stream
        .set_write_timeout(Some(left(deadline)?))
        .and_then(|()| stream.write_all(request))
        .map_err(|error| failure(&error, CheckFailure::Broken))?;
    let status = read_status(&mut stream, deadline)?;
    // The body says nothing that is asked for: it is left unread.
    if target.settings.statuses.contains(&status) {
        Ok(())
    } else {
        Err(CheckFailure::Status(status))
    }
}

/// The status of the final answer.
fn read_status(stream: &mut TcpStream, deadline: Instant) -> Result<u16, CheckFailure> {
    let mut received = Vec::with_capacity(1024);
    loop {
        let mut slots = FieldSlots::new();
        match parse_response(&received, &mut slots, &HEAD, &CONTEXT) {
            // Interim answers may come before it.
            Ok(Some(head)) if head.status < 200 => {
                let length = head.length;
                received.drain(..length);
                continue;
            }
            Ok(Some(head)) => return Ok(head.status),
            Ok(None) => {}
            Err(_) => return Err(CheckFailure::NotHttp),
        }
        let mut piece = [0; 1024];
        stream
            .set_read_timeout(Some(left(deadline)?))
            .map_err(|error| failure(&error, CheckFailure::Broken))?;
        match stream.read(&mut piece) {
            Ok(0) => return Err(CheckFailure::Closed),
            Ok(length) => received.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failure(&error, CheckFailure::Broken)),
        }
    }
}

/// The time until `deadline`, if there is any: a socket's timeout of zero would be none at all.
fn left(deadline: Instant) -> Result<Duration, CheckFailure> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(CheckFailure::Timeout) } else { Ok(left) }
}

fn failure(error: &io::Error, otherwise: impl Fn(ErrorKind) -> CheckFailure) -> CheckFailure {
    match error.kind() {
        // A blocking socket whose timeout ran out says `WouldBlock` on Linux.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => CheckFailure::Timeout,
        kind => otherwise(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How often an endpoint is asked whose first check takes so long and fails.
    fn asked(takes: Duration) -> u32 {
        let count = Cell::new(0);
        let result = believed(Duration::from_millis(10), || {
            count.set(count.get() + 1);
            if count.get() > 1 {
                return Ok(());
            }
            std::thread::sleep(takes);
            Err(CheckFailure::Timeout)
        });
        assert_eq!(result.is_ok(), count.get() == 2);
        count.get()
    }

    #[test]
    fn a_check_that_a_standstill_interrupted_is_made_again() {
        assert_eq!(asked(Duration::from_millis(400)), 2);
        assert_eq!(asked(Duration::ZERO), 1);
    }
}
