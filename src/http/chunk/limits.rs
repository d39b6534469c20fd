//! Limits of what carries no data: nobody may send extensions or trailers without end.

use super::{ChunkError, ChunkScanner};

/// What the parts of a chunked body that carry no data may weigh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of the extensions of one chunk, white space and `;` included.
    pub(super) extension: u16,
    /// Bytes by which the extensions of a body may exceed what their chunks pay for:
    /// [`EXTENSION_BYTES_FREE`] each, and two for each byte of data.
    excess: Option<u16>,
    /// Bytes of the trailer section, its empty line included.
    pub(super) trailers: u16,
}

/// A client could make a server read far more than it is charged for. The measure, relative to the
/// data, is that of Go (CVE-2023-39326).
const REQUEST: Limits = Limits { extension: 256, excess: Some(16 * 1024), trailers: 8 * 1024 };
/// A server is trusted to fill its own connection. Whatever it puts on each chunk of a stream, a
/// signature for one, must not end the stream.
const RESPONSE: Limits = Limits { extension: 4 * 1024, excess: None, trailers: 32 * 1024 };

const EXTENSION_BYTES_FREE: u64 = 16;

impl ChunkScanner {
    pub(super) fn limits(&self) -> &'static Limits {
        if self.of_response { &RESPONSE } else { &REQUEST }
    }

    /// The extensions of a chunk have ended: whether its data pays for them.
    pub(super) fn pay(&mut self, length: u16, data: u64) -> Result<(), ChunkError> {
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
