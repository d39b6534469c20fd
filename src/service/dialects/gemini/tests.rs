use crate::service::Dialect::{Gemini, Generic};
use crate::service::Ending::{Failed, Truncated, Whole};
use crate::service::Truncation::NoEndMark;
use crate::service::tests::recorded::{cut_behind, first_output, replay_document, replay_stream};

const STREAM: &[u8] = include_bytes!("recorded/stream.txt");
const LIST: &[u8] = include_bytes!("recorded/list.txt");
const ERROR: &[u8] = include_bytes!("recorded/error.txt");

#[test]
fn a_recorded_stream_is_whole_and_counted() {
    let told = replay_stream(Gemini, STREAM);
    assert_eq!((told.dialect, told.ending, told.events), (Gemini, Whole, 3));
    // What was thought is a part of the answer.
    assert_eq!(told.usage, [Some(391), Some(145), None, Some(102)]);
    assert_eq!(told.model.as_deref(), Some("gemini-2.5-flash"));
    let first = first_output(Gemini, STREAM);
    assert_eq!(first.matches("data:").count(), 1, "{first}");
    assert_eq!(cut_behind(Gemini, STREAM, "\r\n\r\n", 1), Truncated(NoEndMark));
    assert_eq!(cut_behind(Gemini, STREAM, "\r\n\r\n", 2), Truncated(NoEndMark));
}

#[test]
fn a_list_is_a_document() {
    let told = replay_document(Gemini, LIST);
    assert_eq!(told.ending, Whole);
    assert_eq!(told.usage, [Some(391), Some(145), None, Some(102)]);
    assert_eq!(replay_document(Gemini, ERROR).ending, Failed);
    let listed = [b"[", ERROR, b"]"].concat();
    assert_eq!(replay_document(Gemini, &listed).ending, Failed);
}

#[test]
fn ends_and_errors() {
    for (event, ending) in [
        (r#"{"candidates":[{"content":{},"finishReason":"MAX_TOKENS"}]}"#, Whole),
        (r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, Whole),
        (r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#, Truncated(NoEndMark)),
        (r#"{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}"#, Failed),
    ] {
        let told = replay_stream(Gemini, format!("data: {event}\n\n").as_bytes());
        assert_eq!((told.dialect, told.ending), (Gemini, ending), "{event}");
    }
    let other = b"data: {\"text\":\"a\"}\n\n";
    assert_eq!(replay_stream(Gemini, other).dialect, Generic);
}

#[test]
fn several_candidates_end_one_after_the_other() {
    let both = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"index":0},{"content":{"parts":[{"text":"b"}]},"index":1}]}"#;
    let first = r#"{"candidates":[{"content":{"parts":[{"text":"c"}]},"index":0},{"finishReason":"STOP","index":1}]}"#;
    let last = r#"{"candidates":[{"finishReason":"STOP","index":0}]}"#;
    let stream = [both, first, last].map(|event| format!("data: {event}\n\n"));
    let ending = |count: usize| replay_stream(Gemini, stream[..count].concat().as_bytes()).ending;
    assert_eq!([1, 2, 3].map(ending), [Truncated(NoEndMark), Truncated(NoEndMark), Whole]);
}

#[test]
fn a_part_without_text_is_output_and_an_empty_text_is_not() {
    for (part, begins) in [
        (r#"{"text":"a"}"#, true),
        (r#"{"text":""}"#, false),
        (r#"{"functionCall":{"name":"f","args":{}}}"#, true),
        (r#"{"inlineData":{"mimeType":"image/png","data":"AA"}}"#, true),
    ] {
        let event = format!(r#"{{"candidates":[{{"content":{{"parts":[{part}]}}}}]}}"#);
        let stream = format!("data: {event}\n\n");
        assert_eq!(!first_output(Gemini, stream.as_bytes()).is_empty(), begins, "{part}");
    }
}
