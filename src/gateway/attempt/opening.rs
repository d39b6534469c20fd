//! Opening: the head of a request as the server of this try gets it.
//!
//! What every server gets was drafted when the request came (`client/request.rs`). Here is what depends
//! on where it goes: the path by its route, `Host` by its upstream and endpoint, the framing by the
//! model that its body names now or by its translation, `traceparent` by the try, and last the fields that
//! the operator's rules change. An opening is put in front of the body whole, and taken off whole when its
//! try is over (`exchange/retry.rs`).

use std::sync::Arc;

use crate::config::snapshot::HostField;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::translation::Translation;
use crate::http::body::Framing;
use crate::http::head::Version;
use crate::http::path::base;
use crate::http::rewrite::{self, Opening, Refit};
use crate::http::trace_context::TraceParent;
use crate::proxy::route;

impl Exchange {
    /// Writes the opening for the endpoint with this authority and this base path. The body has the model already that
    /// this upstream is to be asked for. Returns whether it did: most servers want the draft as it is.
    pub(super) fn write_opening(
        &self,
        (authority, base): (&str, &str),
        trace: Option<&TraceParent>,
        into: &mut Vec<u8>,
    ) -> bool {
        let (Some(route), Some(link)) = (self.route(), self.here()) else { return false };
        let draft;
        let path = match route.rewrite {
            Some(_) => {
                draft = self.outbox.draft();
                route::rewritten(route, rewrite::path_of(&draft))
            }
            None => None,
        };
        let opening = Opening {
            path: path.as_ref().map(|(with, rest)| (&**with, *rest)),
            host: self.host_for(&self.snapshot.upstreams[link.upstream].host, authority),
            length: self.length_here(),
            trace,
            first_chunk: self.request.watch.first_chunk(),
        };
        let plugged = self.plugged();
        let refitted = self.translation().is_some() || self.has_other_body();
        let target = plugged.and_then(|plugged| plugged.target.as_deref());
        let rules = plugged.map_or(&[][..], |plugged| &plugged.request_rules);
        let differs = !opening.is_draft()
            || !link.request_headers.is_empty()
            || refitted
            || !base.is_empty()
            || target.is_some()
            || !rules.is_empty();
        if differs {
            into.clear();
            rewrite::opening(&self.outbox.draft(), &opening, into);
            if refitted {
                let opening = std::mem::take(into);
                let target = self.target_here();
                rewrite::refit(&opening, &self.refit_here(target.as_deref()), into);
            }
            if !base.is_empty() {
                let opening = std::mem::take(into);
                base::put(base, &opening, into);
            }
            if let Some(target) = target.filter(|_| !self.is_translated()) {
                let opening = std::mem::take(into);
                rewrite::retarget(&opening, target, into);
            }
            let rules = rules.iter().chain(link.request_headers.iter().map(Arc::as_ref));
            for rules in rules {
                let opening = std::mem::take(into);
                rules.apply(&opening, into);
            }
        }
        differs
    }

    /// The `Host` an upstream with this rule is sent; `None`: the client's own. A client that has named
    /// none speaks HTTP/1.0, and the endpoint is sent its own name then.
    fn host_for<'a>(&self, rule: &'a HostField, authority: &'a str) -> Option<&'a [u8]> {
        let named =
            || self.client == Version::Http11 || rewrite::has_authority(&self.outbox.draft());
        match rule {
            HostField::Preserve if named() => None,
            HostField::Preserve | HostField::Endpoint => Some(authority.as_bytes()),
            HostField::Fixed(host) => Some(host.as_bytes()),
        }
    }

    /// What the server is asked for in place of the client's path and query, where the request is translated.
    fn target_here(&self) -> Option<String> {
        let (pair, request) = self.translation().and_then(Translation::asked)?;
        let path = self.upstream().and_then(|it| it.translate_to.as_ref()?.path.as_deref());
        Some(pair.target(path, request))
    }

    /// What of the head is another where the body was all here before it was sent, and may be translated.
    fn refit_here<'t>(&self, target: Option<&'t str>) -> Refit<'t> {
        let length = self.outbox.held() as u64;
        match self.translation().and_then(Translation::asked) {
            None => Refit { length, ..Refit::default() },
            Some((pair, _)) => Refit {
                length,
                target,
                withheld: pair.withheld_fields(),
                field: pair.field(),
                key: Some(pair.key_field()),
            },
        }
    }

    /// How long the body is that this server is sent, where the client has said something else.
    fn length_here(&self) -> Option<u64> {
        let Framing::Length(length) = self.request.body.framing() else { return None };
        if self.translation().is_some() || self.has_other_body() {
            return None;
        }
        if self.is_continuing() {
            // All of it is here, and it was never the client's.
            return Some(self.outbox.held() as u64);
        }
        let (own, written) = self.request.watch.name_lengths()?;
        (own != written).then(|| length - own as u64 + written as u64)
    }
}
