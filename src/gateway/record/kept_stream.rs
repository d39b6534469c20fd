//! What an exchange keeps so that another server can continue its stream.

use crate::flow::tap::Tap;
use crate::proxy::fault::Fault;
use crate::service::continuation::Kept;

mod continuing;

/// What a stream needs to be continued elsewhere. Boxed: only routes with `continue` have it.
#[derive(Debug)]
pub struct Continuation {
    /// The request as it was last sent: its draft, and behind it the body without its framing.
    pub(crate) request: Kept,
    /// Bytes of text that may still be kept.
    pub(crate) room: usize,
    /// The tap with its listeners, between two streams.
    pub(crate) tap: Option<Box<Tap>>,
    /// The fault that broke the stream, until another server continues it.
    pub(crate) fault: Option<Fault>,
    /// How many servers were asked to continue it.
    pub made: u32,
    /// What the client had of the streams before this one.
    pub before: Before,
}

/// What the client has of the streams before the present one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    pub events: u64,
    pub bytes: u64,
    pub tokens: u64,
}

/// The request for the rest.
pub(crate) struct Remainder {
    pub(crate) draft: Vec<u8>,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
    /// Bytes of the text that it carries on top of the last one.
    pub(crate) text: usize,
    pub(crate) tokens: u64,
}

impl Remainder {
    /// About how many bytes it takes: an opening is about as long as its draft.
    pub(crate) fn length(&self) -> usize {
        2 * self.draft.len() + self.body.len()
    }
}
