//! The states of a chunked body, and what each byte means in each.
//!
//! ```text
//!   Start ─▶ Size ──CR──▶ SizeLf ──LF──▶ Data ──▶ DataCr ──▶ DataLf ──▶ Start …
//!             └─;─▶ Extension ──CR──┘ └─ size 0 ─▶ Trailer ──empty line──▶ End
//! ```
//!
//! It accepts the grammar and nothing beside it: CR LF ends a line, exactly CR LF follows the data, a
//! size has 1 to 15 hex digits. `extension` and `trailer` hold the grammar of the two rare parts.

use super::extension::{self, Extension};
use super::size::{HEX, NOT_HEX, SIZE_DIGITS_MAX};
use super::trailer::Trailer;
use super::{ChunkError, ChunkScanner, Tail};

/// Where the scanner stands between two bytes of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
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

impl ChunkScanner {
    /// One byte that is not chunk data.
    pub(super) fn step(&mut self, state: State, byte: u8) -> Result<State, ChunkError> {
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
}

/// What follows the line of a chunk of this size.
pub(super) fn after_size_line(value: u64) -> State {
    match value {
        0 => State::Trailer(Trailer::START),
        remaining => State::Data { remaining },
    }
}
