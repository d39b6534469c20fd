use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::http::tests::{any_ends, cut_at, every_cut};
use crate::service::Dialect::{self, *};

fn purse() -> Purse {
    let purse = Purse::default();
    purse.set_limit(1 << 20);
    purse
}

type Read = (Result<String, Lacking>, u64);

fn read(dialect: Dialect, limit: usize, pieces: &[&[u8]]) -> Read {
    let mut transcript = Transcript::new(dialect, limit, &purse());
    pieces.iter().for_each(|piece| transcript.feed(piece));
    (transcript.text().map(str::to_owned), transcript.tokens())
}

/// What is read of a stream, however it is cut.
fn of(dialect: Dialect, limit: usize, stream: &str) -> Read {
    let whole = read(dialect, limit, &[stream.as_bytes()]);
    for pieces in every_cut(stream.as_bytes()) {
        assert_eq!(read(dialect, limit, &pieces), whole, "{stream:?} {pieces:?}");
    }
    whole
}

fn said(text: &str, tokens: u64) -> Read {
    (Ok(text.to_owned()), tokens)
}

fn completion(text: &str) -> String {
    let text = Value::from(text);
    format!(
        "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"text\":{text},\"logprobs\":null,\
         \"finish_reason\":null}}]}}\n\n"
    )
}

fn chat(delta: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n")
}

fn tgi(text: &str, special: bool, whole: &str) -> String {
    format!(
        "data:{{\"index\":1,\"token\":{{\"id\":7,\"text\":{},\"logprob\":-0.5,\"special\":{special}\
         }},\"generated_text\":{whole},\"details\":null}}\n\n",
        Value::from(text)
    )
}

#[test]
fn the_text_of_each_dialect_is_joined() {
    let stream = completion("Once") + ": ping\n\n" + &completion(" upon a \"time\"\n\u{1f600}");
    assert_eq!(of(OpenAiCompletions, 100, &stream), said("Once upon a \"time\"\n\u{1f600}", 2));
    let stream = chat(r#"{"role":"assistant","content":""}"#)
        + &chat(r#"{"content":"Hel"}"#)
        + &chat(r#"{"content":"lo","tool_calls":null}"#);
    assert_eq!(of(OpenAiChat, 100, &stream), said("Hello", 2));
    let stream = tgi(" Hi", false, "null") + &tgi("<s>", true, "null") + &tgi("!", false, "null");
    assert_eq!(of(Tgi, 100, &stream), said(" Hi!", 2));
}

#[test]
fn what_was_not_dispatched_was_not_said() {
    let whole = completion("a") + &completion("b");
    for missing in 1..completion("b").len() {
        let cut = &whole[..whole.len() - missing];
        let (text, _) = read(OpenAiCompletions, 100, &[cut.as_bytes()]);
        assert_eq!(text.as_deref(), Ok("a"), "{cut:?}");
    }
}

#[test]
fn escapes_are_what_they_mean() {
    for (written, text) in [
        (r"\u0041\u00e9\u20ac", "A\u{e9}\u{20ac}"),
        (r"\ud83d\ude00!", "\u{1f600}!"),
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r"", ""),
    ] {
        let stream = format!("data: {{\"choices\":[{{\"text\":\"{written}\"}}]}}\n\n");
        let (read, _) = of(OpenAiCompletions, 100, &stream);
        assert_eq!(read.as_deref(), Ok(text), "{written}");
    }
    for broken in [r"\ud83d", r"\ude00", r"\ud83dx", r"\x", r"\u12g4"] {
        let stream = format!("data: {{\"choices\":[{{\"text\":\"{broken}\"}}]}}\n\n");
        assert_eq!(of(OpenAiCompletions, 100, &stream).0, Err(Lacking::NotText), "{broken}");
    }
}

#[test]
fn a_stream_that_says_anything_but_text_has_none() {
    let start = completion("a");
    for (dialect, event, lacking) in [
        (OpenAiCompletions, "data: [DONE]\n\n".into(), Lacking::Ended),
        (
            OpenAiCompletions,
            "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n".into(),
            Lacking::Ended,
        ),
        (OpenAiCompletions, "data: {\"error\":{\"code\":400}}\n\n".into(), Lacking::Ended),
        (
            OpenAiCompletions,
            "data: {\"choices\":[{\"index\":1,\"text\":\"b\"}]}\n\n".into(),
            Lacking::NotText,
        ),
        (
            OpenAiCompletions,
            "data: {\"choices\":[{\"text\":\"b\"},{\"text\":\"c\"}]}\n\n".into(),
            Lacking::NotText,
        ),
        (OpenAiCompletions, "data: {\"choices\":[{\"text\":5}]}\n\n".into(), Lacking::NotText),
        (OpenAiCompletions, "data: {\"choices\":[{\n\n".into(), Lacking::NotText),
        (OpenAiCompletions, "data: hello\n\n".into(), Lacking::NotText),
        (OpenAiCompletions, "data: {}\ndata: {}\n\n".into(), Lacking::NotText),
        (
            OpenAiCompletions,
            "data: {\"choices\":[{\"text\":\"b\ndata: c\"}]}\n\n".into(),
            Lacking::NotText,
        ),
        (OpenAiCompletions, completion(&"b".repeat(40)), Lacking::TooLong),
        (OpenAiChat, chat(r#"{"tool_calls":[]}"#), Lacking::NotText),
        (OpenAiChat, chat(r#"{"reasoning_content":"hm"}"#), Lacking::NotText),
        (Tgi, tgi("b", false, "\"ab\""), Lacking::Ended),
    ] {
        let event: String = event;
        let stream = if dialect == OpenAiCompletions { start.clone() + &event } else { event };
        assert_eq!(of(dialect, 40, &stream).0, Err(lacking), "{stream}");
    }
    // An error with nothing in it is none.
    for empty in ["{}", "[]", "0", "\"\"", r#"{"code":0,"message":""}"#] {
        let event = format!("data: {{\"choices\":[{{\"text\":\"b\"}}],\"error\":{empty}}}\n\n");
        assert_eq!(of(OpenAiCompletions, 40, &(start.clone() + &event)), said("ab", 2), "{event}");
    }
    // The lines of an event are one text.
    let lines = start.clone() + "data: {\"choices\":[\ndata: {\"text\":\"b\"}]\ndata:}\n\n";
    assert_eq!(of(OpenAiCompletions, 40, &lines), said("ab", 2));
    // Events without a choice say nothing: usage, timings.
    let stream = start + "data: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\ndata:\n\n";
    assert_eq!(of(OpenAiCompletions, 40, &stream), said("a", 1));
}

#[test]
fn a_text_that_is_said_twice_is_none() {
    // Of two members with one name a reader takes the last, or the first, or fails (RFC 8259, 4).
    for (dialect, event) in [
        (OpenAiCompletions, r#"{"choices":[{"text":"b","text":"c"}]}"#),
        (OpenAiCompletions, r#"{"choices":[{"text":"b","text":null}]}"#),
        (OpenAiCompletions, r#"{"choices":[{"text":null,"text":"c"}]}"#),
        (OpenAiCompletions, r#"{"choices":[{"text":"b"}],"choices":[]}"#),
        (OpenAiCompletions, r#"{"choices":null,"choices":[{"text":"b"}]}"#),
        (OpenAiChat, r#"{"choices":[{"delta":{"content":"b","content":"c"}}]}"#),
        (OpenAiChat, r#"{"choices":[{"delta":{"content":"b"},"delta":{}}]}"#),
        (OpenAiChat, r#"{"choices":[{"delta":{"content":"b"},"delta":"c"}]}"#),
        (Tgi, r#"{"token":{"text":"b","text":"c"}}"#),
        (Tgi, r#"{"token":{"text":"b"},"token":null}"#),
        (Tgi, r#"{"token":{"text":"b","special":true,"special":false}}"#),
        // Over several lines.
        (OpenAiCompletions, "{\"choices\":[{\"text\":\"b\",\ndata: \"text\":\"c\"}]}"),
    ] {
        let stream = format!("data: {event}\n\n");
        assert_eq!(of(dialect, 40, &stream).0, Err(Lacking::NotText), "{stream}");
    }
    // Two events may each say one.
    let stream = completion("a") + &completion("b");
    assert_eq!(of(OpenAiCompletions, 40, &stream), said("ab", 2));
}

#[test]
fn what_is_kept_is_paid_for_and_paid_back() {
    let purse = Purse::default();
    purse.set_limit(4_000);
    let mut first = Transcript::new(OpenAiCompletions, 10_000, &purse);
    first.feed(completion(&"a".repeat(900)).as_bytes());
    assert!(first.text().is_ok() && purse.spent() >= 900);
    let mut second = Transcript::new(OpenAiCompletions, 10_000, &purse);
    second.feed(completion(&"b".repeat(3_000)).as_bytes());
    assert_eq!(second.text(), Err(Lacking::TooLong));
    assert!(purse.spent() <= 4_000);
    drop(second);
    first.feed(completion(&"a".repeat(300)).as_bytes());
    assert_eq!(first.text().map(str::len), Ok(1_200));
    drop(first);
    assert_eq!(purse.spent(), 0);
}

fn made(dialect: Dialect, body: &str, text: &str, tokens: u64) -> Result<Value, Uncontinuable> {
    let made = continued(dialect, body.as_bytes(), text, tokens)?;
    Ok(serde_json::from_slice(&made).expect("JSON"))
}

#[test]
fn the_request_carries_the_text_and_asks_for_the_rest() {
    let body = " {\"model\":\"m\", \"prompt\": \"Once\\n\" ,\"max_tokens\":16,\"stream\":true, \
                \"logprobs\":null,\"n\":1,\"echo\":false}\n";
    let expected = json!({
        "model": "m", "prompt": "Once\n upon \"a\"", "max_tokens": 13, "stream": true,
        "logprobs": null, "n": 1, "echo": false
    });
    assert_eq!(made(OpenAiCompletions, body, " upon \"a\"", 3), Ok(expected));
    let bytes = continued(OpenAiCompletions, body.as_bytes(), "!", 0).expect("fit");
    let text = String::from_utf8(bytes).expect("text");
    assert_eq!(text, body.replace("Once\\n", "Once\\n!"), "all else is as it was written");

    let body = r#"{"inputs":"Hi","parameters":{"max_new_tokens":20,"seed":7,"details":true}}"#;
    let expected = json!({"inputs": "Hi there", "parameters": {"max_new_tokens": 1, "seed": 7, "details": true}});
    assert_eq!(made(Tgi, body, " there", 19), Ok(expected));
    let expected = json!({"inputs": "a b", "parameters": null});
    assert_eq!(made(Tgi, r#"{"inputs":"a","parameters":null}"#, " b", 19), Ok(expected));
}

#[test]
fn a_chat_is_continued_in_a_last_message_of_the_assistants() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"} ],"max_completion_tokens":9,"stream":true}"#;
    let first = continued(OpenAiChat, body.as_bytes(), "Hel", 2).expect("fit");
    let expected = json!({
        "continue_final_message": true, "add_generation_prompt": false, "model": "m",
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hel"}],
        "max_completion_tokens": 7, "stream": true
    });
    assert_eq!(serde_json::from_slice::<Value>(&first).expect("JSON"), expected);
    // And on from there.
    let second = String::from_utf8(first).expect("text");
    let again = made(OpenAiChat, &second, "lo", 3).expect("fit");
    assert_eq!(again["messages"][1]["content"], "Hello");
    assert_eq!(
        (again["messages"].as_array().map(Vec::len), &again["max_completion_tokens"]),
        (Some(2), &json!(4))
    );
}

#[test]
fn what_would_not_mean_the_same_again_is_unfit() {
    for (dialect, body, unfit) in [
        (OpenAiCompletions, r#"{"prompt":"a","n":2}"#, Uncontinuable::Member),
        (OpenAiCompletions, r#"{"prompt":"a","best_of":2}"#, Uncontinuable::Member),
        (OpenAiCompletions, r#"{"prompt":"a","echo":true}"#, Uncontinuable::Member),
        (OpenAiCompletions, r#"{"prompt":"a","suffix":"z"}"#, Uncontinuable::Member),
        (OpenAiCompletions, r#"{"prompt":"a","logprobs":1}"#, Uncontinuable::Member),
        (OpenAiCompletions, r#"{"prompt":"a","guided_json":{}}"#, Uncontinuable::Member),
        (
            OpenAiCompletions,
            r#"{"prompt":"a","max_tokens":1,"n_predict":1}"#,
            Uncontinuable::Member,
        ),
        (OpenAiCompletions, r#"{"prompt":"a","max_tokens":-1}"#, Uncontinuable::Member),
        (OpenAiCompletions, r#"{"prompt":"a","max_tokens":"1"}"#, Uncontinuable::Member),
        (OpenAiCompletions, r#"{"prompt":"a","max_tokens":5}"#, Uncontinuable::Spent),
        (OpenAiCompletions, r#"{"prompt":["a"]}"#, Uncontinuable::Prompt),
        (OpenAiCompletions, r#"{"prompt":[1,2]}"#, Uncontinuable::Prompt),
        (OpenAiCompletions, r#"{"model":"m"}"#, Uncontinuable::Prompt),
        (OpenAiCompletions, r#"{"prompt":"a","prompt":"b"}"#, Uncontinuable::Unread),
        (OpenAiCompletions, r#"{"prompt":"a","pro\u006dpt":"b"}"#, Uncontinuable::Member),
        (OpenAiCompletions, r#"{"prompt":"a""#, Uncontinuable::Unread),
        (OpenAiCompletions, r#"["prompt"]"#, Uncontinuable::Unread),
        (OpenAiCompletions, "", Uncontinuable::Unread),
        (Tgi, r#"{"inputs":"a","parameters":{"grammar":{}}}"#, Uncontinuable::Member),
        (Tgi, r#"{"inputs":"a","parameters":{"max_new_tokens":5}}"#, Uncontinuable::Spent),
        (Tgi, r#"{"inputs":"a","parameters":{"truncate":5}}"#, Uncontinuable::Member),
        (OpenAiChat, r#"{"messages":[]}"#, Uncontinuable::Prompt),
        (OpenAiChat, r#"{"messages":[{"role":"user"}],"tools":[{}]}"#, Uncontinuable::Member),
        (
            OpenAiChat,
            r#"{"messages":[{"role":"user"}],"response_format":{}}"#,
            Uncontinuable::Member,
        ),
        (OpenAiChat, r#"{"messages":[{"role":"assistant","content":"a"}]}"#, Uncontinuable::Member),
        (
            OpenAiChat,
            r#"{"messages":[{"role":"user"}],"add_generation_prompt":true}"#,
            Uncontinuable::Member,
        ),
        (
            OpenAiChat,
            r#"{"messages":[{"role":"assistant","content":[]}],"add_generation_prompt":false,"continue_final_message":true}"#,
            Uncontinuable::Prompt,
        ),
        (Anthropic, r#"{"messages":[]}"#, Uncontinuable::Dialect),
        (Ollama, r#"{"prompt":"a"}"#, Uncontinuable::Dialect),
        (Generic, r#"{"prompt":"a"}"#, Uncontinuable::Dialect),
    ] {
        assert_eq!(made(dialect, body, "x", 5), Err(unfit), "{dialect:?} {body}");
    }
}

#[test]
fn the_mark_is_a_comment() {
    let mut mark = Vec::new();
    super::mark("second", &mut mark);
    assert_eq!(mark, b": continued by second\n\n");
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_text_comes_back_as_it_was(
        texts in prop::collection::vec(any::<String>(), 0..6),
        ends in any_ends(),
    ) {
        let stream: String = texts.iter().map(|text| completion(text)).collect();
        let (read, _) = read(OpenAiCompletions, 1 << 16, &cut_at(stream.as_bytes(), &ends));
        let whole = texts.concat();
        prop_assert_eq!(read.as_deref(), Ok(&*whole));
        let body = json!({"prompt": "p", "stream": true}).to_string();
        let made = made(OpenAiCompletions, &body, &whole, 0).expect("fit");
        let prompt = "p".to_owned() + &whole;
        prop_assert_eq!(made["prompt"].as_str(), Some(&*prompt));
    }

    #[test]
    fn no_body_makes_it_fail(body in any::<Vec<u8>>(), text in any::<String>()) {
        for dialect in [OpenAiCompletions, OpenAiChat, Tgi] {
            let _ = continued(dialect, &body, &text, 1);
        }
    }

    #[test]
    fn what_looks_like_json_does_not_make_it_fail(body in "[\\[\\]{}\",:ab\\\\1 ]{0,40}") {
        for dialect in [OpenAiCompletions, OpenAiChat, Tgi] {
            let _ = continued(dialect, body.as_bytes(), "x", 1);
        }
        let whole = 0..body.len();
        let _ = crate::http::json::members(body.as_bytes(), whole.clone());
        let _ = crate::http::json::elements(body.as_bytes(), whole);
    }

    #[test]
    fn the_parts_of_a_text_lie_where_they_are_said_to(keys in prop::collection::vec("[a-z\"\\\\]{0,4}", 0..5)) {
        let object = Value::Object(keys.iter().map(|key| (key.clone(), json!([key, {"k": [1]}]))).collect());
        for text in [object.to_string(), format!("{object:#}")] {
            let found = crate::http::json::members(text.as_bytes(), 0..text.len()).expect("an object");
            for member in &found {
                let key: String = serde_json::from_slice(&[b"\"", member.key, b"\""].concat()).expect("a key");
                let value: Value = serde_json::from_str(&text[member.value.clone()]).expect("a value");
                prop_assert_eq!(&value, &object[&key]);
                let elements = crate::http::json::elements(text.as_bytes(), member.value.clone()).expect("an array");
                prop_assert_eq!(elements.len(), 2);
            }
            prop_assert_eq!(found.len(), object.as_object().map_or(0, |it| it.len()));
        }
    }
}
