//! Event streams and lines against plain readers, and every dialect's observer, however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::http::ndjson::LineObserver;
use sluicegate::http::sse::EventObserver;
use sluicegate::service::{Dialect, Observer};
use sluicegate_fuzz::{cut, stream};

fuzz_target!(|input: &[u8]| {
    let [dialect, input @ ..] = input else { return };
    let Some((front, back)) = cut(input) else { return };
    let whole = [front, back].concat();
    let mut events = EventObserver::new();
    events.feed(front);
    events.feed(back);
    // The mark is data too, and the observer without a watcher counts what is handed out.
    assert_eq!(events.data_events(), stream::events(&whole), "{}", whole.escape_ascii());
    let mut lines = LineObserver::new();
    lines.feed_to(front, &mut ());
    lines.feed_to(back, &mut ());
    lines.end(&mut ());
    assert_eq!(lines.data_events(), stream::json_lines(&whole), "{}", whole.escape_ascii());

    let dialect = Dialect::ALL[usize::from(*dialect >> 1) % Dialect::ALL.len()];
    let observer = || match input[0] & 1 {
        0 => Observer::of_stream(dialect),
        _ => Observer::of_document(dialect),
    };
    let told = |pieces: &[&[u8]]| {
        let mut observer = observer();
        pieces.iter().for_each(|piece| observer.feed(piece));
        let boundary = observer.at_boundary();
        let ending = observer.end();
        let seen = (observer.data_events(), observer.saw_error(), observer.is_whole());
        format!("{boundary} {ending:?} {seen:?} {:?} {:?}", observer.usage(), observer.completion())
    };
    assert_eq!(told(&[&whole]), told(&[front, back]), "{}", dialect.name());
});
