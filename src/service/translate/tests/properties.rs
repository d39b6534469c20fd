//! What holds for any stream, however it is cut and whatever is in it.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::super::{Pair, Translator, request};
use super::{BadAnswer, Memo, chunks, named};
use crate::service::Dialect;

/// A stream of a server with something of everything in it.
fn stream_for(pair: Pair) -> String {
    match pair.served() {
        Dialect::Anthropic => {
            let delta = |index: u64, delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
            let block = |index: u64, block| json!({"type": "content_block_start", "index": index, "content_block": block});
            let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
            let text = |text: &str| delta(1, json!({"type": "text_delta", "text": text}));
            named(&[
                json!({"type": "message_start", "message": {"id": "msg_1", "model": "c", "usage": {"input_tokens": 3}}}),
                block(0, json!({"type": "thinking", "thinking": ""})),
                delta(0, json!({"type": "thinking_delta", "thinking": "h\u{fc}"})),
                stop(0),
                block(1, json!({"type": "text", "text": ""})),
                text("a"),
                text(" \"b\"\n"),
                text("\u{1f600}"),
                json!({"type": "ping"}),
                stop(1),
                block(2, json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
                delta(2, json!({"type": "input_json_delta", "partial_json": "{\"x\":1}"})),
                stop(2),
                json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}}),
                json!({"type": "message_stop"}),
            ]) + ": bye\n\n"
        }
        Dialect::OpenAiChat => {
            let chunk = |delta| json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
            let mut last = chunk(json!({}));
            last["choices"][0]["finish_reason"] = "tool_calls".into();
            let mut likely = chunk(json!({"content": "c"}));
            let top = json!([{"token": "d", "logprob": -2.5, "bytes": null}]);
            likely["choices"][0]["logprobs"] = json!({"content": [{"token": "c", "logprob": -0.5, "bytes": [99], "top_logprobs": top}]});
            ": hello\n\n".to_owned()
                + &chunks(&[
                    chunk(json!({"role": "assistant", "content": ""})),
                    chunk(json!({"reasoning_content": "h\u{fc}"})),
                    chunk(json!({"content": "a"})),
                    chunk(json!({"content": " \"b\"\n"})),
                    chunk(json!({"content": "\u{1f600}"})),
                    likely.clone(),
                    likely,
                    chunk(
                        json!({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{\"x\""}}]}),
                    ),
                    chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]})),
                    last,
                    json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
                ])
        }
        Dialect::Ollama => {
            let line = |message| json!({"model": "m", "message": message, "done": false});
            let call = json!({"function": {"name": "f", "arguments": {"x": 1}}});
            let mut likely = line(json!({"content": "c"}));
            let top = json!([{"token": "d", "logprob": -2.5}]);
            likely["logprobs"] = json!([{"token": "c", "logprob": -0.5, "top_logprobs": top}]);
            let lines = [
                line(json!({"thinking": "h\u{fc}"})),
                likely,
                line(json!({"content": "a"})),
                line(json!({"content": " \"b\"\n"})),
                line(json!({"content": "\u{1f600}", "tool_calls": [call]})),
                json!({"done": true, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 4}),
            ];
            lines.iter().map(|line| format!("{line}\n")).collect()
        }
        Dialect::Gemini => {
            let event = |part| json!({"candidates": [{"content": {"parts": [part]}}]});
            let mut last = event(json!({"functionCall": {"name": "f", "args": {"x": 1}}}));
            last["candidates"][0]["finishReason"] = "STOP".into();
            last["usageMetadata"] = json!({"promptTokenCount": 3, "candidatesTokenCount": 4});
            let mut likely = event(json!({"text": "c"}));
            let token = json!({"token": "c", "logProbability": -0.5});
            likely["candidates"][0]["logprobsResult"] =
                json!({"chosenCandidates": [token], "topCandidates": [{"candidates": [token]}]});
            let second = if pair.asked() == Dialect::OpenAiChat {
                let mut second = event(json!({"text": "other"}));
                second["candidates"][0]["index"] = 1.into();
                second["candidates"][0]["finishReason"] = "MAX_TOKENS".into();
                second
            } else {
                event(json!({"text": "e"}))
            };
            unnamed(&[
                event(json!({"text": "h\u{fc}", "thought": true})),
                likely,
                second,
                event(json!({"text": "a"})),
                event(json!({"text": " \"b\"\n"})),
                event(json!({"text": "\u{1f600}"})),
                last,
            ])
        }
        Dialect::Tgi => {
            let top = json!([{"text": "z", "logprob": -2.5}]);
            let event = |text| {
                let token = json!({"text": text, "logprob": -0.5, "special": false});
                json!({"token": token, "top_tokens": top})
            };
            let mut last = event("\u{1f600}");
            last["generated_text"] = "all".into();
            last["details"] = json!({"finish_reason": "length", "generated_tokens": 4});
            unnamed(&[event("a"), event(" \"b\"\n"), last])
        }
        Dialect::Triton => {
            let event = |text| json!({"model_name": "m", "text_output": text});
            unnamed(&[event("a"), event(" \"b\"\n"), event("\u{1f600}")])
        }
        _ => unreachable!("{pair:?}"),
    }
}

fn unnamed(data: &[Value]) -> String {
    ": hello\n\n".to_owned()
        + &data.iter().map(|data| format!("data: {data}\n\n")).collect::<String>()
}

/// What a client of OpenAI chat knows of its request may be two choices; of others it is one.
fn memo_of(pair: Pair) -> Memo {
    let choices = if pair.asked() == Dialect::OpenAiChat { 2 } else { 1 };
    Memo { choices, ..super::memo() }
}

/// What a stream that comes in these pieces is told as.
fn told_in(pair: Pair, pieces: &[&[u8]]) -> (Vec<u8>, Result<(), BadAnswer>) {
    let mut translator = Translator::of_stream(pair, &memo_of(pair), 1, "x");
    let mut out = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| translator.feed(piece, &mut out));
    }
    let result = result.and_then(|()| translator.end(&mut out));
    (out, result)
}

/// Those whose servers answer in streams.
fn pairs() -> Vec<Pair> {
    Pair::all().filter(|pair| pair.served() != Dialect::KServe).collect()
}

fn any_pair() -> impl Strategy<Value = Pair> {
    prop::sample::select(pairs())
}

#[test]
fn any_cut_in_two_and_every_byte_alone() {
    for pair in pairs() {
        for stream in [stream_for(pair), stream_for(pair).replace('\n', "\r\n")] {
            let whole = told_in(pair, &[stream.as_bytes()]);
            assert_eq!(whole.1, Ok(()), "{pair:?}");
            assert_events(&whole.0);
            for cut in 0..=stream.len() {
                let (front, back) = stream.as_bytes().split_at(cut);
                assert_eq!(told_in(pair, &[front, back]), whole, "{pair:?} cut at {cut}");
            }
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(told_in(pair, &bytes), whole, "{pair:?} bytewise");
        }
    }
}

/// Every event that was written is whole, and its data JSON.
fn assert_events(out: &[u8]) {
    let text = std::str::from_utf8(out).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with("\n\n"), "whole events: {text}");
    for line in text.lines() {
        if let Some(data) = line.strip_prefix("data: ").filter(|data| *data != "[DONE]") {
            serde_json::from_str::<IgnoredAny>(data).unwrap_or_else(|why| panic!("{why}: {data}"));
        } else {
            let known =
                ["event: ", ": ", "data: [DONE]"].iter().any(|known| line.starts_with(known));
            assert!(known || line.is_empty(), "a line of an event: {line}");
        }
    }
}

/// Streams with some bytes replaced, taken out or put in.
fn mutate(stream: &str, edits: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    const BYTES: &[u8] = b"\"\\{}[],:\n\r 0u\xf0\x01ntf1e";
    let mut bytes = stream.as_bytes().to_vec();
    for (at, how, byte) in edits {
        let at = at.index(bytes.len());
        let byte = BYTES[usize::from(*byte) % BYTES.len()];
        match how % 4 {
            0 => bytes[at] = byte,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, byte),
            _ => {
                // An event again, or out of its place.
                let piece = bytes[at..(at + 90).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..6)
}

proptest! {
    #![proptest_config(crate::properties::cases(1_500))]

    #[test]
    fn no_stream_panics_and_all_that_is_written_are_events(
        edits in edits(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4), pair in any_pair(),
    ) {
        let stream = mutate(&stream_for(pair), &edits);
        let whole = told_in(pair, &[&stream]);
        assert_events(&whole.0);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for place in places {
            pieces.push(&stream[from..place]);
            from = place;
        }
        pieces.push(&stream[from..]);
        prop_assert_eq!(told_in(pair, &pieces), whole);
    }

    #[test]
    fn no_document_and_no_request_panics(
        edits in edits(), pair in prop::sample::select(Pair::all().collect::<Vec<_>>()), which in 0..10usize,
    ) {
        let bodies = [
            r#"{"model":"m","max_tokens":5,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"url","url":"https://x"}}]},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"r"}]}],"tools":[{"name":"f","input_schema":{}}]}"#,
            r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"r"}],"stop":["x"]}"#,
            r#"{"id":"c","choices":[{"message":{"content":"a","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"prompt_tokens":1}}"#,
            r#"{"model":"m","instructions":"s","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"h"}]},{"type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":1e2}"},{"type":"function_call_output","call_id":"a","output":"r"}],"tools":[{"type":"function","name":"f","parameters":{}}],"text":{"format":{"type":"text"}},"stream":true}"#,
            r#"{"model":"m","message":{"content":"a","thinking":"h","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]},"done":true,"done_reason":"stop","generated_text":"a","text_output":"b"}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"a"},{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3}}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"parameters":{"x":1},"options":{"y":2},"generationConfig":{}}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"n":2,"logprobs":true,"top_logprobs":3,"input":"a","include":["message.output_text.logprobs"]}"#,
            r#"{"model_name":"m","outputs":[{"name":"finish_reason","datatype":"BYTES","data":["length"]},{"name":"t","shape":[1,1],"datatype":"BYTES","parameters":{"content_type":"str"},"data":[["a"]]}]}"#,
            r#"{"message":{"content":"a"},"logprobs":[{"token":"a","logprob":-1,"top_logprobs":[{}]}],"candidates":[{"logprobsResult":{"chosenCandidates":[{}],"topCandidates":[{"candidates":[{}]}]}},{}],"generated_text":"a","details":{"tokens":[{"text":"a"}],"top_tokens":[[{}]],"best_of_sequences":[{"generated_text":"b"}]},"choices":[{"index":0,"message":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}},{"index":1,"message":{}}]}"#,
        ];
        let body = mutate(bodies[which], &edits);
        if let Ok(translated) = request(pair, &body, None) {
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&translated.body).is_ok());
        }
        for status in [200, 500] {
            let mut translator = Translator::of_document(pair, &memo_of(pair), status, 1, "x", 1 << 16);
            let mut out = Vec::new();
            prop_assert!(translator.feed(&body, &mut out).is_ok());
            let ended = translator.end(&mut out);
            prop_assert_eq!(ended.is_ok(), serde_json::from_slice::<IgnoredAny>(&out).is_ok());
        }
        let as_stream = Translator::of_document(pair, &memo_of(pair), 200, 1, "x", 1 << 16);
        let mut as_stream = as_stream.told_as_stream();
        let mut out = Vec::new();
        prop_assert!(as_stream.feed(&body, &mut out).is_ok());
        let _ = as_stream.end(&mut out);
        assert_events(&out);
    }
}
