//! A keys file as `sluicegate key` changes it: text in, text out.
//!
//! The file is a person's as well: what it says beside the one key that is meant stays as it is written,
//! comments included. So the text is changed line by line, and what has come of it is read again: a file
//! whose form is another than expected is not written.
//!
//! ```text
//!   # whose it is                ┐
//!   [keys.team-a]                │ the table of team-a, up to the comments of the next
//!   hash = "sha256:…"            │
//!   models = ["llama-*"]         ┘
//! ```

use super::Problem;
use super::check;
use super::show;
use super::snapshot::{KeyDigest, KeyHolder, KeySettings};
use crate::http::timestamp;

#[cfg(test)]
mod tests;

/// Why a keys file is not changed.
#[derive(Debug, PartialEq, Eq)]
pub enum KeysFileError {
    /// It is no keys file.
    Broken(Vec<Problem>),
    /// There is a key of this name already.
    Taken,
    /// There is none.
    NoSuchKey,
    /// It is a certificate's, and has no secret to change.
    NoSecret,
    /// What was asked for is no key, or the table of the key is written in a form that is left alone.
    Unwritable(Vec<Problem>),
}

/// The keys of a file, in its order.
pub fn keys(text: &str) -> Result<Vec<KeySettings>, Vec<Problem>> {
    check::keys_of_text(text)
}

/// The file with one more key, of this holder. Beside that its lines are `more`.
pub fn add(
    text: &str,
    name: &str,
    holder: &KeyHolder,
    more: &str,
) -> Result<String, KeysFileError> {
    let known = keys(text).map_err(KeysFileError::Broken)?;
    if known.iter().any(|key| key.name == name) {
        return Err(KeysFileError::Taken);
    }
    let gap = if text.trim().is_empty() { "" } else { "\n" };
    let begin = text.trim_end();
    let end = if begin.is_empty() { "" } else { "\n" };
    let table = show::key(name);
    let mut whole = format!("{begin}{end}{gap}[keys.{table}]\n");
    // Writing to a String cannot fail.
    let _ = show::holder(holder, &mut whole);
    whole.push_str(more);
    let after = keys(&whole).map_err(KeysFileError::Unwritable)?;
    let added = after.len() == known.len() + 1 && after.iter().any(|key| key.name == name);
    if added { Ok(whole) } else { Err(KeysFileError::Unwritable(Vec::new())) }
}

/// The file without a key.
pub fn remove(text: &str, name: &str) -> Result<String, KeysFileError> {
    let known = keys(text).map_err(KeysFileError::Broken)?;
    let table = table_of(text, name, &known)?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let whole = [&lines[..table.start], &lines[table.end..]].concat().concat();
    let after = keys(&whole).map_err(KeysFileError::Unwritable)?;
    let left = after.len() + 1 == known.len() && !after.iter().any(|key| key.name == name);
    if left { Ok(whole) } else { Err(KeysFileError::Unwritable(Vec::new())) }
}

/// The file with another secret for a key. The old one opens until this second of the clock; `None`: it
/// opens nothing from now on.
pub fn rotate(
    text: &str,
    name: &str,
    digest: KeyDigest,
    until: Option<u64>,
) -> Result<String, KeysFileError> {
    let known = keys(text).map_err(KeysFileError::Broken)?;
    let table = table_of(text, name, &known)?;
    let old = known.iter().find(|key| key.name == name).and_then(KeySettings::digest);
    let old = old.ok_or(KeysFileError::NoSecret)?;
    let mut whole = String::with_capacity(text.len() + 128);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let key = line.split('=').next().unwrap_or_default().trim();
        match key {
            _ if !table.contains(&number) => whole.push_str(line),
            "previous_hash" | "previous_until" => {}
            "hash" => {
                whole.push_str(&format!("hash = \"{digest}\"\n"));
                if let Some(until) = until {
                    let until = timestamp::written(until);
                    whole.push_str(&format!("previous_hash = \"{old}\"\n"));
                    whole.push_str(&format!("previous_until = \"{until}\"\n"));
                }
            }
            _ => whole.push_str(line),
        }
    }
    let after = keys(&whole).map_err(KeysFileError::Unwritable)?;
    let changed = after.iter().find(|key| key.name == name);
    match changed {
        Some(key) if key.digest() == Some(digest) && after.len() == known.len() => Ok(whole),
        _ => Err(KeysFileError::Unwritable(Vec::new())),
    }
}

/// The lines of the table of a key.
fn table_of(
    text: &str,
    name: &str,
    known: &[KeySettings],
) -> Result<std::ops::Range<usize>, KeysFileError> {
    if !known.iter().any(|key| key.name == name) {
        return Err(KeysFileError::NoSuchKey);
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let headers = [format!("[keys.{name}]"), format!("[keys.\"{name}\"]")];
    let is_header = |line: &&str| headers.iter().any(|header| line.starts_with(header.as_str()));
    let start = lines.iter().position(is_header);
    let start = start.ok_or_else(|| KeysFileError::Unwritable(Vec::new()))?;
    let next = lines[start + 1..].iter().position(|line| line.starts_with('['));
    let mut end = next.map_or(lines.len(), |next| start + 1 + next);
    let belongs_to_next = |line: &str| line.is_empty() || line.starts_with('#');
    // Comments in front of the next table are about that.
    while next.is_some() && end > start + 1 && belongs_to_next(lines[end - 1]) {
        end -= 1;
    }
    Ok(start..end)
}
