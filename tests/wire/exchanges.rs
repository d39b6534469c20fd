//! One exchange and the next: interim responses, pipelining, and whether the connection is kept.

use std::time::{Duration, Instant};

use crate::harness::{Config, End, Gateway, Upstream};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_client_is_told_to_continue_by_the_server() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut server = upstream.accept();
    assert_eq!(server.read_head().field("expect"), Some("100-continue"));
    client.expect_silence();
    server.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(server.read(5), b"hello");
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
    // Both connections go on.
    client.send(GET);
    assert_eq!(server.read_request().start, "GET / HTTP/1.1");
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
}

/// Once is enough, however many servers say it.
#[test]
fn a_client_is_told_to_continue_once() {
    let upstream = Upstream::listen();
    let retried = "retry = { attempts = 2, on = [\"503\"] }\nbreaker = \"off\"".to_owned();
    let gateway = Config { upstream: retried, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut first = upstream.accept();
    first.read_head();
    first.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.read_response().status(), 100);
    client.send("hello");
    assert_eq!(first.read(5), b"hello");
    first
        .send("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let mut second = upstream.accept();
    second.read_head();
    second.send("HTTP/1.1 100 Continue\r\n\r\n");
    second.send(OK);
    assert_eq!(client.read_response().text(), "ok");
}

/// A client need not wait for ever (RFC 9110 §10.1.1), and a server need not say it.
#[test]
fn a_client_that_is_not_told_to_continue_may_send_its_body_all_the_same() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut server = upstream.accept();
    server.read_head();
    client.send("hello");
    assert_eq!(server.read(5), b"hello");
    server.send(OK);
    let answer = client.read_response();
    assert_eq!((answer.text(), answer.field("connection")), ("ok", None));
    client.send(GET);
    assert_eq!(server.read_request().start, "GET / HTTP/1.1");
}

/// A server that refuses the body answers at once. The client may or may not send it now, so the
/// connection cannot go on, and the client is told.
#[test]
fn a_final_answer_instead_of_continue_ends_the_connection() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    for sends_body in [false, true] {
        let mut client = gateway.connect();
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        let mut server = upstream.accept();
        server.read_head();
        server.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
        let answer = client.read_response();
        assert_eq!((answer.status(), answer.text()), (413, "big"));
        assert_eq!(answer.field("connection"), Some("close"));
        if sends_body {
            client.send("hello");
        }
        assert_eq!(client.read_end(), End::Fin);
        server.read_end();
        assert_eq!(server.unread(), b"");
    }
}

#[test]
fn interim_responses_leave_before_the_final_one() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    assert_eq!(client.read_head().status(), 103);
    client.expect_silence();
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
}

/// Interim responses without end are not a way to hold memory.
#[test]
fn interim_responses_may_be_many() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(5000);
    server.send(hints.clone() + OK);
    assert!(client.read(hints.len()) == hints.as_bytes(), "{}", client.transcript());
    assert_eq!(client.read_response().text(), "ok");
}

/// A client that does not read them stops its server, as with any other bytes.
#[test]
fn interim_responses_wait_for_a_client_that_does_not_read() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let before = gateway.memory_peak();
    let mut client = gateway.connect();
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(25_000);
    server.stream().set_nonblocking(true).expect("a socket");
    let stopped = (0..64).any(|_| server.try_send(&hints).is_err());
    assert!(stopped, "64 MiB of interim responses were taken for a client that reads nothing");
    let grown = gateway.memory_peak().saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "the gateway grew by {grown} bytes");
    assert!(client.read_until("\r\n\r\n").starts_with(b"HTTP/1.1 103 "));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    let bodies = [
        "POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /3 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ];
    client.send(bodies.concat());
    let mut server = upstream.accept();
    for number in 0..5 {
        let request = server.read_request();
        assert!(request.start.contains(&format!(" /{number} ")), "{}", request.start);
        assert_eq!(request.text(), if number < 2 { "abc" } else { "" });
        // The next one comes when this one is answered, and no sooner.
        assert_eq!(server.unread(), b"");
        server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-Number: {number}\r\n\r\n"));
        if number != 3 {
            server.send(number.to_string());
        }
    }
    for number in 0..5 {
        let head = client.read_head();
        assert_eq!(head.field("x-number"), Some(&*number.to_string()));
        if number != 3 {
            assert_eq!(client.read(1), number.to_string().as_bytes());
        }
    }
    assert_eq!(client.unread(), b"");
}

#[test]
fn hundreds_of_requests_may_come_in_one_write() {
    let address = Upstream::serve(|mut server| {
        loop {
            let request = server.read_request();
            let target = request.start.split(' ').nth(1).expect("a target").to_owned();
            let length = target.len();
            server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}"));
        }
    });
    let gateway = Gateway::to(address);
    let mut client = gateway.connect();
    let requests: String = (0..500)
        .map(|number| match number % 3 {
            0 => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"),
            _ => format!("GET /{number} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(number)),
        })
        .collect();
    assert!(requests.len() > 4 * 16 * 1024, "more than a few buffers");
    client.send(requests);
    for number in 0..500 {
        assert_eq!(client.read_response().text(), format!("/{number}"));
    }
}

/// Some clients send an empty line behind a body. It begins no request that could be late.
#[test]
fn an_empty_line_behind_a_body_is_not_a_late_head() {
    let upstream = Upstream::listen();
    let timeouts = "head = \"50ms\"".to_owned();
    let gateway = Config { timeouts, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    let mut server = None;
    for end in ["hi\r\n", "hi"] {
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{end}"));
        let server = server.get_or_insert_with(|| upstream.accept());
        assert_eq!(server.read_request().text(), "hi");
        server.send(OK);
        assert_eq!(client.read_response().text(), "ok");
        client.expect_silence();
    }
}

/// What a client asks, whether its connection is kept, and the answer's Connection field.
const KEEPING: &[(&str, bool, Option<&str>)] = &[
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, None),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true, None),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, Some("close")),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false, Some("close")),
    ("GET / HTTP/1.0\r\n\r\n", false, Some("close")),
    ("GET / HTTP/1.0\r\nConnection: close\r\n\r\n", false, Some("close")),
    ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, Some("keep-alive")),
    ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, Some("close")),
];

#[test]
fn connections_of_clients_are_kept_as_they_ask() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut server = None;
    for (request, kept, field) in KEEPING {
        let mut client = gateway.connect();
        client.send(request);
        // The server's connection is kept in any case: it is another one.
        let server = server.get_or_insert_with(|| upstream.accept());
        server.read_request();
        server.send(OK);
        let answer = client.read_response();
        assert_eq!(answer.field("connection"), *field, "{request:?}");
        if *kept {
            client.send(request);
            server.read_request();
            server.send(OK);
            assert_eq!(client.read_response().text(), "ok", "{request:?}");
        } else {
            assert_eq!(client.read_end(), End::Fin, "{request:?}");
        }
    }
}

/// The last bytes of a connection are handed to the kernel with the promise of a FIN behind them.
/// Were it not kept at once, the kernel would keep them back for 200 ms.
#[test]
fn the_last_bytes_of_a_connection_do_not_wait() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut server = None;
    let streamed = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntoken\r\n";
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 3004\r\n\r\ntoken{}", "-".repeat(2995));
    for (beginning, end) in [
        (streamed, "4\r\nlast\r\n0\r\n\r\n"),
        ("", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ntoken,last"),
        (&long, "last"),
    ] {
        let delays = (0..5).map(|_| {
            let mut client = gateway.connect();
            client.send(KEEPING[2].0);
            let server = server.get_or_insert_with(|| upstream.accept());
            server.read_request();
            if !beginning.is_empty() {
                server.send(beginning);
                client.read_until("token");
            }
            let sent = Instant::now();
            server.send(end);
            client.read_until("last");
            assert_eq!(client.read_end(), End::Fin);
            client.arrival_of("last").saturating_duration_since(sent)
        });
        let least = delays.min().unwrap();
        assert!(least < Duration::from_millis(100), "{end:?}: {least:?}");
    }
    // So is an error of ours: the client is heard on, and nothing more is said.
    let delays = (0..5).map(|_| {
        let mut client = gateway.connect();
        let sent = Instant::now();
        client.send("GET / HTTP/9.9\r\n\r\n");
        assert_eq!(client.read_response().status(), 505);
        assert_eq!(client.read_end(), End::Fin);
        client.arrival_of("505").saturating_duration_since(sent)
    });
    let least = delays.min().unwrap();
    assert!(least < Duration::from_millis(100), "{least:?}");
}

#[test]
fn a_connection_serves_so_many_requests_and_no_more() {
    let upstream = Upstream::listen();
    let limits = "requests_per_connection = 3".to_owned();
    let gateway = Config { limits, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    client.send(GET.repeat(5));
    let mut server = upstream.accept();
    for number in 1..=3 {
        server.read_request();
        server.send(OK);
        let field = (number == 3).then_some("close");
        assert_eq!(client.read_response().field("connection"), field);
    }
    assert_eq!(client.read_end(), End::Fin);
    assert_eq!(client.unread(), b"");
    server.expect_silence();
}

/// One route, `POST` and `PUT` only.
fn picky_gateway(upstream: &Upstream) -> Gateway {
    let route = "path = \"/only\"\nmethods = [\"POST\", \"PUT\"]".to_owned();
    Config { route, ..Config::to(upstream.address()) }.start()
}

#[test]
fn an_unknown_path_or_method_is_answered_here_and_the_connection_goes_on() {
    let upstream = Upstream::listen();
    let gateway = picky_gateway(&upstream);
    let mut client = gateway.connect();
    for (request, status, code, allow) in [
        ("GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404, "no_route", None),
        ("GET /only/more HTTP/1.1\r\nHost: a\r\n\r\n", 404, "no_route", None),
        ("GET /only HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed", Some("POST, PUT")),
        ("post /only HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed", Some("POST, PUT")),
        ("POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 404, "no_route", None),
        (
            "POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            404,
            "no_route",
            None,
        ),
    ] {
        client.send(request);
        let answer = client.read_response();
        assert_eq!(answer.status(), status, "{request:?}");
        assert_eq!(answer.json()["error"]["code"], code, "{request:?}");
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error", "{request:?}");
        assert_eq!(answer.field("allow"), allow, "{request:?}");
        assert_eq!(answer.field("connection"), None, "{request:?}");
        assert!(answer.field("x-request-id").is_some(), "{request:?}");
    }
    // After HEAD the head alone, or the next answer would be read as its body.
    client.send("HEAD /none HTTP/1.1\r\nHost: a\r\n\r\nPOST /only HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_head().status(), 404);
    let mut server = upstream.accept();
    assert_eq!(server.read_request().start, "POST /only HTTP/1.1");
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
}

/// The rest of a body may be long. It is not worth waiting for, and it must not become a request.
#[test]
fn a_refused_request_whose_body_is_still_coming_ends_the_connection() {
    let upstream = Upstream::listen();
    let gateway = picky_gateway(&upstream);
    for head in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let mut client = gateway.connect();
        client.send(format!("POST /none HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n"));
        let answer = client.read_response();
        assert_eq!((answer.status(), answer.field("connection")), (404, Some("close")));
        client.send("POST /only HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".repeat(500));
        assert_eq!(client.read_end(), End::Fin);
        assert_eq!(client.unread(), b"");
    }
    upstream.expect_nobody();
}

#[test]
fn options_for_the_whole_server_end_here() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    let cases = vec![
        ("options-star", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("options-absolute", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    let test = "options_for_the_whole_server_end_here";
    for (row, request) in crate::harness::proven("Request heads: accepted", test, cases) {
        client.send(request);
        let answer = client.read_response();
        assert_eq!(answer.status(), 405, "{}", row.id);
        assert_eq!(answer.json()["error"]["code"], "method_not_allowed", "{}", row.id);
        assert!(answer.field("allow").is_some(), "{}", row.id);
    }
    upstream.expect_nobody();
}

/// The first byte that meets a closed socket calls forth a RST, and with it everything that the
/// client has not read would be at the mercy of its kernel.
#[test]
fn a_cut_answer_ends_without_a_reset_for_a_client_that_goes_on_sending() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
    let mut server = upstream.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    client.read_until("one\r\n");
    server.reset();
    gateway.wait_for_log("cut short");
    for _ in 0..20 {
        client.send("x".repeat(10_000));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(client.read_end(), End::Fin);
    assert!(client.unread().is_empty(), "no clean end: {}", client.transcript());
}
