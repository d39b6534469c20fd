//! A tail: the events of one stream as somebody sees them who looks on, masked or with their text.

use super::mask::masked_data;
use crate::http::sse::{EventObserver, Watcher};

/// An event is given up as too long to be shown beyond this.
const EVENT_BYTES_MAX: usize = 64 << 10;

/// Cuts an event stream into the data of its events.
#[derive(Debug)]
pub struct Cutter {
    observer: EventObserver,
    events: Events,
}

#[derive(Debug)]
struct Events {
    /// With their text.
    plain: bool,
    /// Of the event that comes now.
    data: Vec<u8>,
    /// Lines of it that have ended.
    lines: usize,
    /// One was the mark of the end.
    done: bool,
    /// Bytes of it that are not kept.
    dropped: usize,
    /// To be shown.
    ready: Vec<String>,
}

impl Cutter {
    pub fn new(plain: bool) -> Cutter {
        let events = Events {
            plain,
            data: Vec::new(),
            lines: 0,
            done: false,
            dropped: 0,
            ready: Vec::new(),
        };
        Cutter { observer: EventObserver::new(), events }
    }

    /// Bytes are missing: what comes next belongs to nothing that came before.
    pub fn skip(&mut self) {
        *self = Cutter::new(self.events.plain);
    }

    /// Takes bytes and gives the data of each event that is complete.
    pub fn feed(&mut self, data: &[u8], give: impl FnMut(String)) {
        self.observer.feed_to(data, &mut self.events);
        self.events.ready.drain(..).for_each(give);
    }
}

impl Watcher for Events {
    fn name_start(&mut self) {}

    /// An error as servers have written it: as much an event to who looks on as any.
    fn error_line(&mut self) {}

    fn done(&mut self) {
        self.done = true;
    }

    fn name(&mut self, _part: &[u8]) {}

    fn name_end(&mut self) {}

    fn object(&mut self, line: &[u8]) {
        self.data(line);
        self.data_end();
    }

    fn data(&mut self, part: &[u8]) {
        let room = EVENT_BYTES_MAX.saturating_sub(self.data.len());
        let kept = &part[..part.len().min(room)];
        self.data.extend_from_slice(kept);
        self.dropped += part.len() - kept.len();
    }

    fn data_end(&mut self) {
        self.lines += 1;
        self.data(b"\n");
    }

    fn dispatched(&mut self, has_data: bool) -> bool {
        let mut data = std::mem::take(&mut self.data);
        let (lines, dropped) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.dropped));
        let done = std::mem::take(&mut self.done);
        if data.last() == Some(&b'\n') {
            data.pop();
        }
        if lines == 0 {
            self.ready.extend(done.then(|| "[DONE]".to_owned()));
            return has_data;
        }
        self.ready.push(match dropped {
            0 if self.plain => String::from_utf8_lossy(&data).into_owned(),
            0 => String::from_utf8_lossy(&masked_data(&data)).into_owned(),
            _ => format!("({} bytes, too long to be shown)", data.len() + dropped),
        });
        has_data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::every_cut;

    fn events(plain: bool, pieces: &[&[u8]]) -> Vec<String> {
        let (mut cutter, mut events) = (Cutter::new(plain), Vec::new());
        pieces.iter().for_each(|piece| cutter.feed(piece, |event| events.push(event)));
        events
    }

    #[test]
    fn any_cut_gives_the_same_events() {
        let stream = b"data: {\"a\":\"bc\"}\r\n\r\n: comment\nevent: x\ndata:[DONE]\n\n\
            id: 1\n\ndata\n\ndata: one\rdata: two\r\r\
            error: {\"code\":500}\n\ndata: cut";
        for pieces in every_cut(stream) {
            let masked = ["{\"x\":\"xx\"}", "[DONE]", "", "xxxxxxx", "{\"code\":500}"];
            assert_eq!(events(false, &pieces), masked, "{pieces:?}");
            let plain = ["{\"a\":\"bc\"}", "[DONE]", "", "one\ntwo", "{\"code\":500}"];
            assert_eq!(events(true, &pieces), plain, "{pieces:?}");
        }
    }

    #[test]
    fn what_was_missed_is_part_of_no_event() {
        let (mut cutter, mut events) = (Cutter::new(true), Vec::new());
        cutter.feed(b"data: {\"a\":", |event| events.push(event));
        cutter.skip();
        cutter.feed(b"data: 1\n\n", |event| events.push(event));
        assert_eq!(events, ["1"]);
    }

    #[test]
    fn an_event_takes_a_bounded_room() {
        let long = [b"data: ", &[b'a'; EVENT_BYTES_MAX + 1][..], b"\ndata: b\n\ndata: c\n\n"];
        assert_eq!(events(true, &long), ["(65540 bytes, too long to be shown)", "c"]);
    }
}
