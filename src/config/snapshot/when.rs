//! What a route asks of a request beside its path and method.

pub use crate::http::pattern::Pattern;

/// `when = { … }` of a route: each list that is given has to hold, and of a list one entry. One at least
/// is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct When {
    /// Hosts, in lower case and without a port.
    pub hosts: Vec<Pattern>,
    /// Fields by their names in lower case; all of them have to hold.
    pub headers: Vec<(String, Pattern)>,
    /// Parameters of the query; all of them have to hold.
    pub query: Vec<(String, Pattern)>,
    /// Members of a JSON body, each by the names on the way to it; all of them have to hold.
    pub fields: Vec<(Vec<String>, Pattern)>,
    /// Models, as the body names them. Only a request with a body can be for such a route.
    pub models: Vec<Pattern>,
    /// Who the client has proved to be by a certificate.
    pub certificates: Vec<Pattern>,
    /// `None`: all of them.
    pub share: Option<Share>,
}

/// `when.share`: a part of the requests, for a canary.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// Of 10,000 requests, so many.
    pub of_ten_thousand: u16,
    pub by: ShareBy,
    /// Where its route leads: the first upstream, and the model if it gives one. Routes that lead
    /// elsewhere draw apart, and a share that grows keeps whom it had.
    pub towards: String,
}

impl Share {
    pub const WHOLE: u16 = 10_000;
}

/// What makes two requests fall into the same part. A request that does not have it is drawn for itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShareBy {
    /// Nothing: each is drawn for itself.
    Request,
    /// The key of the API that its client came with.
    Key,
    /// The value of this field, by its lower-case name.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
}

impl When {
    /// Whether the body decides.
    pub fn asks_body(&self) -> bool {
        !self.models.is_empty() || !self.fields.is_empty()
    }

    /// Whether the route takes a request for this model.
    pub fn takes_model(&self, model: &str) -> bool {
        self.models.is_empty()
            || self.models.iter().any(|pattern| pattern.matches(model.as_bytes()))
    }
}
