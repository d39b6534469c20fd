//! Of a request to OpenAI chat completions, on its way to Gemini.

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
    &EXTRA_CONTENT,
    &GOOGLE,
    &chat::CALLED,
    &chat::TOOL,
    &chat::FUNCTION,
];

const REQUEST_MEMBERS: &[MemberRule] = &[
    mapped("model", "a part of the path: `model`, or what the upstream is asked for in its place"),
    mapped("messages", "`systemInstruction` and `contents`"),
    mapped("max_completion_tokens", "`generationConfig.maxOutputTokens`"),
    mapped("max_tokens", "the same, where `max_completion_tokens` is not set"),
    mapped("stop", "`generationConfig.stopSequences`"),
    mapped("stream", "the path: `:streamGenerateContent?alt=sse`, or `:generateContent`"),
    mapped("stream_options", "how the answer is written"),
    mapped("temperature", "`generationConfig.temperature`"),
    mapped("top_p", "`generationConfig.topP`"),
    mapped("top_k", "`generationConfig.topK`: not OpenAI's, and Gemini's own"),
    mapped("seed", "`generationConfig.seed`"),
    mapped("frequency_penalty", "`generationConfig.frequencyPenalty`"),
    mapped("presence_penalty", "`generationConfig.presencePenalty`"),
    mapped("tools", "`tools[0].functionDeclarations`"),
    mapped(
        "tool_choice",
        "`toolConfig.functionCallingConfig`: `AUTO`, `NONE`, `ANY` (`required`), or `ANY` with one of `allowedFunctionNames`",
    ),
    mapped("parallel_tool_calls", "`false` is refused"),
    mapped("response_format", "`generationConfig.responseMimeType` and `.responseJsonSchema`"),
    mapped(
        "reasoning_effort",
        "`generationConfig.thinkingConfig`: `none` has a budget of 0, `minimal` and `low` of 1024, `medium` of 8192, others of 24576 tokens; what is thought is told",
    ),
    mapped(
        "generationConfig",
        "Gemini's own: joined with the members above, and none of them twice",
    ),
    kept("safetySettings", "not OpenAI's, and Gemini's own"),
    kept("cachedContent", "not OpenAI's, and Gemini's own"),
    lossy("user", "Gemini has no users"),
    lossy("safety_identifier", "Gemini has no users"),
    lossy("service_tier", "Gemini has one"),
    lossy("metadata", "for the caller's own records"),
    lossy("prediction", "makes an answer faster, and no other"),
    lossy("prompt_cache_key", "a hint for a cache"),
    lossy("prompt_cache_retention", "a hint for a cache"),
    mapped("n", "`generationConfig.candidateCount`"),
    mapped("logprobs", "`generationConfig.responseLogprobs`"),
    mapped("top_logprobs", "`generationConfig.logprobs`; without `logprobs` it is refused"),
    refused("logit_bias", "Gemini has none"),
    refused("store", "nothing is stored"),
    refused("modalities", "text alone is read").unless(IdleValue::Texts("text")),
    refused("audio", "text alone is read"),
    refused("verbosity", "Gemini has none").unless(IdleValue::Text("medium")),
    refused("web_search_options", "a tool of the server"),
    refused("functions", "deprecated: use `tools`"),
    refused("function_call", "deprecated: use `tool_choice`").unless(IdleValue::Text("none")),
];
pub const REQUEST: ObjectRules = ObjectRules { place: "", members: REQUEST_MEMBERS };

const MESSAGE_MEMBERS: &[MemberRule] = &[
    mapped(
        "role",
        "`system` and `developer` move into `systemInstruction`, wherever they stand; `assistant` is `model`, `tool` a `user`",
    ),
    mapped("content", "`parts`; an empty text is left out"),
    mapped("tool_calls", "parts `functionCall`"),
    mapped("tool_call_id", "`id` of a part `functionResponse`, with the name of the call"),
    mapped("refusal", "a part `text`"),
    lossy("reasoning_content", "Gemini takes back only thinking that it has signed"),
    lossy("reasoning", "as `reasoning_content`"),
    lossy("name", "Gemini's contents have none"),
    lossy("annotations", "of an earlier answer"),
    refused("audio", "Gemini reads other audio"),
    refused("function_call", "deprecated: use `tool_calls`"),
];
pub const MESSAGE: ObjectRules = ObjectRules { place: "messages[]", members: MESSAGE_MEMBERS };

const PART_MEMBERS: &[MemberRule] = &[
    mapped(
        "type",
        "`text`, `refusal`, or `image_url` of a `user` (`inlineData`); others are refused",
    ),
    mapped("text", "`text`"),
    mapped("refusal", "`text`"),
    mapped("image_url", "`inlineData`"),
];
pub const PART: ObjectRules = ObjectRules { place: "messages[].content[]", members: PART_MEMBERS };

const TOOL_CALL_MEMBERS: &[MemberRule] = &[
    mapped("id", "`functionCall.id`"),
    mapped("type", "other than `function` is refused"),
    mapped("function", "`functionCall` with `name` and `args`"),
    mapped("extra_content", "`thoughtSignature`, which Gemini wants back"),
    lossy("index", "of an earlier stream"),
];
pub const TOOL_CALL: ObjectRules =
    ObjectRules { place: "messages[].tool_calls[]", members: TOOL_CALL_MEMBERS };

const EXTRA_CONTENT_MEMBERS: &[MemberRule] = &[mapped("google", "Google's own way to say it")];
pub const EXTRA_CONTENT: ObjectRules =
    ObjectRules { place: "messages[].tool_calls[].extra_content", members: EXTRA_CONTENT_MEMBERS };

const GOOGLE_MEMBERS: &[MemberRule] = &[mapped("thought_signature", "`thoughtSignature`")];
pub const GOOGLE: ObjectRules =
    ObjectRules { place: "messages[].tool_calls[].extra_content.google", members: GOOGLE_MEMBERS };
