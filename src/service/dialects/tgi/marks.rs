//! What the events and documents of TGI say.

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
        DETAILS = "details",
        ERROR_TYPE = "error_type",
        FINISH_REASON = "finish_reason",
        GENERATED_TEXT = "generated_text",
        GENERATED_TOKENS = "generated_tokens",
        INPUT_LENGTH = "input_length",
        TEXT = "text",
        TOKEN = "token",
    }
}

pub(super) static READ: Words = EVENTS.anywhere(GENERATED_TEXT).all_below(ERROR);

pub(super) const SEARCH: Search =
    Search { quoted: b"\"generated_text\"", goes_on: b"null", letter: b'x', letter_at: 13 };

pub(super) fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
    match path {
        [.., GENERATED_TEXT] if found == Found::Null => {
            if path.len() == 1 {
                staging.said.add(Said::BESIDE);
            }
            staging.choice_goes_on();
        }
        [GENERATED_TEXT] => {
            staging.said.add(Said::BESIDE);
            match found {
                Found::String => staging.said.add(Said::EMPTY),
                Found::Text(_) => {
                    staging.said.remove(Said::EMPTY);
                    staging.said.add(Said::END);
                }
                _ => {}
            }
        }
        [TOKEN] if found == Found::Container => staging.begin(at),
        [TOKEN, TEXT] => staging.text(found),
        [DETAILS, FINISH_REASON] => staging.ends(found),
        [DETAILS, INPUT_LENGTH] => count(found, &mut staging.counts.prompt),
        [DETAILS, GENERATED_TOKENS] => count(found, &mut staging.counts.completion),
        [ERROR_TYPE] => {
            staging.said.add(Said::COMPANION);
            staging.code(found);
        }
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
            DETAILS = "details",
            GENERATED_TEXT = "generated_text",
            GENERATED_TOKENS = "generated_tokens",
            INPUT_LENGTH = "input_length",
        }
    }

    /// The answer may be a list of one.
    pub(in crate::service) fn begins(path: &[Word], found: Found<'_>) -> bool {
        found == Found::String && matches!(path, [GENERATED_TEXT] | [ITEM, GENERATED_TEXT])
    }

    pub(in crate::service) fn count(path: &[Word]) -> Option<Counted> {
        match path {
            [DETAILS, INPUT_LENGTH] | [ITEM, DETAILS, INPUT_LENGTH] => Some(Counted::Prompt),
            [DETAILS, GENERATED_TOKENS] | [ITEM, DETAILS, GENERATED_TOKENS] => {
                Some(Counted::Completion)
            }
            _ => None,
        }
    }
}
