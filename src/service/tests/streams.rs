use proptest::prelude::*;
use serde_json::{Value, json};

use crate::http::tests::{any_ends, cut_at, every_cut};
use crate::service::Dialect::{self, *};
use crate::service::Ending::{self, *};
use crate::service::Truncation::*;
use crate::service::{Observer, Usage};

/// Prompt and completion tokens.
type Counts = Option<(Option<u32>, Option<u32>)>;

/// All that an observer tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub data_events: u64,
    pub at_boundary: bool,
    pub first_event_is_error: bool,
    pub ending: Ending,
    pub usage: Counts,
}

pub(super) fn observe(mut observer: Observer, pieces: &[&[u8]]) -> Seen {
    pieces.iter().for_each(|piece| observer.feed(piece));
    let at_boundary = observer.at_boundary();
    let ending = observer.end();
    assert_eq!(observer.saw_error(), ending == Failed);
    Seen {
        data_events: observer.data_events(),
        at_boundary,
        first_event_is_error: observer.first_event_is_error(),
        ending,
        usage: observer.usage().map(|Usage { prompt, completion, .. }| (prompt, completion)),
    }
}

pub(super) fn observe_any_split(dialect: Dialect, stream: &[u8]) -> Seen {
    let whole = observe(Observer::of_stream(dialect), &[stream]);
    for pieces in every_cut(stream) {
        let seen = observe(Observer::of_stream(dialect), &pieces);
        assert_eq!(seen, whole, "{:?}", stream.escape_ascii().to_string());
    }
    whole
}

/// The ending and the counts of a stream of these events, each with `data: ` before and a blank
/// line behind.
fn ending(dialect: Dialect, events: &[&str]) -> (Ending, Counts) {
    let stream: String = match dialect {
        Ollama => events.iter().map(|event| format!("{event}\n")).collect(),
        _ => events.iter().map(|event| format!("data: {event}\n\n")).collect(),
    };
    let seen = observe_any_split(dialect, stream.as_bytes());
    (seen.ending, seen.usage)
}

const DELTA: &str = r#"{"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"},"logprobs":null,"finish_reason":null}]}"#;
const STOP: &str = r#"{"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"id":"c-1","choices":[],"usage":{"prompt_tokens":12,"total_tokens":41,"completion_tokens":29,"prompt_tokens_details":{"cached_tokens":4}}}"#;
const TOKEN: &str = r#"{"index":1,"token":{"id":9,"text":"a","special":false},"generated_text":null,"details":null}"#;

/// An event with a part of an answer.
pub(super) fn delta_of(dialect: Dialect) -> &'static str {
    match dialect {
        OpenAiChat => DELTA,
        OpenAiCompletions => {
            r#"{"object":"text_completion","choices":[{"text":"a","finish_reason":null}]}"#
        }
        OpenAiResponses => r#"{"type":"response.output_text.delta","delta":"a"}"#,
        Anthropic => r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
        Tgi => TOKEN,
        Ollama => r#"{"message":{"role":"assistant","content":"a"},"done":false}"#,
        Gemini | KServe | Triton | LlamaCpp | Sglang | Text | Generic => r#"{"a":1}"#,
    }
}

const COUNTED: Counts = Some((Some(12), Some(29)));

#[test]
fn an_openai_stream_ends_with_a_reason_or_done() {
    for (events, expected) in [
        (&[DELTA, STOP, USAGE, "[DONE]"][..], (Whole, COUNTED)),
        (&[DELTA, STOP, USAGE], (Whole, COUNTED)),
        (&[DELTA, STOP], (Whole, None)),
        (&[DELTA, "[DONE]"], (Whole, None)),
        (&[DELTA, DELTA], (Truncated(NoEndMark), None)),
        (&[DELTA, USAGE], (Truncated(NoEndMark), COUNTED)),
        (&[], (Truncated(NoEvents), None)),
    ] {
        assert_eq!(ending(OpenAiChat, events), expected, "{events:?}");
        assert_eq!(ending(OpenAiCompletions, events), expected, "{events:?}");
    }
}

#[test]
fn a_mark_counts_when_its_event_has_been_dispatched() {
    let cut = |stream: String| observe_any_split(OpenAiChat, stream.as_bytes()).ending;
    assert_eq!(cut(format!("data: {STOP}\n\n")), Whole);
    assert_eq!(cut(format!("data: {STOP}\n")), Truncated(InsideEvent));
    assert_eq!(cut(format!("data: {DELTA}\n\ndata: {STOP}")), Truncated(InsideEvent));
    assert_eq!(cut(format!("data: {STOP}\n\ndata: [DO")), Whole);
    assert_eq!(cut(": ping\n\n: ping\n\n".to_owned()), Truncated(NoEvents));
}

#[test]
fn what_an_event_says_is_not_what_its_text_says() {
    // Each of these is a delta whose text, name or key imitates an end, an error, a count.
    for choice in [
        r#"{"delta":{"content":"\"finish_reason\":\"stop\""},"finish_reason":null}"#,
        r#"{"delta":{"content":"\\\",\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":1}"},"finish_reason":null}"#,
        r#"{"delta":{"content":"finish_reason"},"finish_reason":null}"#,
        r#"{"delta":{"content":"finish_reason"}}"#,
        r#"{"delta":{"content":"[DONE]"}}"#,
        r#"{"delta":{"content":"{\"error\":{}}"}}"#,
        r#"{"delta":{"content":"error"},"error":{"nested":true}}"#,
        r#"{"delta":{"finish_reason":"stop"}}"#,
        r#"{"delta":{},"native_finish_reason":"stop","finish_reasons":"stop"}"#,
        r#"{"delta":{"a\"finish_reason":"stop"}}"#,
        r#"{"delta":{"tool_calls":[{"function":{"arguments":"{\"usage\":{\"prompt_tokens\":1}}"}}],"usage":{"prompt_tokens":1}}}"#,
    ] {
        let event = format!(r#"{{"choices":[{choice}],"usage":null}}"#);
        assert_eq!(ending(OpenAiChat, &[&event]), (Truncated(NoEndMark), None), "{choice}");
    }
    // And these are ends, however they are written.
    for choices in [
        r#"[{"finish_reason" : "stop"}]"#,
        r#"[{"finish_reason":"x\"y"}]"#,
        r#"[{"finish_reason":null},{"finish_reason":"length"}]"#,
        r#"[{"text":"finish_reason","finish_reason":"stop"}]"#,
        r#"[{"text":"\"finish_reason\":null","finish_reason":"stop"}]"#,
    ] {
        let event = format!(r#"{{ "choices": {choices} }}"#);
        assert_eq!(ending(OpenAiChat, &[&event]).0, Whole, "{choices}");
    }
}

/// An event whose data is written over several lines, as a printer does that cares for people.
fn pretty(event: &str) -> String {
    let event: Value = serde_json::from_str(event).expect("JSON");
    lines(&format!("{event:#}"))
}

/// An event with a `data` line for each line of `text`.
fn lines(text: &str) -> String {
    let data: String = text.lines().map(|line| format!("data: {line}\n")).collect();
    data + "\n"
}

#[test]
fn data_of_several_lines_is_one_text() {
    let ended = r#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":29}}"#;
    let goes_on = r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":null}],"error":"x"}"#;
    let failed = r#"{"error":{"message":"m","code":500}}"#;
    let response = r#"{"type":"response.completed","response":{"usage":{"input_tokens":12,"output_tokens":29}}}"#;
    let refused =
        r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"m"}}}"#;
    let message = r#"{"type":"message_delta","usage":{"input_tokens":12,"output_tokens":29}}"#;
    let text = r#"{"generated_text":"x","details":{"input_length":12,"generated_tokens":29}}"#;
    let begun = |event: &str| pretty(DELTA) + &lines(event);
    for (dialect, events, expected) in [
        (OpenAiChat, pretty(DELTA) + &pretty(STOP) + &pretty(USAGE), (Whole, COUNTED)),
        (OpenAiChat, pretty(DELTA) + &pretty(ended), (Whole, COUNTED)),
        (OpenAiChat, pretty(DELTA) + &pretty(goes_on), (Failed, None)),
        (OpenAiChat, pretty(DELTA) + &pretty(failed), (Failed, None)),
        (OpenAiResponses, pretty(response), (Whole, COUNTED)),
        (OpenAiResponses, pretty(refused), (Failed, None)),
        (Anthropic, pretty(message) + &pretty(r#"{"type":"message_stop"}"#), (Whole, COUNTED)),
        (Tgi, pretty(TOKEN) + &pretty(text), (Whole, COUNTED)),
        // A line that begins like the mark of the end, an empty one, and one without a colon.
        (
            OpenAiChat,
            begun("{\"choices\":\n[\n{\"finish_reason\":\n\n\"stop\"\n}]\n}")
                .replace("data: \n", "data\n"),
            (Whole, None),
        ),
        // What looks like a delta goes on in the next line.
        (
            OpenAiChat,
            begun(
                "{\"choices\":[{\"finish_reason\":null}],\n\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":29}}",
            ),
            (Truncated(NoEndMark), COUNTED),
        ),
        // Two texts are none, and a string ends on its line.
        (OpenAiChat, begun(&format!("{STOP}\n{DELTA}")), (Truncated(NoEndMark), None)),
        (OpenAiChat, begun(&format!("{DELTA}\n{STOP}")), (Truncated(NoEndMark), None)),
        (
            OpenAiChat,
            begun("{\"choices\":[{\"finish_reason\":\"st\nop\"}]}"),
            (Truncated(NoEndMark), None),
        ),
        (
            OpenAiChat,
            begun("{\"id\":\"\\\nn\",\"choices\":[{\"finish_reason\":\"stop\"}]}"),
            (Truncated(NoEndMark), None),
        ),
        (
            OpenAiChat,
            begun("{\"choices\":[{\"finish_reason\":tr\nue}]}"),
            (Truncated(NoEndMark), None),
        ),
    ] {
        for stream in [events.clone(), events.replace('\n', "\r\n"), events.replace('\n', "\r")] {
            let seen = observe_any_split(dialect, stream.as_bytes());
            assert_eq!((seen.ending, seen.usage), expected, "{dialect:?} {stream}");
        }
    }
}

#[test]
fn usage_is_found_where_servers_put_it() {
    for (events, expected) in [
        // In the event of the end, in an event without the mark, in every event.
        (
            vec![
                r#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":29}}"#,
            ],
            COUNTED,
        ),
        (
            vec![
                r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens" : 12 , "completion_tokens" :29 }}"#,
            ],
            COUNTED,
        ),
        (
            vec![
                r#"{"choices":[{"finish_reason":null}],"usage":{"prompt_tokens":12,"completion_tokens":28}}"#,
                r#"{"choices":[{"finish_reason":null}],"usage":{"prompt_tokens":12,"completion_tokens":29}}"#,
            ],
            COUNTED,
        ),
        (vec![USAGE, r#"{"usage":null}"#, r#"{"usage":{}}"#], COUNTED),
        (
            vec![
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":12,"completion_tokens":29}}}"#,
            ],
            COUNTED,
        ),
        (
            vec![
                r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":12,"completion_tokens":29}}]}"#,
            ],
            COUNTED,
        ),
        (
            vec![r#"{"usage":{"prompt_tokens":12,"completion_tokens":null}}"#],
            Some((Some(12), None)),
        ),
        (vec![r#"{"usage":{"prompt_tokens":99999999999}}"#], Some((Some((1 << 24) - 2), None))),
        (vec![r#"{"usage":{"prompt_tokens":1.5,"completion_tokens":-3}}"#], None),
        (vec![r#"{"usage":{"details":{"prompt_tokens":12}}}"#], None),
        // No complete JSON text says anything.
        (vec![r#"{"usage":{"prompt_tokens":12,"completion_tokens":29}"#], None),
        (vec![r#"{"usage":{"prompt_tokens":12}},"#], None),
    ] {
        let begun = [&[DELTA][..], &events].concat();
        assert_eq!(ending(OpenAiChat, &begun).1, expected, "{events:?}");
    }
}

#[test]
fn errors_are_seen_in_every_dialect() {
    for (dialect, error) in [
        (OpenAiChat, r#"{"error":{"message":"x","code":500}}"#),
        (OpenAiChat, r#"{"error": "no object"}"#),
        (OpenAiChat, r#"{"object":"error","message":"x","type":"BadRequestError","code":400}"#),
        (OpenAiChat, r#"{"id":"1","error":{"code":502},"choices":[{"finish_reason":"error"}]}"#),
        (OpenAiChat, r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#),
        (OpenAiResponses, r#"{"type":"error","code":"x","message":"y"}"#),
        (OpenAiResponses, r#"{"type":"response.failed","response":{"status":"failed"}}"#),
        (Anthropic, r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#),
        (Tgi, r#"{"error":"Request failed during generation","error_type":"generation"}"#),
        (Ollama, r#"{"error":"an error was encountered while running the model"}"#),
    ] {
        let delta = delta_of(dialect);
        for before in [&[][..], &[delta]] {
            let events = [before, &[error]].concat();
            assert_eq!(ending(dialect, &events).0, Failed, "{dialect:?} {error}");
        }
        let stream =
            if dialect == Ollama { format!("{error}\n") } else { format!("data: {error}\n\n") };
        assert!(observe_any_split(dialect, stream.as_bytes()).first_event_is_error, "{error}");
        let late = match dialect {
            Ollama => format!("{delta}\n{stream}"),
            _ => format!("data: {delta}\n\n{stream}"),
        };
        assert!(!observe_any_split(dialect, late.as_bytes()).first_event_is_error, "{error}");
    }
    for no_error in [
        r#"{"object":"text","x":{"object":"error"}}"#,
        r#"{"error":null}"#,
        r#"{"error":false}"#,
        r#"{"error":""}"#,
        r#"{"error":0}"#,
        r#"{"error":{}}"#,
        r#"{"error":[]}"#,
        r#"{"error":[[],{"a":{}}]}"#,
        r#"{"error":{"code":0,"message":"","type":"","param":null}}"#,
        r#"{"a":{"error":{}}}"#,
        r#"{"errors":[1]}"#,
    ] {
        assert_eq!(ending(OpenAiChat, &[DELTA, no_error]).0, Truncated(NoEndMark), "{no_error}");
    }
}

#[test]
fn anthropic_streams_go_by_the_names_of_events() {
    let stream = "event: message_start\n\
        data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\",\"content\":[],\
        \"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n\
        event: ping\ndata: {\"type\": \"ping\"}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
        \"delta\":{\"type\":\"text_delta\",\"text\":\"event: message_stop\"},\"usage\":{\"input_tokens\":9}}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},\
        \"usage\":{\"input_tokens\":0,\"output_tokens\":15}}\n\n";
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let seen = observe_any_split(Anthropic, stream.as_bytes());
    assert_eq!((seen.ending, seen.usage), (Truncated(NoEndMark), Some((Some(28), Some(15)))));
    // Only what says something counts.
    assert_eq!(seen.data_events, 2);
    for end in [
        stop,
        "event:message_stop\r\ndata: {}\r\n\r\n",
        "data: {\"type\":\"message_stop\"}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
        "data: {\"delta\":{\"stop_reason\":\"max_tokens\"},\"type\":\"message_delta\"}\n\n",
    ] {
        let seen = observe_any_split(Anthropic, format!("{stream}{end}").as_bytes());
        assert_eq!((seen.ending, seen.data_events), (Whole, 3), "{end}");
    }
    for no_end in [
        "event: message_stop\n\n",
        "event: message_stopped\ndata: {}\n\n",
        "data: [DONE]\n\n",
        "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"delta\":{\"stop_reason\":\"x\"}}\n\n",
    ] {
        let seen = observe_any_split(Anthropic, format!("{stream}{no_end}").as_bytes());
        assert_eq!(seen.ending, Truncated(NoEndMark), "{no_end}");
    }
    let first = observe_any_split(Anthropic, b"event: error\ndata: {\"type\":\"error\"}\n\n");
    assert!(first.first_event_is_error);
}

#[test]
fn responses_streams_end_in_one_of_five_ways() {
    let created = "event: response.created\ndata: {\"type\":\"response.created\",\
        \"response\":{\"usage\":null}}\n\n";
    let delta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\
        \"delta\":\"response.completed\"}\n\n";
    for (name, ending) in [
        ("response.completed", Whole),
        ("response.done", Whole),
        ("response.incomplete", Whole),
        ("response.failed", Failed),
    ] {
        for line in [&format!("event: {name}\n"), ""] {
            let end = format!(
                "{line}data: {{\"response\":{{\"output\":[{{\"content\":[{{\"text\":\"\\\"usage\\\"\"}}]}}],\
                 \"usage\":{{\"input_tokens\":7,\"output_tokens\":9}}}},\"type\":\"{name}\"}}\n\n"
            );
            let seen =
                observe_any_split(OpenAiResponses, format!("{created}{delta}{end}").as_bytes());
            assert_eq!((seen.ending, seen.usage), (ending, Some((Some(7), Some(9)))), "{end}");
            assert!(!seen.first_event_is_error, "{end}");
            let alone = observe_any_split(OpenAiResponses, end.as_bytes());
            assert_eq!(alone.first_event_is_error, ending == Failed, "{end}");
        }
    }
    let done = format!("{created}{delta}data: [DONE]\n\n");
    assert_eq!(observe_any_split(OpenAiResponses, done.as_bytes()).ending, Whole);
    let seen = observe_any_split(OpenAiResponses, format!("{created}{delta}").as_bytes());
    assert_eq!((seen.ending, seen.usage), (Truncated(NoEndMark), None));
}

#[test]
fn tgi_streams_end_with_the_generated_text() {
    let token = format!("data:{TOKEN}\n\n");
    for (last, expected) in [
        ("{\"generated_text\":\"aa\",\"details\":null}", (Whole, None)),
        (
            "{\"generated_text\":\"\",\"details\":{\"finish_reason\":\"length\",\"generated_tokens\":20,\
          \"input_length\":5}}",
            (Whole, Some((Some(5), Some(20)))),
        ),
        ("{\"token\":{\"generated_text\":\"x\"}}", (Truncated(NoEndMark), None)),
    ] {
        let seen = observe_any_split(Tgi, format!("{token}data:{last}\n\n").as_bytes());
        assert_eq!((seen.ending, seen.usage), expected, "{last}");
    }
    assert_eq!(observe_any_split(Tgi, token.as_bytes()).ending, Truncated(NoEndMark));
}

#[test]
fn ollama_streams_end_when_they_are_done() {
    let delta =
        r#"{"model":"m","message":{"role":"assistant","content":"{\"done\":true}"},"done":false}"#;
    let called = r#"{"message":{"tool_calls":[{"function":{"arguments":{"done":true,"eval_count":1}}}]},"done":false}"#;
    let last = r#"{"message":{},"done_reason":"stop","done":true,"total_duration":5,"prompt_eval_count":26,"eval_count":298}"#;
    for (events, expected) in [
        (&[delta, called, last][..], (Whole, Some((Some(26), Some(298))))),
        (&[delta, called], (Truncated(NoEndMark), None)),
        (&[r#"{"done":true}"#], (Whole, None)),
        (&[], (Truncated(NoEvents), None)),
    ] {
        assert_eq!(ending(Ollama, events), expected, "{events:?}");
    }
    // A last line without its line feed is read by clients, if it is whole.
    assert_eq!(observe_any_split(Ollama, last.as_bytes()).ending, Whole);
    assert_eq!(observe_any_split(Ollama, &last.as_bytes()[..40]).ending, Truncated(InsideEvent));
}

#[test]
fn data_behind_an_error_line_is_read_in_any_pieces() {
    for rest in ["data: {\"choices\":[]}\n\n", "data: {\"choices\":\"\n\n", "\n"] {
        let stream = format!("error: {{}}\n{rest}");
        assert!(observe_any_split(OpenAiChat, stream.as_bytes()).at_boundary, "{stream:?}");
    }
}

#[test]
fn a_generic_stream_may_end_anywhere() {
    for stream in ["", "data: {\"error\":1}\n\n", "event: error\ndata: x\n\n", "data: {"] {
        let seen = observe_any_split(Generic, stream.as_bytes());
        assert_eq!((seen.ending, seen.usage), (Whole, None), "{stream}");
    }
}

#[test]
fn a_document_tells_its_usage() {
    for (dialect, body, expected) in [
        (
            OpenAiChat,
            r#"{"choices":[{"message":{"content":"\"usage\""},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":29}}"#,
            COUNTED,
        ),
        (
            Anthropic,
            r#"{"type":"message","content":[],"usage":{"input_tokens":12,"output_tokens":29}}"#,
            COUNTED,
        ),
        (
            OpenAiResponses,
            r#"{"object":"response","error":null,"usage":{"input_tokens":12,"output_tokens":29}}"#,
            COUNTED,
        ),
        (
            Tgi,
            r#"{"generated_text":"x","details":{"generated_tokens":29}}"#,
            Some((None, Some(29))),
        ),
        (Ollama, r#"{"done":true,"prompt_eval_count":12,"eval_count":29}"#, COUNTED),
        (Generic, r#"{"usage":{"prompt_tokens":12,"total_tokens":12}}"#, Some((Some(12), None))),
        (
            Generic,
            r#"{"results":[{"usage":{"total_tokens":3}}],"usage":{"total_tokens":12}}"#,
            Some((Some(12), None)),
        ),
        (
            Generic,
            r#"{"meta":{"billed_units":{"search_units":1},"tokens":{"input_tokens":12}}}"#,
            Some((Some(12), None)),
        ),
        (
            Generic,
            r#"{"data":[{"embedding":[0.5,-1e-3,[],{}, "a\"}]"]}],"usage":{"prompt_tokens":12}}"#,
            Some((Some(12), None)),
        ),
        (
            Tgi,
            r#"[{"generated_text":"a","details":{"input_length":12,"generated_tokens":29}}]"#,
            Some((Some(12), Some(29))),
        ),
        (Generic, r#"{"error":{"message":"x"},"jsonrpc":"2.0"}"#, None),
        (OpenAiChat, r#"{"usage":null,"error":null}"#, None),
        (OpenAiChat, r#"{"error":"","choices":[]}"#, None),
        (OpenAiChat, r#"{"error":{},"choices":[{"error":[]}]}"#, None),
        (OpenAiChat, r#"{"error":{"code":0,"message":"","type":""}}"#, None),
        (OpenAiResponses, r#"{"status":"incomplete","output":[]}"#, None),
        (OpenAiChat, r#"{"choices":[{"message":{"content":"{\"error\":1}"}}]}"#, None),
    ] {
        for pieces in every_cut(body.as_bytes()) {
            let seen = observe(Observer::of_document(dialect), &pieces);
            assert_eq!((seen.ending, seen.usage), (Whole, expected), "{body}");
        }
    }
    let half = br#"{"usage":{"prompt_tokens":12},"#;
    let half = observe(Observer::of_document(OpenAiChat), &[half]);
    assert_eq!((half.ending, half.usage), (Truncated(InsideEvent), None));
}

/// Where nobody is told what it cost, all that is known of a document is whether it has failed.
#[test]
fn a_failure_is_found_though_nothing_else_is_wanted() {
    for (dialect, body, ending, clients) in [
        (
            OpenAiChat,
            "{\"choices\":[{\"message\":{}}],\"usage\":{\"prompt_tokens\":1}}",
            Whole,
            false,
        ),
        (OpenAiChat, "{\"error\":{\"code\":500}}", Failed, false),
        (OpenAiChat, "{\"error\":{\"code\":\"content_filter\"}}", Failed, true),
        (OpenAiChat, "{\"object\":\"error\",\"code\":400}", Failed, true),
        (OpenAiChat, "{\"choices\":[{\"finish_reason\":\"error\"}]}", Failed, false),
        (OpenAiResponses, "{\"status\":\"failed\"}", Failed, false),
        (OpenAiResponses, "{\"status\":\"completed\",\"error\":null}", Whole, false),
        (OpenAiChat, "{\"choices\":[", Truncated(InsideEvent), false),
    ] {
        for pieces in every_cut(body.as_bytes()) {
            let mut observer = Observer::of_answer(dialect, false);
            pieces.iter().for_each(|piece| observer.feed(piece));
            let told = (observer.end(), observer.saw_clients_error());
            assert_eq!(told, (ending, clients), "{body} in {pieces:?}");
        }
    }
}

/// What an answer is, by its first bytes.
#[test]
fn an_answer_is_known_by_its_first_bytes() {
    const DELTA: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    for (answer, is_stream, is_blind, ending) in [
        (DELTA, true, false, Truncated(NoEndMark)),
        (" \r\n{\"a\":1} \n", false, false, Whole),
        ("\u{feff}{\"a\":1}", false, false, Whole),
        ("[]", false, false, Whole),
        ("event: x\n\n", true, false, Truncated(NoEvents)),
        (": ping\n\ndata: [DONE]\n\n", true, false, Whole),
        ("retry: 3\nid: 4\n\n", true, false, Truncated(NoEvents)),
        ("id:1\ndata: {\"error\":{\"message\":\"m\"}}\n\n", true, false, Failed),
        ("{\"error\":\"x\"}", false, false, Failed),
        ("{\"a\":", false, true, Truncated(InsideEvent)),
        ("dat", false, false, Whole),
        ("date: today", false, true, Whole),
        ("hello", false, true, Whole),
        ("{]", false, true, Whole),
        ("[Errno 111] Connection refused", false, true, Whole),
        ("{\"a\":1};", false, true, Whole),
        ("{\"a\":1}\n-- 12 ms", false, true, Whole),
        ("", false, false, Whole),
    ] {
        for pieces in every_cut(answer.as_bytes()) {
            let mut observer = Observer::of_answer(OpenAiChat, true);
            pieces.iter().for_each(|piece| observer.feed(piece));
            let told = (observer.is_stream(), observer.is_blind(), observer.end());
            assert_eq!(told, (is_stream, is_blind, ending), "{answer:?}");
        }
    }
}

#[test]
fn an_observer_is_small() {
    assert!(size_of::<Observer>() <= 72, "{}", size_of::<Observer>());
}

/// Texts that imitate everything that matters.
fn any_text() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "\"finish_reason\":\"stop\"",
        "\"finish_reason\":null",
        "finish_reason",
        "\"usage\":{",
        "usage",
        "\"prompt_tokens\":7",
        "\"error\":{",
        "error",
        "\\",
        "\"",
        "\\\"",
        "{",
        "}",
        "[DONE]",
        "null",
        "\n\n",
        "data: ",
        "é",
        " ",
        "\"done\":true",
        "\"generated_text\":\"x\"",
    ]);
    prop::collection::vec(fragment, 0..6).prop_map(|parts| parts.concat())
}

/// An event as a server might write it, and what it says: an end, counts.
fn any_event() -> impl Strategy<Value = (Value, bool, Option<(u32, u32)>)> {
    let finish = prop_oneof![4 => Just(None), 1 => any_text().prop_map(Some)];
    let counts = prop::option::weighted(0.3, (1..1000_u32, 1..1000_u32));
    (any_text(), any_text(), finish, counts, any::<bool>()).prop_map(
        |(id, text, finish, counts, null_usage)| {
            let choice = json!({"delta": {"content": text, "x": [text]}, "finish_reason": finish});
            let mut event = json!({"id": id, "choices": [choice]});
            if let Some((prompt, completion)) = counts {
                event["usage"] = json!({"prompt_tokens": prompt, "completion_tokens": completion});
            } else if null_usage {
                event["usage"] = Value::Null;
            }
            let ends = |reason: String| !matches!(&*reason, "" | "null" | "error");
            (event, finish.is_some_and(ends), counts)
        },
    )
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_stream_of_events_is_read_as_it_was_written(
        events in prop::collection::vec(any_event(), 0..5),
        done: bool,
        crlf: bool,
        over_lines: bool,
        ends in any_ends(),
    ) {
        let line_end = if crlf { "\r\n" } else { "\n" };
        let written = |event: &Value| match over_lines {
            true => lines(&format!("{event:#}")).replace('\n', line_end),
            false => format!("data: {event}{line_end}{line_end}"),
        };
        let mut stream: String = events.iter().map(|(event, ..)| written(event)).collect();
        if done {
            stream += &format!("data: [DONE]{line_end}{line_end}");
        }
        let seen = observe_any_split(OpenAiChat, stream.as_bytes());
        let finished = done || events.iter().any(|(_, finished, _)| *finished);
        let failed = events.iter().any(|(event, ..)| event["choices"][0]["finish_reason"] == "error");
        let expected = match (failed, finished, events.is_empty()) {
            (true, ..) => Failed,
            (_, true, _) => Whole,
            (_, _, true) => Truncated(NoEvents),
            _ => Truncated(NoEndMark),
        };
        prop_assert_eq!(seen.ending, expected);
        let counts = events.iter().rev().find_map(|(_, _, counts)| *counts);
        prop_assert_eq!(seen.usage, counts.map(|(prompt, completion)| (Some(prompt), Some(completion))));
        let cut = cut_at(stream.as_bytes(), &ends);
        prop_assert_eq!(observe(Observer::of_stream(OpenAiChat), &cut), seen);
    }

    /// Byte by byte nothing is left aside; in one piece nearly everything is.
    #[test]
    fn any_bytes_are_read_alike_in_every_dialect(
        parts in prop::collection::vec(prop::sample::select(vec![
            "data: {", "data:{", "data: ", "{", "}", "[", "]", ",", ":", "\n", "\n\n", "\r\n", "\"x\"",
            "\"choices\":[{", "\"finish_reason\"", "\"finish_reason\":null", "\"finish_reason\":\"stop\"",
            "\"usage\":{", "\"usage\":null", "\"prompt_tokens\":5", "\"completion_tokens\":6", "}]",
            "\"error\":{", "\"error\":\"x\"", "\"object\":\"error\"", "\"done\":false", "\"done\":true", "\"eval_count\":5",
            "\"generated_text\":null", "\"generated_text\":\"x\"", "\"details\":{", "\"generated_tokens\":5",
            "event: message_start\n", "event: message_stop\n", "event: ping\n", "event: error\n",
            "\"type\":\"message_stop\"", "\"type\":\"error\"", "\"message\":{", "\"input_tokens\":5",
            "event: response.completed\n", "event: response.created\n", "event: keepalive\n",
            "event: content_block_delta\n", "error: {}\n", "\"type\":\"ping\"", "\"delta\":{", "\"delta\":\"\"",
            "\"content\":\"\"", "\"content\":\"a\"", "\"token\":{", "\"response\":\"a\"", "\"stop_reason\":\"x\"",
            "\"finish_reason\":\"\"", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]",
            "data: {\"error\":{},\"choices\":[{\"finish_reason\":null}]", "\\", "\"", " ", "data: [DONE]\n\n", "null",
        ]), 0..24),
        dialect in prop::sample::select(vec![
            OpenAiChat, OpenAiResponses, Anthropic, Tgi, Ollama, Generic,
        ]),
        begun: bool,
        ends in any_ends(),
    ) {
        let begin = match dialect {
            Ollama => format!("{}\n", delta_of(dialect)),
            _ => format!("data: {}\n\n", delta_of(dialect)),
        };
        let stream = if begun { begin + &parts.concat() } else { parts.concat() };
        let seen = observe_any_split(dialect, stream.as_bytes());
        let cut = cut_at(stream.as_bytes(), &ends);
        prop_assert_eq!(observe(Observer::of_stream(dialect), &cut), seen);
    }
}

#[test]
fn an_error_tells_whose_it_is() {
    let clients = |dialect, event: &str| {
        let stream = match dialect {
            Ollama => format!("{event}\n"),
            _ => format!("data: {event}\n\n"),
        };
        let mut observer = Observer::of_stream(dialect);
        observer.feed(stream.as_bytes());
        assert!(observer.saw_error(), "{event}");
        observer.saw_clients_error()
    };
    for (dialect, event) in [
        (OpenAiChat, r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#),
        (OpenAiChat, r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#),
        (OpenAiChat, r#"{"error":{"message":"m","type":"BadRequestError","code":400}}"#),
        (OpenAiChat, r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#),
        (OpenAiChat, r#"{"error":{"code":"content_filter"}}"#),
        (OpenAiCompletions, r#"{"error":{"code":400,"type":"exceed_context_size_error"}}"#),
        (OpenAiResponses, r#"{"type":"error","code":"context_length_exceeded","message":"m"}"#),
        (
            OpenAiResponses,
            r#"{"type":"response.failed","sequence_number":3,"response":{"id":"r","status":"failed","error":{"code":"context_length_exceeded","message":"m"}}}"#,
        ),
        (
            OpenAiResponses,
            r#"{"type":"response.failed","sequence_number":3,"response":{"id":"r","status":"failed","error":{"code":"invalid_prompt","message":"m"}}}"#,
        ),
        (
            OpenAiResponses,
            r#"{"type":"response.failed","sequence_number":3,"response":{"id":"r","status":"failed","error":{"code":"image_too_large","message":"m"}}}"#,
        ),
        (Anthropic, r#"{"type":"error","error":{"type":"invalid_request_error"}}"#),
        (Tgi, r#"{"error":"m","error_type":"validation"}"#),
    ] {
        assert!(clients(dialect, event), "{event}");
    }
    for (dialect, event) in [
        (OpenAiChat, r#"{"error":{"message":"invalid_request_error","type":"server_error"}}"#),
        (OpenAiChat, r#"{"error":{"message":"m","code":500}}"#),
        (OpenAiChat, r#"{"error":{"message":"m","code":429}}"#),
        (OpenAiChat, r#"{"error":"m"}"#),
        (OpenAiResponses, r#"{"type":"error","code":"server_error","message":"m"}"#),
        (
            OpenAiResponses,
            r#"{"type":"response.failed","sequence_number":3,"response":{"id":"r","status":"failed","error":{"code":"server_error","message":"m"}}}"#,
        ),
        (
            OpenAiResponses,
            r#"{"type":"response.failed","sequence_number":3,"response":{"id":"r","status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}}"#,
        ),
        (Anthropic, r#"{"type":"error","error":{"type":"overloaded_error"}}"#),
        (Tgi, r#"{"error":"m","error_type":"overloaded"}"#),
        (Ollama, r#"{"error":"model runner has unexpectedly stopped"}"#),
    ] {
        assert!(!clients(dialect, event), "{event}");
    }
    // Named by its line, as Anthropic's are.
    let mut observer = Observer::of_stream(Anthropic);
    observer.feed(b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\"}}\n\n");
    assert!(observer.saw_clients_error());
    // The word beside no error is somebody's text.
    let mut observer = Observer::of_stream(OpenAiChat);
    observer.feed(b"data: {\"code\":400,\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n");
    observer.feed(b"data: {\"error\":{\"code\":500}}\n\n");
    assert!(observer.saw_error() && !observer.saw_clients_error());
}
