//! A question: what of a request the authoriser is told, and the digest by which its answer is kept.
//!
//! * Everything that is told is in the digest, with its length, so no two questions have one.
//! * What is no text is not told: a value that one reader takes for another than the next decides nothing.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::{Authoriser, Origin};
use crate::gate::key::KeyDigest;
use crate::http::head::RequestHead;

/// Bytes of what is told. Credentials of known kinds have less than half.
pub const QUESTION_BYTES_MAX: usize = 16 << 10;

/// Drawn once for the process.
static SEED: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut seed = [0; 32];
    for bytes in seed.chunks_exact_mut(8) {
        // Each has random keys of its own.
        bytes.copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
    }
    seed
});

/// A question that nobody has answered yet.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthQuestion {
    pub digest: KeyDigest,
    /// The lines of the head that say it.
    pub lines: String,
}

impl std::fmt::Debug for AuthQuestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // There is a credential in it.
        f.write_str("Question")
    }
}

impl AuthQuestion {
    /// `None`: it cannot be asked, because something of it is no text, or it is too long.
    pub fn digest(
        authoriser: &Authoriser,
        head: &RequestHead<'_>,
        origin: Origin<'_>,
    ) -> Option<KeyDigest> {
        let mut hasher = Sha256::new_with_prefix(*SEED);
        let (mut bytes, mut is_text) = (0, true);
        tell(authoriser, head, origin, |name, value| {
            bytes += name.len() + value.len() + 4;
            is_text &= value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
            for part in [name.as_bytes(), value] {
                hasher.update((part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        });
        let can_be_asked = is_text && bytes <= QUESTION_BYTES_MAX;
        can_be_asked.then(|| KeyDigest(hasher.finalize().into()))
    }

    pub(super) fn new(
        authoriser: &Authoriser,
        digest: KeyDigest,
        head: &RequestHead<'_>,
        origin: Origin<'_>,
    ) -> AuthQuestion {
        let mut lines = String::new();
        tell(authoriser, head, origin, |name, value| {
            for part in [name, ": ", &String::from_utf8_lossy(value), "\r\n"] {
                lines.push_str(part);
            }
        });
        AuthQuestion { digest, lines }
    }
}

/// Gives each field that the authoriser is told.
fn tell(
    authoriser: &Authoriser,
    head: &RequestHead<'_>,
    origin: Origin<'_>,
    mut field: impl FnMut(&str, &[u8]),
) {
    let settings = &authoriser.settings;
    let tells = settings.tells;
    if tells.method {
        field("x-forwarded-method", head.method.as_bytes());
    }
    if tells.host {
        field("x-forwarded-proto", if origin.sealed { b"https" } else { b"http" });
        field("x-forwarded-host", head.authority);
    }
    if tells.uri {
        match head.query {
            None => field("x-forwarded-uri", head.path.as_bytes()),
            Some(query) => {
                field("x-forwarded-uri", format!("{}?{query}", head.path).as_bytes());
            }
        }
    }
    if tells.client {
        field("x-forwarded-for", origin.client.to_string().as_bytes());
    }
    for name in &settings.headers {
        for value in head.values(name) {
            field(name, value);
        }
    }
}
