//! The words of documents: few, for every key of a document is compared with them.

use crate::http::json::{Word, Words};

const WORDS: Words = Words::new(&[
    "billed_units",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cached_tokens",
    "choices",
    "code",
    "completion_tokens",
    "completion_tokens_details",
    "content",
    "detail",
    "details",
    "error",
    "error_type",
    "eval_count",
    "failed",
    "finish_reason",
    "generated_text",
    "generated_tokens",
    "input",
    "input_length",
    "input_tokens",
    "input_tokens_details",
    "message",
    "meta",
    "object",
    "output",
    "output_tokens",
    "output_tokens_details",
    "prompt_cache_hit_tokens",
    "prompt_eval_count",
    "prompt_tokens",
    "prompt_tokens_details",
    "reasoning_tokens",
    "response",
    "status",
    "text",
    "tokens",
    "total_tokens",
    "type",
    "usage",
]);

pub(super) static DOCUMENT_WORDS: Words = WORDS.all_below(ERROR).skimming();

pub(super) const BILLED_UNITS: Word = WORDS.word("billed_units");
pub(super) const CACHE_CREATION: Word = WORDS.word("cache_creation_input_tokens");
pub(super) const CACHE_READ: Word = WORDS.word("cache_read_input_tokens");
pub(super) const CACHED_TOKENS: Word = WORDS.word("cached_tokens");
pub(super) const CHOICES: Word = WORDS.word("choices");
pub(super) const CODE: Word = WORDS.word("code");
pub(super) const COMPLETION_TOKENS: Word = WORDS.word("completion_tokens");
pub(super) const COMPLETION_TOKENS_DETAILS: Word = WORDS.word("completion_tokens_details");
pub(super) const CONTENT: Word = WORDS.word("content");
pub(super) const DETAIL: Word = WORDS.word("detail");
pub(super) const DETAILS: Word = WORDS.word("details");
pub(super) const ERROR: Word = WORDS.word("error");
pub(super) const ERROR_TYPE: Word = WORDS.word("error_type");
pub(super) const EVAL_COUNT: Word = WORDS.word("eval_count");
pub(super) const FAILED: Word = WORDS.word("failed");
pub(super) const FINISH_REASON: Word = WORDS.word("finish_reason");
pub(super) const GENERATED_TEXT: Word = WORDS.word("generated_text");
pub(super) const GENERATED_TOKENS: Word = WORDS.word("generated_tokens");
pub(super) const INPUT: Word = WORDS.word("input");
pub(super) const INPUT_LENGTH: Word = WORDS.word("input_length");
pub(super) const INPUT_TOKENS: Word = WORDS.word("input_tokens");
pub(super) const INPUT_TOKENS_DETAILS: Word = WORDS.word("input_tokens_details");
pub(super) const MESSAGE: Word = WORDS.word("message");
pub(super) const META: Word = WORDS.word("meta");
pub(super) const OBJECT: Word = WORDS.word("object");
pub(super) const OUTPUT: Word = WORDS.word("output");
pub(super) const OUTPUT_TOKENS: Word = WORDS.word("output_tokens");
pub(super) const OUTPUT_TOKENS_DETAILS: Word = WORDS.word("output_tokens_details");
pub(super) const PROMPT_CACHE_HIT: Word = WORDS.word("prompt_cache_hit_tokens");
pub(super) const PROMPT_EVAL_COUNT: Word = WORDS.word("prompt_eval_count");
pub(super) const PROMPT_TOKENS: Word = WORDS.word("prompt_tokens");
pub(super) const PROMPT_TOKENS_DETAILS: Word = WORDS.word("prompt_tokens_details");
pub(super) const REASONING_TOKENS: Word = WORDS.word("reasoning_tokens");
pub(super) const RESPONSE: Word = WORDS.word("response");
pub(super) const STATUS: Word = WORDS.word("status");
pub(super) const TEXT: Word = WORDS.word("text");
pub(super) const TOKENS: Word = WORDS.word("tokens");
pub(super) const TOTAL_TOKENS: Word = WORDS.word("total_tokens");
pub(super) const TYPE: Word = WORDS.word("type");
pub(super) const USAGE: Word = WORDS.word("usage");
