//! The trailer section of a chunked body (RFC 9112 §7.1.2), one byte at a time.
//!
//! * Each line is a field or the empty line that ends the body. No folding, no space before `:`.
//! * A name is compared by its hash, since none of its bytes are kept. A refused name always has a
//!   refused hash; another name could share one only by an effort that hurts its sender alone.

use super::{ChunkError, is_token_byte};

/// Bytes of a whole trailer section, its last CR LF included.
const TRAILER_BYTES_MAX: u16 = 8 * 1024;

/// Where the scanner stands in a trailer section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    place: Place,
    /// Bytes of the section so far.
    bytes: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    Name {
        hash: u64,
    },
    Value,
    /// CR of a field line seen; only LF may follow.
    LineLf,
    /// CR of the empty line seen; only LF may follow.
    EndLf,
}

impl Trailer {
    pub(super) const START: Trailer = Trailer { place: Place::LineStart, bytes: 0 };

    /// The next byte; `None` once it was the last one of the body.
    pub(super) fn step(self, byte: u8) -> Result<Option<Trailer>, ChunkError> {
        use Place::*;
        if self.bytes == TRAILER_BYTES_MAX {
            return Err(ChunkError::TrailersTooLong);
        }
        let place = match (self.place, byte) {
            (EndLf, b'\n') => return Ok(None),
            (LineLf, b'\n') => LineStart,
            (LineLf | EndLf, _) => return Err(ChunkError::BareCr),
            (_, b'\n') => return Err(ChunkError::BareLf),
            (LineStart, b'\r') => EndLf,
            (LineStart, _) if is_token_byte(byte) => Name { hash: hash_step(HASH_START, byte) },
            (Name { hash }, _) if is_token_byte(byte) => Name { hash: hash_step(hash, byte) },
            (Name { hash }, b':') if FORBIDDEN.contains(&hash) => {
                return Err(ChunkError::TrailerForbidden);
            }
            (Name { .. }, b':') => Value,
            (Value, b'\r') => LineLf,
            (Value, b'\t' | b' '..=b'~' | 0x80..) => Value,
            (LineStart | Name { .. } | Value, _) => return Err(ChunkError::TrailerInvalid),
        };
        Ok(Some(Trailer { place, bytes: self.bytes + 1 }))
    }
}

/// Fields that must not come after the body they would have described: framing, routing, the
/// connection, identity, and what the content is (RFC 9110 §6.5.1). A reader that merges trailers
/// into the head would act on them after everyone before it has acted without.
static FORBIDDEN: [u64; 34] = [
    name_hash("authorization"),
    name_hash("cache-control"),
    name_hash("connection"),
    name_hash("content-encoding"),
    name_hash("content-length"),
    name_hash("content-range"),
    name_hash("content-type"),
    name_hash("cookie"),
    name_hash("expect"),
    name_hash("forwarded"),
    name_hash("host"),
    name_hash("http2-settings"),
    name_hash("if-match"),
    name_hash("if-modified-since"),
    name_hash("if-none-match"),
    name_hash("if-range"),
    name_hash("if-unmodified-since"),
    name_hash("keep-alive"),
    name_hash("max-forwards"),
    name_hash("proxy-authenticate"),
    name_hash("proxy-authorization"),
    name_hash("proxy-connection"),
    name_hash("range"),
    name_hash("set-cookie"),
    name_hash("te"),
    name_hash("trailer"),
    name_hash("transfer-encoding"),
    name_hash("upgrade"),
    name_hash("via"),
    name_hash("x-accel-buffering"),
    name_hash("x-forwarded-for"),
    name_hash("x-forwarded-host"),
    name_hash("x-forwarded-proto"),
    name_hash("x-request-id"),
];

/// FNV-1a, 64 bits, over the name in lower case.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

const fn hash_step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte.to_ascii_lowercase() as u64).wrapping_mul(0x0100_0000_01b3)
}

const fn name_hash(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut hash = HASH_START;
    let mut index = 0;
    while index < bytes.len() {
        hash = hash_step(hash, bytes[index]);
        index += 1;
    }
    hash
}
