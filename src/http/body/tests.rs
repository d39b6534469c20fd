use proptest::prelude::*;

use super::*;
use crate::http::tests::{any_ends, cut_at, every_cut};

/// Bytes cleared, the payload, and whether the body is complete: before and after the connection
/// ends.
#[derive(Debug, PartialEq)]
struct Outcome {
    cleared: usize,
    payload: Vec<u8>,
    complete: bool,
    at_eof: Result<(), Truncated>,
}

fn scan_in(framing: Framing, pieces: &[&[u8]]) -> Outcome {
    let mut body = Body::new(framing);
    let mut payload = Vec::new();
    let mut cleared = 0;
    for piece in pieces {
        let count = body.scan(piece, |data| {
            assert!(!data.is_empty());
            payload.extend_from_slice(data);
        });
        cleared += count.unwrap();
        if body.is_complete() {
            break;
        }
    }
    assert_eq!(body.framing(), framing);
    assert_eq!(body.received(), payload.len() as u64);
    let complete = body.is_complete();
    let at_eof = body.on_eof();
    assert_eq!(body.is_complete(), at_eof.is_ok());
    Outcome { cleared, payload, complete, at_eof }
}

/// A framing, an input, the bytes of it that are cleared, the payload, and whether the body is
/// complete before and after the connection ends.
type Row = (Framing, &'static [u8], usize, &'static [u8], bool, bool);

#[test]
fn the_end_of_a_body_is_known_to_whoever_doubts_it() {
    let tail = |framing, input: &[u8]| {
        let mut body = Body::new(framing);
        let _ = body.scan(input, |_| {});
        (body.at_boundary(), body.tail())
    };
    let none = Tail::default();
    assert_eq!(tail(Framing::Chunked, b"1\r\nx\r\n"), (true, none));
    assert_eq!(tail(Framing::Chunked, b"1\r\nx"), (false, none));
    let last_chunk = Tail { length: 5, whole: true };
    assert_eq!(tail(Framing::Chunked, b"1\r\nx\r\n0\r\n\r\n"), (false, last_chunk));
    assert_eq!(tail(Framing::Length(3), b"xy"), (false, none));
    assert_eq!(tail(Framing::Length(3), b"xyz"), (false, Tail { length: 1, whole: false }));
    assert_eq!(tail(Framing::UntilClose, b"xyz"), (true, none));
}

#[test]
fn a_body_ends_where_its_framing_says_however_it_arrives() {
    let chunked = b"3\r\nabc\r\n0\r\n\r\nrest";
    let rows: [Row; 9] = [
        (Framing::None, b"rest", 0, b"", true, true),
        (Framing::Length(0), b"rest", 0, b"", true, true),
        (Framing::Length(3), b"abcrest", 3, b"abc", true, true),
        (Framing::Length(3), b"abc", 3, b"abc", true, true),
        (Framing::Length(u64::MAX), b"abc", 3, b"abc", false, false),
        (Framing::Chunked, chunked, chunked.len() - 4, b"abc", true, true),
        (Framing::Chunked, b"3\r\nabc\r\n0\r\n\r", 12, b"abc", false, false),
        (Framing::UntilClose, b"abc", 3, b"abc", false, true),
        (Framing::UntilClose, b"", 0, b"", false, true),
    ];
    for (framing, input, cleared, payload, complete, whole_at_eof) in rows {
        let expected = Outcome {
            cleared,
            payload: payload.to_vec(),
            complete,
            at_eof: if whole_at_eof { Ok(()) } else { Err(Truncated) },
        };
        for pieces in every_cut(input) {
            assert_eq!(scan_in(framing, &pieces), expected, "{framing:?} {pieces:?}");
        }
    }
}

#[test]
fn nothing_is_cleared_after_the_end() {
    for framing in [Framing::Length(1), Framing::Chunked] {
        let mut body = Body::new(framing);
        let whole: &[u8] = match framing {
            Framing::Chunked => b"0\r\n\r\n",
            _ => b"x",
        };
        assert_eq!(body.scan(whole, |_| {}), Ok(whole.len()));
        assert_eq!(body.scan(b"HTTP/1.1 200 OK", |_| unreachable!()), Ok(0), "{framing:?}");
    }
}

#[test]
fn a_refused_body_stays_refused_and_is_never_whole() {
    let mut body = Body::new(Framing::Chunked);
    assert_eq!(body.scan(b"1\r\nx\n", |_| {}), Err(ChunkError::DataUnterminated));
    assert_eq!(body.scan(b"0\r\n\r\n", |_| {}), Err(ChunkError::DataUnterminated));
    assert!(!body.is_complete());
    assert_eq!(body.on_eof(), Err(Truncated));
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_split_of_a_length_body_is_alike(
        input in prop::collection::vec(any::<u8>(), 0..100), length in 0u64..120, ends in any_ends(),
    ) {
        let framing = Framing::Length(length);
        let whole = scan_in(framing, &[&input]);
        prop_assert_eq!(&whole.payload[..], &input[..input.len().min(length as usize)]);
        prop_assert_eq!(scan_in(framing, &cut_at(&input, &ends)), whole);
    }
}
