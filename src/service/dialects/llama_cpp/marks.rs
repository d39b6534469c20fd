//! What the events and documents of llama.cpp's `/completion` say.

use crate::http::json::{Found, Word, Words};
use crate::service::dialects::words::{ERROR, EVENTS};
use crate::service::marks::counts::count;
use crate::service::marks::search::Search;
use crate::service::marks::staging::{Said, Staging};

pub(in crate::service) use self::event::ALL as WORDS;
use self::event::*;

mod event {
    use crate::service::dialects::words::EVENTS;

    words! { EVENTS:
        CACHE_N = "cache_n",
        CONTENT = "content",
        INDEX = "index",
        STOP = "stop",
        TIMINGS = "timings",
        TOKENS_EVALUATED = "tokens_evaluated",
        TOKENS_PREDICTED = "tokens_predicted",
    }
}

pub(super) static READ: Words = EVENTS.anywhere(STOP).all_below(ERROR);

pub(super) const SEARCH: Search =
    Search { quoted: b"\"stop\"", goes_on: b"false", letter: b'p', letter_at: 4 };

pub(super) fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
    match path {
        [STOP] if found == Found::False => {
            staging.said.add(Said::BESIDE);
            staging.choice_goes_on();
        }
        // The settings that an end repeats have one too.
        [.., STOP] if found == Found::False => staging.choice_goes_on(),
        [STOP] if found == Found::True => {
            staging.said.add(Said::BESIDE);
            staging.finish();
        }
        [CONTENT] => {
            if found == Found::String {
                staging.begin_text(at);
            }
            staging.text(found);
        }
        // The answers to a list of prompts come mixed. The first is 0, and so is an only one.
        [INDEX] => {
            if let Found::Number(Some(index)) = found
                && (index > 0 || staging.choices.are_several())
            {
                staging.one_of_several(index);
            }
        }
        [TOKENS_EVALUATED] => count(found, &mut staging.counts.prompt),
        [TOKENS_PREDICTED] => count(found, &mut staging.counts.completion),
        [TIMINGS, CACHE_N] => count(found, &mut staging.counts.cached),
        _ => {}
    }
}

pub(super) mod document {
    use crate::http::json::{Found, ITEM, Word};
    use crate::service::marks::counts::Counted;

    pub(in crate::service) use self::words::ALL as WORDS;
    use self::words::*;

    mod words {
        use crate::service::dialects::document_words::DOCUMENTS;

        words! { DOCUMENTS:
            CACHE_N = "cache_n",
            CONTENT = "content",
            TIMINGS = "timings",
            TOKENS_EVALUATED = "tokens_evaluated",
            TOKENS_PREDICTED = "tokens_predicted",
        }
    }

    /// The answer to a list of prompts is a list.
    pub(in crate::service) fn begins(path: &[Word], found: Found<'_>) -> bool {
        found == Found::String && matches!(path, [CONTENT] | [ITEM, CONTENT])
    }

    /// Of a list nothing is counted: the last answer is not all of them.
    pub(in crate::service) fn count(path: &[Word]) -> Option<Counted> {
        match path {
            [TOKENS_EVALUATED] => Some(Counted::Prompt),
            [TOKENS_PREDICTED] => Some(Counted::Completion),
            [TIMINGS, CACHE_N] => Some(Counted::Cached),
            _ => None,
        }
    }
}
