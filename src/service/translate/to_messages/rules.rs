//! Of a request to OpenAI chat completions, on its way to Anthropic messages.

use super::super::rules::{IdleValue, MemberRule, ObjectRules, kept, lossy, mapped, refused};

pub const OBJECTS: &[&ObjectRules] = &[
    &REQUEST,
    &STREAM_OPTIONS,
    &RESPONSE_FORMAT,
    &JSON_SCHEMA,
    &MESSAGE,
    &PART,
    &IMAGE_URL,
    &TOOL_CALL,
    &CALLED,
    &TOOL,
    &FUNCTION,
];

const REQUEST_MEMBERS: &[MemberRule] = &[
    mapped("model", "`model`, or what the upstream is asked for in its place"),
    mapped("messages", "`system` and `messages`; neighbours of one role become one message"),
    mapped("max_completion_tokens", "`max_tokens`; without either 4096, since Anthropic wants one"),
    mapped("max_tokens", "`max_tokens`, where `max_completion_tokens` is not set"),
    mapped("stop", "`stop_sequences`"),
    mapped("stream", "`stream`"),
    mapped("stream_options", "how the answer is written"),
    mapped("temperature", "`temperature`; above 1 it is 1, the highest there is"),
    mapped("top_p", "`top_p`"),
    kept("top_k", "not OpenAI's, and Anthropic's own"),
    mapped("tools", "`tools`"),
    mapped(
        "tool_choice",
        "`tool_choice`: `auto`, `none`, `required` (`any`) or a function (`tool`)",
    ),
    mapped("parallel_tool_calls", "`tool_choice.disable_parallel_tool_use`, turned round"),
    mapped(
        "response_format",
        "`output_config.format`; `text` is the default, `json_object` is refused",
    ),
    mapped(
        "reasoning_effort",
        "`thinking` is `adaptive`, `output_config.effort` the effort (`minimal`: `low`); `none`: `disabled`",
    ),
    kept("thinking", "not OpenAI's, and Anthropic's own"),
    mapped("user", "`metadata.user_id`"),
    mapped("safety_identifier", "`metadata.user_id`, where `user` is not set"),
    mapped("service_tier", "`auto`: `auto`; `default`: `standard_only`; others are refused"),
    lossy("metadata", "for the caller's own records"),
    lossy("prediction", "makes an answer faster, and no other"),
    lossy("prompt_cache_key", "a hint for a cache"),
    lossy("prompt_cache_retention", "a hint for a cache"),
    refused("n", "Anthropic has one answer").unless(IdleValue::Number(1.0)),
    refused("logprobs", "Anthropic has none"),
    refused("top_logprobs", "Anthropic has none").unless(IdleValue::Number(0.0)),
    refused("logit_bias", "Anthropic has none"),
    refused("frequency_penalty", "Anthropic has none").unless(IdleValue::Number(0.0)),
    refused("presence_penalty", "Anthropic has none").unless(IdleValue::Number(0.0)),
    refused("seed", "Anthropic has none"),
    refused("store", "nothing is stored"),
    refused("modalities", "Anthropic answers in text").unless(IdleValue::Texts("text")),
    refused("audio", "Anthropic answers in text"),
    refused("verbosity", "Anthropic has none").unless(IdleValue::Text("medium")),
    refused("web_search_options", "a tool of the server"),
    refused("functions", "deprecated: use `tools`"),
    refused("function_call", "deprecated: use `tool_choice`").unless(IdleValue::Text("none")),
];
pub const REQUEST: ObjectRules = ObjectRules { place: "", members: REQUEST_MEMBERS };

const STREAM_OPTIONS_MEMBERS: &[MemberRule] = &[
    mapped("include_usage", "an event with `usage` ends the stream"),
    lossy("include_obfuscation", "no delta is padded"),
    lossy("continuous_usage_stats", "vLLM's own: usage is told at the end"),
];
pub const STREAM_OPTIONS: ObjectRules =
    ObjectRules { place: "stream_options", members: STREAM_OPTIONS_MEMBERS };

const RESPONSE_FORMAT_MEMBERS: &[MemberRule] = &[
    mapped("type", "`json_schema`, or nothing (`text`)"),
    mapped("json_schema", "`output_config.format`"),
];
pub const RESPONSE_FORMAT: ObjectRules =
    ObjectRules { place: "response_format", members: RESPONSE_FORMAT_MEMBERS };

const JSON_SCHEMA_MEMBERS: &[MemberRule] = &[
    mapped("schema", "`output_config.format.schema`"),
    lossy("name", "Anthropic's formats have none"),
    lossy("description", "Anthropic's formats have none"),
    lossy("strict", "Anthropic always keeps to the schema"),
];
pub const JSON_SCHEMA: ObjectRules =
    ObjectRules { place: "response_format.json_schema", members: JSON_SCHEMA_MEMBERS };

const MESSAGE_MEMBERS: &[MemberRule] = &[
    mapped(
        "role",
        "`system` and `developer` move into `system`, wherever they stand; `tool` is a `user`",
    ),
    mapped("content", "`content`; an empty text is left out, since Anthropic refuses it"),
    mapped("tool_calls", "blocks `tool_use`"),
    mapped("tool_call_id", "`tool_use_id` of a block `tool_result`"),
    mapped("refusal", "a block `text`"),
    lossy("name", "Anthropic's messages have none"),
    lossy("reasoning_content", "Anthropic takes back only thinking that it has signed"),
    lossy("reasoning", "as `reasoning_content`"),
    lossy("annotations", "of an earlier answer"),
    refused("audio", "Anthropic reads none"),
    refused("function_call", "deprecated: use `tool_calls`"),
];
pub const MESSAGE: ObjectRules = ObjectRules { place: "messages[]", members: MESSAGE_MEMBERS };

const PART_MEMBERS: &[MemberRule] = &[
    mapped(
        "type",
        "`text`, `refusal` or `image_url` (`image`); `input_audio`, `file` and others are refused",
    ),
    mapped("text", "`text`"),
    mapped("refusal", "`text`"),
    mapped("image_url", "`source`"),
];
pub const PART: ObjectRules = ObjectRules { place: "messages[].content[]", members: PART_MEMBERS };

const IMAGE_URL_MEMBERS: &[MemberRule] = &[
    mapped("url", "`data:` URLs become a source `base64`, `http:` and `https:` a source `url`"),
    lossy("detail", "Anthropic has one resolution"),
];
pub const IMAGE_URL: ObjectRules =
    ObjectRules { place: "messages[].content[].image_url", members: IMAGE_URL_MEMBERS };

const TOOL_CALL_MEMBERS: &[MemberRule] = &[
    mapped(
        "id",
        "`id`; other characters than letters, digits, `_` and `-` become `_`, and two ids never become one",
    ),
    mapped("type", "`tool_use`; other than `function` is refused"),
    mapped("function", "`name` and `input`"),
    lossy("index", "of an earlier stream"),
];
pub const TOOL_CALL: ObjectRules =
    ObjectRules { place: "messages[].tool_calls[]", members: TOOL_CALL_MEMBERS };

const CALLED_MEMBERS: &[MemberRule] =
    &[mapped("name", "`name`"), mapped("arguments", "`input`: an object, or nothing")];
pub const CALLED: ObjectRules =
    ObjectRules { place: "messages[].tool_calls[].function", members: CALLED_MEMBERS };

const TOOL_MEMBERS: &[MemberRule] = &[
    mapped("type", "none; other than `function` is refused"),
    mapped("function", "the tool itself"),
];
pub const TOOL: ObjectRules = ObjectRules { place: "tools[]", members: TOOL_MEMBERS };

const FUNCTION_MEMBERS: &[MemberRule] = &[
    mapped("name", "`name`"),
    mapped("description", "`description`"),
    mapped("parameters", "`input_schema`; without any an object without properties"),
    mapped("strict", "`strict`"),
];
pub const FUNCTION: ObjectRules =
    ObjectRules { place: "tools[].function", members: FUNCTION_MEMBERS };
