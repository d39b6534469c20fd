//! The words that the marks of the dialects are made of.

use crate::http::json::{ITEM, OTHER, Word, Words};
use crate::service::refusal::CODES;

pub(super) const WORDS: Words = Words::new(&[
    "400",
    "401",
    "402",
    "403",
    "404",
    "405",
    "406",
    "409",
    "410",
    "411",
    "412",
    "413",
    "414",
    "415",
    "416",
    "417",
    "421",
    "422",
    "423",
    "424",
    "425",
    "426",
    "428",
    "429",
    "431",
    "451",
    "499",
    "501",
    "505",
    "AuthenticationError",
    "BadRequestError",
    "NotFoundError",
    "NotImplementedError",
    "PermissionDeniedError",
    "RateLimitError",
    "UnprocessableEntityError",
    "arguments",
    "audio",
    "authentication_error",
    "billing_error",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cached_tokens",
    "chat.completion.chunk",
    "choices",
    "code",
    "completion_tokens",
    "completion_tokens_details",
    "content",
    "content_block",
    "content_block_delta",
    "content_block_start",
    "content_block_stop",
    "content_filter",
    "content_policy_violation",
    "context_length_exceeded",
    "data",
    "delta",
    "detail",
    "details",
    "done",
    "empty_image_file",
    "error",
    "error_type",
    "eval_count",
    "exceed_context_size_error",
    "failed_to_download_image",
    "finish_reason",
    "function_call",
    "generated_text",
    "generated_tokens",
    "heartbeat",
    "image_content_policy_violation",
    "image_file_not_found",
    "image_file_too_large",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "images",
    "index",
    "input",
    "input_length",
    "input_tokens",
    "input_tokens_details",
    "invalid_api_key",
    "invalid_base64_image",
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_image_url",
    "invalid_prompt",
    "invalid_request_error",
    "item",
    "keepalive",
    "message",
    "message_delta",
    "message_start",
    "message_stop",
    "model_not_found",
    "name",
    "not_found_error",
    "not_supported_error",
    "null",
    "object",
    "output_tokens",
    "output_tokens_details",
    "overloaded",
    "part",
    "permission_error",
    "ping",
    "prompt_cache_hit_tokens",
    "prompt_eval_count",
    "prompt_tokens",
    "prompt_tokens_details",
    "rate_limit_error",
    "rate_limit_exceeded",
    "reasoning_details",
    "reasoning_tokens",
    "request_too_large",
    "response",
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
    "role",
    "stop_reason",
    "text",
    "text_completion",
    "thinking",
    "token",
    "tool_calls",
    "transcript",
    "type",
    "unsupported_image_media_type",
    "usage",
    "validation",
    "x_groq",
]);
pub(super) const ARGUMENTS: Word = WORDS.word("arguments");
pub(super) const AUDIO: Word = WORDS.word("audio");
pub(super) const CACHE_CREATION: Word = WORDS.word("cache_creation_input_tokens");
pub(super) const CACHE_READ: Word = WORDS.word("cache_read_input_tokens");
pub(super) const CACHED_TOKENS: Word = WORDS.word("cached_tokens");
pub(super) const CHUNK: Word = WORDS.word("chat.completion.chunk");
pub(super) const CHOICES: Word = WORDS.word("choices");
pub(super) const CODE: Word = WORDS.word("code");
pub(super) const COMPLETION_TOKENS: Word = WORDS.word("completion_tokens");
pub(super) const COMPLETION_TOKENS_DETAILS: Word = WORDS.word("completion_tokens_details");
pub(super) const CONTENT: Word = WORDS.word("content");
pub(super) const CONTENT_BLOCK: Word = WORDS.word("content_block");
pub(super) const CONTENT_BLOCK_DELTA: Word = WORDS.word("content_block_delta");
pub(super) const CONTENT_BLOCK_START: Word = WORDS.word("content_block_start");
pub(super) const CONTENT_BLOCK_STOP: Word = WORDS.word("content_block_stop");
pub(super) const DATA: Word = WORDS.word("data");
pub(super) const DELTA: Word = WORDS.word("delta");
pub(super) const DETAIL: Word = WORDS.word("detail");
pub(super) const DETAILS: Word = WORDS.word("details");
pub(super) const DONE: Word = WORDS.word("done");
pub(super) const ERROR: Word = WORDS.word("error");
pub(super) const ERROR_TYPE: Word = WORDS.word("error_type");
pub(super) const EVAL_COUNT: Word = WORDS.word("eval_count");
pub(super) const FINISH_REASON: Word = WORDS.word("finish_reason");
pub(super) const FUNCTION_CALL: Word = WORDS.word("function_call");
pub(super) const GENERATED_TEXT: Word = WORDS.word("generated_text");
pub(super) const GENERATED_TOKENS: Word = WORDS.word("generated_tokens");
pub(super) const HEARTBEAT: Word = WORDS.word("heartbeat");
pub(super) const IMAGES: Word = WORDS.word("images");
pub(super) const INDEX: Word = WORDS.word("index");
pub(super) const INPUT: Word = WORDS.word("input");
pub(super) const INPUT_LENGTH: Word = WORDS.word("input_length");
pub(super) const INPUT_TOKENS: Word = WORDS.word("input_tokens");
pub(super) const INPUT_TOKENS_DETAILS: Word = WORDS.word("input_tokens_details");
pub(super) const OUTPUT_ITEM: Word = WORDS.word("item");
pub(super) const KEEPALIVE: Word = WORDS.word("keepalive");
pub(super) const MESSAGE: Word = WORDS.word("message");
pub(super) const MESSAGE_DELTA: Word = WORDS.word("message_delta");
pub(super) const MESSAGE_START: Word = WORDS.word("message_start");
pub(super) const MESSAGE_STOP: Word = WORDS.word("message_stop");
pub(super) const NAME: Word = WORDS.word("name");
pub(super) const NULL: Word = WORDS.word("null");
pub(super) const OBJECT: Word = WORDS.word("object");
pub(super) const OUTPUT_TOKENS: Word = WORDS.word("output_tokens");
pub(super) const OUTPUT_TOKENS_DETAILS: Word = WORDS.word("output_tokens_details");
pub(super) const PART: Word = WORDS.word("part");
pub(super) const PING: Word = WORDS.word("ping");
pub(super) const PROMPT_CACHE_HIT: Word = WORDS.word("prompt_cache_hit_tokens");
pub(super) const PROMPT_EVAL_COUNT: Word = WORDS.word("prompt_eval_count");
pub(super) const PROMPT_TOKENS: Word = WORDS.word("prompt_tokens");
pub(super) const PROMPT_TOKENS_DETAILS: Word = WORDS.word("prompt_tokens_details");
pub(super) const REASONING_DETAILS: Word = WORDS.word("reasoning_details");
pub(super) const REASONING_TOKENS: Word = WORDS.word("reasoning_tokens");
pub(super) const RESPONSE: Word = WORDS.word("response");
pub(super) const COMPLETED: Word = WORDS.word("response.completed");
pub(super) const PART_ADDED: Word = WORDS.word("response.content_part.added");
pub(super) const RESPONSE_DONE: Word = WORDS.word("response.done");
pub(super) const CREATED: Word = WORDS.word("response.created");
pub(super) const FAILED: Word = WORDS.word("response.failed");
pub(super) const IN_PROGRESS: Word = WORDS.word("response.in_progress");
pub(super) const INCOMPLETE: Word = WORDS.word("response.incomplete");
pub(super) const ITEM_ADDED: Word = WORDS.word("response.output_item.added");
pub(super) const OUTPUT_TEXT_DELTA: Word = WORDS.word("response.output_text.delta");
pub(super) const QUEUED: Word = WORDS.word("response.queued");
pub(super) const SUMMARY_ADDED: Word = WORDS.word("response.reasoning_summary_part.added");
pub(super) const ROLE: Word = WORDS.word("role");
pub(super) const STOP_REASON: Word = WORDS.word("stop_reason");
pub(super) const TEXT: Word = WORDS.word("text");
pub(super) const TEXT_COMPLETION: Word = WORDS.word("text_completion");
pub(super) const THINKING: Word = WORDS.word("thinking");
pub(super) const TOKEN: Word = WORDS.word("token");
pub(super) const TOOL_CALLS: Word = WORDS.word("tool_calls");
pub(super) const TRANSCRIPT: Word = WORDS.word("transcript");
pub(super) const TYPE: Word = WORDS.word("type");
pub(super) const USAGE: Word = WORDS.word("usage");
pub(super) const X_GROQ: Word = WORDS.word("x_groq");

/// The codes and types of errors that are not the server's own.
pub(super) const CODE_WORDS: [Word; CODES.len()] = {
    let mut words = [OTHER; CODES.len()];
    let mut index = 0;
    while index < words.len() {
        words[index] = WORDS.word(CODES[index]);
        index += 1;
    }
    words
};

/// An event that has not said its name.
pub(super) const UNNAMED: Word = ITEM;
/// An event with a field `error`, which is nobody's name.
pub(super) const ERROR_LINE: Word = OTHER - 3;

pub(super) static OPENAI_WORDS: Words =
    WORDS.anywhere(FINISH_REASON).with_members_of(DELTA).all_below(ERROR);
pub(super) static TGI_WORDS: Words = WORDS.anywhere(GENERATED_TEXT).all_below(ERROR);
pub(super) static OLLAMA_WORDS: Words = WORDS.anywhere(DONE).all_below(ERROR);
pub(super) static OTHER_WORDS: Words = WORDS.with_members_of(DELTA).all_below(ERROR);
