use crate::service::Dialect::{Generic, Sglang, Tgi};
use crate::service::Ending::{Failed, Truncated, Whole};
use crate::service::Truncation::NoEndMark;
use crate::service::tests::recorded::{cut_behind, first_output, replay_document, replay_stream};

const STREAM: &[u8] = include_bytes!("recorded/stream.txt");
const DOCUMENT: &[u8] = include_bytes!("recorded/document.txt");

#[test]
fn a_published_stream_is_whole_and_counted_whichever_of_two_is_expected() {
    for expected in [Sglang, Tgi] {
        let told = replay_stream(expected, STREAM);
        assert_eq!((told.dialect, told.ending), (Sglang, Whole));
        assert_eq!(told.usage, [Some(5), Some(18), Some(0), None]);
        let first = first_output(expected, STREAM);
        assert_eq!(first.matches("data:").count(), 1, "{first}");
        assert_eq!(cut_behind(expected, STREAM, "\n\n", 1), Truncated(NoEndMark));
        assert_eq!(cut_behind(expected, STREAM, "\n\n", 2), Truncated(NoEndMark));
        assert_eq!(cut_behind(expected, STREAM, "\n\n", 3), Whole);
    }
}

#[test]
fn the_first_event_decides_which_it_is() {
    for (event, dialect) in [
        (r#"{"token":{"id":1,"text":"a"},"generated_text":null}"#, Tgi),
        (r#"{"error":"busy","error_type":"overloaded"}"#, Tgi),
        (r#"{"text":"a","meta_info":{"finish_reason":{"type":"length","length":1}}}"#, Sglang),
        (r#"{"output_ids":[7],"meta_info":{"finish_reason":null}}"#, Sglang),
        // vLLM's demonstration server.
        (r#"{"text":["a"]}"#, Generic),
        (r#"{"token":{"id":1,"text":"a"}}"#, Generic),
    ] {
        let stream = format!("data: {event}\n\n");
        assert_eq!(replay_stream(Tgi, stream.as_bytes()).dialect, dialect, "{event}");
    }
    let one = r#"data: {"text":"a","meta_info":{"finish_reason":{"type":"length","length":1},"prompt_tokens":3,"completion_tokens":1}}"#;
    let told = replay_stream(Tgi, format!("{one}\n\n").as_bytes());
    assert_eq!((told.ending, told.usage), (Whole, [Some(3), Some(1), None, None]));
}

#[test]
fn answers_to_a_list_end_one_after_the_other() {
    let event = |text: &str, reason: &str, index: u8| {
        let meta = format!(r#"{{"id":"{index}","finish_reason":{reason},"prompt_tokens":3}}"#);
        format!("data: {{\"text\":\"{text}\",\"meta_info\":{meta},\"index\":{index}}}\n\n")
    };
    let stop = r#"{"type":"stop"}"#;
    let events = [event("a", "null", 0), event("b", stop, 1), event("ab", "null", 0)];
    for count in 1..=3 {
        let stream = events[..count].concat();
        assert_eq!(replay_stream(Sglang, stream.as_bytes()).ending, Truncated(NoEndMark));
    }
    let all = [events.concat(), event("abc", stop, 0)].concat();
    assert_eq!(replay_stream(Sglang, all.as_bytes()).ending, Whole);
}

#[test]
fn errors_and_aborts_are_errors() {
    for event in [
        r#"{"error":{"message":"The input is too long"}}"#,
        r#"{"text":"","meta_info":{"finish_reason":{"type":"abort","message":"x","status_code":503}}}"#,
    ] {
        let delta = r#"data: {"text":"a","meta_info":{"finish_reason":null}}"#;
        let stream = format!("{delta}\n\ndata: {event}\n\ndata: [DONE]\n\n");
        assert_eq!(replay_stream(Sglang, stream.as_bytes()).ending, Failed, "{event}");
    }
    let abort = r#"{"text":"","meta_info":{"finish_reason":{"type":"abort","message":"x"}}}"#;
    assert_eq!(replay_document(Sglang, abort.as_bytes()).ending, Failed);
}

#[test]
fn documents_are_counted() {
    for expected in [Sglang, Tgi] {
        let told = replay_document(expected, DOCUMENT);
        assert_eq!((told.ending, told.usage), (Whole, [Some(5), Some(18), Some(0), None]));
    }
}
