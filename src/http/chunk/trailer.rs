//! The trailer section of a chunked body (RFC 9112 §7.1.2), one byte at a time.
//!
//! * Each line is a field or the empty line that ends the body. No folding, no space before `:`.
//! * What may be a trailer is what comes too late for nobody. A name that has a standard may be one
//!   if its standard says so ([`ALLOWED`]). A name that a gateway reads, sets or drops in a head may
//!   not, nor one of a family that says where a message came from, whose it is or how it is to be
//!   taken ([`FAMILIES`]). A name of somebody's own may.
//! * `_` counts as `-`: to a server that turns names into variables both are the same field.
//! * A name is compared by its hash, since none of its bytes are kept. A refused name always has a
//!   refused hash; another name could share one only by an effort that hurts its sender alone.

use super::ChunkError;
use crate::http::names::{Known, is_token_byte};

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
        /// It has begun as no trailer may.
        suspect: bool,
    },
    Value,
    /// CR of a field line seen; only LF may follow.
    LineLf,
    /// CR of the empty line seen; only LF may follow.
    EndLf,
}

impl Trailer {
    pub(super) const START: Trailer = Trailer { place: Place::LineStart, bytes: 0 };

    /// The next byte of a section of at most `most` bytes; `None` once it was the last one of the
    /// body.
    pub(super) fn step(self, byte: u8, most: u16) -> Result<Option<Trailer>, ChunkError> {
        use Place::*;
        if self.bytes == most {
            return Err(ChunkError::TrailersTooLong);
        }
        let place = match (self.place, byte) {
            (EndLf, b'\n') => return Ok(None),
            (LineLf, b'\n') => LineStart,
            (LineLf | EndLf, _) => return Err(ChunkError::BareCr),
            (_, b'\n') => return Err(ChunkError::BareLf),
            (LineStart, b'\r') => EndLf,
            (LineStart, _) if is_token_byte(byte) => {
                Name { hash: hash_step(HASH_START, byte), suspect: false }
            }
            (Name { hash, suspect }, _) if is_token_byte(byte) => {
                let hash = hash_step(hash, byte);
                let family = matches!(byte, b'-' | b'_') && FAMILIES.contains(&hash);
                Name { hash, suspect: suspect || family }
            }
            (Name { hash, suspect }, b':') if is_forbidden(hash, suspect) => {
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
/// connection, identity, what the content is and how it may be used (RFC 9110 §6.5.1). A reader
/// that merges trailers into the head would act on them after everyone before it has acted without.
fn is_forbidden(hash: u64, suspect: bool) -> bool {
    let named = GATEWAYS.contains(&hash) || STANDARD.contains(&hash);
    named || (suspect && !ALLOWED.contains(&hash))
}

/// What begins the names of fields that are read before the content, `-` included.
static FAMILIES: [u64; 27] = hashes([
    "accept-",
    "access-control-",
    "cdn-",
    "client-",
    "content-",
    "cross-origin-",
    "fastly-",
    "if-",
    "proxy-",
    "remote-",
    "sec-",
    "ssl-",
    "wl-proxy-",
    "www-",
    "x-accel-",
    "x-auth-",
    "x-authenticated-",
    "x-b3-",
    "x-content-",
    "x-envoy-",
    "x-forwarded-",
    "x-original-",
    "x-proxyuser-",
    "x-remote-",
    "x-rewrite-",
    "x-sluice-",
    "x-ssl-",
]);

/// Those of a family that their standards let come behind the content (RFC 9530 §2, RFC 9110
/// §14.3, RFC 1864).
static ALLOWED: [u64; 3] = hashes(["accept-ranges", "content-digest", "content-md5"]);

/// What a gateway acts on in a head.
static GATEWAYS: [u64; Known::NAMES.len()] = hashes(Known::NAMES);

/// Fields of the registry of HTTP, outside those families, whose standards do not let them be
/// trailers; and the names, in general use without a standard, of who a request is from and where it
/// is meant to go.
static STANDARD: [u64; STANDARD_NAMES.len()] = hashes(STANDARD_NAMES);

const STANDARD_NAMES: [&str; 123] = [
    "a-im",
    "accept",
    "age",
    "allow",
    "alpn",
    "alt-svc",
    "alt-used",
    "api-key",
    "apply-to-redirect-ref",
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "cache-status",
    "cal-managed-id",
    "caldav-timezones",
    "capsule-protocol",
    "cert-not-after",
    "cert-not-before",
    "cf-connecting-ip",
    "cf-ipcountry",
    "cf-visitor",
    "clear-site-data",
    "close",
    "cookie",
    "cookie2",
    "dasl",
    "dav",
    "delta-base",
    "deprecation",
    "depth",
    "destination",
    "dpop",
    "dpop-nonce",
    "early-data",
    "expires",
    "from",
    "hobareg",
    "idempotency-key",
    "im",
    "include-referred-token-binding-id",
    "isolation",
    "keep-alive",
    "label",
    "last-event-id",
    "last-modified",
    "link",
    "location",
    "lock-token",
    "max-forwards",
    "mcp-protocol-version",
    "mcp-session-id",
    "memento-datetime",
    "mime-version",
    "negotiate",
    "nel",
    "ordering-type",
    "origin",
    "origin-agent-cluster",
    "overwrite",
    "ping-from",
    "ping-to",
    "position",
    "pragma",
    "prefer",
    "preference-applied",
    "priority",
    "range",
    "redirect-ref",
    "referer",
    "referrer-policy",
    "refresh",
    "replay-nonce",
    "report-to",
    "reporting-endpoints",
    "retry-after",
    "retry-after-ms",
    "safe",
    "schedule-reply",
    "schedule-tag",
    "server",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "slug",
    "soapaction",
    "status",
    "status-uri",
    "strict-transport-security",
    "sunset",
    "surrogate-capability",
    "surrogate-control",
    "tcn",
    "timeout",
    "topic",
    "trailer",
    "true-client-ip",
    "ttl",
    "upgrade-insecure-requests",
    "urgency",
    "use-as-dictionary",
    "user-agent",
    "variant-vary",
    "vary",
    "via",
    "want-content-digest",
    "want-repr-digest",
    "warning",
    "x-api-key",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-csrf-token",
    "x-forwarded",
    "x-frame-options",
    "x-goog-api-key",
    "x-host",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
    "x-request-start",
    "x-scheme",
    "x-ua-compatible",
    "x-user",
];

const fn hashes<const COUNT: usize>(names: [&str; COUNT]) -> [u64; COUNT] {
    let mut hashes = [0; COUNT];
    let mut index = 0;
    while index < COUNT {
        hashes[index] = name_hash(names[index]);
        index += 1;
    }
    hashes
}

/// FNV-1a, 64 bits, over the name in lower case and with `-` for `_`.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

const fn hash_step(hash: u64, byte: u8) -> u64 {
    let byte = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3)
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
