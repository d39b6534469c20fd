//! What a message looks like on the other side of the gateway, byte by byte.

use std::time::Duration;

use crate::harness::{Config, End, Gateway, Upstream, proven};

/// A request: its row, the rule for forwarded fields, what the client sends, what the server gets.
/// Behind the latter stand the two fields that every request gains.
const REQUESTS: &[(&str, &str, &str, &str)] = &[
    (
        "target-kept",
        "off",
        "GET //a%20b/?b=%zz HTTP/1.1\r\nHost: h\r\n",
        "GET //a%20b/?b=%zz HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "target-rewritten",
        "off",
        "GET /old/b?c HTTP/1.1\r\nHost: h\r\n",
        "GET /new/b?c HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "target-rewritten",
        "off",
        "GET /exact?c HTTP/1.1\r\nHost: h\r\n",
        "GET /other?c HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "query-empty-kept",
        "off",
        "GET /a? HTTP/1.1\r\nHost: h\r\n",
        "GET /a? HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "absolute-to-origin",
        "off",
        "GET http://b:1/c?d HTTP/1.1\r\nHost: h\r\n",
        "GET /c?d HTTP/1.1\r\nHost: b:1\r\n",
    ),
    (
        "host-replaced",
        "off",
        "GET /fixed HTTP/1.1\r\nA: 1\r\nHost: h\r\n",
        "GET /fixed HTTP/1.1\r\nHost: fixed.example\r\nA: 1\r\n",
    ),
    (
        "host-replaced",
        "off",
        "GET /endpoint HTTP/1.1\r\nA: 1\r\nHost: h\r\n",
        "GET /endpoint HTTP/1.1\r\nHost: {endpoint}\r\nA: 1\r\n",
    ),
    (
        "http10-becomes-http11",
        "off",
        "GET /fixed HTTP/1.0\r\n",
        "GET /fixed HTTP/1.1\r\nHost: fixed.example\r\n",
    ),
    (
        "http10-becomes-http11",
        "off",
        "GET /preserve HTTP/1.0\r\n",
        "GET /preserve HTTP/1.1\r\nHost: {endpoint}\r\n",
    ),
    (
        "leading-crlf-dropped",
        "off",
        "\r\nGET / HTTP/1.1\r\nHost: h\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "untouched",
        "off",
        "GET / HTTP/1.1\r\nAccept: */*\r\nHost: h\r\nCookie:a=b\r\nX-Empty:\r\nX-OWS: \t x \t\r\nX: 1\r\nX: 2\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nCookie:a=b\r\nX-Empty:\r\nX-OWS: \t x \t\r\nX: 1\r\nX: 2\r\n",
    ),
    (
        "hop-by-hop",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nConnection: keep-alive\r\nKeep-Alive: timeout=1\r\nProxy-Connection: x\r\nB: 2\r\nProxy-Authorization: x\r\nProxy-Authenticate: x\r\nTE: gzip\r\nC: 3\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\n",
    ),
    (
        "connection-listed-dropped",
        "off",
        "GET / HTTP/1.1\r\nx-b: 2\r\nHost: h\r\nConnection: X-B\r\nC: 3\r\nX-B: 4\r\nD: 5\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nC: 3\r\nD: 5\r\n",
    ),
    (
        "framing-length-kept",
        "off",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n",
    ),
    (
        "framing-chunked-kept",
        "off",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n",
    ),
    (
        "trailers-asked",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n",
    ),
    (
        "upgrade-passed",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nConnection: upgrade\r\n",
    ),
    (
        "upgrade-and-trailers",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, TE\r\nUpgrade: x\r\nTE: trailers\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nTE: trailers\r\nConnection: TE, upgrade\r\n",
    ),
    (
        "upgrade-unlisted-dropped",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "upgrade-h2c-dropped",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "lookalikes-dropped",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nX_Request_Id: x\r\nProxy_Authorization: x\r\nX_Sluice_Upstream: x\r\nA_B: 1\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA_B: 1\r\n",
    ),
    (
        "expect-passed",
        "off",
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n",
    ),
    (
        "expect-needless-dropped",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n",
    ),
    ("request-id-once", "off", "GET / HTTP/1.1\r\nHost: h\r\n", "GET / HTTP/1.1\r\nHost: h\r\n"),
    (
        "via-appended",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 fred\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 fred\r\n",
    ),
    (
        "forwarded-append-none",
        "append",
        "GET / HTTP/1.1\r\nHost: h:1\r\n",
        "GET / HTTP/1.1\r\nHost: h:1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:1\r\n",
    ),
    (
        "forwarded-append-none",
        "append",
        "GET /fixed HTTP/1.1\r\nHost: h:1\r\n",
        "GET /fixed HTTP/1.1\r\nHost: fixed.example\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:1\r\n",
    ),
    (
        "forwarded-append",
        "append",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: for=e\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: for=e\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.1\r\n",
    ),
    (
        "forwarded-append-listed",
        "append",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: X-Forwarded-For\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n",
    ),
    (
        "forwarded-replace",
        "replace",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nX_Forwarded_Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: for=e\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n",
    ),
    (
        "forwarded-off",
        "off",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nForwarded: for=e\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nForwarded: for=e\r\n",
    ),
];

/// Routes and upstreams with every way to rewrite, all to one server.
fn rewriting_gateway(upstream: &Upstream, forwarded: &str) -> Gateway {
    let address = upstream.address();
    let more = format!(
        r#"
        [[upstream]]
        name = "fixed"
        endpoints = ["{address}"]
        host = "fixed.example"
        [[upstream]]
        name = "endpoint"
        endpoints = ["{address}"]
        host = "endpoint"
        [[route]]
        path = "/fixed"
        upstream = "fixed"
        [[route]]
        path = "/endpoint"
        upstream = "endpoint"
        [[route]]
        path = "/old/*"
        upstream = "scripted"
        rewrite = "/new/*"
        [[route]]
        path = "/exact"
        upstream = "scripted"
        rewrite = "/other"
        "#
    );
    let server = format!("forwarded = \"{forwarded}\"");
    Config { server, more, ..Config::to(address) }.start()
}

#[test]
fn requests_arrive_rewritten() {
    let rows = REQUESTS.iter().map(|(id, rule, before, after)| (*id, (*rule, *before, *after)));
    let rows = proven("Requests: rewritten", "requests_arrive_rewritten", rows.collect());
    let upstream = Upstream::listen();
    for rule in ["off", "append", "replace"] {
        let gateway = rewriting_gateway(&upstream, rule);
        for (row, (_, before, after)) in rows.iter().filter(|(_, (of, ..))| *of == rule) {
            let mut client = gateway.connect();
            client.send(format!("{before}X-Request-Id: id-1\r\n\r\n"));
            let mut server = upstream.accept();
            let version = if before.contains("HTTP/1.0") { "1.0" } else { "1.1" };
            let expected = format!(
                "{}Via: {version} sluicegate\r\nX-Request-Id: id-1\r\n\r\n",
                after.replace("{endpoint}", &upstream.address().to_string())
            );
            server.read_until("\r\n\r\n");
            let got = String::from_utf8_lossy(server.received()).into_owned();
            assert_eq!(got, expected, "{}", row.id);
            server.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            assert_eq!(client.read_response().field("x-request-id"), Some("id-1"), "{}", row.id);
        }
    }
}

/// An id that was made here is told to both sides, and no two are the same.
#[test]
fn a_request_without_an_id_gets_one() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    let mut ids = Vec::new();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut server = upstream.accept();
        let given = server.read_request().field("x-request-id").expect("an id").to_owned();
        server.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        assert_eq!(client.read_response().field("x-request-id"), Some(&*given));
        ids.push(given);
    }
    client.send("BAD\r\n\r\n");
    assert_eq!(client.read_response().status(), 400);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

/// A response: its row, what the client asks, what the server says, what the client gets, where
/// `{ours}` stands for the fields that every response gains.
const RESPONSES: &[(&str, &str, &str, &str)] = &[
    (
        "response-untouched",
        "GET / HTTP/1.1",
        "HTTP/1.1 200 Fine by me\r\nA:1\r\nContent-Length: 2\r\nA: 2\r\nB: \t3 \r\n\r\nok",
        "HTTP/1.1 200 Fine by me\r\nA:1\r\nContent-Length: 2\r\nA: 2\r\nB: \t3 \r\n{ours}\r\nok",
    ),
    (
        "response-chunked-kept",
        "GET / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n02;a=b\r\nok\r\n00\r\nX: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n{ours}\r\n02;a=b\r\nok\r\n00\r\nX: 1\r\n\r\n",
    ),
    (
        "response-hop-by-hop",
        "GET / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nConnection: close, x-a\r\nKeep-Alive: timeout=5\r\nX-A: 1\r\nUpgrade: x\r\nProxy-Authenticate: x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{ours}\r\n",
    ),
    (
        "response-lookalikes-dropped",
        "GET / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nX_Request_Id: x\r\nX_Sluice_Upstream: x\r\nA: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 0\r\n{ours}\r\n",
    ),
    (
        "response-listed-length-kept",
        "GET / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{ours}\r\nok",
    ),
    (
        "response-until-close-to-chunked",
        "GET / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nA: 1\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n{ours}\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "response-until-close-to-chunked",
        "GET / HTTP/1.1",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVia: 1.0 sluicegate\r\nX-Request-Id: id-1\r\n\r\n0\r\n\r\n",
    ),
    (
        "response-chunked-to-http10",
        "GET / HTTP/1.0",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nhel\r\n2\r\nlo\r\n0\r\nX: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\n{ours}Connection: close\r\n\r\nhello",
    ),
    (
        "response-chunked-to-http10",
        "GET / HTTP/1.0\r\nConnection: keep-alive",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n{ours}Connection: close\r\n\r\nhello",
    ),
    (
        "response-http10-kept-alive",
        "GET / HTTP/1.0\r\nConnection: keep-alive",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{ours}Connection: keep-alive\r\n\r\nok",
    ),
    (
        "response-204",
        "GET / HTTP/1.1",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nTransfer-X: 1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-X: 1\r\n{ours}\r\n",
    ),
    (
        "response-204",
        "GET / HTTP/1.1",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n{ours}\r\n",
    ),
    (
        "response-304",
        "GET / HTTP/1.1",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n{ours}\r\n",
    ),
    (
        "response-interim",
        "GET / HTTP/1.1",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 OK\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 OK\r\n{ours}\r\n",
    ),
    (
        "response-interim",
        "GET / HTTP/1.0",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 OK\r\n\r\n",
        "HTTP/1.1 204 OK\r\n{ours}Connection: close\r\n\r\n",
    ),
    (
        "response-switching",
        "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\nSec-X: k\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nSec-X: k\r\nConnection: upgrade\r\n\r\n",
    ),
    (
        "response-upgrade-required",
        "GET / HTTP/1.1",
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n{ours}Connection: upgrade\r\n\r\n",
    ),
    (
        "response-event-stream",
        "GET / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nX-Accel-Buffering: yes\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\nX-Accel-Buffering: no\r\n{ours}\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n",
    ),
    (
        "response-request-id-kept",
        "GET / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\nVia: 1.1 sluicegate\r\n\r\n",
    ),
    (
        "response-http10-upstream",
        "GET / HTTP/1.1",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nVia: 1.0 sluicegate\r\nX-Request-Id: id-1\r\n\r\n",
    ),
    (
        "response-no-reason",
        "GET / HTTP/1.1",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n{ours}\r\n",
    ),
    (
        "response-head",
        "HEAD / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{ours}\r\n",
    ),
    (
        "response-head",
        "HEAD / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{ours}\r\n",
    ),
    (
        "response-head",
        "HEAD / HTTP/1.0\r\nConnection: keep-alive",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n{ours}Connection: keep-alive\r\n\r\n",
    ),
    (
        "response-head",
        "HEAD / HTTP/1.1",
        "HTTP/1.1 200 OK\r\nA: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: 1\r\n{ours}\r\n",
    ),
];

const DATE_LENGTH: usize = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".len();

/// An answer without the one line that says when it was made.
fn without_date(answer: &str) -> String {
    let (before, rest) = answer.split_once("Date: ").expect("a date");
    let (date, after) = rest.split_once("\r\n").expect("a line");
    assert_eq!((date.len(), &date[date.len() - 4..]), (29, " GMT"), "{date}");
    assert!(!after.contains("Date: "), "{answer}");
    [before, after].concat()
}

/// Seconds since 1970 of a `Date`, by the system's own reckoning.
fn unix(date: &str) -> i64 {
    let told = std::process::Command::new("date").args(["-u", "-d", date, "+%s"]).output();
    String::from_utf8(told.expect("date(1)").stdout).expect("text").trim().parse().expect(date)
}

#[test]
fn an_answer_says_when_it_was_made() {
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() as i64;
    let began = now();
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    let mut dates = Vec::new();
    for status in ["200 OK", "404 Not Found", "503 Busy"] {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut server = upstream.accept();
        server.read_request();
        server.send(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.read_response();
        let all = answer.all("date");
        assert_eq!(all.len(), 1, "{answer:?}");
        dates.push(all[0].to_owned());
    }
    // Answers of our own.
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n");
    for _ in 0..2 {
        let answer = client.read_response();
        dates.push(answer.field("date").expect("a date").to_owned());
    }
    for date in dates {
        let told = unix(&date);
        assert!((began - 1..=now() + 1).contains(&told), "{date}");
    }
}

#[test]
fn responses_arrive_rewritten() {
    let rows = RESPONSES.iter().map(|(id, asked, before, after)| (*id, (*asked, *before, *after)));
    let rows = proven("Responses: rewritten", "responses_arrive_rewritten", rows.collect());
    for (row, (asked, before, after)) in rows {
        let until_close = !before.contains("Length") && !before.contains("hunked");
        for pieces in [1, 2, usize::MAX] {
            let upstream = Upstream::listen();
            let gateway = Gateway::to(upstream.address());
            let mut client = gateway.connect();
            client.send(format!("{asked}\r\nHost: a\r\nX-Request-Id: id-1\r\n\r\n"));
            let mut server = upstream.accept();
            server.read_request();
            let length = before.len().div_ceil(pieces).max(1);
            // Bytes that come close are one chunk or several: the body is sent in one piece.
            let (head, body) = before.split_once("\r\n\r\n").expect("a head");
            let cut = if until_close { head.len() } else { before.len() };
            for piece in before.as_bytes()[..cut].chunks(length) {
                server.send(piece);
                std::thread::sleep(Duration::from_micros(50));
            }
            if until_close {
                server.send(format!("\r\n\r\n{body}"));
                server.finish();
            }
            let ours = "Via: 1.1 sluicegate\r\nX-Request-Id: id-1\r\n";
            let served = "X-Sluice-Upstream: scripted\r\nX-Sluice-Attempts: 1\r\nVia: 1.";
            let expected = after.replace("{ours}", ours).replace("Via: 1.", served);
            // Where a final answer came without a date, ours stands in it.
            let dated = !before.contains("\r\nDate: ") && !after.contains(" 101 ");
            let got = client.read(expected.len() + if dated { DATE_LENGTH } else { 0 });
            let got = String::from_utf8_lossy(&got).into_owned();
            let got = if dated { without_date(&got) } else { got };
            assert_eq!(got, expected, "{}", row.id);
            if after.contains("Connection: close") {
                assert_eq!(client.read_end(), End::Fin, "{}", row.id);
                assert_eq!(client.unread(), b"", "{}", row.id);
            }
        }
    }
}
