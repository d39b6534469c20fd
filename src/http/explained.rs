//! Errors explained: the page `docs/errors.md`, which the program carries.
//!
//! Each code has a section there, with its cause, its cure and a hint. The hint stands in the error body
//! beside the code; `sluicegate explain` prints the section. So the words stand in one place.
//!
//! * A hint has no link and no character that JSON escapes: a test reads them all.

use std::collections::BTreeMap;
use std::sync::LazyLock;

const PAGE: &str = include_str!("../../docs/errors.md");

static SECTIONS: LazyLock<BTreeMap<&'static str, &'static str>> =
    LazyLock::new(|| sections(PAGE).collect());

static HINTS: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    let hint = |(code, section): (&'static str, &'static str)| {
        let line = section.lines().find_map(|line| line.strip_prefix("**Hint.** "))?;
        Some((code, line.trim()))
    };
    sections(PAGE).filter_map(hint).collect()
});

/// Each code, and what stands under it.
fn sections(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n## `").skip(1).filter_map(|section| {
        let (code, text) = section.split_once("`\n")?;
        // Up to the next part of the page.
        Some((code, text.split("\n# ").next().unwrap_or(text).trim()))
    })
}

/// What whoever gets an error with this code can do; empty where nobody knows the code.
pub fn hint(code: &str) -> &'static str {
    HINTS.get(code).copied().unwrap_or_default()
}

/// The hint as a member of an error's object, to be put behind the value of its code: what stands between
/// the two, and the hint.
pub fn member(code: &str) -> [&'static str; 2] {
    match hint(code) {
        "" => ["", ""],
        hint => [r#"","hint":""#, hint],
    }
}

/// Cause and cure of an error with this code.
pub fn explanation(code: &str) -> Option<&'static str> {
    SECTIONS.get(code).copied()
}

/// Every code that is explained, sorted.
pub fn codes() -> impl Iterator<Item = &'static str> {
    SECTIONS.keys().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_cause_cure_and_a_plain_hint() {
        assert!(codes().count() > 90, "the page was found");
        assert_eq!(sections(PAGE).count(), codes().count(), "a code has one section");
        for code in codes() {
            let section = explanation(code).expect("it is there");
            for part in ["**Cause.** ", "**Cure.** ", "**Hint.** "] {
                assert_eq!(section.matches(part).count(), 1, "{code}: {part}");
            }
            let hint = hint(code);
            assert!((3..=120).contains(&hint.len()), "{code}: {hint}");
            let plain = |byte: u8| matches!(byte, b' '..=b'~') && !b"\"\\<>`[".contains(&byte);
            assert!(hint.bytes().all(plain), "{code}: {hint}");
            assert!(!hint.contains("://x") && !hint.contains("www"), "{code}: no link");
        }
        assert_eq!((hint("nonsense"), explanation("nonsense")), ("", None));
    }
}
