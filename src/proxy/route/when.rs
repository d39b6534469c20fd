//! Whether a request's head is one that a route asks for.
//!
//! * What can be read in two ways holds for nobody: of a field or a parameter that comes several times,
//!   each one has to match.

use crate::config::snapshot::{Pattern, Share, ShareBy, When};
use crate::http::form;
use crate::http::head::RequestHead;
use crate::proxy::admission::keys;
use crate::proxy::balance::key;
use crate::proxy::hash::{hash, mix};
use crate::proxy::route::{Asker, BodyFacts, Model};
use crate::service::naming::MemberValue;

/// Whether all that is asked of the head and of its asker holds. What is asked of the body is not looked
/// at.
pub(super) fn holds(when: &When, head: &RequestHead<'_>, asker: Asker<'_>) -> bool {
    target_holds(when, head)
        && (when.certificates.is_empty() || certificate_holds(&when.certificates, asker))
        && when.headers.iter().all(|(name, pattern)| all_match(head.values(name), pattern))
        && when.share.as_ref().is_none_or(|share| is_in(share, head, asker.id))
}

/// Whether all that is asked of host and query holds: what a browser shows of a request before it is
/// sent.
pub(super) fn target_holds(when: &When, head: &RequestHead<'_>) -> bool {
    let When { hosts: _, headers: _, query, fields: _, models: _, certificates: _, share: _ } =
        when;
    host_is_wanted(when, head.authority)
        && query.iter().all(|(name, pattern)| {
            let values = form::parameters(head.query.unwrap_or_default(), name);
            all_match(values.iter().map(Vec::as_slice), pattern)
        })
}

/// Whether it is sent to a host that is asked for.
pub(super) fn host_is_wanted(when: &When, authority: &[u8]) -> bool {
    when.hosts.is_empty() || host_holds(&when.hosts, authority)
}

/// Whether the client has proved to be one of these.
fn certificate_holds(wanted: &[Pattern], asker: Asker<'_>) -> bool {
    let shown = asker.certificate.unwrap_or_default();
    !shown.is_empty() && wanted.iter().any(|pattern| pattern.matches(shown.as_bytes()))
}

/// Whether what is asked of the body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    /// It would, were its model another.
    NotForThisModel,
    /// That has not come.
    Unknown,
}

/// Whether all that is asked of the body holds, as far as it has come. `in_path`: the model that the path
/// names, in place of the body.
pub(super) fn body_holds(when: &When, body: &BodyFacts<'_>, in_path: Option<&str>) -> Holds {
    let mut unknown = false;
    for (path, pattern) in &when.fields {
        let absent =
            if body.model == Model::Unread { &MemberValue::Unread } else { &MemberValue::Absent };
        match body.members.map_or(absent, |members| members.get(path)) {
            MemberValue::Unread => unknown = true,
            MemberValue::Value(value) if pattern.matches(value.as_bytes()) => {}
            MemberValue::Value(_) | MemberValue::Absent | MemberValue::Other => return Holds::No,
        }
    }
    match in_path.map_or(body.model, Model::Named) {
        _ if when.models.is_empty() => {}
        Model::Unread => unknown = true,
        Model::Named(name) if when.takes_model(name) => {}
        Model::Named(_) | Model::Unnamed => return Holds::NotForThisModel,
    }
    if unknown { Holds::Unknown } else { Holds::Yes }
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
