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
    /// They have not been asked about the request yet.
    pub(crate) unasked: bool,
    /// The path and query that servers are asked for in place of the client's.
    pub(crate) target: Option<String>,
    /// What is changed in the fields of the request.
    pub(crate) request_rules: Vec<FieldRules>,
    /// What is changed in the fields of the answer.
    pub(crate) answer_rules: Vec<FieldRules>,
    /// The body of the request is not the client's.
    pub(crate) replaced: bool,
}
