//! What looks like an attack and is a request: the server receives one, to the byte, and what is
//! behind it only when it has answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::harness::{End, Gateway, Message, Peer, Upstream, proven};

/// Stands in bodies. Nobody may take it for a request.
const BODY: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
const SECOND: &str = "GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A request, and what the server must and must not find in it.
pub struct Suspicious {
    pub request: String,
    wanted: &'static [&'static str],
    unwanted: &'static [&'static str],
}

type Named = (&'static str, Suspicious);

/// A request whose body looks like another one.
fn with_length(
    id: &'static str,
    start: &str,
    wanted: &'static [&'static str],
    unwanted: &'static [&'static str],
) -> Named {
    let length = BODY.len();
    let request = format!("{start}Content-Length: {length}\r\n\r\n{BODY}");
    (id, Suspicious { request, wanted, unwanted })
}

/// The same, in a chunk.
fn with_chunk(id: &'static str, start: &str, wanted: &'static [&'static str]) -> Named {
    let (length, field) = (BODY.len(), "Transfer-Encoding: chunked");
    let request = format!("{start}{field}\r\n\r\n{length:x}\r\n{BODY}\r\n0\r\n\r\n");
    (id, Suspicious { request, wanted, unwanted: &["Content-Length"] })
}

/// A GET with these fields and no body.
fn bare(
    id: &'static str,
    fields: &str,
    wanted: &'static [&'static str],
    unwanted: &'static [&'static str],
) -> Named {
    let request = format!("GET /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    (id, Suspicious { request, wanted, unwanted })
}

/// A GET of this target.
fn target(id: &'static str, target: &str, wanted: &'static [&'static str]) -> Named {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    (id, Suspicious { request, wanted, unwanted: &[] })
}

const POST: &str = "POST /a HTTP/1.1\r\nHost: a\r\n";

fn bodies() -> Vec<Named> {
    let long = format!("{POST}Content-Length0{}:\r\n", "a".repeat(255));
    let close = "Connection: keep-alive\r\nConnection: close\r\n";
    vec![
        with_length("body-get", "GET /a HTTP/1.1\r\nHost: a\r\n", &["GET /a H", "Length: 33"], &[]),
        with_length("body-options", "OPTIONS /a HTTP/1.1\r\nHost: a\r\n", &["Length: 33"], &[]),
        with_length("body-delete", "DELETE /a HTTP/1.1\r\nHost: a\r\n", &["Length: 33"], &[]),
        with_length("body-trace", "TRACE /a HTTP/1.1\r\nHost: a\r\n", &["Length: 33"], &[]),
        with_length("body-small-letters", "get /a HTTP/1.1\r\nHost: a\r\n", &["get /a H"], &[]),
        with_length("body-http10", "POST /a HTTP/1.0\r\n", &["POST /a HTTP/1.1\r\n"], &[]),
        with_length("body-close", &format!("{POST}{close}"), &["Length: 33"], &["onnection:"]),
        with_length("cl-long-name", &long, &["Length: 33", "Content-Length0aaa"], &[]),
        with_length("cl-plural", &format!("{POST}Content-Lengths: 0\r\n"), &["Length: 33"], &[]),
        with_length("cl-prefixed", &format!("{POST}X-Content-Length: 0\r\n"), &["h: 33"], &[]),
        with_length(
            "te-one-word",
            &format!("{POST}TransferEncoding: chunked\r\n"),
            &["h: 33"],
            &[],
        ),
        with_length(
            "te-prefixed",
            &format!("{POST}X-Transfer-Encoding: chunked\r\n"),
            &["h: 33"],
            &[],
        ),
        with_length("te-dotted", &format!("{POST}Transfer.Encoding: chunked\r\n"), &["h: 33"], &[]),
        with_length("te-short", &format!("{POST}TE: chunked\r\n"), &["h: 33"], &["TE:", "chunked"]),
        with_length(
            "te-in-value",
            &format!("{POST}X: \u{85}Transfer-Encoding: chunked\r\n"),
            &["h: 33", "\r\nX: \u{85}Transfer-Encoding: chunked\r\n"],
            &[],
        ),
        with_length(
            "upgrade-with-body",
            &format!("{POST}Connection: upgrade\r\nUpgrade: x\r\n"),
            &["h: 33", "\r\nUpgrade: x\r\n"],
            &[],
        ),
        with_length(
            "h2c-with-body",
            &format!("{POST}Connection: upgrade\r\nUpgrade: h2c\r\n"),
            &["h: 33"],
            &["h2c", "pgrade"],
        ),
        with_chunk("chunk-get", "GET /a HTTP/1.1\r\nHost: a\r\n", &["GET /a H"]),
        with_chunk("chunk-options", "OPTIONS /a HTTP/1.1\r\nHost: a\r\n", &["OPTIONS /a H"]),
        with_chunk("chunk-post", POST, &["21\r\nGET /hidden HTTP/1.1"]),
        with_chunk("chunk-announced", &format!("{POST}Trailer: X\r\n"), &["21\r\nGET /hidden"]),
        (
            "chunk-holds-end",
            Suspicious {
                request: format!(
                    "{POST}Transfer-Encoding: chunked\r\n\r\n{:X};a=\"\\\"\"\r\n0\r\n\r\n{BODY}\r\n000\r\nX: y\r\n\r\n",
                    BODY.len() + 5
                ),
                wanted: &["26;a=\"\\\"\"\r\n0\r\n\r\nGET /hidden", "\r\n000\r\nX: y\r\n\r\n"],
                unwanted: &[],
            },
        ),
        (
            "http10-no-length",
            Suspicious {
                request: format!("POST /a HTTP/1.0\r\nHost: a\r\n\r\n{BODY}"),
                wanted: &["POST /a HTTP/1.1\r\n"],
                unwanted: &["Content-Length"],
            },
        ),
    ]
}

fn fields() -> Vec<Named> {
    let h2c = "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nUpgrade:";
    let gone = &["pgrade", "HTTP2", "h2c"][..];
    vec![
        bare("h2c", &format!("Connection: Upgrade, HTTP2-Settings\r\n{h2c} h2c\r\n"), &[], gone),
        bare("h2c-unlisted-settings", &format!("Connection: Upgrade\r\n{h2c} h2c\r\n"), &[], gone),
        bare("h2c-in-list", &format!("Connection: upgrade\r\n{h2c} websocket, h2c\r\n"), &[], gone),
        bare("h2c-second", "Connection: upgrade\r\nUpgrade: x\r\nUpgrade: h2c\r\n", &[], gone),
        bare("h2c-unlisted", &format!("{h2c} h2c\r\n"), &[], gone),
        bare(
            "websocket-wrong-version",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1777\r\n",
            &["Upgrade: websocket", "Sec-WebSocket-Version: 1777"],
            &[],
        ),
        bare("upgrade-declined", "Connection: Upgrade\r\nUpgrade: foo\r\n", &["Upgrade: foo"], &[]),
        bare(
            "listed-authorization",
            "Authorization: Bearer a\r\nConnection: close, authorization\r\n",
            &["GET /a H"],
            &["uthorization", "onnection:"],
        ),
        bare(
            "listed-cookie",
            "Connection: cookie\r\nCookie: a=b\r\nCOOKIE: c=d\r\n",
            &["GET /a H"],
            &["ookie", "COOKIE", "onnection:"],
        ),
        bare(
            "listed-forwarded",
            "X-Forwarded-For: 10.0.0.1\r\nConnection: x-forwarded-for\r\n",
            &["X-Forwarded-For: 127.0.0.1\r\n"],
            &["10.0.0.1"],
        ),
        bare(
            "listed-request-id",
            "Connection: X-Request-Id\r\n",
            &["X-Request-Id: "],
            &["onnection:"],
        ),
        bare("listed-via", "Connection: via\r\nVia: 1.0 x\r\n", &["Via: 1.1 "], &["1.0 x"]),
        bare("listed-nothing", "Connection: ,\r\nConnection:\r\n", &["GET /a H"], &["onnection:"]),
        bare("keep-alive", "Keep-Alive: timeout=999\r\n", &["GET /a H"], &["999"]),
        bare("proxy-connection", "Proxy-Connection: close\r\n", &["GET /a H"], &["onnection:"]),
        bare("proxy-authorization", "Proxy-Authorization: Basic a\r\n", &[], &["uthorization"]),
        bare(
            "lookalike-forwarded",
            "X_Forwarded_For: 10.0.0.1\r\n",
            &["X-Forwarded-For: 10.0.0.1, 127.0.0.1\r\n"],
            &["X_"],
        ),
        bare("lookalike-request-id", "X_Request_Id: one\r\n", &["X-Request-Id"], &["one"]),
        bare("lookalike-keep-alive", "Keep_Alive: 999\r\n", &[], &["999"]),
        bare("lookalike-connection", "Proxy_Connection: close\r\n", &[], &["close"]),
        bare("expect-without-body", "Expect: 100-continue\r\n", &[], &["xpect"]),
        bare("cl-zero", "Content-Length: 0\r\n", &["Content-Length: 0\r\n"], &[]),
    ]
}

fn targets() -> Vec<Named> {
    vec![
        target("absolute-other-host", "http://b:81/admin", &["GET /admin H", "\r\nHost: b:81\r\n"]),
        target("absolute-capitals", "HTTP://B/a", &["GET /a H", "\r\nHost: B\r\n"]),
        target("absolute-tls", "https://b/a", &["GET /a H", "\r\nHost: b\r\n"]),
        target("absolute-in-path", "/http://b/a", &["GET /http://b/a H", "\r\nHost: a\r\n"]),
        target("two-slashes", "//b/a", &["GET //b/a H", "\r\nHost: a\r\n"]),
        target("escaped-twice", "/v1/%252e%252e/a", &["GET /v1/%252e%252e/a H"]),
        target("escaped-crlf-twice", "/a%250d%250aX:y", &["GET /a%250d%250aX:y H"]),
        target("query-crlf", "/a?b=%0d%0aX:y", &["GET /a?b=%0d%0aX:y H"]),
        target(
            "query-request",
            "/a?%20HTTP/1.1%0d%0aHost:b",
            &["GET /a?%20HTTP/1.1%0d%0aHost:b H"],
        ),
        target("query-dots", "/a?/../../b", &["GET /a?/../../b H"]),
    ]
}

/// Every row, and its request.
pub fn suspicious() -> Vec<Named> {
    let all = [bodies(), fields(), targets()];
    all.into_iter().flatten().collect()
}

/// What each connection of a server has received: a request, all its bytes, and whether it came alone.
type Received = Arc<Mutex<Vec<(Message, String, bool)>>>;

/// A server that takes its time before it answers, so that what comes too early is there.
fn recording(received: &Received) -> std::net::SocketAddr {
    let received = Arc::clone(received);
    Upstream::serve(move |mut peer: Peer| {
        let mut before = 0;
        while let Some(request) = peer.next_request() {
            peer.receive(Duration::from_millis(10));
            let alone = peer.unread().is_empty();
            let text = String::from_utf8_lossy(&peer.received()[before..]).into_owned();
            before = peer.received().len();
            let mut all = received.lock().unwrap_or_else(PoisonError::into_inner);
            all.push((request, text, alone));
            drop(all);
            peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    })
}

#[test]
fn what_looks_like_an_attack_is_one_request() {
    let received = Received::default();
    let gateway = Gateway::to(recording(&received));
    for (row, case) in
        proven("Requests that pass", "what_looks_like_an_attack_is_one_request", suspicious())
    {
        received.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut client = gateway.connect();
        client.send(format!("{}{SECOND}", case.request));
        assert_eq!(client.read_response().status(), 204, "{}: {}", row.id, client.transcript());
        // The second is answered too, unless the connection ends with the first.
        while client.wait_end().is_none() {}
        assert_eq!(client.read_end(), End::Fin, "{}", row.id);
        let all = received.lock().unwrap_or_else(PoisonError::into_inner);
        let (request, text, _) = &all[0];
        for wanted in case.wanted {
            assert!(text.contains(wanted), "{}: {wanted:?} is not in {text:?}", row.id);
        }
        for unwanted in case.unwanted {
            assert!(!text.contains(unwanted), "{}: {unwanted:?} is in {text:?}", row.id);
        }
        let (_, body) = case.request.split_once("\r\n\r\n").expect("a head");
        if row.id != "http10-no-length" {
            assert!(text.ends_with(body), "{}: {text:?}", row.id);
            assert_eq!(request.framed, body.as_bytes(), "{}", row.id);
        }
        assert!(all.iter().all(|(.., alone)| *alone), "{}: {all:#?}", row.id);
        let starts: Vec<_> = all[1..].iter().map(|(request, ..)| &*request.start).collect();
        let last = case.request.contains("HTTP/1.0") || case.request.contains("close\r\n");
        let last = last && !case.request.contains("roxy");
        // An offer to upgrade, and a final answer: that connection of the server's is not used again.
        let next: &[&str] =
            if last || row.id == "listed-authorization" { &[] } else { &["GET /second HTTP/1.1"] };
        assert_eq!(starts, next, "{}", row.id);
    }
}
