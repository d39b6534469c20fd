//! What the lines and documents of Ollama say.

use crate::http::json::{Found, ITEM, Word, Words};
use crate::service::dialects::words::{ERROR, EVENTS, MESSAGE, RESPONSE};
use crate::service::marks::counts::count;
use crate::service::marks::search::Search;
use crate::service::marks::staging::{Said, Staging};

pub(in crate::service) use self::event::ALL as WORDS;
use self::event::*;

mod event {
    use crate::service::dialects::words::EVENTS;

    words! { EVENTS:
        CONTENT = "content",
        DONE = "done",
        EVAL_COUNT = "eval_count",
        IMAGES = "images",
        PROMPT_EVAL_COUNT = "prompt_eval_count",
        THINKING = "thinking",
        TOOL_CALLS = "tool_calls",
    }
}

pub(super) static READ: Words = EVENTS.anywhere(DONE).all_below(ERROR);

pub(super) const SEARCH: Search =
    Search { quoted: b"\"done\"", goes_on: b"false", letter: b'd', letter_at: 1 };

pub(super) fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
    match path {
        [.., DONE] if found == Found::False => {
            if path.len() == 1 {
                staging.said.add(Said::BESIDE);
            }
            staging.choice_goes_on();
        }
        [DONE] if found == Found::True => {
            staging.said.add(Said::BESIDE);
            staging.said.add(Said::END);
        }
        [MESSAGE] if found == Found::Container => staging.begin(at),
        [RESPONSE] if found == Found::String => staging.begin_text(at),
        [RESPONSE | THINKING] | [MESSAGE, CONTENT | THINKING] => staging.text(found),
        [MESSAGE, TOOL_CALLS | IMAGES, ITEM] => staging.said.add(Said::ANSWER),
        [PROMPT_EVAL_COUNT] => count(found, &mut staging.counts.prompt),
        [EVAL_COUNT] => count(found, &mut staging.counts.completion),
        _ => {}
    }
}

pub(super) mod document {
    use crate::http::json::{Found, Word};
    use crate::service::marks::counts::Counted;

    pub(in crate::service) use self::words::ALL as WORDS;
    use self::words::*;

    mod words {
        use crate::service::dialects::document_words::DOCUMENTS;

        words! { DOCUMENTS:
            EVAL_COUNT = "eval_count",
            MESSAGE = "message",
            PROMPT_EVAL_COUNT = "prompt_eval_count",
            RESPONSE = "response",
        }
    }

    pub(in crate::service) fn begins(path: &[Word], found: Found<'_>) -> bool {
        match found {
            Found::Container => path == [MESSAGE],
            Found::String => path == [RESPONSE],
            _ => false,
        }
    }

    /// Its embeddings have the one, too.
    pub(in crate::service) fn count(path: &[Word]) -> Option<Counted> {
        match path {
            [PROMPT_EVAL_COUNT] => Some(Counted::Prompt),
            [EVAL_COUNT] => Some(Counted::Completion),
            _ => None,
        }
    }
}
