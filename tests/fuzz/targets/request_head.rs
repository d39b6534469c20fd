//! A request head, and what rewriting makes of it: both are one message to whoever reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::http::body::Framing;
use sluicegate::http::head::{FieldSlots, HeadError, HeadLimits, RequestHead, parse_request};
use sluicegate::http::rewrite::{Forwarded, Opening, RequestEdits, TraceFields, draft, opening};
use sluicegate_fuzz::head::{PlainHead, read};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 40 };

fn parse<'b>(
    input: &'b [u8],
    slots: &'b mut FieldSlots<'b>,
) -> Result<Option<RequestHead<'b>>, HeadError> {
    parse_request(input, slots, &LIMITS)
}

/// The framing that is written there, once.
fn framing(head: &PlainHead) -> Framing {
    match (&head.all("content-length")[..], &head.all("transfer-encoding")[..]) {
        ([], []) => Framing::None,
        ([length], []) => {
            let digits = std::str::from_utf8(length).expect("digits");
            Framing::Length(digits.parse().expect("a number"))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        other => panic!("two framings: {other:?}"),
    }
}

fn same(written: Framing, meant: Framing) -> bool {
    let none = |framing| matches!(framing, Framing::None | Framing::Length(0));
    written == meant || none(written) && none(meant)
}

fuzz_target!(|data: &[u8]| {
    // Its first bytes say what is made of it.
    let [edits, cut, input @ ..] = data else { return };
    let mut slots = FieldSlots::new();
    let parsed = parse(input, &mut slots);
    // Whatever comes first, the verdict on a whole head does not change.
    if let Ok(Some(head)) = &parsed {
        let at = usize::from(*cut) * head.length / 256;
        let mut slots = FieldSlots::new();
        assert!(matches!(parse(&input[..at], &mut slots), Ok(None)), "a part is a whole, or wrong");
    }
    let Ok(Some(head)) = parsed else { return };
    let client = [192, 0, 2, 1].into();
    let edits_of = RequestEdits {
        forwarded: [Forwarded::Append, Forwarded::Replace, Forwarded::Off][usize::from(*edits) % 3],
        client,
        https: edits & 4 > 0,
        request_id: b"abc",
        trace: [TraceFields::Pass, TraceFields::KeepState, TraceFields::Drop]
            [usize::from(*edits >> 3) % 3],
        withheld: None,
        identity: edits & 64 > 0,
    };
    let mut drafted = Vec::new();
    draft(&head, &edits_of, &mut drafted);
    let path = (edits & 128 > 0 && !head.target_is_asterisk).then_some(("/new", ""));
    let mut sent = Vec::new();
    opening(&drafted, &Opening { path, host: Some(b"server:80"), ..Opening::default() }, &mut sent);
    let plain = read(&sent);
    assert_eq!(plain.all("host"), [b"server:80"]);
    assert!(same(framing(&plain), head.framing), "{:?}: {}", head.framing, sent.escape_ascii());
    assert_eq!(plain.all("x-request-id").len(), 1);
    for gone in ["keep-alive", "proxy-connection", "proxy-authorization"] {
        assert!(plain.all(gone).is_empty(), "{gone}: {}", sent.escape_ascii());
    }
    assert!(plain.start.starts_with(head.method.as_bytes()));
    assert!(plain.start.ends_with(b" HTTP/1.1"));
    assert_eq!(plain.start.iter().filter(|byte| **byte == b' ').count(), 2);
    // The second reader, which sees the same fields.
    let mut fields = [httparse::EMPTY_HEADER; 80];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(&sent).expect("httparse takes it");
    assert_eq!(parsed, httparse::Status::Complete(sent.len()));
    assert_eq!(request.method, Some(head.method));
    let seen: Vec<_> = request
        .headers
        .iter()
        .map(|it| (it.name.to_ascii_lowercase().into_bytes(), it.value.trim_ascii().to_vec()))
        .collect();
    assert_eq!(seen, plain.fields);
    // And the third is the gateway's own: what it sends it would take, and sends again the same way.
    let mut slots = FieldSlots::new();
    let limits = HeadLimits { bytes: 64 * 1024, fields: 100 };
    let again =
        parse_request(&sent, &mut slots, &limits).expect("it takes its own").expect("all of it");
    assert!(same(again.framing, head.framing));
    assert_eq!((again.method, again.length), (head.method, sent.len()));
});
