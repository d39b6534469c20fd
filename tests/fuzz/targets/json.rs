//! The finders in JSON against serde_json.
#![no_main]

use std::fmt;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use sluicegate::http::json::{Walker, Words, elements, members};
use sluicegate_fuzz::cut;

static WORDS: Words = Words::new(&["content", "model", "usage"]);

/// The members of an object in their order, twice the same ones too.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'t> serde::Deserialize<'t> for Members<'t> {
    fn deserialize<D: serde::Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'t> serde::de::Visitor<'t> for Each {
            type Value = Members<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: serde::de::MapAccess<'t>>(
                self,
                mut map: M,
            ) -> Result<Members<'t>, M::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        from.deserialize_map(Each)
    }
}

/// How deeply a text nests, without looking into strings: more than it does, at most.
fn depth(text: &[u8]) -> usize {
    text.iter().filter(|byte| matches!(byte, b'{' | b'[')).count()
}

fuzz_target!(|input: &[u8]| {
    let Some((front, back)) = cut(input) else { return };
    let text = [front, back].concat();
    let mut walker = Walker::new();
    walker.feed(&WORDS, front, |_, _, _| {});
    walker.feed(&WORDS, back, |_, _, _| {});
    let mut once = Walker::new();
    once.feed(&WORDS, &text, |_, _, _| {});
    assert_eq!((walker.is_lost(), walker.is_complete()), (once.is_lost(), once.is_complete()));
    if serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_err() {
        return;
    }
    // What is JSON is no loss, and complete where it ends by itself.
    if depth(&text) < 60 {
        assert!(!once.is_lost(), "{}", text.escape_ascii());
        let closed = text.trim_ascii_end().last().is_some_and(|last| b"}]\"".contains(last));
        assert!(!closed || once.is_complete(), "{}", text.escape_ascii());
    }
    let raw = |value: &RawValue| value.get().as_bytes().to_vec();
    if let Ok(Members(told)) = serde_json::from_slice::<Members<'_>>(&text) {
        let found = members(&text, 0..text.len()).expect("an object");
        assert_eq!(found.len(), told.len());
        for (found, (key, value)) in found.iter().zip(&told) {
            assert_eq!(text[found.value.clone()], raw(value)[..]);
            if !found.key.contains(&b'\\') {
                assert_eq!(found.key, key.as_bytes());
            }
        }
    }
    if let Ok(told) = serde_json::from_slice::<Vec<&RawValue>>(&text) {
        let found = elements(&text, 0..text.len()).expect("an array");
        let found: Vec<_> = found.into_iter().map(|place| text[place].to_vec()).collect();
        assert_eq!(found, told.into_iter().map(raw).collect::<Vec<_>>());
    }
});
