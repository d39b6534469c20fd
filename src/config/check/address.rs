//! Addresses: where we listen, where the inference servers are, and what `Host` may say.
//!
//! Absent on purpose: looking names up. A text is judged here by its form alone.

use std::net::{Ipv6Addr, SocketAddr};

use super::super::problem::Mistake;
use super::super::snapshot::unix_path::{UNIX_PATH_MAX, UNIX_PREFIX, is_stand_in, stand_in};

/// The longest host name the domain name system can carry (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;

/// A literal `ip:port`. Port 0 lets the kernel choose one.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Mistake> {
    if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
        return unix(path);
    }
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

/// What stands for the path of a Unix socket.
pub(super) fn unix(path: &str) -> Result<SocketAddr, Mistake> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(Mistake::new("a Unix socket is unix: and the whole path of a file"));
    }
    if path.len() > UNIX_PATH_MAX || path.contains(char::is_control) {
        let reason = format!("a path of a Unix socket has at most {UNIX_PATH_MAX} visible bytes");
        return Err(Mistake::new(reason));
    }
    Ok(stand_in(path))
}

/// The address of a `host:port` that can be connected to; `None`: it is a name.
pub(super) fn connectable(text: &str) -> Result<Option<SocketAddr>, Mistake> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(Mistake::new("port 0 cannot be connected to")),
            _ if is_stand_in(address) => Err(Mistake::new("nobody is reached at 100::/64")),
            _ => Ok(Some(address)),
        };
    }
    match authority(text)? {
        Authority { host: "*", .. } => Err(Mistake::new("\"*\" cannot be connected to")),
        Authority { port: None, .. } => {
            Err(Mistake::new(format!("{text:?} has no port: write host:port")))
        }
        Authority { port: Some(0), .. } => Err(Mistake::new("port 0 cannot be connected to")),
        Authority { .. } => Ok(None),
    }
}

/// Whether a name or an address has a port behind it.
pub(super) fn has_port(text: &str) -> Result<bool, Mistake> {
    authority(text).map(|authority| authority.port.is_some())
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

/// `host:port`, and path with query.
pub(super) fn url(text: &str) -> Result<(String, String), Mistake> {
    let (rest, port) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (rest, 80),
        (_, Some(rest)) => (rest, 443),
        _ => return Err(Mistake::new("must be a URL, http://host:port/path or https://host/path")),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(Mistake::new("takes neither a user nor a password"));
    }
    let authority = match has_port(authority)? {
        true => authority.to_owned(),
        false => format!("{authority}:{port}"),
    };
    connectable(&authority)?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Mistake::new("has a character in its path or its query that no URL has"));
    }
    let root = if path.starts_with('/') { "" } else { "/" };
    Ok((authority, format!("{root}{path}")))
}

pub(super) fn is_local(authority: &str) -> bool {
    ["localhost:", "127.", "[::1]:"].iter().any(|local| authority.starts_with(local))
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
    fn a_host_has_a_port_or_not() {
        for good in ["llama", "llama.internal:8000", "10.0.0.1", "[::1]", "[::1]:80"] {
            assert_eq!(host(good), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "a\r\nX: y", "*", "a:b", "::1"] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
    }
}
