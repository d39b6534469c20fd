use super::streams::observe_any_split;
use crate::service::Dialect::OpenAiResponses;
use crate::service::Ending::Whole;

#[test]
fn the_last_name_of_an_event_counts_and_without_one_its_type() {
    let delta = r#"{"type":"response.output_text.delta","delta":"a"}"#;
    let completed = r#"{"type":"response.completed","response":{}}"#;
    for (names, data, whole) in [
        ("event: response.completed\n", delta, true),
        ("event: x\nevent: response.completed\n", delta, true),
        ("event: response.completed\nevent\n", delta, false),
        ("event: response.completed\nevent:\r\n", delta, false),
        ("event: x\n", completed, false),
        ("event: x\nevent\n", completed, true),
        ("event: x\nevent: \n", completed, true),
        ("event\n", completed, true),
    ] {
        // What the stream is has been claimed by its first event.
        let begun = "data: {\"type\":\"response.created\",\"response\":{}}\n\n";
        let stream = format!("{begun}{names}data: {data}\n\n");
        let seen = observe_any_split(OpenAiResponses, stream.as_bytes());
        assert_eq!(seen.ending == Whole, whole, "{stream}");
    }
}
