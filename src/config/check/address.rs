//! Addresses: where we listen, where the inference servers are, and what `Host` may say.
//!
//! Absent on purpose: looking names up. A text is judged here by its form alone.

use std::net::{Ipv6Addr, SocketAddr};

use super::super::problem::Mistake;

/// The longest host name the domain name system can carry (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;

/// A literal `ip:port`. Port 0 lets the kernel choose one.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Mistake> {
    text.parse().map_err(|_| {
        let mistake = Mistake::new(format!(
            "{text:?} is no address to listen on: write ip:port, \
             \"127.0.0.1:8080\", or \"[::1]:8080\" for IPv6"
        ));
        match authority(text) {
            Ok(Authority { host: "*", port: Some(port) }) => {
                mistake.meant(format!("0.0.0.0:{port}"))
            }
            Ok(Authority { host: "localhost", port: Some(port) }) => {
                mistake.meant(format!("127.0.0.1:{port}"))
            }
            _ => match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
                Ok(port) => mistake.meant(format!("0.0.0.0:{port}")),
                Err(_) => mistake,
            },
        }
    })
}

/// What an endpoint's text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EndpointText<'t> {
    Literal(SocketAddr),
    /// A `name:port` that has to be looked up.
    Name(&'t str),
}

/// An `ip:port` or a `name:port`.
pub(super) fn endpoint(text: &str) -> Result<EndpointText<'_>, Mistake> {
    if text.contains('@') {
        // Not told: what stands in front of it is a password.
        return Err(Mistake::new("an endpoint is host:port, without a user or a password"));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let rest = rest.trim_end_matches('/');
        return Err(Mistake::new(format!(
            "an endpoint is host:port without scheme and path, so leave out \"{scheme}://\""
        ))
        .meant(rest));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(Mistake::new("port 0 cannot be connected to")),
            _ => Ok(EndpointText::Literal(address)),
        };
    }
    match authority(text)? {
        Authority { host: "*", .. } => Err(Mistake::new("\"*\" cannot be connected to")),
        Authority { port: None, .. } => {
            Err(Mistake::new(format!("{text:?} has no port: write host:port")))
        }
        Authority { port: Some(0), .. } => Err(Mistake::new("port 0 cannot be connected to")),
        Authority { .. } => Ok(EndpointText::Name(text)),
    }
}

/// A value for the `Host` field: a name or an address, with or without a port.
pub(super) fn host(text: &str) -> Result<String, Mistake> {
    match authority(text)? {
        Authority { host: "*", .. } => Err(Mistake::new("\"*\" is no host name")),
        Authority { .. } => Ok(text.to_owned()),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Authority<'t> {
    host: &'t str,
    port: Option<u16>,
}

fn authority(text: &str) -> Result<Authority<'_>, Mistake> {
    if text.contains('@') {
        return Err(Mistake::new("neither a user nor a password belongs here"));
    }
    let (host, port) = split(text)?;
    let port = match port {
        None => None,
        // `parse` alone would take a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = digits.parse().ok();
            Some(port.ok_or_else(|| Mistake::new(format!("{digits:?} is no port: 1 to 65535")))?)
        }
        Some(other) => return Err(Mistake::new(format!("{other:?} is no port: 1 to 65535"))),
    };
    Ok(Authority { host, port })
}

fn split(text: &str) -> Result<(&str, Option<&str>), Mistake> {
    let malformed = || Mistake::new(format!("{text:?} is neither a host name nor an address"));
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(malformed)?;
        address.parse::<Ipv6Addr>().map_err(|_| malformed())?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(malformed()),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(Mistake::new(
            "an IPv6 address is written in brackets, with the port behind them",
        )
        .meant(format!("[{text}]:80")));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let named = !host.is_empty() && host.len() <= NAME_MAX && host.bytes().all(legal);
    if named || host == "*" { Ok((host, port)) } else { Err(malformed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_takes_literals_only() {
        for good in ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:0", "[::]:65535"] {
            assert!(listen(good).is_ok(), "{good}");
        }
        for (bad, meant) in [
            ("localhost:8080", Some("127.0.0.1:8080")),
            ("*:8080", Some("0.0.0.0:8080")),
            (":8080", Some("0.0.0.0:8080")),
            ("8080", Some("0.0.0.0:8080")),
            ("127.0.0.1", None),
            ("127.0.0.1:65536", None),
            ("::1:8080", None),
            ("", None),
        ] {
            assert_eq!(listen(bad).expect_err(bad).hint.as_deref(), meant, "{bad}");
        }
    }

    #[test]
    fn an_endpoint_is_an_address_or_a_name_with_a_port() {
        let literal = |text: &str| Ok(EndpointText::Literal(text.parse().unwrap()));
        for good in ["10.0.0.1:80", "[2001:db8::1]:8081"] {
            assert_eq!(endpoint(good), literal(good), "{good}");
        }
        for good in ["llama:8081", "gpu-1.internal:80", "a_b:1"] {
            assert_eq!(endpoint(good), Ok(EndpointText::Name(good)), "{good}");
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
            "http://a:80",
        ] {
            assert!(endpoint(bad).is_err(), "{bad:?}");
        }
        assert_eq!(endpoint("http://llama:80/").unwrap_err().hint.as_deref(), Some("llama:80"));
        assert_eq!(endpoint("::1").unwrap_err().hint.as_deref(), Some("[::1]:80"));
        assert!(endpoint(&format!("{}:80", "a".repeat(254))).is_err());
    }

    #[test]
    fn a_host_has_a_port_or_not() {
        for good in ["llama", "llama.internal:8000", "10.0.0.1", "[::1]", "[::1]:80"] {
            assert_eq!(host(good), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "a\r\nX: y", "*", "a:b", "::1"] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
    }
}
