use proptest::prelude::*;

use crate::http::tests::{any_ends, cut_at, every_cut};
use crate::service::request::{MODEL_BYTES_MAX, RequestScan};

type Seen = (Option<String>, Option<bool>, bool, Option<usize>, bool, Option<u64>);

fn look(pieces: &[&[u8]], limit: usize, prefix: usize) -> RequestScan {
    let mut look = RequestScan::new(limit, prefix);
    pieces.iter().for_each(|piece| look.feed(piece));
    look.end();
    look
}

fn seen(look: &RequestScan) -> Seen {
    (
        look.model().map(str::to_owned),
        look.stream(),
        look.include_usage(),
        look.prompt_at(),
        look.is_ambiguous(),
        look.prompt_hash(),
    )
}

fn look_any_split(body: &str) -> RequestScan {
    let whole = look(&[body.as_bytes()], 1 << 20, 12);
    for pieces in every_cut(body.as_bytes()) {
        let cut = look(&pieces, 1 << 20, 12);
        assert_eq!((seen(&cut), cut.choices()), (seen(&whole), whole.choices()), "{body}");
    }
    if let Some(range) = whole.model_range() {
        assert_eq!(&body[range.start - 1..range.start], "\"");
        assert_eq!(&body[range.end..=range.end], "\"");
    }
    whole
}

#[test]
fn the_outermost_members_are_found() {
    let body = r#"{"messages":[{"role":"user","content":"\"model\":\"evil\",\"stream\":false",
        "model":"evil"}],"metadata":{"model":"evil","stream":false},
        "model" : "org\/name:tag", "stream":true,"stream_options":{"include_usage":true}}"#;
    let look = look_any_split(body);
    assert_eq!(look.model(), Some("org/name:tag"));
    assert_eq!(&body[look.model_range().unwrap()], r"org\/name:tag");
    assert_eq!((look.stream(), look.include_usage()), (Some(true), true));
    assert_eq!(look.prompt_at(), Some(r#"{"messages":"#.len()));
    assert!(!look.is_ambiguous());
}

#[test]
fn the_choices_asked_for_are_counted() {
    for (body, expected) in [
        (r#"{"model":"m"}"#, Some(1)),
        (r#"{"n":null}"#, Some(1)),
        (r#"{"n":0}"#, Some(1)),
        (r#"{"n":1,"messages":[{"n":5}]}"#, Some(1)),
        (r#"{"n" : 4 , "messages":[]}"#, Some(4)),
        (r#"{"messages":[{"content":"\"n\":7"}],"n":2}"#, Some(2)),
        (r#"{"prompt":"one","n":3}"#, Some(3)),
        (r#"{"prompt":["one"],"n":3}"#, Some(3)),
        (r#"{"prompt":["one","two","[3]"]}"#, Some(3)),
        (r#"{"n":2,"prompt":["one","two","three"]}"#, Some(6)),
        (r#"{"prompt":[1,2,3]}"#, Some(1)),
        (r#"{"prompt":[[1,2],[3]],"n":2}"#, Some(4)),
        (r#"{"prompt":[]}"#, Some(1)),
        (r#"{"n":4294967295,"prompt":["a","b"]}"#, Some(u32::MAX)),
        // No number, two readings, not all of it, nothing to read.
        (r#"{"n":"2"}"#, None),
        (r#"{"n":2.0}"#, None),
        (r#"{"n":-1}"#, None),
        (r#"{"n":true}"#, None),
        (r#"{"n":[2]}"#, None),
        (r#"{"n":1,"n":2}"#, None),
        (r#"{"n":2"#, None),
        ("", None),
    ] {
        assert_eq!(look_any_split(body).choices(), expected, "{body}");
    }
    let cut_off = look(&[br#"{"prompt":"long","n":2}"#], 12, 0);
    assert_eq!(cut_off.choices(), None);
}

#[test]
fn what_is_not_there_is_unknown() {
    for body in [
        "",
        "{}",
        "[]",
        "no json at all",
        r#"[{"model":"m","stream":true}]"#,
        r#"{"model":null,"stream":"yes","prompt":null}"#,
        r#"{"model":7,"stream":1,"prompt":7}"#,
        r#"{"model":"cut of"#,
        "{\"model\":\"\u{fffd}",
    ] {
        let look = look_any_split(body);
        assert_eq!(seen(&look), (None, None, false, None, false, None), "{body}");
    }
    let long = format!(r#"{{"model":"{}","stream":true}}"#, "m".repeat(MODEL_BYTES_MAX + 1));
    let look = look_any_split(&long);
    assert_eq!((look.model(), look.stream()), (None, Some(true)));
}

#[test]
fn a_member_that_comes_twice_is_told() {
    for (body, ambiguous) in [
        (r#"{"model":"a","model":"b"}"#, true),
        (r#"{"stream":true,"stream":true}"#, true),
        (r#"{"model":null,"model":"b"}"#, true),
        (r#"{"model":"a","model":["b"]}"#, true),
        (r#"{"stream":"no","stream":true}"#, true),
        (r#"{"model":"a","x":{"model":"b"},"stream":true}"#, false),
    ] {
        assert_eq!(look_any_split(body).is_ambiguous(), ambiguous, "{body}");
    }
}

#[test]
fn no_more_is_read_than_the_limit() {
    let body = r#"{"model":"m","stream":true}"#;
    for limit in 0..=body.len() {
        let look = look(&[body.as_bytes()], limit, 0);
        assert!(look.is_settled());
        assert_eq!(look.model(), (limit >= 12).then_some("m"), "{limit}");
        assert_eq!(look.stream(), (limit >= 26).then_some(true), "{limit}");
    }
}

#[test]
fn a_look_settles_when_it_can() {
    let mut look = RequestScan::new(1 << 20, 8);
    look.feed(br#"{"model":"m","prompt":"abcde"#);
    assert!(!look.is_settled() && look.prompt_hash().is_none());
    look.feed(b"fgh");
    assert!(look.prompt_hash().is_some() && !look.is_settled());
    look.feed(br#""}"#);
    assert!(look.is_settled());
}

#[test]
fn prompts_that_begin_alike_have_one_hash() {
    let hash = |body: &str, prefix| look(&[body.as_bytes()], 1 << 20, prefix).prompt_hash();
    let (one, other) = (
        r#"{"prompt":"The same beginning, one end"}"#,
        r#"{"n":1,"prompt":"The same beginning, 2"}"#,
    );
    assert!(hash(one, 18).is_some());
    assert_eq!(hash(one, 18), hash(other, 18));
    assert_ne!(hash(one, 40), hash(other, 40));
    assert_ne!(hash(one, 18), hash(one, 17));
    // It spreads: the low bits of the hashes of a hundred prompts are all over the place.
    let buckets: std::collections::BTreeSet<u64> = (0..100)
        .filter_map(|n| hash(&format!(r#"{{"prompt":"{n}"}}"#), 64))
        .map(|hash| hash % 64)
        .collect();
    assert!(buckets.len() > 40, "{}", buckets.len());
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    #[test]
    fn any_bytes_are_looked_at_alike(
        body in prop::collection::vec(any::<u8>(), 0..60),
        start in prop::sample::select(vec!["", "{\"model\":", "{\"prompt\":[\"", "{\"stream\":true,"]),
        ends in any_ends(),
        limit in 0..80_usize,
        prefix in 0..20_usize,
    ) {
        let body = [start.as_bytes(), &body].concat();
        let whole = look(&[&body], limit, prefix);
        prop_assert_eq!(seen(&look(&cut_at(&body, &ends), limit, prefix)), seen(&whole));
        if let Some(range) = whole.model_range() {
            prop_assert!(range.end <= limit && range.end < body.len());
        }
    }
}
