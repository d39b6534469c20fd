//! The preamble of the PROXY protocol, versions 1 and 2: whose connection it is, told by a load balancer
//! before the first byte of the client's.
//!
//! ```text
//!   1   PROXY TCP4 203.0.113.7 10.0.0.1 51234 8080 CR LF
//!   2   twelve bytes that are no text · version and command · family · length · addresses · the rest
//! ```
//!
//! * Bytes in, a verdict out, the same at any split: what lies here is read anew when more has come.
//! * Strict: one space, no leading zero, no address of another family. What is not a preamble is refused,
//!   not taken for a request: whoever can leave it out could say it is somebody else.
//! * Bounded: [`PREAMBLE_MAX`] bytes, extensions included, which are skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest preamble that is taken. One of version 1 has at most 107 bytes.
pub const PREAMBLE_MAX: usize = 2_048;
const V1_MAX: usize = 107;
const V1: &[u8] = b"PROXY ";
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD: usize = 16;

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// More has to come.
    Partial,
    /// It has this length. `None`: the connection is the balancer's own, or of a client whose address it
    /// does not know.
    Whole { length: usize, client: Option<IpAddr> },
    /// It is none.
    Broken,
}

/// Reads the preamble at the start of a connection.
pub fn read(input: &[u8]) -> Preamble {
    let starts = |whole: &[u8]| input.starts_with(whole) || whole.starts_with(input);
    match () {
        () if starts(V2) => version_2(input),
        () if starts(V1) => version_1(input),
        () => Preamble::Broken,
    }
}

fn version_1(input: &[u8]) -> Preamble {
    let within = &input[..input.len().min(V1_MAX)];
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return if input.len() < V1_MAX { Preamble::Partial } else { Preamble::Broken };
    };
    let line = std::str::from_utf8(&within[..end]).ok().and_then(|line| line.strip_suffix('\r'));
    let Some(line) = line else { return Preamble::Broken };
    let length = end + 1;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Preamble::Whole { length, client: None },
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let address = |text: &str| -> Option<IpAddr> {
                match family {
                    "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
                    _ => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
                }
            };
            match (address(from), address(to)) {
                (Some(client), Some(_)) if is_port(from_port) && is_port(to_port) => {
                    Preamble::Whole { length, client: Some(client.to_canonical()) }
                }
                _ => Preamble::Broken,
            }
        }
        _ => Preamble::Broken,
    }
}

fn is_port(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0')) && text.parse::<u16>().is_ok()
}

fn version_2(input: &[u8]) -> Preamble {
    let Some((head, rest)) = input.split_at_checked(V2_HEAD) else { return Preamble::Partial };
    let of_rest = usize::from(u16::from_be_bytes([head[14], head[15]]));
    let length = V2_HEAD + of_rest;
    let (command, family) = (head[12], head[13]);
    if !matches!(command, 0x20 | 0x21) || length > PREAMBLE_MAX {
        return Preamble::Broken;
    }
    let Some(rest) = rest.get(..of_rest) else { return Preamble::Partial };
    let whole = |client| Preamble::Whole { length, client };
    match (command, family) {
        // The balancer looks whether somebody is there; what it says of addresses means nothing.
        (0x20, _) => whole(None),
        // TCP over IPv4 and IPv6: both addresses, then both ports.
        (_, 0x11) => match rest.first_chunk::<4>().filter(|_| of_rest >= 12) {
            Some(from) => whole(Some(Ipv4Addr::from(*from).into())),
            None => Preamble::Broken,
        },
        (_, 0x21) => match rest.first_chunk::<16>().filter(|_| of_rest >= 36) {
            Some(from) => whole(Some(IpAddr::from(*from).to_canonical())),
            None => Preamble::Broken,
        },
        // Unspecified, or a Unix socket: no address that means anything here.
        (_, 0x00 | 0x31) => whole(None),
        _ => Preamble::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [V2, &[command, family][..], &length, rest].concat()
    }

    fn tcp4(more: &[u8]) -> Vec<u8> {
        let addresses = [203, 0, 113, 7, 10, 0, 0, 1, 200, 34, 31, 144];
        v2(0x21, 0x11, &[&addresses[..], more].concat())
    }

    fn tcp6() -> Vec<u8> {
        let from: Ipv6Addr = "2001:db8::7".parse().expect("an address");
        v2(0x21, 0x21, &[&from.octets()[..], &[0; 16], &[1, 2, 3, 4]].concat())
    }

    /// Whole preambles, and whose connection they say it is.
    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        vec![
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 8080\r\n".to_vec(), Some("203.0.113.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 0 65535\r\n".to_vec(), Some("2001:db8::7")),
            (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n".to_vec(), Some("203.0.113.7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (tcp4(b""), Some("203.0.113.7")),
            // With an extension.
            (tcp4(&[0x01, 0, 2, b'h', b'2']), Some("203.0.113.7")),
            (tcp6(), Some("2001:db8::7")),
            (v2(0x20, 0x00, b""), None),
            (v2(0x20, 0x11, &[9; 12]), None),
            (v2(0x21, 0x00, b""), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ]
    }

    #[test]
    fn a_preamble_is_read_at_any_split() {
        for (bytes, client) in good() {
            let client = client.map(|text| text.parse().expect("an address"));
            let whole = Preamble::Whole { length: bytes.len(), client };
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), Preamble::Partial, "{bytes:?} cut at {cut}");
            }
            assert_eq!(read(&bytes), whole, "{bytes:?}");
            // What follows is the client's.
            assert_eq!(read(&[&bytes[..], b"GET / HTTP/1.1\r\n"].concat()), whole, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_none_is_refused_as_soon_as_that_can_be_seen() {
        let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 100]].concat();
        for broken in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
            b"PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n",
            b"PROXY TCP4 ::1 ::1 1 1\r\n",
            b"PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
            b"PROXY TCP4 1.1.1.256 1.1.1.1 1 1\r\n",
            b"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n",
            b"PROXY \xff\r\n",
            b"PROXY\r\n",
            &long,
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x21, 0x12, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 35]),
            &v2(0x21, 0x41, &[0; 35]),
            &v2(0x20, 0x00, &[0; PREAMBLE_MAX]),
            b"\r\n\r\n\0\r\nQUIT\r",
        ] {
            assert_eq!(read(broken), Preamble::Broken, "{broken:?}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_read_beyond_them() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize
        };
        let seeds = good();
        for _ in 0..200_000 {
            let mut bytes = seeds[next() % seeds.len()].0.clone();
            for _ in 0..1 + next() % 4 {
                let at = next() % bytes.len();
                bytes[at] = next() as u8;
            }
            bytes.truncate(next() % (bytes.len() + 1));
            if let Preamble::Whole { length, .. } = read(&bytes) {
                assert!(length <= bytes.len(), "{bytes:?}");
            }
        }
    }
}
