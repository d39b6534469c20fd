//! Files that sessions are made of: read, and what is wrong with one in a sentence.

use std::path::Path;
use std::time::Duration;

use crate::files::{self, Unread};

/// A file of certificates larger than this is something else.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What is wrong with a file, in one sentence.
pub(super) type Flaw = String;

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Flaw> {
    let bytes = files::read(path, FILE_BYTES_MAX).map_err(|unread| match unread {
        Unread::Failed(error) if error.kind() == std::io::ErrorKind::NotFound => {
            "there is no such file".to_owned()
        }
        Unread::Failed(error) => format!("the file cannot be read: {error}"),
        Unread::TooLong => "the file is too long to be one of certificates".to_owned(),
        other => other.to_string(),
    })?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Err("the file is empty".to_owned()),
        false => Ok(bytes),
    }
}

pub(super) fn ago(past: Duration) -> String {
    match past.as_secs() / 86_400 {
        0 => "today".to_owned(),
        1 => "1 day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}
