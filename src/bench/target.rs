//! Targets: who is asked, and with which bytes.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use super::meter::Meter;
use super::plan::Shape;
use crate::http::sse::EventObserver;
use crate::tls::{ClientFiles, TlsDialer};

/// A parsed `http://host:port/path?query`, or the same with `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// It is asked under TLS.
    pub sealed: bool,
    /// As the `Host` field has it.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// Why a URL cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadUrl {
    NotHttp,
    NoHost,
    Unprintable,
    Unresolved {
        authority: String,
        reason: String,
    },
    /// TLS cannot be spoken to it: no such file of authorities, or no name that can be proved.
    Tls {
        reason: String,
    },
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadUrl::NotHttp => f.write_str("must begin with http:// or https://"),
            BadUrl::Tls { reason } => f.write_str(reason),
            BadUrl::NoHost => f.write_str("names no host"),
            BadUrl::Unprintable => f.write_str("holds a space or a byte that is not ASCII"),
            BadUrl::Unresolved { authority, reason } => {
                write!(f, "{authority} has no address: {reason}")
            }
        }
    }
}

impl std::error::Error for BadUrl {}

impl Url {
    pub fn parse(text: &str) -> Result<Url, BadUrl> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadUrl::Unprintable);
        }
        let (sealed, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(BadUrl::NotHttp),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() || authority.starts_with(':') || authority.contains('@') {
            return Err(BadUrl::NoHost);
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Url { sealed, authority: authority.to_owned(), path: format!("{slash}{path}") })
    }

    /// The first address of the host; port 80 or 443 if none is named.
    pub fn resolve(&self) -> Result<SocketAddr, BadUrl> {
        let after_host = self.authority.rfind(']').unwrap_or(0);
        let has_port = self.authority[after_host..].contains(':');
        let port = if self.sealed { 443 } else { 80 };
        let with_port =
            if has_port { self.authority.clone() } else { format!("{}:{port}", self.authority) };
        let unresolved =
            |reason: String| BadUrl::Unresolved { authority: self.authority.clone(), reason };
        let mut addresses =
            with_port.to_socket_addrs().map_err(|error| unresolved(error.to_string()))?;
        addresses.next().ok_or_else(|| unresolved("the name resolves to nothing".to_owned()))
    }

    /// The same with more query parameters.
    #[must_use]
    pub fn with_query(&self, parameters: &str) -> Url {
        let joint = if self.path.contains('?') { '&' } else { '?' };
        let path = format!("{}{joint}{parameters}", self.path);
        Url { authority: self.authority.clone(), path, ..*self }
    }

    /// What makes sessions with it; `None`: it is asked in plain.
    fn dialer(&self, sealing: &Sealing) -> Result<Option<TlsDialer>, BadUrl> {
        if !self.sealed {
            return Ok(None);
        }
        let files = ClientFiles { ca: sealing.ca.clone(), ..ClientFiles::default() };
        let has_port = self.authority[self.authority.rfind(']').unwrap_or(0)..].contains(':');
        let authority =
            if has_port { self.authority.clone() } else { format!("{}:443", self.authority) };
        // No certificate of ours is shown, so no time has to be right.
        let dialer = files.dialer(&authority, Duration::ZERO);
        let dialer = dialer.map_err(|reason| BadUrl::Tls { reason })?;
        Ok(Some(if sealing.afresh { dialer.afresh() } else { dialer }))
    }
}

/// What kind of server answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dialect {
    /// Our mock's `/stream`: told by query parameters what to send, and stamping each token.
    Mock { token_rate: f64, tokens: Option<u64>, token_bytes: u32, bulk_bytes: u64 },
    /// Any server. Its URL is used as it is.
    Any,
}

/// More tokens than any round lasts for.
const ENDLESS: u64 = 1 << 50;
/// What the mock gives at once of a large body. Such bodies have a multiple of it.
const BULK_PIECE: u64 = 64 << 10;

impl Dialect {
    /// The parameters that make the mock do what `shape` needs.
    fn parameters(self, shape: Shape) -> Option<String> {
        let Dialect::Mock { token_rate, tokens, token_bytes, bulk_bytes } = self else {
            return None;
        };
        let parameters = match shape {
            Shape::Streams | Shape::Fairness => {
                let tokens = tokens.unwrap_or(ENDLESS);
                format!("rate={token_rate}&tokens={tokens}&token_bytes={token_bytes}&stamp=1")
            }
            Shape::Firehose => {
                let tokens = tokens.unwrap_or(ENDLESS);
                format!("rate=0&tokens={tokens}&token_bytes={token_bytes}&stamp=0")
            }
            Shape::Download => {
                let pieces = bulk_bytes.div_ceil(BULK_PIECE);
                format!("rate=0&tokens={pieces}&token_bytes={BULK_PIECE}&stamp=0&known_length=1")
            }
            Shape::Unary | Shape::Churn | Shape::Idle | Shape::Upload => {
                format!("rate=0&tokens=1&token_bytes={token_bytes}&stamp=0")
            }
        };
        Some(parameters)
    }

    /// What finds the tokens of an answer.
    pub fn meter(self, shape: Shape, event_stream: bool) -> Meter {
        match self {
            _ if shape.is_bulk() => Meter::Nothing,
            Dialect::Mock { token_bytes, .. } if shape.is_paced() => Meter::stamped(token_bytes),
            Dialect::Mock { token_bytes, .. } => Meter::sized(token_bytes),
            Dialect::Any if event_stream => Meter::Events(EventObserver::default()),
            Dialect::Any => Meter::Pieces,
        }
    }
}

/// What is asked, beside the URL.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    pub method: String,
    /// Whole lines without their ends, `Name: value`.
    pub fields: Vec<String>,
    pub body: Vec<u8>,
    /// Bytes of no meaning that follow the body, as part of it.
    pub filler: u64,
    pub sealing: Sealing,
}

/// How TLS is spoken to targets that are `https://`.
#[derive(Clone, Debug, Default)]
pub struct Sealing {
    /// Whose signatures are believed; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Sessions are never resumed: each connection has a full handshake.
    pub afresh: bool,
}

/// One server under measurement.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    /// As it was given.
    pub url: String,
    pub address: SocketAddr,
    /// The bytes of every request, but for the filler at its end.
    pub request: Vec<u8>,
    pub filler: u64,
    /// The bytes of the request that makes a background.
    pub background: Vec<u8>,
    pub dialect: Dialect,
    /// Whose CPU and memory are read.
    pub pid: Option<u32>,
    /// What makes its sessions; `None`: it is asked in plain.
    pub dialer: Option<TlsDialer>,
}

impl Target {
    pub fn new(
        name: &str,
        url: &str,
        dialect: Dialect,
        shape: Shape,
        asking: &Asking,
    ) -> Result<Target, BadUrl> {
        let parsed = Url::parse(url)?;
        let address = parsed.resolve()?;
        let dialer = parsed.dialer(&asking.sealing)?;
        let shaped = |shape: Shape| match dialect.parameters(shape) {
            Some(parameters) => parsed.with_query(&parameters),
            None => parsed.clone(),
        };
        let background = request(&shaped(Shape::Firehose), asking, false);
        let request = request(&shaped(shape), asking, shape == Shape::Churn);
        let (name, url) = (name.to_owned(), url.to_owned());
        let filler = asking.filler;
        let pid = None;
        Ok(Target { name, url, address, request, filler, background, dialect, pid, dialer })
    }
}

fn request(url: &Url, asking: &Asking, close: bool) -> Vec<u8> {
    let Asking { method, fields, body, filler, sealing: _ } = asking;
    let mut head = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", url.path, url.authority);
    if close {
        head.push_str("Connection: close\r\n");
    }
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    let length = body.len() as u64 + filler;
    if length > 0 || !matches!(method.as_str(), "GET" | "HEAD") {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOCK: Dialect =
        Dialect::Mock { token_rate: 20.0, tokens: Some(9), token_bytes: 32, bulk_bytes: 1 << 20 };

    #[test]
    fn urls_are_taken_apart() {
        let url = |text| Url::parse(text).map(|url| (url.authority, url.path));
        let pair = |a: &str, p: &str| Ok((a.to_owned(), p.to_owned()));
        assert_eq!(url("http://a:1/b?c=d#e"), pair("a:1", "/b?c=d"));
        assert_eq!(url("http://[::1]:80"), pair("[::1]:80", "/"));
        assert_eq!(url("http://a?b"), pair("a", "/?b"));
        assert_eq!(url("https://a/b"), pair("a", "/b"));
        assert_eq!(url("ftp://a/"), Err(BadUrl::NotHttp));
        assert_eq!(url("http:///x"), Err(BadUrl::NoHost));
        assert_eq!(url("http://:80/"), Err(BadUrl::NoHost));
        assert_eq!(url("http://a/b\r\nX: y"), Err(BadUrl::Unprintable));
    }

    #[test]
    fn a_host_without_a_port_is_asked_on_80_or_443() {
        let urls = [("http://127.0.0.1", 80), ("http://[::1]", 80), ("http://[::1]:9", 9)];
        for (text, port) in [&urls[..], &[("https://[::1]", 443), ("https://[::1]:9", 9)]].concat()
        {
            let url = Url::parse(text).expect("a url");
            assert_eq!(url.resolve().expect("an address").port(), port, "{text}");
        }
    }

    #[test]
    fn the_mock_is_told_what_to_send() {
        let asking = Asking { method: "POST".to_owned(), ..Asking::default() };
        let target = |shape| Target::new("t", "http://127.0.0.1:9/stream", MOCK, shape, &asking);
        let text = |shape| String::from_utf8(target(shape).expect("a target").request);
        assert_eq!(
            text(Shape::Streams).as_deref(),
            Ok("POST /stream?rate=20&tokens=9&token_bytes=32&stamp=1 HTTP/1.1\r\n\
                Host: 127.0.0.1:9\r\nContent-Length: 0\r\n\r\n")
        );
        let churn = text(Shape::Churn).expect("ASCII");
        assert!(churn.contains("Connection: close\r\n") && churn.contains("tokens=1&"), "{churn}");
    }

    #[test]
    fn large_bodies_are_announced_and_asked_for() {
        let asking = |filler| Asking { method: "POST".to_owned(), filler, ..Asking::default() };
        let text = |shape, filler| {
            let target =
                Target::new("t", "http://127.0.0.1:9/stream", MOCK, shape, &asking(filler));
            String::from_utf8(target.expect("a target").request).expect("ASCII")
        };
        let down = text(Shape::Download, 0);
        assert!(down.contains("tokens=16&token_bytes=65536&stamp=0&known_length=1 "), "{down}");
        let up = text(Shape::Upload, 5 << 30);
        assert!(up.contains("tokens=1&") && up.contains("Content-Length: 5368709120\r\n"), "{up}");
    }

    #[test]
    fn any_other_server_is_asked_as_it_was_written() {
        let asking = Asking {
            method: "POST".to_owned(),
            fields: vec!["Content-Type: application/json".to_owned()],
            body: b"{}".to_vec(),
            ..Asking::default()
        };
        let target =
            Target::new("t", "http://127.0.0.1/v1?x", Dialect::Any, Shape::Streams, &asking);
        assert_eq!(
            String::from_utf8(target.expect("a target").request).as_deref(),
            Ok("POST /v1?x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                Content-Length: 2\r\n\r\n{}")
        );
    }
}
