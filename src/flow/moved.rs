//! What a relay did in one call, and why it stopped.

use std::io;

use crate::http::chunk::ChunkError;
use crate::wire::pool::READ_RESERVE;

/// Why a relay came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The flow is done or cut, and everything has been written.
    Ended,
    /// Everything that was read has been written; the source has no more for now.
    SourceEmpty,
    /// The sink takes no more for now.
    SinkFull,
    /// No buffer to be had: what comes next takes so many.
    Dry { needs: usize },
    /// The budget is spent; there may be more.
    Budget,
}

impl Rest {
    /// No buffer for a read.
    pub const DRY: Rest = Rest::Dry { needs: READ_RESERVE };

    /// The buffers it waits for, if it waits for any.
    pub fn needs(self) -> Option<usize> {
        match self {
            Rest::Dry { needs } => Some(needs),
            _ => None,
        }
    }
}

/// What a relay did.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub read: usize,
    pub written: usize,
    pub rest: Rest,
}

/// Why a flow cannot go on.
#[derive(Debug)]
pub enum Broken {
    Read(io::Error),
    Write(io::Error),
    /// The source ended its connection inside the message.
    Truncated,
    Framing(ChunkError),
    /// By the marks of its dialect the message is not what it is in HTTP: whole, or one request.
    Unfinished,
    /// More than `limits.body_bytes`.
    TooLong,
}
