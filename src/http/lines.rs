//! Lines of a head, written: those that an answer of our own and one that is passed on have in
//! common.

use super::body::Framing;
use super::head::Version;

pub(super) fn status_line(status: u16, reason: &str, out: &mut Vec<u8>) {
    // What nearly all servers say.
    if status == 200 && reason == "OK" {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The field that gives the framing, unless it is there already.
pub(super) fn framing_field(framing: Framing, present: bool, out: &mut Vec<u8>) {
    match framing {
        Framing::Length(length) if !present => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(length, out);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked if !present => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        _ => {}
    }
}

/// What the head says of the connection it goes out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionField {
    KeepAlive,
    Close,
    Upgrade,
}

/// The `Connection` field, where it is not what the client's version takes for granted.
pub(super) fn connection_field(connection: ConnectionField, client: Version, out: &mut Vec<u8>) {
    out.extend_from_slice(match (connection, client) {
        (ConnectionField::Close, _) => b"Connection: close\r\n",
        (ConnectionField::Upgrade, _) => b"Connection: upgrade\r\n",
        (ConnectionField::KeepAlive, Version::Http10) => b"Connection: keep-alive\r\n",
        (ConnectionField::KeepAlive, Version::Http11) => b"",
    });
}

/// How many attempts an answer, or an error of ours, took.
pub(super) fn attempts_field(attempts: u8, out: &mut Vec<u8>) {
    // Nearly all take one.
    if attempts == 1 {
        return out.extend_from_slice(b"X-Sluice-Attempts: 1\r\n");
    }
    out.extend_from_slice(b"X-Sluice-Attempts: ");
    decimal(attempts.into(), out);
    out.extend_from_slice(b"\r\n");
}

/// Inlined: where the name is known it is no call to copy it.
#[inline]
pub(super) fn field(out: &mut Vec<u8>, name_and_colon: &[u8], value: &[u8]) {
    out.extend_from_slice(name_and_colon);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn decimal(number: u64, out: &mut Vec<u8>) {
    // Three digits at a time: status codes and the parts of an address have no more.
    if number >= 1_000 {
        decimal(number / 1_000, out);
    }
    let digit = |place: u64| b'0' + (number / place % 10) as u8;
    match number {
        0..10 => out.push(digit(1)),
        10..100 => out.extend_from_slice(&[digit(10), digit(1)]),
        _ => out.extend_from_slice(&[digit(100), digit(10), digit(1)]),
    }
}
