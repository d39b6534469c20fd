//! What the events and documents of OpenAI's responses say.

use super::Dispatched;
use crate::http::json::{Found, Word, Words};
use crate::service::dialects::words::{ERROR, ERROR_LINE, EVENTS, RESPONSE, TYPE, UNNAMED};
use crate::service::marks::counts::count;
use crate::service::marks::staging::{Said, Staging};

pub(in crate::service) use self::event::ALL as WORDS;
use self::event::*;

mod event {
    use crate::service::dialects::words::EVENTS;

    words! { EVENTS:
        CACHED_TOKENS = "cached_tokens",
        DELTA = "delta",
        INPUT_TOKENS = "input_tokens",
        INPUT_TOKENS_DETAILS = "input_tokens_details",
        OUTPUT_ITEM = "item",
        NAME = "name",
        OUTPUT_TOKENS = "output_tokens",
        OUTPUT_TOKENS_DETAILS = "output_tokens_details",
        PART = "part",
        REASONING_TOKENS = "reasoning_tokens",
        COMPLETED = "response.completed",
        PART_ADDED = "response.content_part.added",
        CREATED = "response.created",
        RESPONSE_DONE = "response.done",
        FAILED = "response.failed",
        IN_PROGRESS = "response.in_progress",
        INCOMPLETE = "response.incomplete",
        ITEM_ADDED = "response.output_item.added",
        OUTPUT_TEXT_DELTA = "response.output_text.delta",
        QUEUED = "response.queued",
        SUMMARY_ADDED = "response.reasoning_summary_part.added",
        TEXT = "text",
        USAGE = "usage",
    }
}

pub(super) const NAMES: &[&str] = &[
    "response.completed",
    "response.content_part.added",
    "response.created",
    "response.done",
    "response.failed",
    "response.in_progress",
    "response.incomplete",
    "response.output_item.added",
    "response.output_text.delta",
    "response.queued",
    "response.reasoning_summary_part.added",
];

pub(super) static READ: Words = EVENTS.with_members_of(DELTA).all_below(ERROR);

pub(super) fn take(staging: &mut Staging<'_>, path: &[Word], found: Found<'_>) {
    let counts = &mut *staging.counts;
    match path {
        [TYPE] => staging.name(found),
        [DELTA] if found == Found::String => staging.said.add(Said::EMPTY),
        [DELTA] | [OUTPUT_ITEM, NAME] | [PART, TEXT] => staging.text(found),
        [DELTA, member] if *member != TYPE => staging.text(found),
        [USAGE, INPUT_TOKENS] | [RESPONSE, USAGE, INPUT_TOKENS] => {
            count(found, &mut counts.prompt);
        }
        [USAGE, OUTPUT_TOKENS] | [RESPONSE, USAGE, OUTPUT_TOKENS] => {
            count(found, &mut counts.completion);
        }
        [USAGE, INPUT_TOKENS_DETAILS, CACHED_TOKENS]
        | [RESPONSE, USAGE, INPUT_TOKENS_DETAILS, CACHED_TOKENS] => {
            count(found, &mut counts.cached);
        }
        [USAGE, OUTPUT_TOKENS_DETAILS, REASONING_TOKENS]
        | [RESPONSE, USAGE, OUTPUT_TOKENS_DETAILS, REASONING_TOKENS] => {
            count(found, &mut counts.apart);
        }
        _ => {}
    }
}

/// Whether an event of this name may say the end, an error or a cost.
pub(super) fn may_end(event: Word) -> bool {
    matches!(event, UNNAMED | COMPLETED | RESPONSE_DONE | FAILED | INCOMPLETE | ERROR)
}

/// Whether a stream begins with an event of this name, or may end with it at once.
pub(super) fn begins(event: Word) -> bool {
    matches!(
        event,
        CREATED
            | QUEUED
            | IN_PROGRESS
            | ITEM_ADDED
            | PART_ADDED
            | OUTPUT_TEXT_DELTA
            | COMPLETED
            | RESPONSE_DONE
            | INCOMPLETE
            | FAILED
    )
}

pub(super) fn answers(event: &Dispatched) -> bool {
    let begun = event.said.has(Said::ANSWER) || event.under_way;
    match event.event {
        CREATED | QUEUED | IN_PROGRESS => false,
        COMPLETED | RESPONSE_DONE | INCOMPLETE | FAILED | ERROR | ERROR_LINE => false,
        ITEM_ADDED | PART_ADDED | SUMMARY_ADDED | UNNAMED => begun,
        _ => begun || !event.said.has(Said::EMPTY),
    }
}

pub(super) fn conclude(event: Word, said: &mut Said) {
    match event {
        COMPLETED | RESPONSE_DONE | INCOMPLETE => said.add(Said::END),
        // The last event of its stream, and the server's own word that there is no answer.
        FAILED => said.add(Said::ERROR),
        _ => {}
    }
}

pub(super) mod document {
    use crate::http::json::{Found, ITEM, Word};

    pub(in crate::service) use self::words::ALL as WORDS;
    use self::words::*;

    mod words {
        use crate::service::dialects::document_words::DOCUMENTS;

        words! { DOCUMENTS:
            FAILED = "failed",
            OUTPUT = "output",
            STATUS = "status",
        }
    }

    pub(in crate::service) fn fails(path: &[Word], found: Found<'_>) -> bool {
        matches!((path, found), ([STATUS], Found::StringEnd(FAILED)))
    }

    pub(in crate::service) fn begins(path: &[Word], found: Found<'_>) -> bool {
        found == Found::Container && path == [OUTPUT, ITEM]
    }
}
