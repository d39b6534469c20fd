//! Content codings, decoded beside the bytes: what a compressed answer says, for whoever watches it.
//!
//! Bytes in, pieces out. The bytes themselves pass as they came, whatever is found here.
//!
//! * A decoder holds its window and its tables, and nothing of what it has decoded. How much that is stands
//!   in the first bytes of a body; whoever feeds it is asked whether it may have that.
//! * What it decodes of some bytes is at most [`EXPANSION`] times as much and [`SLACK`]: a body that
//!   unpacks into more is a bomb, or nothing that is worth to be watched at that price.
//! * Checksums are not compared: a body that was damaged is for its client to notice.
//!
//! What has to be read, and not only watched, is decoded at once ([`decode_whole`]).

#[cfg(test)]
mod tests;
mod whole;
mod zstd;

pub use self::whole::decode_whole;

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// Bytes decoded for each byte that was fed, at most.
const EXPANSION: usize = 64;
/// Bytes that may be decoded beyond that, each time some are fed.
const SLACK: usize = 64 << 10;
/// What one look at a decoder gives: a piece.
const PIECE: usize = 8 << 10;

/// A window of brotli's of more than 2 to this is not decoded.
const WINDOW_BITS_MAX: u32 = 22;
/// What inflating takes: a window of 32 KiB, and tables.
const INFLATE_BYTES: usize = 48 << 10;
/// What brotli takes beside its window.
const BROTLI_BYTES: usize = 256 << 10;

/// A coding that can be decoded (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    /// zlib's format, as the RFC has it.
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// The coding of a body whose `Content-Encoding` fields have these values. `Ok(None)`: it has none;
    /// `Err`: there are several, or it is none of these. Empty members of a list say nothing (RFC 9110
    /// §5.6.1.2), and neither does `identity`.
    pub fn of<'v>(fields: impl Iterator<Item = &'v [u8]>) -> Result<Option<Coding>, UnknownCoding> {
        let names = fields.flat_map(|field| field.split(|byte| *byte == b','));
        let names = names.map(<[u8]>::trim_ascii);
        let mut names =
            names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        match (names.next(), names.next()) {
            (None, _) => Ok(None),
            (Some(name), None) => Coding::named(name).map(Some).ok_or(UnknownCoding),
            (Some(_), Some(_)) => Err(UnknownCoding),
        }
    }

    fn named(name: &[u8]) -> Option<Coding> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match () {
            () if is("gzip") || is("x-gzip") => Some(Coding::Gzip),
            () if is("deflate") => Some(Coding::Deflate),
            () if is("br") => Some(Coding::Brotli),
            () if is("zstd") => Some(Coding::Zstd),
            () => None,
        }
    }
}

/// A coding that is not decoded here, or several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCoding;

/// The memory that a body of brotli's takes which begins with this byte.
fn brotli_memory(first: u8) -> Result<usize, Undecodable> {
    let bits = window_bits(first).filter(|bits| *bits <= WINDOW_BITS_MAX);
    Ok((1 << bits.ok_or(Undecodable::Window)?) + BROTLI_BYTES)
}

/// The window of a body of brotli's, by its first byte (RFC 7932 §9.1).
fn window_bits(first: u8) -> Option<u32> {
    let first = u32::from(first);
    match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, _, _) => Some(16),
        (_, 0, 0) => Some(17),
        // A large window, which browsers do not take.
        (_, 0, 1) => None,
        (_, 0, more) => Some(8 + more),
        (_, more, _) => Some(17 + more),
    }
}

/// Why a body is decoded no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    Malformed,
    /// It unpacks into too much.
    Bomb,
    /// Its window is too large, or there is no memory for it.
    Window,
}

/// Decodes one body in any pieces it comes in.
pub struct BodyDecoder {
    state: State,
}

enum State {
    /// It has not told yet how much memory it takes.
    Opening(Coding, zstd::FrameHead),
    Gzip {
        member: Member,
        inflater: Box<InflateState>,
    },
    Zlib(Box<InflateState>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(zstd::Context),
    /// The body is complete. What stands behind it says nothing.
    Over,
}

/// Where in a member of gzip's the next byte stands (RFC 1952 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    /// So many of the ten bytes it begins with have come. `flags` is the fourth.
    Fixed {
        read: u8,
        flags: u8,
    },
    /// Of the length of the extra field, so many of two bytes.
    ExtraLength {
        read: u8,
        length: u16,
        flags: u8,
    },
    Extra {
        left: u16,
        flags: u8,
    },
    Name {
        flags: u8,
    },
    Comment {
        flags: u8,
    },
    HeaderCheck {
        read: u8,
    },
    Data,
    /// Of the checksum and the length behind the data.
    Trailer {
        read: u8,
    },
}

impl Member {
    const START: Member = Member::Fixed { read: 0, flags: 0 };
    const HEADER_CHECK: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    /// Flags that mean nothing yet.
    const RESERVED: u8 = 0xe0;

    /// What follows, once everything before the parts that are named by `flags` is read.
    fn after(flags: u8) -> Member {
        match () {
            () if flags & Member::EXTRA != 0 => {
                Member::ExtraLength { read: 0, length: 0, flags: flags & !Member::EXTRA }
            }
            () if flags & Member::NAME != 0 => Member::Name { flags: flags & !Member::NAME },
            () if flags & Member::COMMENT != 0 => {
                Member::Comment { flags: flags & !Member::COMMENT }
            }
            () if flags & Member::HEADER_CHECK != 0 => Member::HeaderCheck { read: 0 },
            () => Member::Data,
        }
    }

    /// Takes one byte outside the data.
    fn step(self, byte: u8) -> Result<Member, Undecodable> {
        Ok(match self {
            Member::Fixed { read: 0, .. } if byte != 0x1f => return Err(Undecodable::Malformed),
            Member::Fixed { read: 1, .. } if byte != 0x8b => return Err(Undecodable::Malformed),
            Member::Fixed { read: 2, .. } if byte != 8 => return Err(Undecodable::Malformed),
            Member::Fixed { read: 3, .. } if byte & Member::RESERVED != 0 => {
                return Err(Undecodable::Malformed);
            }
            Member::Fixed { read: 3, .. } => Member::Fixed { read: 4, flags: byte },
            Member::Fixed { read: 9, flags } => Member::after(flags),
            Member::Fixed { read, flags } => Member::Fixed { read: read + 1, flags },
            Member::ExtraLength { read: 0, flags, .. } => {
                Member::ExtraLength { read: 1, length: byte.into(), flags }
            }
            Member::ExtraLength { length, flags, .. } => match length | u16::from(byte) << 8 {
                0 => Member::after(flags),
                left => Member::Extra { left, flags },
            },
            Member::Extra { left: 1, flags } => Member::after(flags),
            Member::Extra { left, flags } => Member::Extra { left: left - 1, flags },
            Member::Name { flags } | Member::Comment { flags } if byte == 0 => Member::after(flags),
            Member::HeaderCheck { read: 0 } => Member::HeaderCheck { read: 1 },
            Member::HeaderCheck { .. } => Member::Data,
            Member::Trailer { read: 7 } => Member::START,
            Member::Trailer { read } => Member::Trailer { read: read + 1 },
            same @ (Member::Name { .. } | Member::Comment { .. } | Member::Data) => same,
        })
    }
}

impl BodyDecoder {
    pub fn new(coding: Coding) -> BodyDecoder {
        BodyDecoder { state: State::Opening(coding, zstd::FrameHead::default()) }
    }

    /// Takes what tells how much memory the body takes, from the front of `data`, and begins to decode if
    /// `may_have` says so. Returns bytes that are to be fed before what is left of `data`.
    fn open(
        &mut self,
        data: &mut &[u8],
        may_have: impl FnOnce(usize) -> bool,
    ) -> Result<Option<zstd::FrameHead>, Undecodable> {
        let State::Opening(coding, head) = &mut self.state else { return Ok(None) };
        let Some(first) = data.first() else { return Ok(None) };
        let window = match coding {
            Coding::Zstd => match head.take(data)? {
                Some(window_log) => window_log,
                None => return Ok(None),
            },
            _ => 0,
        };
        let bytes = match coding {
            Coding::Gzip | Coding::Deflate => INFLATE_BYTES,
            Coding::Brotli => brotli_memory(*first)?,
            Coding::Zstd => zstd::memory(window),
        };
        if !may_have(bytes) {
            return Err(Undecodable::Window);
        }
        let head = *head;
        self.state = match coding {
            Coding::Gzip => State::Gzip {
                member: Member::START,
                inflater: InflateState::new_boxed(DataFormat::Raw),
            },
            Coding::Deflate => State::Zlib(InflateState::new_boxed(DataFormat::Zlib)),
            Coding::Brotli => State::Brotli(Box::new(BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            ))),
            Coding::Zstd => State::Zstd(zstd::context(window)?),
        };
        Ok(Some(head))
    }

    /// Takes the next bytes of a body, and gives what they say to `sink`, piece by piece. `may_have` is
    /// asked once, whether so many bytes of memory may be had. After an error nothing more is to be fed.
    pub fn feed(
        &mut self,
        mut data: &[u8],
        may_have: impl FnOnce(usize) -> bool,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), Undecodable> {
        let mut room = data.len().saturating_mul(EXPANSION).saturating_add(SLACK);
        let mut give = |piece: &[u8]| {
            room = room.checked_sub(piece.len()).ok_or(Undecodable::Bomb)?;
            sink(piece);
            Ok(())
        };
        if let Some(head) = self.open(&mut data, may_have)? {
            self.decode(head.bytes(), &mut give)?;
        }
        self.decode(data, &mut give)
    }

    fn decode(&mut self, data: &[u8], give: &mut Give<'_>) -> Result<(), Undecodable> {
        let ended = match &mut self.state {
            State::Opening(..) | State::Over => false,
            State::Gzip { member, inflater } => {
                feed_gzip(member, inflater, data, give)?;
                false
            }
            State::Zlib(inflater) => feed_deflate(inflater, data, give)?.1,
            State::Brotli(state) => feed_brotli(state, data, give)?.1,
            // Another frame may follow.
            State::Zstd(context) => {
                zstd::feed(context, data, give)?;
                false
            }
        };
        if ended {
            self.state = State::Over;
        }
        Ok(())
    }
}

impl fmt::Debug for BodyDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.state {
            State::Gzip { .. } => "gzip",
            State::Zlib(_) => "deflate",
            State::Brotli(_) => "br",
            State::Zstd(_) => "zstd",
            State::Opening(..) => "unknown",
            State::Over => "over",
        };
        f.debug_struct("BodyDecoder").field("coding", &name).finish_non_exhaustive()
    }
}

type Give<'a> = dyn FnMut(&[u8]) -> Result<(), Undecodable> + 'a;

fn feed_gzip(
    member: &mut Member,
    inflater: &mut InflateState,
    mut data: &[u8],
    give: &mut Give<'_>,
) -> Result<(), Undecodable> {
    while let [byte, rest @ ..] = data {
        if *member != Member::Data {
            *member = member.step(*byte)?;
            data = rest;
            continue;
        }
        let (taken, ended) = feed_deflate(inflater, data, give)?;
        data = &data[taken..];
        if ended {
            // Another member may follow.
            *member = Member::Trailer { read: 0 };
            inflater.reset(DataFormat::Raw);
        }
    }
    Ok(())
}

/// Inflates. Returns how many bytes were taken, and whether the data has ended; if it has not, all were.
fn feed_deflate(
    inflater: &mut InflateState,
    data: &[u8],
    give: &mut Give<'_>,
) -> Result<(usize, bool), Undecodable> {
    let mut piece = [0; PIECE];
    let mut taken = 0;
    loop {
        let result = inflate(inflater, &data[taken..], &mut piece, MZFlush::None);
        taken += result.bytes_consumed;
        if result.bytes_written > 0 {
            give(&piece[..result.bytes_written])?;
        }
        match result.status {
            Ok(MZStatus::StreamEnd) => return Ok((taken, true)),
            // It can go no further without more bytes.
            Err(MZError::Buf) => return Ok((taken, false)),
            Ok(_) if taken == data.len() && result.bytes_written < PIECE => {
                return Ok((taken, false));
            }
            Ok(_) => {}
            Err(_) => return Err(Undecodable::Malformed),
        }
    }
}

/// Decodes brotli. Returns how many bytes were taken, and whether the data has ended.
fn feed_brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    data: &[u8],
    give: &mut Give<'_>,
) -> Result<(usize, bool), Undecodable> {
    let mut piece = [0; PIECE];
    let (mut left, mut taken, mut total) = (data.len(), 0, 0);
    loop {
        let (mut room, mut written) = (PIECE, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut taken,
            data,
            &mut room,
            &mut written,
            &mut piece,
            &mut total,
            state,
        );
        if written > 0 {
            give(&piece[..written])?;
        }
        match result {
            BrotliResult::ResultSuccess => return Ok((taken, true)),
            BrotliResult::NeedsMoreInput => return Ok((taken, false)),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => return Err(Undecodable::Malformed),
        }
    }
}
