//! What a question comes to, of servers that answer well and badly.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

fn question(address: SocketAddr, timeout: Duration) -> Ask<'static> {
    Ask {
        to: Whereabouts::Address(address),
        tls: None,
        host: "h",
        path: "/",
        agent: "a",
        lines: "",
        rules: None,
        post: None,
        timeout,
    }
}

/// The document, or why not, of a server that says this and closes, unless it `stays`.
fn asked(answer: Vec<u8>, stays: bool) -> Result<Vec<u8>, AskFailure> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&answer);
        if stays {
            // Until the client goes.
            let _ = stream.read(&mut [0; 1]);
        }
    });
    let timeout = Duration::from_millis(if stays { 300 } else { 5_000 });
    question(address, timeout).document(1_000)
}

#[test]
fn a_document_is_read_to_its_end_and_no_further_than_it_may_be() {
    let ok = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}");
    let chunk = "x".repeat(600);
    for (answer, stays, expected) in [
        (ok("content-length: 2\r\n", "hi, and more"), true, Ok("hi")),
        (ok("", "until the end"), false, Ok("until the end")),
        (ok("transfer-encoding: chunked\r\n", "2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n"), true, Ok("hi!")),
        (ok("content-length: 0\r\n", ""), true, Ok("")),
        (ok("content-length: 9\r\n", "short"), false, Err(AskFailure::Cut)),
        (ok("transfer-encoding: chunked\r\n", "2\r\nhi\r\n"), false, Err(AskFailure::Cut)),
        ("HTTP/1.1 200 OK\r\ncontent-le".to_owned(), false, Err(AskFailure::Closed)),
        (ok("transfer-encoding: chunked\r\n", "zz\r\n"), true, Err(AskFailure::NotHttp)),
        (ok("content-length: 9\r\n", "short"), true, Err(AskFailure::Timeout)),
        (ok("content-length: 1200\r\n", &chunk.repeat(2)), true, Err(AskFailure::TooLong)),
        (ok("", &chunk.repeat(3)), true, Err(AskFailure::TooLong)),
        ("HTTP/1.1 404 Not Found\r\n\r\n".to_owned(), false, Err(AskFailure::Status(404))),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), false, Err(AskFailure::Status(204))),
        ("SSH-2.0-OpenSSH_9.9\r\n".to_owned(), false, Err(AskFailure::NotHttp)),
    ] {
        let expected = expected.map(|text: &str| text.as_bytes().to_vec());
        assert_eq!(asked(answer.clone().into_bytes(), stays), expected, "{answer:.60}");
    }
}

/// A server that answers this as soon as somebody connects, and reads no more than `reads` bytes.
fn hasty(answer: &'static [u8], reads: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let _ = stream.read_exact(&mut vec![0; reads]);
        let _ = stream.write_all(answer);
    });
    address
}

#[test]
fn a_text_is_posted_and_its_answer_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let authority = format!("localhost:{}", listener.local_addr().expect("it is bound").port());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let mut request = vec![0; 4096];
        let mut length = 0;
        while !request[..length].ends_with(b"{}") {
            length += stream.read(&mut request[length..]).expect("more of the request");
        }
        stream
            .write_all(b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n")
            .expect("an answer");
        request.truncate(length);
        String::from_utf8(request).expect("a text")
    });
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let asked = question(nowhere, Duration::from_secs(5));
    let ask = Ask { to: Whereabouts::Name(&authority), post: Some("{}"), ..asked };
    let answer = ask.begin().expect("an answer");
    assert_eq!((answer.status, answer.retry_after), (503, Some(Duration::from_secs(7))));
    assert_eq!(
        server.join().expect("the server is well"),
        "POST / HTTP/1.1\r\nHost: h\r\nUser-Agent: a\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    );
}

#[test]
fn a_server_that_refuses_before_it_has_everything_is_heard() {
    let long = "x".repeat(8 << 20);
    let address = hasty(b"HTTP/1.1 413 Too Long\r\ncontent-length: 0\r\n\r\n", 100);
    let ask = Ask { post: Some(&long), ..question(address, Duration::from_secs(5)) };
    // The bytes that it leaves unread may reset the connection before its answer is read.
    match ask.begin().map(|answer| answer.status) {
        Ok(status) => assert_eq!(status, 413),
        Err(failure) => assert!(matches!(failure, AskFailure::Broken(_)), "{failure}"),
    }
}

#[test]
fn a_name_without_an_address_says_so() {
    let asked = question(SocketAddr::from(([127, 0, 0, 1], 1)), Duration::from_secs(5));
    let ask = Ask { to: Whereabouts::Name("no-such-name.invalid:80"), ..asked };
    let failure = ask.status().expect_err("nobody is there");
    assert!(failure.to_string().starts_with("no address: "), "{failure}");
}
