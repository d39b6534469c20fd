//! A configuration in parts: one text, put together, and which part each of its lines is from.
//!
//! A file is one part. In a store every upstream and every route may be a key of its own, as long as
//! it holds just that: what is cut out of a file is a part, with its `[[upstream]]` and its name.
//!
//! ```text
//!   config              [server] …            ┐
//!   upstreams/llama     [[upstream]] …        ├──▶ one text ──▶ parse ──▶ line 31 ──▶ routes/chat:2
//!   routes/chat         [[route]] …           ┘
//! ```
//!
//! * Parts stand in the order of their names, `config` first, so routes with the same path are asked
//!   in that order.
//! * No part can reach into another one: each is TOML by itself.

use std::fmt;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use crate::escape::escaped;

#[cfg(test)]
mod tests;

/// The part that may hold anything.
pub const WHOLE: &str = "config";

/// The kinds of parts that are one element of a list: the folder of their names, the list, and the
/// key that names an element, where it has one.
static ELEMENTS: [(&str, &str, Option<&str>); 4] = [
    ("upstreams", "upstream", Some("name")),
    ("routes", "route", None),
    ("prices", "price", None),
    (KEYS, KEYS, None),
];

/// The kind whose elements are tables in a table, each under its name: `[keys.NAME]`.
const KEYS: &str = "keys";

/// The text of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigText {
    text: String,
    /// Name of each part, and its first line, counted from 0.
    parts: Vec<(String, usize)>,
    /// It comes from a store.
    of_store: bool,
}

impl ConfigText {
    /// Of one file.
    pub fn of_file(path: &Path, text: String) -> ConfigText {
        ConfigText { text, parts: vec![(path.display().to_string(), 0)], of_store: false }
    }

    /// Whether it comes from a store.
    pub fn is_of_store(&self) -> bool {
        self.of_store
    }

    /// Of the parts that a store has, each with its name below `place` (`upstreams/llama`). All that
    /// is wrong with the parts as such is told, a sentence each.
    pub fn of_parts<'p>(
        place: &str,
        parts: impl IntoIterator<Item = (&'p str, &'p [u8])>,
    ) -> Result<ConfigText, Vec<String>> {
        let mut ordered: Vec<(&str, &[u8])> = parts.into_iter().collect();
        ordered.sort_by_key(|(name, _)| (*name != WHOLE, *name));
        let (mut whole, mut wrong) =
            (ConfigText { text: String::new(), parts: Vec::new(), of_store: true }, vec![]);
        let mut lines = 0;
        for (name, bytes) in ordered {
            let shown = format!("{place}/{name}");
            match part(name, bytes) {
                Ok(text) => {
                    whole.parts.push((shown, lines));
                    lines += text.lines().count();
                    whole.text.push_str(text);
                    if !text.is_empty() && !text.ends_with('\n') {
                        whole.text.push('\n');
                    }
                }
                Err(why) => wrong.push(escaped(&format!("{shown}: {why}")).into_owned()),
            }
        }
        if wrong.is_empty() { Ok(whole) } else { Err(wrong) }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The problem as compilers write it, `PART:LINE: KEY: REASON`.
    pub fn tell(&self, problem: &Problem) -> String {
        let Some(line) = problem.line else {
            let first = self.parts.first().map_or("", |(name, _)| name.as_str());
            let name = if self.parts.len() == 1 { first } else { folder(first) };
            return problem.in_file(Path::new(name));
        };
        // The first part begins with the first line.
        let at = self.parts.partition_point(|(_, first)| *first < line).saturating_sub(1);
        let (name, first) = self.parts.get(at).map_or(("", 0), |(name, first)| (name, *first));
        let within = Problem { line: Some(line - first), ..problem.clone() };
        within.in_file(Path::new(name))
    }
}

/// What stands above the last slash.
fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(folder, _)| folder)
}

/// Whether a part can have this name.
pub fn is_part_name(name: &str) -> bool {
    name == WHOLE || element_of(name).is_some()
}

/// Which kind of part has this name, and which element it is.
#[expect(clippy::type_complexity, reason = "a row of the table, and a name")]
fn element_of(
    name: &str,
) -> Option<(&'static (&'static str, &'static str, Option<&'static str>), &str)> {
    let (kind, element) = name.split_once('/')?;
    let found = ELEMENTS.iter().find(|(folder, ..)| *folder == kind)?;
    let good = |letter: char| letter != '/' && !letter.is_control();
    (!element.is_empty() && element.chars().all(good)).then_some((found, element))
}

/// The text of a part, if it is one.
fn part<'p>(name: &str, bytes: &'p [u8]) -> Result<&'p str, NoPart> {
    let text = std::str::from_utf8(bytes).map_err(|_| NoPart::NotUtf8)?;
    let (root, errors) = DeTable::parse_recoverable(text);
    if let Some(error) = errors.first() {
        let offset = error.span().map_or(0, |span| span.start);
        let line = 1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..offset]).count();
        return Err(NoPart::Syntax(line, error.message().to_owned()));
    }
    if name == WHOLE {
        return Ok(text);
    }
    let Some(((_, list, key), element)) = element_of(name) else { return Err(NoPart::Unknown) };
    let root = root.into_inner();
    let elements = match root.iter().next() {
        Some((only, value)) if only.get_ref() == *list && root.len() == 1 => value.get_ref(),
        _ => return Err(NoPart::NotOne(list)),
    };
    if *list == KEYS {
        let named = match elements {
            DeValue::Table(keys) if keys.len() == 1 => keys.iter().next().map(|(name, _)| name),
            _ => None,
        };
        return match named {
            Some(name) if name.get_ref() == element => Ok(text),
            _ => Err(NoPart::OtherKey(element.to_owned())),
        };
    }
    let first = match elements {
        DeValue::Array(elements) if elements.len() == 1 => elements[0].get_ref(),
        _ => return Err(NoPart::NotOne(list)),
    };
    if let Some(key) = key {
        let named = match first {
            DeValue::Table(table) => table.get(*key).and_then(|name| name.get_ref().as_str()),
            _ => None,
        };
        if named != Some(element) {
            return Err(NoPart::OtherName(list, element.to_owned()));
        }
    }
    Ok(text)
}

/// Why something is no part.
#[derive(Debug, PartialEq, Eq)]
enum NoPart {
    NotUtf8,
    /// In which line, and what is wrong.
    Syntax(usize, String),
    Unknown,
    /// It has to hold one element of this list, and nothing else.
    NotOne(&'static str),
    /// The element of this list has to have this name.
    OtherName(&'static str, String),
    /// It has to hold the key of this name, and nothing else.
    OtherKey(String),
}

impl fmt::Display for NoPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPart::NotUtf8 => f.write_str("this is not valid UTF-8, as TOML has to be"),
            NoPart::Syntax(line, why) => write!(f, "line {line}: TOML syntax: {why}"),
            NoPart::Unknown => f.write_str(
                "there is no such part; parts are config, upstreams/NAME, routes/NAME, prices/NAME, \
                 keys/NAME",
            ),
            NoPart::NotOne(KEYS) => f.write_str("this has to hold one [keys.NAME] and nothing else"),
            NoPart::NotOne(list) => write!(f, "this has to hold one [[{list}]] and nothing else"),
            NoPart::OtherKey(name) => {
                write!(f, "this has to hold [keys.{name}] and nothing else")
            }
            NoPart::OtherName(list, name) => {
                write!(f, "the [[{list}]] in here has to have the name {name:?}")
            }
        }
    }
}
