//! The head the other side gets.
//!
//! Most lines go over as they came: a run of them is one copy. Left out are the fields that were
//! meant for this hop, put in are the ones this hop owes.
//!
//! * Hop-by-hop fields end here (RFC 9110 §7.6.1): `Connection` and what it lists, `Keep-Alive`,
//!   `Proxy-*`, `TE`, and `Upgrade` unless an upgrade is under way.
//! * What ends here or is set here goes with its doubles: the same names with `_` for `-`.
//! * The head that leaves gives its framing once, and it is the framing the body will have.
//! * A request leaves as HTTP/1.1 with exactly one `Host`, a response leaves as HTTP/1.1.
//! * A request is written in two steps. The [`draft`] has what every server gets, and is made once;
//!   the [`opening`] has what one of them gets, and is made for each try.
//!
//! Absent on purpose: decisions. Whether a connection is kept and how a body is delivered are
//! arguments.

use std::cell::Cell;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use httparse::Header;

use super::body::Framing;
use super::date::DateLine;
use super::head::{FieldSet, RequestHead, ResponseHead, Version, line_start};
use super::lines::{attempts_field, connection_field, field, framing_field, status_line};
use super::names::Known;

mod opening;
mod refit;

#[cfg(test)]
mod tests;

use self::opening::{HOST, IDENTITY};
pub use self::opening::{
    Opening, has_authority, opening, path_of, query_of, split_draft, values_of,
};
pub use self::refit::{KeyField, Refit, refit, retarget, target_of};
pub use super::lines::ConnectionField;

/// What becomes of `X-Forwarded-For`, `-Proto` and `-Host` in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// Add the client's address to what it sent; add proto and host where absent.
    Append,
    /// Drop what the client sent, `Forwarded` included, and set our own: for a gateway that faces
    /// strangers.
    Replace,
    /// Leave the fields alone.
    Off,
}

/// What to change in a request, whichever server it goes to.
#[derive(Clone, Copy, Debug)]
pub struct RequestEdits<'a> {
    pub forwarded: Forwarded,
    pub client: IpAddr,
    /// The client speaks TLS to us.
    pub https: bool,
    pub request_id: &'a [u8],
    pub trace: TraceFields,
    /// Fields with keys of an API that stay here.
    pub withheld: Option<&'a FieldSet>,
    /// Ask for an answer that is not compressed, whatever the client takes.
    pub identity: bool,
}

/// What becomes of the client's `traceparent` and `tracestate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFields {
    /// They pass as any other field.
    Pass,
    /// A `traceparent` of ours stands in the opening; the client's state belongs to the same trace.
    KeepState,
    /// The same, and its state belongs to another trace.
    Drop,
}

/// Appends the draft of a request to `out`: a head with the client's target and authority, and the
/// fields as every server gets them. Without an authority (HTTP/1.0) it has no `Host`.
pub fn draft(head: &RequestHead<'_>, edits: &RequestEdits<'_>, out: &mut Vec<u8>) {
    out.reserve(head.length + OWN_FIELDS_BYTES);
    request_line(head, out);
    if !head.authority.is_empty() {
        field(out, HOST, head.authority);
    }
    let (without_coding, without_key);
    let mut dropped = &head.connection_listed;
    if edits.identity {
        without_coding = dropped.union(&FieldSet::named("accept-encoding", head.fields));
        dropped = &without_coding;
    }
    if let Some(key) = edits.withheld {
        without_key = dropped.union(key);
        dropped = &without_key;
    }
    let doubtful = head.doubtful.union(dropped);
    copy_fields(head.raw, head.fields, &doubtful, out, |index, known| {
        known.is_none_or(|known| keeps_request_field(head, edits, known))
            && !dropped.contains(index)
    });
    connection(head, out);
    if edits.forwarded != Forwarded::Off {
        forwarded(head, edits, out);
    }
    out.extend_from_slice(match head.version {
        Version::Http10 => b"Via: 1.0 sluicegate\r\nX-Request-Id: ",
        Version::Http11 => b"Via: 1.1 sluicegate\r\nX-Request-Id: ",
    });
    out.extend_from_slice(edits.request_id);
    if edits.identity {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(IDENTITY);
    } else {
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// Room for the fields a rewritten head gains.
const OWN_FIELDS_BYTES: usize = 384;

fn request_line(head: &RequestHead<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.path.as_bytes());
    if let Some(query) = head.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

fn keeps_request_field(head: &RequestHead<'_>, edits: &RequestEdits<'_>, known: Known) -> bool {
    match known {
        Known::ContentEncoding | Known::ContentLength | Known::TransferEncoding => true,
        Known::ContentType | Known::XAccelBuffering | Known::ProxyAuthenticationInfo => true,
        Known::Date | Known::Served => true,
        // The upstream must not answer 100 to a client that would not understand it.
        Known::Expect => head.expect_continue,
        Known::Upgrade => head.upgrade.is_some(),
        Known::Forwarded => edits.forwarded != Forwarded::Replace,
        Known::XForwardedFor => edits.forwarded == Forwarded::Off,
        Known::XForwardedHost | Known::XForwardedProto => edits.forwarded != Forwarded::Replace,
        // Ours stands instead, where there is one.
        Known::TraceParent => edits.trace == TraceFields::Pass,
        Known::TraceState => edits.trace != TraceFields::Drop,
        // Written anew, exactly once.
        Known::Host | Known::XRequestId => false,
        Known::Connection
        | Known::FramingLookalike
        | Known::Http2Settings
        | Known::KeepAlive
        | Known::Lookalike
        | Known::ProxyAuthenticate
        | Known::ProxyAuthorization
        | Known::ProxyConnection
        | Known::Te => false,
    }
}

/// What we ask of the next hop ourselves.
fn connection(head: &RequestHead<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(match (head.accepts_trailers, head.upgrade.is_some()) {
        (false, false) => b"",
        (true, false) => b"TE: trailers\r\nConnection: TE\r\n",
        (false, true) => b"Connection: upgrade\r\n",
        (true, true) => b"TE: trailers\r\nConnection: TE, upgrade\r\n",
    });
}

fn forwarded(head: &RequestHead<'_>, edits: &RequestEdits<'_>, out: &mut Vec<u8>) {
    let (mut has_proto, mut has_host) = (false, false);
    let start = out.len();
    out.extend_from_slice(b"X-Forwarded-For: ");
    let values = out.len();
    if edits.forwarded == Forwarded::Append && head.forwarded {
        let known = head.doubtful.of(head.fields);
        for (_, field) in known.filter(|(index, _)| !head.connection_listed.contains(*index)) {
            match Known::of(field.name) {
                Some(Known::XForwardedFor) if !field.value.is_empty() => {
                    out.extend_from_slice(field.value);
                    out.extend_from_slice(b", ");
                }
                Some(Known::XForwardedProto) => has_proto = true,
                Some(Known::XForwardedHost) => has_host = true,
                _ => {}
            }
        }
    }
    // A client of a Unix socket has no address.
    match edits.client.is_unspecified() {
        true if out.len() == values => out.truncate(start),
        true => {
            out.truncate(out.len() - 2);
            out.extend_from_slice(b"\r\n");
        }
        false => {
            address(edits.client, out);
            out.extend_from_slice(b"\r\n");
        }
    }
    if !has_proto {
        out.extend_from_slice(match edits.https {
            false => b"X-Forwarded-Proto: http\r\n",
            true => b"X-Forwarded-Proto: https\r\n",
        });
    }
    if !has_host && !head.authority.is_empty() {
        field(out, b"X-Forwarded-Host: ", head.authority);
    }
}

/// What to change in a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEdits<'a> {
    /// The version of the client.
    pub client: Version,
    pub connection: ConnectionField,
    /// As delivered to the client.
    pub framing: Framing,
    /// The request was a HEAD: the length fields tell of the body it did not ask for.
    pub head_request: bool,
    /// Added unless the upstream sent one.
    pub request_id: &'a [u8],
    /// The same: whoever passes an answer on says when it came (RFC 9110 §6.6.1).
    pub date: &'a DateLine,
    pub served: Option<Served<'a>>,
    pub timing: Option<ServerTiming>,
}

/// Who answered, for the client to see.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    pub upstream: &'a str,
    /// The attempts it took, the answered one included.
    pub attempts: u8,
}

/// Where the time until an answer began went: the field `Server-Timing`, for the client to see.
#[derive(Clone, Copy, Debug)]
pub struct ServerTiming {
    /// Until there was a connection: earlier attempts, pauses, a queue.
    pub queue: Duration,
    /// Until it took the first byte of the request.
    pub connect: Duration,
    /// Until the first byte of the answer.
    pub upstream: Duration,
    pub total: Duration,
}

impl ServerTiming {
    fn field(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Server-Timing: ");
        let spans = [
            ("queue", self.queue),
            ("connect", self.connect),
            ("upstream", self.upstream),
            ("total", self.total),
        ];
        for (index, (name, span)) in spans.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let micros = span.as_micros();
            // Milliseconds, as the field counts. Writing to a `Vec` cannot fail.
            let _ = write!(out, "{comma}{name};dur={}.{:03}", micros / 1_000, micros % 1_000);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the head for the client to `out`. An interim response (1xx) gains no field but what an
/// upgrade needs.
pub fn response(head: &ResponseHead<'_>, edits: &ResponseEdits<'_>, out: &mut Vec<u8>) {
    out.reserve(head.length + OWN_FIELDS_BYTES);
    status_line(head.status, head.reason, out);
    let length_kept = keeps_length(head, edits);
    let coding_kept = keeps_coding(head, edits);
    let doubtful = head.doubtful.union(&head.connection_listed);
    let offers = Cell::new(false);
    copy_fields(head.raw, head.fields, &doubtful, out, |index, known| match known {
        // Never dropped for being listed: the framing has been read, and it is stated.
        Some(Known::ContentLength) => length_kept,
        Some(Known::TransferEncoding) => coding_kept,
        Some(Known::Date) => true,
        // A 426 says in it what the server would speak (RFC 9110 §15.5.22).
        Some(Known::Upgrade) if head.status == 426 => {
            offers.set(true);
            true
        }
        Some(Known::Upgrade) => edits.connection == ConnectionField::Upgrade,
        Some(Known::XAccelBuffering) => !head.is_event_stream(),
        Some(
            Known::Connection
            | Known::FramingLookalike
            | Known::KeepAlive
            | Known::Lookalike
            | Known::ProxyAuthenticate
            | Known::ProxyAuthenticationInfo
            | Known::ProxyConnection
            // Ours stands instead.
            | Known::Served
            | Known::Te,
        ) => false,
        _ => !head.connection_listed.contains(index),
    });
    if head.status >= 200 {
        if !head.has_date {
            out.extend_from_slice(edits.date);
        }
        if !edits.head_request && head.framing != Framing::None {
            framing_field(edits.framing, length_kept || coding_kept, out);
        }
        if head.is_event_stream() {
            out.extend_from_slice(b"X-Accel-Buffering: no\r\n");
        }
        if let Some(Served { upstream, attempts }) = edits.served {
            field(out, b"X-Sluice-Upstream: ", upstream.as_bytes());
            attempts_field(attempts, out);
        }
        if let Some(timing) = &edits.timing {
            timing.field(out);
        }
        out.extend_from_slice(match head.version {
            Version::Http10 => b"Via: 1.0 sluicegate\r\n",
            Version::Http11 => b"Via: 1.1 sluicegate\r\n",
        });
        if !head.has_request_id {
            field(out, b"X-Request-Id: ", edits.request_id);
        }
    }
    if head.status >= 200 || edits.connection == ConnectionField::Upgrade {
        connection_field(edits.connection, edits.client, out);
    }
    if offers.get() {
        // A second field of this name continues the list of the first.
        out.extend_from_slice(b"Connection: upgrade\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the upstream's `Content-Length` is still true, and allowed to be there.
fn keeps_length(head: &ResponseHead<'_>, edits: &ResponseEdits<'_>) -> bool {
    match head.status {
        100..=199 | 204 => false,
        304 => true,
        _ => edits.head_request || (head.framing == edits.framing && is_length(edits.framing)),
    }
}

/// Whether the upstream's `Transfer-Encoding` is still true, and known to the client's version.
fn keeps_coding(head: &ResponseHead<'_>, edits: &ResponseEdits<'_>) -> bool {
    let stays = match head.status {
        100..=199 | 204 | 304 => false,
        _ => edits.head_request || head.framing == edits.framing,
    };
    stays && edits.client == Version::Http11
}

fn is_length(framing: Framing) -> bool {
    matches!(framing, Framing::Length(_))
}

/// An address as text. A mapped IPv4 address is written as the IPv4 address it is.
fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address.to_canonical() {
        // By hand, in a tenth of the time that the formatter takes.
        IpAddr::V4(address) => {
            let (mut text, mut at) = ([b'.'; "255.255.255.255".len()], 0);
            let mut digit = |at: &mut usize, digit: u8| {
                text[*at] = b'0' + digit;
                *at += 1;
            };
            for (index, octet) in address.octets().into_iter().enumerate() {
                // The dots stand there already.
                at += usize::from(index > 0);
                if octet >= 100 {
                    digit(&mut at, octet / 100);
                }
                if octet >= 10 {
                    digit(&mut at, octet / 10 % 10);
                }
                digit(&mut at, octet % 10);
            }
            out.extend_from_slice(&text[..at]);
        }
        // Writing to a `Vec` cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// Copies the lines of the fields, each run of neighbours at once, but for those of the `doubtful`
/// that `keep` does not let pass.
fn copy_fields(
    raw: &[u8],
    fields: &[Header<'_>],
    doubtful: &FieldSet,
    out: &mut Vec<u8>,
    keep: impl Fn(usize, Option<Known>) -> bool,
) {
    // The empty line that ends the head stays behind.
    let end = raw.len() - b"\r\n".len();
    let start_of = |index| fields.get(index).map_or(end, |field| line_start(raw, field));
    let mut begin = start_of(0);
    for (index, field) in doubtful.of(fields) {
        if !keep(index, Known::of(field.name)) {
            out.extend_from_slice(&raw[begin..line_start(raw, field)]);
            begin = start_of(index + 1);
        }
    }
    out.extend_from_slice(&raw[begin..end]);
}
