//! Whether the server that is registered is well: asked as gateways would, from here.

use std::fmt;
use std::net::{TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use crate::config::snapshot::TlsDialer;
use crate::control::client::{Ask, AskFailure, Whereabouts};

/// How it is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthQuestion {
    /// A path at the server's own address.
    Path(String),
    /// A path at another address: `host:port`, path, and whether it is asked under TLS.
    Url(String, String, bool),
    /// The port takes connections.
    Connect,
}

impl FromStr for HealthQuestion {
    type Err = String;

    fn from_str(told: &str) -> Result<HealthQuestion, String> {
        let visible = told.bytes().all(|byte| byte.is_ascii_graphic());
        if told == "connect" {
            return Ok(HealthQuestion::Connect);
        }
        if told.starts_with('/') && visible {
            return Ok(HealthQuestion::Path(told.to_owned()));
        }
        let sealed = told.starts_with("https://");
        let rest = told.strip_prefix("http://").or_else(|| told.strip_prefix("https://"));
        let rest = rest.filter(|_| visible);
        let split = rest.map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())));
        match split {
            Some((authority, path)) if port_of(authority).is_some() => {
                let path = if path.is_empty() { "/" } else { path };
                Ok(HealthQuestion::Url(authority.to_owned(), path.to_owned(), sealed))
            }
            _ => Err("must be a path, http[s]://HOST:PORT/PATH, or \"connect\"".to_owned()),
        }
    }
}

/// The port of a `host:port`.
pub fn port_of(authority: &str) -> Option<u16> {
    let (host, port) = authority.rsplit_once(':')?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    let good = !host.is_empty() && host.bytes().all(legal);
    port.parse().ok().filter(|port| good && *port > 0)
}

impl fmt::Display for HealthQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthQuestion::Path(path) => f.write_str(path),
            HealthQuestion::Url(authority, path, sealed) => {
                write!(f, "http{}://{authority}{path}", if *sealed { "s" } else { "" })
            }
            HealthQuestion::Connect => f.write_str("connect"),
        }
    }
}

impl HealthQuestion {
    /// The `host:port` that is asked, of a server at this one.
    pub fn authority<'a>(&'a self, own: &'a str) -> &'a str {
        match self {
            HealthQuestion::Url(authority, ..) => authority,
            HealthQuestion::Path(_) | HealthQuestion::Connect => own,
        }
    }

    /// Asks once. `own` is the server's `host:port`; `tls` how the one that is asked is dialled, where
    /// it speaks TLS.
    pub fn ask(
        &self,
        own: &str,
        tls: Option<&TlsDialer>,
        timeout: Duration,
    ) -> Result<(), AskFailure> {
        let authority = self.authority(own);
        let (HealthQuestion::Path(path) | HealthQuestion::Url(_, path, _)) = self else {
            return connects(authority, timeout);
        };
        let ask = Ask {
            to: Whereabouts::Name(authority),
            tls,
            host: authority,
            path,
            agent: "sluicegate-register",
            lines: "",
            rules: None,
            post: None,
            timeout,
        };
        match ask.status()? {
            200..=299 => Ok(()),
            status => Err(AskFailure::Status(status)),
        }
    }
}

fn connects(authority: &str, timeout: Duration) -> Result<(), AskFailure> {
    let no_address = |error: std::io::Error| AskFailure::NoAddress(error.to_string());
    let mut last = AskFailure::NoAddress("the name has none".to_owned());
    for address in authority.to_socket_addrs().map_err(no_address)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(()),
            Err(error) => last = AskFailure::Connect(error.kind()),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_path_a_url_or_a_connection() {
        let url = |authority: &str, path: &str| {
            Ok(HealthQuestion::Url(authority.to_owned(), path.to_owned(), false))
        };
        assert_eq!("/health".parse(), Ok(HealthQuestion::Path("/health".to_owned())));
        assert_eq!("connect".parse(), Ok(HealthQuestion::Connect));
        assert_eq!("http://a:1".parse(), url("a:1", "/"));
        assert_eq!("http://[::1]:80/v2/ready?x".parse(), url("[::1]:80", "/v2/ready?x"));
        let sealed = HealthQuestion::Url("a:1".to_owned(), "/".to_owned(), true);
        assert_eq!("https://a:1/".parse(), Ok(sealed));
        for wrong in ["", "health", "https://a/", "http://a/", "http://:1", "/a b", "http://a:0"] {
            assert!(wrong.parse::<HealthQuestion>().is_err(), "{wrong}");
        }
    }
}
