//! Of a request to OpenAI chat completions, on its way to TGI.

use super::super::chat::{prompt, rules as chat};
use super::super::rules::{IdleValue, MemberRule, ObjectRules, lossy, mapped, refused};

pub const OBJECTS: &[&ObjectRules] = &[
    &REQUEST,
    &chat::STREAM_OPTIONS,
    &chat::RESPONSE_FORMAT,
    &chat::JSON_SCHEMA,
    &prompt::MESSAGE,
    &prompt::PART,
];

/// A member without a rule is kept in `parameters`, where all that is TGI's own stands.
const REQUEST_MEMBERS: &[MemberRule] = &[
    mapped("model", "left out: a server of TGI has one model"),
    mapped("messages", "`inputs`: one text of a user"),
    mapped("max_completion_tokens", "`parameters.max_new_tokens`"),
    mapped("max_tokens", "the same, where `max_completion_tokens` is not set"),
    mapped("stop", "`parameters.stop`"),
    mapped("stream", "the path: `/generate_stream` or `/generate`"),
    mapped("stream_options", "how the answer is written"),
    mapped(
        "temperature",
        "`parameters.temperature` and `.do_sample`; 0, which TGI refuses, is neither",
    ),
    mapped("top_p", "`parameters.top_p`; 1, which TGI refuses, is left out: it asks for nothing"),
    mapped("top_k", "`parameters.top_k`: not OpenAI's, and TGI's own"),
    mapped("seed", "`parameters.seed`"),
    mapped("frequency_penalty", "`parameters.frequency_penalty`"),
    refused("presence_penalty", "TGI has none").unless(IdleValue::Number(0.0)),
    mapped(
        "response_format",
        "`parameters.grammar` of the type `json`; `json_object` has no schema, and is refused",
    ),
    mapped("parameters", "TGI's own: joined with the members above, and none of them twice"),
    lossy("user", "TGI's servers have no users"),
    lossy("safety_identifier", "TGI's servers have no users"),
    lossy("service_tier", "there is one"),
    lossy("metadata", "for the caller's own records"),
    lossy("prediction", "makes an answer faster, and no other"),
    lossy("prompt_cache_key", "a hint for a cache"),
    lossy("prompt_cache_retention", "a hint for a cache"),
    refused("tools", "the template of the model is unknown"),
    refused("tool_choice", "as `tools`").unless(IdleValue::Text("auto")),
    refused("parallel_tool_calls", "as `tools`"),
    refused("reasoning_effort", "the template of the model is unknown"),
    mapped(
        "n",
        "`parameters.best_of` and `.do_sample`; above 1 it is refused of a stream, and so are `seed` and a `temperature` of 0 beside it",
    ),
    mapped("logprobs", "how the answer is written: TGI always tells"),
    mapped("top_logprobs", "`parameters.top_n_tokens`; without `logprobs` it is refused"),
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
