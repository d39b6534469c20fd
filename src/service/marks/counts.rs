//! Tokens, as servers count them.

use crate::http::json::Found;

/// Tokens counted by the server, where it has told. Each is the last count seen of its kind that is
/// not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All of the prompt, what came from a cache included.
    pub prompt: Option<u32>,
    pub completion: Option<u32>,
    /// What of the prompt came from a cache.
    pub cached: Option<u32>,
    /// What of the completion was reasoning.
    pub reasoning: Option<u32>,
}

/// Which of the counts of an answer a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) enum Counted {
    Prompt,
    /// See [`Counts::apart`].
    Apart,
    Completion,
    Cached,
    /// All there is where nothing is generated: it is the prompt's where no other number is.
    Total,
    /// A number that elsewhere would be one of them.
    Ignored,
}

/// Counts of tokens.
#[derive(Clone, Copy, Debug)]
pub(in crate::service) struct Counts {
    pub prompt: Count,
    /// What is counted apart: by Anthropic what of the prompt was written into a cache, by all others
    /// what of the answer was reasoning.
    pub apart: Count,
    pub completion: Count,
    pub cached: Count,
}

impl Counts {
    pub const UNKNOWN: Counts = Counts {
        prompt: Count::NONE,
        apart: Count::NONE,
        completion: Count::NONE,
        cached: Count::NONE,
    };

    /// Later counts take the place of earlier ones, but for a zero: servers write it where they do not
    /// count.
    pub fn update(&mut self, later: Counts) {
        let last = |before: &mut Count, later: Count| {
            if later.known().is_some_and(|later| later != 0 || *before == Count::NONE) {
                *before = later;
            }
        };
        last(&mut self.prompt, later.prompt);
        last(&mut self.apart, later.apart);
        last(&mut self.completion, later.completion);
        last(&mut self.cached, later.cached);
    }

    /// What it cost, where nothing has to be added up.
    pub fn usage(&self) -> Usage {
        Usage {
            prompt: self.prompt.known(),
            completion: self.completion.known(),
            cached: self.cached.known(),
            reasoning: self.apart.known(),
        }
    }
}

/// A count, or none, in three bytes: no answer has sixteen million tokens, and the record it belongs
/// to is full to the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) struct Count([u8; 3]);

impl Count {
    pub const NONE: Count = Count([u8::MAX; 3]);
    const MAX: u32 = (1 << 24) - 2;

    pub fn of(number: u32) -> Count {
        let [first, second, third, _] = number.min(Count::MAX).to_le_bytes();
        Count([first, second, third])
    }

    pub fn known(self) -> Option<u32> {
        let [first, second, third] = self.0;
        (self != Count::NONE).then_some(u32::from_le_bytes([first, second, third, 0]))
    }
}

/// A count, where a number stands.
pub(in crate::service) fn count(found: Found<'_>, count: &mut Count) {
    if let Found::Number(Some(number)) = found {
        *count = Count::of(number);
    }
}
