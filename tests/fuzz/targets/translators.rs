//! Requests and answers of every pair of dialects: no panic, JSON comes out, and no cut changes it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::service::translate::{Memo, Pair, Translator, request};
use sluicegate_fuzz::cut;

fn translated(mut translator: Translator, pieces: &[&[u8]]) -> (Vec<u8>, String) {
    let mut out = Vec::new();
    let fed = pieces.iter().try_for_each(|piece| translator.feed(piece, &mut out));
    let end = fed.and_then(|()| translator.end(&mut out));
    (out, format!("{end:?}"))
}

fuzz_target!(|input: &[u8]| {
    let [pair, kind, input @ ..] = input else { return };
    let pairs: Vec<Pair> = Pair::all().collect();
    let pair = pairs[usize::from(*pair) % pairs.len()];
    let Some((front, back)) = cut(input) else { return };
    let whole = [front, back].concat();
    if kind & 3 == 0 {
        let Ok(request) = request(pair, &whole, (kind & 4 > 0).then_some("other")) else { return };
        serde_json::from_slice::<serde_json::Value>(&request.body).expect("JSON");
        return;
    }
    let memo = Memo { model: "m".into(), include_usage: kind & 4 > 0, ..Memo::default() };
    let translator = || match kind & 3 {
        1 => Translator::of_stream(pair, &memo, 1, "id"),
        2 => Translator::of_document(pair, &memo, 200, 1, "id", 1 << 16),
        _ => Translator::of_document(pair, &memo, 429, 1, "id", 1 << 16).told_as_stream(),
    };
    let once = translated(translator(), &[&whole]);
    let twice = translated(translator(), &[front, back]);
    assert_eq!(once, twice, "{} to {}", pair.asked().name(), pair.served().name());
    if kind & 3 == 2 && once.1 == "Ok(())" {
        serde_json::from_slice::<serde_json::Value>(&once.0).expect("JSON");
    }
});
