//! Heads: the start line and the fields of a request or a response.
//!
//! httparse finds the tokens; everything that makes it lenient is taken back here, and everything
//! a gateway must know is read in one pass over the fields.
//!
//! | file       | owns                                                                            |
//! |------------|---------------------------------------------------------------------------------|
//! | `request`  | [`parse_request`]: a request head and all its refusals                           |
//! | `response` | [`parse_response`]: a response head from an upstream we do not trust             |
//! | `target`   | the request target and the authority                                             |
//! | `fields`   | `Connection`, the length fields, sets of fields                                  |
//! | `diagnose` | which byte was wrong, once httparse has said that one was                        |
//! | `error`    | the closed list of refusals                                                      |
//!
//! * A head that parses has one reading: CR LF ends every line, no line is folded, the length of
//!   the body is given once or not at all.
//! * However the bytes arrive, the verdict is the same. It may come before the head is complete,
//!   never later than with its last byte.
//! * Nothing is copied: a head borrows the input.
//!
//! Absent on purpose: what to do about it. A refusal has a status and a name, no more.

use std::mem::MaybeUninit;

pub use error::HeadError;
pub use fields::FieldSet;
pub use request::{RequestHead, parse_request};
pub use response::{Media, ResponseContext, ResponseHead, parse_response};

mod diagnose;
mod error;
mod fields;
mod request;
mod response;
mod target;

#[cfg(test)]
mod tests;

/// The most fields a head may have, whatever the configuration allows.
pub const FIELDS_MAX: usize = 512;

/// Room for the fields of one head, on the caller's stack. Making it costs nothing.
pub struct FieldSlots<'b>([MaybeUninit<httparse::Header<'b>>; FIELDS_MAX]);

impl FieldSlots<'_> {
    #[inline]
    pub const fn new() -> Self {
        FieldSlots([const { MaybeUninit::uninit() }; FIELDS_MAX])
    }
}

impl Default for FieldSlots<'_> {
    fn default() -> Self {
        FieldSlots::new()
    }
}

/// How much head is too much.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head, start line and empty line included.
    pub bytes: usize,
    /// Fields; [`FIELDS_MAX`] at most.
    pub fields: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// The fields of a head, for whoever looks for one by its name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'b>(&'b [httparse::Header<'b>]);

impl<'b> Fields<'b> {
    /// The value of the first field of that name.
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        fields::value_of(self.0, name)
    }

    /// The values of all fields of that name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|it| it.value)
    }
}

/// Whether `input` may hold a whole head that it did not hold when only its first `examined` bytes
/// were known: a blank line, however lenient, has come.
///
/// Parsing again for every byte of a head that drips in would cost its length squared. Asking this
/// first makes it linear. It does not see early errors and limits, so parse once for the first
/// bytes and once when the input has reached [`HeadLimits::bytes`] as well.
pub fn may_be_complete(input: &[u8], examined: usize) -> bool {
    // The line feed that ends the line before may lie this far back: LF CR LF.
    let start = examined.min(input.len()).saturating_sub(2);
    memchr::memchr_iter(b'\n', &input[start..]).any(|at| {
        let after = start + at + 1;
        match input[after..] {
            [b'\n', ..] => after + 1 > examined,
            [b'\r', b'\n', ..] => after + 2 > examined,
            _ => false,
        }
    })
}

/// What httparse may see: no byte past the limit can change the verdict on those before it.
fn window<'b>(input: &'b [u8], limits: &HeadLimits) -> &'b [u8] {
    &input[..input.len().min(limits.bytes)]
}

fn slots_within<'s, 'b>(
    slots: &'s mut FieldSlots<'b>,
    limits: &HeadLimits,
) -> &'s mut [MaybeUninit<httparse::Header<'b>>] {
    &mut slots.0[..limits.fields.min(FIELDS_MAX)]
}

/// Refuses a head in which any line ends in a bare LF, which httparse lets pass.
///
/// No field holds a line break, so the two bytes before each line are the whole question.
fn require_crlf(raw: &[u8], fields: &[httparse::Header<'_>]) -> Result<(), HeadError> {
    let before_fields = fields.iter().all(|field| {
        let start = line_start(raw, field);
        raw.get(..start).is_some_and(|before| before.ends_with(b"\r\n"))
    });
    if before_fields && raw.ends_with(b"\r\n\r\n") { Ok(()) } else { Err(HeadError::BareLf) }
}

/// Where the line of `field`, a field of `raw`, begins.
pub(super) fn line_start(raw: &[u8], field: &httparse::Header<'_>) -> usize {
    field.name.as_ptr() as usize - raw.as_ptr() as usize
}
