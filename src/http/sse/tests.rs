use proptest::prelude::*;

use super::*;
use crate::http::tests::{any_ends, cut_at, every_cut};

/// Data events, `[DONE]` seen, at a boundary.
type Seen = (u64, bool, bool);

/// Notes marks of the end and lines of errors.
#[derive(Default)]
struct Marks {
    done: bool,
    errors: usize,
}

impl Watcher for Marks {
    fn name_start(&mut self) {}
    fn name(&mut self, _part: &[u8]) {}
    fn name_end(&mut self) {}
    fn error_line(&mut self) {
        self.errors += 1;
    }
    fn object(&mut self, _line: &[u8]) {}
    fn data(&mut self, _part: &[u8]) {}
    fn data_end(&mut self) {}
    fn done(&mut self) {
        self.done = true;
    }
    fn dispatched(&mut self, has_data: bool) -> bool {
        has_data
    }
}

fn observe(pieces: &[&[u8]]) -> Seen {
    let (mut observer, mut marks) = (EventObserver::new(), Marks::default());
    for piece in pieces {
        observer.feed_to(piece, &mut marks);
    }
    (observer.data_events(), marks.done, observer.at_boundary())
}

#[test]
fn a_line_of_an_error_is_told_from_the_name_of_an_event() {
    for (stream, expected) in [
        ("error: {\"code\":500}\n\n", 1),
        ("error:x\r\nerror:\r\n\r\n", 2),
        ("event: error\ndata: error: x\n\n", 0),
        ("errors: x\n\nerr: x\n\nerror\n\nEerror: x\n\nevrror: x\n\n error: x\n\n", 0),
    ] {
        for pieces in every_cut(stream.as_bytes()) {
            let (mut observer, mut marks) = (EventObserver::new(), Marks::default());
            pieces.iter().for_each(|piece| observer.feed_to(piece, &mut marks));
            assert_eq!(marks.errors, expected, "{stream}");
        }
    }
}

fn observe_any_split(stream: &[u8]) -> Seen {
    let whole = observe(&[stream]);
    for pieces in every_cut(stream) {
        assert_eq!(observe(&pieces), whole, "{:?}", stream.escape_ascii().to_string());
    }
    whole
}

const STREAMS: &[(&[u8], Seen)] = &[
    (b"", (0, false, true)),
    (b"\n", (0, false, true)),
    (b"data: {\"a\":1}\n\n", (1, false, true)),
    (b"data: {\"a\":1}\n", (0, false, false)),
    (b"data: {\"a\":1}", (0, false, false)),
    (b"data: a\n\ndata: b\n\n", (2, false, true)),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", (2, false, true)),
    (b"data: a\r\rdata: b\r\r", (2, false, true)),
    (b"data: a\r\n\r", (1, false, true)),
    (b"data: a\r\n", (0, false, false)),
    (b"data: a\n\r\ndata: b\r\n\n", (2, false, true)),
    // Several lines are one event, however they are called.
    (b"event: x\nid: 1\ndata: a\ndata: b\n\n", (1, false, true)),
    (b"event: x\nid: 1\n\n", (0, false, true)),
    (b"event: x\n", (0, false, false)),
    // A field needs no colon, and its value may be empty.
    (b"data\n\n", (1, false, true)),
    (b"data:\n\n", (1, false, true)),
    (b"datas: a\n\ndat: a\n\n data: a\n\nData: a\n\n", (0, false, true)),
    // Comments are part of no event.
    (b": ping\n\n", (0, false, true)),
    (b": ping\n", (0, false, true)),
    (b": ping", (0, false, false)),
    (b":data: a\n\n", (0, false, true)),
    (b"data: a\n: ping\n", (0, false, false)),
    (b"data: a\n: ping\n\n", (1, false, true)),
    // The byte order mark counts only whole and only at the start.
    (b"\xef\xbb\xbfdata: a\n\n", (1, false, true)),
    (b"\xef\xbb\xbf\n", (0, false, true)),
    (b"\xef\xbbdata: a\n\n", (0, false, true)),
    (b"\xef\xbb", (0, false, false)),
    (b"\xef\n", (0, false, false)),
    (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", (1, false, true)),
    // The end marker is a whole line.
    (b"data: [DONE]\n\n", (1, true, true)),
    (b"data:[DONE]\r\n\r\n", (1, true, true)),
    (b"data: [DONE]", (0, false, false)),
    (b"data: [DONE]\n", (0, true, false)),
    (b"data: [DONE] \n\n", (1, false, true)),
    (b"data:  [DONE]\n\n", (1, false, true)),
    (b"data: [DONE\n\ndata: [DONE]]\n\nevent: [DONE]\n\n[DONE]\n\n", (2, false, true)),
    (b"data: {[DONE]\n\n", (1, false, true)),
];

#[test]
fn any_split_of_a_stream_is_seen_alike() {
    for (stream, expected) in STREAMS {
        let seen = observe_any_split(stream);
        assert_eq!(seen, *expected, "{:?}", stream.escape_ascii().to_string());
    }
}

#[test]
fn an_observer_is_small() {
    assert!(size_of::<EventObserver>() <= 48, "{}", size_of::<EventObserver>());
}

/// A second opinion, by other means: the standard's own steps over the whole stream.
fn interpret(stream: &[u8]) -> (u64, bool) {
    let stream = stream.strip_prefix(BYTE_ORDER_MARK).unwrap_or(stream);
    let mut lines: Vec<Vec<u8>> = vec![vec![]];
    let mut after_cr = false;
    for &byte in stream {
        match byte {
            b'\n' if after_cr => {}
            b'\n' | b'\r' => lines.push(vec![]),
            _ => lines.last_mut().unwrap().push(byte),
        }
        after_cr = byte == b'\r';
    }
    // What comes behind the last line end is no line yet.
    lines.pop();
    let (mut events, mut done, mut data) = (0, false, false);
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        if line.is_empty() {
            events += u64::from(std::mem::take(&mut data));
        } else if name == b"data" {
            data = true;
            done |= matches!(value, b":[DONE]" | b": [DONE]");
        }
    }
    (events, done)
}

/// Fragments that meet each other at all the interesting places.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        &b"data"[..],
        b"data:",
        b"data: {",
        b"data: [DONE]",
        b"[DONE]",
        b" ",
        b":",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"event: x",
        b"error: x",
        b"er",
        b"d",
        b"{}",
        b"\xef\xbb\xbf",
        b"\xef",
    ]);
    prop::collection::vec(fragment, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_stream_is_seen_as_the_standard_reads_it(stream in any_stream(), ends in any_ends()) {
        let (events, done, boundary) = observe_any_split(&stream);
        prop_assert_eq!((events, done), interpret(&stream));
        prop_assert_eq!(observe(&cut_at(&stream, &ends)), (events, done, boundary));
    }

    #[test]
    fn an_event_written_at_a_boundary_stands_by_itself(stream in any_stream()) {
        let (events, _, boundary) = observe(&[&stream]);
        if boundary {
            let ours = [&stream[..], b"data: ours\n\n"].concat();
            prop_assert_eq!(interpret(&ours).0, events + 1);
        }
    }
}
