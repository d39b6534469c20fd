//! Whose request it is, where proxies that are trusted stand in front of us.
//!
//! Each proxy writes down whom it has the request from, behind what it was told itself. So the list is
//! read from its end, and believed as far as those who wrote it are trusted:
//!
//! ```text
//!   X-Forwarded-For: 203.0.113.9, 198.51.100.4, 10.0.0.2        from 10.0.0.1
//!                    ╰── anybody ──╯╰─ the client ╯╰── trusted hops ──╯
//! ```
//!
//! * Who is not trusted may write what it likes: its own address counts.
//! * An entry that is no address (`unknown`, a name) ends the reading: the hop that wrote it counts.
//! * One field is read, the one that the proxies write: of the other they would pass on what a client says.

use std::net::{IpAddr, SocketAddr};

use super::network::{Cidr, any_contains};
use crate::http::head::RequestHead;

/// In which field trusted proxies write down whom they have a request from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientField {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl ClientField {
    pub fn name(self) -> &'static str {
        match self {
            ClientField::XForwardedFor => "x-forwarded-for",
            ClientField::Forwarded => "forwarded",
        }
    }
}

/// The address of the client: that of the `peer`, or what trusted hops say in `field`.
pub fn client_of(
    head: &RequestHead<'_>,
    peer: IpAddr,
    trusted: &[Cidr],
    field: ClientField,
) -> IpAddr {
    let mut client = peer;
    let mut list: Vec<Option<&[u8]>> = Vec::new();
    for value in head.values(field.name()) {
        match field {
            ClientField::XForwardedFor => list.extend(value.split(|byte| *byte == b',').map(Some)),
            ClientField::Forwarded => parts(value, b',', &mut list),
        }
    }
    let read = match field {
        ClientField::XForwardedFor => address,
        ClientField::Forwarded => node,
    };
    for entry in list.into_iter().rev() {
        if !any_contains(trusted, client) {
            break;
        }
        let Some(address) = entry.and_then(|entry| read(entry.trim_ascii())) else { break };
        client = address.to_canonical();
    }
    client
}

/// The parts of a value in which texts may be quoted (RFC 9110 §5.6.4), between `separator`s. Behind a quote
/// that is not closed nobody knows what a part is: there stands a `None`, which ends the reading.
fn parts<'v>(value: &'v [u8], separator: u8, into: &mut Vec<Option<&'v [u8]>>) {
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    for (at, byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if *byte == separator && !quoted => {
                into.push(Some(&value[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    into.push(if quoted { None } else { Some(&value[start..]) });
}

/// The `for` of an entry of `Forwarded`. Where there are two nobody knows which of them the hop has written,
/// and which is what a client has had it write.
fn node(entry: &[u8]) -> Option<IpAddr> {
    let mut pairs = Vec::new();
    parts(entry, b';', &mut pairs);
    let pairs = pairs.into_iter().flatten().map(<[u8]>::trim_ascii);
    let mut nodes = pairs.filter_map(|pair| match pair.split_at_checked(4) {
        Some((name, value)) if name.eq_ignore_ascii_case(b"for=") => Some(value),
        _ => None,
    });
    let (Some(value), None) = (nodes.next(), nodes.next()) else { return None };
    let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    address(bare.unwrap_or(value))
}

/// An address, with a port or without, in brackets or without.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse_request};

    fn client(fields: &str, peer: &str) -> String {
        let field = match fields.starts_with("Forwarded") {
            true => ClientField::Forwarded,
            false => ClientField::XForwardedFor,
        };
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut slots = FieldSlots::new();
        let limits = HeadLimits { bytes: 8_192, fields: 64 };
        let head = parse_request(text.as_bytes(), &mut slots, &limits).expect("legal");
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|it| Cidr::parse(it).expect("legal"));
        let peer = peer.parse().expect("an address");
        client_of(&head.expect("whole"), peer, &trusted, field).to_string()
    }

    #[test]
    fn the_last_that_is_not_trusted_is_the_client() {
        let trusted = "10.0.0.1";
        for (fields, peer, expected) in [
            ("", trusted, trusted),
            ("X-Forwarded-For: 203.0.113.9\r\n", trusted, "203.0.113.9"),
            // A stranger's word.
            ("X-Forwarded-For: 10.0.0.9\r\n", "203.0.113.7", "203.0.113.7"),
            ("X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.2\r\n", trusted, "203.0.113.9"),
            (
                "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 203.0.113.9\r\n",
                trusted,
                "203.0.113.9",
            ),
            ("X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", trusted, "10.0.0.3"),
            ("X-Forwarded-For: 203.0.113.9, unknown, 10.0.0.2\r\n", trusted, "10.0.0.2"),
            ("X-Forwarded-For: \r\n", trusted, trusted),
            ("X-Forwarded-For: 203.0.113.9:4711\r\n", trusted, "203.0.113.9"),
            ("X-Forwarded-For: [2001:db8::1]:4711, fd00::1\r\n", trusted, "2001:db8::1"),
            ("X-Forwarded-For: ::ffff:203.0.113.9\r\n", trusted, "203.0.113.9"),
            ("Forwarded: for=203.0.113.9;proto=http, For=10.0.0.2\r\n", trusted, "203.0.113.9"),
            ("Forwarded: for=\"[2001:db8::1]:4711\"\r\n", trusted, "2001:db8::1"),
            ("Forwarded: for=\"a,10.0.0.4\"\r\n", trusted, trusted),
            ("Forwarded: proto=http;by=203.0.113.1\r\n", trusted, trusted),
            // What a client has written does not swallow what the proxy has written behind it.
            ("Forwarded: for=1.1.1.1;host=\"\\\"\", for=203.0.113.9\r\n", trusted, "203.0.113.9"),
            ("Forwarded: for=1.1.1.1;host=\", for=203.0.113.9\r\n", trusted, trusted),
            ("Forwarded: host=\"h\";for=203.0.113.9\r\n", trusted, "203.0.113.9"),
            ("Forwarded: host=\"h;for=1.1.1.1;x\";for=203.0.113.9\r\n", trusted, "203.0.113.9"),
            ("Forwarded: host=\"\\\";for=1.1.1.1\";for=203.0.113.9\r\n", trusted, "203.0.113.9"),
            // Which of the two is the hop's?
            ("Forwarded: for=1.1.1.1;for=203.0.113.9\r\n", trusted, trusted),
            (
                "Forwarded: for=203.0.113.9;host=h;For=1.1.1.1, for=10.0.0.2\r\n",
                trusted,
                "10.0.0.2",
            ),
            ("X-Forwarded-For: \"1.1.1.1, 203.0.113.9\r\n", trusted, "203.0.113.9"),
            // What the proxies do not write is what a client says.
            ("Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n", trusted, "1.1.1.1"),
            ("X-Forwarded-For: 2.2.2.2\r\nForwarded: for=1.1.1.1\r\n", trusted, "2.2.2.2"),
        ] {
            assert_eq!(client(fields, peer), expected, "{fields:?} from {peer}");
        }
    }
}
