//! What becomes of the objects in a request of OpenAI chat that most other dialects say alike.

use super::super::rules::{MemberRule, ObjectRules, lossy, mapped};

const STREAM_OPTIONS_MEMBERS: &[MemberRule] = &[
    mapped("include_usage", "an event with `usage` ends the stream"),
    lossy("include_obfuscation", "no delta is padded"),
    lossy("continuous_usage_stats", "vLLM's own: usage is told at the end"),
];
pub const STREAM_OPTIONS: ObjectRules =
    ObjectRules { place: "stream_options", members: STREAM_OPTIONS_MEMBERS };

const RESPONSE_FORMAT_MEMBERS: &[MemberRule] = &[
    mapped("type", "`json_schema`, `json_object`, or nothing (`text`)"),
    mapped("json_schema", "the schema of the answer"),
];
pub const RESPONSE_FORMAT: ObjectRules =
    ObjectRules { place: "response_format", members: RESPONSE_FORMAT_MEMBERS };

const JSON_SCHEMA_MEMBERS: &[MemberRule] = &[
    mapped("schema", "the schema of the answer"),
    lossy("name", "it has none there"),
    lossy("description", "it has none there"),
    lossy("strict", "the schema is always kept to"),
];
pub const JSON_SCHEMA: ObjectRules =
    ObjectRules { place: "response_format.json_schema", members: JSON_SCHEMA_MEMBERS };

const IMAGE_URL_MEMBERS: &[MemberRule] = &[
    mapped("url", "of a `data:` URL in base64 the data; others are refused"),
    lossy("detail", "there is one resolution"),
];
pub const IMAGE_URL: ObjectRules =
    ObjectRules { place: "messages[].content[].image_url", members: IMAGE_URL_MEMBERS };

const CALLED_MEMBERS: &[MemberRule] =
    &[mapped("name", "the name"), mapped("arguments", "an object, or nothing")];
pub const CALLED: ObjectRules =
    ObjectRules { place: "messages[].tool_calls[].function", members: CALLED_MEMBERS };

const TOOL_MEMBERS: &[MemberRule] =
    &[mapped("type", "other than `function` is refused"), mapped("function", "the tool itself")];
pub const TOOL: ObjectRules = ObjectRules { place: "tools[]", members: TOOL_MEMBERS };

const FUNCTION_MEMBERS: &[MemberRule] = &[
    mapped("name", "the name"),
    mapped("description", "the description"),
    mapped("parameters", "the schema of its arguments"),
    lossy("strict", "there is no such promise"),
];
pub const FUNCTION: ObjectRules =
    ObjectRules { place: "tools[].function", members: FUNCTION_MEMBERS };
