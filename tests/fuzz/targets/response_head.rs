//! A response head, and what the client gets of it.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sluicegate::http::body::Framing;
use sluicegate::http::date;
use sluicegate::http::head::{FieldSlots, HeadLimits, ResponseContext, Version, parse_response};
use sluicegate::http::rewrite::{ConnectionField, ResponseEdits, response};
use sluicegate_fuzz::head::read;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 40 };

fuzz_target!(|data: &[u8]| {
    let [edits, cut, input @ ..] = data else { return };
    let context = ResponseContext { head_request: edits & 1 > 0, upgrade_asked: edits & 2 > 0 };
    let mut slots = FieldSlots::new();
    let Ok(Some(head)) = parse_response(input, &mut slots, &LIMITS, &context) else { return };
    let at = usize::from(*cut) * head.length / 256;
    let mut part = FieldSlots::new();
    assert!(matches!(parse_response(&input[..at], &mut part, &LIMITS, &context), Ok(None)));
    let to_old = edits & 4 > 0;
    let framing = match head.framing {
        Framing::UntilClose if !to_old => Framing::Chunked,
        Framing::Chunked if to_old => Framing::UntilClose,
        framing => framing,
    };
    let edits_of = ResponseEdits {
        client: if to_old { Version::Http10 } else { Version::Http11 },
        connection: if edits & 8 > 0 { ConnectionField::Close } else { ConnectionField::KeepAlive },
        framing,
        head_request: context.head_request,
        request_id: b"abc",
        date: &date::line(Duration::from_secs(1_000_000_000)),
        served: None,
        timing: None,
    };
    let mut sent = Vec::new();
    response(&head, &edits_of, &mut sent);
    let plain = read(&sent);
    let status = format!("HTTP/1.1 {} ", head.status);
    assert!(plain.start.starts_with(status.as_bytes()), "{}", sent.escape_ascii());
    let (lengths, codings) = (plain.all("content-length"), plain.all("transfer-encoding"));
    assert!(lengths.len() + codings.len() <= 1, "{}", sent.escape_ascii());
    let bodiless = head.status < 200 || matches!(head.status, 204 | 304) || context.head_request;
    if !bodiless {
        let written = match (&lengths[..], &codings[..]) {
            ([length], []) => {
                let digits = std::str::from_utf8(length).expect("digits");
                Framing::Length(digits.parse().expect("a number"))
            }
            ([], [coding]) => {
                assert!(coding.eq_ignore_ascii_case(b"chunked"));
                Framing::Chunked
            }
            _ => Framing::UntilClose,
        };
        let zero = |framing| matches!(framing, Framing::None | Framing::Length(0));
        assert!(written == framing || zero(written) && zero(framing), "{}", sent.escape_ascii());
    }
    let mut fields = [httparse::EMPTY_HEADER; 80];
    let mut other = httparse::Response::new(&mut fields);
    let parsed = other.parse(&sent).expect("httparse takes it");
    assert_eq!(parsed, httparse::Status::Complete(sent.len()));
    assert_eq!(other.code, Some(head.status));
    assert_eq!(other.headers.len(), plain.fields.len());
});
