//! The fields of CORS (Fetch standard, "CORS protocol"): what a browser asks, read from the head of a
//! request; what it is told, put into the head of an answer.
//!
//! * What is read has one reading and holds no byte that could end a line: it may be written again.
//! * An answer says of CORS what we say, and nothing that a server has said.
//!
//! Absent on purpose: who may do what.

use memchr::{memchr_iter, memmem, memrchr};

use super::head::RequestHead;
use super::names::is_token_byte;

/// A host has at most 253 bytes, a name made for a page of an extension no more.
const ORIGIN_MAX: usize = 512;
/// Of the names of fields that a page wants to send, all together.
const NAMES_MAX: usize = 4 << 10;
/// What the name of each of these fields begins with.
const PREFIX: &[u8] = b"access-control-";

/// The origin of the page that asks: the only `Origin`, in the form that browsers give it
/// (RFC 6454 §6.2).
pub fn origin<'b>(head: &RequestHead<'b>) -> Option<&'b str> {
    let value = only(head, "origin")?;
    is_origin(value).then(|| std::str::from_utf8(value).ok()).flatten()
}

/// The method that a page wants to use: the only `Access-Control-Request-Method`, if it is one.
pub fn asked_method<'b>(head: &RequestHead<'b>) -> Option<&'b str> {
    let value = only(head, "access-control-request-method")?;
    is_token(value).then(|| std::str::from_utf8(value).ok()).flatten()
}

/// The fields that a page wants to send, in lower case; `None` where these are no names, or too many.
pub fn asked_names(head: &RequestHead<'_>) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut length = 0;
    for value in head.values("access-control-request-headers") {
        length += value.len();
        if length > NAMES_MAX {
            return None;
        }
        let members = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        for name in members.filter(|name| !name.is_empty()) {
            let name = std::str::from_utf8(name).ok().filter(|_| is_token(name))?;
            names.push(name.to_ascii_lowercase());
        }
    }
    Some(names)
}

/// Takes what a server has said of CORS out of the head that begins at `start` of `out`, and puts
/// `fields`, whole lines, at its end. What follows the head stays as it is.
pub fn put_cors_fields(out: &mut Vec<u8>, start: usize, fields: &[u8]) {
    let written = out.split_off(start.min(out.len()));
    let end = memmem::find(&written, b"\r\n\r\n").map_or(written.len(), |end| end + 2);
    let mut begin = 0;
    for line_end in memchr_iter(b'\n', &written[..end]).map(|at| at + 1) {
        let line = &written[begin..line_end];
        if !is_about_cors(line) {
            out.extend_from_slice(line);
        }
        begin = line_end;
    }
    out.extend_from_slice(fields);
    out.extend_from_slice(&written[end..]);
}

/// Whether a name, or a line that begins with one, is about CORS; with `_` for `-` too, as some read it.
pub fn is_about_cors(name: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() >= PREFIX.len() && name.iter().map(folded).zip(PREFIX).all(|(a, b)| a == *b)
}

/// The value of the only field of this name: which of two holds nobody can tell.
fn only<'b>(head: &RequestHead<'b>, name: &str) -> Option<&'b [u8]> {
    let mut values = head.values(name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn is_token(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| is_token_byte(*byte))
}

/// `null`, or scheme, host and port. Nothing else can stand in one, so a star of a pattern can stand for
/// nothing else.
fn is_origin(value: &[u8]) -> bool {
    if value == b"null" {
        return true;
    }
    let Some(at) = memmem::find(value, b"://").filter(|_| value.len() <= ORIGIN_MAX) else {
        return false;
    };
    let (scheme, rest) = (&value[..at], &value[at + b"://".len()..]);
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    // The colons of an IPv6 address are no ports.
    let (host, port) = match memrchr(b':', rest) {
        Some(at) if !rest.ends_with(b"]") => (&rest[..at], Some(&rest[at + 1..])),
        _ => (rest, None),
    };
    let is_host = match host {
        [b'[', address @ .., b']'] => {
            let legal = |byte: &u8| byte.is_ascii_hexdigit() || b":.".contains(byte);
            !address.is_empty() && address.iter().all(legal)
        }
        name => {
            let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
            // No page comes from a name that lacks one of its parts: a star in front of a dot is one at least.
            let whole = !name.starts_with(b".") && memmem::find(name, b"..").is_none();
            !name.is_empty() && whole && name.iter().all(legal)
        }
    };
    let is_port =
        |port: &[u8]| (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    is_scheme && is_host && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse_request};

    fn read<T>(fields: &str, read: impl FnOnce(&RequestHead<'_>) -> T) -> T {
        let text = format!("OPTIONS / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut slots = FieldSlots::new();
        let limits = HeadLimits { bytes: 64 << 10, fields: 100 };
        read(&parse_request(text.as_bytes(), &mut slots, &limits).unwrap().unwrap())
    }

    #[test]
    fn an_origin_has_one_form() {
        for (value, expected) in [
            ("https://app.example", true),
            ("HTTPS://App.Example", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("http://[::1]", true),
            ("chrome-extension://abcdef", true),
            ("null", true),
            ("Null", false),
            ("", false),
            ("*", false),
            ("app.example", false),
            ("https://", false),
            ("https://.corp.example", false),
            ("https://a..corp.example", false),
            ("https://a.corp.example.", true),
            ("://app.example", false),
            ("https://app.example/", false),
            ("https://evil.example/.corp.example", false),
            ("https://a@app.example", false),
            ("https://app.example:", false),
            ("https://app.example:x", false),
            ("https://app.example:123456", false),
            ("https://a b", false),
            ("https://a,https://b", false),
            ("https://a https://b", false),
            ("1https://a", false),
            ("https://[::1", false),
            ("https://\u{e9}.example", false),
        ] {
            let found =
                read(&format!("Origin: {value}\r\n"), |head| origin(head).map(ToOwned::to_owned));
            assert_eq!(found.as_deref(), expected.then_some(value), "{value:?}");
        }
        let long = format!("https://{}.example", "a".repeat(ORIGIN_MAX));
        assert!(read(&format!("Origin: {long}\r\n"), |head| origin(head).is_none()), "too long");
        let twice = "Origin: https://a\r\norigin: https://a\r\n";
        assert!(read(twice, |head| origin(head).is_none()), "which of them?");
    }

    #[test]
    fn what_a_page_asks_for_is_read_or_it_is_not() {
        for (fields, method, names) in [
            ("Access-Control-Request-Method: POST\r\n", Some("POST"), Some(vec![])),
            ("Access-Control-Request-Method: P ST\r\n", None, Some(vec![])),
            ("Access-Control-Request-Method:\r\n", None, Some(vec![])),
            (
                "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Method: PUT\r\n",
                None,
                Some(vec![]),
            ),
            (
                "access-control-request-headers: authorization,Content-Type , ,x-stainless-os\r\n\
                 Access-Control-Request-Headers: a\r\n",
                None,
                Some(vec!["authorization", "content-type", "x-stainless-os", "a"]),
            ),
            ("Access-Control-Request-Headers: a, b c\r\n", None, None),
            ("Access-Control-Request-Headers: a, b:c\r\n", None, None),
            ("Access-Control-Request-Headers: \u{e9}\r\n", None, None),
        ] {
            let found = read(fields, |head| asked_method(head).map(ToOwned::to_owned));
            assert_eq!(found.as_deref(), method, "{fields}");
            let names = names.map(|names| names.iter().map(ToString::to_string).collect());
            assert_eq!(read(fields, asked_names), names, "{fields}");
        }
        let many = format!("Access-Control-Request-Headers: {}\r\n", "a,".repeat(NAMES_MAX));
        assert_eq!(read(&many, asked_names), None);
    }

    #[test]
    fn what_a_server_says_of_cors_goes_and_ours_stands_in_its_place() {
        let head = "HTTP/1.1 200 OK\r\nA: access-control-x\r\nAccess-Control-Allow-Origin: *\r\n\
                    access_control_allow_credentials: true\r\nVary: Accept\r\nAccess-Controls: 1\r\n";
        let rest = "\r\nAccess-Control-Allow-Origin: a body\r\n\r\n";
        let mut out = format!("before\r\n\r\n{head}{rest}").into_bytes();
        put_cors_fields(&mut out, "before\r\n\r\n".len(), b"Vary: Origin\r\n");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "before\r\n\r\nHTTP/1.1 200 OK\r\nA: access-control-x\r\nVary: Accept\r\nAccess-Controls: 1\r\n\
             Vary: Origin\r\n\r\nAccess-Control-Allow-Origin: a body\r\n\r\n"
        );
    }
}
