//! Why a chunked body is refused, for programs and for people.

use std::fmt;

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
