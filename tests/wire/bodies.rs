//! Bodies: any size in bounded memory, both ways at once, and limits that hold.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use crate::harness::{Config, End, Gateway, Peer, Upstream};

const MIB: usize = 1024 * 1024;
/// Far more than all buffers of the gateway and the kernel together.
const LARGE: usize = 64 * MIB;

/// Byte `index` of every large body. Not periodic in any size of buffer.
fn byte_at(index: usize) -> u8 {
    (index % 251) as u8
}

/// Writes bytes `start..end` of a large body.
fn write_body(mut stream: &TcpStream, start: usize, end: usize) {
    let mut block = Vec::new();
    for from in (start..end).step_by(64 * 1024) {
        block.clear();
        block.extend((from..end.min(from + 64 * 1024)).map(byte_at));
        stream.write_all(&block).expect("the gateway takes the body");
    }
}

/// Writes a large body in chunks of many sizes.
fn write_chunks(mut stream: &TcpStream) {
    let (mut written, mut size) = (0, 1);
    while written < LARGE {
        let end = LARGE.min(written + size);
        write!(stream, "{:x}\r\n", end - written).expect("the gateway takes the body");
        write_body(stream, written, end);
        stream.write_all(b"\r\n").expect("the gateway takes the body");
        (written, size) = (end, (size * 7 + 1) % 300_007);
    }
    stream.write_all(b"0\r\n\r\n").expect("the gateway takes the body");
}

/// Checks a large body as it comes, and forgets it.
struct Checked<'a> {
    stream: &'a TcpStream,
    block: Vec<u8>,
    position: usize,
}

impl Checked<'_> {
    fn of(peer: &Peer) -> Checked<'_> {
        Checked { stream: peer.stream(), block: peer.unread().to_vec(), position: 0 }
    }

    fn more(&mut self) -> bool {
        self.block.resize(64 * 1024, 0);
        self.position = 0;
        let count = self.stream.read(&mut self.block).expect("the body goes on");
        self.block.truncate(count);
        count > 0
    }

    fn byte(&mut self) -> u8 {
        if self.position == self.block.len() {
            assert!(self.more(), "the body ends too soon");
        }
        self.position += 1;
        self.block[self.position - 1]
    }

    fn bytes(&mut self, start: usize, end: usize) {
        for index in start..end {
            assert_eq!(self.byte(), byte_at(index), "byte {index}");
        }
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.byte());
        }
        String::from_utf8(line).expect("a line").trim_end().to_owned()
    }

    fn chunks(&mut self) -> usize {
        let mut received = 0;
        loop {
            let size = usize::from_str_radix(&self.line(), 16).expect("a size");
            self.bytes(received, received + size);
            assert_eq!(self.line(), "");
            received += size;
            if size == 0 {
                return received;
            }
        }
    }

    fn until_close(&mut self) -> usize {
        let mut received = 0;
        loop {
            for &byte in &self.block[self.position..] {
                assert_eq!(byte, byte_at(received), "byte {received}");
                received += 1;
            }
            if !self.more() {
                return received;
            }
        }
    }
}

/// Asserts that the gateway has never held more than a small part of a large body.
fn expect_bounded(gateway: &Gateway, before: u64) {
    let grown = gateway.memory_peak().saturating_sub(before);
    assert!(grown < 16 * MIB as u64, "the gateway grew by {grown} bytes");
}

#[test]
fn large_requests_pass_in_bounded_memory() {
    let upstream = Upstream::listen();
    // What is kept for a replay comes on top, up to this.
    let limits = "replay_bytes = \"1MiB\"".to_owned();
    let gateway = Config { limits, ..Config::to(upstream.address()) }.start();
    let before = gateway.memory_peak();
    for chunked in [false, true] {
        let mut client = gateway.connect();
        let framing = match chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {LARGE}"),
        };
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        let mut server = upstream.accept();
        thread::scope(|scope| {
            let stream = client.stream();
            scope.spawn(move || match chunked {
                true => write_chunks(stream),
                false => write_body(stream, 0, LARGE),
            });
            server.read_head();
            let mut body = Checked::of(&server);
            match chunked {
                true => assert_eq!(body.chunks(), LARGE),
                false => body.bytes(0, LARGE),
            }
        });
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        assert_eq!(client.read_response().text(), "ok");
    }
    expect_bounded(&gateway, before);
}

#[test]
fn large_responses_pass_in_bounded_memory() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let before = gateway.memory_peak();
    for (framing, version) in [
        ("length", "1.1"),
        ("chunked", "1.1"),
        ("until close", "1.1"),
        ("length", "1.0"),
        ("chunked", "1.0"),
        ("until close", "1.0"),
    ] {
        let mut client = gateway.connect();
        client.send(format!("GET / HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let mut server = upstream.accept();
        server.read_request();
        let field = match framing {
            "length" => format!("Content-Length: {LARGE}\r\n"),
            "chunked" => "Transfer-Encoding: chunked\r\n".to_owned(),
            _ => String::new(),
        };
        server.send(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{field}\r\n"));
        thread::scope(|scope| {
            let stream = server.stream();
            scope.spawn(move || {
                match framing {
                    "chunked" => write_chunks(stream),
                    _ => write_body(stream, 0, LARGE),
                }
                stream.shutdown(Shutdown::Write).expect("an open connection");
            });
            client.read_head();
            let mut body = Checked::of(&client);
            match (framing, version) {
                ("chunked", "1.1") | ("until close", "1.1") => assert_eq!(body.chunks(), LARGE),
                _ => assert_eq!(body.until_close(), LARGE, "{framing}, HTTP/{version}"),
            }
        });
    }
    expect_bounded(&gateway, before);
}

/// A server that sends what it gets, while it gets it: speech recognition, for one.
#[test]
fn a_large_echo_flows_both_ways_at_once() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let before = gateway.memory_peak();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.read_head().status(), 200);
    thread::scope(|scope| {
        let (from_client, mut server) = (client.stream(), server.stream());
        scope.spawn(move || write_chunks(from_client));
        scope.spawn(move || {
            let mut block = vec![0; 64 * 1024];
            let mut tail = Vec::new();
            while !tail.ends_with(b"\r\n0\r\n\r\n") {
                let count = server.read(&mut block).expect("the body goes on");
                assert!(count > 0, "the upload ends too soon");
                server.write_all(&block[..count]).expect("the gateway takes the echo");
                tail.extend_from_slice(&block[count.saturating_sub(7)..count]);
                tail.drain(..tail.len().saturating_sub(7));
            }
        });
        assert_eq!(Checked::of(&client).chunks(), LARGE);
    });
    assert_eq!((client.read_end(), client.unread()), (End::Fin, &b""[..]));
    expect_bounded(&gateway, before);
}

#[test]
fn a_response_flows_while_the_upload_goes_on() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    // The answer may be over first, so it says that the connection ends with it.
    let head = client.read_head();
    assert_eq!((head.status(), head.field("connection")), (200, Some("close")));
    for round in 0..5 {
        // Not even whole chunks: what there is goes on.
        client.send(format!("6\r\nsay {round}"));
        assert_eq!(server.read(8), format!("6\r\nsay {round}").as_bytes());
        server.send(format!("7\r\nhear {round}"));
        assert_eq!(client.read(9), format!("7\r\nhear {round}").as_bytes());
        client.send(".\r\n");
        assert_eq!(server.read(3), b".\r\n");
        server.send(".\r\n");
        assert_eq!(client.read(3), b".\r\n");
    }
    client.send("0\r\nX-Said: 5\r\n\r\n");
    assert_eq!(server.read(16), b"0\r\nX-Said: 5\r\n\r\n");
    server.send("0\r\nX-Heard: 5\r\n\r\n");
    assert_eq!(client.read(17), b"0\r\nX-Heard: 5\r\n\r\n");
    assert_eq!((client.read_end(), client.unread()), (End::Fin, &b""[..]));
    // The server's connection ended well, and goes on.
    let mut next = gateway.connect();
    next.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(server.read_request().start, "GET / HTTP/1.1");
}

fn limited_gateway(upstream: &Upstream) -> Gateway {
    let limits = "body_bytes = \"1KiB\"".to_owned();
    Config { limits, ..Config::to(upstream.address()) }.start()
}

#[test]
fn a_length_over_the_limit_is_refused_before_the_server_hears_of_it() {
    let upstream = Upstream::listen();
    let gateway = limited_gateway(&upstream);
    for body in [0, 10, 1025] {
        let mut client = gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n");
        client.send(vec![b'x'; body]);
        let answer = client.read_response();
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.json()["error"]["code"], "body_too_large");
        if body < 1025 {
            assert_eq!(answer.field("connection"), Some("close"));
            assert_eq!(client.read_end(), End::Fin);
        }
    }
    upstream.expect_nobody();
}

#[test]
fn chunks_over_the_limit_are_refused_and_the_server_never_sees_an_end() {
    let upstream = Upstream::listen();
    let gateway = limited_gateway(&upstream);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for first in [0, 1, 1024] {
        let mut client = gateway.connect();
        client.send(head);
        let mut server = upstream.accept();
        server.read_head();
        if first > 0 {
            client.send(format!("{first:x}\r\n{}\r\n", "x".repeat(first)));
            server.read_until("x\r\n");
        }
        let rest = 1025 - first;
        client.send(format!("{rest:x}\r\n{}\r\n", "y".repeat(rest)));
        let answer = client.read_response();
        assert_eq!((answer.status(), answer.field("connection")), (413, Some("close")));
        assert_eq!(client.read_end(), End::Fin);
        server.read_end();
        assert!(!server.received().contains(&b'y'), "{}", server.transcript());
    }
}

#[test]
fn a_body_of_just_the_limit_passes() {
    let upstream = Upstream::listen();
    let gateway = limited_gateway(&upstream);
    let mut client = gateway.connect();
    let body = "x".repeat(1024);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n{body}"));
    let mut server = upstream.accept();
    assert_eq!(server.read_request().text(), body);
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.read_response().status(), 204);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{body}\r\n0\r\n\r\n"
    ));
    assert_eq!(server.read_request().text(), body);
    server.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.read_response().status(), 204);
}

/// A server that has read enough answers and leaves. Its answer counts, whatever becomes of the
/// upload, and the client can read it to its end though it is still sending.
#[test]
fn an_early_answer_ends_the_upload() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    for closes in ["not at all", "at once", "with unread bytes"] {
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\nstart"));
        let mut server = upstream.accept();
        server.read_until("start");
        if closes == "with unread bytes" {
            client.send(vec![b'x'; MIB]);
        }
        server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        if closes != "not at all" {
            drop(server);
        }
        thread::scope(|scope| {
            let mut stream = client.stream().try_clone().expect("a socket");
            scope.spawn(move || {
                // Until the gateway has heard enough.
                while stream.write_all(&[b'x'; 16 * 1024]).is_ok() {
                    thread::sleep(std::time::Duration::from_millis(2));
                }
            });
            let answer = client.read_response();
            assert_eq!((answer.status(), answer.text()), (403, "no"), "{closes}");
            assert_eq!(client.read_end(), End::Fin, "{closes}");
            client.stream().shutdown(Shutdown::Both).expect("an open connection");
        });
    }
}

/// Without an answer the loss of the server is the client's 502, upload or not.
#[test]
fn a_server_that_leaves_in_the_middle_of_an_upload_is_a_502() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\nstart"));
    let mut server = upstream.accept();
    server.read_until("start");
    client.send(vec![b'x'; MIB]);
    server.reset();
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.field("connection")), (502, Some("close")));
    assert_eq!(client.read_end(), End::Fin);
}
