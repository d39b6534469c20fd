//! Heads of answers that are made to be read in two ways.

use super::Row;

/// Refused at the head.
pub const HEADS: &[Row] = &[
    ("answer-bom", b"\xef\xbb\xbfHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-space-first", b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-lf-first", b"\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-nul-first", b"\x00HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-body-first", b"hello\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-chunk-end-first", b"0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-icy", b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-version-case", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-version-minor", b"HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-09", b"<html>hello</html>"),
    ("answer-tab", b"HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-status-two-digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-status-split", b"HTTP/1.1 2 00\r\nContent-Length: 0\r\n\r\n"),
    ("answer-status-sign", b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-status-zero", b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-status-colon", b"HTTP/1.1 200: OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer-reason-nul", b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n"),
    ("answer-reason-cr", b"HTTP/1.1 200 OK\rContent-Length: 5\r\nContent-Length: 0\r\n\r\n"),
    ("answer-reason-escape", b"HTTP/1.1 200 \x1b[2J\r\nContent-Length: 0\r\n\r\n"),
    (
        "answer-split-lf",
        b"HTTP/1.1 200 OK\r\nLocation: /\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "answer-split-cr",
        b"HTTP/1.1 200 OK\r\nLocation: /\rSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
    ),
    ("answer-split-crlf-cr", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\rHTTP/1.1 200 OK\r\n\r\n"),
    ("answer-split-lf-lf", b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\nHTTP/1.1 200 OK\r\n\r\n"),
    ("answer-name-empty", b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n"),
    ("answer-name-nul", b"HTTP/1.1 200 OK\r\nX\x00: a\r\nContent-Length: 0\r\n\r\n"),
    ("answer-name-8bit", b"HTTP/1.1 200 OK\r\n\xe9: a\r\nContent-Length: 0\r\n\r\n"),
    ("answer-name-space", b"HTTP/1.1 200 OK\r\nContent Length: 5\r\nContent-Length: 0\r\n\r\n"),
    ("answer-colon-missing", b"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n"),
    ("answer-head-cut", b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n"),
    ("answer-first-space", b"HTTP/1.1 200 OK\r\n Content-Length: 0\r\n\r\n"),
    ("answer-fold-te", b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    (
        "answer-in-fold",
        b"HTTP/1.1 200 OK\r\nX: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    ),
    ("answer-te-vt", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("answer-te-quoted", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("answer-te-identity", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n"),
    (
        "answer-te-identity-chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    ),
    ("answer-te-twice", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("answer-te-parameter", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"),
    ("answer-te-empty", b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n"),
    ("answer-te-comma", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"),
    (
        "answer-te-cl-zero",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    ),
    (
        "answer-te-lookalike",
        b"HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "answer-te-http10-cl",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("answer-cl-negative", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    ("answer-cl-empty", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n"),
    ("answer-cl-hex", b"HTTP/1.1 200 OK\r\nContent-Length: 0x0\r\n\r\n"),
    ("answer-cl-list", b"HTTP/1.1 200 OK\r\nContent-Length: 0, 5\r\n\r\n"),
    ("answer-cl-wraps", b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n"),
    ("answer-cl-same", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
    ("answer-cl-sp-colon", b"HTTP/1.1 200 OK\r\nContent-Length\t: 0\r\n\r\n"),
    ("answer-101-unasked", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
];

/// An interim answer, and behind it what is no head.
pub const INTERIM: &[Row] = &[
    ("answer-interim-length", b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello"),
    (
        "answer-interim-chunked",
        b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("answer-interim-garbage", b"HTTP/1.1 100 Continue\r\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
];
