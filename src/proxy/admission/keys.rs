//! Keys: the priority of a request by the key of the API that its client came with.
//!
//! A field that gives a priority can be written by any client; somebody's key cannot. The
//! configuration knows keys by their SHA-256, so neither it nor whoever prints it holds a secret.
//!
//! Absent on purpose: who may come in, which is the gate's. A key that is not listed is one like any other.

use sha2::{Digest, Sha256};

use crate::config::snapshot::KeyPriority;
use crate::http::credential;
use crate::http::head::RequestHead;

/// The key in the credentials of a request: the first that it has.
pub fn of_head<'h>(head: &RequestHead<'h>) -> Option<&'h [u8]> {
    credential::keys_of(head).next().map(|(_, key)| key)
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
