//! The request that asks for the rest of an answer.
//!
//! | dialect | the text goes | tokens are bounded by |
//! |---|---|---|
//! | OpenAI completions | behind `prompt` | `max_tokens`, `n_predict` |
//! | TGI | behind `inputs` | `parameters.max_new_tokens` |
//! | OpenAI chat | into a last message of the assistant's, with `continue_final_message` | `max_tokens`, `max_completion_tokens` |
//!
//! A last message that is the assistant's already, and that the client itself wants continued, is
//! what the text is added to.

use std::ops::Range;

use crate::http::json::{Member, Walker, Words, elements, escape, members};
use crate::service::Dialect;

/// Why a request cannot be asked in two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncontinuable {
    /// Its dialect has no place for the text.
    Dialect,
    /// It is no JSON, or can be read in two ways.
    Unread,
    /// It says something that would not mean the same again, or might not.
    Member,
    /// Its prompt is no text.
    Prompt,
    /// It has had all the tokens it asked for.
    Spent,
}

/// Members of a request that mean the same for the rest of an answer as for the whole.
const SAME: [&str; 27] = [
    "add_special_tokens",
    "cache_prompt",
    "frequency_penalty",
    "ignore_eos",
    "include_stop_str_in_output",
    "logit_bias",
    "metadata",
    "min_p",
    "model",
    "presence_penalty",
    "priority",
    "repeat_last_n",
    "repeat_penalty",
    "repetition_penalty",
    "seed",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "stop",
    "stop_token_ids",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "user",
];

/// The same of TGI's parameters.
const SAME_TGI: [&str; 12] = [
    "adapter_id",
    "details",
    "do_sample",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
    "stop",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "watermark",
];

/// Members that mean nothing with one of these values.
const NEUTRAL: [(&str, &[&str]); 16] = [
    ("best_of", &["1", "null"]),
    ("decoder_input_details", &["false", "null"]),
    ("echo", &["false", "null"]),
    ("function_call", &["null", "\"none\""]),
    ("functions", &["null", "[]"]),
    ("grammar", &["null"]),
    ("logprobs", &["false", "null"]),
    ("n", &["1", "null"]),
    ("response_format", &["null"]),
    ("return_full_text", &["false", "null"]),
    ("suffix", &["null", "\"\""]),
    ("tool_choice", &["null", "\"none\""]),
    ("tools", &["null", "[]"]),
    ("top_logprobs", &["0", "null"]),
    ("top_n_tokens", &["0", "null"]),
    ("truncate", &["null"]),
];

/// Where a request changes.
#[derive(Debug)]
struct Seam {
    /// The text goes here: inside a string, or as a message of its own.
    at: usize,
    place: Place,
    /// Where the number of tokens stands, and what it is.
    bound: Option<(Range<usize>, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the closing quote of a string.
    String,
    /// Behind the last message.
    Message,
}

/// Whether the rest of an answer to this request could be asked for.
pub fn is_fit(dialect: Dialect, body: &[u8]) -> Result<(), Uncontinuable> {
    seam(dialect, body).map(drop)
}

/// The body of the request that asks for what comes behind `text`, which took `tokens`.
pub fn continued(
    dialect: Dialect,
    body: &[u8],
    text: &str,
    tokens: u64,
) -> Result<Vec<u8>, Uncontinuable> {
    let Seam { at, place, bound } = seam(dialect, body)?;
    let mut changes: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
    let mut added = Vec::with_capacity(text.len() + text.len() / 8);
    if place == Place::Message {
        added.extend_from_slice(br#",{"role":"assistant","content":""#);
    }
    escape(text, &mut added);
    if place == Place::Message {
        added.extend_from_slice(br#""}"#);
        // Behind the brace that opens the object, which is the first byte but for white space.
        let open = body.iter().position(|byte| *byte == b'{').ok_or(Uncontinuable::Unread)? + 1;
        let flags = br#""continue_final_message":true,"add_generation_prompt":false,"#;
        changes.push((open..open, flags.to_vec()));
    }
    changes.push((at..at, added));
    if let Some((range, most)) = bound {
        let left = most.checked_sub(tokens).filter(|left| *left > 0).ok_or(Uncontinuable::Spent)?;
        changes.push((range, left.to_string().into_bytes()));
    }
    changes.sort_by_key(|(range, _)| range.start);
    let mut made = Vec::with_capacity(body.len() + text.len() + text.len() / 8 + 128);
    let mut from = 0;
    for (range, bytes) in changes {
        made.extend_from_slice(&body[from..range.start]);
        made.extend_from_slice(&bytes);
        from = range.end;
    }
    made.extend_from_slice(&body[from..]);
    Ok(made)
}

fn seam(dialect: Dialect, body: &[u8]) -> Result<Seam, Uncontinuable> {
    if !is_json(body) {
        return Err(Uncontinuable::Unread);
    }
    let all = once(members(body, 0..body.len()))?;
    let outer = Reading { body, members: &all };
    match dialect {
        Dialect::OpenAiCompletions => {
            outer.allow(&SAME, &["prompt", "max_tokens", "n_predict"])?;
            let bound = outer.bound(&["max_tokens", "n_predict"])?;
            Ok(Seam { at: outer.string("prompt")?.end, place: Place::String, bound })
        }
        Dialect::Tgi => {
            outer.allow(&[], &["inputs", "parameters", "stream"])?;
            let at = outer.string("inputs")?.end;
            let bound = match outer.value("parameters") {
                None => None,
                Some((_, b"null")) => None,
                Some((place, _)) => {
                    let inner = once(members(body, place))?;
                    let inner = Reading { body, members: &inner };
                    inner.allow(&SAME_TGI, &["max_new_tokens"])?;
                    inner.bound(&["max_new_tokens"])?
                }
            };
            Ok(Seam { at, place: Place::String, bound })
        }
        Dialect::OpenAiChat => {
            let limits = ["max_tokens", "max_completion_tokens"];
            let flags = ["add_generation_prompt", "continue_final_message"];
            outer.allow(&SAME, &[&limits[..], &flags[..], &["messages"]].concat())?;
            let bound = outer.bound(&limits)?;
            let (at, place) = last_message(&outer)?;
            Ok(Seam { at, place, bound })
        }
        _ => Err(Uncontinuable::Dialect),
    }
}

/// Where a chat takes the text.
fn last_message(outer: &Reading<'_>) -> Result<(usize, Place), Uncontinuable> {
    let (place, _) = outer.value("messages").ok_or(Uncontinuable::Prompt)?;
    let messages = elements(outer.body, place).ok_or(Uncontinuable::Prompt)?;
    let last = messages.last().ok_or(Uncontinuable::Prompt)?.clone();
    let inner = once(members(outer.body, last.clone()))?;
    let message = Reading { body: outer.body, members: &inner };
    let (_, role) = message.value("role").ok_or(Uncontinuable::Prompt)?;
    let continues = outer.value("continue_final_message").map(|(_, value)| value);
    let prompts = outer.value("add_generation_prompt").map(|(_, value)| value);
    match (role, continues, prompts) {
        (br#""assistant""#, Some(b"true"), Some(b"false")) => {
            message.allow(&[], &["role", "content"])?;
            Ok((message.string("content")?.end, Place::String))
        }
        // Another message of the assistant's behind it, or a request that says how it is to be
        // put to the model, would mean something else.
        (br#""assistant""#, ..) | (_, Some(_), _) | (_, _, Some(_)) => Err(Uncontinuable::Member),
        (_, None, None) => Ok((last.end, Place::Message)),
    }
}

/// The members of an object, none of which comes twice.
fn once(members: Option<Vec<Member<'_>>>) -> Result<Vec<Member<'_>>, Uncontinuable> {
    let members = members.ok_or(Uncontinuable::Unread)?;
    let mut keys: Vec<&[u8]> = members.iter().map(|member| member.key).collect();
    keys.sort_unstable();
    match keys.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(Uncontinuable::Unread),
        false => Ok(members),
    }
}

fn is_json(body: &[u8]) -> bool {
    const NOTHING: Words = Words::new(&["-"]);
    let mut walker = Walker::new();
    walker.feed(&NOTHING, body, |_, _, _| {});
    walker.is_complete() && std::str::from_utf8(body).is_ok()
}

struct Reading<'b> {
    body: &'b [u8],
    members: &'b [Member<'b>],
}

impl<'b> Reading<'b> {
    /// Whether there are no other members than these, and those that mean nothing.
    fn allow(&self, same: &[&str], own: &[&str]) -> Result<(), Uncontinuable> {
        let known = |member: &Member<'_>| {
            let is = |name: &&str| name.as_bytes() == member.key;
            let value = &self.body[member.value.clone()];
            let neutral = NEUTRAL.iter().find(|(name, _)| is(name)).map_or(&[][..], |it| it.1);
            same.iter().chain(own).any(is)
                || neutral.iter().any(|neutral| neutral.as_bytes() == value)
        };
        self.members.iter().all(known).then_some(()).ok_or(Uncontinuable::Member)
    }

    fn value(&self, name: &str) -> Option<(Range<usize>, &'b [u8])> {
        let member = self.members.iter().find(|member| member.key == name.as_bytes())?;
        Some((member.value.clone(), &self.body[member.value.clone()]))
    }

    /// Where the inside of a string lies.
    fn string(&self, name: &str) -> Result<Range<usize>, Uncontinuable> {
        let (place, value) = self.value(name).ok_or(Uncontinuable::Prompt)?;
        match value.first() {
            Some(b'"') => Ok(place.start + 1..place.end - 1),
            _ => Err(Uncontinuable::Prompt),
        }
    }

    /// The number of tokens that is asked for, under one of these names.
    fn bound(&self, names: &[&str]) -> Result<Option<(Range<usize>, u64)>, Uncontinuable> {
        let stated = names.iter().filter_map(|name| self.value(name));
        let mut stated = stated.filter(|(_, value)| *value != b"null");
        let Some((place, value)) = stated.next() else { return Ok(None) };
        let digits = value.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        match (stated.next(), number.filter(|_| digits)) {
            (None, Some(number)) => Ok(Some((place, number))),
            _ => Err(Uncontinuable::Member),
        }
    }
}
