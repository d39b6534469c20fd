//! Recorded conversations, replayed.

use crate::http::tests::every_cut;
use crate::service::model::AnswerText;
use crate::service::{Dialect, Ending, Observer, Usage};

/// What an observer has told of a recording.
#[derive(Debug, PartialEq)]
pub(in crate::service) struct Replay {
    pub dialect: Dialect,
    pub ending: Ending,
    /// Prompt, completion, cached, reasoning.
    pub usage: [Option<u32>; 4],
    pub model: Option<String>,
    pub events: u64,
}

fn play(mut observer: Observer, pieces: &[&[u8]]) -> Replay {
    let mut model = AnswerText::model();
    for piece in pieces {
        observer.feed(piece);
        model.feed(piece);
    }
    let ending = observer.end();
    let Usage { prompt, completion, cached, reasoning } = observer.usage().unwrap_or_default();
    Replay {
        dialect: observer.dialect(),
        ending,
        usage: [prompt, completion, cached, reasoning],
        model: model.name().map(str::to_owned),
        events: observer.data_events(),
    }
}

fn replay(observer: impl Fn() -> Observer, body: &[u8]) -> Replay {
    let whole = play(observer(), &[body]);
    for pieces in every_cut(body) {
        assert_eq!(play(observer(), &pieces), whole, "{}", body.escape_ascii());
    }
    whole
}

/// A stream of a server that is expected to speak `dialect`.
pub(in crate::service) fn replay_stream(dialect: Dialect, body: &[u8]) -> Replay {
    replay(|| Observer::of_stream(dialect), body)
}

pub(in crate::service) fn replay_document(dialect: Dialect, body: &[u8]) -> Replay {
    replay(|| Observer::of_document(dialect), body)
}

/// The stream up to and with the event in which the first output has come.
pub(in crate::service) fn first_output(dialect: Dialect, body: &[u8]) -> String {
    let mut observer = Observer::of_stream(dialect);
    for at in 0..body.len() {
        observer.feed(&body[at..=at]);
        if observer.saw_answer() {
            return String::from_utf8_lossy(&body[..=at]).into_owned();
        }
    }
    String::new()
}

/// How a stream ends that is cut behind its first `events`, cleanly in HTTP.
pub(in crate::service) fn cut_behind(
    dialect: Dialect,
    body: &[u8],
    blank: &str,
    events: usize,
) -> Ending {
    let text = std::str::from_utf8(body).expect("a recording is text");
    let kept: String = text.split_inclusive(blank).take(events).collect();
    replay_stream(dialect, kept.as_bytes()).ending
}
