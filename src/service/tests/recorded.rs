//! Recorded conversations, replayed.

use proptest::prelude::*;

use crate::http::tests::{any_ends, cut_at, every_cut};
use crate::service::model::AnswerText;
use crate::service::{Dialect, Ending, Observer, Truncation, Usage};

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

const ALL: [(Dialect, &[u8]); 13] = [
    (Dialect::OpenAiChat, include_bytes!("../dialects/openai/recorded/chat.txt")),
    (Dialect::OpenAiCompletions, include_bytes!("../dialects/openai/recorded/completions.txt")),
    (Dialect::OpenAiResponses, include_bytes!("../dialects/responses/recorded/stream.txt")),
    (Dialect::Anthropic, include_bytes!("../dialects/anthropic/recorded/stream.txt")),
    (Dialect::Tgi, include_bytes!("../dialects/tgi/recorded/stream.txt")),
    (Dialect::Tgi, include_bytes!("../dialects/sglang/recorded/stream.txt")),
    (Dialect::Ollama, include_bytes!("../dialects/ollama/recorded/chat.txt")),
    (Dialect::Gemini, include_bytes!("../dialects/gemini/recorded/stream.txt")),
    (Dialect::KServe, include_bytes!("../dialects/kserve/recorded/generate_stream.txt")),
    (Dialect::Triton, include_bytes!("../dialects/kserve/recorded/triton_stream.txt")),
    (Dialect::LlamaCpp, include_bytes!("../dialects/llama_cpp/recorded/two_prompts.txt")),
    (Dialect::LlamaCpp, include_bytes!("../dialects/llama_cpp/recorded/progress.txt")),
    (Dialect::Sglang, include_bytes!("../dialects/sglang/recorded/stream.txt")),
];

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    /// A server that says something else than it should is read alike in whatever pieces it comes.
    #[test]
    fn any_cut_of_a_spoilt_recording_says_the_same(
        which in 0..ALL.len(),
        at: prop::sample::Index,
        with in prop::sample::select(&b"{}[]\":,0a\\\n\r \xff"[..]),
        twice: bool,
        ends in any_ends(),
    ) {
        let (dialect, body) = ALL[which];
        let mut body = body.to_vec();
        let at = at.index(body.len());
        body[at] = with;
        if twice {
            body.extend_from_within(at..);
        }
        for document in [false, true] {
            let observer = || match document {
                true => Observer::of_document(dialect),
                false => Observer::of_stream(dialect),
            };
            let whole = play(observer(), &[&body]);
            prop_assert_eq!(play(observer(), &cut_at(&body, &ends)), whole);
        }
    }
}

/// The dialects whose folders have no tests of their own.
#[test]
fn recorded_streams_are_whole_and_counted() {
    use crate::service::Dialect::*;
    for (dialect, body, blank, usage, model, first) in [
        (
            OpenAiChat,
            &include_bytes!("../dialects/openai/recorded/chat.txt")[..],
            "\n\n",
            [Some(35), Some(4), Some(0), None],
            Some("tiny"),
            2,
        ),
        (
            OpenAiCompletions,
            include_bytes!("../dialects/openai/recorded/completions.txt"),
            "\n\n",
            [Some(12), Some(4), Some(2), None],
            Some("tiny"),
            1,
        ),
        (
            OpenAiResponses,
            include_bytes!("../dialects/responses/recorded/stream.txt"),
            "\n\n",
            [Some(35), Some(4), Some(34), None],
            Some("tiny"),
            5,
        ),
        (
            Anthropic,
            include_bytes!("../dialects/anthropic/recorded/stream.txt"),
            "\n\n",
            [Some(35), Some(4), Some(34), None],
            Some("tiny"),
            3,
        ),
        (
            Ollama,
            include_bytes!("../dialects/ollama/recorded/chat.txt"),
            "\n",
            [Some(26), Some(33), None, None],
            Some("llama3.2"),
            1,
        ),
        (Tgi, include_bytes!("../dialects/tgi/recorded/stream.txt"), "\n\n", [None; 4], None, 1),
    ] {
        let told = replay_stream(dialect, body);
        assert_eq!((told.dialect, told.ending), (dialect, Ending::Whole));
        assert_eq!((told.usage, told.model.as_deref()), (usage, model), "{dialect:?}");
        let begun = first_output(dialect, body);
        assert_eq!(begun.matches(blank).count(), first, "{dialect:?}: {begun}");
        let begun = begun.matches(blank).count();
        let cut = cut_behind(dialect, body, blank, begun);
        assert_eq!(cut, Ending::Truncated(Truncation::NoEndMark), "{dialect:?}");
    }
}
