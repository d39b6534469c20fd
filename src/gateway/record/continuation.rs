//! What an exchange keeps so that another server may go on with its stream.

use crate::flow::tap::Tap;
use crate::proxy::fault::Fault;
use crate::service::continuation::Kept;

/// What a stream needs to go on elsewhere. Boxed: only where its route asks for it.
#[derive(Debug)]
pub struct Continuation {
    /// The request as it was last sent, head and body.
    pub(crate) request: Kept,
    /// Bytes of text that may still be kept.
    pub(crate) room: usize,
    /// Who looks on, between two streams.
    pub(crate) tap: Option<Box<Tap>>,
    /// Why the stream broke that is to be continued.
    pub(crate) fault: Option<Fault>,
    /// How often it was continued, or was to be.
    pub made: u32,
    /// What the client had of the streams before this one.
    pub before: Before,
}

/// Parts of an answer that have come and gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    pub events: u64,
    pub bytes: u64,
    pub tokens: u64,
}

/// The request for the rest.
pub(crate) struct Remainder {
    pub(crate) request: Vec<u8>,
    /// Bytes of the text that it carries on top of the last one.
    pub(crate) text: usize,
    pub(crate) tokens: u64,
}
