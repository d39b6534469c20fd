//! What a route asks of a request beside its path and method.

use std::fmt;

/// `when = { … }` of a route: each list that is given has to hold, and of a list one entry. One at least
/// is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct When {
    /// Hosts, in lower case and without a port.
    pub hosts: Vec<Pattern>,
    /// Fields by their names in lower case; all of them have to hold.
    pub headers: Vec<(String, Pattern)>,
    /// Parameters of the query; all of them have to hold.
    pub query: Vec<(String, Pattern)>,
    /// Members of a JSON body, each by the names on the way to it; all of them have to hold.
    pub fields: Vec<(Vec<String>, Pattern)>,
    /// Models, as the body names them. Only a request with a body can be for such a route.
    pub models: Vec<Pattern>,
    /// `None`: all of them.
    pub share: Option<Share>,
}

/// `when.share`: a part of the requests, for a canary.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// Of 10,000 requests, so many.
    pub of_ten_thousand: u16,
    pub by: ShareBy,
    /// Where its route leads: the first upstream, and the model if it gives one. Routes that lead
    /// elsewhere draw apart, and a share that grows keeps whom it had.
    pub towards: String,
}

impl Share {
    pub const WHOLE: u16 = 10_000;
}

/// What makes two requests fall into the same part. A request that does not have it is drawn for itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShareBy {
    /// Nothing: each is drawn for itself.
    Request,
    /// The key of the API that its client came with.
    Key,
    /// The value of this field, by its lower-case name.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
}

impl When {
    /// Whether the body decides.
    pub fn asks_body(&self) -> bool {
        !self.models.is_empty() || !self.fields.is_empty()
    }

    /// Whether the route takes a request for this model.
    pub fn takes_model(&self, model: &str) -> bool {
        self.models.is_empty()
            || self.models.iter().any(|pattern| pattern.matches(model.as_bytes()))
    }
}

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
