//! Which byte of a refused head was the wrong one.
//!
//! httparse says that a head is bad; a client deserves to know why. This walks the bytes again,
//! slowly, and names the first that breaks a rule. Only refused heads come here.
//!
//! * The answer depends on no byte behind the first wrong one, so it is the same however much of
//!   the head has arrived.

use super::HeadError;
use crate::http::names::is_token_byte;

/// Which kind of start line a head has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
}

/// Where the walk stands between two bytes of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Method {
        empty: bool,
    },
    Target {
        empty: bool,
    },
    RequestVersion {
        index: usize,
    },
    ResponseVersion {
        index: usize,
    },
    Status {
        digits: u8,
    },
    Reason,
    LineStart,
    Name,
    Value,
    /// CR seen; only LF may follow.
    LineLf,
    /// CR of the empty line seen; only LF may follow.
    EndLf,
}

/// The first byte of a client that begins TLS: no HTTP begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Why `head` was refused. `head` begins with its start line and need not be complete.
#[cold]
pub(super) fn diagnose(kind: Kind, head: &[u8]) -> HeadError {
    let mut place = match kind {
        Kind::Request => Place::Method { empty: true },
        Kind::Response => Place::ResponseVersion { index: 0 },
    };
    for &byte in head {
        match step(place, byte) {
            Ok(Some(next)) => place = next,
            Ok(None) => break,
            Err(error) => return error,
        }
    }
    // Every refusal of httparse has its byte above. Should a later version of it find another,
    // the head is still refused, under the name of its start line.
    match kind {
        Kind::Request => HeadError::InvalidRequestLine,
        Kind::Response => HeadError::InvalidStatusLine,
    }
}

fn step(place: Place, byte: u8) -> Result<Option<Place>, HeadError> {
    use Place::*;
    Ok(Some(match (place, byte) {
        (EndLf, b'\n') => return Ok(None),
        (LineLf, b'\n') => LineStart,
        (LineLf | EndLf, _) => return Err(HeadError::BareCr),
        (_, 0) => return Err(HeadError::Nul),
        (_, b'\n') => return Err(HeadError::BareLf),

        (Method { empty: false }, b' ') => Target { empty: true },
        (Method { .. }, _) if is_token_byte(byte) => Method { empty: false },
        (Method { empty: true }, TLS_HANDSHAKE) => return Err(HeadError::TlsHello),
        (Method { .. }, _) => return Err(HeadError::InvalidMethod),
        (Target { empty: false }, b' ') => RequestVersion { index: 0 },
        (Target { .. }, b'!'..=b'~') => Target { empty: false },
        // The request line of HTTP/0.9 ends here.
        (Target { .. }, b'\r') => return Err(HeadError::InvalidRequestLine),
        (Target { .. }, _) => return Err(HeadError::InvalidTarget),
        (RequestVersion { index: 8 }, b'\r') => LineLf,
        (RequestVersion { index }, _) => RequestVersion {
            index: version_step(index, byte).ok_or(HeadError::InvalidRequestLine)??,
        },

        (ResponseVersion { index: 8 }, b' ') => Status { digits: 0 },
        (ResponseVersion { index }, _) => ResponseVersion {
            index: version_step(index, byte).ok_or(HeadError::InvalidStatusLine)??,
        },
        (Status { digits: 3 }, b' ') => Reason,
        (Status { digits: 3 } | Reason | Value, b'\r') => LineLf,
        (Status { digits }, b'0'..=b'9') if digits < 3 => Status { digits: digits + 1 },
        (Status { .. }, _) => return Err(HeadError::InvalidStatusLine),
        (Reason, b'\t' | b' '..=b'~' | 0x80..) => Reason,
        (Reason, _) => return Err(HeadError::InvalidStatusLine),

        (LineStart, b'\r') => EndLf,
        (LineStart, b' ' | b'\t') => return Err(HeadError::FoldedLine),
        (LineStart | Name, _) if is_token_byte(byte) => Name,
        (Name, b':') => Value,
        (Name, b' ' | b'\t') => return Err(HeadError::SpaceInFieldName),
        (LineStart | Name, _) => return Err(HeadError::InvalidFieldName),
        (Value, b'\t' | b' '..=b'~' | 0x80..) => Value,
        (Value, _) => return Err(HeadError::InvalidFieldValue),
    }))
}

/// The next index into a version, an error for a version we do not speak, or `None` for a byte
/// that belongs to no version at all.
fn version_step(index: usize, byte: u8) -> Option<Result<usize, HeadError>> {
    match (index, byte) {
        (0..=4, _) if byte == b"HTTP/"[index] => Some(Ok(index + 1)),
        (5, b'1') | (6, b'.') | (7, b'0' | b'1') => Some(Ok(index + 1)),
        (5 | 7, b'0'..=b'9') => Some(Err(HeadError::UnsupportedVersion)),
        _ => None,
    }
}
