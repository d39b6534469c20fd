//! What a relay did in one call, and why it stopped.

use std::io;

use crate::http::chunk::ChunkError;
use crate::plugins::seat::PluginStop;
use crate::service::translate::BadAnswer;
use crate::wire::buffers::BufferPool;

/// Why a relay stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The flow is done or cut, and everything has been written.
    Ended,
    /// Everything that was read has been written; the source has no more for now.
    SourceEmpty,
    /// The sink takes no more for now.
    SinkFull,
    /// The pool has no buffer: what comes next takes so many.
    Dry { needs: usize },
    /// The budget is spent; there may be more.
    Budget,
}

impl Rest {
    /// No buffer for a read.
    pub fn dry(pool: &BufferPool) -> Rest {
        Rest::Dry { needs: pool.read_reserve() }
    }

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
    /// HTTP says that the message is whole, and its dialect says that it is not; or a request names its
    /// model in more than one way.
    Unfinished,
    /// More than `limits.body_bytes`.
    TooLong,
    /// What has come cannot be said in the dialect of the client.
    Untranslatable(BadAnswer),
    /// A plugin has ended the exchange.
    Plugin(PluginStop),
}
