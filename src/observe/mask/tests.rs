use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// What the documentation says is shown: the places of words, and those of counts.
pub(super) fn documented() -> [Vec<String>; 2] {
    let documentation = include_str!("../../../docs/operations.md");
    let (_, section) = documentation.split_once("\n## Masks\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let block = |title: &str| -> Vec<String> {
        let (_, block) = section.split_once(title).expect("its title");
        let block = block.split("```").nth(1).expect("a block");
        let mut places: Vec<String> = block.split_whitespace().skip(1).map(str::to_owned).collect();
        places.sort();
        places
    };
    [block("Words"), block("Counts")]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Lines of a stream, and what is shown of them. Each is an event by itself.
const LINES: &[(&str, &str)] = &[
    ("data: [DONE]", "data: [DONE]"),
    ("data: [DONE] ", "data: [xxxxxx"),
    ("event: message_start", "event: message_start"),
    ("event: my secret", "event: xxxxxxxxx"),
    ("event", "event"),
    ("", ""),
    (": a comment", ":xxxxxxxxxx"),
    ("id: secret", "id:xxxxxxx"),
    ("retry: 3000", "retry: 3000"),
    ("retry: 300000000", "retry:xxxxxxxxxx"),
    ("secret: secret", "xxxxxxxxxxxxxx"),
    ("datas: secret", "xxxxxxxxxxxxx"),
    ("data: plain words", "data: xxxxxxxxxxx"),
    ("data: 42", "data: xx"),
    ("data: true words", "data: xxxxxxxxxx"),
    ("plain words", "xxxxxxxxxxx"),
    (r#"data:{"a":"b"}"#, r#"data:{"x":"x"}"#),
    (r#"data:  {"a":"b"}"#, r#"data:  {"x":"x"}"#),
    // A word is shown in its place, and nothing else there.
    (
        r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"\"hi\" \u00e9"}}"#,
        r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"xxxxxxxxxxxxx"}}"#,
    ),
    (r#"data: {"type":"secret"}"#, r#"data: {"type":"xxxxxx"}"#),
    (r#"data: {"type":{"type":"ping"}}"#, r#"data: {"type":{"xxxx":"xxxx"}}"#),
    (r#"data: {"text":{"type":"ping"}}"#, r#"data: {"text":{"xxxx":"xxxx"}}"#),
    (r#"data: {"role":["user"]}"#, r#"data: {"xxxx":["xxxx"]}"#),
    (r#"data: {"typ\u0065":"ping"}"#, r#"data: {"xxxxxxxxx":"xxxx"}"#),
    (
        r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"a"}},{"index":1}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"x"}},{"index":1}]}"#,
    ),
    (r#"data: {"model":"gpt","object":"list"}"#, r#"data: {"model":"xxx","object":"list"}"#),
    // So is a count; other numbers may be tokens.
    (r#"data: {"usage":{"prompt_tokens":42}}"#, r#"data: {"usage":{"prompt_tokens":42}}"#),
    (r#"data: {"usage":{"prompt_tokens":4.2}}"#, r#"data: {"usage":{"prompt_tokens":1.1}}"#),
    (r#"data: {"usage":{"prompt_tokens":-42}}"#, r#"data: {"usage":{"prompt_tokens":-11}}"#),
    (
        r#"data: {"usage":{"prompt_tokens":123456789}}"#,
        r#"data: {"usage":{"prompt_tokens":111111111}}"#,
    ),
    (
        r#"data: {"usage":{"secret":42},"a":0.5e+20}"#,
        r#"data: {"usage":{"xxxxxx":11},"x":1.1e+00}"#,
    ),
    (r#"data: {"token":{"id":42,"special":true}}"#, r#"data: {"token":{"id":11,"special":true}}"#),
    (
        r#"data: {"choices":[{"logprobs":{"content":[{"token":"a","bytes":[97]}]},"stop_reason":97}]}"#,
        r#"data: {"choices":[{"logprobs":{"xxxxxxx":[{"xxxxx":"x","xxxxx":[11]}]},"stop_reason":11}]}"#,
    ),
    (r#"data: [42,null,"a",{"usage":1}]"#, r#"data: [11,null,"x",{"xxxxx":1}]"#),
    // What is cut short may have gone on.
    (r#"data: {"content":"cut of"#, r#"data: {"content":"xxxxxx"#),
    (r#"data: {"content":"cut\"#, r#"data: {"content":"xxxx"#),
    (r#"data: {"type":"ping"#, r#"data: {"type":"xxxx"#),
    (r#"data: {"usage":{"prompt_tokens":42"#, r#"data: {"usage":{"prompt_tokens":11"#),
    (r#"data: {"typ"#, r#"data: {"xxx"#),
    (r#"data: {"a":nul"#, r#"data: {"x":nul"#),
    // And what is no JSON has no structure.
    (r#"data: {secret: "x"}"#, r#"data: {xxxxxxxxxxxx"#),
    (r#"data: {"a":1} secret"#, r#"data: {"x":1} xxxxxx"#),
    (r#"data: {"a":07} true"#, r#"data: {"x":xxxxxxxx"#),
    ("data: {\"a\":\"b\tc\"} true", "data: {\"x\":\"xxxxxxxxxx"),
    // Errors as servers have written them: as a field, or as a bare line.
    (
        r#"error: {"code":500,"message":"no","type":"server_error"}"#,
        r#"error: {"code":500,"message":"xx","type":"server_error"}"#,
    ),
    (r#"{"error":{"code":"secret"}}"#, r#"{"error":{"code":"xxxxxx"}}"#),
];

#[test]
fn text_is_masked_and_everything_keeps_its_length() {
    for (line, expected) in LINES {
        for end in ["\r\n\r\n", "\n\n", "\r\r", "\n", "\r"] {
            let got = masked_events(format!("{line}{end}").as_bytes(), false);
            assert_eq!(text(&got), format!("{expected}{end}"));
        }
    }
    // Without the end of its line a name may be the beginning of another.
    assert_eq!(text(&masked_events(b"event: ping", false)), "event: xxxx");
}

#[test]
fn lines_of_json_are_masked_alike() {
    for (line, expected) in [
        (
            r#"{"model":"m","response":"hi","done":false,"context":[1,20]}"#,
            r#"{"model":"x","response":"xx","done":false,"context":[1,11]}"#,
        ),
        (
            r#"{"message":{"role":"assistant","content":"hi"},"done_reason":"stop","eval_count":7}"#,
            r#"{"message":{"role":"assistant","content":"xx"},"done_reason":"stop","eval_count":7}"#,
        ),
        (r#"{"error":"secret"}"#, r#"{"error":"xxxxxx"}"#),
        ("data: secret", "xxxxxxxxxxxx"),
        (" ", "x"),
    ] {
        let got = masked_lines(format!("{line}\n{line}\n").as_bytes(), false);
        assert_eq!(text(&got), format!("{expected}\n{expected}\n"));
    }
    assert_eq!(text(&masked_lines(b"secret\"}\n{\"a\":1}", true)), "xxxxxxxx\n{\"x\":1}");
}

#[test]
fn the_data_of_an_event_is_one_text() {
    let stream = b"data: {\"choices\":[{\"delta\":\ndata:{\"content\":\r\nevent: x\ndata: \"secret\"}}]}\n\n";
    let masked = b"data: {\"choices\":[{\"delta\":\ndata:{\"content\":\r\nevent: x\ndata: \"xxxxxx\"}}]}\n\n";
    assert_eq!(text(&masked_events(stream, false)), text(masked));
    // A string does not reach over the end of its line.
    let got = masked_events(b"data: {\"a\":\"b\ndata: true\":\"\"}\n\ndata: {}\n\n", false);
    assert_eq!(text(&got), "data: {\"x\":\"x\ndata: xxxxxxxxx\n\ndata: {}\n\n");
}

#[test]
fn a_line_that_begins_before_the_recording_is_text() {
    for end in ["\n", "\r", "\r\n"] {
        let got = masked_events(format!("data: [DONE]{end}{end}data: {{}}{end}").as_bytes(), true);
        assert_eq!(text(&got), format!("xxxxxxxxxxxx{end}{end}data: {{}}{end}"));
    }
}

#[test]
fn the_byte_order_mark_stays_in_front_of_its_line() {
    let got = masked_events("\u{feff}data: {\"a\":1}\n\n".as_bytes(), false);
    assert_eq!(text(&got), "\u{feff}data: {\"x\":1}\n\n");
    assert!(
        !text(&masked_events("data: \u{feff}a\u{e9}\n\n".as_bytes(), false)).contains('\u{e9}')
    );
}

/// No word of an API has these letters in a row, and no mask these digits.
const SECRETS: &[&str] = &["qzqzqz", "qz", "zq", "qzq zqz", "q\\\"zqz", "\u{e9}zq"];
const NUMBERS: &[&str] = &["7979", "-79", "79.97", "7.9e79", "797979797979", "0.79", "79e-7"];

fn shows_a_secret(shown: &str) -> bool {
    ["qz", "zq", "79", "97", "\u{e9}"].iter().any(|secret| shown.contains(secret))
}

/// Names of members, known and unknown.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "choices",
            "delta",
            "content",
            "type",
            "role",
            "object",
            "model",
            "event",
            "id",
            "logprobs",
            "bytes",
            "token",
            "context",
            "message",
            "response",
            "output",
            "item",
            "tool_calls",
            "function",
            "error",
            "details",
            "finish_reason",
            "data",
            "text",
        ])
        .prop_map(str::to_owned),
        prop::sample::select(SECRETS).prop_map(str::to_owned),
    ]
}

/// JSON in which every text and every number is a secret.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(SECRETS).prop_map(|secret| format!("\"{secret}\"")),
        prop::sample::select(NUMBERS).prop_map(str::to_owned),
        prop::sample::select(vec!["true", "null", "\"ping\"", "\"stop\"", "[]", "{}"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        let member = (any_name(), inner.clone()).prop_map(|(name, it)| format!("\"{name}\":{it}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..5)
                .prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    })
}

/// Streams of such events, and of what is none.
fn any_stream() -> impl Strategy<Value = String> {
    let end = || prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n"]);
    let start = prop::sample::select(vec![
        "data: ",
        "data:",
        "event: ",
        "id: ",
        ": ",
        "error: ",
        "",
        "qz: ",
        "qz",
        "{",
        "\u{feff}data: ",
        "data",
        " data: ",
    ]);
    let field =
        (start, any_json(), end()).prop_map(|(start, json, end)| format!("{start}{json}{end}"));
    prop::collection::vec(field, 0..6).prop_map(|fields| fields.concat())
}

/// The places of numbers of which more is shown than that they are numbers.
fn shown_counts(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(number)
            if number.to_string().contains(['2', '3', '4', '5', '6', '7', '8']) =>
        {
            found.push(path.to_owned());
        }
        Value::Array(items) => {
            items.iter().for_each(|item| shown_counts(item, &format!("{path}[]"), found));
        }
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if path.is_empty() { "" } else { "." };
                shown_counts(value, &format!("{path}{dot}{name}"), found);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(1000))]

    #[test]
    fn no_secret_survives_wherever_it_stands_and_whatever_is_cut(
        stream in any_stream(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let bytes = stream.as_bytes();
        let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
        let cut = &bytes[from.min(to)..from.max(to)];
        for (bytes, begins_inside) in [(bytes, false), (cut, true), (cut, false)] {
            for masked in [masked_events(bytes, begins_inside), masked_lines(bytes, begins_inside)] {
                prop_assert_eq!(masked.len(), bytes.len());
                let shown = text(&masked);
                prop_assert!(!shows_a_secret(&shown), "{stream:?}: {shown:?}");
            }
        }
        let mut cutter = crate::observe::tail::Cutter::new(false);
        let mut shown = Vec::new();
        for piece in [&bytes[..from], &bytes[from..]] {
            cutter.feed(piece, |event| shown.push(event));
        }
        prop_assert!(!shows_a_secret(&shown.concat()), "{stream:?}: {shown:?}");
    }

    #[test]
    fn masked_json_is_json_and_its_mask_is_itself(json in any_json()) {
        let masked = masked_data(json.as_bytes());
        if json.starts_with(['{', '[']) {
            let value: Result<Value, _> = serde_json::from_slice(&masked);
            prop_assert!(value.is_ok(), "{json}: {}", text(&masked));
        }
        // Names that are masked are unknown, and ones are ones.
        prop_assert_eq!(masked_data(&masked), masked);
    }

    #[test]
    fn no_bytes_can_break_it(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        for start in [&b""[..], b"data: {\"a\":\"", b"data: {", b"error: {\"", b"{\"type\":"] {
            let stream = [start, &bytes].concat();
            prop_assert_eq!(masked_events(&stream, false).len(), stream.len());
            prop_assert_eq!(masked_lines(&stream, true).len(), stream.len());
        }
    }
}

#[test]
fn counts_are_shown_where_the_documentation_says_and_nowhere_else() {
    let [_, counts] = documented();
    // Every place that the shapes know, and each of them one deeper.
    let mut places = counts.clone();
    places.extend(counts.iter().map(|place| format!("extra.{place}")));
    places.extend(["context[]", "token.id", "choices[].stop_reason", "created"].map(str::to_owned));
    for place in places {
        let (mut open, mut close) = (String::new(), String::new());
        for step in place.split('.') {
            let (name, list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
            open += &format!("{{\"{name}\":{}", if list { "[" } else { "" });
            close = format!("{}}}{close}", if list { "]" } else { "" });
        }
        let masked = masked_data(format!("{open}567{close}").as_bytes());
        let mut shown = Vec::new();
        shown_counts(&serde_json::from_slice(&masked).expect("JSON"), "", &mut shown);
        assert_eq!(shown.contains(&place), counts.contains(&place), "{place}");
    }
}
