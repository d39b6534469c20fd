//! Answers of name servers: nobody's question but ours is answered by them, and they say no more than
//! stands in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::dns::told_by;

const ID: u16 = 7;
const NAME: &str = "a.example";
/// Of a header: our id; a response, as the resolver asked for it.
const HEAD: [u8; 4] = [0, 7, 0x81, 0x80];
/// The name, and behind it a kind and the class of the internet.
const QUESTION: &[u8] = b"\x01a\x07example\x00\x00";

fuzz_target!(|input: &[u8]| {
    let [kind, answers, rest @ ..] = input else { return };
    let bytes = match kind % 4 {
        0 => rest.to_vec(),
        number => {
            // What most bytes never come to by themselves: a header and a question that are ours.
            let kind = [1, 28, 33][usize::from(number) - 1];
            let counts = [0, 1, 0, answers % 16, 0, 0, 0, 0];
            [&HEAD[..], &counts, QUESTION, &[kind, 0, 1], rest].concat()
        }
    };
    for told in told_by(&bytes, ID, NAME) {
        assert!(!told.is_empty() && told.len() < 4 * 256, "{told:?}");
    }
    assert!(told_by(&bytes, ID, NAME).len() <= bytes.len(), "a record takes more than a byte");
    let other = told_by(&bytes, ID + 1, NAME);
    assert!(other.is_empty() || bytes[..2] != HEAD[..2], "another question's: {other:?}");
});
