//! The words of documents: few, for every key of a document is compared with them.

use super::DOCUMENT_WORDS;
use super::words::{Merged, total};
use crate::http::json::{Word, Words};

/// The words that several dialects have, and those of APIs that are no dialect here.
const SHARED: &[&str] = &[
    "billed_units",
    "cache_read_input_tokens",
    "cached_tokens",
    "choices",
    "code",
    "completion_tokens",
    "completion_tokens_details",
    "detail",
    "error",
    "error_type",
    "finish_reason",
    "input",
    "input_tokens",
    "input_tokens_details",
    "message",
    "meta",
    "object",
    "output_tokens",
    "output_tokens_details",
    "prompt_cache_hit_tokens",
    "prompt_tokens",
    "prompt_tokens_details",
    "reasoning_tokens",
    "tokens",
    "total_tokens",
    "type",
    "usage",
];

const LISTS: &[&[&[&str]]] = &[DOCUMENT_WORDS, &[SHARED]];
const MERGED: Merged<{ total(LISTS) }> = Merged::new(LISTS);

/// The words of all documents.
pub(in crate::service) const DOCUMENTS: Words = Words::new(MERGED.sorted());

pub(in crate::service) static READ: Words = DOCUMENTS.all_below(ERROR).skimming();

pub(in crate::service) const BILLED_UNITS: Word = DOCUMENTS.word("billed_units");
pub(in crate::service) const CACHE_READ: Word = DOCUMENTS.word("cache_read_input_tokens");
pub(in crate::service) const CACHED_TOKENS: Word = DOCUMENTS.word("cached_tokens");
pub(in crate::service) const CHOICES: Word = DOCUMENTS.word("choices");
pub(in crate::service) const CODE: Word = DOCUMENTS.word("code");
pub(in crate::service) const COMPLETION_TOKENS: Word = DOCUMENTS.word("completion_tokens");
pub(in crate::service) const COMPLETION_TOKENS_DETAILS: Word =
    DOCUMENTS.word("completion_tokens_details");
pub(in crate::service) const DETAIL: Word = DOCUMENTS.word("detail");
pub(in crate::service) const ERROR: Word = DOCUMENTS.word("error");
pub(in crate::service) const ERROR_TYPE: Word = DOCUMENTS.word("error_type");
pub(in crate::service) const FINISH_REASON: Word = DOCUMENTS.word("finish_reason");
pub(in crate::service) const INPUT: Word = DOCUMENTS.word("input");
pub(in crate::service) const INPUT_TOKENS: Word = DOCUMENTS.word("input_tokens");
pub(in crate::service) const INPUT_TOKENS_DETAILS: Word = DOCUMENTS.word("input_tokens_details");
pub(in crate::service) const MESSAGE: Word = DOCUMENTS.word("message");
pub(in crate::service) const META: Word = DOCUMENTS.word("meta");
pub(in crate::service) const OBJECT: Word = DOCUMENTS.word("object");
pub(in crate::service) const OUTPUT_TOKENS: Word = DOCUMENTS.word("output_tokens");
pub(in crate::service) const OUTPUT_TOKENS_DETAILS: Word = DOCUMENTS.word("output_tokens_details");
pub(in crate::service) const PROMPT_CACHE_HIT: Word = DOCUMENTS.word("prompt_cache_hit_tokens");
pub(in crate::service) const PROMPT_TOKENS: Word = DOCUMENTS.word("prompt_tokens");
pub(in crate::service) const PROMPT_TOKENS_DETAILS: Word = DOCUMENTS.word("prompt_tokens_details");
pub(in crate::service) const REASONING_TOKENS: Word = DOCUMENTS.word("reasoning_tokens");
pub(in crate::service) const TOKENS: Word = DOCUMENTS.word("tokens");
pub(in crate::service) const TOTAL_TOKENS: Word = DOCUMENTS.word("total_tokens");
pub(in crate::service) const TYPE: Word = DOCUMENTS.word("type");
pub(in crate::service) const USAGE: Word = DOCUMENTS.word("usage");
