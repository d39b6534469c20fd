//! Of a request to Anthropic messages, on its way to OpenAI chat completions.

use super::super::rules::{IdleValue, MemberRule, ObjectRules, kept, lossy, mapped, refused};

pub const OBJECTS: &[&ObjectRules] = &[
    &REQUEST,
    &OUTPUT_CONFIG,
    &THINKING,
    &METADATA,
    &SYSTEM,
    &MESSAGE,
    &BLOCK,
    &SOURCE,
    &RESULT_BLOCK,
    &TOOL,
    &TOOL_CHOICE,
];

/// Members of OpenAI chat that have another name here, which comes first.
pub const NAMES: &[(&str, &str)] = &[
    ("stop_sequences", "stop"),
    ("output_config.effort", "reasoning_effort"),
    ("output_config.format", "response_format"),
    ("output_config.format.type", "response_format.type"),
    ("tool_choice.disable_parallel_tool_use", "parallel_tool_calls"),
];

/// Everywhere: a hint for a cache changes nothing of an answer.
const CACHE_CONTROL: MemberRule = lossy("cache_control", "a hint for a cache");

const REQUEST_MEMBERS: &[MemberRule] = &[
    mapped("model", "`model`, or what the upstream is asked for in its place"),
    mapped("system", "the first of `messages`, its blocks joined by line feeds"),
    mapped("messages", "`messages`"),
    mapped(
        "max_tokens",
        "`max_tokens`; `max_completion_tokens` for models named `o1`, `o3`, `o4` or `gpt-5` and on, which want that",
    ),
    mapped("stop_sequences", "`stop`"),
    mapped("stream", "`stream`, and `stream_options.include_usage`, so that the tokens are told"),
    mapped("temperature", "`temperature`"),
    mapped("top_p", "`top_p`"),
    kept("top_k", "OpenAI's own servers refuse it, vLLM, SGLang and llama.cpp know it"),
    mapped("tools", "`tools`"),
    mapped("tool_choice", "`tool_choice` and `parallel_tool_calls`"),
    mapped("thinking", "`reasoning_effort`, where `output_config` has no effort"),
    mapped("output_config", "`reasoning_effort` and `response_format`"),
    mapped("output_format", "`response_format`: the older name of `output_config.format`"),
    mapped("metadata", "`user`"),
    mapped("service_tier", "`auto`: `auto`; `standard_only`: `default`"),
    CACHE_CONTROL,
    lossy("anthropic_version", "the version of another API"),
    lossy("betas", "of another API"),
    lossy("inference_geo", "where Anthropic computes"),
    mapped("context_management", "edits of `clear_thinking_…` are left out; others are refused"),
    refused("n", "Anthropic's clients read one answer").unless(IdleValue::Number(1.0)),
    refused("logprobs", "Anthropic's answers have none"),
    refused("top_logprobs", "Anthropic's answers have none").unless(IdleValue::Number(0.0)),
    refused("mcp_servers", "a tool of the server"),
    refused("container", "a tool of the server"),
    refused("speed", "Anthropic's own").unless(IdleValue::Text("standard")),
];
pub const REQUEST: ObjectRules = ObjectRules { place: "", members: REQUEST_MEMBERS };

const OUTPUT_CONFIG_MEMBERS: &[MemberRule] = &[
    mapped("effort", "`reasoning_effort`; `max` is `xhigh`"),
    mapped("format", "`response_format` with the name `answer`"),
    refused("task_budget", "OpenAI has none"),
];
pub const OUTPUT_CONFIG: ObjectRules =
    ObjectRules { place: "output_config", members: OUTPUT_CONFIG_MEMBERS };

const THINKING_MEMBERS: &[MemberRule] = &[
    mapped(
        "type",
        "`enabled`: by the budget; `adaptive`, `disabled`: as the server does by itself",
    ),
    mapped("budget_tokens", "below 4096 `low`, below 16384 `medium`, else `high`"),
    lossy("display", "what is thought is told, if the server does"),
];
pub const THINKING: ObjectRules = ObjectRules { place: "thinking", members: THINKING_MEMBERS };

const METADATA_MEMBERS: &[MemberRule] =
    &[mapped("user_id", "`user`; one of more than 64 bytes, which OpenAI refuses, is left out")];
pub const METADATA: ObjectRules = ObjectRules { place: "metadata", members: METADATA_MEMBERS };

const SYSTEM_MEMBERS: &[MemberRule] = &[
    mapped("type", "`text`; others are refused"),
    mapped("text", "a part of the text"),
    CACHE_CONTROL,
    refused("citations", "OpenAI has none"),
];
pub const SYSTEM: ObjectRules = ObjectRules { place: "system[]", members: SYSTEM_MEMBERS };

const MESSAGE_MEMBERS: &[MemberRule] = &[
    mapped(
        "role",
        "`role`; the last may not be an `assistant`, whose text the server would go on with",
    ),
    mapped(
        "content",
        "`content`, `tool_calls`, `reasoning_content`, and messages of the role `tool`",
    ),
];
pub const MESSAGE: ObjectRules = ObjectRules { place: "messages[]", members: MESSAGE_MEMBERS };

const BLOCK_MEMBERS: &[MemberRule] = &[
    mapped(
        "type",
        "`text`, `image`, `tool_use`, `tool_result`, `thinking`; `redacted_thinking` is left out; `document`, `search_result`, `server_tool_use` and others are refused",
    ),
    mapped("text", "`text`; those of an assistant become one"),
    mapped("source", "`image_url`"),
    mapped("id", "`id` of a call"),
    mapped("name", "`function.name` of a call"),
    mapped("input", "`function.arguments` of a call"),
    mapped("tool_use_id", "`tool_call_id`"),
    mapped(
        "content",
        "`content` of the role `tool`; its images follow in a message of the role `user`",
    ),
    mapped("is_error", "`Error: ` in front of the content, unless it begins so"),
    mapped("thinking", "`reasoning_content`"),
    lossy("signature", "OpenAI has none"),
    lossy("data", "thinking that only Anthropic can read"),
    lossy("citations", "of an earlier answer"),
    lossy("caller", "who called, where nobody but the model can"),
    CACHE_CONTROL,
];
pub const BLOCK: ObjectRules =
    ObjectRules { place: "messages[].content[]", members: BLOCK_MEMBERS };

const SOURCE_MEMBERS: &[MemberRule] = &[
    mapped("type", "`base64` or `url`; `file` is refused"),
    mapped("media_type", "of a `data:` URL"),
    mapped("data", "of a `data:` URL"),
    mapped("url", "`url`"),
];
pub const SOURCE: ObjectRules =
    ObjectRules { place: "messages[].content[].source", members: SOURCE_MEMBERS };

const RESULT_BLOCK_MEMBERS: &[MemberRule] = &[
    mapped("type", "`text` or `image`; others are refused"),
    mapped("text", "the content, joined by line feeds"),
    mapped("source", "`image_url`"),
    CACHE_CONTROL,
    lossy("citations", "of an earlier answer"),
];
pub const RESULT_BLOCK: ObjectRules =
    ObjectRules { place: "messages[].content[].content[]", members: RESULT_BLOCK_MEMBERS };

const TOOL_MEMBERS: &[MemberRule] = &[
    mapped(
        "type",
        "none or `custom`; the tools of the server (`web_search_…` and others) are refused",
    ),
    mapped("name", "`function.name`"),
    mapped("description", "`function.description`"),
    mapped("input_schema", "`function.parameters`"),
    mapped("strict", "`function.strict`"),
    CACHE_CONTROL,
    lossy("eager_input_streaming", "how the answer comes, and not which"),
    refused("defer_loading", "a tool of the server"),
    refused("input_examples", "OpenAI has none"),
    refused("allowed_callers", "a tool of the server").unless(IdleValue::Texts("direct")),
];
pub const TOOL: ObjectRules = ObjectRules { place: "tools[]", members: TOOL_MEMBERS };

const TOOL_CHOICE_MEMBERS: &[MemberRule] = &[
    mapped("type", "`auto`, `none`, `any` (`required`), `tool` (a function)"),
    mapped("name", "`function.name`"),
    mapped("disable_parallel_tool_use", "`parallel_tool_calls`, turned round"),
];
pub const TOOL_CHOICE: ObjectRules =
    ObjectRules { place: "tool_choice", members: TOOL_CHOICE_MEMBERS };
