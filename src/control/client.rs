//! A request of our own to a server: one connection, one question, and the answer as far as it is wanted.
//!
//! It blocks, for no longer than it is allowed to. Health checks want a status, lists of models want
//! the document too.
//!
//! Invariant: whatever the server does, a question ends by its deadline and holds no more than the
//! head and the document that were allowed.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::config::snapshot::{Endpoint, HostField, Upstream};
use crate::http::body::{Body, Framing};
use crate::http::field_rules::FieldRules;
use crate::http::head::{FieldSlots, HeadLimits, ResponseContext, parse_response};

const HEAD: HeadLimits = HeadLimits { bytes: 16 << 10, fields: 100 };
const CONTEXT: ResponseContext = ResponseContext { head_request: false, upgrade_asked: false };

/// Why there is no answer, or not the one that was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskFailure {
    /// No connection.
    Connect(ErrorKind),
    /// The time ran out.
    Timeout,
    /// The connection broke before there was an answer.
    Broken(ErrorKind),
    /// It was closed before there was an answer.
    Closed,
    NotHttp,
    /// Not the one that was wanted.
    Status(u16),
    /// The document is longer than it may be.
    TooLong,
}

impl fmt::Display for AskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskFailure::Connect(kind) => write!(f, "no connection: {kind}"),
            AskFailure::Timeout => f.write_str("no answer in time"),
            AskFailure::Broken(kind) => write!(f, "the connection broke: {kind}"),
            AskFailure::Closed => f.write_str("the connection was closed without an answer"),
            AskFailure::NotHttp => f.write_str("the answer is not HTTP/1"),
            AskFailure::Status(status) => write!(f, "status {status}"),
            AskFailure::TooLong => f.write_str("the answer is too long"),
        }
    }
}

/// A `GET`, and of whom it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub address: SocketAddr,
    /// What `Host` says.
    pub host: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Who asks: what `User-Agent` says.
    pub agent: &'a str,
    /// Further lines of the head.
    pub lines: &'a str,
    /// What is changed in the fields, a key that the server wants among it.
    pub rules: Option<&'a FieldRules>,
    /// For all of it, from the connection to the last byte that is wanted.
    pub timeout: Duration,
}

/// What `Host` says to an endpoint, where no client has said it.
pub(super) fn host_of(upstream: &Upstream, endpoint: &Endpoint) -> String {
    match &upstream.host {
        HostField::Fixed(host) => host.clone(),
        HostField::Preserve | HostField::Endpoint => endpoint.authority.clone(),
    }
}

impl Ask<'_> {
    /// The status of the final answer. What follows its head is left unread.
    pub fn status(&self) -> Result<u16, AskFailure> {
        self.begin().map(|answer| answer.status)
    }

    /// The document of an answer with status 200, of so many bytes at most.
    pub fn document(&self, most: usize) -> Result<Vec<u8>, AskFailure> {
        let mut answer = self.begin()?;
        if answer.status != 200 {
            return Err(AskFailure::Status(answer.status));
        }
        let (mut body, mut text) = (Body::of_response(answer.framing), Vec::new());
        loop {
            let taken = body.scan(&answer.received, |data| text.extend_from_slice(data));
            let taken = taken.map_err(|_| AskFailure::NotHttp)?;
            answer.received.drain(..taken);
            if text.len() > most {
                return Err(AskFailure::TooLong);
            }
            if body.is_complete() {
                return Ok(text);
            }
            if !read(&mut answer.stream, &mut answer.received, answer.deadline)? {
                return body.on_eof().map(|()| text).map_err(|_| AskFailure::Closed);
            }
        }
    }

    /// Asks, and reads the head of the final answer.
    fn begin(&self) -> Result<Begun, AskFailure> {
        let deadline = Instant::now() + self.timeout;
        let mut stream = TcpStream::connect_timeout(&self.address, self.timeout)
            .map_err(|error| failure(&error, AskFailure::Connect))?;
        let Ask { path, host, agent, lines, .. } = self;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
             {lines}Connection: close\r\n\r\n"
        );
        let mut changed = Vec::new();
        let request = match self.rules {
            Some(rules) => {
                rules.apply(request.as_bytes(), &mut changed);
                &changed
            }
            None => request.as_bytes(),
        };
        stream
            .set_write_timeout(Some(left(deadline)?))
            .and_then(|()| stream.write_all(request))
            .map_err(|error| failure(&error, AskFailure::Broken))?;
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
                Ok(Some(head)) => {
                    let (status, framing, length) = (head.status, head.framing, head.length);
                    received.drain(..length);
                    return Ok(Begun { status, framing, stream, received, deadline });
                }
                Ok(None) => {}
                Err(_) => return Err(AskFailure::NotHttp),
            }
            if !read(&mut stream, &mut received, deadline)? {
                return Err(AskFailure::Closed);
            }
        }
    }
}

/// An answer of which the head has come.
struct Begun {
    status: u16,
    framing: Framing,
    stream: TcpStream,
    /// What has come behind the head.
    received: Vec<u8>,
    deadline: Instant,
}

/// Reads some more. `false`: nothing more comes.
fn read(
    stream: &mut TcpStream,
    received: &mut Vec<u8>,
    deadline: Instant,
) -> Result<bool, AskFailure> {
    let mut piece = [0; 8192];
    loop {
        stream
            .set_read_timeout(Some(left(deadline)?))
            .map_err(|error| failure(&error, AskFailure::Broken))?;
        match stream.read(&mut piece) {
            Ok(length) => {
                received.extend_from_slice(&piece[..length]);
                return Ok(length > 0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failure(&error, AskFailure::Broken)),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// The document, or why not, of a server that says this and closes, unless it `stays`.
    fn asked(answer: Vec<u8>, stays: bool) -> Result<Vec<u8>, AskFailure> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
            if stays {
                // Until the client goes.
                let _ = stream.read(&mut [0; 1]);
            }
        });
        let timeout = Duration::from_millis(if stays { 300 } else { 5_000 });
        let ask =
            Ask { address, host: "h", path: "/", agent: "a", lines: "", rules: None, timeout };
        ask.document(1_000)
    }

    #[test]
    fn a_document_is_read_to_its_end_and_no_further_than_it_may_be() {
        let ok = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}");
        let chunk = "x".repeat(600);
        for (answer, stays, expected) in [
            (ok("content-length: 2\r\n", "hi, and more"), true, Ok("hi")),
            (ok("", "until the end"), false, Ok("until the end")),
            (
                ok("transfer-encoding: chunked\r\n", "2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n"),
                true,
                Ok("hi!"),
            ),
            (ok("content-length: 0\r\n", ""), true, Ok("")),
            (ok("content-length: 9\r\n", "short"), false, Err(AskFailure::Closed)),
            (ok("transfer-encoding: chunked\r\n", "2\r\nhi\r\n"), false, Err(AskFailure::Closed)),
            (ok("transfer-encoding: chunked\r\n", "zz\r\n"), true, Err(AskFailure::NotHttp)),
            (ok("content-length: 9\r\n", "short"), true, Err(AskFailure::Timeout)),
            (ok("content-length: 1200\r\n", &chunk.repeat(2)), true, Err(AskFailure::TooLong)),
            (ok("", &chunk.repeat(3)), true, Err(AskFailure::TooLong)),
            ("HTTP/1.1 404 Not Found\r\n\r\n".to_owned(), false, Err(AskFailure::Status(404))),
            ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), false, Err(AskFailure::Status(204))),
            ("SSH-2.0-OpenSSH_9.9\r\n".to_owned(), false, Err(AskFailure::NotHttp)),
        ] {
            let expected = expected.map(|text: &str| text.as_bytes().to_vec());
            assert_eq!(asked(answer.clone().into_bytes(), stays), expected, "{answer:.60}");
        }
    }
}
