//! What is valid HTTP and more than is taken here: the limit was ours to set, so nobody else is blamed.

use std::fmt;

use super::UpstreamFault;
use crate::http::chunk::ChunkError;
use crate::http::head::HeadError;

/// What an answer can be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    HeadBytes,
    Headers,
    ConnectionOptions,
    ChunkExtension,
    Trailers,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::HeadBytes => "its head is longer than limits.response_head_bytes",
            Limit::Headers => "its head has more fields than limits.response_headers",
            Limit::ConnectionOptions => "its Connection fields list too many options",
            Limit::ChunkExtension => "the extensions of a chunk are longer than 4 KiB",
            Limit::Trailers => "its trailers are longer than 32 KiB",
        })
    }
}

impl UpstreamFault {
    /// What it is that an answer has such a head.
    pub fn of_head(error: HeadError) -> UpstreamFault {
        match error {
            HeadError::HeadTooLarge => UpstreamFault::OverLimit(Limit::HeadBytes),
            HeadError::TooManyFields => UpstreamFault::OverLimit(Limit::Headers),
            HeadError::TooManyConnectionOptions => {
                UpstreamFault::OverLimit(Limit::ConnectionOptions)
            }
            error => UpstreamFault::Head(error),
        }
    }

    /// What it is that an answer has such a body.
    pub fn of_chunk(error: ChunkError) -> UpstreamFault {
        match error {
            ChunkError::ExtensionTooLong => UpstreamFault::OverLimit(Limit::ChunkExtension),
            ChunkError::TrailersTooLong => UpstreamFault::OverLimit(Limit::Trailers),
            error => UpstreamFault::Chunk(error),
        }
    }
}
