//! Whether a request's head is one that a route asks for.
//!
//! * What can be read in two ways holds for nobody: of a field or a parameter that comes several times,
//!   each one has to match.

use crate::config::snapshot::{Pattern, Share, ShareBy, When};
use crate::http::head::RequestHead;
use crate::proxy::admission::keys;
use crate::proxy::balance::key;
use crate::proxy::hash::{hash, mix};

/// Whether all that is asked of the head holds, for the request with this `id`. What is asked of the
/// body is not looked at.
pub(super) fn holds(when: &When, head: &RequestHead<'_>, id: &[u8]) -> bool {
    let When { hosts, headers, query, models: _, share } = when;
    (hosts.is_empty() || host_holds(hosts, head.authority))
        && headers.iter().all(|(name, pattern)| all_match(head.values(name), pattern))
        && query.iter().all(|(name, pattern)| {
            let values = parameters(head.query.unwrap_or_default(), name);
            all_match(values.iter().map(Vec::as_slice), pattern)
        })
        && share.as_ref().is_none_or(|share| is_in(share, head, id))
}

/// Whether the request falls into the share. Asked twice of the same request, it is the same: where its
/// model decides too, its route is looked for once more.
fn is_in(share: &Share, head: &RequestHead<'_>, id: &[u8]) -> bool {
    let key = match &share.by {
        ShareBy::Request => None,
        ShareBy::Key => keys::of_head(head).map(hash),
        ShareBy::Header(name) => head.field(name).and_then(key::of_value),
        ShareBy::Cookie(name) => {
            head.values("cookie").find_map(|value| key::of_cookie(value, name.as_bytes()))
        }
    };
    let drawn = mix(key.unwrap_or_else(|| hash(id)) ^ hash(share.towards.as_bytes()));
    drawn % u64::from(Share::WHOLE) < u64::from(share.of_ten_thousand)
}

/// Whether there is a value, and every one matches.
fn all_match<'v>(mut values: impl Iterator<Item = &'v [u8]>, pattern: &Pattern) -> bool {
    let mut matches = |value: &[u8]| pattern.matches(value);
    values.next().is_some_and(&mut matches) && values.all(matches)
}

/// Compares the host of an authority, whatever its case, port and last dot.
fn host_holds(hosts: &[Pattern], authority: &[u8]) -> bool {
    let end = match authority.first() {
        // The colons of an IPv6 address are no ports.
        Some(b'[') => memchr::memchr(b']', authority).map_or(authority.len(), |at| at + 1),
        _ => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let host = authority[..end].to_ascii_lowercase();
    let host = host.strip_suffix(b".").unwrap_or(&host);
    hosts.iter().any(|pattern| pattern.matches(host))
}

/// The values of a parameter of the query, decoded as a form's are (WHATWG URL §5.1).
fn parameters(query: &str, name: &str) -> Vec<Vec<u8>> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let named = pairs.filter(|(key, _)| decoded(key) == name.as_bytes());
    named.map(|(_, value)| decoded(value)).collect()
}

/// Each `+` a blank, each escape its byte; what is no escape stays as it is.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escape = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (first, escape.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(first),
        }
        rest = after;
    }
    out
}
