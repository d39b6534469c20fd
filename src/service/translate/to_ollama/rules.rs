//! Of a request to OpenAI chat completions, on its way to Ollama.

use super::super::chat::rules as chat;
use super::super::rules::{IdleValue, MemberRule, ObjectRules, kept, lossy, mapped, refused};

pub const OBJECTS: &[&ObjectRules] = &[
    &REQUEST,
    &chat::STREAM_OPTIONS,
    &chat::RESPONSE_FORMAT,
    &chat::JSON_SCHEMA,
    &MESSAGE,
    &PART,
    &chat::IMAGE_URL,
    &TOOL_CALL,
    &chat::CALLED,
    &chat::TOOL,
    &chat::FUNCTION,
];

const REQUEST_MEMBERS: &[MemberRule] = &[
    mapped("model", "`model`, or what the upstream is asked for in its place"),
    mapped("messages", "`messages`"),
    mapped("max_completion_tokens", "`options.num_predict`"),
    mapped("max_tokens", "`options.num_predict`, where `max_completion_tokens` is not set"),
    mapped("stop", "`options.stop`"),
    mapped("stream", "`stream`, which is `false` where nobody asks: Ollama's default is `true`"),
    mapped("stream_options", "how the answer is written"),
    mapped("temperature", "`options.temperature`"),
    mapped("top_p", "`options.top_p`"),
    mapped("top_k", "`options.top_k`: not OpenAI's, and Ollama's own"),
    mapped("min_p", "`options.min_p`, as `top_k`"),
    mapped("seed", "`options.seed`"),
    mapped("frequency_penalty", "`options.frequency_penalty`"),
    mapped("presence_penalty", "`options.presence_penalty`"),
    mapped("repeat_penalty", "`options.repeat_penalty`, as `top_k`"),
    mapped("options", "Ollama's own: joined with the members above, and none of them twice"),
    mapped("tools", "`tools`"),
    mapped("tool_choice", "`auto`; with `none` the tools are left out; others are refused"),
    mapped("parallel_tool_calls", "`false` is refused"),
    mapped("response_format", "`format`: `json`, or the schema"),
    mapped(
        "reasoning_effort",
        "`think`: `none` is `false`, `minimal` is `low`, `xhigh` and `max` are `high`",
    ),
    kept("think", "not OpenAI's, and Ollama's own"),
    kept("keep_alive", "not OpenAI's, and Ollama's own"),
    kept("format", "not OpenAI's, and Ollama's own"),
    lossy("user", "Ollama has no users"),
    lossy("safety_identifier", "Ollama has no users"),
    lossy("service_tier", "Ollama has one"),
    lossy("metadata", "for the caller's own records"),
    lossy("prediction", "makes an answer faster, and no other"),
    lossy("prompt_cache_key", "a hint for a cache"),
    lossy("prompt_cache_retention", "a hint for a cache"),
    refused("n", "Ollama has one answer").unless(IdleValue::Number(1.0)),
    mapped("logprobs", "`logprobs`; Ollama before 0.12.11 tells none"),
    mapped("top_logprobs", "`top_logprobs`; without `logprobs` it is refused"),
    refused("logit_bias", "Ollama has none"),
    refused("store", "nothing is stored"),
    refused("modalities", "Ollama answers in text").unless(IdleValue::Texts("text")),
    refused("audio", "Ollama answers in text"),
    refused("verbosity", "Ollama has none").unless(IdleValue::Text("medium")),
    refused("web_search_options", "a tool of the server"),
    refused("functions", "deprecated: use `tools`"),
    refused("function_call", "deprecated: use `tool_choice`").unless(IdleValue::Text("none")),
];
pub const REQUEST: ObjectRules = ObjectRules { place: "", members: REQUEST_MEMBERS };

const MESSAGE_MEMBERS: &[MemberRule] = &[
    mapped("role", "`role`; `developer` is a `system`"),
    mapped("content", "`content`: its texts as one, and `images`"),
    mapped("tool_calls", "`tool_calls`"),
    mapped("tool_call_id", "`tool_call_id`, and `tool_name` of the call with that id"),
    mapped("refusal", "a part of `content`"),
    mapped("reasoning_content", "`thinking`"),
    mapped("reasoning", "as `reasoning_content`"),
    lossy("name", "Ollama's messages have none"),
    lossy("annotations", "of an earlier answer"),
    refused("audio", "Ollama reads none"),
    refused("function_call", "deprecated: use `tool_calls`"),
];
pub const MESSAGE: ObjectRules = ObjectRules { place: "messages[]", members: MESSAGE_MEMBERS };

const PART_MEMBERS: &[MemberRule] = &[
    mapped("type", "`text`, `refusal`, or `image_url` of a `user`; others are refused"),
    mapped("text", "a part of `content`"),
    mapped("refusal", "a part of `content`"),
    mapped("image_url", "one of `images`; where it stood between the texts is lost"),
];
pub const PART: ObjectRules = ObjectRules { place: "messages[].content[]", members: PART_MEMBERS };

const TOOL_CALL_MEMBERS: &[MemberRule] = &[
    mapped("id", "`id`"),
    mapped("type", "other than `function` is refused"),
    mapped("function", "`function` with `name` and `arguments`, which is an object"),
    lossy("index", "of an earlier stream"),
    lossy("extra_content", "of another server"),
];
pub const TOOL_CALL: ObjectRules =
    ObjectRules { place: "messages[].tool_calls[]", members: TOOL_CALL_MEMBERS };
