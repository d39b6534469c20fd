//! What a plugin behind a socket answers: nothing of it may end a line in a head.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::plugins::{answer_edits, fields};

fuzz_target!(|input: &[u8]| {
    let (line, body) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &b""[..]),
    };
    let Some(edits) = answer_edits(line, body) else { return };
    let Ok(rules) = fields::rules(&edits) else { return };
    for (name, value) in rules.set.iter().chain(&rules.add) {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(token), "{name:?}");
        assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)), "{}", value.escape_ascii());
        for ours in ["content-length", "transfer-encoding", "connection", "host"] {
            assert!(!name.eq_ignore_ascii_case(ours), "{name}");
        }
    }
});
