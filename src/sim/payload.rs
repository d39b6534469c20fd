//! Payloads that say whose they are.
//!
//! Every byte is a function of the exchange, the side and its position, so a byte that is lost,
//! repeated, moved or meant for somebody else shows where it is compared.

use super::random::{Random, mix};

/// The field that names the exchange a request or an answer belongs to.
pub const EXCHANGE: &str = "x-exchange";
/// The field of an answer that names the attempt it belongs to.
pub const ATTEMPT: &str = "x-attempt";

/// What a body is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Letters.
    Plain,
    /// Server-sent events, `[DONE]` at the end.
    Events,
}

/// The letters of one side of an exchange, from the first on.
pub fn letters(exchange: usize, side: &str, length: usize) -> Vec<u8> {
    let salt = side.bytes().fold(exchange as u64, |salt, byte| mix(salt ^ u64::from(byte)));
    let mut bytes = Vec::with_capacity(length + 8);
    for word in 0..length.div_ceil(8) {
        let drawn = mix(salt.wrapping_add(word as u64));
        bytes.extend(drawn.to_le_bytes().map(|byte| b'a' + byte % 26));
    }
    bytes.truncate(length);
    bytes
}

/// A response body of about `length` bytes: no two attempts at an exchange get the same one.
pub fn response(exchange: usize, attempt: usize, kind: Kind, length: usize) -> Vec<u8> {
    match kind {
        Kind::Plain => letters(exchange, &format!("response {attempt}"), length),
        Kind::Events => events(exchange, attempt, length),
    }
}

fn events(exchange: usize, attempt: usize, length: usize) -> Vec<u8> {
    let mut random = Random::new(exchange as u64);
    let mut bytes = Vec::with_capacity(length + 128);
    let mut count = 0;
    while bytes.len() < length {
        let text = letters(exchange * 1000 + count, "event", random.length(60));
        if random.chance(100) {
            bytes.extend_from_slice(b": a comment\n\n");
        }
        bytes.extend_from_slice(format!("data: {exchange}.{attempt}.{count} ").as_bytes());
        bytes.extend_from_slice(&text);
        bytes.extend_from_slice(b"\n\n");
        count += 1;
    }
    bytes.extend_from_slice(b"data: [DONE]\n\n");
    bytes
}
