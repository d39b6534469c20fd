//! A fast hash with stable values: the same key gives the same number in every worker, every
//! process and every release, so that every gateway sends a conversation to the same endpoint.
//!
//! XXH64 as its author specifies it (Collet; `xxhash_spec.md`), seed 0. The hasher of the standard
//! library promises no value from one release to the next. A client can find keys that collide;
//! all it gains is a full endpoint, and bounded load sends its next request to another.

use std::net::SocketAddr;

use crate::config::snapshot::unix_path::path_of;

const P1: u64 = 0x9e37_79b1_85eb_ca87;
const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const P3: u64 = 0x1656_67b1_9e37_79f9;
const P4: u64 = 0x85eb_ca77_c2b2_ae63;
const P5: u64 = 0x27d4_eb2f_1656_67c5;

/// The hash of `bytes`.
pub fn hash(bytes: &[u8]) -> u64 {
    let stripes = bytes.chunks_exact(32);
    let mut rest = stripes.remainder();
    let mut hash = if bytes.len() < 32 {
        P5
    } else {
        let mut lanes = [P1.wrapping_add(P2), P2, 0, P1.wrapping_neg()];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
                *lane = round(*lane, word64(word));
            }
        }
        let [a, b, c, d] = lanes;
        let turned = [a.rotate_left(1), b.rotate_left(7), c.rotate_left(12), d.rotate_left(18)];
        let sum = turned.into_iter().fold(0, u64::wrapping_add);
        lanes
            .into_iter()
            .fold(sum, |hash, lane| (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4))
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
        rest = behind;
    }
    if let Some((word, behind)) = rest.split_first_chunk::<4>() {
        hash ^= u64::from(u32::from_le_bytes(*word)).wrapping_mul(P1);
        hash = hash.rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        rest = behind;
    }
    for &byte in rest {
        hash ^= u64::from(byte).wrapping_mul(P5);
        hash = hash.rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

/// The hash of an address: of its octets as IPv6 has them, and its port.
pub fn of_address(address: SocketAddr) -> u64 {
    if let Some(path) = path_of(address) {
        return hash(path.as_bytes());
    }
    // Not of its text: that would allocate, and change if formatting ever did.
    let octets = match address {
        SocketAddr::V4(address) => address.ip().to_ipv6_mapped().octets(),
        SocketAddr::V6(address) => address.ip().octets(),
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&octets);
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    hash(&bytes)
}

/// Spreads the bits of `value` over the whole word, one to one: splitmix64's finaliser.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

/// Eight bytes, the least significant one first.
fn word64(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_reference() {
        // Printed by the `xxhash` package for Python, which wraps the author's library.
        let counted: Vec<u8> = (0..101).collect();
        for (input, expected) in [
            (&b""[..], 0xef46_db37_51d8_e999),
            (b"a", 0xd24e_c4f1_a98c_6e5b),
            (b"abc", 0x44bc_2cf5_ad77_0999),
            (b"Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
            (&counted, 0xe990_3849_5f85_381e),
        ] {
            assert_eq!(hash(input), expected, "{:?}", String::from_utf8_lossy(input));
        }
    }
}
