use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::http::tests::{any_ends, cut_at, every_cut};

const WORDS: Words =
    Words::new(&["choices", "finish", "finish_reason", "model", "stop", "stream", "usage"]);
const CHOICES: Word = WORDS.word("choices");
const FINISH_REASON: Word = WORDS.word("finish_reason");
const MODEL: Word = WORDS.word("model");
const STOP: Word = WORDS.word("stop");
const STREAM: Word = WORDS.word("stream");
const USAGE: Word = WORDS.word("usage");

/// A finding that owns its text, and where it was in the whole.
#[derive(Clone, Debug, PartialEq)]
enum Finding {
    Container,
    String,
    End(String, Word),
    Number(Option<u32>),
    Bool(bool),
    Null,
}

type Findings = Vec<(Vec<Word>, usize, Finding)>;

fn walk(pieces: &[&[u8]]) -> (Findings, bool) {
    let (mut walker, mut findings, mut text, mut base) = (Walker::new(), vec![], vec![], 0);
    for piece in pieces {
        walker.feed(&WORDS, piece, |path, at, found| {
            let finding = match found {
                Found::Text(piece) => return text.extend_from_slice(piece),
                Found::Container => Finding::Container,
                Found::String => Finding::String,
                Found::StringEnd(word) => {
                    let text = std::mem::take(&mut text);
                    Finding::End(String::from_utf8_lossy(&text).into_owned(), word)
                }
                Found::Number(number) => Finding::Number(number),
                Found::True => Finding::Bool(true),
                Found::False => Finding::Bool(false),
                Found::Null => Finding::Null,
            };
            findings.push((path.to_vec(), base + at, finding));
        });
        base += piece.len();
    }
    (findings, walker.is_over())
}

/// What is passed over unread changes nothing of what is told, in whatever pieces it comes.
#[test]
fn skimming_finds_the_same() {
    static SKIMMING: Words = WORDS.skimming();
    for text in [
        r#"{"data":[{"model":[1,-2.5e3, null,true,"]}\"{",{}],"x":{"usage":1}}],"model":"m","usage":2}"#,
        r#"{"choices":[[[1]],{"a":{"b":[{"c":"}"}]},"finish_reason":"stop"}],"stream":{"usage":false}}"#,
        r#"[{"usage":3},[["usage"]],{"a":[{"usage":4}]},{"usage":5}]"#,
        "{\"a\":[1,2",
        "{\"a\":[1,2}",
        "{\"a\":{\"b\":[]]}",
    ] {
        let told = |words: &Words, pieces: &[&[u8]]| {
            let (mut walker, mut told) = (Walker::new(), Vec::new());
            for piece in pieces {
                walker.feed(words, piece, |path, _, found| match found {
                    Found::Text(_) => {}
                    found => told.push(format!("{path:?} {found:?}")),
                });
            }
            (told, walker.is_complete(), walker.is_lost())
        };
        let plain = told(&WORDS, &[text.as_bytes()]);
        for pieces in every_cut(text.as_bytes()) {
            assert_eq!(told(&SKIMMING, &pieces), plain, "{text}");
        }
    }
}

fn walk_any_split(text: &[u8]) -> (Findings, bool) {
    let whole = walk(&[text]);
    for pieces in every_cut(text) {
        assert_eq!(walk(&pieces), whole, "{:?}", text.escape_ascii().to_string());
    }
    whole
}

/// What is found, without places and beginnings.
fn found(text: &str) -> Vec<(Vec<Word>, Finding)> {
    let (findings, _) = walk_any_split(text.as_bytes());
    let ends = findings.into_iter().filter(|(_, _, finding)| *finding != Finding::String);
    ends.map(|(path, _, finding)| (path, finding)).collect()
}

fn end(text: &str, word: Word) -> Finding {
    Finding::End(text.to_owned(), word)
}

#[test]
fn fields_are_found_on_their_paths_only() {
    let text = r#" { "model" : "a/b", "x":{"model":"no"}, "stream":true,
        "choices":[{"finish_reason":null},{"finish_reason":"stop"}], "usage":{"model":-1.5e3} } "#;
    assert_eq!(
        found(text),
        [
            (vec![MODEL], end("a/b", OTHER)),
            (vec![STREAM], Finding::Bool(true)),
            (vec![CHOICES], Finding::Container),
            (vec![CHOICES, ITEM], Finding::Container),
            (vec![CHOICES, ITEM, FINISH_REASON], Finding::Null),
            (vec![CHOICES, ITEM], Finding::Container),
            (vec![CHOICES, ITEM, FINISH_REASON], end("stop", STOP)),
            (vec![USAGE], Finding::Container),
            (vec![USAGE, MODEL], Finding::Number(None)),
        ]
    );
}

#[test]
fn what_a_string_says_is_no_field() {
    for text in [
        r#"{"x":"\"model\":\"evil\""}"#,
        r#"{"x":"\\\",\"model\":\"evil\""}"#,
        r#"{"x":"model","y":["model"]}"#,
        r#"{"x":{"model":"evil"}}"#,
        r#"{"x":[{"model":"evil"}]}"#,
        r#"{"models":"evil","mode":"evil","\"model":"evil","mod\u0065l":"evil"}"#,
        r#"["model","evil"]"#,
        r#""model""#,
    ] {
        let models = found(text).into_iter().filter(|(path, _)| path.last() == Some(&MODEL));
        assert_eq!(models.count(), 0, "{text}");
    }
}

#[test]
fn a_key_that_begins_another_is_told_from_it() {
    let text = r#"{"finish":1,"finish_":2,"finish_reason":3,"finish_reasons":4}"#;
    let numbers: Vec<_> = found(text).into_iter().map(|(_, finding)| finding).collect();
    assert_eq!(numbers, [Finding::Number(Some(1)), Finding::Number(Some(3))]);
}

#[test]
fn places_are_those_of_the_whole_text() {
    let text = br#"{"model":"m\"","stream":[false]}"#;
    let (findings, over) = walk_any_split(text);
    assert!(over);
    assert_eq!(
        findings,
        [
            (vec![MODEL], 9, Finding::String),
            (vec![MODEL], 14, end(r#"m\""#, OTHER)),
            (vec![STREAM], 24, Finding::Container),
            (vec![STREAM, ITEM], 30, Finding::Bool(false)),
        ]
    );
}

#[test]
fn numbers_are_counts_or_nothing() {
    for (number, expected) in [
        ("0", Some(0)),
        ("128000", Some(128_000)),
        ("4294967295", Some(u32::MAX)),
        ("4294967296", Some(u32::MAX)),
        ("99999999999999999999999999", Some(u32::MAX)),
        ("1.0", None),
        ("-1", None),
        ("1e3", None),
    ] {
        let text = format!("{{\"usage\":{number}}}");
        assert_eq!(found(&text), [(vec![USAGE], Finding::Number(expected))], "{number}");
    }
    // It may go on.
    assert_eq!(found("{\"usage\":12"), []);
}

#[test]
fn what_is_no_json_ends_the_walk() {
    let lost = [
        "x",
        "{]",
        "[}",
        "{,",
        "{\"model\" 1}",
        "{\"model\":,}",
        "{\"model\":nul}",
        "{\"model\":truth}",
        "{\"model\":1,}",
        "[1 2]",
        "{\"a\":1 \"b\"}",
        "{model:1}",
        "]",
        "\u{feff}{}",
    ];
    for text in lost {
        let text = format!("{text},\"stream\":true}}");
        let (findings, over) = walk_any_split(text.as_bytes());
        assert!(over, "{text}");
        assert!(!findings.iter().any(|(path, ..)| path == &[STREAM]), "{text}");
    }
}

#[test]
fn nesting_has_a_bound() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        found(&format!("{{\"x\":{open}{close},\"stream\":true}}"))
    };
    assert_eq!(nested(DEPTH_MAX), [(vec![STREAM], Finding::Bool(true))]);
    assert_eq!(nested(DEPTH_MAX + 1), []);
}

#[test]
fn one_word_can_be_told_wherever_it_stands() {
    const ANYWHERE: Words = WORDS.anywhere(FINISH_REASON);
    let text = br#"{"x":[{"finish_reason":null},1],"model":[[[[{"finish_reason":["stop"]}],2]]],
        "finish_reason":"stop","choices":[{"finish_reason":3}]}"#;
    let (mut walker, mut found) = (Walker::new(), vec![]);
    walker.feed(&ANYWHERE, text, |path, _, what| {
        if path.last() == Some(&FINISH_REASON) && !matches!(what, Found::Text(_)) {
            found.push((path.to_vec(), what == Found::Null));
        }
    });
    assert!(walker.is_complete());
    let alone = vec![OTHER, FINISH_REASON];
    let top = vec![FINISH_REASON];
    let known = vec![CHOICES, ITEM, FINISH_REASON];
    let string = [(top.clone(), false), (top, false)];
    let expected = [&[(alone.clone(), true), (alone, false)], &string[..], &[(known, false)]];
    assert_eq!(found, expected.concat());
}

#[test]
fn all_that_lies_below_a_word_can_be_told() {
    const BELOW: Words = WORDS.all_below(USAGE);
    const SKIMMING: Words = BELOW.skimming();
    let text =
        br#"{"x":{"usage":{"a":"b"}},"y":{"z":"w"},"usage":{"a":{"b":[{"c":{"d":"far"}},["x"]],
        "e":"near"},"model":"m"},"f":"g"}"#;
    for words in [&BELOW, &SKIMMING] {
        let (mut walker, mut found) = (Walker::new(), vec![]);
        for piece in text.chunks(1) {
            walker.feed_noting(words, piece, |path, _, what, note| match what {
                Found::Text(_) => *note += 1,
                Found::StringEnd(_) => found.push((path.to_vec(), *note)),
                _ => {}
            });
        }
        assert!(walker.is_complete());
        let far = vec![USAGE, OTHER, OTHER, ITEM, OTHER];
        let item = vec![USAGE, OTHER, OTHER, ITEM, ITEM];
        let expected =
            [(far, 3), (item, 1), (vec![USAGE, OTHER, OTHER], 4), (vec![USAGE, MODEL], 1)];
        // What lies below a word that is not known itself is told too, and nobody asks for it.
        assert_eq!(found[found.len() - 4..], expected);
    }
}

#[test]
fn a_text_is_complete_up_to_white_space() {
    let complete = |text: &[u8]| {
        let mut walker = Walker::new();
        walker.feed(&WORDS, text, |_, _, _| {});
        walker.is_complete()
    };
    assert!(complete(b"{\"a\":1}") && complete(b" [] \r\n"));
    assert!(!complete(b"{\"a\":1") && !complete(b"{} x") && !complete(b"{}{}") && !complete(b""));
}

#[test]
fn a_walker_is_small() {
    assert!(size_of::<Walker>() <= 24, "{}", size_of::<Walker>());
}

#[test]
fn a_text_is_decoded_or_is_none() {
    let decode = |written: &str| {
        let mut whole = Text::<16>::new();
        whole.push(written.as_bytes());
        for pieces in every_cut(written.as_bytes()) {
            let mut text = Text::<16>::new();
            pieces.iter().for_each(|piece| text.push(piece));
            assert_eq!(text.as_str(), whole.as_str(), "{written}");
        }
        whole.as_str().map(str::to_owned)
    };
    for (written, expected) in [
        ("", Some("")),
        (r"meta-llama\/Llama", Some("meta-llama/Llama")),
        (r#"\"\\\b\f\n\r\t"#, Some("\"\\\x08\x0c\n\r\t")),
        (r"\u0041\u00e9\u20ac", Some("Aé€")),
        (r"\ud83d\ude00", Some("😀")),
        (r"\ud83d", None),
        (r"\ud83dx", None),
        (r"\ud83d\n", None),
        (r"\ud83d\u0041", None),
        (r"\ude00", None),
        (r"\x", None),
        (r"\u00g0", None),
        (r"\u00", None),
        ("\\", None),
        ("0123456789abcdef", Some("0123456789abcdef")),
        ("0123456789abcdefg", None),
        ("0123456789abcde\u{e9}", None),
    ] {
        assert_eq!(decode(written).as_deref(), expected, "{written}");
    }
    let mut text = Text::<4>::new();
    text.push(b"\xff");
    assert_eq!(text.as_str(), None);
}

#[test]
fn an_escaped_text_is_read_back() {
    for text in ["", "plain", "\"\\\n\r\t\u{0}\u{1f}\u{7f}é\u{2028}😀"] {
        let mut written = Vec::new();
        escape(text, &mut written);
        assert_eq!(written.len(), escaped_length(text));
        assert!(!written.contains(&b'\n'));
        let quoted = format!("\"{}\"", String::from_utf8(written).unwrap());
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        prop::sample::select(vec!["stop", "model", "\"model\":", "a\\", "{", "}", "é\n", "finish"])
            .prop_map(str::to_owned),
        ".{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<f64>().prop_map(|number| Value::from(number + 0.5)),
        text.prop_map(Value::from),
    ];
    let key = prop_oneof![
        3 => prop::sample::select(vec!["choices", "finish_reason", "model", "stream", "usage"])
            .prop_map(str::to_owned),
        1 => "[a-z\"\\\\{]{0,7}",
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// The same findings, from the parsed value.
fn expected(value: &Value, path: &mut Vec<Word>, out: &mut Vec<(Vec<Word>, Finding)>) {
    if (1..=PATH_MAX).contains(&path.len()) && !path.contains(&OTHER) {
        let finding = match value {
            Value::Null => Finding::Null,
            Value::Bool(value) => Finding::Bool(*value),
            Value::Number(number) => Finding::Number(number.as_u64().map(|number| number as u32)),
            Value::String(text) => {
                let written = value.to_string();
                let word = WORDS.sorted.iter().position(|word| word == text);
                let word = word.map_or(OTHER, |word| word as Word);
                end(&written[1..written.len() - 1], word)
            }
            Value::Array(_) | Value::Object(_) => Finding::Container,
        };
        out.push((path.clone(), finding));
    }
    let mut inner = |step: Word, value: &Value| {
        path.push(step);
        expected(value, path, out);
        path.pop();
    };
    match value {
        Value::Array(items) => items.iter().for_each(|item| inner(ITEM, item)),
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            let word = WORDS.sorted.iter().position(|word| word == key);
            inner(word.map_or(OTHER, |word| word as Word), value);
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_json_is_walked_as_it_is_parsed(value in any_json(), pretty: bool, ends in any_ends()) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        let mut wanted = vec![];
        expected(&value, &mut vec![], &mut wanted);
        prop_assert_eq!(found(&text), wanted);
        let whole = walk(&[text.as_bytes()]);
        prop_assert!(whole.1 || !(value.is_object() || value.is_array()));
        prop_assert_eq!(walk(&cut_at(text.as_bytes(), &ends)), whole);
    }

    #[test]
    fn any_bytes_are_walked_alike_however_they_are_cut(
        bytes in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(br#"{}[]":,\tfnu0123-. "#.to_vec()),
            1 => any::<u8>(),
        ], 0..80),
        ends in any_ends(),
    ) {
        let text = [b"{\"model\":".as_slice(), &bytes].concat();
        prop_assert_eq!(walk(&cut_at(&text, &ends)), walk_any_split(&text));
    }
}
