//! The opening of a request: its head as one server gets it, written from the draft when it is known
//! which server that is.
//!
//! | of an opening | depends on | written |
//! |---|---|---|
//! | method, query, fields of the client, `X-Forwarded-*`, `Via`, `X-Request-Id` | the request | once: [`draft`](super::draft) |
//! | path | the route's rewriting | per try |
//! | `Host` | the upstream's rule, the endpoint | per try |
//! | digits of `Content-Length`, line of the first chunk | the body that this server is sent | per try |
//! | `traceparent` | the try: each has a span of its own | per try |
//! | what describes a body that was put into other words | the dialect of the server | per try: [`refit`](super::refit) |
//! | what the operator changes | the route, the upstream | per try: [`FieldRules`](crate::http::field_rules::FieldRules) |
//!
//! What a try does not change is copied from the draft as it stands there.

use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

use crate::http::lines::{decimal, field};
use crate::http::reply;
use crate::http::trace_context::TraceParent;

#[cfg(test)]
mod tests;

/// What one try adds to the draft of its request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening<'a> {
    /// A new path in two pieces, a prefix and what follows it; `None`: the client's. The query is kept
    /// in any case, and the target `*` too.
    pub path: Option<(&'a str, &'a str)>,
    /// The `Host` to send; `None`: the client's authority.
    pub host: Option<&'a [u8]>,
    /// The length of the body, where it is not what the client's `Content-Length` says.
    pub length: Option<u64>,
    /// The span of this try; `None`: no field of ours tells of a trace.
    pub trace: Option<&'a TraceParent>,
    /// Bytes of the chunk that stands behind the head without its line; 0: there is none.
    pub first_chunk: usize,
}

impl Opening<'_> {
    /// Whether it is the draft as that stands there.
    pub fn is_draft(&self) -> bool {
        self.path.is_none()
            && self.host.is_none()
            && self.length.is_none()
            && self.trace.is_none()
            && self.first_chunk == 0
    }
}

/// Appends the opening of a try to `out`. `draft`: made by [`draft`](super::draft).
pub fn opening(draft: &[u8], opening: &Opening<'_>, out: &mut Vec<u8>) {
    let fields = start(draft, opening, out);
    let end = match opening.trace {
        None => fields.len(),
        Some(_) => fields.len() - tail_of(fields).len(),
    };
    match opening.length.and_then(|length| Some((length, value_in(fields, b"content-length")?))) {
        None => out.extend_from_slice(&fields[..end]),
        Some((length, digits)) => {
            out.extend_from_slice(&fields[..digits.start]);
            decimal(length, out);
            out.extend_from_slice(&fields[digits.end..end]);
        }
    }
    if let Some(parent) = opening.trace {
        field(out, b"traceparent: ", &parent.to_field());
        out.extend_from_slice(&fields[end..]);
    }
    if opening.first_chunk > 0 {
        let mut line = [0; reply::CHUNK_LINE_MAX];
        out.extend_from_slice(reply::chunk_line(opening.first_chunk, &mut line));
    }
}

/// Appends the request line and `Host`, if they are not the draft's. Returns what of the draft is
/// still to be written.
fn start<'d>(draft: &'d [u8], opening: &Opening<'_>, out: &mut Vec<u8>) -> &'d [u8] {
    if opening.path.is_none() && opening.host.is_none() {
        return draft;
    }
    let (line, mut fields) = draft.split_at(line_end(draft));
    let path = path_place(line);
    match opening.path {
        Some((prefix, remainder)) if &line[path.clone()] != b"*" => {
            out.extend_from_slice(&line[..path.start]);
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(remainder.as_bytes());
            out.extend_from_slice(&line[path.end..]);
        }
        _ => out.extend_from_slice(line),
    }
    if let Some(host) = opening.host {
        if fields.starts_with(HOST) {
            fields = &fields[line_end(fields)..];
        }
        field(out, HOST, host);
    }
    fields
}

/// How the line of the client's authority begins: the first behind the request line, if there is one.
pub(super) const HOST: &[u8] = b"Host: ";
/// What a draft ends with where the answer must not be compressed. `traceparent` stands before it.
pub(super) const IDENTITY: &[u8] = b"Accept-Encoding: identity\r\n\r\n";

/// What of a draft stands behind the fields of the trace.
fn tail_of(draft: &[u8]) -> &'static [u8] {
    if draft.ends_with(IDENTITY) { IDENTITY } else { b"\r\n" }
}

/// The path that the client has asked for, by the draft of its request.
pub fn path_of(draft: &[u8]) -> &str {
    let path = &draft[path_place(draft)];
    // A head that was read is text as far as its target goes.
    std::str::from_utf8(path).unwrap_or_default()
}

/// The query that the client has asked with, without its question mark.
pub fn query_of(draft: &[u8]) -> &str {
    let behind = &draft[path_place(draft).end..];
    let target = &behind[..memchr2(b' ', b'\r', behind).unwrap_or(behind.len())];
    let query = target.strip_prefix(b"?").unwrap_or_default();
    std::str::from_utf8(query).unwrap_or_default()
}

/// Whether a draft has an authority of the client's: only HTTP/1.0 does without.
pub fn has_authority(draft: &[u8]) -> bool {
    draft[line_end(draft)..].starts_with(HOST)
}

/// The values of all fields of this name in a draft; `name` in lower case.
pub fn values_of<'d>(draft: &'d [u8], name: &'d [u8]) -> impl Iterator<Item = &'d [u8]> {
    let mut rest = &draft[line_end(draft)..];
    std::iter::from_fn(move || {
        let value = value_in(rest, name)?;
        let (value, behind) = (&rest[value.clone()], &rest[value.end..]);
        rest = behind.get(b"\r\n".len()..).unwrap_or_default();
        Some(value)
    })
}

/// The draft that stands in front of a body, and the body.
pub fn split_draft(kept: &[u8]) -> (&[u8], &[u8]) {
    kept.split_at(memmem::find(kept, b"\r\n\r\n").map_or(kept.len(), |end| end + 4))
}

/// Where the path stands in a request line.
fn path_place(line: &[u8]) -> Range<usize> {
    let start = memchr(b' ', line).map_or(line.len(), |space| space + 1);
    let length = line[start..].iter().position(|byte| matches!(byte, b' ' | b'?'));
    start..length.map_or(line.len(), |length| start + length)
}

/// Where the line that begins here ends.
fn line_end(text: &[u8]) -> usize {
    memchr(b'\n', text).map_or(text.len(), |end| end + 1)
}

/// Where the value of the first field of this name lies in lines of fields; `name` in lower case.
fn value_in(fields: &[u8], name: &[u8]) -> Option<Range<usize>> {
    let mut start = 0;
    loop {
        let length = memmem::find(&fields[start..], b"\r\n")?;
        let line = &fields[start..start + length];
        if line.is_empty() {
            return None;
        }
        let colon = memchr(b':', line).unwrap_or(line.len());
        if line[..colon].eq_ignore_ascii_case(name) {
            let value = line[(colon + 1).min(line.len())..].trim_ascii_start().len();
            return Some(start + length - value..start + length);
        }
        start += length + 2;
    }
}
