//! Requests in a coding: decoded where their body is read, passed where it is not.

use std::time::Duration;

use crate::harness::chat::expect_code;
use crate::harness::{Config, Gateway, Message, Peer, Upstream};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const TEXT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

// Made of TEXT by Python's gzip and zlib, Node's brotli and zstd's own program.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0xca, 0xcd, 0x4f, 0x49,
    0xcd, 0x51, 0xb2, 0x52, 0xca, 0x55, 0xd2, 0x51, 0xca, 0x4d, 0x2d, 0x2e, 0x4e, 0x4c, 0x4f, 0x2d,
    0x56, 0xb2, 0x8a, 0xae, 0x56, 0x2a, 0xca, 0xcf, 0x49, 0x05, 0x8a, 0x97, 0x16, 0xa7, 0x16, 0x01,
    0xa5, 0x92, 0xf3, 0xf3, 0x4a, 0x52, 0xf3, 0x4a, 0x80, 0x02, 0x19, 0x99, 0x4a, 0xb5, 0xb1, 0xb5,
    0x00, 0xef, 0x35, 0xc2, 0x54, 0x39, 0x00, 0x00, 0x00,
];
const ZLIB: &[u8] = &[
    0x78, 0x9c, 0xab, 0x56, 0xca, 0xcd, 0x4f, 0x49, 0xcd, 0x51, 0xb2, 0x52, 0xca, 0x55, 0xd2, 0x51,
    0xca, 0x4d, 0x2d, 0x2e, 0x4e, 0x4c, 0x4f, 0x2d, 0x56, 0xb2, 0x8a, 0xae, 0x56, 0x2a, 0xca, 0xcf,
    0x49, 0x05, 0x8a, 0x97, 0x16, 0xa7, 0x16, 0x01, 0xa5, 0x92, 0xf3, 0xf3, 0x4a, 0x52, 0xf3, 0x4a,
    0x80, 0x02, 0x19, 0x99, 0x4a, 0xb5, 0xb1, 0xb5, 0x00, 0x1c, 0x9d, 0x12, 0xd8,
];
const BROTLI: &[u8] = &[
    0x1b, 0x38, 0x00, 0x40, 0x1c, 0x07, 0x76, 0x8c, 0xb3, 0x85, 0x39, 0x1c, 0x6c, 0xe7, 0xb5, 0xc8,
    0x5e, 0xda, 0xd6, 0x68, 0x6b, 0x16, 0x9d, 0xae, 0x3e, 0xe0, 0x90, 0x03, 0xa7, 0x03, 0x65, 0x6d,
    0x81, 0x7c, 0x5e, 0x67, 0x36, 0x1d, 0x96, 0x84, 0x7a, 0x82, 0x3c, 0xb9, 0x64, 0x96, 0x4c, 0x03,
    0x80, 0xc5, 0x77, 0xef, 0x06,
];
const ZSTD: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0xc9, 0x01, 0x00, 0x7b, 0x22, 0x6d, 0x6f, 0x64, 0x65, 0x6c,
    0x22, 0x3a, 0x22, 0x6d, 0x22, 0x2c, 0x22, 0x6d, 0x65, 0x73, 0x73, 0x61, 0x67, 0x65, 0x73, 0x22,
    0x3a, 0x5b, 0x7b, 0x22, 0x72, 0x6f, 0x6c, 0x65, 0x22, 0x3a, 0x22, 0x75, 0x73, 0x65, 0x72, 0x22,
    0x2c, 0x22, 0x63, 0x6f, 0x6e, 0x74, 0x65, 0x6e, 0x74, 0x22, 0x3a, 0x22, 0x68, 0x69, 0x22, 0x7d,
    0x5d, 0x7d,
];

const ALL: [(&str, &[u8]); 6] = [
    ("gzip", GZIP),
    ("x-gzip", GZIP),
    (",gzip,", GZIP),
    ("deflate", ZLIB),
    ("br", BROTLI),
    ("zstd", ZSTD),
];

fn head(fields: &str) -> Vec<u8> {
    format!("POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\n{fields}").into_bytes()
}

/// A request with this body, whole.
fn sized(coding: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request =
        head(&format!("Content-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"));
    request.extend_from_slice(body);
    request
}

/// The same in chunks.
fn chunked(coding: &str, body: &[u8], length: usize) -> Vec<u8> {
    let mut request =
        head(&format!("Content-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for chunk in body.chunks(length) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// A gateway in front of `upstream`, with this in its upstream and its route.
fn gateway(upstream: &Upstream, keys: &str, route: &str) -> Gateway {
    let mut config = Config::to(upstream.address());
    config.upstream = keys.to_owned();
    config.route = route.to_owned();
    config.start()
}

/// Sends a request and answers it; what the server got.
fn served(gateway: &Gateway, upstream: &Upstream, request: &[u8]) -> Message {
    let mut client = gateway.connect();
    client.send(request);
    let mut server = upstream.accept();
    let got = server.read_request();
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
    server.finish();
    got
}

#[track_caller]
fn assert_plain(got: &Message, expected: &str) {
    assert_eq!(got.text(), expected);
    assert_eq!(got.field("content-encoding"), None);
    assert_eq!(got.field("transfer-encoding"), None);
    assert_eq!(got.all("content-length"), [expected.len().to_string()]);
}

#[test]
fn a_request_whose_body_is_read_reaches_its_server_decoded() {
    let upstream = Upstream::listen();
    let ours = TEXT.replace("\"m\"", "\"other-model\"");
    let hash = "balance = { hash = { field = \"model\" } }";
    for (keys, route, expected) in [
        ("model = \"other-model\"", "", &*ours),
        (hash, "", TEXT),
        ("", "when = { model = \"m\" }", TEXT),
        ("", "decode_requests = true", TEXT),
        ("model = \"other-model\"", "when = { model = \"m\" }", &*ours),
    ] {
        let gateway = gateway(&upstream, keys, route);
        for (coding, body) in ALL {
            assert_plain(&served(&gateway, &upstream, &sized(coding, body)), expected);
            assert_plain(&served(&gateway, &upstream, &chunked(coding, body, 7)), expected);
        }
    }
}

#[test]
fn a_translated_request_may_come_in_a_coding() {
    let upstream = Upstream::listen();
    let gateway =
        gateway(&upstream, "translate_to = \"anthropic\"\ntimeouts = { ttft = \"3s\" }", "");
    let mut client = gateway.connect();
    client.send(sized("gzip", GZIP));
    let mut server = upstream.accept();
    let got = server.read_request();
    assert!(got.start.starts_with("POST /v1/messages"), "{}", got.start);
    assert_eq!(got.json()["messages"][0]["content"], "hi", "{}", got.text());
    assert_eq!(got.field("content-encoding"), None);
}

#[test]
fn what_nobody_reads_passes_as_it_came() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "", "");
    for (coding, body) in ALL.into_iter().chain([("compress", ZSTD), ("gzip, br", ZSTD)]) {
        let mut client = gateway.connect();
        client.send(sized(coding, body));
        let mut server = upstream.accept();
        let request = server.read_until("\r\n\r\n");
        assert!(String::from_utf8_lossy(&request).contains(&format!("Content-Encoding: {coding}")));
        assert_eq!(server.read(body.len()), body);
    }
}

#[test]
fn a_body_may_be_cut_anywhere() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "model = \"m\"", "");
    let request = sized("gzip", GZIP);
    let mut client = gateway.connect();
    for byte in &request {
        client.send([*byte]);
    }
    let mut server = upstream.accept();
    assert_plain(&server.read_request(), TEXT);
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
    // And its connection takes the next one.
    client.send(sized("br", BROTLI));
    assert_plain(&server.read_request(), TEXT);
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
}

#[test]
fn what_is_damaged_unknown_or_a_bomb_is_refused_with_a_code() {
    let upstream = Upstream::listen();
    let mut config = Config::to(upstream.address());
    config.upstream = "model = \"m\"".into();
    config.limits = "translate_bytes = \"16KiB\"".into();
    let gateway = config.start();
    let mut wrong = GZIP.to_vec();
    let check = wrong.len() - 8;
    wrong[check] ^= 1;
    // A megabyte of zeros, by zlib.
    let bomb = bomb();
    let cases: [(&str, &[u8], u16, &str); 9] = [
        ("gzip", &GZIP[..GZIP.len() - 1], 400, "body_undecodable"),
        ("br", &BROTLI[..BROTLI.len() - 1], 400, "body_undecodable"),
        ("zstd", &ZSTD[..ZSTD.len() - 1], 400, "body_undecodable"),
        ("gzip", &wrong, 400, "body_undecodable"),
        ("deflate", &[ZLIB, b"more"].concat(), 400, "body_undecodable"),
        ("gzip", TEXT.as_bytes(), 400, "body_undecodable"),
        ("deflate", &bomb, 413, "decoded_too_large"),
        ("compress", TEXT.as_bytes(), 415, "body_encoded"),
        ("gzip, gzip", GZIP, 415, "body_encoded"),
    ];
    for (coding, body, status, code) in cases {
        for request in [sized(coding, body), chunked(coding, body, 5)] {
            let mut client = gateway.connect();
            client.send(request);
            expect_code(&mut client, status, code);
        }
    }
    // So long that it is not even read to its end.
    let mut client = gateway.connect();
    let _ = client.try_send(sized("gzip", &vec![b'x'; 300_000]));
    expect_code(&mut client, 413, "decoded_too_large");
    upstream.expect_nobody();
}

/// Zeros that zlib's format says in few bytes: stored nowhere, repeated 258 at a time.
fn bomb() -> Vec<u8> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut zstd = Command::new("python3")
        .args(["-c", "import sys,zlib; sys.stdout.buffer.write(zlib.compress(bytes(1 << 20)))"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let _ = zstd.stdin.take().map(|mut input| input.write_all(b""));
    zstd.wait_with_output().expect("it ends").stdout
}

#[test]
fn a_client_that_waits_for_leave_gets_it() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "model = \"m\"", "");
    let mut client: Peer = gateway.connect();
    let length = GZIP.len();
    client.send(head(&format!(
        "Content-Encoding: gzip\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )));
    client.read_until("100 Continue\r\n\r\n");
    client.send(GZIP);
    let mut server = upstream.accept();
    let got = server.read_request();
    assert_plain(&got, TEXT);
    assert_eq!(got.field("expect"), None);
    std::thread::sleep(Duration::from_millis(1));
    server.send(OK);
    assert_eq!(client.read_response().status(), 200);
}

/// A text in the coding `deflate`, in one block that is stored as it is (RFC 1950, RFC 1951 §3.2.4).
fn stored(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text");
    let mut body = vec![0x78, 0x01, 0x01];
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&(!length).to_le_bytes());
    body.extend_from_slice(text.as_bytes());
    let (low, high) = text.bytes().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    body.extend_from_slice(&(high << 16 | low).to_be_bytes());
    body
}

#[test]
fn a_coding_hides_no_second_model() {
    let upstream = Upstream::listen();
    let by_upstream = gateway(&upstream, "model = \"served\"", "");
    let by_route = gateway(&upstream, "", "when = { model = \"a\" }");
    for (body, code) in [
        (r#"{"model":"a","model":"b"}"#, "model_ambiguous"),
        (r#"{"model":"a","Model":"b"}"#, "model_ambiguous"),
        (r#"{"mod\u0065l":"a"}"#, "model_ambiguous"),
        (r#"{"model":"a"}{"model":"b"}"#, "model_ambiguous"),
        (r#"{"model":"a","messages":["#, "model_ambiguous"),
    ] {
        for gateway in [&by_upstream, &by_route] {
            let mut client = gateway.connect();
            client.send(sized("deflate", &stored(body)));
            expect_code(&mut client, 400, code);
        }
    }
    upstream.expect_no_request();
    let request = sized("deflate", &stored(r#"{"model":"a","messages":[]}"#));
    let got = served(&by_upstream, &upstream, &request);
    assert_eq!(got.text(), r#"{"model":"served","messages":[]}"#);
}
