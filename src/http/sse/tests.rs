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

/// An event that somebody is handed: its name and its data, without lines that are `[DONE]`.
type Event = (Vec<u8>, Vec<u8>);

/// Notes what it is shown.
#[derive(Default)]
struct Notes {
    name: Vec<u8>,
    name_so_far: Vec<u8>,
    /// In the value of a field that is none of an event stream.
    in_error: bool,
    data: Vec<u8>,
    events: Vec<Event>,
}

impl Watcher for Notes {
    fn name_start(&mut self) {
        self.name_so_far.clear();
    }

    fn error_line(&mut self) {
        self.in_error = true;
    }

    fn done(&mut self) {}

    fn name(&mut self, part: &[u8]) {
        self.name_so_far.extend_from_slice(part);
    }

    fn name_end(&mut self) {
        self.name = std::mem::take(&mut self.name_so_far);
    }

    fn object(&mut self, line: &[u8]) {
        assert!(self.data.is_empty() && line.starts_with(b"{"));
        self.data(line);
        self.data_end();
    }

    fn data(&mut self, part: &[u8]) {
        if !self.in_error {
            self.data.extend_from_slice(part);
        }
    }

    fn data_end(&mut self) {
        if !std::mem::take(&mut self.in_error) {
            self.data.push(b'\n');
        }
    }

    fn dispatched(&mut self, has_data: bool) -> bool {
        let event = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if has_data {
            self.events.push(event);
        }
        has_data
    }
}

fn events_of(pieces: &[&[u8]]) -> Vec<Event> {
    let (mut observer, mut notes) = (EventObserver::new(), Notes::default());
    pieces.iter().for_each(|piece| observer.feed_to(piece, &mut notes));
    notes.events
}

/// A second opinion, by other means: the standard's own steps over the whole stream. The events, and
/// whether a data line was `[DONE]`.
fn interpret(stream: &[u8]) -> (Vec<Event>, bool) {
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
    let (mut events, mut done, mut data, mut event) = (vec![], false, false, Event::default());
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match (name, value) {
            _ if line.is_empty() => {
                let event = std::mem::take(&mut event);
                if std::mem::take(&mut data) {
                    events.push(event);
                }
            }
            (b"event", name) => event.0 = name.to_vec(),
            (b"data", b"[DONE]") => (data, done) = (true, true),
            (b"data", line) => {
                data = true;
                event.1.extend([line, b"\n"].concat());
            }
            _ => {}
        }
    }
    (events, done)
}

#[test]
fn the_last_name_is_the_name_and_an_empty_one_is_none() {
    for (stream, name) in [
        (&b"event: a\ndata: x\n\n"[..], &b"a"[..]),
        (b"event:a\ndata: x\n\n", b"a"),
        (b"event:  a \ndata: x\n\n", b" a "),
        (b"data: x\nevent: a\n\n", b"a"),
        (b"event: a\nevent: b\ndata: x\n\n", b"b"),
        (b"event: a\nevent\ndata: x\n\n", b""),
        (b"event: a\nevent:\ndata: x\n\n", b""),
        (b"event: a\nevent: \rdata: x\n\n", b""),
        (b"event: a\nevents\neven: b\n event: c\ndata: x\n\n", b"a"),
        // A name is its event's, whether that is handed to somebody or not.
        (b"event: a\n\ndata: x\n\n", b""),
        (b"event: a\n: comment\nid\nretry: 5\ndata: x\n\n", b"a"),
        (b"\xef\xbb\xbfevent: a\r\ndata: x\r\r", b"a"),
    ] {
        let expected = [(name.to_vec(), b"x\n".to_vec())];
        for pieces in every_cut(stream) {
            assert_eq!(events_of(&pieces), expected, "{:?}", stream.escape_ascii().to_string());
        }
    }
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
        b"event",
        b"event:",
        b"id",
        b"retry: 1",
        b"d",
        b"{}",
        b"\xef\xbb\xbf",
        b"\xef",
    ]);
    prop::collection::vec(fragment, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_stream_is_seen_as_the_standard_reads_it(stream in any_stream(), ends in any_ends()) {
        let (events, done, boundary) = observe_any_split(&stream);
        let expected = interpret(&stream);
        prop_assert_eq!((events, done), (expected.0.len() as u64, expected.1));
        prop_assert_eq!(observe(&cut_at(&stream, &ends)), (events, done, boundary));
        prop_assert_eq!(&events_of(&[&stream]), &expected.0);
        prop_assert_eq!(&events_of(&cut_at(&stream, &ends)), &expected.0);
    }

    #[test]
    fn an_event_written_at_a_boundary_stands_by_itself(stream in any_stream()) {
        let (events, _, boundary) = observe(&[&stream]);
        if boundary {
            let ours = [&stream[..], b"data: ours\n\n"].concat();
            prop_assert_eq!(interpret(&ours).0.len() as u64, events + 1);
        }
    }
}
