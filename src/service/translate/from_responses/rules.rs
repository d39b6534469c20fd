//! Of a request to OpenAI responses, on its way to OpenAI chat completions.

use super::super::rules::{IdleValue, MemberRule, ObjectRules, kept, lossy, mapped, refused};

pub const OBJECTS: &[&ObjectRules] = &[
    &REQUEST,
    &TEXT,
    &FORMAT,
    &REASONING,
    &STREAM_OPTIONS,
    &ITEM,
    &PART,
    &SUMMARY,
    &TOOL,
    &TOOL_CHOICE,
];

/// Members of OpenAI chat that have another name here, which comes first.
pub const NAMES: &[(&str, &str)] = &[
    ("include", "logprobs"),
    ("max_output_tokens", "max_tokens"),
    ("reasoning.effort", "reasoning_effort"),
    ("text.format", "response_format"),
    ("text.format.type", "response_format.type"),
    ("text.verbosity", "verbosity"),
    ("input", "messages"),
];

const REQUEST_MEMBERS: &[MemberRule] = &[
    mapped("model", "`model`, or what the upstream is asked for in its place"),
    mapped("input", "`messages`: a text is one of a `user`"),
    mapped("instructions", "the first of `messages`, a `system`"),
    mapped(
        "max_output_tokens",
        "`max_tokens`; `max_completion_tokens` for models named `o1`, `o3`, `o4` or `gpt-5` and on, which want that",
    ),
    mapped("stream", "`stream`, and `stream_options.include_usage`, so that the tokens are told"),
    mapped("stream_options", "how the answer is written"),
    mapped("temperature", "`temperature`"),
    mapped("top_p", "`top_p`"),
    mapped("tools", "`tools`"),
    mapped("tool_choice", "`tool_choice`: `auto`, `none`, `required` or a function"),
    mapped("parallel_tool_calls", "`parallel_tool_calls`"),
    mapped("text", "`response_format` and `verbosity`"),
    mapped("reasoning", "`reasoning_effort`"),
    kept("user", "`user`"),
    kept("safety_identifier", "`safety_identifier`"),
    kept("prompt_cache_key", "`prompt_cache_key`"),
    kept("prompt_cache_retention", "`prompt_cache_retention`"),
    kept("service_tier", "`service_tier`"),
    mapped(
        "include",
        "`message.output_text.logprobs` is `logprobs`; `reasoning.encrypted_content` is left out: there is none; others are refused",
    ),
    mapped("store", "`true` is refused: nothing is stored; without any the answer says `false`"),
    mapped("metadata", "stands in the answer again; OpenAI chat has it for what is stored alone"),
    mapped("truncation", "`auto` is refused; `disabled` is the default"),
    refused("previous_response_id", "nothing is stored: send its items again"),
    refused("conversation", "nothing is stored"),
    refused("prompt", "stored by OpenAI alone"),
    refused("background", "nothing is stored"),
    refused("max_tool_calls", "counts tools of the server"),
    mapped("top_logprobs", "`logprobs` and `top_logprobs`"),
    refused("n", "one answer is read").unless(IdleValue::Number(1.0)),
    refused("logprobs", "OpenAI chat's own: use `include`"),
    refused("context_management", "done by the server"),
];
pub const REQUEST: ObjectRules = ObjectRules { place: "", members: REQUEST_MEMBERS };

const TEXT_MEMBERS: &[MemberRule] =
    &[mapped("format", "`response_format`"), mapped("verbosity", "`verbosity`")];
pub const TEXT: ObjectRules = ObjectRules { place: "text", members: TEXT_MEMBERS };

const FORMAT_MEMBERS: &[MemberRule] = &[
    mapped("type", "`text`, `json_object`, or `json_schema`; others are refused"),
    mapped("name", "`json_schema.name`"),
    mapped("schema", "`json_schema.schema`"),
    mapped("description", "`json_schema.description`"),
    mapped("strict", "`json_schema.strict`"),
];
pub const FORMAT: ObjectRules = ObjectRules { place: "text.format", members: FORMAT_MEMBERS };

const REASONING_MEMBERS: &[MemberRule] = &[
    mapped("effort", "`reasoning_effort`"),
    lossy("summary", "what is thought is told, if the server does"),
    lossy("generate_summary", "the older name of `summary`"),
];
pub const REASONING: ObjectRules = ObjectRules { place: "reasoning", members: REASONING_MEMBERS };

const STREAM_OPTIONS_MEMBERS: &[MemberRule] = &[lossy("include_obfuscation", "no delta is padded")];
pub const STREAM_OPTIONS: ObjectRules =
    ObjectRules { place: "stream_options", members: STREAM_OPTIONS_MEMBERS };

const ITEM_MEMBERS: &[MemberRule] = &[
    mapped(
        "type",
        "none or `message`, `function_call`, `function_call_output`, `reasoning`; `item_reference`, `web_search_call` and others are refused",
    ),
    mapped("role", "`role`; `developer` is a `system`, which all servers know"),
    mapped(
        "content",
        "`content`; of `reasoning`: `reasoning_content` of the assistant's next message",
    ),
    mapped("call_id", "`id` of a call, `tool_call_id` of its result"),
    mapped("name", "`function.name` of a call"),
    mapped("arguments", "`function.arguments` of a call; neighbours are calls of one message"),
    mapped("output", "`content` of the role `tool`: texts, joined by line feeds"),
    lossy("id", "of an earlier answer"),
    lossy("status", "of an earlier answer"),
    lossy("phase", "of an earlier answer"),
    lossy("summary", "what was thought, for people"),
    lossy("encrypted_content", "thinking that only OpenAI can read"),
];
pub const ITEM: ObjectRules = ObjectRules { place: "input[]", members: ITEM_MEMBERS };

const PART_MEMBERS: &[MemberRule] = &[
    mapped(
        "type",
        "`input_text`, `output_text`, `refusal`, `input_image` (`image_url`), `input_file` (`file`), `input_audio`; others are refused",
    ),
    mapped("text", "`text`; those of an assistant become one"),
    mapped("refusal", "`refusal` of the message"),
    mapped("image_url", "`image_url.url`"),
    mapped("detail", "`image_url.detail`"),
    mapped("file_data", "`file.file_data`"),
    mapped("filename", "`file.filename`"),
    mapped("file_id", "`file.file_id` of a file; of an image it is refused"),
    mapped("input_audio", "`input_audio`"),
    refused("file_url", "OpenAI chat reads none"),
    lossy("annotations", "of an earlier answer"),
    lossy("logprobs", "of an earlier answer"),
];
pub const PART: ObjectRules = ObjectRules { place: "input[].content[]", members: PART_MEMBERS };

const SUMMARY_MEMBERS: &[MemberRule] = &[
    mapped("type", "`reasoning_text`; others are refused"),
    mapped("text", "a part of `reasoning_content`"),
];
/// Parts of an item `reasoning`.
pub const SUMMARY: ObjectRules =
    ObjectRules { place: "input[].content[] (reasoning)", members: SUMMARY_MEMBERS };

const TOOL_MEMBERS: &[MemberRule] = &[
    mapped("type", "`function`; the tools of the server and `custom` are refused"),
    mapped("name", "`function.name`"),
    mapped("description", "`function.description`"),
    mapped("parameters", "`function.parameters`"),
    mapped("strict", "`function.strict`"),
];
pub const TOOL: ObjectRules = ObjectRules { place: "tools[]", members: TOOL_MEMBERS };

const TOOL_CHOICE_MEMBERS: &[MemberRule] = &[
    mapped("type", "`function`; `allowed_tools` and the tools of the server are refused"),
    mapped("name", "`function.name`"),
];
pub const TOOL_CHOICE: ObjectRules =
    ObjectRules { place: "tool_choice", members: TOOL_CHOICE_MEMBERS };
