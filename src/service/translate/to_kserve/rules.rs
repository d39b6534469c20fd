//! Of a request to OpenAI chat completions, on its way to the open inference protocol.

use super::super::chat::{prompt, rules as chat};
use super::super::rules::{IdleValue, MemberRule, ObjectRules, lossy, mapped, refused};

pub const OBJECTS: &[&ObjectRules] =
    &[&REQUEST, &chat::STREAM_OPTIONS, &chat::RESPONSE_FORMAT, &prompt::MESSAGE, &prompt::PART];

/// A member without a rule is kept in `parameters`, where all that is the server's own stands.
const REQUEST_MEMBERS: &[MemberRule] = &[
    mapped("model", "a part of the path: `model`, or what the upstream is asked for in its place"),
    mapped("messages", "a tensor `BYTES` of one element: one text of a user"),
    mapped("max_completion_tokens", "`parameters.max_tokens`"),
    mapped("max_tokens", "the same, where `max_completion_tokens` is not set"),
    mapped(
        "stop",
        "`parameters.stop`: one text; more are refused, since a parameter is a single value",
    ),
    mapped("stream", "how the answer is written: it comes in one piece"),
    mapped("stream_options", "how the answer is written"),
    mapped("temperature", "`parameters.temperature`"),
    mapped("top_p", "`parameters.top_p`"),
    mapped("top_k", "`parameters.top_k`: not OpenAI's, and known to most servers"),
    mapped("seed", "`parameters.seed`"),
    mapped("frequency_penalty", "`parameters.frequency_penalty`"),
    mapped("presence_penalty", "`parameters.presence_penalty`"),
    mapped("response_format", "`text`; others are refused"),
    mapped(
        "parameters",
        "the protocol's own: joined with the members above, and none of them twice",
    ),
    lossy("user", "there are no users"),
    lossy("safety_identifier", "there are no users"),
    lossy("service_tier", "there is one"),
    lossy("metadata", "for the caller's own records"),
    lossy("prediction", "makes an answer faster, and no other"),
    lossy("prompt_cache_key", "a hint for a cache"),
    lossy("prompt_cache_retention", "a hint for a cache"),
    refused("tools", "the template of the model is unknown"),
    refused("tool_choice", "as `tools`").unless(IdleValue::Text("auto")),
    refused("parallel_tool_calls", "as `tools`"),
    refused("reasoning_effort", "the template of the model is unknown"),
    refused("n", "there is one answer").unless(IdleValue::Number(1.0)),
    refused("logprobs", "each server tells them in tensors of its own"),
    refused("top_logprobs", "as `logprobs`").unless(IdleValue::Number(0.0)),
    refused("logit_bias", "there is none"),
    refused("store", "nothing is stored"),
    refused("modalities", "the answer is text").unless(IdleValue::Texts("text")),
    refused("audio", "the answer is text"),
    refused("verbosity", "there is none").unless(IdleValue::Text("medium")),
    refused("web_search_options", "a tool of the server"),
    refused("functions", "deprecated: use `tools`"),
    refused("function_call", "deprecated: use `tool_choice`").unless(IdleValue::Text("none")),
];
pub const REQUEST: ObjectRules = ObjectRules { place: "", members: REQUEST_MEMBERS };
