//! A request of OpenAI chat for a server that takes a prompt and no messages.
//!
//! How a conversation becomes a prompt is told by the template of the model, which the gateway does not
//! have; another one would give answers that are worse, and nobody would know why. So one text of a user is
//! the prompt, as it stands, and everything else is refused.

use serde_json::Value;

use super::super::Untranslatable;
use super::super::members::want_text;
use super::super::rules::{MemberRule, Members, ObjectRules, lossy, mapped, nothing_left, refused};
use super::request::{take_content, take_messages, text_of};

const MESSAGE_MEMBERS: &[MemberRule] = &[
    mapped("role", "`user`; others are refused"),
    mapped("content", "the prompt: its texts as one"),
    lossy("name", "a prompt has none"),
    refused("tool_calls", "a prompt has none"),
    refused("tool_call_id", "a prompt has none"),
    refused("refusal", "a prompt has none"),
    refused("reasoning_content", "a prompt has none"),
    refused("reasoning", "a prompt has none"),
    refused("audio", "a prompt has none"),
    refused("function_call", "a prompt has none"),
];
pub const MESSAGE: ObjectRules = ObjectRules { place: "messages[]", members: MESSAGE_MEMBERS };

const PART_MEMBERS: &[MemberRule] = &[
    mapped("type", "`text`; others are refused"),
    mapped("text", "a part of the prompt"),
    refused("refusal", "a prompt has none"),
    refused("image_url", "a prompt has none"),
];
pub const PART: ObjectRules = ObjectRules { place: "messages[].content[]", members: PART_MEMBERS };

/// Takes the messages, which have to be one text of a user.
pub fn take_prompt(asked: &mut Members) -> Result<String, Untranslatable> {
    let messages = take_messages(asked)?;
    let [message] = <[Value; 1]>::try_from(messages).map_err(|_| {
        let why = "is more than one text of a user, and the server takes a prompt, for which the chat \
                   template of its model would have to be known: translate to `openai` if it has \
                   `/v1/chat/completions`";
        Untranslatable::new("messages", why)
    })?;
    let at = "messages[0]";
    let mut message = MESSAGE.sift_whole(message, at)?;
    if want_text(&mut message, "role", at)? != "user" {
        return Err(Untranslatable::member(at, "role", "is no `user`"));
    }
    let parts = take_content(&mut message, &PART, false, at)?;
    nothing_left(&message, at)?;
    Ok(text_of(parts))
}
