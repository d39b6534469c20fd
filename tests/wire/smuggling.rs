//! Refused requests: the client gets an answer it can read to its end, the server gets nothing.
//!
//! Each case is a row of `docs/protocol.md`, which also says what the answer is. Behind each
//! follows a second request that must reach nobody, whatever the first one is taken for.

use std::thread;
use std::time::Duration;

use crate::harness::{Config, Documented, End, Gateway, PATIENCE, Peer, Upstream, proven};

const HEADING: &str = "Request heads: refused";
const TEST: &str = "refused_requests_are_answered_and_reach_nobody";
pub const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// The name of a row in `docs/protocol.md`, and bytes it is about.
type Row = (&'static str, &'static [u8]);

const START_LINE: &[Row] = &[
    ("empty-lines", b"\r\n\r\n"),
    ("leading-lf", b"\n"),
    ("method-invalid", b"PO/ST / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("method-invalid", b"G\"T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("method-missing", b" / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("tls-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ("binary-garbage", b"\x15\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ("multi-sp-request-line", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("request-line-tab", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("space-in-target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("missing-target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("http09-request", b"GET /\r\n"),
    ("version-case", b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    ("version-missing-minor", b"GET / HTTP/1\r\nHost: a\r\n\r\n"),
    ("version-whitespace", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    ("version-leading-zeros", b"GET / HTTP/01.1\r\nHost: a\r\n\r\n"),
    ("http12-version", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    ("http12-version", b"GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
    ("h2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ("bare-lf-request-line", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("cr-only-line-ending", b"GET / HTTP/1.1\rHost: a\r\r"),
    ("nul-in-target", b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"),
];

const TARGET: &[Row] = &[
    ("relative-target", b"GET a/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("relative-target", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("fragment-in-target", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("non-ascii-target", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("control-in-target", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("target-backslash", b"GET /..\\a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("target-percent-broken", b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("target-percent-nul", b"GET /a%00.json HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("target-percent-crlf", b"GET /%0d%0aX:%20y HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("target-overlong-utf8", b"GET /%c0%ae%c0%ae/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("target-overlong-utf8-long", b"GET /%f0%80%80%ae%e0%80%af HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("unknown-scheme", b"GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("userinfo-in-target", b"GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    ("dot-segment", b"GET /v1/../admin HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("dot-segment", b"GET /v1/./a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("dot-segment-encoded", b"GET /v1/%2e%2E/admin HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("dot-segment-slash-encoded", b"GET /v1%2F..%2fadmin HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("dot-segment-parameters", b"GET /v1/..;a/admin HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("asterisk-with-get", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("method-connect", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    ("method-connect", b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
];

const LINES: &[Row] = &[
    ("bare-lf", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    ("bare-lf-end", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("bare-lf-empty-value", b"GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n"),
    ("bare-cr", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 5\r\n\r\n"),
    ("nul-in-value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    ("nul-in-name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n"),
    ("control-in-value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \x08\r\n\r\n"),
    ("obs-fold", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 5\r\n\r\n"),
    ("whitespace-before-fields", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("whitespace-only-line", b"GET / HTTP/1.1\r\nHost: a\r\n\t\r\n\r\n"),
    ("sp-before-colon", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello"),
    ("empty-field-name", b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n"),
    ("field-no-colon", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length\r\n\r\n"),
    ("invalid-field-name", b"GET / HTTP/1.1\r\nHost: a\r\nX(): a\r\n\r\n"),
    ("non-ascii-field-name", b"GET / HTTP/1.1\r\nHost: a\r\n\xe9: a\r\n\r\n"),
];

const HOST_AND_OTHERS: &[Row] = &[
    ("missing-host", b"GET / HTTP/1.1\r\nX: a\r\n\r\n"),
    ("duplicate-host", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("duplicate-host-same", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\nhOST: a\r\n\r\n"),
    ("host-empty-value", b"GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    ("host-with-path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("host-with-userinfo", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    ("host-comma", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
    ("host-port-invalid", b"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n"),
    ("host-port-invalid", b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"),
    ("connection-lists-framing", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n"),
    ("expect-unknown", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: the unexpected\r\n\r\n"),
];

/// Fields behind `POST / HTTP/1.1` and `Host`, with a body behind them that is one thing to one
/// reader and another thing to another.
const FRAMING: &[Row] = &[
    ("te-and-cl", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ("te-and-cl", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    ("duplicate-cl", b"Content-Length: 5\r\nContent-Length: 0\r\n"),
    ("duplicate-cl-same", b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    ("cl-comma", b"Content-Length: 5, 5\r\n"),
    ("cl-plus-sign", b"Content-Length: +5\r\n"),
    ("cl-negative", b"Content-Length: -5\r\n"),
    ("cl-hex-prefix", b"Content-Length: 0x5\r\n"),
    ("cl-underscore", b"Content-Length: 0_5\r\n"),
    ("cl-internal-space", b"Content-Length: 0 5\r\n"),
    ("cl-leading-zeros", b"Content-Length: 05\r\n"),
    ("cl-empty", b"Content-Length: \r\n"),
    ("cl-overflow", b"Content-Length: 18446744073709551621\r\n"),
    ("te-duplicate", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
    ("te-double-chunked", b"Transfer-Encoding: chunked, chunked\r\n"),
    ("te-not-final-chunked", b"Transfer-Encoding: chunked, identity\r\n"),
    ("te-identity", b"Transfer-Encoding: identity\r\n"),
    ("te-xchunked", b"Transfer-Encoding: xchunked\r\n"),
    ("te-parameters", b"Transfer-Encoding: chunked; q=1\r\n"),
    ("te-leading-comma", b"Transfer-Encoding: ,chunked\r\n"),
    ("te-trailing-comma", b"Transfer-Encoding: chunked, \r\n"),
    ("te-empty-value", b"Transfer-Encoding: \r\n"),
    ("te-vtab", b"Transfer-Encoding: chunked\x0b\r\n"),
    ("te-sp-before-colon", b"Transfer-Encoding : chunked\r\n"),
    ("te-unknown", b"Transfer-Encoding: deflate, chunked\r\n"),
    ("te-underscore", b"Transfer_Encoding: chunked\r\n"),
    ("cl-name-underscore", b"Content_Length: 5\r\n"),
    ("connection-lists-framing", b"Connection: content-length\r\nContent-Length: 5\r\n"),
    ("expect-unknown", b"Expect: 200-ok\r\nContent-Length: 5\r\n"),
];

/// Ends here for one reader, and holds a request for another.
pub const AMBIGUOUS_BODY: &[u8] = b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

const HEAD_BYTES: usize = 2048;
const FIELDS: usize = 20;

/// Requests that are too much of something.
fn excessive() -> Vec<(&'static str, Vec<u8>)> {
    let a = |count| "a".repeat(count);
    let fields = "X: a\r\n".repeat(FIELDS);
    let options = ["a"; 33].join(",");
    let requests = [
        ("long-target", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", a(HEAD_BYTES))),
        ("long-target", format!("GET /{}", a(100 * 1024))),
        ("long-head", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", a(HEAD_BYTES))),
        ("long-head", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", a(100 * 1024))),
        ("many-fields", format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")),
        (
            "connection-many-options",
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {options}\r\n\r\n"),
        ),
    ];
    requests.map(|(id, request)| (id, request.into_bytes())).into()
}

/// Every case: the row, and the bytes a client sends.
pub fn cases() -> Vec<(Documented, Vec<u8>)> {
    let whole = [START_LINE, TARGET, LINES, HOST_AND_OTHERS].into_iter().flatten();
    let mut cases: Vec<_> = whole.map(|(id, head)| (*id, head.to_vec())).collect();
    let start = &b"POST / HTTP/1.1\r\nHost: a\r\n"[..];
    for (id, fields) in FRAMING {
        cases.push((*id, [start, *fields, &b"\r\n"[..], AMBIGUOUS_BODY].concat()));
    }
    let in_http10 = b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    cases.push(("te-http10", [&in_http10[..], AMBIGUOUS_BODY].concat()));
    cases.extend(excessive());
    proven(HEADING, TEST, cases)
}

/// Small ones, so that what is too much of something is soon sent.
pub fn limits() -> String {
    format!("head_bytes = \"{HEAD_BYTES}B\"\nheaders = {FIELDS}")
}

pub fn gateway_to(upstream: &Upstream) -> Gateway {
    Config { limits: limits(), ..Config::to(upstream.address()) }.start()
}

/// Reads the answer to a refused request, to the end of the connection.
pub fn expect_refusal(client: &mut Peer, id: &str, (status, code): (u16, &str)) {
    let answer = client.read_response();
    assert_eq!(answer.status(), status, "{id}: {}", client.transcript());
    assert_eq!(answer.field("connection"), Some("close"), "{id}");
    assert_eq!(answer.field("content-type"), Some("application/json"), "{id}");
    let json = answer.json();
    let error = &json["error"];
    assert_eq!(error["code"], code, "{id}");
    assert_eq!(error["type"], "invalid_request_error", "{id}");
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{id}: {json}");
    assert_eq!(client.read_end(), End::Fin, "{id}: RST may destroy the answer before it is read");
    assert_eq!(client.unread(), b"", "{id}: one answer, and nothing behind it");
}

/// The gateway still serves, and the server's first connection ever is for this request.
pub fn expect_first_request(gateway: &Gateway, upstream: &Upstream) {
    upstream.expect_nobody();
    let mut client = gateway.connect();
    client.send("GET /innocent HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut server = upstream.accept();
    assert_eq!(server.read_request().start, "GET /innocent HTTP/1.1");
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.read_response().status(), 204);
}

#[test]
fn refused_requests_are_answered_and_reach_nobody() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    for (row, request) in cases() {
        let line = format!("127.0.0.1: {}: ", row.answer().1);
        let before = gateway.count_in_log(&line);
        let mut client = gateway.connect();
        client.send([&request[..], SMUGGLED].concat());
        expect_refusal(&mut client, row.id, row.answer());
        gateway.expect_in_log(&line, before + 1);
    }
    expect_first_request(&gateway, &upstream);
}

#[test]
fn refusals_do_not_depend_on_how_the_bytes_arrive() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    for (row, request) in cases().into_iter().filter(|(_, request)| request.len() <= HEAD_BYTES) {
        let mut client = gateway.connect();
        for byte in &request {
            client.send([*byte]);
            thread::sleep(Duration::from_micros(30));
        }
        client.send(SMUGGLED);
        expect_refusal(&mut client, row.id, row.answer());
    }
    // In two pieces, cut at every place, with the first one surely read before the second comes.
    let cut_everywhere = ["te-and-cl", "bare-lf-end", "dot-segment-encoded", "obs-fold"];
    for (row, request) in cases().into_iter().filter(|(row, _)| cut_everywhere.contains(&row.id)) {
        let mut clients: Vec<_> = (1..request.len()).map(|_| gateway.connect()).collect();
        for (client, cut) in clients.iter_mut().zip(1..) {
            client.send(&request[..cut]);
        }
        thread::sleep(Duration::from_millis(20));
        for (client, cut) in clients.iter_mut().zip(1..) {
            client.send([&request[cut..], SMUGGLED].concat());
            expect_refusal(client, row.id, row.answer());
        }
    }
    expect_first_request(&gateway, &upstream);
}

/// A client that is still sending when it is refused must not lose the answer to an RST.
#[test]
fn a_refusal_can_be_read_by_a_client_that_is_still_sending() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    for pause_ms in [0, 1, 20] {
        let mut client = gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\n");
        for _ in 0..64 {
            client.send([b'x'; 16 * 1024]);
            thread::sleep(Duration::from_millis(pause_ms));
        }
        expect_refusal(&mut client, "cl-comma", (400, "content_length_invalid"));
        // The gateway has said FIN and reads on; so nothing of this is answered with RST either.
        client.send([b'x'; 16 * 1024]);
        client.expect_silence();
    }
    expect_first_request(&gateway, &upstream);
}

#[test]
fn a_lingering_connection_does_not_linger_for_ever() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    let descriptors = gateway.descriptors();
    let mut clients: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send("GET HTTP/1.1\r\n\r\n");
        expect_refusal(client, "missing-target", (400, "invalid_request_line"));
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    while gateway.descriptors() > descriptors {
        assert!(std::time::Instant::now() < deadline, "refused connections stay open");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A refusal ends the connection of the one who is refused, after the answers to what came before.
#[test]
fn requests_before_a_refused_one_are_answered_first() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    let mut client = gateway.connect();
    let good = "POST /good HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let bad = "GET /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n";
    client.send([good.as_bytes(), bad.as_bytes(), SMUGGLED].concat());
    let mut server = upstream.accept();
    assert_eq!(server.read_request().start, "POST /good HTTP/1.1");
    server.expect_silence();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert_eq!(client.read_response().text(), "good");
    expect_refusal(&mut client, "te-xchunked", (400, "transfer_encoding_invalid"));
    server.expect_silence();
    upstream.expect_nobody();
}
