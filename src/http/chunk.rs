//! The chunked coding (RFC 9112 §7.1), scanned and never decoded.
//!
//! The bytes of a chunked body are passed on as they came, frames and all. That is safe only while
//! every one of them has a single meaning, so the scanner accepts the grammar and nothing beside it.
//! A byte once cleared stays cleared: the verdict on it cannot depend on what follows.
//!
//! * `step` (`grammar.rs`) is the whole grammar. The fast paths of `scan` recognise a subset of what it accepts
//!   and leave every refusal to it; the any-split property tests both at once.
//! * Nothing past the end of the body is ever cleared.
//! * An error is final: the scanner repeats it for whatever comes next.
//! * What nobody may send without end is limited where it stands: the extensions of one chunk, the
//!   trailers of one body. A stream may have any number of chunks, each with its extension.
//!
//! Absent on purpose: memory of bytes. A trailer's name is held as a hash until its colon.

use grammar::{State, after_size_line};
use size::{ordinary_size_line, whole_data};

mod error;
mod extension;
mod grammar;
mod limits;
mod size;
mod trailer;

pub use error::ChunkError;

#[cfg(test)]
mod tests;

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
}
