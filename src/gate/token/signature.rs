//! Signatures: public keys of three algorithms, and whether one of them has signed some bytes.
//!
//! The one place of the gate where a library of cryptography is named.
//!
//! * A key has one algorithm, its own. What a token says of its algorithm decides nothing here.
//! * A key that would make a signature worth nothing is refused when it is read: an RSA key that is too
//!   short, an exponent of 1, a point that is not on its curve, one of small order.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};

/// Bits of an RSA modulus: at least what RFC 7518 §3.3 wants, and no more than is worth the time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256; the signature is `r` and `s`, 32 bytes each.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    pub const ALL: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

    /// As RFC 7518 §3.1 and RFC 8037 §3.1 write it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// RFC 9864 calls the third one `Ed25519` as well.
    pub fn named(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

/// A public key that is good.
#[derive(Debug)]
pub struct PublicKey {
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
}

impl PublicKey {
    /// Of a modulus and an exponent, the most significant byte first. The error is a clause.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, &'static str> {
        let (n, e) = (without_zeros(modulus), without_zeros(exponent));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err("its modulus has not 2048 to 8192 bits");
        }
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        if !odd(n) || !odd(e) || e == [1] || e.len() > 4 {
            return Err("its modulus or its exponent is none of an RSA key");
        }
        let parsed =
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
        let parsed = parsed.map_err(|_| "it is no RSA key")?;
        Ok(PublicKey { algorithm: Algorithm::Rs256, parsed })
    }

    /// Of the coordinates of a point of P-256.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<PublicKey, &'static str> {
        if x.len() != 32 || y.len() != 32 {
            return Err("its coordinates have not 32 bytes each");
        }
        let point = [&[4], x, y].concat();
        let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        let parsed = parsed.map_err(|_| "its point is not on P-256")?;
        Ok(PublicKey { algorithm: Algorithm::Es256, parsed })
    }

    /// Of an encoded point.
    pub fn ed25519(point: &[u8]) -> Result<PublicKey, &'static str> {
        let encoded: [u8; 32] = point.try_into().map_err(|_| "it has not 32 bytes")?;
        if is_of_small_order(encoded) {
            return Err("its point is of small order, or encoded as none is");
        }
        let parsed = ParsedPublicKey::new(&ED25519, encoded);
        let parsed = parsed.map_err(|_| "it is no key of Ed25519")?;
        Ok(PublicKey { algorithm: Algorithm::EdDsa, parsed })
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it has signed the message. Costs some ten microseconds, up to some hundred.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// Whether the point is one of the eight whose order divides 8, under which one signature is good for every
/// message, or is encoded by a number beyond the field. The sign of x does not matter.
fn is_of_small_order(mut encoded: [u8; 32]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
        *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    ];
    encoded[31] &= 0x7f;
    let (low, rest, high) = (encoded[0], &encoded[1..31], encoded[31]);
    // 0 and 1.
    let smallest = low <= 1 && high == 0 && rest.iter().all(|byte| *byte == 0);
    // p - 1, and all that is p or more.
    let largest = low >= 0xec && high == 0x7f && rest.iter().all(|byte| *byte == 0xff);
    smallest || largest || ORDER_8.contains(&encoded)
}
