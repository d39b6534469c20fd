use std::net::Ipv4Addr;

use super::*;
use crate::http::head::{FieldSlots, HeadLimits, ResponseContext, parse_request, parse_response};
use crate::http::lines::decimal;
use crate::http::tests::assert_documented;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 100 };

const EDITS: RequestEdits<'static> = RequestEdits {
    forwarded: Forwarded::Off,
    https: false,
    client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    request_id: b"id-1",
    trace: TraceFields::Pass,
    identity: false,
    withheld: None,
};

const PLAINLY: Opening<'static> =
    Opening { path: None, host: None, length: None, trace: None, first_chunk: 0 };

/// The draft of a request.
fn drafted(input: &str, edits: &RequestEdits<'_>) -> String {
    let mut slots = FieldSlots::new();
    let head = parse_request(input.as_bytes(), &mut slots, &LIMITS)
        .unwrap_or_else(|error| panic!("{input:?}: {error}"))
        .unwrap_or_else(|| panic!("{input:?}: incomplete"));
    let mut out = b"before".to_vec();
    draft(&head, edits, &mut out);
    text_after_before(out)
}

/// The opening of a try, from a draft.
fn opened(draft: &str, try_: &Opening<'_>) -> String {
    let mut out = b"before".to_vec();
    opening(draft.as_bytes(), try_, &mut out);
    text_after_before(out)
}

/// What a server gets that wants nothing of its own.
fn rewritten(input: &str, edits: &RequestEdits<'_>) -> String {
    opened(&drafted(input, edits), &PLAINLY)
}

/// Rewriting appends: what was in the buffer is still there.
fn text_after_before(out: Vec<u8>) -> String {
    let text = String::from_utf8(out).unwrap();
    text.strip_prefix("before").unwrap().to_owned()
}

/// A request with `fields` between its Host and its end, as the upstream gets it.
fn fields_after(fields: &str, edits: &RequestEdits<'_>) -> String {
    let input = format!("GET /a HTTP/1.1\r\nHost: h:1\r\n{fields}\r\n");
    let output = rewritten(&input, edits);
    let fields = output
        .strip_prefix("GET /a HTTP/1.1\r\nHost: h:1\r\n")
        .and_then(|rest| rest.strip_suffix("Via: 1.1 sluicegate\r\nX-Request-Id: id-1\r\n\r\n"));
    fields.unwrap_or_else(|| panic!("{output:?}")).to_owned()
}

#[test]
fn fields_beyond_the_first_word_of_a_set_are_found_too() {
    let others = |range: std::ops::Range<u8>| -> String {
        range.map(|number| format!("Other-{number}: {number}\r\n")).collect()
    };
    let (front, middle, back) = (others(0..60), others(60..70), others(70..80));
    let input = format!(
        "{front}Keep-Alive: x\r\nConnection: own\r\n{middle}TE: x\r\nOwn: x\r\n{back}Own: x\r\n"
    );
    assert_eq!(fields_after(&input, &EDITS), format!("{front}{middle}{back}"));
}

#[test]
fn numbers_are_written_with_all_their_digits() {
    for number in [0, 7, 10, 99, 100, 205, 999, 1_000, 1_005, 60_070, 1_000_000, u64::MAX] {
        let mut out = Vec::new();
        decimal(number, &mut out);
        assert_eq!(String::from_utf8(out), Ok(number.to_string()));
    }
}

#[test]
fn addresses_are_written_as_the_formatter_writes_them() {
    for octet in [0, 9, 10, 99, 100, 107, 200, 255] {
        let v4 = Ipv4Addr::new(octet, 255 - octet, octet, octet / 3);
        let (plain, mapped) = (IpAddr::V4(v4), IpAddr::V6(v4.to_ipv6_mapped()));
        for ip in [plain, mapped] {
            let mut out = Vec::new();
            address(ip, &mut out);
            assert_eq!(String::from_utf8(out), Ok(v4.to_string()));
        }
    }
}

/// The name of the row in `docs/protocol.md`, the fields of a request, and what is left of them.
const REQUEST_FIELDS: &[(&str, &str, &str)] = &[
    (
        "untouched",
        "Accept: */*\r\nCookie:a=b\r\nX-Empty:\r\nX-OWS: \t x \t\r\n",
        "Accept: */*\r\nCookie:a=b\r\nX-Empty:\r\nX-OWS: \t x \t\r\n",
    ),
    (
        "hop-by-hop",
        "A: 1\r\nConnection: close\r\nKeep-Alive: timeout=1\r\nB: 2\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nProxy-Authenticate: x\r\nTE: gzip\r\nC: 3\r\n",
        "A: 1\r\nB: 2\r\nC: 3\r\n",
    ),
    (
        "lookalikes-dropped",
        "A: 1\r\nX_Request_Id: x\r\nx-request_id: x\r\nProxy_Authorization: x\r\nKeep_Alive: x\r\nProxy_Connection: x\r\nHTTP2_Settings: x\r\nX_Sluice_Upstream: x\r\nB: 2\r\nX_Sluice-Attempts: x\r\nX_Accel_Buffering: x\r\nProxy_Authenticate: x\r\nProxy_Authentication_Info: x\r\nContent_Type: c\r\nX_Own_Field: d\r\n",
        "A: 1\r\nB: 2\r\nContent_Type: c\r\nX_Own_Field: d\r\n",
    ),
    (
        "connection-listed-dropped",
        "A: 1\r\nx-b: 2\r\nConnection: X-B, close\r\nC: 3\r\nX-B: 4\r\n",
        "A: 1\r\nC: 3\r\n",
    ),
    ("framing-length-kept", "Content-Length: 5\r\n", "Content-Length: 5\r\n"),
    ("framing-chunked-kept", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n"),
    ("trailers-asked", "TE: trailers\r\nConnection: TE\r\n", "TE: trailers\r\nConnection: TE\r\n"),
    (
        "upgrade-passed",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Key: k\r\nConnection: upgrade\r\n",
    ),
    (
        "upgrade-and-trailers",
        "Connection: Upgrade, TE\r\nUpgrade: x\r\nTE: trailers\r\n",
        "Upgrade: x\r\nTE: trailers\r\nConnection: TE, upgrade\r\n",
    ),
    ("upgrade-unlisted-dropped", "Upgrade: websocket\r\n", ""),
    (
        "upgrade-h2c-dropped",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
        "",
    ),
    (
        "expect-passed",
        "Expect: 100-continue\r\nContent-Length: 1\r\n",
        "Expect: 100-continue\r\nContent-Length: 1\r\n",
    ),
    ("expect-needless-dropped", "Expect: 100-continue\r\n", ""),
    ("request-id-once", "X-Request-Id: theirs\r\nx-request-id: theirs too\r\n", ""),
    ("via-appended", "Via: 1.0 fred\r\n", "Via: 1.0 fred\r\n"),
];

#[test]
fn request_fields_are_rewritten() {
    for (id, before, after) in REQUEST_FIELDS {
        assert_eq!(fields_after(before, &EDITS), *after, "{id}");
    }
}

/// The name of the row in `docs/protocol.md`, the rule, the fields of a request, and what the
/// upstream gets.
const FORWARDED: &[(&str, Forwarded, &str, &str)] = &[
    (
        "forwarded-append-none",
        Forwarded::Append,
        "",
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:1\r\n",
    ),
    (
        "forwarded-append",
        Forwarded::Append,
        "X-Forwarded-For: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nx_forwarded_for: c, d\r\nForwarded: for=e\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: for=e\r\nX-Forwarded-For: a, c, d, 192.0.2.1\r\n",
    ),
    (
        "forwarded-append-listed",
        Forwarded::Append,
        "X-Forwarded-For: a\r\nConnection: X-Forwarded-For\r\n",
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:1\r\n",
    ),
    (
        "forwarded-replace",
        Forwarded::Replace,
        "X-Forwarded-For: a\r\nX_Forwarded_Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: for=e\r\n",
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:1\r\n",
    ),
    (
        "forwarded-off",
        Forwarded::Off,
        "X-Forwarded-For: a\r\nForwarded: for=e\r\n",
        "X-Forwarded-For: a\r\nForwarded: for=e\r\n",
    ),
];

#[test]
fn forwarded_fields_follow_their_rule() {
    for (id, forwarded, before, after) in FORWARDED {
        let edits = RequestEdits { forwarded: *forwarded, ..EDITS };
        assert_eq!(fields_after(before, &edits), *after, "{id}");
    }
}

#[test]
fn a_client_behind_a_mapped_address_is_written_plainly() {
    for (client, written) in [("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::1")] {
        let edits = RequestEdits {
            forwarded: Forwarded::Replace,
            client: client.parse().unwrap(),
            ..EDITS
        };
        let fields = fields_after("", &edits);
        assert!(fields.starts_with(&format!("X-Forwarded-For: {written}\r\n")), "{fields:?}");
    }
}

/// The name of the row in `docs/protocol.md`, the start of a request, a new path, a host, and the
/// start of what the upstream gets.
type LineRow = (
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
    Option<&'static str>,
    &'static str,
);

const LINES: &[LineRow] = &[
    (
        "target-kept",
        "GET /a?b HTTP/1.1\r\nHost: h\r\n",
        None,
        None,
        "GET /a?b HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "target-rewritten",
        "GET /a/b?c HTTP/1.1\r\nHost: h\r\n",
        Some(("/x/", "b")),
        None,
        "GET /x/b?c HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "query-empty-kept",
        "GET /a? HTTP/1.1\r\nHost: h\r\n",
        None,
        None,
        "GET /a? HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "absolute-to-origin",
        "GET http://b:1/c?d HTTP/1.1\r\nHost: h\r\n",
        None,
        None,
        "GET /c?d HTTP/1.1\r\nHost: b:1\r\n",
    ),
    (
        "asterisk-kept",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n",
        Some(("/x", "")),
        None,
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "options-absolute-to-asterisk",
        "OPTIONS http://h HTTP/1.1\r\nHost: h\r\n",
        None,
        None,
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n",
    ),
    (
        "host-replaced",
        "GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\n",
        None,
        Some("up:8081"),
        "GET / HTTP/1.1\r\nHost: up:8081\r\nA: 1\r\n",
    ),
    (
        "http10-becomes-http11",
        "GET / HTTP/1.0\r\n",
        None,
        Some("up"),
        "GET / HTTP/1.1\r\nHost: up\r\nVia: 1.0 sluicegate\r\n",
    ),
    (
        "leading-crlf-dropped",
        "\r\nGET / HTTP/1.1\r\nHost: h\r\n",
        None,
        None,
        "GET / HTTP/1.1\r\nHost: h\r\n",
    ),
];

#[test]
fn request_lines_and_hosts_are_rewritten() {
    for (id, start, path, host, expected) in LINES {
        let wanted = Opening { path: *path, host: host.map(str::as_bytes), ..PLAINLY };
        let output = opened(&drafted(&format!("{start}\r\n"), &EDITS), &wanted);
        assert!(output.starts_with(expected), "{id}: {output:?}");
        assert_eq!(output.matches("Host:").count(), 1, "{id}: {output:?}");
    }
}

#[test]
fn a_rewritten_request_parses_as_it_was_meant() {
    for (_, fields, _) in REQUEST_FIELDS {
        let input = format!("GET /a?b HTTP/1.1\r\nHost: h:1\r\n{fields}\r\n");
        let output = rewritten(&input, &EDITS);
        let (mut one, mut two) = (FieldSlots::new(), FieldSlots::new());
        let before = parse_request(input.as_bytes(), &mut one, &LIMITS).unwrap().unwrap();
        let after = parse_request(output.as_bytes(), &mut two, &LIMITS).unwrap().unwrap();
        assert_eq!(
            (before.framing, before.path, before.query, before.authority, before.upgrade),
            (after.framing, after.path, after.query, after.authority, after.upgrade),
        );
        assert_eq!(after.length, output.len());
        assert_eq!(after.request_id, Some(EDITS.request_id));
        // Nothing changes any more the second time, but for what is added each time.
        assert_eq!(
            rewritten(&output, &EDITS).len(),
            output.len() + "Via: 1.1 sluicegate\r\n".len()
        );
    }
}

fn response_to(
    input: &str,
    context: ResponseContext,
    edit: impl FnOnce(&mut ResponseEdits<'_>),
) -> String {
    let mut slots = FieldSlots::new();
    let head = parse_response(input.as_bytes(), &mut slots, &LIMITS, &context)
        .unwrap_or_else(|error| panic!("{input:?}: {error}"))
        .unwrap_or_else(|| panic!("{input:?}: incomplete"));
    let mut edits = ResponseEdits {
        client: Version::Http11,
        connection: ConnectionField::KeepAlive,
        framing: head.framing,
        head_request: context.head_request,
        request_id: b"id-1",
        date: DATE,
        served: None,
        timing: None,
    };
    edit(&mut edits);
    let mut out = b"before".to_vec();
    response(&head, &edits, &mut out);
    let text = text_after_before(out);
    // Ours stands where none came, in a final answer; the tables below are about the others.
    let ours = std::str::from_utf8(DATE).unwrap();
    let expected = head.status >= 200 && !head.has_date;
    assert_eq!(text.matches(ours).count(), usize::from(expected), "{text}");
    text.replace(ours, "")
}

const DATE: &DateLine = b"Date: Mon, 07 Nov 1994 00:00:00 GMT\r\n";

#[test]
fn an_answer_has_a_date_its_own_or_ours() {
    let theirs =
        "HTTP/1.1 200 OK\r\nDATE: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n";
    let text = response_to(theirs, PLAIN, |_| {});
    assert!(text.contains("\r\nDATE: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "{text}");
    assert_eq!(text.to_ascii_lowercase().matches("date:").count(), 1, "{text}");
    // `response_to` looks for ours.
    for status in ["200 OK", "204 No Content", "304 Not Modified", "404 Not Found", "503 Busy"] {
        response_to(&format!("HTTP/1.1 {status}\r\n\r\n"), PLAIN, |_| {});
    }
    for interim in ["100 Continue", "103 Early Hints"] {
        response_to(&format!("HTTP/1.1 {interim}\r\n\r\n"), PLAIN, |_| {});
    }
}

const PLAIN: ResponseContext = ResponseContext { head_request: false, upgrade_asked: true };

#[test]
fn the_fields_of_a_trace_are_the_clients_or_leave_room_for_ours() {
    let theirs = "A: 1\r\nTraceparent: x\r\nTraceState: x=1\r\ntracestate: y=2\r\n";
    for (trace, kept) in [
        (TraceFields::Pass, theirs),
        (TraceFields::KeepState, "A: 1\r\nTraceState: x=1\r\ntracestate: y=2\r\n"),
        (TraceFields::Drop, "A: 1\r\n"),
    ] {
        assert_eq!(fields_after(theirs, &RequestEdits { trace, ..EDITS }), kept, "{trace:?}");
    }
}

#[test]
fn an_answer_that_must_not_be_compressed_is_asked_for_in_one_field() {
    let theirs = "Accept-Encoding: gzip\r\nA: 1\r\naccept-encoding:br\r\nAccept: */*\r\n";
    let input = format!("GET /a HTTP/1.1\r\nHost: h:1\r\n{theirs}\r\n");
    assert_eq!(
        rewritten(&input, &RequestEdits { identity: true, ..EDITS }),
        "GET /a HTTP/1.1\r\nHost: h:1\r\nA: 1\r\nAccept: */*\r\nVia: 1.1 sluicegate\r\n\
         X-Request-Id: id-1\r\nAccept-Encoding: identity\r\n\r\n"
    );
}

/// The name of the row in `docs/protocol.md`, a response, what to change, and what the client gets.
type ResponseRow = (&'static str, &'static str, fn(&mut ResponseEdits<'_>), &'static str);

const OURS: &str = "Via: 1.1 sluicegate\r\nX-Request-Id: id-1\r\n";

/// `{ours}` stands for the fields every final response gains.
const RESPONSES: &[ResponseRow] = &[
    (
        "response-untouched",
        "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 5\r\nB: 2\r\n",
        |_| {},
        "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 5\r\nB: 2\r\n{ours}",
    ),
    (
        "response-chunked-kept",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n",
        |_| {},
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n{ours}",
    ),
    (
        "response-hop-by-hop",
        "HTTP/1.1 200 OK\r\nConnection: close, x-a\r\nKeep-Alive: timeout=5\r\nX-A: 1\r\nUpgrade: x\r\nProxy-Authenticate: x\r\nContent-Length: 0\r\n",
        |_| {},
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{ours}",
    ),
    (
        "response-lookalikes-dropped",
        "HTTP/1.1 200 OK\r\nX_Request_Id: x\r\nX_Sluice_Upstream: x\r\nA: 1\r\nX-Sluice_Attempts: x\r\nKeep_Alive: x\r\nProxy_Authenticate: x\r\nX_Accel_Buffering: x\r\nX_Own_Field: b\r\nContent-Length: 0\r\n",
        |_| {},
        "HTTP/1.1 200 OK\r\nA: 1\r\nX_Own_Field: b\r\nContent-Length: 0\r\n{ours}",
    ),
    (
        "response-date",
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: date\r\nContent-Length: 0\r\n",
        |_| {},
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n{ours}",
    ),
    (
        "response-listed-length-kept",
        "HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 5\r\n",
        |_| {},
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{ours}",
    ),
    (
        "response-until-close-to-chunked",
        "HTTP/1.1 200 OK\r\nA: 1\r\n",
        |edits| edits.framing = Framing::Chunked,
        "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n{ours}",
    ),
    (
        "response-chunked-to-http10",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
        |edits| {
            edits.framing = Framing::UntilClose;
            edits.client = Version::Http10;
            edits.connection = ConnectionField::Close;
        },
        "HTTP/1.1 200 OK\r\n{ours}Connection: close\r\n",
    ),
    (
        "response-http10-kept-alive",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
        |edits| edits.client = Version::Http10,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{ours}Connection: keep-alive\r\n",
    ),
    (
        "response-length-to-chunked",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        |edits| edits.framing = Framing::Chunked,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{ours}",
    ),
    (
        "response-length-corrected",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
        |edits| edits.framing = Framing::Length(7),
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n{ours}",
    ),
    (
        "response-204",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nTransfer_X: 1\r\n",
        |_| {},
        "HTTP/1.1 204 No Content\r\nTransfer_X: 1\r\n{ours}",
    ),
    (
        "response-304",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n",
        |_| {},
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n{ours}",
    ),
    (
        "response-interim",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n",
        |_| {},
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n",
    ),
    (
        "response-switching",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: k\r\n",
        |edits| edits.connection = ConnectionField::Upgrade,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: k\r\nConnection: upgrade\r\n",
    ),
    (
        "response-upgrade-required",
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\nContent-Length: 0\r\n",
        |_| {},
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0\r\nContent-Length: 0\r\n{ours}Connection: upgrade\r\n",
    ),
    (
        "response-upgrade-required",
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
        |edits| edits.connection = ConnectionField::Close,
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n{ours}Connection: close\r\nConnection: upgrade\r\n",
    ),
    (
        "response-event-stream",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: yes\r\nTransfer-Encoding: chunked\r\n",
        |_| {},
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Accel-Buffering: no\r\n{ours}",
    ),
    (
        "response-timing",
        "HTTP/1.1 200 OK\r\nServer-Timing: theirs;dur=1\r\nContent-Length: 0\r\n",
        |edits| {
            edits.timing = Some(ServerTiming {
                queue: Duration::ZERO,
                connect: Duration::from_micros(45),
                upstream: Duration::from_micros(1_234_567),
                total: Duration::from_secs(2),
            });
        },
        "HTTP/1.1 200 OK\r\nServer-Timing: theirs;dur=1\r\nContent-Length: 0\r\nServer-Timing: queue;dur=0.000, connect;dur=0.045, upstream;dur=1234.567, total;dur=2000.000\r\n{ours}",
    ),
    (
        "response-request-id-kept",
        "HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n",
        |_| {},
        "HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\nVia: 1.1 sluicegate\r\n",
    ),
    (
        "response-http10-upstream",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n",
        |_| {},
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nVia: 1.0 sluicegate\r\nX-Request-Id: id-1\r\n",
    ),
    (
        "response-no-reason",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n",
        |_| {},
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n{ours}",
    ),
];

#[test]
fn responses_are_rewritten() {
    for (id, input, edit, expected) in RESPONSES {
        let output = response_to(&format!("{input}\r\n"), PLAIN, edit);
        assert_eq!(output, format!("{}\r\n", expected.replace("{ours}", OURS)), "{id}");
    }
}

#[test]
fn a_response_to_head_keeps_its_length_fields() {
    let context = ResponseContext { head_request: true, ..PLAIN };
    for (fields, client, expected) in [
        ("Content-Length: 5\r\n", Version::Http11, "Content-Length: 5\r\n"),
        ("Transfer-Encoding: chunked\r\n", Version::Http11, "Transfer-Encoding: chunked\r\n"),
        ("Transfer-Encoding: chunked\r\n", Version::Http10, ""),
        ("", Version::Http11, ""),
    ] {
        let input = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let output = response_to(&input, context, |edits| edits.client = client);
        assert!(output.starts_with(&format!("HTTP/1.1 200 OK\r\n{expected}Via")), "{output:?}");
    }
}

#[test]
fn every_rewrite_is_documented() {
    let requests: Vec<_> = REQUEST_FIELDS
        .iter()
        .map(|(id, ..)| *id)
        .chain(FORWARDED.iter().map(|(id, ..)| *id))
        .chain(LINES.iter().map(|(id, ..)| *id))
        .map(|id| (id, vec![]))
        .collect();
    assert_documented("Requests: rewritten", &requests);
    let responses: Vec<_> = RESPONSES
        .iter()
        .map(|(id, ..)| *id)
        .chain(["response-head"])
        .map(|id| (id, vec![]))
        .collect();
    assert_documented("Responses: rewritten", &responses);
}
