//! One request to a collector: a connection of its own, and the answer to its end.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::config::snapshot::Collector;
use crate::http::body::Body;
use crate::http::head::{FieldSlots, HeadLimits, ResponseContext, parse_response};
use crate::http::retry_after::retry_after;

const HEAD: HeadLimits = HeadLimits { bytes: 16 << 10, fields: 100 };
const CONTEXT: ResponseContext = ResponseContext { head_request: false, upgrade_asked: false };
/// No answer of a collector is longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection.
    Unreachable(io::Error),
    /// The connection broke, or `trace.timeout` ran out.
    Broken(io::Error),
    NotHttp,
    Status {
        status: u16,
        retry_after: Option<Duration>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable(error) => write!(f, "no connection: {error}"),
            Failure::Broken(error) if is_timeout(error) => f.write_str("no answer in time"),
            Failure::Broken(error) => write!(f, "the connection broke: {error}"),
            Failure::NotHttp => f.write_str("the answer is not HTTP/1"),
            Failure::Status { status, .. } => write!(f, "status {status}"),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    // A blocking socket whose timeout ran out says `WouldBlock` on Linux.
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Posts a batch. Returns how many of its spans the collector says it has rejected.
pub(super) fn post(collector: &Collector, body: &str, timeout: Duration) -> Result<u64, Failure> {
    let deadline = Instant::now() + timeout;
    let Collector { authority, path } = collector;
    let mut stream = connect(authority, deadline).map_err(Failure::Unreachable)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: sluicegate/{}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
        body.len()
    );
    let sent = stream
        .set_write_timeout(Some(left(deadline).map_err(Failure::Broken)?))
        .and_then(|()| stream.write_all(head.as_bytes()))
        .and_then(|()| stream.write_all(body.as_bytes()));
    // Who has refused may have closed before it had everything: its answer says why.
    match (sent, answer(&mut stream, deadline)) {
        (_, Ok(rejected)) => Ok(rejected),
        (Err(error), Err(Failure::Broken(_))) => Err(Failure::Broken(error)),
        (_, Err(failure)) => Err(failure),
    }
}

fn connect(authority: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads the final answer to its end.
fn answer(stream: &mut TcpStream, deadline: Instant) -> Result<u64, Failure> {
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
            Ok(Some(head)) if head.status < 300 => {
                let (mut body, length) = (Body::of_response(head.framing), head.length);
                received.drain(..length);
                return document(stream, &mut body, received, deadline);
            }
            Ok(Some(head)) => {
                let told = head.field("retry-after");
                let retry_after = told.and_then(|value| retry_after(value, head.field("date")));
                return Err(Failure::Status { status: head.status, retry_after });
            }
            Ok(None) => read(stream, &mut received, deadline)?,
            Err(_) => return Err(Failure::NotHttp),
        }
    }
}

/// What a collector that took a batch says of it.
fn document(
    stream: &mut TcpStream,
    body: &mut Body,
    mut received: Vec<u8>,
    deadline: Instant,
) -> Result<u64, Failure> {
    let mut text = Vec::new();
    loop {
        let taken = body.scan(&received, |data| text.extend_from_slice(data));
        let taken = taken.map_err(|_| Failure::NotHttp)?;
        received.drain(..taken);
        // That it took them is known; what else it says is only for counting.
        if body.is_complete()
            || text.len() > ANSWER_BYTES_MAX
            || read(stream, &mut received, deadline).is_err()
        {
            let said: Value = serde_json::from_slice(&text).unwrap_or_default();
            return Ok(rejected(&said["partialSuccess"]["rejectedSpans"]));
        }
    }
}

/// A number of 64 bits is a string in this JSON; some write a number all the same.
fn rejected(count: &Value) -> u64 {
    let written = count.as_str().and_then(|text| text.parse().ok());
    written.or_else(|| count.as_u64()).unwrap_or(0)
}

fn read(stream: &mut TcpStream, received: &mut Vec<u8>, deadline: Instant) -> Result<(), Failure> {
    let mut piece = [0; 4096];
    loop {
        let read = left(deadline)
            .and_then(|left| stream.set_read_timeout(Some(left)))
            .and_then(|()| stream.read(&mut piece));
        match read {
            Ok(0) => return Err(Failure::Broken(ErrorKind::UnexpectedEof.into())),
            Ok(length) => {
                received.extend_from_slice(&piece[..length]);
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Broken(error)),
        }
    }
}

/// The time until `deadline`, if there is any: a socket's timeout of zero would be none at all.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
