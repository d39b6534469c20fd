//! Where a route sends its requests: upstreams in order, and what ends the chain.

use std::sync::Arc;

use super::{ExchangeTimeouts, Fallback};
use crate::http::field_rules::FieldRules;
use crate::plugins::settings::RoutePlugins;

/// The upstreams of a route, and what is said when all have failed.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Never empty.
    pub links: Vec<Link>,
    /// Where a request goes whose prompt is too long for the model it was sent to: a position in
    /// `links`.
    pub larger: Option<usize>,
    /// The predefined answer that ends the chain.
    pub fallback: Option<Fallback>,
    /// An upstream of it has `translate_to`.
    pub translates: bool,
    /// An upstream of it has `stored`.
    pub stores: bool,
    /// The plugins of its route; `None`: it has none.
    pub plugins: Option<Box<RoutePlugins>>,
}

impl Chain {
    /// The chain of a route that names one upstream.
    pub fn of_one(upstream: usize, timeouts: ExchangeTimeouts) -> Chain {
        let link = Link { upstream, model: None, request_headers: Vec::new(), timeouts };
        let (larger, fallback, plugins) = (None, None, None);
        Chain { links: vec![link], larger, fallback, translates: false, stores: false, plugins }
    }

    pub fn leads_to(&self, upstream: usize) -> bool {
        self.links.iter().any(|link| link.upstream == upstream)
    }
}

/// One upstream of a route, in the order they are asked.
#[derive(Clone, Debug)]
pub struct Link {
    /// Index into [`Snapshot::upstreams`].
    pub upstream: usize,
    /// What the request's `model` is replaced by: the route's, else the upstream's. `None`: nothing.
    pub model: Option<String>,
    /// What is changed in the heads of requests: by the route, then by the upstream.
    pub request_headers: Vec<Arc<FieldRules>>,
    /// In force: the route's, else the upstream's, else `[timeouts]`.
    pub timeouts: ExchangeTimeouts,
}
