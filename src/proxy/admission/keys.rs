//! Keys: the priority of a request by the key of the API that its client came with.
//!
//! A field that gives a priority can be written by any client; somebody's key cannot. The
//! configuration knows keys by their SHA-256, so neither it nor whoever prints it holds a secret.
//!
//! Absent on purpose: who may come in. A key that is not listed is one like any other.

use sha2::{Digest, Sha256};

use crate::config::snapshot::KeyPriority;
use crate::http::head::RequestHead;

/// The key in the credentials of a request: the token of `Authorization: Bearer`, else Anthropic's
/// `x-api-key`, else Azure's `api-key`.
pub fn key<'h>(
    authorization: Option<&'h [u8]>,
    x_api_key: Option<&'h [u8]>,
    api_key: Option<&'h [u8]>,
) -> Option<&'h [u8]> {
    let said = [authorization.and_then(bearer), x_api_key, api_key];
    said.into_iter().flatten().map(<[u8]>::trim_ascii).find(|key| !key.is_empty())
}

/// The same of a request's head.
pub fn of_head<'h>(head: &'h RequestHead<'_>) -> Option<&'h [u8]> {
    let [authorization, x_api_key, api_key] =
        ["authorization", "x-api-key", "api-key"].map(|name| head.field(name));
    key(authorization, x_api_key, api_key)
}

/// The token behind the name of the scheme, in whatever case that is (RFC 9110 §11.1).
fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = credentials.trim_ascii_start().split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
}

/// The priority of a key, if it is one of `keys`, which are in the order of their digests.
pub fn priority(key: &[u8], keys: &[KeyPriority]) -> Option<u8> {
    let digest: [u8; 32] = Sha256::digest(key).into();
    let at = keys.binary_search_by(|known| known.sha256.cmp(&digest)).ok()?;
    Some(keys[at].priority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_where_the_dialects_have_it() {
        let some = |text: &'static str| Some(text.as_bytes());
        for (authorization, x_api_key, api_key, expected) in [
            (some("Bearer sk-1"), None, None, some("sk-1")),
            (some("bEARER   sk-1 "), some("other"), None, some("sk-1")),
            (some("Basic c2s="), some("sk-2"), some("sk-3"), some("sk-2")),
            (None, None, some("sk-3"), some("sk-3")),
            (some("Bearer "), None, None, None),
            (some("Bearer "), some(" "), some("sk-3"), some("sk-3")),
            (some("Bearer"), None, None, None),
            (some("sk-1"), None, None, None),
            (None, some("  "), None, None),
            (None, None, None, None),
        ] {
            assert_eq!(key(authorization, x_api_key, api_key), expected, "{authorization:?}");
        }
    }

    #[test]
    fn a_key_is_known_by_its_digest() {
        // printf sk-1 | sha256sum
        let sha256 = [
            0x0f, 0x2c, 0x10, 0xbf, 0x3d, 0x12, 0x8c, 0x71, 0x9c, 0x6b, 0xfa, 0x4e, 0xcb, 0xae,
            0x94, 0xb7, 0xfc, 0xee, 0xba, 0xea, 0x6e, 0x44, 0x38, 0xfe, 0xf3, 0x8a, 0x90, 0xe5,
            0xac, 0xc3, 0x26, 0xf3,
        ];
        let mut keys = vec![
            KeyPriority { sha256: [0; 32], priority: 3 },
            KeyPriority { sha256, priority: 0 },
            KeyPriority { sha256: [0xff; 32], priority: 2 },
        ];
        keys.sort_by_key(|known| known.sha256);
        assert_eq!(priority(b"sk-1", &keys), Some(0));
        assert_eq!(priority(b"sk-2", &keys), None);
        assert_eq!(priority(b"sk-1", &[]), None);
    }
}
