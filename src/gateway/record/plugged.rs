//! The plugins of an exchange, and what they have asked for.
//!
//! * A seat is taken when the route is known, and given up at the end: so long its plugin stays open.
//! * What was asked for at `on_request` holds for all tries; what at `on_response_head`, for that answer.

use crate::http::field_rules::FieldRules;
use crate::plugins::Hooks;
use crate::plugins::seat::SharedSeat;

mod seated;

/// The plugins of one exchange.
#[derive(Debug)]
pub struct PluggedExchange {
    /// In the order they are asked.
    pub(crate) seats: Vec<SharedSeat>,
    pub(crate) hooks: Hooks,
    /// Which of those with `on_request` is to be asked next; `None`: all have been.
    pub(crate) next: Option<usize>,
    /// The request on its way through its plugins.
    pub(crate) asked: Option<Box<AskedRequest>>,
    /// Which of those with `on_response_head` is to be asked next about the answer that has begun.
    pub(crate) next_on_head: usize,
    /// The path and query that servers are asked for in place of the client's.
    pub(crate) target: Option<String>,
    /// What is changed in the fields of the request.
    pub(crate) request_rules: Vec<FieldRules>,
    /// What is changed in the fields of the answer.
    pub(crate) answer_rules: Vec<FieldRules>,
    /// The body of the request is not the client's.
    pub(crate) replaced: bool,
}

/// A request on its way through its plugins.
#[derive(Debug)]
pub struct AskedRequest {
    /// Its head, as it is now.
    pub(crate) head: Vec<u8>,
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
    pub(crate) whole: bool,
    /// A plugin has written the body.
    pub(crate) replaced: bool,
}
