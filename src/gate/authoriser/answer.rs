//! An answer: what the status and the fields say. Its body is not read.
//!
//! | status | what it says |
//! |---|---|
//! | 200 to 299 | yes; who has come, and what they may, stands in fields that the configuration names |
//! | 401 | no: it does not know who that is. `WWW-Authenticate` goes on to the client |
//! | 403 | no: they may not |
//! | any other, a redirect among them | nothing |
//!
//! How long it holds: as long as `[auth]` says, or `Cache-Control: max-age` if that is sooner. `no-store`,
//! `no-cache`, a `max-age` that is no number, and `Vary: *` have it hold for those alone who wait for it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{ANYONE, AuthoriserSettings};

/// Bytes of a challenge that is passed on.
const CHALLENGE_MAX: usize = 1_024;

/// What the authoriser has said.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthAnswer {
    /// Yes, with what it claims of who has come.
    Yes(Map<String, Value>),
    /// Nobody it knows; with what has to be shown instead.
    Denied(Option<Arc<str>>),
    Forbidden,
    /// Yes, and a field of it cannot be understood: why, in a clause.
    Unclear(&'static str),
    /// Nothing that decides.
    Failed,
}

/// What an answer says, and how long that holds. `values`: those of all its fields of a name.
pub fn judge(
    settings: &AuthoriserSettings,
    status: u16,
    values: &dyn Fn(&str) -> Vec<Vec<u8>>,
) -> (AuthAnswer, Duration) {
    match status {
        200..=299 => match claims(settings, values) {
            Ok(claims) => (AuthAnswer::Yes(claims), lifetime(values, settings.yes_for)),
            Err(why) => (AuthAnswer::Unclear(why), Duration::ZERO),
        },
        401 => (AuthAnswer::Denied(challenge(values)), lifetime(values, settings.no_for)),
        403 => (AuthAnswer::Forbidden, lifetime(values, settings.no_for)),
        _ => (AuthAnswer::Failed, Duration::ZERO),
    }
}

fn claims(
    settings: &AuthoriserSettings,
    values: &dyn Fn(&str) -> Vec<Vec<u8>>,
) -> Result<Map<String, Value>, &'static str> {
    let mut claims = Map::new();
    for (claim, field) in &settings.claims {
        let mut told = values(field);
        let Some(value) = told.pop() else { continue };
        if !told.is_empty() {
            return Err("a field that says who has come stands in it twice");
        }
        let text = String::from_utf8(value).map_err(|_| "a field of it is no text")?;
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err("a field of it is no text");
        }
        if !text.is_empty() {
            claims.insert((*claim).to_owned(), value_of(claim, text)?);
        }
    }
    if !claims.contains_key("name") {
        if settings.wants_name {
            return Err("it does not name who has come");
        }
        claims.insert("name".to_owned(), ANYONE.into());
    }
    Ok(claims)
}

/// The value of a claim, which a field can only have as a text.
fn value_of(claim: &str, text: &str) -> Result<Value, &'static str> {
    let no_number = |_| "a limit in it is no number";
    Ok(match claim {
        "name" | "tier" => text.into(),
        // Fields have commas between the elements of a list.
        "routes" | "models" | "networks" => text.replace(',', " ").into(),
        "cost_per_day" | "cost_per_month" => {
            text.parse::<f64>().map_err(|_| "a limit in it is no number")?.into()
        }
        _ => text.parse::<u64>().map_err(no_number)?.into(),
    })
}

/// What it says of a credential that would do (RFC 9110 §11.6.1).
fn challenge(values: &dyn Fn(&str) -> Vec<Vec<u8>>) -> Option<Arc<str>> {
    let told = values("www-authenticate").join(&b", "[..]);
    let is_shown = |byte: &u8| matches!(byte, b' '..=b'~');
    let good = (1..=CHALLENGE_MAX).contains(&told.len()) && told.iter().all(is_shown);
    good.then(|| String::from_utf8_lossy(&told).into())
}

/// How long it holds (RFC 9111 §4.2), and never longer than `most`.
fn lifetime(values: &dyn Fn(&str) -> Vec<Vec<u8>>, most: Duration) -> Duration {
    if values("vary").iter().any(|value| value.contains(&b'*')) {
        return Duration::ZERO;
    }
    let told = values("cache-control").join(&b","[..]);
    let told = String::from_utf8_lossy(&told).to_ascii_lowercase();
    let mut holds = most;
    for directive in told.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let until = match name.trim() {
            "no-store" | "no-cache" => Duration::ZERO,
            "max-age" => {
                let seconds = value.trim().trim_matches('"').parse();
                Duration::from_secs(seconds.unwrap_or(0))
            }
            _ => continue,
        };
        holds = holds.min(until);
    }
    holds
}
