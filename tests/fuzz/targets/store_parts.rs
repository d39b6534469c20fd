//! A configuration in parts, as a store has them: one text, each of whose lines is from one of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::config::parts::ConfigText;

/// Parts end here, and so do their names.
const END: u8 = 0;

fuzz_target!(|input: &[u8]| {
    let mut pieces = input.split(|byte| *byte == END);
    let mut parts = Vec::new();
    while let (Some(name), Some(text)) = (pieces.next(), pieces.next()) {
        let Ok(name) = std::str::from_utf8(name) else { return };
        parts.push((name, text));
    }
    match ConfigText::of_parts("etcd://host/p", parts.iter().copied()) {
        Ok(text) => {
            let lines = parts.iter().map(|(_, text)| text.split(|byte| *byte == b'\n').count() + 1);
            assert!(text.text().lines().count() <= lines.sum(), "lines are from the parts");
        }
        Err(reasons) => assert!(!reasons.is_empty() && reasons.iter().all(|it| !it.is_empty())),
    }
});
