//! The queue of answers: one that nobody has asked for is nobody's, and a refusal ends the queue.

use crate::harness::{End, Gateway, Upstream, proven};
use crate::hostile::{GET, HIDDEN, expect_fresh_connection};
use crate::smuggling::{self, SMUGGLED, expect_refusal};

/// What a server sends behind an answer: the row, the method, the answer, and what follows it.
type LeftOver = (&'static str, &'static str, &'static str, &'static [u8]);

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What is left of an answer, which must not become the next one.
pub const LEFT_OVERS: &[LeftOver] = &[
    ("left-two-answers", "GET", OK, HIDDEN),
    ("left-two-answers-204", "GET", EMPTY, HIDDEN),
    ("left-interim", "GET", OK, b"HTTP/1.1 100 Continue\r\n\r\n"),
    ("left-hints", "GET", EMPTY, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    ("left-switch", "GET", OK, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    ("left-timeout", "GET", OK, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"),
    ("left-lf", "GET", OK, b"\n"),
    ("left-nul", "GET", OK, b"\0"),
    ("left-chunk-end", "GET", OK, b"0\r\n\r\n"),
    ("left-head-part", "GET", OK, b"HTTP/1.1 200 OK\r\nX-Next: "),
    ("left-head-body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n", HIDDEN),
    ("left-head-chunks", "HEAD", CHUNKED, b"2c\r\nHTTP/1.1 200 OK\r\n"),
    ("left-head-close", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", HIDDEN),
    ("left-head-204", "HEAD", EMPTY, HIDDEN),
    ("left-204-length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n", HIDDEN),
    (
        "left-204-chunked",
        "GET",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\n\r\n",
    ),
    ("left-304-length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n", HIDDEN),
    (
        "left-304-chunked",
        "GET",
        "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\n\r\n",
    ),
];

/// In one piece with the answer, and when the connection lies idle.
#[test]
fn what_is_left_of_an_answer_is_nobodys() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let rows = LEFT_OVERS.iter().map(|row| (row.0, row)).collect();
    for (row, (_, method, answer, rest)) in
        proven("Answers that nobody asked for", "what_is_left_of_an_answer_is_nobodys", rows)
    {
        for together in [true, false] {
            let mut client = gateway.connect();
            client.send(format!("{method} /first HTTP/1.1\r\nHost: a\r\n\r\n"));
            let mut server = upstream.accept();
            server.read_request();
            let rest: &[u8] = rest;
            server.send(if together {
                [answer.as_bytes(), rest].concat()
            } else {
                (*answer).into()
            });
            client.read_head();
            if !together {
                server.expect_silence();
                let _ = server.try_send(rest);
            }
            server.read_end();
            expect_fresh_connection(&mut client, &upstream, row.id);
            client.expect_silence();
        }
    }
}

/// A server that speaks first: on a connection that lies idle, and on one that was just made.
#[test]
fn an_answer_before_its_request_is_nobodys() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    proven(
        "Answers that nobody asked for",
        "an_answer_before_its_request_is_nobodys",
        vec![("answer-on-idle", ())],
    );
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send(OK);
    assert_eq!(client.read_response().status(), 200);
    server.send(HIDDEN);
    server.read_end();
    for _ in 0..3 {
        expect_fresh_connection(&mut client, &upstream, "answer-on-idle");
    }
    client.expect_silence();
}

/// A refusal is the last answer, whatever was pipelined behind it, and however much.
#[test]
fn nothing_behind_a_refusal_is_a_request() {
    let upstream = Upstream::listen();
    let gateway = smuggling::gateway_to(&upstream);
    let refused: &[(&str, &str, u16, &str)] = &[
        (
            "behind-bad-length",
            "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            400,
            "content_length_invalid",
        ),
        ("behind-bad-line", "GET /bad\r\n\r\n", 400, "invalid_request_line"),
        ("behind-no-host", "GET /bad HTTP/1.1\r\n\r\n", 400, "host_missing"),
        (
            "behind-expectation",
            "POST /bad HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\n",
            417,
            "unknown_expectation",
        ),
        ("behind-connect", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, "connect_refused"),
        ("behind-preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "unsupported_version"),
    ];
    let rows = refused.iter().map(|row| (row.0, row)).collect();
    for (row, (_, bad, status, code)) in
        proven("Pipelines", "nothing_behind_a_refusal_is_a_request", rows)
    {
        let mut client = gateway.connect();
        client.send([GET.as_bytes(), bad.as_bytes(), &SMUGGLED.repeat(50)].concat());
        let mut server = upstream.accept();
        assert_eq!(server.read_request().start, "GET /first HTTP/1.1", "{}", row.id);
        server.send(OK);
        assert_eq!(client.read_response().status(), 200, "{}", row.id);
        expect_refusal(&mut client, row.id, (*status, code));
        server.expect_silence();
        drop(server);
    }
    upstream.expect_nobody();
}

/// What a server answers before it has the body: what is left of the body is no request.
#[test]
fn the_rest_of_a_body_behind_an_early_answer_is_no_request() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let early: &[(&str, &str, &str)] = &[
        ("early-length", "Content-Length: 100\r\n", ""),
        ("early-chunked", "Transfer-Encoding: chunked\r\n", "64\r\n"),
        ("early-expected", "Content-Length: 100\r\nExpect: 100-continue\r\n", ""),
        ("early-unread", "Content-Length: 1000000\r\n", "x"),
    ];
    let rows = early.iter().map(|row| (row.0, row)).collect();
    for (row, (_, fields, start)) in
        proven("Pipelines", "the_rest_of_a_body_behind_an_early_answer_is_no_request", rows)
    {
        let mut client = gateway.connect();
        client.send(format!("POST /first HTTP/1.1\r\nHost: a\r\n{fields}\r\n{start}"));
        let mut server = upstream.accept();
        server.read_head();
        server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        let answer = client.read_response();
        assert_eq!(
            (answer.status(), answer.field("connection")),
            (403, Some("close")),
            "{}",
            row.id
        );
        let _ = client.try_send(SMUGGLED);
        assert_eq!(client.read_end(), End::Fin, "{}", row.id);
        assert_eq!(client.unread(), b"", "{}", row.id);
        // The server may have seen the start of the body, and sees the end of the connection.
        server.read_end();
        assert!(server.unread().len() <= start.len(), "{}: {}", row.id, server.transcript());
    }
    upstream.expect_nobody();
}
