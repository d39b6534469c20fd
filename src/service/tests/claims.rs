//! What a stream is taken for, and which of its events say something.

use super::streams::{delta_of, observe_any_split};
use crate::service::Dialect::{self, *};
use crate::service::Ending::{self, *};
use crate::service::Truncation::*;
use crate::service::{Observer, Usage};

const KNOWN: [Dialect; 6] =
    [OpenAiChat, OpenAiCompletions, OpenAiResponses, Anthropic, Tgi, Ollama];

/// The events as a server of this dialect writes them.
fn written(dialect: Dialect, events: &[&str]) -> String {
    match dialect {
        Ollama => events.iter().map(|event| format!("{event}\n")).collect(),
        _ => events.iter().map(|event| format!("data: {event}\n\n")).collect(),
    }
}

fn observer(dialect: Dialect, stream: &str) -> Observer {
    observe_any_split(dialect, stream.as_bytes());
    let mut observer = Observer::of_stream(dialect);
    observer.feed(stream.as_bytes());
    observer
}

fn ending(dialect: Dialect, events: &[&str]) -> Ending {
    observer(dialect, &written(dialect, events)).end()
}

#[test]
fn streams_of_others_are_generic_whatever_their_path_says() {
    for events in [
        // Triton's `generate_stream`, which has no end.
        &[
            r#"{"model_name":"ensemble","model_version":"1","text_output":"."}"#,
            r#"{"model_name":"ensemble","text_output":""}"#,
        ][..],
        // Transcription, speech, images.
        &[r#"{"type":"transcript.text.delta","delta":"a"}"#],
        &[r#"{"type":"speech.audio.delta","audio":"aGk="}"#],
        &[r#"{"type":"image_generation.partial_image","b64_json":"aGk="}"#],
        // llama.cpp's `/completion`.
        &[r#"{"index":0,"content":"a","tokens":[1],"stop":false}"#],
        // Ollama's `pull` and `create`.
        &[r#"{"status":"pulling manifest"}"#, r#"{"status":"success"}"#],
        &["hello", "42", "null", r#"{"choices""#],
        // One member alone is many a server's, and a later one is too late.
        &[r#"{"token":"a"}"#, r#"{"generated_text":null,"token":{"text":"b"}}"#],
        &[r#"{"done":false}"#, r#"{"response":"b","done":false}"#],
    ] {
        for dialect in KNOWN {
            let mut observer = observer(dialect, &written(dialect, events));
            assert_eq!(observer.dialect(), Generic, "{dialect:?} {events:?}");
            let told = (observer.data_events(), observer.end(), observer.usage());
            assert_eq!(told, (events.len() as u64, Whole, None), "{dialect:?} {events:?}");
        }
    }
}

#[test]
fn the_first_event_that_says_something_decides() {
    for dialect in KNOWN {
        let delta = delta_of(dialect);
        let mut claimed = observer(dialect, &written(dialect, &[delta]));
        assert_eq!((claimed.dialect(), claimed.end()), (dialect, Truncated(NoEndMark)));
        // What comes later changes nothing.
        let odd = r#"{"x":1}"#;
        assert_eq!(ending(dialect, &[delta, odd]), Truncated(NoEndMark), "{dialect:?}");
        assert_eq!(ending(dialect, &[odd, delta]), Whole, "{dialect:?}");
        // Each other's events are nobody's here.
        for other in KNOWN.into_iter().filter(|other| *other != dialect) {
            let openai = |dialect| matches!(dialect, OpenAiChat | OpenAiCompletions);
            let alike = openai(dialect) && openai(other);
            let stream = written(dialect, &[delta_of(other)]);
            let expected = if alike { dialect } else { Generic };
            assert_eq!(observer(dialect, &stream).dialect(), expected, "{dialect:?} {other:?}");
        }
        // Signs of life decide nothing.
        if dialect != Ollama {
            for alive in ["event: ping\ndata: {}\n\n", "event: keepalive\ndata: {\"n\":1}\n\n"] {
                let stream = alive.to_owned() + &written(dialect, &[delta]);
                assert_eq!(observer(dialect, &stream).dialect(), dialect, "{alive}");
            }
        }
        let alive = written(dialect, &[r#"{"type":"keepalive","sequence_number":7}"#]);
        let mut quiet = observer(dialect, &alive);
        assert_eq!((quiet.dialect(), quiet.data_events()), (dialect, 0));
        assert_eq!(quiet.end(), Truncated(NoEvents));
        // Nobody is expected to speak anything here.
        let generic = written(Generic, &[delta]);
        assert_eq!(observer(Generic, &generic).end(), Whole);
    }
}

/// Whether an event counts as the first of its stream, and behind a delta.
fn counts(dialect: Dialect, event: &str) -> (bool, bool) {
    let first = observer(dialect, event).data_events() == 1;
    let delta = written(dialect, &[delta_of(dialect)]);
    let later = observer(dialect, &(delta + event)).data_events() == 2;
    (first, later)
}

#[test]
fn an_event_counts_when_it_says_something() {
    let chat = |delta: &str| {
        format!(
            r#"{{"object":"chat.completion.chunk","choices":[{{"delta":{delta},"finish_reason":null}}]}}"#
        )
    };
    // Nothing yet; behind a part of the answer it is a token without text.
    for delta in [
        "{}",
        r#"{"role":"assistant"}"#,
        r#"{"role":"assistant","content":""}"#,
        r#"{"role":"assistant","name":"bot","content":""}"#,
        r#"{"content":null,"role":"assistant"}"#,
        r#"{"role":"assistant","content":"","tool_calls":[],"refusal":null,"reasoning_content":""}"#,
    ] {
        let event = written(OpenAiChat, &[&chat(delta)]);
        assert_eq!(counts(OpenAiChat, &event), (false, true), "{event}");
    }
    for delta in [
        r#"{"content":"a"}"#,
        r#"{"role":"assistant","content":" "}"#,
        r#"{"reasoning_content":"a"}"#,
        r#"{"reasoning":"a"}"#,
        r#"{"thinking_of_somebody":"a"}"#,
        r#"{"refusal":"no"}"#,
        r#"{"content":[{"type":"text","text":"a"}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}"#,
        r#"{"function_call":{"name":"f"}}"#,
        r#"{"audio":{"id":"x","transcript":"a"}}"#,
    ] {
        let event = written(OpenAiChat, &[&chat(delta)]);
        assert_eq!(counts(OpenAiChat, &event), (true, true), "{event}");
    }
    for (dialect, events) in SAYS_NOTHING {
        for event in *events {
            let event = event.replace('|', "\n");
            assert!(!counts(*dialect, &(event.clone() + "\n\n")).0, "{event}");
        }
    }
    for (dialect, events) in SAYS_SOMETHING {
        for event in *events {
            let event = event.replace('|', "\n");
            assert_eq!(counts(*dialect, &(event.clone() + "\n\n")), (true, true), "{event}");
        }
    }
    // These are not the model's, at any time.
    for (dialect, event) in [
        (OpenAiChat, r#"data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#),
        (OpenAiChat, r#"data: {"type":"ping"}"#),
        (OpenAiChat, r#"data: {"choices":[],"usage":{"prompt_tokens":1}}"#),
        (OpenAiResponses, r#"data: {"type":"keepalive","sequence_number":3}"#),
        (OpenAiResponses, r#"data: {"type":"response.in_progress","response":{}}"#),
        (Anthropic, r#"data: {"type":"ping"}"#),
        (Anthropic, "event: ping\ndata: {}"),
    ] {
        assert_eq!(counts(dialect, &format!("{event}\n\n")), (false, false), "{event}");
    }
}

/// `|` stands for a line feed.
const SAYS_NOTHING: &[(Dialect, &[&str])] = &[
    (OpenAiChat, &["data:", "event: keepalive|data: {}", "event: x"]),
    (
        OpenAiResponses,
        &[
            r#"event: response.created|data: {"type":"response.created","response":{"output":[]}}"#,
            r#"data: {"type":"response.queued"}"#,
            r#"data: {"type":"response.output_item.added","item":{"type":"message","content":[]}}"#,
            r#"data: {"type":"response.content_part.added","part":{"type":"output_text","text":""}}"#,
            r#"data: {"type":"response.output_text.delta","delta":""}"#,
        ],
    ),
    (
        Anthropic,
        &[
            r#"data: {"type":"message_start","message":{"content":[],"usage":{"output_tokens":1}}}"#,
            r#"data: {"type":"content_block_start","content_block":{"type":"text","text":""}}"#,
            r#"data: {"type":"content_block_start","content_block":{"type":"thinking","thinking":""}}"#,
            r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":""}}"#,
            r#"data: {"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":""}}"#,
        ],
    ),
    (Tgi, &[r#"data: {"token":{"text":"","special":false},"generated_text":null}"#]),
    (
        Ollama,
        &[
            r#"{"message":{"role":"assistant","content":""},"done":false}"#,
            r#"{"response":"","done":false}"#,
        ],
    ),
];

const SAYS_SOMETHING: &[(Dialect, &[&str])] = &[
    (
        OpenAiChat,
        &[
            "data: [DONE]",
            r#"data: {"choices":[{"finish_reason":"stop"}]}"#,
            r#"data: {"error":"x"}"#,
        ],
    ),
    (OpenAiCompletions, &[r#"data: {"choices":[{"text":"a"}]}"#]),
    (
        OpenAiResponses,
        &[
            r#"event: response.output_text.delta|data: {"delta":"a"}"#,
            r#"data: {"type":"response.output_item.added","item":{"type":"function_call","name":"f"}}"#,
            r#"data: {"type":"response.completed","response":{}}"#,
        ],
    ),
    (
        Anthropic,
        &[
            r#"data: {"type":"content_block_start","content_block":{"type":"tool_use","name":"f"}}"#,
            r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
            r#"data: {"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"a"}}"#,
            r#"data: {"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            r#"data: {"type":"message_delta","delta":{"stop_reason":"refusal"}}"#,
        ],
    ),
    (
        Ollama,
        &[
            r#"{"message":{"thinking":"a"},"done":false}"#,
            r#"{"message":{"content":"","tool_calls":[{"function":{}}]},"done":false}"#,
            r#"{"response":"a","done":false}"#,
            r#"{"response":"","done":true}"#,
        ],
    ),
];

#[test]
fn only_a_reason_is_an_end() {
    let chat = |reason: &str| {
        format!(r#"{{"choices":[{{"delta":{{"content":"a"}},"finish_reason":{reason}}}]}}"#)
    };
    for (reason, ends) in [
        (r#""stop""#, true),
        (r#""tool_calls""#, true),
        (r#""""#, false),
        (r#""null""#, false),
        ("null", false),
        ("false", false),
        ("0", false),
        ("{}", false),
        (r#"["stop"]"#, false),
    ] {
        let expected = if ends { Whole } else { Truncated(NoEndMark) };
        assert_eq!(ending(OpenAiChat, &[&chat(reason)]), expected, "{reason}");
        let late = chat(reason);
        assert_eq!(ending(OpenAiChat, &[&chat("null"), &late]), expected, "{reason}");
    }
    // An empty text ends a stream that has generated none.
    let token = |text: &str, all: &str| {
        format!(r#"{{"token":{{"text":"{text}"}},"generated_text":{all},"details":null}}"#)
    };
    let (a, none) = (token("a", r#""""#), token("", r#""""#));
    assert_eq!(ending(Tgi, &[&a, &a]), Truncated(NoEndMark));
    assert_eq!(ending(Tgi, &[&token("a", "null"), &none]), Truncated(NoEndMark));
    assert_eq!(ending(Tgi, &[&none]), Whole);
    assert_eq!(ending(Tgi, &[&token("a", r#""a""#)]), Whole);
    let done = |value: &str| format!(r#"{{"response":"a","done":{value}}}"#);
    assert_eq!(ending(Ollama, &[&done("true")]), Whole);
    for value in ["false", "null", r#""true""#, "1"] {
        let events = [delta_of(Ollama), &done(value)];
        assert_eq!(ending(Ollama, &events), Truncated(NoEndMark), "{value}");
    }
}

#[test]
fn an_error_is_one_however_it_is_told() {
    // By the name of the event alone.
    for dialect in KNOWN.into_iter().filter(|dialect| *dialect != Ollama) {
        let delta = written(dialect, &[delta_of(dialect)]);
        for error in [
            "event: error\ndata: {\"detail\":\"out of memory\"}\n\n",
            "event: error\ndata: out of memory\n\n",
            "error: {\"code\":500,\"message\":\"m\"}\n\n",
        ] {
            let mut first = observer(dialect, error);
            assert!(first.first_event_is_error(), "{dialect:?} {error}");
            assert_eq!((first.data_events(), first.end()), (1, Failed), "{dialect:?} {error}");
            let mut late = observer(dialect, &(delta.clone() + error));
            assert!(!late.first_event_is_error());
            assert_eq!(late.end(), Failed, "{dialect:?} {error}");
        }
        // Somebody must be handed it.
        assert_ne!(observer(dialect, &(delta + "event: error\n\n")).end(), Failed);
    }
    // Beside a choice that goes on.
    let (front, behind) = (
        r#"{"error":{"message":"m"},"choices":[{"delta":{},"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":null}],"error":"m"}"#,
    );
    let among = r#"{"id":"c-1","error":{"code":502},"object":"chat.completion.chunk","choices":[{"delta":{"content":""},"finish_reason":null}]}"#;
    let last = r#"{"choices":[{"delta":{},"finish_reason":null}],"usage":null,"error":{"code":1}}"#;
    for error in [front, behind, among, last] {
        assert_eq!(ending(OpenAiChat, &[error]), Failed, "{error}");
        let delta = delta_of(OpenAiChat);
        assert_eq!(ending(OpenAiChat, &[delta, delta, error, delta]), Failed, "{error}");
    }
    for (dialect, error) in [
        (Tgi, r#"{"error":"m","error_type":"x","token":{"text":""},"generated_text":null}"#),
        (Tgi, r#"{"token":{"text":""},"generated_text":null,"error":"m","error_type":"x"}"#),
        (Ollama, r#"{"error":"m","message":{"content":""},"done":false}"#),
        (Ollama, r#"{"message":{"content":""},"done":false,"error":"m"}"#),
    ] {
        let delta = delta_of(dialect);
        assert_eq!(ending(dialect, &[delta, delta, error]), Failed, "{error}");
    }
    let mut observer =
        observer(OpenAiChat, "error: {\"code\":400,\"type\":\"exceed_context_size_error\"}\n\n");
    assert!(observer.saw_clients_error() && observer.end() == Failed);
}

#[test]
fn cached_tokens_are_a_number_of_their_own_and_part_of_the_prompt() {
    const WRITTEN: &str = r#"{"type":"message_start","message":{"usage":{"input_tokens":15,"cache_creation_input_tokens":100,"output_tokens":1}}}"#;
    let usage =
        |prompt, completion, cached| Some(Usage { prompt, completion, cached, reasoning: None });
    let all = usage(Some(115), Some(7), None);
    for (dialect, events, expected) in [
        (
            Anthropic,
            vec![
                r#"{"type":"message_start","message":{"usage":{"input_tokens":15,"output_tokens":1}}}"#,
                r#"{"type":"message_delta","delta":{},"usage":{"input_tokens":0,"output_tokens":29}}"#,
            ],
            usage(Some(15), Some(29), None),
        ),
        (
            Anthropic,
            vec![
                r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":40900,"output_tokens":1}}}"#,
                r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":29}}"#,
            ],
            usage(Some(40_903), Some(29), Some(40_900)),
        ),
        (
            Anthropic,
            vec![
                r#"{"type":"message_start","message":{"usage":{"cache_creation_input_tokens":100,"input_tokens":3}}}"#,
            ],
            usage(Some(103), None, None),
        ),
        // What was written into the cache is known from the start, whatever the last event repeats.
        (Anthropic, vec![WRITTEN, r#"{"type":"message_delta","usage":{"output_tokens":7}}"#], all),
        (
            Anthropic,
            vec![
                WRITTEN,
                r#"{"type":"message_delta","usage":{"input_tokens":15,"output_tokens":7}}"#,
            ],
            all,
        ),
        (
            Anthropic,
            vec![
                WRITTEN,
                r#"{"type":"message_delta","usage":{"input_tokens":15,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":7}}"#,
            ],
            all.map(|all| Usage { cached: Some(0), ..all }),
        ),
        (
            Anthropic,
            vec![
                WRITTEN,
                r#"{"type":"message_delta","usage":{"input_tokens":0,"cache_creation_input_tokens":100,"output_tokens":7}}"#,
            ],
            all,
        ),
        (
            Anthropic,
            vec![
                WRITTEN,
                r#"{"type":"message_delta","usage":{"cache_creation_input_tokens":100,"output_tokens":7}}"#,
            ],
            all,
        ),
        (
            OpenAiChat,
            vec![
                delta_of(OpenAiChat),
                r#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":29,"prompt_tokens_details":{"cached_tokens":4}}}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":30}}"#,
            ],
            usage(Some(12), Some(30), Some(4)),
        ),
        (
            OpenAiResponses,
            vec![
                r#"{"type":"response.completed","response":{"usage":{"input_tokens":12,"input_tokens_details":{"cached_tokens":8},"output_tokens":29}}}"#,
            ],
            usage(Some(12), Some(29), Some(8)),
        ),
    ] {
        let stream = written(dialect, &events);
        assert_eq!(observer(dialect, &stream).usage(), expected, "{events:?}");
    }
}

#[test]
fn reasoning_is_a_number_of_its_own_and_part_of_the_completion() {
    let told = |reasoning| {
        Some(Usage { prompt: Some(12), completion: Some(29), reasoning, ..Usage::default() })
    };
    for (dialect, events, expected) in [
        (
            OpenAiChat,
            vec![
                delta_of(OpenAiChat),
                r#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":29,"completion_tokens_details":{"reasoning_tokens":20}}}"#,
            ],
            told(Some(20)),
        ),
        (
            OpenAiResponses,
            vec![
                r#"{"type":"response.completed","response":{"usage":{"input_tokens":12,"output_tokens":29,"output_tokens_details":{"reasoning_tokens":20}}}}"#,
            ],
            told(Some(20)),
        ),
        // It has no such count, and what it counts apart is not reasoning.
        (
            Anthropic,
            vec![
                r#"{"type":"message_start","message":{"usage":{"input_tokens":5,"cache_creation_input_tokens":7,"output_tokens":1}}}"#,
                r#"{"type":"message_delta","usage":{"output_tokens":29,"output_tokens_details":{"reasoning_tokens":20}}}"#,
            ],
            told(None),
        ),
    ] {
        let stream = written(dialect, &events);
        assert_eq!(observer(dialect, &stream).usage(), expected, "{events:?}");
    }
    let mut document = Observer::of_document(OpenAiChat);
    document.feed(br#"{"choices":[{"message":{}}],"usage":{"prompt_tokens":12,"completion_tokens":29,"completion_tokens_details":{"reasoning_tokens":20}}}"#);
    assert_eq!(document.usage(), told(Some(20)));
}
