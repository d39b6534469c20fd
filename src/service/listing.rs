//! Lists of models: what a server says it has, and what a client is told, in the three forms there are.
//!
//! | form | asked for by | a list is | a model is |
//! |---|---|---|---|
//! | OpenAI | `GET /v1/models` | `{"object":"list","data":[…]}` | `id`, `object`, `created`, `owned_by` |
//! | Anthropic | the same, with `anthropic-version` | `{"data":[…],"has_more","first_id","last_id"}` | `id`, `type`, `display_name`, `created_at` |
//! | Ollama | `GET /api/tags` | `{"models":[…]}` | `name`, `model`, `modified_at`, `size`, `digest`, `details` |
//!
//! A list is read whatever its form, since servers mix them: llama.cpp answers with `data` and `models`.
//!
//! * Bounded: no more than [`MODELS_MAX`] models, no name longer than [`NAME_BYTES_MAX`].
//! * An element that names no model is passed over. A text in which none does is no list.

mod write;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use serde_json::Value;

use super::Setting;
use crate::http::json::{Decoder, Member, elements, members};
use crate::http::timestamp;

pub use self::write::{WrittenModel, anthropic_page, ollama_list, openai_list};

/// Models of one server beyond these are left out: nobody chooses from a longer list.
pub const MODELS_MAX: usize = 2_048;
/// As long as a name in the configuration may be.
pub const NAME_BYTES_MAX: usize = 256;
/// What Ollama tells of a file is shorter.
const DETAILS_BYTES_MAX: usize = 2 << 10;

/// One model, as far as a list tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelEntry {
    /// What a request calls it. Not empty, and no control character in it.
    pub id: String,
    /// Seconds since 1970; 0: nobody has said.
    pub created: u64,
    /// Empty: nobody has said.
    pub owned_by: String,
    /// What people call it; `None`: as requests do.
    pub display_name: Option<String>,
    /// What Ollama says of its file.
    pub file: Option<ModelFile>,
}

/// What Ollama says of the file of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    pub size: u64,
    pub digest: String,
    /// A JSON object, written by us.
    pub details: String,
}

impl ModelEntry {
    /// A model of which nothing but its name is known.
    pub fn named(id: &str) -> ModelEntry {
        ModelEntry { id: id.to_owned(), ..ModelEntry::default() }
    }
}

/// What a server of this kind is asked for its list: a path, and lines of the head that belong to it.
pub fn question(setting: Setting) -> (&'static str, &'static str) {
    match setting {
        Setting::Ollama => ("/api/tags", ""),
        // As many as a page may have, or the rest of twenty would be missing.
        Setting::Anthropic => ("/v1/models?limit=1000", "anthropic-version: 2023-06-01\r\n"),
        _ => ("/v1/models", ""),
    }
}

/// Why a text is no list of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoList {
    /// No JSON object with a `data` or `models` of elements.
    Shape,
    /// No element of it names a model.
    Names,
}

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoList::Shape => "the answer is no list of models",
            NoList::Names => "the answer is a list in which nothing names a model",
        })
    }
}

/// Reads the list that a server has answered with.
pub fn read(text: &[u8]) -> Result<Vec<ModelEntry>, NoList> {
    let places = list(text).ok_or(NoList::Shape)?;
    let found = places.iter().filter_map(|place| model(text, place.clone()));
    let models: Vec<ModelEntry> = found.take(MODELS_MAX).collect();
    match models.is_empty() && !places.is_empty() {
        true => Err(NoList::Names),
        false => Ok(models),
    }
}

/// Where the elements of the list lie.
fn list(text: &[u8]) -> Option<Vec<Range<usize>>> {
    let members = members(text, 0..text.len())?;
    let place = place_of(&members, "data").or_else(|| place_of(&members, "models"))?;
    // What Go writes for a list that was never begun.
    if &text[place.clone()] == b"null" {
        return Some(Vec::new());
    }
    elements(text, place)
}

fn place_of(members: &[Member<'_>], key: &str) -> Option<Range<usize>> {
    members.iter().find(|member| member.key == key.as_bytes()).map(|member| member.value.clone())
}

fn model(text: &[u8], place: Range<usize>) -> Option<ModelEntry> {
    let members = members(text, place)?;
    let value = |key: &str| place_of(&members, key).map(|place| &text[place]);
    let name = |key: &str| string(value(key)?);
    let id = name("id").or_else(|| name("model")).or_else(|| name("name"))?;
    let moment = |key: &str| timestamp::read(&string(value(key)?)?);
    let created = value("created").and_then(number);
    let created = created.or_else(|| moment("created_at")).or_else(|| moment("modified_at"));
    let file = value("details").and_then(details).zip(name("digest")).map(|(details, digest)| {
        let size = value("size").and_then(number).unwrap_or_default();
        ModelFile { size, digest, details }
    });
    let owned_by = name("owned_by").unwrap_or_default();
    let display_name = name("display_name").filter(|shown| *shown != id);
    Some(ModelEntry { id, created: created.unwrap_or_default(), owned_by, display_name, file })
}

/// A JSON string that a name can be.
fn string(written: &[u8]) -> Option<String> {
    let inside = written.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let (mut bytes, mut decoder) = (Vec::new(), Decoder::new());
    decoder.push(inside, |decoded| {
        (bytes.len() + decoded.len() <= NAME_BYTES_MAX).then(|| bytes.extend_from_slice(decoded))
    });
    let text = String::from_utf8(bytes).ok().filter(|_| decoder.is_whole())?;
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

/// A number of seconds or bytes; a fraction is left out.
fn number(written: &[u8]) -> Option<u64> {
    let whole = written.split(|byte| *byte == b'.').next()?;
    str::from_utf8(whole).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

/// An object, written anew: what was passed over unread may be no JSON.
fn details(written: &[u8]) -> Option<String> {
    if written.len() > DETAILS_BYTES_MAX {
        return None;
    }
    let value: Value = serde_json::from_slice(written).ok()?;
    value.is_object().then(|| value.to_string())
}
