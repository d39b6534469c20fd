//! What the events and documents of version 2 say, and those of Triton's extension.

use super::Dispatched;
use crate::http::json::{Found, ITEM, Word, Words};
use crate::service::dialects::words::{ERROR, EVENTS};
use crate::service::marks::staging::{Said, Staging};

pub(in crate::service) use self::event::ALL as WORDS;
use self::event::*;

mod event {
    use crate::service::dialects::words::EVENTS;

    words! { EVENTS:
        DATA = "data",
        MODEL_NAME = "model_name",
        MODEL_VERSION = "model_version",
        OUTPUTS = "outputs",
        TEXT_OUTPUT = "text_output",
    }
}

pub(super) static READ: Words = EVENTS.all_below(ERROR);

pub(super) fn take(staging: &mut Staging<'_>, path: &[Word], found: Found<'_>) {
    let said = &mut *staging.said;
    match path {
        [MODEL_NAME] if found == Found::String => said.add(Said::SHAPE),
        [MODEL_VERSION] | [OUTPUTS] => said.add(Said::BESIDE),
        [TEXT_OUTPUT] => {
            if matches!(found, Found::String | Found::Container) {
                said.add(Said::BESIDE);
                said.add(Said::EMPTY);
            }
            staging.text(found);
        }
        // Text of one of several sequences; a tensor.
        [TEXT_OUTPUT, ITEM] | [OUTPUTS, ITEM, DATA, ITEM]
            if !matches!(found, Found::String | Found::StringEnd(_) | Found::Null) =>
        {
            said.add(Said::ANSWER);
        }
        [OUTPUTS, ITEM, DATA] if found == Found::Container => said.add(Said::EMPTY),
        _ => {}
    }
}

/// A name alone is many a server's.
pub(super) fn claims(event: &Dispatched) -> bool {
    event.said.has(Said::SHAPE) && event.said.has(Said::BESIDE) || event.fails()
}

/// What a model's outputs are called is its own business, so only one that is known to be empty is no
/// part of an answer.
pub(super) fn answers(event: &Dispatched) -> bool {
    let said = event.said;
    let output = said.has(Said::SHAPE) && !said.has(Said::EMPTY);
    !event.fails() && (said.has(Said::ANSWER) || output || event.under_way)
}

pub(super) mod document {
    use crate::http::json::{Found, Word};

    pub(in crate::service) use self::words::ALL as WORDS;
    use self::words::*;

    mod words {
        use crate::service::dialects::document_words::DOCUMENTS;

        words! { DOCUMENTS:
            OUTPUTS = "outputs",
            TEXT_OUTPUT = "text_output",
        }
    }

    pub(in crate::service) fn begins(path: &[Word], found: Found<'_>) -> bool {
        match found {
            Found::Container => matches!(path, [OUTPUTS] | [TEXT_OUTPUT]),
            Found::String => path == [TEXT_OUTPUT],
            _ => false,
        }
    }
}
