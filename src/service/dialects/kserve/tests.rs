use crate::service::Dialect::{Generic, KServe, Triton};
use crate::service::Ending::{Failed, Truncated, Whole};
use crate::service::Truncation::{InsideEvent, NoEvents};
use crate::service::tests::recorded::{first_output, replay_document, replay_stream};

const INFER: &[u8] = include_bytes!("recorded/infer.txt");
const NOT_FOUND: &[u8] = include_bytes!("recorded/not_found.txt");
const MLSERVER: &[u8] = include_bytes!("recorded/generate_stream.txt");
const STREAM: &[u8] = include_bytes!("recorded/triton_stream.txt");
const DOCUMENT: &[u8] = include_bytes!("recorded/triton_document.txt");

#[test]
fn recorded_streams_are_claimed_and_end_with_http() {
    for (stream, model, events) in [(STREAM, "ensemble", 5), (MLSERVER, "echo", 3)] {
        let told = replay_stream(Triton, stream);
        assert_eq!((told.dialect, told.ending, told.events), (Triton, Whole, events));
        assert_eq!((told.model.as_deref(), told.usage), (Some(model), [None; 4]));
        let first = first_output(Triton, stream);
        assert_eq!(first.matches("data:").count(), 1, "{first}");
        assert_eq!(
            replay_stream(Triton, &stream[..stream.len() - 9]).ending,
            Truncated(InsideEvent)
        );
    }
    assert_eq!(replay_stream(KServe, MLSERVER).dialect, KServe);
    assert_eq!(replay_stream(Triton, b"").ending, Truncated(NoEvents));
}

#[test]
fn recorded_documents_have_a_model_and_no_cost() {
    for (dialect, document, model) in
        [(KServe, INFER, "echo"), (Triton, INFER, "echo"), (Triton, DOCUMENT, "ensemble")]
    {
        let told = replay_document(dialect, document);
        assert_eq!((told.ending, told.model.as_deref()), (Whole, Some(model)));
        assert_eq!(told.usage, [None; 4]);
    }
    assert_eq!(replay_document(KServe, NOT_FOUND).ending, Failed);
}

#[test]
fn errors_are_seen_and_strangers_left_alone() {
    let delta = r#"{"model_name":"m","model_version":"1","text_output":"a"}"#;
    let failing = format!("data: {delta}\n\ndata: {{\"error\":\"out of memory\"}}\n\n");
    assert_eq!(replay_stream(Triton, failing.as_bytes()).ending, Failed);
    let stranger = b"data: {\"model_name\":\"m\"}\n\n";
    assert_eq!(replay_stream(Triton, stranger).dialect, Generic);
    let empty = r#"{"model_name":"m","model_version":"1","text_output":""}"#;
    let other = r#"{"model_name":"m","model_version":"1","answer":"a"}"#;
    for (event, begins) in [(delta, true), (empty, false), (other, true)] {
        let stream = format!("data: {event}\n\n");
        assert_eq!(!first_output(Triton, stream.as_bytes()).is_empty(), begins, "{event}");
    }
}

#[test]
fn the_model_stands_in_the_path() {
    for (path, model) in [
        ("/v2/models/echo/infer", Some("echo")),
        ("/a/v2/models/echo/versions/3/infer", Some("echo")),
        ("/v2/models//infer", None),
    ] {
        assert_eq!(KServe.model_in(path), model, "{path}");
    }
}
