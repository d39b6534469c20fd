//! Fields with a meaning for a gateway: their names, `Connection`, and the two that frame a body.
//!
//! * A name is looked at once by its length; most fields are passed over with that one comparison.
//! * The length of a body is given by one field with one value, or not at all.

use std::{array, iter};

use httparse::Header;

use super::{FIELDS_MAX, HeadError, Version};
use crate::http::body::Framing;

/// Options all `Connection` fields of a head may list together. Each costs a look at every field.
const CONNECTION_OPTIONS_MAX: usize = 32;

/// The fields a gateway acts on. Everything else is passed on unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Known {
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Date,
    Expect,
    Forwarded,
    /// `Content_Length` or `Transfer_Encoding`. To a server that turns names into variables these
    /// are the real ones.
    FramingLookalike,
    Host,
    Http2Settings,
    KeepAlive,
    /// The name of a field that ends here or that we set, with `_` for `-`: what such a server would
    /// take for ours.
    Lookalike,
    ProxyAuthenticate,
    ProxyAuthenticationInfo,
    ProxyAuthorization,
    ProxyConnection,
    /// `X-Sluice-Upstream` or `X-Sluice-Attempts`: what a gateway tells of an answer's way.
    Served,
    Te,
    TraceParent,
    TraceState,
    TransferEncoding,
    Upgrade,
    XAccelBuffering,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    XRequestId,
}

impl Known {
    /// The names of all of them, in lower case.
    pub(in crate::http) const NAMES: [&str; 26] = [
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "upgrade",
        "x-accel-buffering",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
        "x-sluice-attempts",
        "x-sluice-upstream",
    ];

    /// Which of them `name` is. The length decides alone for nearly every other field.
    #[inline]
    pub(in crate::http) fn of(name: &str) -> Option<Known> {
        let is = |known: &str, found: Known| same_name(name, known).then_some(found);
        // With `_` for `-`: to a server that turns names into variables both are the same field.
        let reads_as = |known: &str, found: Known| same_variable(name, known).then_some(found);
        let like = |known: &str| reads_as(known, Known::Lookalike);
        match name.len() {
            2 => is("te", Known::Te),
            4 => is("host", Known::Host).or_else(|| is("date", Known::Date)),
            6 => is("expect", Known::Expect),
            7 => is("upgrade", Known::Upgrade),
            9 => is("forwarded", Known::Forwarded),
            10 => is("connection", Known::Connection)
                .or_else(|| is("keep-alive", Known::KeepAlive))
                .or_else(|| is("tracestate", Known::TraceState))
                .or_else(|| like("keep-alive")),
            11 => is("traceparent", Known::TraceParent),
            12 => is("content-type", Known::ContentType)
                .or_else(|| is("x-request-id", Known::XRequestId))
                .or_else(|| like("x-request-id")),
            14 => is("content-length", Known::ContentLength)
                .or_else(|| is("http2-settings", Known::Http2Settings))
                .or_else(|| reads_as("content-length", Known::FramingLookalike))
                .or_else(|| like("http2-settings")),
            15 => reads_as("x-forwarded-for", Known::XForwardedFor),
            16 => reads_as("x-forwarded-host", Known::XForwardedHost)
                .or_else(|| is("content-encoding", Known::ContentEncoding))
                .or_else(|| is("proxy-connection", Known::ProxyConnection))
                .or_else(|| like("proxy-connection")),
            17 => is("transfer-encoding", Known::TransferEncoding)
                .or_else(|| is("x-accel-buffering", Known::XAccelBuffering))
                .or_else(|| is("x-sluice-upstream", Known::Served))
                .or_else(|| is("x-sluice-attempts", Known::Served))
                .or_else(|| reads_as("x-forwarded-proto", Known::XForwardedProto))
                .or_else(|| reads_as("transfer-encoding", Known::FramingLookalike))
                .or_else(|| like("x-accel-buffering"))
                .or_else(|| like("x-sluice-upstream"))
                .or_else(|| like("x-sluice-attempts")),
            18 => is("proxy-authenticate", Known::ProxyAuthenticate)
                .or_else(|| like("proxy-authenticate")),
            19 => is("proxy-authorization", Known::ProxyAuthorization)
                .or_else(|| like("proxy-authorization")),
            25 => is("proxy-authentication-info", Known::ProxyAuthenticationInfo)
                .or_else(|| like("proxy-authentication-info")),
            _ => None,
        }
    }
}

/// Whether a field name of the same length as `known`, which is in lower case, is that name.
///
/// Setting the sixth bit makes letters small and leaves `-` and digits alone, and it makes none of
/// these of any other byte that a name may have (RFC 9110 §5.6.2).
#[inline]
fn same_name(name: &str, known: &str) -> bool {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let same = |these: &[u8; 8], those: &[u8; 8]| {
        u64::from_le_bytes(*these) | SMALL == u64::from_le_bytes(*those)
    };
    let (name, known) = (name.as_bytes(), known.as_bytes());
    // The last eight may overlap those before, so there is no rest to go through by bytes.
    let (Some(end), Some(known_end)) = (name.last_chunk(), known.last_chunk()) else {
        return name.iter().zip(known).all(|(this, that)| this | 0x20 == *that);
    };
    let mut chunks = name.as_chunks().0.iter().zip(known.as_chunks().0);
    chunks.all(|(these, those)| same(these, those)) && same(end, known_end)
}

/// Whether a field name of the same length as `known` becomes the same variable name.
fn same_variable(name: &str, known: &str) -> bool {
    // Two fields of one length seldom begin with one letter: nearly every comparison ends here.
    let initial = |name: &str| name.as_bytes().first().map(|byte| byte | 0x20);
    initial(name) == initial(known)
        && name.bytes().zip(known.bytes()).all(|(byte, expected)| {
            byte.eq_ignore_ascii_case(&expected) || (byte == b'_' && expected == b'-')
        })
}

/// A set of fields of one head, by their position in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet([u64; FIELDS_MAX / 64]);

impl FieldSet {
    #[inline]
    pub fn contains(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Those of the fields of its head, in order, with their positions.
    pub(in crate::http) fn of<'f, 'b>(
        &self,
        fields: &'f [Header<'b>],
    ) -> impl Iterator<Item = (usize, &'f Header<'b>)> {
        let mut words = self.0.iter().zip((0..fields.len()).step_by(64));
        let (mut start, mut bits) = (0, 0);
        iter::from_fn(move || {
            while bits == 0 {
                let (word, first) = words.next()?;
                (start, bits) = (first, *word);
            }
            let index = start + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            fields.get(index).map(|field| (index, field))
        })
    }

    /// The fields that are in one of the two.
    pub(in crate::http) fn union(&self, other: &FieldSet) -> FieldSet {
        FieldSet(array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub(super) fn insert(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }
}

/// The members of a comma-separated list, empty ones left out (RFC 9110 §5.6.1.2).
pub(in crate::http) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// What the `Connection` fields of a head ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConnectionOptions {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Options beside these three: names of fields meant for us alone.
    names_fields: bool,
    count: usize,
}

impl ConnectionOptions {
    /// Takes one `Connection` field.
    pub(super) fn add(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in list(value) {
            self.count += 1;
            if self.count > CONNECTION_OPTIONS_MAX {
                return Err(HeadError::TooManyConnectionOptions);
            }
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.names_fields = true;
            }
        }
        Ok(())
    }

    pub(super) fn keep_alive(&self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }

    /// The fields the options name. They were meant for us and end here (RFC 9110 §7.6.1).
    /// `Upgrade` is not among them: what becomes of an offer is decided by what it offers.
    pub(super) fn listed(&self, fields: &[Header<'_>]) -> FieldSet {
        let mut listed = FieldSet::default();
        if self.names_fields {
            for option in options(fields).filter(|option| !option.eq_ignore_ascii_case(b"upgrade"))
            {
                for (index, field) in fields.iter().enumerate() {
                    if field.name.as_bytes().eq_ignore_ascii_case(option) {
                        listed.insert(index);
                    }
                }
            }
        }
        listed
    }

    /// Refuses a list by which a sender takes away what the next server frames and routes by.
    pub(super) fn refuse_framing(&self, fields: &[Header<'_>]) -> Result<(), HeadError> {
        let essential = |option: &[u8]| {
            [&b"host"[..], b"content-length", b"transfer-encoding"]
                .iter()
                .any(|name| option.eq_ignore_ascii_case(name))
        };
        if self.names_fields && options(fields).any(essential) {
            return Err(HeadError::ConnectionListsFraming);
        }
        Ok(())
    }
}

fn options<'b>(fields: &'b [Header<'b>]) -> impl Iterator<Item = &'b [u8]> {
    fields
        .iter()
        .filter(|field| Known::of(field.name) == Some(Known::Connection))
        .flat_map(|field| list(field.value))
}

/// The two fields that may tell how long a body is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LengthFields<'b> {
    length: Option<&'b [u8]>,
    transfer_encoding: Option<&'b [u8]>,
}

impl<'b> LengthFields<'b> {
    pub(super) fn add_length(&mut self, value: &'b [u8]) -> Result<(), HeadError> {
        // Repeats are refused even where they agree: the next reader may join them into a list.
        match self.length.replace(value) {
            None => Ok(()),
            Some(_) => Err(HeadError::LengthRepeated),
        }
    }

    pub(super) fn add_transfer_encoding(&mut self, value: &'b [u8]) -> Result<(), HeadError> {
        match self.transfer_encoding.replace(value) {
            None => Ok(()),
            Some(_) => Err(HeadError::TransferEncodingRepeated),
        }
    }

    /// The framing they give; `None` if neither is there (RFC 9112 §6.3).
    pub(super) fn framing(&self, version: Version) -> Result<Option<Framing>, HeadError> {
        match (self.transfer_encoding, self.length) {
            // RFC 9112 §6.1 lets a server drop the length instead. Refusing is the reading nobody
            // downstream can disagree with.
            (Some(_), Some(_)) => Err(HeadError::LengthWithTransferEncoding),
            (Some(_), None) if version == Version::Http10 => {
                Err(HeadError::TransferEncodingInHttp10)
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Some(Framing::Chunked))
            }
            (Some(coding), None) => Err(refused_coding(coding)),
            (None, Some(digits)) => match length(digits) {
                Some(length) => Ok(Some(Framing::Length(length))),
                None => Err(HeadError::LengthInvalid),
            },
            (None, None) => Ok(None),
        }
    }
}

/// Digits only. Beyond `i64::MAX` half the world's software overflows, and a leading zero makes
/// some of it count in octal; RFC 9110 §8.6 allows both, no peer is given either.
fn length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    digits
        .iter()
        .try_fold(0u64, |value, &byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            value.checked_mul(10)?.checked_add(digit)
        })
        .filter(|&value| value <= i64::MAX as u64)
}

/// RFC 9112 §6.1: 501 for a coding that is merely unknown, as long as the end of the body would
/// still be found by `chunked`, last and once; 400 for everything else.
#[cold]
fn refused_coding(value: &[u8]) -> HeadError {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let is_token = |coding: &[u8]| coding.iter().copied().all(super::is_token_byte);
    let well_formed = value
        .split(|&byte| byte == b',')
        .map(trim)
        .all(|coding| !coding.is_empty() && is_token(coding));
    let chunked = list(value).filter(|coding| is_chunked(coding)).count();
    let last = list(value).last().is_some_and(is_chunked);
    if well_formed && chunked == 1 && last {
        HeadError::TransferEncodingUnknown
    } else {
        HeadError::TransferEncodingInvalid
    }
}

/// The value of the first field of this name.
pub(super) fn value_of<'b>(fields: &[Header<'b>], name: &str) -> Option<&'b [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}
