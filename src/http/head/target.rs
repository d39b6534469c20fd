//! The request target (RFC 9112 §3.2) and the authority.
//!
//! Routes are chosen by path, so a path must mean the same here and at the upstream. A dot segment
//! does not: `/public/../admin` matches `/public/*` for one reader and is `/admin` to the next.
//! Percent-encoding hides it and some servers decode before they normalise, so the encoded forms
//! count as what they decode to.
//!
//! * A path holds no dot segment, no backslash, no broken escape, and no escape that stands for a
//!   control byte or for half an overlong character.
//! * An authority is a host name or an address and at most a port: no user, no list, no escape.

use std::net::Ipv6Addr;

use super::HeadError;
use crate::http::path;

/// A target taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'b> {
    pub(super) path: &'b str,
    pub(super) query: Option<&'b str>,
    pub(super) is_asterisk: bool,
    /// Of an absolute-form target.
    pub(super) authority: Option<&'b str>,
}

const ASTERISK: &str = "*";

pub(super) fn parse<'b>(method: &str, target: &'b str) -> Result<Target<'b>, HeadError> {
    if method == "CONNECT" {
        return Err(HeadError::ConnectRefused);
    }
    if target == ASTERISK {
        return asterisk(method, None);
    }
    let (authority, rest) = match target.as_bytes().first() {
        Some(b'/') => (None, target),
        _ => {
            let (authority, rest) = split_absolute(target).ok_or(HeadError::InvalidTarget)?;
            (Some(authority), rest)
        }
    };
    // An OPTIONS for a whole server, in absolute form (RFC 9112 §3.2.4).
    if rest.is_empty() && method == "OPTIONS" {
        return asterisk(method, authority);
    }
    let (path, query) = split_query(rest)?;
    Ok(Target {
        path: if path.is_empty() { "/" } else { path },
        query,
        is_asterisk: false,
        authority,
    })
}

fn asterisk<'b>(method: &str, authority: Option<&'b str>) -> Result<Target<'b>, HeadError> {
    if method != "OPTIONS" {
        return Err(HeadError::AsteriskTarget);
    }
    Ok(Target { path: ASTERISK, query: None, is_asterisk: true, authority })
}

/// The authority of an `http` or `https` URI, and what follows it.
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    is_authority(authority.as_bytes()).then_some((authority, rest))
}

/// What a byte of a path asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    /// `.`, `%` or `\`: the path needs a look at its segments.
    Look,
    Query,
    Refused,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Refused; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        classes[byte as usize] = match byte {
            b'.' | b'%' | b'\\' => Class::Look,
            b'?' => Class::Query,
            b'#' => Class::Refused,
            _ => Class::Plain,
        };
        byte += 1;
    }
    classes
};

/// Path and query, both checked.
fn split_query(target: &str) -> Result<(&str, Option<&str>), HeadError> {
    let plain = |byte: &u8| CLASSES[usize::from(*byte)] == Class::Plain;
    // Nearly every target is nothing else.
    let Some(first) = target.as_bytes().iter().position(|byte| !plain(byte)) else {
        return Ok((target, None));
    };
    let mut look = false;
    let mut query_mark = None;
    for (index, &byte) in target.as_bytes().iter().enumerate().skip(first) {
        match CLASSES[usize::from(byte)] {
            Class::Plain => {}
            Class::Look => look |= query_mark.is_none(),
            Class::Query => query_mark = query_mark.or(Some(index)),
            Class::Refused => return Err(HeadError::InvalidTarget),
        }
    }
    let (path, query) = match query_mark {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    };
    if look {
        path::check(path)?;
    }
    Ok((path, query))
}

/// The bytes of a registered name.
static NAME_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut byte = b'-';
    while byte <= b'~' {
        bytes[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    bytes
};

/// Whether `authority` is a host and at most a port (RFC 9110 §7.2). Stricter than RFC 3986: a
/// registered name has letters, digits, `-`, `.`, `_` and `~` only, and a colon needs a port.
pub(super) fn is_authority(authority: &[u8]) -> bool {
    if let [b'[', rest @ ..] = authority {
        let Ok(rest) = std::str::from_utf8(rest) else { return false };
        return rest.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port.as_bytes()))
        });
    }
    let end = memchr::memchr(b':', authority).unwrap_or(authority.len());
    let (name, port) = authority.split_at(end);
    // Without a branch for each byte: nearly all names are good.
    let good = name.iter().fold(true, |good, byte| good & NAME_BYTES[usize::from(*byte)]);
    good && !name.is_empty() && (port.is_empty() || is_port(port))
}

/// A colon and a port number.
fn is_port(port: &[u8]) -> bool {
    let [b':', digits @ ..] = port else { return false };
    if !(1..=5).contains(&digits.len()) {
        return false;
    }
    let number = digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    });
    number.is_some_and(|number| number <= u16::MAX.into())
}
