use serde_json::Value;

use super::*;
use crate::responder::Responder;
use crate::service::{Dialect, Ending, Observer};

const START: Instant = Instant::from_nanos(5_000_000_000);
const EPOCH: u64 = 1_700_000_000;
const TEXT: &str = "I am \"sorry\",\nbut the model is out.";
const ALL: [(Dialect, &str); 14] = [
    (Dialect::OpenAiChat, "/v1/chat/completions"),
    (Dialect::OpenAiCompletions, "/v1/completions"),
    (Dialect::OpenAiResponses, "/v1/responses"),
    (Dialect::Anthropic, "/v1/messages"),
    (Dialect::Tgi, "/generate_stream"),
    (Dialect::Ollama, "/api/chat"),
    (Dialect::Ollama, "/api/generate"),
    (Dialect::Gemini, "/v1beta/models/m:streamGenerateContent"),
    (Dialect::KServe, "/v2/models/m/infer"),
    (Dialect::Triton, "/v2/models/m/generate_stream"),
    (Dialect::LlamaCpp, "/completion"),
    (Dialect::Sglang, "/generate"),
    (Dialect::Text, "/inference"),
    (Dialect::Generic, "/infer"),
];

/// Whether it answers in bare words.
fn is_bare(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Text | Dialect::Generic)
}

fn fallback(status: u16, answer: FallbackAnswer) -> Fallback {
    Fallback {
        status,
        headers: vec![("x-who".to_owned(), "us".to_owned())],
        answer,
        file: None,
        model: None,
        pace: Duration::from_millis(20),
    }
}

fn text(status: u16) -> Fallback {
    fallback(status, FallbackAnswer::Text(TEXT.into()))
}

fn caller(dialect: Dialect, path: &str, stream: bool) -> Caller<'_> {
    let asked = AnswerForm { dialect, path, stream, include_usage: true };
    Caller { asked, model: Some("m"), reason: "upstream_refused", serial: 7, epoch: EPOCH }
}

/// The head, and when each piece of the body came, in milliseconds.
fn play(mut responder: Box<dyn Responder>) -> (Head, Vec<(u128, Bytes)>) {
    let (mut now, mut data) = (START, Vec::new());
    let Action::Head(head) = responder.step(now) else { panic!("no head") };
    loop {
        match responder.step(now) {
            Action::Data(piece) => data.push((now.since(START).as_millis(), piece)),
            Action::Sleep(until) => {
                assert!(until > now, "a sleep into the past would spin");
                now = until;
            }
            Action::End => return (head, data),
            step => panic!("{step:?}"),
        }
    }
}

fn body(data: &[(u128, Bytes)]) -> String {
    let bytes: Vec<u8> = data.iter().flat_map(|(_, piece)| piece.to_vec()).collect();
    String::from_utf8(bytes).expect("UTF-8")
}

/// The JSON of each event or line.
fn events(body: &str) -> Vec<Value> {
    body.lines()
        .filter_map(|line| match line.strip_prefix("data:") {
            Some("" | " [DONE]") => None,
            Some(json) => Some(json),
            None => line.starts_with('{').then_some(line),
        })
        .map(|json| serde_json::from_str(json).expect("JSON"))
        .collect()
}

fn spoken(event: &Value) -> &str {
    let places = [
        &event["choices"][0]["delta"]["content"],
        &event["choices"][0]["text"],
        &event["delta"]["text"],
        &event["delta"],
        &event["token"]["text"],
        &event["message"]["content"],
        &event["response"],
        &event["candidates"][0]["content"]["parts"][0]["text"],
        &event["outputs"][0]["data"][0],
        &event["text_output"],
        &event["content"],
    ];
    places.into_iter().find_map(Value::as_str).unwrap_or("")
}

#[test]
fn a_stream_is_whole_in_every_dialect_and_says_the_text() {
    for (dialect, path) in ALL {
        let (head, data) = play(respond(&text(200), &caller(dialect, path, true), START));
        assert_eq!((head.status, head.length), (200, None));
        let body = body(&data);
        if is_bare(dialect) {
            assert_eq!((head.content_type, body.as_str()), ("text/plain; charset=utf-8", TEXT));
            continue;
        }
        assert_eq!(head.content_type, dialect.stream_type());
        let mut observer = Observer::of_stream(dialect);
        observer.feed(body.as_bytes());
        assert!(observer.at_boundary());
        assert_eq!(observer.end(), Ending::Whole, "{body}");
        let events = events(&body);
        let said: String = events.iter().map(spoken).collect();
        // SGLang's events repeat what has been said.
        let last = events.last().and_then(|event| event["text"].as_str());
        assert_eq!(last.unwrap_or(&said), TEXT, "{dialect:?}");
    }
}

#[test]
fn words_come_at_their_pace() {
    for (dialect, path) in ALL {
        let (_, data) = play(respond(&text(200), &caller(dialect, path, true), START));
        let mut times: Vec<u128> = data.iter().map(|(at, _)| *at).collect();
        times.dedup();
        // Eight words, the first at once; the end comes with the last.
        assert_eq!(times, [0, 20, 40, 60, 80, 100, 120, 140], "{dialect:?}");
    }
}

#[test]
fn an_answer_in_one_piece_comes_at_once() {
    for (dialect, path) in ALL {
        let (head, data) = play(respond(&text(200), &caller(dialect, path, false), START));
        let body = body(&data);
        assert_eq!((data[0].0, head.length), (0, Some(body.len() as u64)));
        if is_bare(dialect) {
            assert_eq!(body, TEXT);
            continue;
        }
        assert_eq!(head.content_type, "application/json");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let places = [
            &answer["choices"][0]["message"]["content"],
            &answer["choices"][0]["text"],
            &answer["output"][0]["content"][0]["text"],
            &answer["content"][0]["text"],
            &answer["generated_text"],
            &answer["message"]["content"],
            &answer["response"],
            &answer["text"],
            &answer[0]["candidates"][0]["content"]["parts"][0]["text"],
            &answer["outputs"][0]["data"][0],
            &answer["text_output"],
            &answer["content"],
        ];
        assert!(places.into_iter().any(|said| said == TEXT), "{body}");
        let mut observer = Observer::of_document(dialect);
        observer.feed(body.as_bytes());
        assert_eq!(observer.end(), Ending::Whole);
        let names = [
            &answer["model"],
            &answer["model_name"],
            &answer[0]["modelVersion"],
            &answer["modelVersion"],
        ];
        if !matches!(dialect, Dialect::Tgi | Dialect::Sglang) {
            assert!(names.into_iter().any(|name| name == "m"), "{body}");
        }
        if !matches!(dialect, Dialect::Tgi | Dialect::KServe | Dialect::Triton) {
            let usage = observer.usage().expect("usage");
            assert_eq!((usage.prompt, usage.completion), (Some(0), Some(0)));
        }
    }
}

#[test]
fn the_head_says_why() {
    for (stream, status) in [(true, 200), (false, 200), (true, 503)] {
        let caller = caller(Dialect::OpenAiChat, "/v1/chat/completions", stream);
        let (head, _) = play(respond(&text(status), &caller, START));
        assert_eq!(head.status, status);
        assert!(head.fields.contains(&(DEGRADED_FIELD.into(), "upstream_refused".to_owned())));
        assert!(head.fields.contains(&("x-who".into(), "us".to_owned())));
    }
}

#[test]
fn an_error_is_a_document_whatever_was_asked_for() {
    for (dialect, path) in ALL {
        for stream in [true, false] {
            let (head, data) = play(respond(&text(503), &caller(dialect, path, stream), START));
            assert_eq!((head.status, head.content_type), (503, "application/json"));
            let error: Value = serde_json::from_str(&body(&data)).expect("JSON");
            let message = error["error"]["message"].as_str().or(error["error"].as_str());
            assert_eq!(message, Some(TEXT), "{dialect:?}");
        }
    }
}

#[test]
fn json_is_sent_as_it_is() {
    let json = format!("{{\"sorry\": \"{}\"}}", "x".repeat(100_000));
    let fallback = fallback(200, FallbackAnswer::Json(json.as_str().into()));
    for stream in [true, false] {
        let caller = caller(Dialect::Anthropic, "/v1/messages", stream);
        let (head, data) = play(respond(&fallback, &caller, START));
        assert_eq!((head.content_type, head.length), ("application/json", Some(json.len() as u64)));
        assert!(data.iter().all(|(_, piece)| piece.len() <= PIECE_BYTES));
        assert_eq!(body(&data), json);
    }
}

#[test]
fn the_model_is_the_configured_one_then_the_one_asked_for() {
    let model = |configured: Option<&str>, asked| {
        let fallback = Fallback { model: configured.map(str::to_owned), ..text(200) };
        let caller =
            Caller { model: asked, ..caller(Dialect::OpenAiChat, "/v1/chat/completions", false) };
        let (_, data) = play(respond(&fallback, &caller, START));
        let answer: Value = serde_json::from_str(&body(&data)).expect("JSON");
        assert_eq!(answer["created"], EPOCH + 5);
        answer["model"].as_str().expect("a name").to_owned()
    };
    assert_eq!(model(Some("c"), Some("a")), "c");
    assert_eq!(model(None, Some("a\"b")), "a\"b");
    assert_eq!(model(None, None), MODEL);
}

#[test]
fn usage_comes_if_it_was_asked_for() {
    for include_usage in [true, false] {
        let mut caller = caller(Dialect::OpenAiChat, "/v1/chat/completions", true);
        caller.asked.include_usage = include_usage;
        let (_, data) = play(respond(&text(200), &caller, START));
        assert_eq!(body(&data).contains("\"prompt_tokens\":0"), include_usage);
    }
}

#[test]
fn any_text_is_cut_between_words_and_nothing_is_lost() {
    for text in ["", " ", "one", " one", "one ", "a  b\n\nc", "é\u{2028}ü \u{3000}x", "\n\n\n"] {
        let pieces: Vec<&str> = canned::pieces(text).collect();
        assert_eq!(pieces.concat(), text);
        assert!(pieces.iter().all(|piece| piece.split_whitespace().count() <= 1), "{pieces:?}");
    }
}
