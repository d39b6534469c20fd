//! What the events and documents of Anthropic's messages say.

use super::Dispatched;
use crate::http::json::{Found, Word, Words};
use crate::service::dialects::words::{ERROR, ERROR_LINE, EVENTS, MESSAGE, TYPE, UNNAMED};
use crate::service::marks::counts::count;
use crate::service::marks::staging::{Said, Staging};

pub(in crate::service) use self::event::ALL as WORDS;
use self::event::*;

mod event {
    use crate::service::dialects::words::EVENTS;

    words! { EVENTS:
        CACHE_CREATION = "cache_creation_input_tokens",
        CACHE_READ = "cache_read_input_tokens",
        CONTENT_BLOCK = "content_block",
        CONTENT_BLOCK_DELTA = "content_block_delta",
        CONTENT_BLOCK_START = "content_block_start",
        CONTENT_BLOCK_STOP = "content_block_stop",
        DELTA = "delta",
        INPUT_TOKENS = "input_tokens",
        MESSAGE_DELTA = "message_delta",
        MESSAGE_START = "message_start",
        MESSAGE_STOP = "message_stop",
        OUTPUT_TOKENS = "output_tokens",
        STOP_REASON = "stop_reason",
        TEXT = "text",
        THINKING = "thinking",
        USAGE = "usage",
    }
}

pub(super) const NAMES: &[&str] = &[
    "content_block_delta",
    "content_block_start",
    "content_block_stop",
    "message_delta",
    "message_start",
    "message_stop",
];

pub(super) static READ: Words = EVENTS.with_members_of(DELTA).all_below(ERROR);

pub(super) fn take(staging: &mut Staging<'_>, path: &[Word], found: Found<'_>) {
    let counts = &mut *staging.counts;
    match path {
        [TYPE] => staging.name(found),
        [DELTA, STOP_REASON] => staging.ends(found),
        // A call of a tool, or its result: there is something, by whatever name.
        [CONTENT_BLOCK, TYPE] => {
            if matches!(found, Found::StringEnd(word) if !matches!(word, TEXT | THINKING)) {
                staging.said.add(Said::ANSWER);
            }
        }
        [CONTENT_BLOCK, TEXT | THINKING] => staging.text(found),
        [DELTA, member] if *member != TYPE => {
            staging.text(found);
            if found == Found::Container {
                staging.said.add(Said::ANSWER);
            }
        }
        [USAGE, INPUT_TOKENS] | [MESSAGE, USAGE, INPUT_TOKENS] => {
            count(found, &mut counts.prompt);
        }
        [USAGE, CACHE_CREATION] | [MESSAGE, USAGE, CACHE_CREATION] => {
            count(found, &mut counts.apart);
        }
        [USAGE, CACHE_READ] | [MESSAGE, USAGE, CACHE_READ] => count(found, &mut counts.cached),
        [USAGE, OUTPUT_TOKENS] | [MESSAGE, USAGE, OUTPUT_TOKENS] => {
            count(found, &mut counts.completion);
        }
        _ => {}
    }
}

/// Whether an event of this name may say the end, an error or a cost.
pub(super) fn may_end(event: Word) -> bool {
    matches!(event, UNNAMED | MESSAGE_START | MESSAGE_DELTA | ERROR)
}

/// Whether an event of this name is nobody else's.
pub(super) fn is_own(event: Word) -> bool {
    matches!(
        event,
        MESSAGE_START | CONTENT_BLOCK_START | CONTENT_BLOCK_DELTA | MESSAGE_DELTA | MESSAGE_STOP
    )
}

pub(super) fn answers(event: &Dispatched) -> bool {
    match event.event {
        MESSAGE_START | ERROR | ERROR_LINE => false,
        CONTENT_BLOCK_START | CONTENT_BLOCK_DELTA => {
            event.said.has(Said::ANSWER) || event.under_way
        }
        CONTENT_BLOCK_STOP | MESSAGE_DELTA | MESSAGE_STOP | UNNAMED => event.under_way,
        _ => true,
    }
}

pub(super) fn conclude(event: Word, said: &mut Said) {
    match event {
        MESSAGE_STOP => said.add(Said::END),
        // Where else a reason to stop, or a count, may stand.
        CONTENT_BLOCK_START | CONTENT_BLOCK_DELTA | CONTENT_BLOCK_STOP => {
            said.remove(Said::END);
            said.add(Said::UNCOUNTED);
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
            CACHE_CREATION = "cache_creation_input_tokens",
            CONTENT = "content",
            OUTPUT_TOKENS_DETAILS = "output_tokens_details",
            REASONING_TOKENS = "reasoning_tokens",
            USAGE = "usage",
        }
    }

    pub(in crate::service) fn begins(path: &[Word], found: Found<'_>) -> bool {
        found == Found::Container && path == [CONTENT, ITEM]
    }

    pub(in crate::service) fn count(path: &[Word]) -> Option<Counted> {
        match path {
            [USAGE, CACHE_CREATION] => Some(Counted::Apart),
            [USAGE, OUTPUT_TOKENS_DETAILS, REASONING_TOKENS] => Some(Counted::Ignored),
            _ => None,
        }
    }
}
