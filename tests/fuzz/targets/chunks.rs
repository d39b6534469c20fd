//! The chunk scanner against a grammar of another make, however the body is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::http::chunk::{ChunkError, ChunkScanner};
use sluicegate_fuzz::cut;
use sluicegate_fuzz::grammar::{Reading, read};

/// Limits and forbidden trailers are no grammar.
fn beyond_the_grammar(error: ChunkError) -> bool {
    matches!(
        error.code(),
        "chunk_size_too_long"
            | "chunk_extension_too_long"
            | "trailers_too_long"
            | "trailer_forbidden"
    )
}

fuzz_target!(|input: &[u8]| {
    let Some((front, back)) = cut(input) else { return };
    let whole = [front, back].concat();
    let mut data = 0;
    let mut scanner = ChunkScanner::of_response();
    let once = scanner.scan(&whole, |part| data += part.len());
    match (read(&whole), once) {
        (Reading::Whole(end, payload), Ok(taken)) => {
            assert!(scanner.is_done());
            assert_eq!((taken, data), (end, payload));
        }
        (Reading::Part, Ok(taken)) => {
            assert!(!scanner.is_done());
            assert_eq!(taken, whole.len());
        }
        (Reading::None, Err(_)) => {}
        (_, Err(error)) if beyond_the_grammar(error) => {}
        // A wrong byte may come behind the size of data that is not all there.
        (reading, once) => panic!("{reading:?}, {once:?}: {}", whole.escape_ascii()),
    }
    let mut halves = ChunkScanner::of_response();
    let mut parts = 0;
    let first = halves.scan(front, |part| parts += part.len());
    let twice = match first {
        Ok(taken) if taken == front.len() => {
            halves.scan(back, |part| parts += part.len()).map(|more| taken + more)
        }
        other => other,
    };
    assert_eq!(twice, once, "{} | {}", front.escape_ascii(), back.escape_ascii());
    assert_eq!((halves.is_done(), parts), (scanner.is_done(), data));
});
