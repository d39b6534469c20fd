//! The refusals of a request head: one row here, one row in `docs/protocol.md`.

use super::*;
use crate::http::tests::assert_documented;

/// The name of the row in `docs/protocol.md`, an input, and why it is refused.
type Row = (&'static str, &'static [u8], HeadError);

const START_LINE: &[Row] = &[
    ("empty-lines", b"\r\n\r\nGET / HTTP/1.1\r\n", HeadError::EmptyLines),
    ("leading-lf", b"\nGET / HTTP/1.1\r\n", HeadError::BareLf),
    ("method-invalid", b"G(T / HTTP/1.1\r\n", HeadError::InvalidMethod),
    ("method-missing", b" / HTTP/1.1\r\n", HeadError::InvalidMethod),
    ("tls-hello", b"\x16\x03\x01\x02\x00\x01", HeadError::TlsHello),
    ("binary-garbage", b"\x15\x03\x01\x02\x00\x01", HeadError::InvalidMethod),
    ("multi-sp-request-line", b"GET  / HTTP/1.1\r\n", HeadError::InvalidTarget),
    ("request-line-tab", b"GET\t/ HTTP/1.1\r\n", HeadError::InvalidMethod),
    ("space-in-target", b"GET /a b HTTP/1.1\r\n", HeadError::InvalidRequestLine),
    ("missing-target", b"GET HTTP/1.1\r\n", HeadError::InvalidRequestLine),
    ("http09-request", b"GET /\r\n", HeadError::InvalidRequestLine),
    ("version-case", b"GET / http/1.1\r\n", HeadError::InvalidRequestLine),
    ("version-missing-minor", b"GET / HTTP/1\r\n", HeadError::InvalidRequestLine),
    ("version-whitespace", b"GET / HTTP/1.1 \r\n", HeadError::InvalidRequestLine),
    ("version-leading-zeros", b"GET / HTTP/01.1\r\n", HeadError::UnsupportedVersion),
    ("http12-version", b"GET / HTTP/1.2\r\n", HeadError::UnsupportedVersion),
    ("h2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HeadError::UnsupportedVersion),
    ("bare-lf-request-line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", HeadError::BareLf),
    ("cr-only-line-ending", b"GET / HTTP/1.1\rHost: a\r\r", HeadError::BareCr),
    ("nul-in-target", b"GET /a\0b HTTP/1.1\r\n", HeadError::Nul),
];

const TARGET: &[Row] = &[
    ("relative-target", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::InvalidTarget),
    ("fragment-in-target", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::InvalidTarget),
    ("non-ascii-target", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::InvalidTarget),
    ("control-in-target", b"GET /\x01 HTTP/1.1\r\n", HeadError::InvalidTarget),
    ("target-backslash", b"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::InvalidTarget),
    ("target-percent-broken", b"GET /%2 HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::InvalidTarget),
    ("target-percent-nul", b"GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::InvalidTarget),
    ("target-percent-crlf", b"GET /%0d%0a HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::InvalidTarget),
    ("target-overlong-utf8", b"GET /%c0%ae HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::InvalidTarget),
    (
        "target-overlong-utf8-long",
        b"GET /x/%e0%80%ae%e0%80%ae/y HTTP/1.1\r\nHost: a\r\n\r\n",
        HeadError::InvalidTarget,
    ),
    ("unknown-scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::InvalidTarget),
    (
        "userinfo-in-target",
        b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        HeadError::InvalidTarget,
    ),
    ("dot-segment", b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::DotSegment),
    ("dot-segment-encoded", b"GET /a/%2E%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::DotSegment),
    (
        "dot-segment-slash-encoded",
        b"GET /a%2f..%5Cb HTTP/1.1\r\nHost: a\r\n\r\n",
        HeadError::DotSegment,
    ),
    (
        "dot-segment-parameters",
        b"GET /a/..;x=1/b HTTP/1.1\r\nHost: a\r\n\r\n",
        HeadError::DotSegment,
    ),
    ("asterisk-with-get", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::AsteriskTarget),
    ("method-connect", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", HeadError::ConnectRefused),
];

const LINES: &[Row] = &[
    ("bare-lf", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", HeadError::BareLf),
    ("bare-lf-end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", HeadError::BareLf),
    ("bare-lf-empty-value", b"GET / HTTP/1.1\r\nX:\nHost: a\r\n\r\n", HeadError::BareLf),
    ("bare-cr", b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", HeadError::BareCr),
    ("nul-in-value", b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", HeadError::Nul),
    ("nul-in-name", b"GET / HTTP/1.1\r\nX\0: a\r\n\r\n", HeadError::Nul),
    ("control-in-value", b"GET / HTTP/1.1\r\nX: a\x0bb\r\n\r\n", HeadError::InvalidFieldValue),
    ("obs-fold", b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", HeadError::FoldedLine),
    ("whitespace-before-fields", b"GET / HTTP/1.1\r\n X: a\r\n\r\n", HeadError::FoldedLine),
    ("whitespace-only-line", b"GET / HTTP/1.1\r\nX: a\r\n \r\n\r\n", HeadError::FoldedLine),
    ("sp-before-colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", HeadError::SpaceInFieldName),
    ("empty-field-name", b"GET / HTTP/1.1\r\n: a\r\n\r\n", HeadError::InvalidFieldName),
    ("field-no-colon", b"GET / HTTP/1.1\r\nHost\r\n\r\n", HeadError::InvalidFieldName),
    ("invalid-field-name", b"GET / HTTP/1.1\r\nX[]: a\r\n\r\n", HeadError::InvalidFieldName),
    ("non-ascii-field-name", b"GET / HTTP/1.1\r\n\xc3\xa9: a\r\n\r\n", HeadError::InvalidFieldName),
];

const FIELDS: &[Row] = &[
    ("missing-host", b"GET / HTTP/1.1\r\n\r\n", HeadError::HostMissing),
    ("duplicate-host", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", HeadError::HostRepeated),
    ("duplicate-host-same", b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", HeadError::HostRepeated),
    ("host-empty-value", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", HeadError::HostInvalid),
    ("host-with-path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HeadError::HostInvalid),
    ("host-with-userinfo", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HeadError::HostInvalid),
    ("host-comma", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HeadError::HostInvalid),
    ("host-port-invalid", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", HeadError::HostInvalid),
    ("te-and-cl", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", HeadError::LengthWithTransferEncoding),
    ("duplicate-cl", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", HeadError::LengthRepeated),
    ("duplicate-cl-same", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\ncontent-length: 4\r\n\r\n", HeadError::LengthRepeated),
    ("cl-comma", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\n", HeadError::LengthInvalid),
    ("cl-plus-sign", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\n", HeadError::LengthInvalid),
    ("cl-negative", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", HeadError::LengthInvalid),
    ("cl-hex-prefix", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\n", HeadError::LengthInvalid),
    ("cl-underscore", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n", HeadError::LengthInvalid),
    ("cl-internal-space", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\n", HeadError::LengthInvalid),
    ("cl-leading-zeros", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n", HeadError::LengthInvalid),
    ("cl-empty", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", HeadError::LengthInvalid),
    ("cl-overflow", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", HeadError::LengthInvalid),
    ("te-http10", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HeadError::TransferEncodingInHttp10),
    ("te-duplicate", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", HeadError::TransferEncodingRepeated),
    ("te-double-chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", HeadError::TransferEncodingInvalid),
    ("te-not-final-chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", HeadError::TransferEncodingInvalid),
    ("te-identity", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", HeadError::TransferEncodingInvalid),
    ("te-xchunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", HeadError::TransferEncodingInvalid),
    ("te-parameters", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", HeadError::TransferEncodingInvalid),
    ("te-leading-comma", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n", HeadError::TransferEncodingInvalid),
    ("te-trailing-comma", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n", HeadError::TransferEncodingInvalid),
    ("te-empty-value", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", HeadError::TransferEncodingInvalid),
    ("te-vtab", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", HeadError::InvalidFieldValue),
    ("te-sp-before-colon", b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n", HeadError::SpaceInFieldName),
    ("te-unknown", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HeadError::TransferEncodingUnknown),
    ("te-underscore", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n", HeadError::FramingLookalike),
    ("cl-name-underscore", b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 4\r\n\r\n", HeadError::FramingLookalike),
    ("connection-lists-framing", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close, Content-Length\r\nContent-Length: 4\r\n\r\n", HeadError::ConnectionListsFraming),
    ("expect-unknown", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", HeadError::UnknownExpectation),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    [START_LINE, TARGET, LINES, FIELDS].into_iter().flatten()
}

#[test]
fn requests_are_refused() {
    for (id, input, error) in rows() {
        let verdict = verdict_at_any_length(input, verdict_on_request);
        assert_eq!(verdict, Some(Err(*error)), "{id}");
    }
}

#[test]
fn every_refused_request_is_documented() {
    let mut documented: Vec<(&str, Vec<String>)> = rows()
        .map(|(id, _, error)| {
            let texts = vec![format!("| {} `{}` |", error.status(), error.code())];
            (*id, texts)
        })
        .collect();
    for (id, error) in LIMIT_ROWS {
        documented.push((id, vec![format!("| {} `{}` |", error.status(), error.code())]));
    }
    assert_documented("Request heads: refused", &documented);
}

/// Refused for their size: the inputs are made in the tests below.
const LIMIT_ROWS: [(&str, HeadError); 4] = [
    ("long-target", HeadError::TargetTooLong),
    ("long-head", HeadError::HeadTooLarge),
    ("many-fields", HeadError::TooManyFields),
    ("connection-many-options", HeadError::TooManyConnectionOptions),
];

#[test]
fn a_request_line_over_the_limit_is_refused() {
    let input = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(LIMITS.bytes));
    let verdict = verdict_at_any_length(input.as_bytes(), verdict_on_request);
    assert_eq!(verdict, Some(Err(HeadError::TargetTooLong)));
}

#[test]
fn a_head_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    for (over, expected) in [(0, None), (1, Some(HeadError::HeadTooLarge))] {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        let value = "a".repeat(LIMITS.bytes - frame + over);
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n");
        let verdict = verdict_at_any_length(input.as_bytes(), verdict_on_request);
        assert_eq!(verdict.and_then(Result::err), expected, "{over} over");
    }
}

#[test]
fn a_full_buffer_without_a_whole_head_is_refused_at_once() {
    // A caller whose buffer is as large as the limit can read no further byte.
    let head = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(LIMITS.bytes));
    assert_eq!(verdict_on_request(&head.as_bytes()[..LIMITS.bytes - 1]), None);
    assert_eq!(
        verdict_on_request(&head.as_bytes()[..LIMITS.bytes]),
        Some(Err(HeadError::HeadTooLarge))
    );
}

#[test]
fn a_fault_behind_the_limit_does_not_hide_the_size() {
    let mut input = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(LIMITS.bytes)).into_bytes();
    input.extend_from_slice(b"\0\r\n\r\n");
    let verdict = verdict_at_any_length(&input, verdict_on_request);
    assert_eq!(verdict, Some(Err(HeadError::HeadTooLarge)));
}

#[test]
fn too_many_fields_are_refused_and_as_many_as_allowed_are_not() {
    for (over, expected) in [(0, None), (1, Some(HeadError::TooManyFields))] {
        let more = "X: a\r\n".repeat(LIMITS.fields - 1 + over);
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n");
        let verdict = verdict_at_any_length(input.as_bytes(), verdict_on_request);
        assert_eq!(verdict.and_then(Result::err), expected, "{over} over");
    }
}

#[test]
fn too_many_connection_options_are_refused() {
    for (count, expected) in [(32, None), (33, Some(HeadError::TooManyConnectionOptions))] {
        let options = vec!["a"; count].join(",");
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {options}\r\n\r\n");
        let verdict = verdict_at_any_length(input.as_bytes(), verdict_on_request);
        assert_eq!(verdict.and_then(Result::err), expected, "{count} options");
    }
}

#[test]
fn what_can_be_refused_early_is() {
    // No blank line, not even a line end: a TLS hello or a wrong version is known by its start.
    for input in [&b"\x16\x03\x01"[..], b"GET / HTTP/2", b"GET / HTTP/1.1\r\nHost :", b"G@"] {
        assert!(matches!(verdict_on_request(input), Some(Err(_))), "{input:?}");
    }
}
