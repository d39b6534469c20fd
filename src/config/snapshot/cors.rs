//! Whose pages may call a route from within a browser, and what they may read.

use std::time::Duration;

use super::when::Pattern;

/// `cors = { … }` of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// In lower case; never empty. `*`: any page.
    pub origins: Vec<Pattern>,
    /// Whether the browser may add what it knows of its user: cookies, certificates. Never with `*`.
    pub credentials: bool,
    /// Fields that a page may send, in lower case. `None`: those that it asks for.
    pub headers: Option<Vec<String>>,
    /// Fields of an answer that a page may read, in lower case.
    pub expose: Vec<String>,
    /// How long a browser need not ask again; whole seconds.
    pub max_age: Duration,
}

impl Cors {
    /// What stands for every origin.
    pub const ANY: &'static str = "*";

    /// Whether every page may call: then all answers are the same, whoever asks.
    pub fn takes_any(&self) -> bool {
        self.origins.iter().any(|pattern| pattern.as_str() == Cors::ANY)
    }

    /// Whether pages of this origin may call. Scheme and host ignore case.
    pub fn takes(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.origins.iter().any(|pattern| pattern.matches(origin.as_bytes()))
    }
}
