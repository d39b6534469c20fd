//! A request that was written, changed before it leaves: for another endpoint, or with another body.

use crate::http::lines::field;
use crate::http::reply;
use crate::http::trace_context::TraceParent;

/// Gives a request head made by [`request`] another sender's span, in place.
pub fn set_trace_parent(request: &mut [u8], parent: &TraceParent) {
    if let Some(place) = field_value(request, b"traceparent") {
        let value = parent.to_field();
        if let Some(field) = request.get_mut(place).filter(|field| field.len() == value.len()) {
            field.copy_from_slice(&value);
        }
    }
}

/// Gives a request head made by [`request`] another `Host`, in place. Bytes behind the head stay
/// as they are.
pub fn set_host(request: &mut Vec<u8>, host: &[u8]) {
    if let Some(value) = field_value(request, b"host") {
        request.splice(value, host.iter().copied());
    }
}

/// Has a request made by [`request`] ask for an answer that is not compressed.
pub fn ask_for_identity(request: &mut Vec<u8>) {
    let mut head = Vec::with_capacity(request.len() + 32);
    for line in request.split_inclusive(|&byte| byte == b'\n') {
        let name = line.get(..16).unwrap_or_default();
        if line == b"\r\n" {
            field(&mut head, b"Accept-Encoding: ", b"identity");
        }
        if !name.eq_ignore_ascii_case(b"accept-encoding:") {
            head.extend_from_slice(line);
        }
    }
    *request = head;
}

/// The path of a request made by [`request`], without its query, and what has been kept of its
/// body.
pub fn path_and_body(request: &[u8]) -> (&[u8], &[u8]) {
    let mut words = request.split(|&byte| byte == b' ');
    let target = words.nth(1).unwrap_or_default();
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    let body =
        memchr::memmem::find(request, b"\r\n\r\n").map_or(&[][..], |end| &request[end + 4..]);
    (path, body)
}

/// Where the digits of the `Content-Length` of a request made by [`request`] lie.
pub fn length_of(request: &[u8]) -> Option<std::ops::Range<usize>> {
    field_value(request, b"content-length")
}

/// Gives a request head made by [`request`] a new body: as one chunk where it is `chunked`, else
/// with its length.
pub fn set_body(request: &mut Vec<u8>, chunked: bool, body: &[u8]) {
    if !chunked {
        if let Some(value) = field_value(request, b"content-length") {
            request.splice(value, body.len().to_string().into_bytes());
        }
        return request.extend_from_slice(body);
    }
    if !body.is_empty() {
        reply::chunk(body, request);
    }
    request.extend_from_slice(reply::LAST_CHUNK);
}

/// Where the value of a field lies in a head; `name` in lower case.
fn field_value(head: &[u8], name: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut start = memchr::memmem::find(head, b"\r\n")? + 2;
    loop {
        let length = memchr::memmem::find(&head[start..], b"\r\n")?;
        let line = &head[start..start + length];
        if line.is_empty() {
            return None;
        }
        let colon = memchr::memchr(b':', line)?;
        if line[..colon].eq_ignore_ascii_case(name) {
            let value = line[colon + 1..].trim_ascii_start().len();
            return Some(start + length - value..start + length);
        }
        start += length + 2;
    }
}
