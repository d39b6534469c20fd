//! What a request head that was accepted says.

use super::*;
use crate::http::body::Framing;
use crate::http::tests::assert_documented;

/// What one row expects of the head.
type Check = fn(&RequestHead<'_>) -> bool;

/// The name of the row in `docs/protocol.md`, an input, and what must hold.
const ACCEPTED: &[(&str, &str, Check)] = &[
    ("origin-form", "GET /a/b?c=d?e HTTP/1.1\r\nHost: a:80\r\n\r\n", |head| {
        (head.path, head.query) == ("/a/b", Some("c=d?e")) && head.authority == b"a:80"
    }),
    ("absolute-form", "GET http://b:81?q HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
        (head.path, head.query) == ("/", Some("q")) && head.authority == b"b:81"
    }),
    ("options-star", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
        head.target_is_asterisk && head.path == "*"
    }),
    ("options-absolute", "OPTIONS HTTP://a HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
        head.target_is_asterisk && head.path == "*" && head.authority == b"a"
    }),
    ("leading-crlf", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
        head.path == "/" && head.raw.starts_with(b"\r\nGET")
    }),
    ("method-any-token", "get / HTTP/1.1\r\nHost: a\r\n\r\n", |head| head.method == "get"),
    ("target-escapes", "GET /%7Ea/...%2Fb/.c/x..?%00/../ HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
        head.path == "/%7Ea/...%2Fb/.c/x.." && head.query == Some("%00/../")
    }),
    ("host-address", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", |head| {
        head.authority == b"[::1]:8080"
    }),
    ("http10-no-host", "GET / HTTP/1.0\r\n\r\n", |head| {
        head.authority.is_empty() && head.version == Version::Http10 && !head.keep_alive
    }),
    ("http10-keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", |head| {
        head.keep_alive
    }),
    ("no-body", "POST / HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
        head.framing == Framing::None && head.keep_alive
    }),
    ("cl-body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \t7 \r\n\r\n", |head| {
        head.framing == Framing::Length(7)
    }),
    ("cl-zero", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", |head| {
        head.framing == Framing::Length(0)
    }),
    (
        "cl-largest",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
        |head| head.framing == Framing::Length(i64::MAX as u64),
    ),
    ("te-chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\t\r\n\r\n", |head| {
        head.framing == Framing::Chunked
    }),
    (
        "connection-close",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, CLOSE\r\n\r\n",
        |head| !head.keep_alive,
    ),
    (
        "expect-continue",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n",
        |head| head.expect_continue,
    ),
    ("expect-no-body", "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", |head| {
        !head.expect_continue
    }),
    (
        "expect-http10",
        "PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
        |head| !head.expect_continue,
    ),
    (
        "upgrade-websocket",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        |head| head.upgrade == Some(b"websocket"),
    ),
    (
        "upgrade-post",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        |head| head.upgrade == Some(b"x") && head.framing == Framing::Length(1),
    ),
    (
        "upgrade-missing-connection",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        |head| head.upgrade.is_none(),
    ),
    (
        "upgrade-http10",
        "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        |head| head.upgrade.is_none(),
    ),
    (
        "upgrade-h2c",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, H2C\r\n\r\n",
        |head| head.upgrade.is_none(),
    ),
    (
        "upgrade-tls",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n",
        |head| head.upgrade.is_none(),
    ),
    ("request-id", "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc\r\n\r\n", |head| {
        head.request_id == Some(b"abc")
    }),
    ("request-id-unfit", "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: a b\r\n\r\n", |head| {
        head.request_id.is_none()
    }),
    (
        "request-id-repeated",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\r\nX-Request-Id: b\r\n\r\n",
        |head| head.request_id.is_none(),
    ),
    (
        "te-trailers",
        "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\nConnection: TE\r\n\r\n",
        |head| head.accepts_trailers,
    ),
    (
        "connection-listed",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nConnection: x-a,, ,x-b\r\n\r\n",
        |head| head.connection_listed.contains(1) && !head.connection_listed.contains(0),
    ),
];

#[test]
fn requests_are_accepted() {
    for (id, input, check) in ACCEPTED {
        let verdict = verdict_at_any_length(input.as_bytes(), verdict_on_request);
        assert!(matches!(verdict, Some(Ok(_))), "{id}: {verdict:?}");
        assert!(with_request(input, check), "{id}: {verdict:?}");
    }
}

#[test]
fn every_accepted_request_is_documented() {
    let documented: Vec<_> = ACCEPTED.iter().map(|(id, ..)| (*id, vec![])).collect();
    assert_documented("Request heads: accepted", &documented);
}

#[test]
fn the_head_ends_where_the_body_begins() {
    let input = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET /next";
    with_request(input, |head| {
        assert_eq!(&input[head.length..], "{}GET /next");
        assert_eq!(head.raw, &input.as_bytes()[..head.length]);
        assert_eq!(head.fields.len(), 2);
    });
}

#[test]
fn a_request_id_has_its_longest_length() {
    for (length, taken) in [(64, true), (65, false)] {
        let id = "a".repeat(length);
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n");
        assert_eq!(with_request(&input, |head| head.request_id.is_some()), taken, "{length}");
    }
}

#[test]
fn authorities_are_told_apart() {
    for good in ["a", "a.b-c_d~e", "127.0.0.1:1", "[::1]", "[::ffff:1.2.3.4]:65535", "A:080"] {
        assert!(target::is_authority(good.as_bytes()), "{good}");
    }
    for bad in [
        "",
        ":80",
        "a:",
        "a:b",
        "a:1:2",
        "a:99999",
        "a:+1",
        "::1",
        "[::1",
        "[::1]a",
        "[::1%25e]",
        "[a]",
        "a b",
        "a,b",
        "a%41",
        "a/",
        "a?",
        "a#",
        "\u{e9}",
        "a:123456",
        "[::1]:",
    ] {
        assert!(!target::is_authority(bad.as_bytes()), "{bad}");
    }
}
