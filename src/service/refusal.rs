//! Why a server refused a request: because the prompt is too long for its context, or because of what
//! it says. Neither is mended by asking the same model again.
//!
//! An error inside a 200 has no status, so here is also whose fault such an error is: by the status
//! that its code or its type has in HTTP, and by the sentences that tell of a refusal. There is this
//! one judgement, for whoever retries, counts or writes the log.
//!
//! Codes are compared where servers have them, sentences where they have not. Each was seen in a
//! real answer; `docs/services.md` names the places.

mod loading;
mod names;
mod sentences;

use crate::http::json::Found;

pub use self::loading::{may_say_loading, says_loading};
pub use self::names::{CODES, NAMES};
pub use self::sentences::SENTENCES;

/// What a refusal is about. Where a text tells of two of them the last of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    Other,
    /// A filter objects to the content.
    ContentPolicy,
    /// The prompt, or prompt and answer together, do not fit into the model's context.
    ContextLength,
}

/// Whose fault an error is that a server reports inside a 200. Where an error tells of several, the
/// last of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// The server's, as after a 5xx.
    Server,
    /// The request is at fault, as after a 400.
    Client,
    /// The server has had too many requests, as after a 429.
    Limit,
    /// The credentials are refused, as after a 401.
    Credentials,
    /// The prompt is too long.
    TooLong,
}

impl Blame {
    /// The one that is so many behind the first.
    pub fn of_number(number: u8) -> Blame {
        match number {
            1 => Blame::Client,
            2 => Blame::Limit,
            3 => Blame::Credentials,
            4 => Blame::TooLong,
            _ => Blame::Server,
        }
    }

    /// Whose fault it would be if the answer had this status.
    pub const fn of_status(status: u32) -> Blame {
        match status {
            401 | 403 => Blame::Credentials,
            429 => Blame::Limit,
            // It has waited in vain, and whoever was slow has no answer to read.
            408 => Blame::Server,
            400..=499 | 501 | 505 => Blame::Client,
            _ => Blame::Server,
        }
    }

    /// What the words of an error say; `None`: nothing.
    pub fn of_words(refusal: Refusal) -> Option<Blame> {
        match refusal {
            Refusal::ContextLength => Some(Blame::TooLong),
            Refusal::ContentPolicy => Some(Blame::Client),
            Refusal::Other => None,
        }
    }

    /// Whether asking somebody else the same would be in vain: the answer is the client's.
    pub fn is_the_clients(self) -> bool {
        matches!(self, Blame::Client | Blame::Credentials | Blame::TooLong)
    }
}

/// What of a body is looked at.
pub const BYTES_MAX: usize = 8 * 1024;

/// Whether a member `error` is one for what is found in it. Some servers write an empty one into good
/// answers.
pub fn says_something(found: Found<'_>) -> bool {
    match found {
        Found::Text(_) | Found::True => true,
        Found::Number(code) => code != Some(0),
        _ => false,
    }
}

/// Reads the beginning of an answer with `status`.
pub fn refusal(status: u16, body: &[u8]) -> Refusal {
    match status {
        400 | 413 | 422 => refusal_in(body),
        _ => Refusal::Other,
    }
}

/// Reads the words of a refusal, whatever they came with.
pub fn refusal_in(body: &[u8]) -> Refusal {
    let body = &body[..body.len().min(BYTES_MAX)];
    // FastAPI repeats the request in its complaints: those are the client's words.
    let end = memchr::memmem::find(body, b"\"input\":").unwrap_or(body.len());
    SENTENCES.find(&mut 0, &body[..end])
}
