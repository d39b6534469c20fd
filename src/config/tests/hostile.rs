//! No text makes the configuration panic, and none is accepted that does not survive being shown.

use proptest::prelude::*;

use super::super::show::effective;
use super::*;

/// Pieces that parsers stumble over, and pieces of the real thing in the wrong place.
const PIECES: [&str; 45] = [
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\n",
    "\r\n",
    "\0",
    "é",
    "\u{feff}",
    "\\",
    "*",
    "%",
    "/../",
    "-1",
    "0",
    "18446744073709551616",
    "0x10",
    "1e9",
    "nan",
    "true",
    "2020-01-01",
    "\"off\"",
    "\"0s\"",
    "\"1h\"",
    "[server]",
    "[[route]]",
    "[[upstream]]",
    "pool.x = 1",
    "llama.internal:1",
    "\"[::1]:0\"",
    "timeouts = { ttft = \"1s\" }",
    "{ hash = { cookie = \"session\" } }",
    "health = { status = 200 }",
    "[\"llama\"]",
    "larger = \"llama\"",
    "fallback = { text = \"\\u0000\\u007f\" }",
];

#[derive(Clone, Debug)]
enum Mutation {
    Delete { at: usize, length: usize },
    Insert { at: usize, piece: &'static str },
    Copy { from: usize, length: usize, to: usize },
    Replace { at: usize, length: usize, piece: &'static str },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = 0..SAMPLE.len();
    let piece = prop::sample::select(&PIECES[..]);
    let length = prop_oneof![1..4_usize, 1..80_usize];
    prop_oneof![
        (at.clone(), length.clone()).prop_map(|(at, length)| Mutation::Delete { at, length }),
        (at.clone(), piece.clone()).prop_map(|(at, piece)| Mutation::Insert { at, piece }),
        (at.clone(), length.clone(), at.clone()).prop_map(|(from, length, to)| Mutation::Copy {
            from,
            length,
            to
        }),
        (at, length, piece).prop_map(|(at, length, piece)| Mutation::Replace { at, length, piece }),
    ]
}

impl Mutation {
    fn apply(&self, text: &mut Vec<char>) {
        let range = |at: usize, length: usize, text: &[char]| {
            at.min(text.len())..at.saturating_add(length).min(text.len())
        };
        match *self {
            Mutation::Delete { at, length } => drop(text.drain(range(at, length, text))),
            Mutation::Insert { at, piece } => drop(text.splice(range(at, 0, text), piece.chars())),
            Mutation::Replace { at, length, piece } => {
                drop(text.splice(range(at, length, text), piece.chars()))
            }
            Mutation::Copy { from, length, to } => {
                let copied = text[range(from, length, text)].to_vec();
                drop(text.splice(range(to, 0, text), copied));
            }
        }
    }
}

/// Whatever a text is, the answer to it makes sense.
fn answered(text: &str) {
    match parse(text) {
        Ok(first) => {
            let shown = effective(&first.snapshot);
            assert_eq!(content(&first), content(&accepted(&shown)), "{text}\n{shown}");
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            let lines = 1 + text.matches('\n').count();
            for problem in problems {
                assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem}");
                assert!(!problem.reason.is_empty(), "{problem:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::properties::cases(5_000))]

    #[test]
    fn a_mutated_file_is_answered(mutations in prop::collection::vec(mutation(), 1..6)) {
        let mut text: Vec<char> = SAMPLE.chars().collect();
        for mutation in mutations {
            mutation.apply(&mut text);
        }
        answered(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_value_for_any_key_is_answered(
        key in 0..SAMPLE.matches(" = ").count(),
        value in prop_oneof![
            prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
            "\"[a-z0-9/:.*%\\[\\]]{0,12}\"",
            "-?[0-9]{1,20}",
            "\\[(\"[A-Za-z0-9/:.*]{0,8}\",?)*\\]",
        ],
    ) {
        let mut nth = 0;
        let lines = SAMPLE.lines().map(|line| match line.split_once('=') {
            Some((left, _)) if { nth += 1; nth - 1 == key } => format!("{left}= {value}\n"),
            _ => format!("{line}\n"),
        });
        answered(&lines.collect::<String>());
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,60}") {
        answered(&text);
    }
}

#[test]
fn depth_is_bounded() {
    const DEPTH: usize = 200_000;
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        refused(&format!("a = {}{}", open.repeat(DEPTH), close.repeat(DEPTH)));
        refused(&format!("a = {}", open.repeat(DEPTH)));
    }
    refused(&format!("a{} = 1", ".a".repeat(DEPTH)));
    refused(&format!("[a{}]", ".a".repeat(DEPTH)));
}

#[test]
fn every_truncation_is_answered() {
    for end in 0..SAMPLE.len() {
        answered(&SAMPLE[..end]);
    }
}
