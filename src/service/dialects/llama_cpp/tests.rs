use crate::service::Dialect::{Generic, LlamaCpp};
use crate::service::Ending::{Failed, Truncated, Whole};
use crate::service::Truncation::{InsideEvent, NoEndMark, NoEvents};
use crate::service::tests::recorded::{cut_behind, first_output, replay_document, replay_stream};

const STREAM: &[u8] = include_bytes!("recorded/stream.txt");
const TWO: &[u8] = include_bytes!("recorded/two_prompts.txt");
const PROGRESS: &[u8] = include_bytes!("recorded/progress.txt");
const DOCUMENT: &[u8] = include_bytes!("recorded/document.txt");
const REFUSAL: &[u8] = include_bytes!("recorded/refusal.txt");

#[test]
fn a_recorded_stream_is_whole_and_counted() {
    let told = replay_stream(LlamaCpp, STREAM);
    assert_eq!((told.dialect, told.ending, told.events), (LlamaCpp, Whole, 5));
    assert_eq!(told.usage, [Some(18), Some(4), Some(0), None]);
    assert_eq!(told.model.as_deref(), Some("tiny"));
    let first = first_output(LlamaCpp, STREAM);
    assert!(first.ends_with("\n\n") && first.matches("data:").count() == 1, "{first}");
    for events in 1..5 {
        assert_eq!(cut_behind(LlamaCpp, STREAM, "\n\n", events), Truncated(NoEndMark));
    }
    assert_eq!(replay_stream(LlamaCpp, b"").ending, Truncated(NoEvents));
    assert_eq!(replay_stream(LlamaCpp, &STREAM[..60]).ending, Truncated(InsideEvent));
}

#[test]
fn the_answers_to_two_prompts_end_one_after_the_other() {
    let told = replay_stream(LlamaCpp, TWO);
    assert_eq!((told.dialect, told.ending, told.usage), (LlamaCpp, Whole, [None; 4]));
    let events = TWO.windows(5).filter(|window| window == b"data:").count();
    for events in 2..events {
        let ending = cut_behind(LlamaCpp, TWO, "\n\n", events);
        assert_eq!(ending, Truncated(NoEndMark), "{events}");
    }
}

#[test]
fn a_second_answer_is_seen_wherever_it_begins() {
    let event = |index: u8, stop: bool| {
        let counts = r#""tokens_predicted":1,"tokens_evaluated":7"#;
        let text = if stop { "" } else { "a" };
        let data = format!(r#"{{"index":{index},"content":"{text}","stop":{stop},{counts}}}"#);
        format!("data: {data}\n\n")
    };
    let events =
        [event(0, false), event(0, false), event(1, false), event(0, true), event(1, true)];
    for count in 1..events.len() {
        let stream = events[..count].concat();
        let ending = replay_stream(LlamaCpp, stream.as_bytes()).ending;
        assert_eq!(ending, Truncated(NoEndMark), "{stream}");
    }
    assert_eq!(replay_stream(LlamaCpp, events.concat().as_bytes()).ending, Whole);
}

#[test]
fn progress_in_the_prompt_is_no_output() {
    let told = replay_stream(LlamaCpp, PROGRESS);
    assert_eq!((told.dialect, told.ending), (LlamaCpp, Whole));
    assert_eq!(told.usage, [Some(7), Some(2), Some(6), None]);
    let first = first_output(LlamaCpp, PROGRESS);
    assert_eq!(first.matches("data:").count(), 3, "{first}");
}

#[test]
fn documents_are_counted_and_refusals_known() {
    let told = replay_document(LlamaCpp, DOCUMENT);
    assert_eq!((told.ending, told.usage), (Whole, [Some(18), Some(4), Some(17), None]));
    assert_eq!(replay_document(LlamaCpp, REFUSAL).ending, Failed);
    let error = [b"data: ", REFUSAL, b"\n\n"].concat();
    assert_eq!(replay_stream(LlamaCpp, &error).ending, Failed);
}

#[test]
fn what_is_not_its_own_is_generic() {
    for event in [r#"{"content":"a"}"#, r#"{"stop":false}"#, r#"{"text":["a"]}"#] {
        let stream = format!("data: {event}\n\n");
        assert_eq!(replay_stream(LlamaCpp, stream.as_bytes()).dialect, Generic, "{event}");
    }
}
