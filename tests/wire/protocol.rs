//! What is accepted, as the other side sees it.

use std::time::Duration;

use crate::harness::{End, Gateway, Peer, Upstream, proven, wire_tests};

/// An accepted request: what the client sends, what the server must and must not find in it.
pub struct Accepted {
    pub request: &'static str,
    pub wanted: &'static [&'static str],
    pub unwanted: &'static [&'static str],
}

pub const fn accepted(
    request: &'static str,
    wanted: &'static [&'static str],
    unwanted: &'static [&'static str],
) -> Accepted {
    Accepted { request, wanted, unwanted }
}

pub fn accepted_requests() -> Vec<(&'static str, Accepted)> {
    vec![
        (
            "origin-form",
            accepted("GET /a/b?c=d?e HTTP/1.1\r\nHost: a:80\r\n\r\n", &["GET /a/b?c=d?e H"], &[]),
        ),
        (
            "absolute-form",
            accepted(
                "GET http://b:81?q HTTP/1.1\r\nHost: a\r\n\r\n",
                &["GET /?q HTTP/1.1\r\n", "\r\nHost: b:81\r\n"],
                &["Host: a"],
            ),
        ),
        ("leading-crlf", accepted("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["GET / H"], &[])),
        ("method-any-token", accepted("!x / HTTP/1.1\r\nHost: a\r\n\r\n", &["!x / HTTP/1.1"], &[])),
        (
            "target-escapes",
            accepted(
                "GET /%7Ea/...%2Fb/.c/x..?%00/../ HTTP/1.1\r\nHost: a\r\n\r\n",
                &["GET /%7Ea/...%2Fb/.c/x..?%00/../ HTTP/1.1\r\n"],
                &[],
            ),
        ),
        (
            "host-address",
            accepted("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", &["Host: [::1]:8080\r\n"], &[]),
        ),
        ("http10-no-host", accepted("GET / HTTP/1.0\r\n\r\n", &["GET / HTTP/1.1\r\n"], &[])),
        (
            "http10-keep-alive",
            accepted(
                "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
                &["GET / HTTP/1.1\r\n"],
                &["Connection"],
            ),
        ),
        (
            "no-body",
            accepted(
                "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
                &["POST / HTTP/1.1\r\n"],
                &["Content-Length", "Transfer-Encoding"],
            ),
        ),
        (
            "cl-body",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \t2 \r\n\r\nhi",
                &["\r\n\r\nhi"],
                &[],
            ),
        ),
        (
            "cl-zero",
            accepted("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", &["h: 0\r\n"], &[]),
        ),
        (
            "cl-largest",
            accepted(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\nhi",
                &["Content-Length: 9223372036854775807\r\n", "\r\n\r\nhi"],
                &[],
            ),
        ),
        (
            "te-chunked",
            accepted(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \tChunked \r\n\r\n0\r\n\r\n",
                &["Transfer-Encoding: \tChunked \r\n", "\r\n\r\n0\r\n\r\n"],
                &[],
            ),
        ),
        (
            "connection-close",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, CLOSE\r\n\r\n",
                &["GET / HTTP/1.1\r\n"],
                &["onnection", "CLOSE"],
            ),
        ),
        (
            "expect-continue",
            accepted(
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
                &["Expect: 100-continue\r\n"],
                &[],
            ),
        ),
        (
            "expect-no-body",
            accepted(
                "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
                &["PUT / HTTP/1.1\r\n"],
                &["Expect"],
            ),
        ),
        (
            "expect-http10",
            accepted(
                "PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
                &["\r\n\r\nx"],
                &["Expect"],
            ),
        ),
        (
            "upgrade-websocket",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                &["\r\nUpgrade: websocket\r\n", "\r\nConnection: upgrade\r\n"],
                &[],
            ),
        ),
        (
            "upgrade-post",
            accepted(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\ny",
                &["\r\nUpgrade: x\r\n", "\r\nConnection: upgrade\r\n", "\r\n\r\ny"],
                &[],
            ),
        ),
        (
            "upgrade-missing-connection",
            accepted("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n", &["GET /"], &["grade"]),
        ),
        (
            "upgrade-http10",
            accepted(
                "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                &["GET /"],
                &["grade"],
            ),
        ),
        (
            "upgrade-h2c",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x, H2C\r\n\r\n",
                &["GET /"],
                &["grade", "H2C"],
            ),
        ),
        (
            "upgrade-tls",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n",
                &["GET /"],
                &["grade", "TLS"],
            ),
        ),
        (
            "request-id",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc\r\n\r\n",
                &["\r\nX-Request-Id: abc\r\n"],
                &[],
            ),
        ),
        (
            "request-id-unfit",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: a b\r\n\r\n",
                &["\r\nX-Request-Id: "],
                &["a b"],
            ),
        ),
        (
            "request-id-repeated",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: one\r\nX-Request-Id: two\r\n\r\n",
                &["\r\nX-Request-Id: "],
                &["one", "two"],
            ),
        ),
        (
            "te-trailers",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\nConnection: TE\r\n\r\n",
                &["\r\nTE: trailers\r\nConnection: TE\r\n"],
                &["gzip"],
            ),
        ),
        (
            "connection-listed",
            accepted(
                "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nConnection: x-a,, ,x-b\r\n\r\n",
                &["GET /"],
                &["X-A", "onnection"],
            ),
        ),
    ]
}

/// The other direction, from a case to its row, is [`proven`]'s.
#[test]
fn every_wire_test_that_is_documented_exists() {
    let folders = ["/tests/wire", "/tests/wire/attacks"];
    let folders = folders.map(|folder| format!("{}{folder}", env!("CARGO_MANIFEST_DIR")));
    let files =
        folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("a folder").flatten());
    let files = files.filter(|file| file.path().extension().is_some_and(|end| end == "rs"));
    let source: String =
        files.map(|file| std::fs::read_to_string(file.path()).expect("a source")).collect();
    let missing: Vec<_> =
        wire_tests().filter(|name| !source.contains(&format!("#[test]\nfn {name}() {{"))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(wire_tests().count() > 200);
}

/// What the server got of a request whose head is complete.
pub fn taken_by_server(server: &mut Peer, body: &str) -> String {
    server.read_until("\r\n\r\n");
    server.read(body.len());
    String::from_utf8(server.received().to_vec()).expect("ASCII")
}

#[test]
fn accepted_requests_reach_the_server() {
    let cases = accepted_requests();
    for (row, case) in
        proven("Request heads: accepted", "accepted_requests_reach_the_server", cases)
    {
        // A server of its own, so that no connection is used twice.
        let upstream = Upstream::listen();
        let gateway = Gateway::to(upstream.address());
        let mut client = gateway.connect();
        client.send(case.request);
        let (_, body) = case.request.split_once("\r\n\r\n").expect("a head");
        let mut server = upstream.accept();
        let got = taken_by_server(&mut server, body);
        for text in case.wanted {
            assert!(got.contains(text), "{}: {text:?} is not in {got:?}", row.id);
        }
        for text in case.unwanted {
            assert!(!got.contains(text), "{}: {text:?} is in {got:?}", row.id);
        }
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.read_response().status(), 200, "{}", row.id);
        let kept = !case.request.contains("HTTP/1.0") || case.request.contains("Keep-Alive");
        if !kept || row.id == "connection-close" {
            assert_eq!(client.read_end(), End::Fin, "{}", row.id);
        }
    }
}

/// Heads are kept in one piece of memory that grows with them. Twice, so that one behind another
/// has to move, and dripped, so that it grows while it is read.
#[test]
fn heads_of_just_the_limit_pass_both_ways() {
    const LIMIT: usize = 64 * 1024;
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let filled = |start: &str| {
        let frame = start.len() + "X-Long: \r\n\r\n".len();
        format!("{start}X-Long: {}\r\n\r\n", "x".repeat(LIMIT - frame))
    };
    let request = filled("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n");
    let response = filled("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");
    let mut client = gateway.connect();
    let mut server = None;
    for piece in [LIMIT, 1000] {
        let requests = format!("{request}hi").repeat(2);
        send_in_pieces(&mut client, requests.as_bytes(), piece);
        let server = server.get_or_insert_with(|| upstream.accept());
        for _ in 0..2 {
            let got = server.read_request();
            assert_eq!(got.text(), "hi");
            assert!(request.contains(got.field("x-long").expect("a long field")));
            send_in_pieces(server, format!("{response}ok").as_bytes(), piece);
            let got = client.read_response();
            assert_eq!((got.status(), got.text()), (200, "ok"));
            assert!(response.contains(got.field("x-long").expect("a long field")));
        }
    }
}

/// Chunked bodies: the row, and a body.
const CHUNKED: &[(&str, &[u8])] = &[
    ("chunked-body", b"5\r\nhello\r\n0\r\n\r\n"),
    ("chunked-multi", b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"),
    ("chunked-empty", b"0\r\n\r\n"),
    ("chunked-hex-uppercase", b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
    ("chunk-size-zeros", b"000000000000005\r\nhello\r\n000\r\n\r\n"),
    ("chunk-line-breaks-in-data", b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    ("chunk-extension", b"5;a=b;c=\"d;\\\"e\" ; f\r\nhello\r\n0;g\r\n\r\n"),
    ("chunk-extension-blanks", b"5 \t; a\t = \"\" ;b\r\nhello\r\n0\t;c = d\r\n\r\n"),
    (
        "chunk-trailers-standard",
        b"0\r\nETag: a\r\nContent-Digest: b\r\nServer-Timing: c\r\nAccept_Ranges: d\r\n\r\n",
    ),
    ("chunk-trailers", b"1\r\nx\r\n0\r\nX-Sum: a b\xe9\r\nx_y:\r\n\r\n"),
];

#[test]
fn chunked_bodies_pass_as_they_are() {
    let rows = CHUNKED.iter().map(|(id, body)| (*id, *body)).collect();
    let rows = proven("Chunked bodies: accepted", "chunked_bodies_pass_as_they_are", rows);
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    let mut server = None;
    for (row, body) in rows {
        for size in [body.len(), 7, 1] {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            send_in_pieces(&mut client, body, size);
            // One connection serves all of them: each body ends where it should.
            let server = server.get_or_insert_with(|| upstream.accept());
            server.read_head();
            assert_eq!(server.read(body.len()), body, "{}", row.id);
            server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            send_in_pieces(server, body, size);
            assert_eq!(client.read_head().status(), 200, "{}", row.id);
            assert_eq!(client.read(body.len()), body, "{}", row.id);
            assert_eq!((client.unread(), server.unread()), (&b""[..], &b""[..]), "{}", row.id);
        }
    }
}

fn send_in_pieces(peer: &mut Peer, bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        peer.send(piece);
        std::thread::sleep(Duration::from_micros(100));
    }
}
