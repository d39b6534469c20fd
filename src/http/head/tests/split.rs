//! However a head arrives, and whatever byte of it is wrong, there is one verdict.

use proptest::prelude::*;

use super::*;
use crate::http::names::is_token_byte;
use crate::http::tests::{any_ends, cut_at, every_cut};

const REQUEST: &[u8] =
    b"\r\nPOST /v1/c?a=b HTTP/1.1\r\nHost: a:1\r\nAccept:\r\nContent-Length: 12\r\n\
    Connection: x-a\r\nX-A: \t b c\t\r\n\r\nbody of 12 b";

const RESPONSE: &[u8] = b"HTTP/1.1 200 Very Well\r\nContent-Type: text/event-stream\r\nX:\r\n\
    Transfer-Encoding: chunked\r\nKeep-Alive: timeout=5\r\n\r\n5\r\nhello";

/// What a caller sees that asks [`may_be_complete`] before each parse, but for the first bytes.
fn verdict_when_asked(pieces: &[&[u8]], verdict_on: fn(&[u8]) -> Verdict) -> Verdict {
    let mut input = Vec::new();
    for piece in pieces {
        let examined = input.len();
        input.extend_from_slice(piece);
        if may_be_complete(&input, examined) {
            let verdict = verdict_on(&input);
            if verdict.is_some() {
                return verdict;
            }
        }
    }
    None
}

#[test]
fn a_drip_fed_head_is_parsed_when_it_is_complete() {
    for (whole, verdict_on) in
        [(REQUEST, verdict_on_request as fn(&[u8]) -> Verdict), (RESPONSE, verdict_on_response)]
    {
        let expected = verdict_on(whole);
        assert!(matches!(expected, Some(Ok(_))), "{expected:?}");
        for pieces in every_cut(whole) {
            assert_eq!(verdict_when_asked(&pieces, verdict_on), expected);
        }
    }
}

#[test]
fn a_drip_fed_head_is_parsed_once() {
    let mut parses = 0;
    for length in 1..=REQUEST.len() {
        parses += usize::from(may_be_complete(&REQUEST[..length], length - 1));
    }
    assert_eq!(parses, 1);
}

#[test]
fn a_lenient_blank_line_is_noticed_too() {
    for end in ["\n\n", "\r\n\n", "\n\r\n", "\r\n\r\n"] {
        let input = format!("GET / HTTP/1.1\r\nHost: a{end}");
        let asked = |examined| may_be_complete(input.as_bytes(), examined);
        assert!(asked(0) && asked(input.len() - 1), "{end:?}");
        assert!(!may_be_complete(&input.as_bytes()[..input.len() - 1], 0), "{end:?}");
    }
}

/// A second opinion, by other means and without speed: whether a head is one a strict reader takes.
fn strict_reading(head: &[u8], is_start_line: fn(&str) -> bool) -> bool {
    let Some(text) = std::str::from_utf8(head).ok() else {
        // Only bytes of values may be beyond ASCII; the inputs of these tests have UTF-8 there.
        return head.iter().any(|byte| *byte >= 0x80);
    };
    let Some(lines) = text.strip_suffix("\r\n\r\n") else {
        return false;
    };
    let mut lines = lines.split("\r\n");
    let is_field = |line: &str| {
        line.split_once(':').is_some_and(|(name, value)| {
            !name.is_empty()
                && name.bytes().all(is_token_byte)
                && value.chars().all(|c| c == '\t' || !c.is_control() || c as u32 >= 0x80)
        })
    };
    lines.next().is_some_and(is_start_line) && lines.all(is_field)
}

fn is_request_line(line: &str) -> bool {
    let parts: Vec<&str> = line.split(' ').collect();
    matches!(parts[..], [method, target, "HTTP/1.0" | "HTTP/1.1"]
        if method.bytes().all(is_token_byte) && target.bytes().all(|b| b.is_ascii_graphic()))
}

fn is_status_line(line: &str) -> bool {
    let Some((version, rest)) = line.split_once(' ') else {
        return false;
    };
    matches!(version, "HTTP/1.0" | "HTTP/1.1")
        && rest.get(..3).is_some_and(|code| code.parse::<u16>().is_ok_and(|code| code >= 100))
        && (rest.len() == 3 || rest[3..].starts_with(' '))
        && !rest.contains(['\r', '\n', '\0'])
}

#[test]
fn any_one_wrong_byte_is_judged_alike_at_any_length() {
    for (whole, verdict_on, is_start_line) in [
        (REQUEST, verdict_on_request as fn(&[u8]) -> Verdict, is_request_line as fn(&str) -> bool),
        (RESPONSE, verdict_on_response, is_status_line),
    ] {
        let head_length = memchr::memmem::find(whole, b"\r\n\r\n").unwrap() + 4;
        for position in 0..head_length {
            for byte in 0..=255 {
                let mut input = whole.to_vec();
                input[position] = byte;
                let verdict = verdict_at_any_length(&input, verdict_on);
                if let Some(Ok(_)) = verdict {
                    let end = memchr::memmem::find(&input, b"\r\n\r\n").unwrap() + 4;
                    let head = input[..end].strip_prefix(b"\r\n").unwrap_or(&input[..end]);
                    assert!(
                        strict_reading(head, is_start_line),
                        "accepted: {}",
                        head.escape_ascii()
                    );
                }
            }
        }
    }
}

/// Fragments that meet each other at all the interesting places.
fn any_head() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        "GET ",
        "OPTIONS ",
        "/",
        "/a/../b",
        "/%2e",
        "*",
        "http://h",
        " ",
        "HTTP/1.1",
        "HTTP/1.0",
        " HTTP/1.1\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "\0",
        ":",
        "Host: a\r\n",
        "Host:",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: host, a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "X: y\r\n",
        "\t",
        "HTTP/1.1 200 OK\r\n",
        "\u{e9}",
        ",",
    ]);
    prop::collection::vec(fragment, 1..12).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_head_is_judged_alike_at_any_length(head in any_head()) {
        verdict_at_any_length(&head, verdict_on_request);
        verdict_at_any_length(&head, verdict_on_response);
    }

    #[test]
    fn any_bytes_are_judged_alike_at_any_length(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        verdict_at_any_length(&bytes, verdict_on_request);
        verdict_at_any_length(&bytes, verdict_on_response);
    }

    #[test]
    fn any_pieces_of_a_head_are_judged_alike(ends in any_ends()) {
        let pieces = cut_at(REQUEST, &ends);
        prop_assert_eq!(
            verdict_when_asked(&pieces, verdict_on_request),
            verdict_on_request(REQUEST)
        );
    }
}
