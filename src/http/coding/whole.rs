//! A body in a coding that is all here, decoded at once: of a request that has to be read.
//!
//! Stricter than what watches an answer: nothing may stand behind the data, nothing of it may be missing,
//! and the checksums are compared. What it unpacks into is bounded by the caller, and so
//! is the memory that it takes: no window is larger than 8 MiB.

use miniz_oxide::DataFormat;
use miniz_oxide::inflate::stream::{InflateState, ZeroReset};

use super::{
    BrotliState, Coding, Member, StandardAlloc, Undecodable, brotli_memory, feed_brotli,
    feed_deflate, zstd,
};

/// Members of one gzip body. Each costs a window to be cleared, however little is in it, and a worker does
/// nothing else meanwhile; who writes in blocks (bgzip) has some 1,600 of them in 32 MiB.
const MEMBERS_MAX: usize = 4_096;

/// Decodes `body`, into `most` bytes at most.
pub fn decode_whole(coding: Coding, body: &[u8], most: usize) -> Result<Vec<u8>, Undecodable> {
    let mut decoded = Vec::new();
    let mut give = |piece: &[u8]| {
        if decoded.len() + piece.len() > most {
            return Err(Undecodable::Bomb);
        }
        decoded.extend_from_slice(piece);
        Ok(())
    };
    match coding {
        Coding::Gzip => gzip(body, &mut give)?,
        Coding::Deflate => {
            let mut inflater = InflateState::new_boxed(DataFormat::Zlib);
            let whole = (body.len(), true);
            if feed_deflate(&mut inflater, body, &mut give)? != whole {
                return Err(Undecodable::Malformed);
            }
        }
        Coding::Brotli => brotli(body, &mut give)?,
        Coding::Zstd => {
            let mut context = zstd::context(zstd::WINDOW_LOG_MAX)?;
            if !zstd::feed(&mut context, body, &mut give)? {
                return Err(Undecodable::Malformed);
            }
        }
    }
    Ok(decoded)
}

type Give<'a> = dyn FnMut(&[u8]) -> Result<(), Undecodable> + 'a;

fn gzip(mut body: &[u8], give: &mut Give<'_>) -> Result<(), Undecodable> {
    let malformed = || Undecodable::Malformed;
    let mut members = 0;
    let mut inflater = InflateState::new_boxed(DataFormat::Raw);
    loop {
        let mut member = Member::START;
        while member != Member::Data {
            let (byte, rest) = body.split_first().ok_or_else(malformed)?;
            (member, body) = (member.step(*byte)?, rest);
        }
        members += 1;
        if members > MEMBERS_MAX {
            return Err(Undecodable::Malformed);
        }
        // The window too: what a member is does not depend on the one before.
        inflater.reset_as(ZeroReset);
        let (mut check, mut length) = (!0u32, 0u32);
        let (taken, ended) = feed_deflate(&mut inflater, body, &mut |piece| {
            (check, length) = (crc32(check, piece), length.wrapping_add(piece.len() as u32));
            give(piece)
        })?;
        let trailer = body[taken..].split_at_checked(8).filter(|_| ended);
        let (trailer, rest) = trailer.ok_or_else(malformed)?;
        if trailer[..4] != (!check).to_le_bytes() || trailer[4..] != length.to_le_bytes() {
            return Err(Undecodable::Malformed);
        }
        if rest.is_empty() {
            return Ok(());
        }
        body = rest;
    }
}

/// The checksum of gzip (RFC 1952 §8), not inverted.
fn crc32(check: u32, data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let (mut value, mut bit) = (at as u32, 0);
            while bit < 8 {
                value = (value >> 1) ^ (0xedb8_8320 & (value & 1).wrapping_neg());
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };
    data.iter().fold(check, |check, byte| TABLE[usize::from((check as u8) ^ byte)] ^ (check >> 8))
}

fn brotli(body: &[u8], give: &mut Give<'_>) -> Result<(), Undecodable> {
    let first = *body.first().ok_or(Undecodable::Malformed)?;
    brotli_memory(first)?;
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    match feed_brotli(&mut state, body, give)? {
        (taken, true) if taken == body.len() => Ok(()),
        _ => Err(Undecodable::Malformed),
    }
}

#[cfg(test)]
mod tests;
