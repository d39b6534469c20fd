//! A request of our own to a server: one connection, one question, and the answer as far as it is wanted.
//!
//! ```text
//!   dial ──▶ Ask::begin ──▶ Answer: status, Retry-After ──▶ document
//! ```
//!
//! It blocks, for no longer than it is allowed to. Health checks want a status, lists of models a
//! document; spans are posted.
//!
//! Invariant: whatever the server does, a question ends by its deadline and holds no more than the
//! head and the document that were allowed.

mod connection;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use self::connection::Connection;
use crate::config::snapshot::{Endpoint, HostField, TlsDialer, Upstream};
use crate::http::body::{Body, Framing};
use crate::http::field_rules::FieldRules;
use crate::http::head::{FieldSlots, HeadLimits, ResponseContext, parse_response};
use crate::http::path::base;
use crate::http::retry_after::retry_after;

const HEAD: HeadLimits = HeadLimits { bytes: 16 << 10, fields: 100 };
const CONTEXT: ResponseContext = ResponseContext { head_request: false, upgrade_asked: false };

/// Why there is no answer, or not the one that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskFailure {
    /// The name has no address: what the resolver says.
    NoAddress(String),
    /// No connection.
    Connect(ErrorKind),
    /// No TLS session; and why, in a clause: its certificate has expired, is for another name, …
    Tls(&'static str),
    /// The time ran out.
    Timeout,
    /// The connection broke before there was an answer.
    Broken(ErrorKind),
    /// It was closed before there was an answer.
    Closed,
    /// It was closed behind the head of an answer, before the end of its document.
    Cut,
    NotHttp,
    /// Not the one that was wanted.
    Status(u16),
    /// The document is longer than it may be.
    TooLong,
    /// A plugin has looked at it and says no.
    Probe,
}

impl fmt::Display for AskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskFailure::NoAddress(why) => write!(f, "no address: {why}"),
            AskFailure::Connect(kind) => write!(f, "no connection: {kind}"),
            AskFailure::Tls(why) => write!(f, "no TLS session: {why}"),
            AskFailure::Timeout => f.write_str("no answer in time"),
            AskFailure::Broken(kind) => write!(f, "the connection broke: {kind}"),
            AskFailure::Closed => f.write_str("the connection was closed without an answer"),
            AskFailure::Cut => f.write_str("the connection was closed inside the answer"),
            AskFailure::NotHttp => f.write_str("the answer is not HTTP/1"),
            AskFailure::Status(status) => write!(f, "status {status}"),
            AskFailure::TooLong => f.write_str("the answer is too long"),
            AskFailure::Probe => f.write_str("the plugin that looks at the answer says no"),
        }
    }
}

/// Where a server is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whereabouts<'a> {
    Address(SocketAddr),
    /// `host:port`, which is looked up: its addresses are tried one after the other.
    Name(&'a str),
}

/// A question, and of whom it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub to: Whereabouts<'a>,
    /// How it is dialled where it speaks TLS.
    pub tls: Option<&'a TlsDialer>,
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
    /// A JSON text to post, or an empty one. `None`: a `GET`.
    pub post: Option<&'a str>,
    /// For all of it, from the connection to the last byte that is wanted.
    pub timeout: Duration,
}

/// What `Host` says to an endpoint, where no client has said it.
pub fn host_of(upstream: &Upstream, endpoint: &Endpoint) -> String {
    match &upstream.host {
        HostField::Fixed(host) => host.clone(),
        HostField::Preserve | HostField::Endpoint => endpoint.host().to_owned(),
    }
}

/// What is asked of an endpoint for this path.
pub(super) fn path_at(endpoint: &Endpoint, path: &str) -> String {
    base::for_ours(endpoint.base(), path)
}

impl Ask<'_> {
    /// The status of the final answer. What follows its head is left unread.
    pub fn status(&self) -> Result<u16, AskFailure> {
        self.begin().map(|answer| answer.status)
    }

    /// The document of an answer with status 200, of so many bytes at most.
    pub fn document(&self, most: usize) -> Result<Vec<u8>, AskFailure> {
        let answer = self.begin()?;
        match answer.status {
            200 => answer.document(most),
            status => Err(AskFailure::Status(status)),
        }
    }

    /// The status, and each piece of the document as it comes where that is 200.
    pub fn listen(
        &self,
        take: impl FnMut(&[u8]) -> Result<(), AskFailure>,
    ) -> Result<u16, AskFailure> {
        let answer = self.begin()?;
        match answer.status {
            200 => answer.pieces(take).map(|()| 200),
            status => Ok(status),
        }
    }

    /// The status of an answer, and its document; of a longer one the first bytes.
    pub fn answer(&self, most: usize) -> Result<(u16, Vec<u8>), AskFailure> {
        let answer = self.begin()?;
        let (status, mut text) = (answer.status, Vec::new());
        let heard = answer.pieces(|data| {
            text.extend_from_slice(data);
            if text.len() > most { Err(AskFailure::TooLong) } else { Ok(()) }
        });
        match heard {
            Ok(()) | Err(AskFailure::TooLong) => Ok((status, text)),
            Err(failure) => Err(failure),
        }
    }

    /// Asks, and reads the head of the final answer.
    pub fn begin(&self) -> Result<Answer, AskFailure> {
        self.begin_held(|_| {})
    }

    /// The same; `hold` is given a second handle of the socket, by which another thread can end it.
    pub fn begin_held(&self, hold: impl FnOnce(TcpStream)) -> Result<Answer, AskFailure> {
        let mut connection = Connection::dial(self.to, self.tls, Instant::now() + self.timeout)?;
        if let Some(handle) = connection.handle() {
            hold(handle);
        }
        let sent = connection.send(&self.request());
        // Who refuses may close before it has everything: its answer says why.
        match (sent, head_of(connection)) {
            (_, Ok(answer)) => Ok(answer),
            (Err(failure), Err(AskFailure::Broken(_) | AskFailure::Closed)) => Err(failure),
            (_, Err(failure)) => Err(failure),
        }
    }

    /// The request as it is written.
    fn request(&self) -> Vec<u8> {
        let Ask { path, host, agent, lines, .. } = self;
        let method = if self.post.is_some() { "POST" } else { "GET" };
        let content = match self.post {
            None => String::new(),
            Some("") => "Content-Length: 0\r\n".to_owned(),
            Some(text) => {
                format!("Content-Type: application/json\r\nContent-Length: {}\r\n", text.len())
            }
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
             {content}{lines}Connection: close\r\n\r\n"
        );
        let mut request = Vec::with_capacity(head.len());
        match self.rules {
            Some(rules) => {
                rules.apply(head.as_bytes(), &mut request);
            }
            None => request.extend_from_slice(head.as_bytes()),
        }
        request.extend_from_slice(self.post.unwrap_or_default().as_bytes());
        request
    }
}

/// Reads the head of the final answer.
fn head_of(mut connection: Connection) -> Result<Answer, AskFailure> {
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
                let told = head.field("retry-after");
                let retry_after = told.and_then(|value| retry_after(value, head.field("date")));
                let (status, framing, length) = (head.status, head.framing, head.length);
                let rest = received.split_off(length);
                let head = std::mem::replace(&mut received, rest);
                return Ok(Answer { status, retry_after, head, framing, connection, received });
            }
            Ok(None) => {}
            Err(_) => return Err(AskFailure::NotHttp),
        }
        if !connection.read(&mut received)? {
            return Err(AskFailure::Closed);
        }
    }
}

/// An answer of which the head has come.
pub(super) struct Answer {
    pub status: u16,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
    /// As it came.
    head: Vec<u8>,
    framing: Framing,
    connection: Connection,
    /// What has come behind the head.
    received: Vec<u8>,
}

impl Answer {
    /// What a field of its head says; its name in lower case.
    pub fn field(&self, name: &str) -> Option<String> {
        let mut slots = FieldSlots::new();
        let head = parse_response(&self.head, &mut slots, &HEAD, &CONTEXT).ok()??;
        let value = head.field(name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// What all fields of this name say.
    pub fn fields(&self, name: &str) -> Vec<Vec<u8>> {
        let mut slots = FieldSlots::new();
        match parse_response(&self.head, &mut slots, &HEAD, &CONTEXT) {
            Ok(Some(head)) => head.values(name).map(<[u8]>::to_vec).collect(),
            _ => Vec::new(),
        }
    }

    /// Its document, line by line, whatever the status; a line has so many bytes at most.
    pub fn lines(self, most: usize) -> Lines {
        Lines { body: Body::of_response(self.framing), answer: self, text: Vec::new(), most }
    }

    /// The document, whatever the status, of so many bytes at most.
    pub fn document(self, most: usize) -> Result<Vec<u8>, AskFailure> {
        let mut text = Vec::new();
        self.pieces(|data| {
            text.extend_from_slice(data);
            if text.len() > most { Err(AskFailure::TooLong) } else { Ok(()) }
        })?;
        Ok(text)
    }

    /// Each piece of the document as it comes, whatever the status.
    pub fn pieces(
        mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), AskFailure>,
    ) -> Result<(), AskFailure> {
        let mut body = Body::of_response(self.framing);
        loop {
            let mut taking = Ok(());
            let taken = body.scan(&self.received, |data| {
                if taking.is_ok() {
                    taking = take(data);
                }
            });
            let taken = taken.map_err(|_| AskFailure::NotHttp)?;
            taking?;
            self.received.drain(..taken);
            if body.is_complete() {
                return Ok(());
            }
            if !self.connection.read(&mut self.received)? {
                return body.on_eof().map_err(|_| AskFailure::Cut);
            }
        }
    }
}

/// A document that is read by lines, while it grows.
pub(super) struct Lines {
    answer: Answer,
    body: Body,
    /// What has come of it and is not given.
    text: Vec<u8>,
    most: usize,
}

impl Lines {
    /// The next line, without its end; `None`: the document is over, and what lies behind its last
    /// line feed is nothing. [`AskFailure::Timeout`]: it has not come by `deadline`, and may be asked
    /// for again.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, AskFailure> {
        let Lines { answer, body, text, most } = self;
        answer.connection.until(deadline);
        loop {
            if let Some(end) = memchr::memchr(b'\n', text) {
                let mut line: Vec<u8> = text.drain(..=end).collect();
                line.pop();
                return Ok(Some(line));
            }
            if text.len() > *most {
                return Err(AskFailure::TooLong);
            }
            let taken = body.scan(&answer.received, |data| text.extend_from_slice(data));
            let taken = taken.map_err(|_| AskFailure::NotHttp)?;
            answer.received.drain(..taken);
            if taken > 0 {
                continue;
            }
            if body.is_complete() {
                return Ok(None);
            }
            if !answer.connection.read(&mut answer.received)? {
                return body.on_eof().map(|()| None).map_err(|_| AskFailure::Cut);
            }
        }
    }
}
