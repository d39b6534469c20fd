//! Fields with a meaning for a gateway: `Connection`, and the two that frame a body.
//!
//! The length of a body is given by one field with one value, or not at all.

use std::{array, iter};

use httparse::Header;

use super::{FIELDS_MAX, HeadError, Version};
use crate::http::body::Framing;
use crate::http::names::{Known, is_token_byte};

/// Options all `Connection` fields of a head may list together. Each costs a look at every field.
const CONNECTION_OPTIONS_MAX: usize = 32;

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

    /// The fields of this name.
    pub(in crate::http) fn named(name: &str, fields: &[Header<'_>]) -> FieldSet {
        let mut set = FieldSet::default();
        for (index, field) in fields.iter().enumerate() {
            if field.name.eq_ignore_ascii_case(name) {
                set.insert(index);
            }
        }
        set
    }

    /// The fields that are in one of the two.
    pub(in crate::http) fn union(&self, other: &FieldSet) -> FieldSet {
        FieldSet(array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub(in crate::http) fn insert(&mut self, index: usize) {
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
        // What nearly all clients send.
        if value == b"keep-alive" && self.count < CONNECTION_OPTIONS_MAX {
            self.count += 1;
            self.keep_alive = true;
            return Ok(());
        }
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
    let is_token = |coding: &[u8]| coding.iter().copied().all(is_token_byte);
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
