//! Patterns: texts in which a star stands for any bytes.

use std::fmt;

/// A text in which each `*` stands for any bytes, or none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    pub fn new(text: impl Into<String>) -> Pattern {
        Pattern(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for more than one text.
    pub fn has_star(&self) -> bool {
        self.0.contains('*')
    }

    /// How many bytes of a text it tells.
    pub fn says(&self) -> usize {
        self.0.bytes().filter(|byte| *byte != b'*').count()
    }

    /// Takes time in proportion to the length of `text`, times that of the pattern at the worst.
    pub fn matches(&self, text: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let (mut at, mut place) = (0, 0);
        // Behind the last star: where it stands, and from where in the text it was tried.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match pattern.get(place) {
                Some(b'*') => {
                    star = Some((place, at));
                    place += 1;
                }
                Some(byte) if *byte == text[at] => {
                    at += 1;
                    place += 1;
                }
                _ => match &mut star {
                    // The star takes one byte more.
                    Some((behind, from)) => {
                        *from += 1;
                        (at, place) = (*from, *behind + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[place..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_bytes_or_none() {
        for (pattern, text, expected) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o", "gpt-4", false),
            ("gpt-4*", "gpt-4", true),
            ("gpt-4*", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "mini-mini", true),
            ("*-mini", "mini", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("**", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("*aab", "aaaab", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    /// Against a matcher that tries everything.
    #[test]
    fn every_short_text_matches_as_it_would_by_trying_everything() {
        fn slow(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern, text) {
                ([], []) => true,
                ([b'*', rest @ ..], _) => {
                    (0..=text.len()).any(|skipped| slow(rest, &text[skipped..]))
                }
                ([first, rest @ ..], [byte, behind @ ..]) => first == byte && slow(rest, behind),
                _ => false,
            }
        }
        let words = |letters: &[u8], most: u32| -> Vec<String> {
            let count = letters.len();
            (0..=most)
                .flat_map(|length| (0..count.pow(length)).map(move |number| (length, number)))
                .map(|(length, number)| {
                    (0..length).map(|at| letters[number / count.pow(at) % count] as char).collect()
                })
                .collect()
        };
        for pattern in words(b"ab*", 5) {
            for text in words(b"ab", 5) {
                let expected = slow(pattern.as_bytes(), text.as_bytes());
                assert_eq!(
                    Pattern::new(&*pattern).matches(text.as_bytes()),
                    expected,
                    "{pattern} {text}"
                );
            }
        }
    }
}
