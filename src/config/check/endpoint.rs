//! The text of an endpoint: `host:port`, or a URL.
//!
//! ```text
//!   10.0.0.1:8000                    address
//!   llama:8000                       name, looked up
//!   unix:/run/llama.sock             the path of a Unix socket
//!   http://llama/base/v1             scheme, name or address, port 80 if none is written, base path
//!   https://api.example/v1           the same under TLS, port 443 if none is written
//! ```
//!
//! Absent on purpose: looking names up. A text is judged here by its form alone.

use std::net::SocketAddr;

use super::super::problem::Mistake;
use super::super::snapshot::unix_path::UNIX_PREFIX;
use super::{address, path};

/// Paths of requests. Who writes one of them means the part in front of it.
const REQUESTS: [&str; 7] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/messages",
    "/models",
    "/api/chat",
];

const BASE_MAX: usize = 1_024;

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The port where none is written.
    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// What an endpoint's text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EndpointText {
    /// `None`: it is no URL.
    pub scheme: Option<Scheme>,
    /// `host:port`, always with a port; of a Unix socket the whole text.
    pub authority: String,
    /// Its address; `None`: it is a name that has to be looked up.
    pub literal: Option<SocketAddr>,
    /// What stands in front of the path of every request: empty, or `/` and more, without a slash at
    /// its end.
    pub base: String,
}

/// Reads the text of an endpoint.
pub(super) fn read(text: &str) -> Result<EndpointText, Mistake> {
    if text.contains('@') {
        // Not told: what stands in front of it is a password.
        return Err(Mistake::new("an endpoint is host:port, without a user or a password"));
    }
    if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
        return Ok(EndpointText {
            scheme: None,
            authority: text.to_owned(),
            literal: Some(address::unix(path)?),
            base: String::new(),
        });
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let (authority, base) = text.split_at(text.find('/').unwrap_or(text.len()));
        let literal = literal(authority)?;
        return match base {
            "" => Ok(EndpointText {
                scheme: None,
                authority: text.to_owned(),
                literal,
                base: String::new(),
            }),
            _ => Err(Mistake::new("an endpoint with a path is written as a URL")
                .meant(format!("http://{text}"))),
        };
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => {
            return Err(Mistake::new(format!("{scheme:?} is no scheme of an endpoint"))
                .meant(format!("http://{rest}")));
        }
    };
    let (written, base) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let authority = match address::has_port(written)? {
        true => written.to_owned(),
        false => format!("{written}:{}", scheme.port()),
    };
    let literal = literal(&authority)?;
    let base = base_path(base, scheme, written)?;
    Ok(EndpointText { scheme: Some(scheme), authority, literal, base })
}

/// The address of a `host:port`; `None`: it is a name.
fn literal(authority: &str) -> Result<Option<SocketAddr>, Mistake> {
    address::connectable(authority)
}

fn base_path(text: &str, scheme: Scheme, authority: &str) -> Result<String, Mistake> {
    let base = text.trim_end_matches('/');
    if base.is_empty() {
        return Ok(String::new());
    }
    let base = path::plain(base)?;
    if base.len() > BASE_MAX {
        return Err(Mistake::new(format!("has a path of more than {BASE_MAX} bytes")));
    }
    if base.contains("//") {
        return Err(Mistake::new("has two slashes in a row in its path"));
    }
    for request in REQUESTS {
        if let Some(above) = base.strip_suffix(request) {
            return Err(Mistake::new(format!(
                "an endpoint ends in front of the paths that clients ask for, and {request} is one"
            ))
            .meant(format!("{}://{authority}{above}", scheme.name())));
        }
    }
    Ok(base.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_or_a_name_with_a_port() {
        for good in ["10.0.0.1:80", "[2001:db8::1]:8081"] {
            let read = read(good).expect(good);
            assert_eq!((read.literal, &*read.authority), (good.parse().ok(), good));
        }
        for good in ["llama:8081", "gpu-1.internal:80", "a_b:1"] {
            let read = read(good).expect(good);
            assert_eq!((read.literal, &*read.authority, read.scheme), (None, good, None));
        }
        for bad in [
            "",
            ":80",
            "llama",
            "llama:",
            "llama:0",
            "llama:x",
            "llama:+80",
            "llama:65536",
            "a b:80",
            "a/b:80",
            "user@host:80",
            "::1",
            "[::1]",
            "[::1:80",
            "[x]:80",
            "[::1]x:80",
            "10.0.0.1:0",
            "*:80",
            "a\r\nb:80",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert_eq!(read("::1").unwrap_err().hint.as_deref(), Some("[::1]:80"));
        let meant = read("llama:8000/v1").unwrap_err().hint;
        assert_eq!(meant.as_deref(), Some("http://llama:8000/v1"));
        assert!(read(&format!("{}:80", "a".repeat(254))).is_err());
    }

    #[test]
    fn a_base_has_an_end() {
        assert!(read(&format!("http://a/{}", "b".repeat(BASE_MAX - 1))).is_ok());
        assert!(read(&format!("http://a/{}", "b".repeat(BASE_MAX))).is_err());
    }

    #[test]
    fn a_url_has_a_port_or_not_and_a_base_or_not() {
        for (text, authority, base) in [
            ("http://llama:8000", "llama:8000", ""),
            ("http://llama:8000/", "llama:8000", ""),
            ("http://llama", "llama:80", ""),
            ("HTTP://llama/v1/", "llama:80", "/v1"),
            ("http://10.0.0.1/openai/v1", "10.0.0.1:80", "/openai/v1"),
            ("http://[::1]:8080/a%20b", "[::1]:8080", "/a%20b"),
            ("http://[::1]/a", "[::1]:80", "/a"),
        ] {
            let read = read(text).expect(text);
            assert_eq!((&*read.authority, &*read.base), (authority, base), "{text}");
            assert_eq!(read.scheme, Some(Scheme::Http));
            assert_eq!(read.literal, authority.parse().ok());
        }
        for (text, authority, base) in [
            ("https://api.example/v1", "api.example:443", "/v1"),
            ("HTTPS://10.0.0.1:8443/", "10.0.0.1:8443", ""),
            ("https://[::1]", "[::1]:443", ""),
        ] {
            let read = read(text).expect(text);
            assert_eq!((&*read.authority, &*read.base), (authority, base), "{text}");
            assert_eq!(read.scheme, Some(Scheme::Https));
        }
        for (bad, part, meant) in [
            ("https://a/v1/models", "ends in front", Some("https://a/v1")),
            ("ftp://llama:80", "no scheme", Some("http://llama:80")),
            ("http://", "neither a host", None),
            ("http://llama:0/", "port 0", None),
            ("http://llama/a?b=c", "query", None),
            ("http://llama?b=c", "begin with /", None),
            ("http://llama/a#b", "fragment", None),
            ("http://llama/a/../b", "dot segment", None),
            ("http://llama/a/%2e%2e/b", "dot segment", None),
            ("http://llama//a", "two slashes", None),
            ("http://llama/a*", "trailing *", None),
            ("http://llama/a b", "percent-encoded", None),
            ("http://llama/v1/chat/completions", "ends in front", Some("http://llama/v1")),
            ("http://user:s3cret@llama/v1", "password", None),
        ] {
            let mistake = read(bad).expect_err(bad);
            assert!(mistake.reason.contains(part), "{bad}: {}", mistake.reason);
            if meant.is_some() {
                assert_eq!(mistake.hint.as_deref(), meant, "{bad}");
            }
        }
    }
}
