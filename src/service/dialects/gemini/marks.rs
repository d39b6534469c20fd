//! What the events and documents of Gemini say.

use super::Dispatched;
use crate::http::json::{Found, ITEM, Word, Words};
use crate::service::dialects::words::{ERROR, EVENTS};
use crate::service::marks::counts::count;
use crate::service::marks::staging::{Said, Staging};

pub(in crate::service) use self::event::ALL as WORDS;
use self::event::*;

mod event {
    use crate::service::dialects::words::EVENTS;

    words! { EVENTS:
        BLOCK_REASON = "blockReason",
        CACHED = "cachedContentTokenCount",
        CANDIDATES = "candidates",
        CANDIDATES_TOKENS = "candidatesTokenCount",
        CONTENT = "content",
        FINISH_REASON = "finishReason",
        INDEX = "index",
        PARTS = "parts",
        PROMPT_FEEDBACK = "promptFeedback",
        PROMPT_TOKENS = "promptTokenCount",
        TEXT = "text",
        THOUGHTS_TOKENS = "thoughtsTokenCount",
        USAGE = "usageMetadata",
    }
}

/// The text of a part stands deeper than paths are told, so it is told wherever it stands.
pub(super) static READ: Words = EVENTS.anywhere(TEXT).all_below(ERROR);

pub(super) fn take(staging: &mut Staging<'_>, path: &[Word], found: Found<'_>) {
    match path {
        [CANDIDATES | PROMPT_FEEDBACK | USAGE] if found == Found::Container => {
            staging.said.add(Said::SHAPE);
        }
        [CANDIDATES, ITEM] if staging.choices.are_several() => staging.choices.begin(),
        [CANDIDATES, ITEM, INDEX] => {
            if let Found::Number(Some(index)) = found
                && (index > 0 || staging.choices.are_several())
            {
                staging.one_of_several(index);
            }
        }
        [CANDIDATES, ITEM, FINISH_REASON] if staging.reason(found).is_some() => staging.finish(),
        // The prompt is not answered, and that is all there is to say.
        [PROMPT_FEEDBACK, BLOCK_REASON] => staging.ends(found),
        [CANDIDATES, ITEM, CONTENT, PARTS, ITEM] => staging.said.add(Said::BESIDE),
        [.., TEXT] => {
            staging.said.add(Said::EMPTY);
            staging.text(found);
        }
        [USAGE, PROMPT_TOKENS] => count(found, &mut staging.counts.prompt),
        [USAGE, CANDIDATES_TOKENS] => count(found, &mut staging.counts.completion),
        [USAGE, THOUGHTS_TOKENS] => count(found, &mut staging.counts.apart),
        [USAGE, CACHED] => count(found, &mut staging.counts.cached),
        _ => {}
    }
}

/// A part without a text is a call, a picture, a piece of code or its result.
pub(super) fn answers(event: &Dispatched) -> bool {
    let said = event.said;
    let part = said.has(Said::BESIDE) && !said.has(Said::EMPTY);
    said.has(Said::ANSWER) || part || event.under_way && said.has(Said::BESIDE) || !event.whole
}

pub(super) mod document {
    use crate::http::json::{Found, ITEM, Word};
    use crate::service::marks::counts::Counted;

    pub(in crate::service) use self::words::ALL as WORDS;
    use self::words::*;

    mod words {
        use crate::service::dialects::document_words::DOCUMENTS;

        words! { DOCUMENTS:
            CACHED = "cachedContentTokenCount",
            CANDIDATES = "candidates",
            CANDIDATES_TOKENS = "candidatesTokenCount",
            ERROR = "error",
            PROMPT_FEEDBACK = "promptFeedback",
            PROMPT_TOKENS = "promptTokenCount",
            THOUGHTS_TOKENS = "thoughtsTokenCount",
            USAGE = "usageMetadata",
        }
    }

    /// A stream without `alt=sse` is a list, and an error an element of it.
    pub(in crate::service) fn fails(path: &[Word], found: Found<'_>) -> bool {
        found == Found::Container && path == [ITEM, ERROR]
    }

    pub(in crate::service) fn begins(path: &[Word], found: Found<'_>) -> bool {
        let begins = matches!(path, [CANDIDATES, ITEM] | [ITEM, CANDIDATES, ITEM])
            || matches!(path, [PROMPT_FEEDBACK] | [ITEM, PROMPT_FEEDBACK]);
        begins && found == Found::Container
    }

    pub(in crate::service) fn count(path: &[Word]) -> Option<Counted> {
        match path {
            [USAGE, count] | [ITEM, USAGE, count] => match *count {
                PROMPT_TOKENS => Some(Counted::Prompt),
                CANDIDATES_TOKENS => Some(Counted::Completion),
                THOUGHTS_TOKENS => Some(Counted::Apart),
                CACHED => Some(Counted::Cached),
                _ => None,
            },
            _ => None,
        }
    }
}
