//! Response heads: what is read in them, and what of a hostile upstream is refused.

use super::*;
use crate::http::body::Framing;
use crate::http::head::Media;
use crate::http::tests::assert_documented;

/// The name of the row in `docs/protocol.md`, an input, and why it is refused.
const REFUSED: &[(&str, &[u8], HeadError)] = &[
    ("response-empty-line", b"\r\nHTTP/1.1 200 OK\r\n\r\n", HeadError::InvalidStatusLine),
    ("response-garbage", b"\x00\x01", HeadError::InvalidStatusLine),
    ("response-no-status", b"HTTP/1.1 OK\r\n\r\n", HeadError::InvalidStatusLine),
    ("response-long-status", b"HTTP/1.1 2000\r\n\r\n", HeadError::InvalidStatusLine),
    ("response-double-space", b"HTTP/1.1  200 OK\r\n\r\n", HeadError::InvalidStatusLine),
    ("response-status-range", b"HTTP/1.1 600 X\r\n\r\n", HeadError::InvalidStatus),
    ("response-status-low", b"HTTP/1.1 099 X\r\n\r\n", HeadError::InvalidStatus),
    ("response-version", b"HTTP/2 200\r\n\r\n", HeadError::UnsupportedVersion),
    ("response-upgrade-unasked", b"HTTP/1.1 101 Switching\r\n\r\n", HeadError::UnexpectedUpgrade),
    ("response-bare-lf", b"HTTP/1.1 200 OK\r\nX: a\n\r\n", HeadError::BareLf),
    ("response-bare-lf-status", b"HTTP/1.1 200 OK\nX: a\r\n\r\n", HeadError::BareLf),
    ("response-bare-cr", b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", HeadError::BareCr),
    ("response-nul", b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", HeadError::Nul),
    ("response-obs-fold", b"HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\n\r\n", HeadError::FoldedLine),
    ("response-sp-before-colon", b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", HeadError::SpaceInFieldName),
    (
        "response-te-and-cl",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        HeadError::LengthWithTransferEncoding,
    ),
    (
        "response-duplicate-cl",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        HeadError::LengthRepeated,
    ),
    (
        "response-cl-invalid",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n",
        HeadError::LengthInvalid,
    ),
    (
        "response-te-duplicate",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        HeadError::TransferEncodingRepeated,
    ),
    (
        "response-te-unknown",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        HeadError::TransferEncodingUnknown,
    ),
    (
        "response-te-invalid",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        HeadError::TransferEncodingInvalid,
    ),
    (
        "response-te-http10",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        HeadError::TransferEncodingInHttp10,
    ),
    (
        "response-lookalike",
        b"HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\n\r\n",
        HeadError::FramingLookalike,
    ),
];

#[test]
fn responses_are_refused() {
    for (id, input, error) in REFUSED {
        let verdict = verdict_at_any_length(input, verdict_on_response);
        assert_eq!(verdict, Some(Err(*error)), "{id}");
    }
}

#[test]
fn responses_over_a_limit_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(LIMITS.bytes));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: a\r\n".repeat(LIMITS.fields + 1));
    for (input, error) in [(long, HeadError::HeadTooLarge), (many, HeadError::TooManyFields)] {
        let verdict = verdict_at_any_length(input.as_bytes(), verdict_on_response);
        assert_eq!(verdict, Some(Err(error)));
    }
}

#[test]
fn every_refused_response_is_documented() {
    let mut documented: Vec<_> = REFUSED
        .iter()
        .map(|(id, _, error)| (*id, vec![format!("| `{}` |", error.code())]))
        .collect();
    for (id, error) in [
        ("response-long-head", HeadError::HeadTooLarge),
        ("response-many-fields", HeadError::TooManyFields),
    ] {
        documented.push((id, vec![format!("| `{}` |", error.code())]));
    }
    assert_documented("Response heads: refused", &documented);
}

const PLAIN: ResponseContext = ResponseContext { head_request: false, upgrade_asked: false };

fn with_response<T>(
    input: &str,
    context: ResponseContext,
    check: impl FnOnce(&ResponseHead<'_>) -> T,
) -> T {
    let mut slots = FieldSlots::new();
    match parse_response(input.as_bytes(), &mut slots, &LIMITS, &context) {
        Ok(Some(head)) => check(&head),
        other => panic!("{input:?}: {other:?}"),
    }
}

#[test]
fn a_response_tells_its_framing() {
    let rows = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::Chunked, true),
        ("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose, false),
        (
            "HTTP/1.1 200\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            Framing::Length(5),
            false,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), false),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
            Framing::Length(5),
            true,
        ),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Framing::None, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Framing::None, true),
        ("HTTP/1.1 100 Continue\r\n\r\n", Framing::None, true),
        ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", Framing::None, true),
    ];
    for (input, framing, keep_alive) in rows {
        let verdict = verdict_at_any_length(input.as_bytes(), verdict_on_response);
        assert!(matches!(verdict, Some(Ok(_))), "{input:?}: {verdict:?}");
        with_response(input, PLAIN, |head| {
            assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{input:?}");
        });
    }
}

#[test]
fn a_response_to_head_has_no_body_whatever_it_says() {
    let context = ResponseContext { head_request: true, ..PLAIN };
    for fields in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let input = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        with_response(&input, context, |head| {
            assert_eq!((head.framing, head.keep_alive), (Framing::None, true), "{fields:?}");
        });
    }
}

#[test]
fn an_upgrade_that_was_asked_for_is_read() {
    let context = ResponseContext { upgrade_asked: true, ..PLAIN };
    let input =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbytes";
    with_response(input, context, |head| {
        assert_eq!((head.status, head.framing), (101, Framing::None));
        assert_eq!(&input[head.length..], "bytes");
    });
}

#[test]
fn what_the_content_is_is_known_by_its_media_type() {
    for (value, expected) in [
        ("text/event-stream", Media::EventStream),
        ("Text/Event-Stream ; charset=utf-8", Media::EventStream),
        ("text/event-streams", Media::Other),
        ("application/json; a=text/event-stream", Media::Json),
        ("application/problem+json", Media::Json),
        ("application/jsonp", Media::Other),
        ("application/x-ndjson", Media::JsonLines),
        ("text/html;charset=utf-8", Media::Html),
    ] {
        let input = format!("HTTP/1.1 200 OK\r\nContent-Type: {value}\r\n\r\n");
        assert_eq!(with_response(&input, PLAIN, |head| head.media), expected, "{value}");
    }
}

#[test]
fn a_keep_alive_timeout_is_read() {
    for (value, expected) in [
        ("timeout=5", Some(5)),
        ("max=100, Timeout = 7", Some(7)),
        ("timeout=\"9\"", Some(9)),
        ("timeout=-1", None),
        ("timeout=99999999999", None),
        ("max=100", None),
        ("timeout", None),
    ] {
        let input = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\n\r\n");
        let timeout = with_response(&input, PLAIN, |head| head.keep_alive_timeout);
        assert_eq!(timeout, expected, "{value}");
    }
}

#[test]
fn a_reason_outside_ascii_is_left_out() {
    let input = "HTTP/1.1 200 d\u{e9}j\u{e0} vu\r\n\r\n";
    assert_eq!(with_response(input, PLAIN, |head| head.reason.to_owned()), "");
}
