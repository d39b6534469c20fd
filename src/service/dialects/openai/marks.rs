//! What the events and documents of OpenAI's two older dialects say.

use super::Dispatched;
use crate::http::json::{Found, ITEM, Word, Words};
use crate::service::dialects::words::{CHOICES, ERROR, EVENTS, MESSAGE, TYPE};
use crate::service::marks::counts::count;
use crate::service::marks::search::Search;
use crate::service::marks::staging::{Said, Staging};

pub(in crate::service) use self::event::ALL as WORDS;
use self::event::*;

mod event {
    use crate::service::dialects::words::EVENTS;

    words! { EVENTS:
        ARGUMENTS = "arguments",
        AUDIO = "audio",
        CACHED_TOKENS = "cached_tokens",
        CHUNK = "chat.completion.chunk",
        COMPLETION_TOKENS = "completion_tokens",
        COMPLETION_TOKENS_DETAILS = "completion_tokens_details",
        CONTENT = "content",
        DATA = "data",
        DELTA = "delta",
        FINISH_REASON = "finish_reason",
        FUNCTION_CALL = "function_call",
        IMAGES = "images",
        INDEX = "index",
        NAME = "name",
        OBJECT = "object",
        PROMPT_CACHE_HIT = "prompt_cache_hit_tokens",
        PROMPT_TOKENS = "prompt_tokens",
        PROMPT_TOKENS_DETAILS = "prompt_tokens_details",
        REASONING_DETAILS = "reasoning_details",
        REASONING_TOKENS = "reasoning_tokens",
        ROLE = "role",
        TEXT = "text",
        TEXT_COMPLETION = "text_completion",
        TOOL_CALLS = "tool_calls",
        TRANSCRIPT = "transcript",
        USAGE = "usage",
        X_GROQ = "x_groq",
    }
}

pub(super) static READ: Words =
    EVENTS.anywhere(FINISH_REASON).with_members_of(DELTA).all_below(ERROR);

pub(super) const SEARCH: Search =
    Search { quoted: b"\"finish_reason\"", goes_on: b"null", letter: b'f', letter_at: 1 };

pub(super) fn take(staging: &mut Staging<'_>, path: &[Word], at: usize, found: Found<'_>) {
    match path {
        [.., FINISH_REASON] if found == Found::Null => staging.choice_goes_on(),
        [CHOICES, ITEM, FINISH_REASON] => match staging.reason(found) {
            // OpenRouter's way to say that a provider broke off.
            Some(ERROR) => staging.said.add(Said::ERROR),
            Some(_) if staging.choices.are_several() => staging.choices.end(),
            Some(_) => staging.said.add(Said::END),
            None => {}
        },
        [CHOICES] if found == Found::Container => staging.begin(at),
        [CHOICES, ITEM] => staging.choices.begin(),
        [CHOICES, ITEM, INDEX] => {
            if let Found::Number(Some(index)) = found {
                staging.choices.index(index);
            }
        }
        [CHOICES, ITEM, TEXT]
        | [CHOICES, ITEM, MESSAGE, CONTENT]
        | [CHOICES, ITEM, DELTA, FUNCTION_CALL, NAME | ARGUMENTS]
        | [CHOICES, ITEM, DELTA, AUDIO, DATA | TRANSCRIPT] => staging.text(found),
        // Who speaks, and by what name, is no part of what is said.
        [CHOICES, ITEM, DELTA, member] if !matches!(*member, ROLE | NAME) => staging.text(found),
        [CHOICES, ITEM, DELTA, TOOL_CALLS | CONTENT | IMAGES | REASONING_DETAILS, ITEM] => {
            staging.said.add(Said::ANSWER);
        }
        [OBJECT] => match found {
            Found::StringEnd(CHUNK | TEXT_COMPLETION) => staging.said.add(Said::SHAPE),
            // Older vLLM and SGLang: the error object itself, not wrapped.
            Found::StringEnd(ERROR) => staging.said.add(Said::ERROR),
            _ => {}
        },
        [TYPE] if found == Found::StringEnd(ERROR) => staging.said.add(Said::ERROR),
        // Groq's and Moonshot's stand elsewhere.
        [USAGE, counted @ ..]
        | [X_GROQ, USAGE, counted @ ..]
        | [CHOICES, ITEM, USAGE, counted @ ..] => usage(staging, counted, found),
        _ => {}
    }
}

fn usage(staging: &mut Staging<'_>, counted: &[Word], found: Found<'_>) {
    let counts = &mut *staging.counts;
    match counted {
        [PROMPT_TOKENS] => count(found, &mut counts.prompt),
        [COMPLETION_TOKENS] => count(found, &mut counts.completion),
        [PROMPT_TOKENS_DETAILS, CACHED_TOKENS] | [PROMPT_CACHE_HIT] => {
            count(found, &mut counts.cached);
        }
        [COMPLETION_TOKENS_DETAILS, REASONING_TOKENS] => count(found, &mut counts.apart),
        _ => {}
    }
}

pub(super) fn claims(event: &Dispatched) -> bool {
    event.said.has(Said::SHAPE) || event.fails() || event.done
}

pub(super) mod document {
    use crate::http::json::{Found, ITEM, Word};

    pub(in crate::service) use self::words::ALL as WORDS;
    use self::words::*;

    mod words {
        use crate::service::dialects::document_words::DOCUMENTS;

        words! { DOCUMENTS:
            CHOICES = "choices",
            MESSAGE = "message",
            TEXT = "text",
        }
    }

    pub(in crate::service) fn begins(path: &[Word], found: Found<'_>) -> bool {
        match found {
            Found::Container => path == [CHOICES, ITEM, MESSAGE],
            Found::String => path == [CHOICES, ITEM, TEXT],
            _ => false,
        }
    }
}
