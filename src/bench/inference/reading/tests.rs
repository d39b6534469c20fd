use super::*;

/// A stream as a server of each API sends it, with two chunks, 7 tokens in and 3 out.
const STREAMS: [(Api, bool, &str); 7] = [
    (
        Api::OpenaiChat,
        true,
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
         data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n: ping\n\n\
         data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"b\"}}]}\n\n\
         data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
         data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n\
         data: [DONE]\n\n",
    ),
    (
        Api::OpenaiCompletions,
        true,
        "data: {\"choices\":[{\"text\":\"a\"}]}\r\n\r\ndata: {\"choices\":[{\"text\":\"b\"}]}\r\n\r\n\
         data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}],\
         \"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\r\n\r\n",
    ),
    (
        Api::OpenaiResponses,
        true,
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\"}}\n\n\
         event: x\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n\
         event: x\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"b\"}\n\n\
         event: x\ndata: {\"type\":\"response.output_text.done\",\"text\":\"ab\"}\n\n\
         event: x\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\
         \"usage\":{\"input_tokens\":7,\"output_tokens\":3}}}\n\n",
    ),
    (
        Api::Anthropic,
        true,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[],\
         \"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n\
         event: ping\ndata: {\"type\":\"ping\"}\n\n\
         event: d\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n\
         event: d\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"b\"}}\n\n\
         event: m\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n\
         event: s\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        Api::OllamaChat,
        false,
        "{\"message\":{\"role\":\"assistant\",\"content\":\"a\"},\"done\":false}\n\
         {\"message\":{\"content\":\"b\"},\"done\":false}\n\
         {\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":7,\"eval_count\":3}\n",
    ),
    (
        Api::OllamaGenerate,
        false,
        "{\"response\":\"a\",\"done\":false}\n{\"response\":\"b\",\"done\":false}\n\
         {\"response\":\"\",\"done\":true,\"prompt_eval_count\":7,\"eval_count\":3}",
    ),
    (
        Api::Tgi,
        true,
        "data:{\"token\":{\"text\":\"a\",\"special\":false},\"generated_text\":null,\"details\":null}\n\n\
         data:{\"token\":{\"text\":\"b\",\"special\":false},\"generated_text\":null,\"details\":null}\n\n\
         data:{\"token\":{\"text\":\"</s>\",\"special\":true},\"generated_text\":\"ab\",\
         \"details\":{\"generated_tokens\":3,\"input_length\":7}}\n\n",
    ),
];

fn read(api: Api, events: bool, text: &[u8], piece: usize) -> (Reading, u64) {
    let mut reading = Reading::new(api, true, events, !events);
    let mut chunks = 0;
    for piece in text.chunks(piece) {
        chunks += reading.feed(piece);
    }
    chunks += reading.end();
    (reading, chunks)
}

#[test]
fn streams_of_every_api_are_understood_however_they_are_cut() {
    for (api, events, text) in STREAMS {
        for piece in 1..=text.len() {
            let (reading, chunks) = read(api, events, text.as_bytes(), piece);
            assert_eq!((chunks, reading.chunks()), (2, 2), "{api:?}, pieces of {piece}");
            let usage = Usage { input: Some(7), output: Some(3) };
            assert_eq!(reading.usage(), usage, "{api:?}, pieces of {piece}");
            assert!(reading.has_ended(), "{api:?}, pieces of {piece}");
            assert_eq!((reading.error(), reading.illegible()), (None, 0), "{api:?}");
        }
    }
}

#[test]
fn a_stream_that_was_cut_has_not_ended() {
    for (api, events, text) in STREAMS {
        let half = &text.as_bytes()[..text.find("\"b\"").expect("the second chunk")];
        let (reading, chunks) = read(api, events, half, 1_000);
        assert_eq!((chunks, reading.has_ended()), (1, false), "{api:?}");
    }
}

#[test]
fn answers_in_one_piece_are_one_chunk() {
    let documents = [
        (
            Api::OpenaiChat,
            r#"{"choices":[{"message":{"content":"ab"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
        ),
        (
            Api::OpenaiResponses,
            r#"{"object":"response","status":"completed","output":[{"type":"message"}],"usage":{"input_tokens":7,"output_tokens":3}}"#,
        ),
        (
            Api::Anthropic,
            r#"{"type":"message","content":[{"type":"text","text":"ab"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":3}}"#,
        ),
        (
            Api::OllamaGenerate,
            r#"{"response":"ab","done":true,"prompt_eval_count":7,"eval_count":3}"#,
        ),
        (Api::Tgi, r#"{"generated_text":"ab","details":{"generated_tokens":3,"input_length":7}}"#),
    ];
    for (api, text) in documents {
        let mut reading = Reading::new(api, true, false, false);
        assert_eq!((reading.feed(text.as_bytes()), reading.is_stream()), (0, false));
        assert_eq!((reading.end(), reading.has_ended()), (1, true), "{api:?}");
        assert_eq!(reading.usage(), Usage { input: Some(7), output: Some(3) }, "{api:?}");
    }
}

#[test]
fn errors_inside_a_stream_are_told() {
    for (api, events, text, told) in [
        (Api::OpenaiChat, true, "data: {\"error\":{\"message\":\"out of it\"}}\n\n", "out of it"),
        (
            Api::Anthropic,
            true,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
            "Overloaded",
        ),
        (Api::OllamaChat, false, "{\"error\":\"no such model\"}\n", "no such model"),
        (
            Api::OpenaiResponses,
            true,
            "data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"message\":\"broke\"}}}\n\n",
            "broke",
        ),
    ] {
        let (reading, chunks) = read(api, events, text.as_bytes(), 7);
        assert_eq!(
            (chunks, reading.error(), reading.has_ended()),
            (0, Some(told), false),
            "{api:?}"
        );
    }
}

#[test]
fn what_is_no_json_is_counted_and_what_refuses_is_told_in_short() {
    let (reading, _) = read(Api::OpenaiChat, true, b"data: {oops\n\ndata: hello\n\n", 3);
    assert_eq!((reading.chunks(), reading.illegible()), (0, 2));
    for (body, told) in [
        (r#"{"error":{"message":"Incorrect API key"}}"#.to_owned(), "Incorrect API key".to_owned()),
        ("<html>\n <b>bad</b></html>".to_owned(), "<html> <b>bad</b></html>".to_owned()),
        ("x".repeat(5_000), format!("{}…", "x".repeat(4_096))),
        (String::new(), String::new()),
    ] {
        let mut reading = Reading::new(Api::OpenaiChat, false, true, false);
        reading.feed(body.as_bytes());
        assert_eq!(reading.told(), told);
    }
}
