//! The chunked coding (RFC 9112 §7.1), scanned and never decoded.
//!
//! ```text
//!   Size ──CR──▶ SizeLf ──LF──▶ Data ──▶ DataCr ──▶ DataLf ──▶ Size …
//!    └─;─▶ Extension ──CR──┘ └─ size 0 ─▶ Trailer ──empty line──▶ End
//! ```
//!
//! The bytes of a chunked body are passed on as they came, frames and all. That is safe only while
//! every one of them has a single meaning, so the scanner accepts the grammar and nothing beside it:
//! CR LF ends a line, exactly CR LF follows the data, a size has 1 to 15 hex digits. A byte once
//! cleared stays cleared: the verdict on it cannot depend on what follows.
//!
//! * `step` is the whole machine. The fast paths of `scan` recognise a subset of what it accepts
//!   and leave every refusal to it; the any-split property tests both at once.
//! * Nothing past the end of the body is ever cleared.
//! * An error is final: the scanner repeats it for whatever comes next.
//! * What nobody may send without end is limited where it stands: the extensions of one chunk, the
//!   trailers of one body. A stream may have any number of chunks, each with its extension.
//!
//! `extension` and `trailer` hold the grammar of the two rare parts.
//!
//! Absent on purpose: memory of bytes. A trailer's name is held as a hash until its colon.

use std::fmt;

use extension::Extension;
use trailer::Trailer;

mod extension;
mod trailer;

#[cfg(test)]
mod tests;

/// Hex digits of a chunk size: 60 bits, so that no sum of ours can overflow.
const SIZE_DIGITS_MAX: u8 = 15;

/// What the parts of a chunked body that carry no data may weigh.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of the extensions of one chunk, white space and `;` included.
    extension: u16,
    /// Bytes by which the extensions of a body may exceed what their chunks pay for:
    /// [`EXTENSION_BYTES_FREE`] each, and two for each byte of data.
    excess: Option<u16>,
    /// Bytes of the trailer section, its empty line included.
    trailers: u16,
}

/// A client could make a server read far more than it is charged for. The measure, relative to the
/// data, is that of Go (CVE-2023-39326).
const REQUEST: Limits = Limits { extension: 256, excess: Some(16 * 1024), trailers: 8 * 1024 };
/// A server is trusted to fill its own connection. Whatever it puts on each chunk of a stream, a
/// signature for one, must not end the stream.
const RESPONSE: Limits = Limits { extension: 4 * 1024, excess: None, trailers: 32 * 1024 };

const EXTENSION_BYTES_FREE: u64 = 16;

/// Why a chunked body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// A chunk without a hex digit where its size should be.
    SizeMissing,
    /// More digits than a size may have.
    SizeTooLong,
    /// Something else than an extension or CR LF after the digits.
    SizeInvalid,
    /// A line feed without its carriage return.
    BareLf,
    /// A carriage return without its line feed.
    BareCr,
    /// An extension that does not follow the grammar.
    ExtensionInvalid,
    /// The extensions of a chunk over their limit, or all of a request's over what its data pays
    /// for.
    ExtensionTooLong,
    /// Chunk data not followed by CR LF.
    DataUnterminated,
    /// A trailer line that is no field.
    TrailerInvalid,
    /// A trailer that would change framing, routing or identity after the fact (RFC 9110 §6.5.1).
    TrailerForbidden,
    /// A trailer section over its limit.
    TrailersTooLong,
}

impl ChunkError {
    /// The machine-readable name, as error bodies and logs give it.
    pub fn code(&self) -> &'static str {
        match self {
            ChunkError::SizeMissing => "chunk_size_missing",
            ChunkError::SizeTooLong => "chunk_size_too_long",
            ChunkError::SizeInvalid => "chunk_size_invalid",
            ChunkError::BareLf => "chunk_bare_lf",
            ChunkError::BareCr => "chunk_bare_cr",
            ChunkError::ExtensionInvalid => "chunk_extension_invalid",
            ChunkError::ExtensionTooLong => "chunk_extension_too_long",
            ChunkError::DataUnterminated => "chunk_data_unterminated",
            ChunkError::TrailerInvalid => "trailer_invalid",
            ChunkError::TrailerForbidden => "trailer_forbidden",
            ChunkError::TrailersTooLong => "trailers_too_long",
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChunkError::SizeMissing => "a chunk has no size",
            ChunkError::SizeTooLong => "a chunk size has more than 15 digits",
            ChunkError::SizeInvalid => "a chunk size is followed by an unexpected byte",
            ChunkError::BareLf => "a chunk line ends in a bare line feed",
            ChunkError::BareCr => "a chunk line holds a bare carriage return",
            ChunkError::ExtensionInvalid => "a chunk extension is malformed",
            ChunkError::ExtensionTooLong => "the chunk extensions are too long",
            ChunkError::DataUnterminated => "the data of a chunk is not followed by CR LF",
            ChunkError::TrailerInvalid => "a trailer line is not a valid field",
            ChunkError::TrailerForbidden => "a trailer field is not allowed to be a trailer",
            ChunkError::TrailersTooLong => "the trailer section is too long",
        })
    }
}

impl std::error::Error for ChunkError {}

/// Where the scanner stands between two bytes of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next byte starts a chunk. A state of its own, as a whole chunk leaves it where it was.
    Start,
    /// In the hex digits of a chunk size. `digits` counts them, one at least.
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
        place: Extension,
        length: u16,
    },
    /// CR seen; only LF may follow.
    SizeLf {
        value: u64,
    },
    /// Never with `remaining: 0`.
    Data {
        remaining: u64,
    },
    DataCr,
    DataLf,
    Trailer(Trailer),
    End(Tail),
    Refused {
        error: ChunkError,
        /// Bytes of the refused input that are whole chunks, in front of the one that is none.
        whole: u32,
        /// They are all whose payload was shown.
        at_boundary: bool,
    },
}

/// Finds the end of a chunked body, and refuses every body whose end another reader could see
/// elsewhere.
#[derive(Clone, Debug)]
pub struct ChunkScanner {
    state: State,
    /// Bytes of a request's extensions that its data has not paid for.
    excess: u16,
    of_response: bool,
}

/// The end of a body, as the scan that reached it found it: whoever has reason to doubt that the
/// body is whole can hold it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The bytes cleared last that carry no payload: the last chunk, the trailers.
    pub length: u32,
    /// All of it: none was cleared by an earlier scan.
    pub whole: bool,
}

impl Default for ChunkScanner {
    fn default() -> ChunkScanner {
        ChunkScanner::new()
    }
}

impl ChunkScanner {
    /// A scanner at the first byte of a request's body.
    pub const fn new() -> ChunkScanner {
        ChunkScanner { state: State::Start, excess: 0, of_response: false }
    }

    /// A scanner at the first byte of a response's body, whose limits are wider.
    pub const fn of_response() -> ChunkScanner {
        ChunkScanner { of_response: true, ..ChunkScanner::new() }
    }

    fn limits(&self) -> &'static Limits {
        if self.of_response { &RESPONSE } else { &REQUEST }
    }

    /// Whether the next byte would start a chunk: one of ours could stand here. After a refusal: behind
    /// [`ChunkScanner::whole_before_refusal`].
    pub fn at_boundary(&self) -> bool {
        matches!(self.state, State::Start | State::Refused { at_boundary: true, .. })
    }

    /// Bytes of the input that was refused which can be passed on all the same: whole chunks.
    pub fn whole_before_refusal(&self) -> usize {
        match self.state {
            State::Refused { whole, .. } => whole as usize,
            _ => 0,
        }
    }

    /// The end of the body; nothing before [`ChunkScanner::is_done`].
    pub fn tail(&self) -> Tail {
        match self.state {
            State::End(tail) => tail,
            _ => Tail::default(),
        }
    }

    /// Whether the whole body, trailers included, has been seen.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::End(_))
    }

    /// Takes the next bytes and returns how many of them belong to this body: all of them, unless
    /// the body ends among them. `on_data` sees the payload, in order, frames removed.
    pub fn scan(
        &mut self,
        input: &[u8],
        mut on_data: impl FnMut(&[u8]),
    ) -> Result<usize, ChunkError> {
        let mut at = 0;
        // Where the latest chunk began, if it began in this input.
        let mut chunk = None;
        while at < input.len() {
            match self.state {
                State::Data { remaining } => {
                    let rest = &input[at..];
                    // On a 64-bit target the comparison is the whole conversion.
                    let here = usize::try_from(remaining).map_or(rest.len(), |n| n.min(rest.len()));
                    on_data(&rest[..here]);
                    at += here;
                    self.state = match remaining - here as u64 {
                        0 if input[at..].starts_with(b"\r\n") => {
                            at += 2;
                            State::Start
                        }
                        0 => State::DataCr,
                        remaining => State::Data { remaining },
                    };
                }
                State::End(_) => break,
                state => {
                    if matches!(state, State::Start) {
                        chunk = Some(at);
                        if let Some((value, length)) = ordinary_size_line(&input[at..]) {
                            at += length;
                            // As tokens come: all of the chunk is here.
                            if let Some(data) = whole_data(&input[at..], value) {
                                on_data(data);
                                at += data.len() + b"\r\n".len();
                                continue;
                            }
                            self.state = after_size_line(value);
                            continue;
                        }
                    }
                    match self.step(state, input[at]) {
                        Ok(next) => self.state = next,
                        Err(error) => {
                            return Err(self.refuse(error, chunk));
                        }
                    }
                    at += 1;
                    if let State::End(tail) = &mut self.state {
                        tail.length = (at - chunk.unwrap_or(0)) as u32;
                        tail.whole = chunk.is_some();
                    }
                }
            }
        }
        Ok(at)
    }

    /// Refuses the body for a byte of the chunk that began at `chunk`, if it began in this input.
    fn refuse(&mut self, error: ChunkError, chunk: Option<usize>) -> ChunkError {
        let (whole, at_boundary) = match (self.state, chunk) {
            (State::Refused { .. }, _) | (_, None) => (0, false),
            // Its data was shown already.
            (State::DataCr | State::DataLf, Some(start)) => (start, false),
            (_, Some(start)) => (start, true),
        };
        self.state = State::Refused { error, whole: whole as u32, at_boundary };
        error
    }

    /// One byte that is not chunk data.
    fn step(&mut self, state: State, byte: u8) -> Result<State, ChunkError> {
        use State::*;
        Ok(match (state, byte) {
            (Start, _) if HEX[usize::from(byte)] != NOT_HEX => {
                Size { value: u64::from(HEX[usize::from(byte)]), digits: 1 }
            }
            (Size { value, digits }, _) if HEX[usize::from(byte)] != NOT_HEX => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(ChunkError::SizeTooLong);
                }
                Size { value: value << 4 | u64::from(HEX[usize::from(byte)]), digits: digits + 1 }
            }
            // A bare LF would end the line for a lenient reader and not for a strict one.
            // Two readings of one message is how requests are smuggled.
            (Start | Size { .. } | Extension { .. }, b'\n') => return Err(ChunkError::BareLf),
            (Start, _) => return Err(ChunkError::SizeMissing),
            (Size { value, .. }, b'\r') => SizeLf { value },
            (Size { value, .. }, _) => {
                let place = extension::Extension::begin(byte).ok_or(ChunkError::SizeInvalid)?;
                Extension { value, place, length: 1 }
            }
            (Extension { value, place, length }, b'\r') if place.may_end() => {
                self.pay(length, value)?;
                SizeLf { value }
            }
            (Extension { length, .. }, _) if length == self.limits().extension => {
                return Err(ChunkError::ExtensionTooLong);
            }
            (Extension { value, place, length }, _) => {
                let place = place.step(byte).ok_or(ChunkError::ExtensionInvalid)?;
                Extension { value, place, length: length + 1 }
            }
            (SizeLf { value }, b'\n') => after_size_line(value),
            (SizeLf { .. }, _) => return Err(ChunkError::BareCr),
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Start,
            (DataCr | DataLf, _) => return Err(ChunkError::DataUnterminated),
            (Trailer(trailer), byte) => match trailer.step(byte, self.limits().trailers)? {
                Some(trailer) => Trailer(trailer),
                None => End(Tail::default()),
            },
            (Refused { error, .. }, _) => return Err(error),
            // `scan` never asks for these two; they stand still.
            (Data { .. } | End(_), _) => state,
        })
    }

    /// The extensions of a chunk have ended: whether its data pays for them.
    fn pay(&mut self, length: u16, data: u64) -> Result<(), ChunkError> {
        let Some(most) = self.limits().excess else { return Ok(()) };
        let paid = EXTENSION_BYTES_FREE.saturating_add(data.saturating_mul(2));
        let excess = u64::from(self.excess).saturating_add(length.into()).saturating_sub(paid);
        self.excess = u16::try_from(excess)
            .ok()
            .filter(|&excess| excess <= most)
            .ok_or(ChunkError::ExtensionTooLong)?;
        Ok(())
    }
}

fn after_size_line(value: u64) -> State {
    match value {
        0 => State::Trailer(Trailer::START),
        remaining => State::Data { remaining },
    }
}

/// The size and the length of a line of digits and CR LF, if `input` starts with a whole one.
/// Tokens come in small chunks, so this line is a good part of the work on each.
#[inline]
fn ordinary_size_line(input: &[u8]) -> Option<(u64, usize)> {
    // Two digits, as nearly all of them have.
    if let [high, low, b'\r', b'\n', ..] = *input {
        let (high, low) = (HEX[usize::from(high)], HEX[usize::from(low)]);
        if (high | low) != NOT_HEX {
            return Some((u64::from(high << 4 | low), 4));
        }
    }
    let mut value = 0;
    for (index, &byte) in input.iter().enumerate().take(usize::from(SIZE_DIGITS_MAX) + 1) {
        let digit = HEX[usize::from(byte)];
        if digit == NOT_HEX {
            let whole = index > 0 && byte == b'\r' && input.get(index + 1) == Some(&b'\n');
            return whole.then_some((value, index + 2));
        }
        value = value << 4 | u64::from(digit);
    }
    None
}

/// The data of a chunk of `size` bytes, not the last one, if `input` starts with all of it and the
/// end of its line.
#[inline]
fn whole_data(input: &[u8], size: u64) -> Option<&[u8]> {
    let (data, behind) = input.split_at_checked(usize::try_from(size).ok()?)?;
    (size > 0 && behind.starts_with(b"\r\n")).then_some(data)
}

const NOT_HEX: u8 = 0xff;

/// The value of each hex digit.
static HEX: [u8; 256] = {
    let mut table = [NOT_HEX; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};
