//! What the events and documents of SGLang's `/generate` say.

use crate::http::json::{Found, Word, Words};
use crate::service::dialects::words::{ERROR, EVENTS, TYPE};
use crate::service::marks::counts::count;
use crate::service::marks::search::Search;
use crate::service::marks::staging::{Said, Staging};

pub(in crate::service) use self::event::ALL as WORDS;
use self::event::*;

mod event {
    use crate::service::dialects::words::EVENTS;

    words! { EVENTS:
        ABORT = "abort",
        CACHED_TOKENS = "cached_tokens",
        COMPLETION_TOKENS = "completion_tokens",
        FINISH_REASON = "finish_reason",
        INDEX = "index",
        META_INFO = "meta_info",
        OUTPUT_IDS = "output_ids",
        PROMPT_TOKENS = "prompt_tokens",
        REASONING_TOKENS = "reasoning_tokens",
        STATUS_CODE = "status_code",
        TEXT = "text",
    }
}

pub(super) static READ: Words = EVENTS.anywhere(FINISH_REASON).all_below(ERROR);

pub(super) const SEARCH: Search =
    Search { quoted: b"\"finish_reason\"", goes_on: b"null", letter: b'f', letter_at: 1 };

pub(super) fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
    match path {
        [.., FINISH_REASON] if found == Found::Null => staging.choice_goes_on(),
        [META_INFO] if found == Found::Container => staging.said.add(Said::COMPANION),
        [META_INFO, FINISH_REASON] if found == Found::Container => staging.finish(),
        // Older versions wrote the word alone.
        [META_INFO, FINISH_REASON] if staging.reason(found).is_some() => staging.finish(),
        // The server gave up: there is a reason in words, and a status.
        [META_INFO, FINISH_REASON, TYPE] if found == Found::StringEnd(ABORT) => {
            staging.said.add(Said::ERROR);
        }
        [META_INFO, FINISH_REASON, STATUS_CODE] => staging.code(found),
        [TEXT] => {
            if found == Found::String {
                staging.begin_text(at);
            }
            staging.text(found);
        }
        // Where tokens are asked for, and no text.
        [OUTPUT_IDS, ..] if matches!(found, Found::Number(_)) => staging.said.add(Said::ANSWER),
        // The answers to a list of prompts come mixed, each with its number, which stands last. TGI
        // has such a member too.
        [INDEX] => {
            if let Found::Number(Some(index)) = found
                && staging.said.has(Said::COMPANION)
            {
                staging.one_of_several(index);
            }
        }
        [META_INFO, PROMPT_TOKENS] => count(found, &mut staging.counts.prompt),
        [META_INFO, COMPLETION_TOKENS] => count(found, &mut staging.counts.completion),
        [META_INFO, CACHED_TOKENS] => count(found, &mut staging.counts.cached),
        [META_INFO, REASONING_TOKENS] => count(found, &mut staging.counts.apart),
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
            ABORT = "abort",
            CACHED_TOKENS = "cached_tokens",
            COMPLETION_TOKENS = "completion_tokens",
            FINISH_REASON = "finish_reason",
            META_INFO = "meta_info",
            PROMPT_TOKENS = "prompt_tokens",
            REASONING_TOKENS = "reasoning_tokens",
            TYPE = "type",
        }
    }

    pub(in crate::service) fn fails(path: &[Word], found: Found<'_>) -> bool {
        let aborts = found == Found::StringEnd(ABORT);
        aborts && path == [META_INFO, FINISH_REASON, TYPE]
    }

    /// `text` comes first, and is many a server's; the answer to a list of prompts is a list.
    pub(in crate::service) fn begins(path: &[Word], found: Found<'_>) -> bool {
        found == Found::Container && matches!(path, [META_INFO] | [ITEM, META_INFO])
    }

    pub(in crate::service) fn count(path: &[Word]) -> Option<Counted> {
        match path {
            [META_INFO, PROMPT_TOKENS] => Some(Counted::Prompt),
            [META_INFO, COMPLETION_TOKENS] => Some(Counted::Completion),
            [META_INFO, CACHED_TOKENS] => Some(Counted::Cached),
            [META_INFO, REASONING_TOKENS] => Some(Counted::Apart),
            _ => None,
        }
    }
}
