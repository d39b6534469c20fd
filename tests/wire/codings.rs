//! Compressed answers: their bytes pass untouched, when they come, and what they say is known all the same.

use std::time::Duration;

use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{DataFormat, MZFlush};
use serde_json::json;
use zstd_safe::zstd_sys::ZSTD_EndDirective::{self as Directive, ZSTD_e_end, ZSTD_e_flush};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

use crate::admin::Watched;
use crate::harness::{Config, Message, Peer, Upstream};
use crate::usage::{numbers, row, usage};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                      Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
const ZSTD_STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                           Content-Encoding: zstd\r\nTransfer-Encoding: chunked\r\n\r\n";
const ROLE: &str =
    r#"data: {"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
const REQUEST: &str = r#"{"model":"best","stream":true}"#;
const DELTA: &str =
    r#"data: {"model":"m-1","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#;
const STOP: &str =
    r#"data: {"model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const COUNT: &str = r#"data: {"choices":[],"usage":{"prompt_tokens":70,"completion_tokens":30}}"#;

/// A server's end of a gzip body.
struct Gzip(Box<CompressorOxide>);

impl Gzip {
    fn begin() -> (Gzip, Vec<u8>) {
        let mut compressor = Box::<CompressorOxide>::default();
        compressor.set_format_and_level(DataFormat::Raw, 6);
        (Gzip(compressor), vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
    }

    fn write(&mut self, text: &str, flush: MZFlush) -> Vec<u8> {
        let (mut out, mut all, mut rest) = (vec![0; 64 << 10], Vec::new(), text.as_bytes());
        loop {
            let result = deflate(&mut self.0, rest, &mut out, flush);
            rest = &rest[result.bytes_consumed..];
            all.extend_from_slice(&out[..result.bytes_written]);
            if rest.is_empty() && result.bytes_written < out.len() {
                return all;
            }
        }
    }

    /// The last bytes. Nobody but the client compares the checksum.
    fn end(mut self) -> Vec<u8> {
        let mut end = self.write("", MZFlush::Finish);
        end.extend([0; 8]);
        end
    }
}

fn zstd(compressor: &mut CCtx<'_>, text: &str, directive: Directive) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(text.len()) + 64];
    let mut input = InBuffer::around(text.as_bytes());
    let mut output = OutBuffer::around(&mut out[..]);
    assert_eq!(compressor.compress_stream2(&mut output, &mut input, directive), Ok(0));
    let written = output.pos();
    out.truncate(written);
    out
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn ask(client: &mut Peer) {
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\
         Content-Length: {}\r\n\r\n{REQUEST}",
        REQUEST.len()
    ));
}

/// A client and a server, the request of the one being with the other.
fn asked(watched: &Watched, server: &Upstream) -> (Peer, Peer, Message) {
    let mut client = watched.gateway.connect();
    ask(&mut client);
    let mut peer = server.accept();
    let request = peer.read_request();
    (client, peer, request)
}

/// Waits until the client has so many bytes behind the head, and gives them.
fn body_of(client: &mut Peer, length: usize) -> Vec<u8> {
    loop {
        let received = client.received();
        let head = received.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head
            && received.len() - head >= length
        {
            return received[head..].to_vec();
        }
        client.receive(Duration::from_millis(20));
    }
}

#[test]
fn a_gzip_stream_is_observed_and_its_bytes_pass_untouched_as_they_come() {
    let server = Upstream::listen();
    let watched = Watched::before(&server);
    let (mut client, mut peer, _) = asked(&watched, &server);
    peer.send(STREAM);
    let (mut gzip, header) = Gzip::begin();
    let mut sent = chunk(&header);
    peer.send(&sent);
    for event in [DELTA, DELTA, STOP, COUNT, "data: [DONE]"] {
        let piece = chunk(&gzip.write(&format!("{event}\n\n"), MZFlush::Sync));
        peer.send(&piece);
        sent.extend(piece);
        // Each event is with the client before the next is written.
        assert_eq!(body_of(&mut client, sent.len()), sent);
    }
    let end = [chunk(&gzip.end()), b"0\r\n\r\n".to_vec()].concat();
    peer.send(&end);
    sent.extend(end);
    assert_eq!(body_of(&mut client, sent.len()), sent);
    let page = usage(&watched, 1);
    let row = row(&page, json!("best"));
    assert_eq!(numbers(row), [1, 70, 0, 30, 0, 0, 0]);
    assert_eq!((&row["model"], &row["errors"]), (&json!("m-1"), &json!({})));
}

#[test]
fn a_zstd_stream_is_observed_and_its_bytes_pass_untouched_as_they_come() {
    let server = Upstream::listen();
    let watched = Watched::before(&server);
    let (mut client, mut peer, _) = asked(&watched, &server);
    peer.send(ZSTD_STREAM);
    let mut compressor = CCtx::create();
    // A window that the stream does not fill: nothing is to be waited for.
    compressor.set_parameter(CParameter::WindowLog(23)).expect("a window");
    let mut sent = Vec::new();
    for (event, pause) in
        [(ROLE, 0), (DELTA, 300), (DELTA, 0), (STOP, 0), (COUNT, 0), ("data: [DONE]", 0)]
    {
        std::thread::sleep(Duration::from_millis(pause));
        let piece = chunk(&zstd(&mut compressor, &format!("{event}\n\n"), ZSTD_e_flush));
        peer.send(&piece);
        sent.extend(piece);
        assert_eq!(body_of(&mut client, sent.len()), sent);
    }
    let end = [chunk(&zstd(&mut compressor, "", ZSTD_e_end)), b"0\r\n\r\n".to_vec()].concat();
    peer.send(&end);
    sent.extend(end);
    assert_eq!(body_of(&mut client, sent.len()), sent);
    let page = usage(&watched, 1);
    let row = row(&page, json!("best"));
    assert_eq!(numbers(row), [1, 70, 0, 30, 0, 0, 0]);
    assert_eq!((&row["model"], &row["errors"]), (&json!("m-1"), &json!({})));
    // The first token is the first that says something, not the role.
    let first = row["ttft_ms"].as_f64().expect("a first token");
    assert!((290.0..5_000.0).contains(&first), "{first}");
}

#[test]
fn a_zstd_stream_that_ends_too_early_is_cut() {
    let server = Upstream::listen();
    let watched = Watched::before(&server);
    let (mut client, mut peer, _) = asked(&watched, &server);
    let text = format!("{DELTA}\n\n").repeat(3);
    let body = zstd(&mut CCtx::create(), &text, ZSTD_e_flush);
    peer.send([ZSTD_STREAM.as_bytes(), &chunk(&body), b"0\r\n\r\n"].concat());
    client.read_end();
    assert!(!client.received().ends_with(b"0\r\n\r\n"), "{}", client.transcript());
    let page = usage(&watched, 1);
    let row = row(&page, json!("best"));
    assert_eq!(numbers(row), [1, 0, 0, 3, 0, 3, 1]);
    assert_eq!(row["errors"], json!({ "upstream_unfinished": 1 }));
}

#[test]
fn a_compressed_document_tells_what_it_cost() {
    let server = Upstream::listen();
    let watched = Watched::before(&server);
    let text = r#"{"model":"m-1","choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    let (mut client, mut peer, _) = asked(&watched, &server);
    let (mut gzip, mut body) = Gzip::begin();
    body.extend(gzip.write(text, MZFlush::None));
    body.extend(gzip.end());
    // Brotli's way to write what it does not compress.
    let head = ((text.len() as u32 - 1) << 4 | 1 << 20).to_le_bytes();
    let brotli = [&head[..3], text.as_bytes(), &[3]].concat();
    let frame = zstd(&mut CCtx::create(), text, ZSTD_e_end);
    for (coding, body) in [("gzip", body), ("br", brotli), ("zstd", frame)] {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        peer.send([head.as_bytes(), &body].concat());
        assert_eq!(client.read_response().body, body, "{coding}");
        if coding != "zstd" {
            ask(&mut client);
            peer.read_request();
        }
    }
    let page = usage(&watched, 3);
    assert_eq!(numbers(row(&page, json!("best"))), [3, 21, 0, 9, 0, 0, 0]);
}

#[test]
fn a_bomb_ends_the_watching_and_not_the_stream() {
    let comment = format!(":{}\n\n", " ".repeat(64 << 20));
    let (mut gzip, mut body) = Gzip::begin();
    body.extend(gzip.write(&comment, MZFlush::Sync));
    body.extend(gzip.write(&format!("{COUNT}\n\n"), MZFlush::Sync));
    body.extend(gzip.end());
    let frame = zstd(&mut CCtx::create(), &format!("{comment}{COUNT}\n\n"), ZSTD_e_end);
    for (head, body) in [(STREAM, body), (ZSTD_STREAM, frame)] {
        let server = Upstream::listen();
        let watched = Watched::before(&server);
        let (mut client, mut peer, _) = asked(&watched, &server);
        assert!(body.len() < 100 << 10, "{}", body.len());
        let before = watched.gateway.memory_peak();
        let sent = [chunk(&body), b"0\r\n\r\n".to_vec()].concat();
        peer.send([head.as_bytes(), &sent].concat());
        assert_eq!(body_of(&mut client, sent.len()), sent);
        let page = usage(&watched, 1);
        assert_eq!(numbers(row(&page, json!("best"))), [1, 0, 0, 0, 0, 0, 0]);
        watched.gateway.expect_in_log("200 unobserved", 1);
        let grown = watched.gateway.memory_peak().saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes");
    }
}

#[test]
fn what_is_no_gzip_passes_unobserved() {
    let server = Upstream::listen();
    let watched = Watched::before(&server);
    let (mut client, mut peer, _) = asked(&watched, &server);
    let sent = [chunk(format!("{DELTA}\n\n").as_bytes()), b"0\r\n\r\n".to_vec()].concat();
    peer.send([STREAM.as_bytes(), &sent].concat());
    assert_eq!(body_of(&mut client, sent.len()), sent);
    usage(&watched, 1);
    watched.gateway.expect_in_log("200 unobserved", 1);
}

#[test]
fn a_gzip_stream_that_ends_too_early_is_cut() {
    let server = Upstream::listen();
    let watched = Watched::before(&server);
    let (mut client, mut peer, _) = asked(&watched, &server);
    let (mut gzip, mut body) = Gzip::begin();
    for _ in 0..3 {
        body.extend(gzip.write(&format!("{DELTA}\n\n"), MZFlush::Sync));
    }
    // Well framed, and the model has not said that it is done.
    peer.send([STREAM.as_bytes(), &chunk(&body), b"0\r\n\r\n"].concat());
    client.read_end();
    assert!(!client.received().ends_with(b"0\r\n\r\n"), "{}", client.transcript());
    let page = usage(&watched, 1);
    let row = row(&page, json!("best"));
    assert_eq!(numbers(row), [1, 0, 0, 3, 0, 3, 1]);
    assert_eq!(row["errors"], json!({ "upstream_unfinished": 1 }));
}

#[test]
fn a_route_may_ask_for_answers_that_are_not_compressed() {
    let server = Upstream::listen();
    let config =
        Config { route: "accept_encoding = \"identity\"".into(), ..Config::to(server.address()) };
    let watched = Watched::with(config);
    let (_, _, request) = asked(&watched, &server);
    assert_eq!(request.all("accept-encoding"), ["identity"]);
    let server = Upstream::listen();
    let watched = Watched::before(&server);
    let (_, _, request) = asked(&watched, &server);
    assert_eq!(request.all("accept-encoding"), ["gzip"]);
}
