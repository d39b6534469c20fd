//! The words that the marks of the dialects are made of.

use crate::http::json::{ITEM, Word, Words};

pub(super) const WORDS: Words = Words::new(&[
    "BadRequestError",
    "choices",
    "code",
    "completion_tokens",
    "content_filter",
    "content_policy_violation",
    "context_length_exceeded",
    "details",
    "done",
    "empty_image_file",
    "error",
    "error_type",
    "eval_count",
    "exceed_context_size_error",
    "failed_to_download_image",
    "finish_reason",
    "generated_text",
    "generated_tokens",
    "image_content_policy_violation",
    "image_file_not_found",
    "image_file_too_large",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "index",
    "input_length",
    "input_tokens",
    "invalid_base64_image",
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_image_url",
    "invalid_prompt",
    "invalid_request_error",
    "message",
    "message_delta",
    "message_start",
    "message_stop",
    "object",
    "output_tokens",
    "ping",
    "prompt_eval_count",
    "prompt_tokens",
    "response",
    "response.completed",
    "response.failed",
    "response.incomplete",
    "type",
    "unsupported_image_media_type",
    "usage",
    "validation",
]);
pub(super) const CHOICES: Word = WORDS.word("choices");
pub(super) const CODE: Word = WORDS.word("code");
pub(super) const COMPLETION_TOKENS: Word = WORDS.word("completion_tokens");
pub(super) const DETAILS: Word = WORDS.word("details");
pub(super) const DONE: Word = WORDS.word("done");
pub(super) const ERROR: Word = WORDS.word("error");
pub(super) const ERROR_TYPE: Word = WORDS.word("error_type");
pub(super) const EVAL_COUNT: Word = WORDS.word("eval_count");
pub(super) const FINISH_REASON: Word = WORDS.word("finish_reason");
pub(super) const GENERATED_TEXT: Word = WORDS.word("generated_text");
pub(super) const GENERATED_TOKENS: Word = WORDS.word("generated_tokens");
pub(super) const INDEX: Word = WORDS.word("index");
pub(super) const INPUT_LENGTH: Word = WORDS.word("input_length");
pub(super) const INPUT_TOKENS: Word = WORDS.word("input_tokens");
pub(super) const MESSAGE: Word = WORDS.word("message");
pub(super) const MESSAGE_DELTA: Word = WORDS.word("message_delta");
pub(super) const MESSAGE_START: Word = WORDS.word("message_start");
pub(super) const MESSAGE_STOP: Word = WORDS.word("message_stop");
pub(super) const OBJECT: Word = WORDS.word("object");
pub(super) const OUTPUT_TOKENS: Word = WORDS.word("output_tokens");
pub(super) const PING: Word = WORDS.word("ping");
pub(super) const PROMPT_EVAL_COUNT: Word = WORDS.word("prompt_eval_count");
pub(super) const PROMPT_TOKENS: Word = WORDS.word("prompt_tokens");
pub(super) const RESPONSE: Word = WORDS.word("response");
pub(super) const COMPLETED: Word = WORDS.word("response.completed");
pub(super) const FAILED: Word = WORDS.word("response.failed");
pub(super) const INCOMPLETE: Word = WORDS.word("response.incomplete");
pub(super) const TYPE: Word = WORDS.word("type");
pub(super) const USAGE: Word = WORDS.word("usage");

/// The codes and types of errors that are the client's own.
pub(super) const CLIENTS_ERRORS: [Word; 22] = [
    WORDS.word("BadRequestError"),
    WORDS.word("content_filter"),
    WORDS.word("content_policy_violation"),
    WORDS.word("context_length_exceeded"),
    WORDS.word("exceed_context_size_error"),
    WORDS.word("invalid_prompt"),
    WORDS.word("invalid_request_error"),
    WORDS.word("validation"),
    // What OpenAI's responses say of a picture.
    WORDS.word("empty_image_file"),
    WORDS.word("failed_to_download_image"),
    WORDS.word("image_content_policy_violation"),
    WORDS.word("image_file_not_found"),
    WORDS.word("image_file_too_large"),
    WORDS.word("image_parse_error"),
    WORDS.word("image_too_large"),
    WORDS.word("image_too_small"),
    WORDS.word("invalid_base64_image"),
    WORDS.word("invalid_image"),
    WORDS.word("invalid_image_format"),
    WORDS.word("invalid_image_mode"),
    WORDS.word("invalid_image_url"),
    WORDS.word("unsupported_image_media_type"),
];

/// An event that has not said its name.
pub(super) const UNNAMED: Word = ITEM;

pub(super) static OPENAI_WORDS: Words = WORDS.anywhere(FINISH_REASON);
pub(super) static TGI_WORDS: Words = WORDS.anywhere(GENERATED_TEXT);
pub(super) static OLLAMA_WORDS: Words = WORDS.anywhere(DONE);
pub(super) static OTHER_WORDS: Words = WORDS;
