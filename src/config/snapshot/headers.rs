//! What is changed in the fields of the heads that go on.

use std::sync::Arc;

use crate::http::field_rules::FieldRules;

/// `request_headers`, `response_headers` and `api_key` of an upstream or a route.
#[derive(Clone, Debug, Default)]
pub struct HeaderRules {
    /// `None`: nothing is changed.
    pub rules: Option<Arc<FieldRules>>,
    /// The keys and values as they can be written in the file: where a secret comes from, and never
    /// what it is.
    pub written: Vec<(String, String)>,
}

/// Whether a server may compress its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptEncoding {
    /// As far as the client says.
    Client,
    /// Not at all.
    Identity,
}
