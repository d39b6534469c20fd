//! Hostile servers: what they send wrong is one client's 502, and nobody's answer.

use crate::harness::{Config, Documented, End, Gateway, Peer, Upstream, proven};

pub const HIDDEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden";
pub const GET: &str = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

const HEAD_BYTES: usize = 2048;
const FIELDS: usize = 20;

pub fn gateway_to(upstream: &Upstream) -> Gateway {
    let limits = format!("response_head_bytes = \"{HEAD_BYTES}B\"\nresponse_headers = {FIELDS}");
    Config { limits, ..Config::to(upstream.address()) }.start()
}

/// The client's next request is answered by a connection of its own.
pub fn expect_fresh_connection(client: &mut Peer, upstream: &Upstream, id: &str) {
    client.send(NEXT);
    let mut server = upstream.accept();
    assert_eq!(server.read_request().start, "GET /next HTTP/1.1", "{id}");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnext");
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.text()), (200, "next"), "{id}: {}", client.transcript());
}

const REFUSED_HEADS: &[(&str, &[u8])] = &[
    ("response-empty-line", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("response-garbage", b"\x15\x03\x03\x00\x02\x02\x46"),
    ("response-garbage", b"220 mail.example ESMTP\r\n"),
    ("response-no-status", b"HTTP/1.1 OK\r\n\r\n"),
    ("response-long-status", b"HTTP/1.1 2000 OK\r\n\r\n"),
    ("response-double-space", b"HTTP/1.1  200 OK\r\n\r\n"),
    ("response-status-range", b"HTTP/1.1 999 Strange\r\n\r\n"),
    ("response-status-low", b"HTTP/1.1 042 Strange\r\n\r\n"),
    ("response-version", b"HTTP/2.0 200 OK\r\n\r\n"),
    ("response-version", b"HTTP/1.2 200 OK\r\n\r\n"),
    (
        "response-upgrade-unasked",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ),
    ("response-bare-lf", b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n"),
    ("response-bare-lf-status", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("response-bare-cr", b"HTTP/1.1 200 OK\r\nX: a\rContent-Length: 0\r\n\r\n"),
    ("response-nul", b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n"),
    ("response-obs-fold", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 0\r\n\r\n"),
    ("response-sp-before-colon", b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
    (
        "response-te-and-cl",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("response-duplicate-cl", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n"),
    ("response-cl-invalid", b"HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n"),
    ("response-cl-invalid", b"HTTP/1.1 200 OK\r\nContent-Length: 0,0\r\n\r\n"),
    (
        "response-te-duplicate",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    ("response-te-unknown", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: br, chunked\r\n\r\n"),
    ("response-te-invalid", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, br\r\n\r\n"),
    ("response-te-http10", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("response-lookalike", b"HTTP/1.1 200 OK\r\nContent_Length: 0\r\n\r\n"),
];

pub fn refused_heads() -> Vec<(Documented, Vec<u8>)> {
    let mut cases: Vec<_> = REFUSED_HEADS.iter().map(|(id, head)| (*id, head.to_vec())).collect();
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(HEAD_BYTES));
    let endless = format!("HTTP/1.1 200 {}", "a".repeat(64 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: a\r\n".repeat(FIELDS + 1));
    cases.push(("response-long-head", long.into_bytes()));
    cases.push(("response-long-head", endless.into_bytes()));
    cases.push(("response-many-fields", many.into_bytes()));
    proven("Response heads: refused", "refused_responses_become_a_502", cases)
}

/// What the client is told: not HTTP, or more than is taken.
fn code_of(row: &str) -> &'static str {
    match row {
        "response-long-head" | "response-many-fields" => "upstream_over_limit",
        _ => "upstream_bad_head",
    }
}

/// The answer to a client whose server does not speak HTTP. Its own connection goes on.
pub fn expect_bad_gateway(client: &mut Peer, id: &str) {
    let answer = client.read_response();
    assert_eq!(answer.status(), 502, "{id}: {}", client.transcript());
    assert_eq!(answer.field("connection"), None, "{id}");
    let error = &answer.json()["error"];
    assert_eq!(error["type"], "upstream_error", "{id}");
    assert_eq!(error["code"], code_of(id), "{id}");
}

#[test]
fn refused_responses_become_a_502() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    let mut client = gateway.connect();
    for (row, response) in refused_heads() {
        let line = format!(": 502 {}: ", code_of(row.id));
        let before = gateway.count_in_log(&line);
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        let _ = server.try_send([&response[..], HIDDEN].concat());
        expect_bad_gateway(&mut client, row.id);
        server.read_end();
        expect_fresh_connection(&mut client, &upstream, row.id);
        gateway.expect_in_log(&line, before + 1);
    }
    assert_eq!(client.unread(), b"");
}

#[test]
fn refusals_of_responses_do_not_depend_on_how_the_bytes_arrive() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    let mut client = gateway.connect();
    for (row, response) in refused_heads().into_iter().filter(|case| case.1.len() <= HEAD_BYTES) {
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        for byte in response.iter().chain(HIDDEN) {
            // It is refused in the middle.
            let _ = server.try_send([*byte]);
            std::thread::sleep(std::time::Duration::from_micros(30));
        }
        expect_bad_gateway(&mut client, row.id);
        server.read_end();
    }
    assert_eq!(client.unread(), b"");
}

const REFUSED_CHUNKS: &[(&str, &[u8])] = &[
    ("chunk-size-missing", b"\r\nhello\r\n"),
    ("chunk-size-only-extension", b";a=b\r\nhello\r\n"),
    ("chunk-leading-sp", b" 5\r\nhello\r\n"),
    ("chunk-negative", b"-5\r\nhello\r\n"),
    ("chunk-size-plus", b"+5\r\nhello\r\n"),
    ("chunk-hex-prefix", b"0x5\r\nhello\r\n"),
    ("chunk-underscore", b"0_5\r\nhello\r\n"),
    ("chunk-size-trailing-ows", b"5 \r\nhello\r\n"),
    ("chunk-size-trailing-ows", b"5\t\r\nhello\r\n"),
    ("chunk-size-overflow", b"10000000000000005\r\nhello\r\n"),
    ("chunk-size-zeros-long", b"00000000000000000005\r\nhello\r\n"),
    ("chunk-lf-term", b"5\nhello\r\n"),
    ("chunk-bare-cr-term", b"5\rhello\r\n"),
    ("chunk-ext-lf", b"5;a\nhello\r\n"),
    ("chunk-ext-quoted-lf", b"5;a=\"\nb\"\r\nhello\r\n"),
    ("chunk-ext-cr", b"5;a\rb\r\nhello\r\n"),
    ("chunk-ext-quoted-cr", b"5;a=\"\r\nhello\"\r\n"),
    ("chunk-ext-ctrl", b"5;a=\x02\r\nhello\r\n"),
    ("chunk-ext-nul", b"5;a=\"\0\"\r\nhello\r\n"),
    ("chunk-ext-non-ascii", b"5;a=\"\xff\"\r\nhello\r\n"),
    ("chunk-ext-invalid-token", b"5;(=x\r\nhello\r\n"),
    ("chunk-bare-semicolon", b"5;\r\nhello\r\n"),
    ("chunk-ext-value-missing", b"5;a= \r\nhello\r\n"),
    ("chunk-ext-value-missing", b"5;a=;b\r\nhello\r\n"),
    ("chunk-ext-two-words", b"5;a b\r\nhello\r\n"),
    ("chunk-ext-trailing-ows", b"5;a \r\nhello\r\n"),
    ("chunk-ext-trailing-ows", b"5;a=\"\" \r\nhello\r\n"),
    ("chunk-ext-quoted-name", b"5;\"a\"=b\r\nhello\r\n"),
    ("chunk-missing-trailing-crlf", b"5\r\nhello0\r\n\r\n"),
    ("chunk-spill", b"5\r\nhello, world\r\n"),
    ("chunk-data-lf-term", b"5\r\nhello\n0\r\n\r\n"),
    ("chunk-data-cr-term", b"5\r\nhello\r0\r\n\r\n"),
    ("chunk-lf-trailer", b"0\r\nX: a\n\r\n"),
    ("chunk-end-lf", b"0\r\n\n"),
    ("chunk-end-cr", b"0\r\n\r\r"),
    ("trailer-bare-cr", b"0\r\nX: a\rHost: b\r\n\r\n"),
    ("trailer-obs-fold", b"0\r\nX: a\r\n\tb\r\n\r\n"),
    ("trailer-no-colon", b"0\r\nGET /hidden HTTP/1.1\r\n\r\n"),
    ("trailer-empty-name", b"0\r\n: a\r\n\r\n"),
    ("trailer-sp-before-colon", b"0\r\nX : a\r\n\r\n"),
    ("trailer-nul", b"0\r\nX: \0\r\n\r\n"),
    ("trailer-cl", b"0\r\ncontent-length: 5\r\n\r\n"),
    ("trailer-te", b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("trailer-host", b"0\r\nHost: a\r\n\r\n"),
    ("trailer-auth", b"0\r\nAuthorization: Bearer a\r\n\r\n"),
    ("trailer-auth", b"0\r\nSet-Cookie: a=b\r\n\r\n"),
    ("trailer-content-type", b"0\r\nContent-Type: text/html\r\n\r\n"),
    ("trailer-forwarded", b"0\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"),
    ("trailer-lookalike", b"0\r\nContent_Length: 5\r\n\r\n"),
    ("trailer-lookalike", b"0\r\nTransfer_Encoding: chunked\r\n\r\n"),
    ("trailer-lookalike", b"0\r\nX_Forwarded_For: 127.0.0.1\r\n\r\n"),
    ("trailer-lookalike", b"0\r\nX-Request_Id: a\r\n\r\n"),
    ("trailer-trace", b"0\r\ntraceparent: a\r\n\r\n"),
    ("trailer-control", b"0\r\nLocation: /\r\n\r\n"),
    ("trailer-family", b"0\r\nIf-Something: a\r\n\r\n"),
];

pub fn refused_chunks() -> Vec<(Documented, Vec<u8>)> {
    let mut cases: Vec<_> = REFUSED_CHUNKS.iter().map(|(id, body)| (*id, body.to_vec())).collect();
    let long = format!("5;a={}\r\nhello\r\n", "b".repeat(300));
    let many = format!("1;a={}\r\nx\r\n", "b".repeat(200)).repeat(100);
    let trailers = format!("0\r\n{}\r\n", "X: a\r\n".repeat(2000));
    cases.push(("chunk-extension-long", long.into_bytes()));
    cases.push(("chunk-extensions-long", many.into_bytes()));
    cases.push(("trailers-long", trailers.into_bytes()));
    proven("Chunked bodies: refused", "refused_chunks_end_both_connections", cases)
}

/// What was received of a chunked body came from what was sent, and it does not look finished.
fn expect_unfinished(body: &[u8], sent: &[u8], id: &str) {
    assert!(sent.starts_with(body), "{id}: {:?}", String::from_utf8_lossy(body));
    assert!(!body.ends_with(b"\r\n0\r\n\r\n") && body != b"0\r\n\r\n", "{id}");
    assert!(body.len() < sent.len(), "{id}");
}

pub const UPLOAD: &[u8] = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
pub const GOOD_CHUNK: &[u8] = b"3\r\nabc\r\n";

#[test]
fn refused_chunks_end_both_connections() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    for (row, chunks) in refused_chunks() {
        refused_in_a_request(&gateway, &upstream, row.id, &chunks);
        // The limits of an answer are wider.
        let chunks = match row.id {
            "chunk-extensions-long" => continue,
            "chunk-extension-long" => format!("5;a={}\r\nhello\r\n", "b".repeat(5000)).into(),
            "trailers-long" => format!("0\r\n{}\r\n", "X: a\r\n".repeat(8000)).into(),
            _ => chunks,
        };
        refused_in_a_response(&gateway, &upstream, row.id, &chunks);
    }
}

pub fn refused_in_a_request(gateway: &Gateway, upstream: &Upstream, id: &str, chunks: &[u8]) {
    let mut client = gateway.connect();
    client.send([UPLOAD, GOOD_CHUNK].concat());
    let mut server = upstream.accept();
    server.read_head();
    assert_eq!(server.read(GOOD_CHUNK.len()), GOOD_CHUNK, "{id}");
    client.send([chunks, GET.as_bytes()].concat());
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.field("connection")), (400, Some("close")), "{id}");
    assert_eq!(answer.json()["error"]["code"], "bad_chunk", "{id}");
    assert_eq!(client.read_end(), End::Fin, "{id}");
    assert_eq!(client.unread(), b"", "{id}");
    server.read_end();
    expect_unfinished(server.unread(), chunks, id);
}

pub fn refused_in_a_response(gateway: &Gateway, upstream: &Upstream, id: &str, chunks: &[u8]) {
    // Together with its head, and when the head has long been passed on.
    for together in [true, false] {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        if together {
            let _ = server.try_send([STREAM, chunks, HIDDEN].concat());
            assert_eq!(client.read_head().status(), 200, "{id}");
        } else {
            server.send([STREAM, GOOD_CHUNK].concat());
            assert_eq!(client.read_head().status(), 200, "{id}");
            assert_eq!(client.read(GOOD_CHUNK.len()), GOOD_CHUNK, "{id}");
            let _ = server.try_send([chunks, HIDDEN].concat());
        }
        client.read_end();
        expect_unfinished(client.unread(), chunks, id);
        server.read_end();
    }
}

/// Where a body ends with its connection, only RST can tell that this is not its end.
#[test]
fn a_client_that_reads_until_close_is_told_of_a_broken_answer_by_reset() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut server = upstream.accept();
    server.read_request();
    server.send([STREAM, GOOD_CHUNK].concat());
    client.read_until("abc");
    server.send("x\r\n");
    assert_eq!(client.read_end(), End::Reset);
}

/// A refusal of the upload when the answer is on its way already: there is no second answer.
#[test]
fn a_refused_chunk_after_the_answer_has_begun_cuts_both_off() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    let mut client = gateway.connect();
    client.send([UPLOAD, GOOD_CHUNK].concat());
    let mut server = upstream.accept();
    server.read_until("abc\r\n");
    server.send([STREAM, GOOD_CHUNK].concat());
    client.read_until("abc\r\n");
    client.send("x\r\n\r\n0\r\n\r\n");
    client.read_end();
    assert_eq!(client.unread(), b"");
    server.read_end();
    assert_eq!(server.unread(), b"");
    gateway.wait_for_log("200 bad_chunk, cut short");
}

#[test]
fn an_answer_that_was_cut_short_never_looks_finished() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    let answers: [(&str, &[u8]); 4] = [
        ("length", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        ("length, nothing yet", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        ("chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        ("chunked, in a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
    ];
    for (what, answer) in answers {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        server.send(answer);
        let head = client.read_head();
        assert_eq!(head.status(), 200, "{what}");
        drop(server);
        client.read_end();
        let (_, body) = answer.split_at(memchr::memmem::find(answer, b"\r\n\r\n").unwrap() + 4);
        assert_eq!(client.unread(), body, "{what}");
    }
}

/// Until close, a FIN is the end and a RST is not.
#[test]
fn a_reset_is_not_the_end_of_a_body_that_ends_with_its_connection() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\n\r\nhello");
    client.read_until("5\r\nhello\r\n");
    server.reset();
    client.read_end();
    assert_eq!(client.unread(), b"");
}

/// What a server sends behind its answer: the name, what the client asks, and what it says.
pub const EXTRA: &[(&str, &str, &[u8], &[u8])] = &[
    ("length", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"more"),
    ("length, an answer", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", HIDDEN),
    ("chunked", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", HIDDEN),
    ("line", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\r\n"),
    ("204", "GET", b"HTTP/1.1 204 No Content\r\n\r\n", HIDDEN),
    ("204 with a length", "GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", b"body"),
    ("304", "GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", b"body"),
    ("head", "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"body"),
    (
        "head, chunked",
        "HEAD",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"4\r\nbody\r\n0\r\n\r\n",
    ),
];

#[test]
fn bytes_behind_an_answer_poison_the_connection_and_reach_nobody() {
    let upstream = Upstream::listen();
    let gateway = gateway_to(&upstream);
    for (what, method, answer, extra) in EXTRA {
        // In one piece with the answer, and when the connection lies in the pool.
        for together in [true, false] {
            let mut client = gateway.connect();
            client.send(format!("{method} /first HTTP/1.1\r\nHost: a\r\n\r\n"));
            let mut server = upstream.accept();
            server.read_request();
            server.send(if together { [*answer, *extra].concat() } else { answer.to_vec() });
            let head = client.read_head();
            if head.field("content-length") == Some("2") {
                assert_eq!(client.read(2), b"ok", "{what}");
            } else if head.field("transfer-encoding").is_some() && *method != "HEAD" {
                assert_eq!(client.read(5), b"0\r\n\r\n", "{what}");
            }
            if !together {
                server.expect_silence();
                server.send(extra);
            }
            server.read_end();
            expect_fresh_connection(&mut client, &upstream, what);
            client.expect_silence();
        }
    }
}

/// A gateway with every default: five failures in a row take a server out.
fn with_breaker(upstream: &Upstream) -> Gateway {
    Config { upstream: "retry = {}".into(), ..Config::to(upstream.address()) }.start()
}

/// What the gateway does not take is not the server's failure, and only this client's loss.
#[test]
fn an_answer_over_a_limit_is_held_against_nobody() {
    let upstream = Upstream::listen();
    let gateway = with_breaker(&upstream);
    let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "Set-Cookie: a=b\r\n".repeat(501));
    let bytes = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(256 * 1024));
    let extension = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a={}\r\nx\r\n",
        "b".repeat(5000)
    );
    // Ten of them: five faults would take a server out.
    for (answer, key) in
        [(&fields, "limits.response_headers"), (&bytes, "limits.response_head_bytes")].repeat(3)
    {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        let _ = server.try_send(answer);
        let answer = client.read_response();
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status(), &error["code"]),
            (502, &"upstream_over_limit".into()),
            "{key}"
        );
        assert!(error["message"].as_str().is_some_and(|text| text.contains(key)), "{error}");
        upstream.expect_nobody();
    }
    for _ in 0..6 {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        let _ = server.try_send(&extension);
        assert_eq!(client.read_head().status(), 200);
        client.read_end();
        assert!(!client.unread().ends_with(b"0\r\n\r\n"));
    }
    gateway.expect_in_log(": 200 upstream_over_limit, cut short: ", 6);
    expect_fresh_connection(&mut gateway.connect(), &upstream, "afterwards");
}

#[test]
fn many_fields_and_an_extension_on_each_chunk_are_no_fault() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    let cookies = "Set-Cookie: a=b\r\n".repeat(130);
    server.send(format!("HTTP/1.1 200 OK\r\n{cookies}Transfer-Encoding: chunked\r\n\r\n"));
    assert_eq!(client.read_head().all("set-cookie").len(), 130);
    // 4,096 would be 16 KiB of them.
    let chunk = "1;t=1\r\nx\r\n";
    for _ in 0..10 {
        server.send(chunk.repeat(1_000));
        assert_eq!(client.read(chunk.len() * 1_000), chunk.repeat(1_000).as_bytes());
    }
    server.send("0;t=1\r\n\r\n");
    assert_eq!(client.read(9), b"0;t=1\r\n\r\n");
}

/// The model has said all it had to say, and HTTP has not: each is told what it can know.
#[test]
fn a_server_that_closes_behind_the_end_of_its_stream_has_not_failed() {
    let upstream = Upstream::listen();
    let gateway = with_breaker(&upstream);
    let chunk = |data: &str| format!("{:x}\r\n{data}\r\n", data.len());
    let event = chunk(
        r#"data: {"choices":[{"delta":{"content":"a"}}]}

"#,
    );
    for round in 0..7 {
        let mut client = gateway.connect();
        client.send(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n\
             {\"stream\":true}",
        );
        let mut server = upstream.accept();
        server.read_request();
        server.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
             {event}"
        ));
        client.read_until("\"a\"");
        server.send(chunk("data: [DONE]\n\n"));
        client.read_until("[DONE]");
        if round % 2 == 0 {
            drop(server)
        } else {
            server.reset()
        }
        client.read_end();
        // Neither an end that was not there, nor an error that was none.
        assert_eq!(client.unread(), b"\n\n\r\n");
    }
    gateway.expect_in_log(": 200 upstream_unterminated, cut short: ", 7);
    // Seven of them, and the server is asked again.
    expect_fresh_connection(&mut gateway.connect(), &upstream, "afterwards");
}
