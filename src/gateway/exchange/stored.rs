//! Stored: has a request that goes on from a stored response answered by the server that made it.
//!
//! OpenAI's responses and conversations are kept by the server that made them, under an id that it has
//! given. A request names one in its path (`GET /v1/responses/ID`) or in its body (`previous_response_id`,
//! `conversation`). Where an upstream of its route has `stored`, the id of each answer is remembered with
//! its endpoint ([`StoredResponses`]), and a request that names a known one is asked of that endpoint
//! alone. One that names an unknown one is a request as any other.
//!
//! * Nothing here is done for a route without such an upstream.
//! * The body is read as far as it is kept, as for `balance.hash.field`.

use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Instant;
use crate::config::snapshot::{Chain, EndpointId, StoredResponses, Target};
use crate::flow::tap::StoredNote;
use crate::gateway::record::exchange::{Exchange, Gather, Storing};
use crate::gateway::record::request_body::LOOK_MAX;
use crate::http::body::Framing;
use crate::http::head::RequestHead;
use crate::proxy::balance::key;
use crate::proxy::hash::hash;

/// What a path names: what is behind it is an id, and what is asked for there may be stored.
const KINDS: [&str; 2] = ["/responses", "/conversations"];

impl Exchange {
    /// Looks at what the head says of stored responses, where an upstream of the route has `stored`.
    #[cold]
    pub(crate) fn begin_storing(&mut self, head: &RequestHead<'_>, chain: &Chain, now: Instant) {
        let posts = head.method == "POST";
        if posts && KINDS.iter().any(|kind| head.path.ends_with(kind)) {
            let sought = !matches!(head.framing, Framing::None | Framing::Length(0));
            self.aside_mut().storing = Some(Storing { answers: true, sought, maker: None });
            if sought && self.gather == Gather::Nothing {
                self.gather = Gather::Whole;
            }
        } else if let Some(id) = id_in(head.path) {
            self.aside_mut().storing = Some(Storing::default());
            self.ask_maker(chain, hash(id.as_bytes()), now);
        }
    }

    /// Whether the body is read for the response that the request goes on from.
    pub(crate) fn seeks_stored(&self) -> bool {
        self.storing().is_some_and(|storing| storing.sought)
    }

    /// Whether its answer is one that its server may store.
    pub(crate) fn may_be_stored(&self) -> bool {
        self.storing().is_some_and(|storing| storing.answers)
    }

    /// The one endpoint that may be asked, if there is one.
    pub(crate) fn maker(&self) -> Option<EndpointId> {
        self.storing()?.maker
    }

    fn storing(&self) -> Option<&Storing> {
        self.aside.as_ref()?.storing.as_ref()
    }

    /// Reads which response it goes on from in what has been kept of the body.
    pub(crate) fn read_stored(&mut self, now: Instant) {
        if let Some(storing) = &mut self.aside_mut().storing {
            storing.sought = false;
        }
        let body = self.payload_in(&self.outbox, LOOK_MAX);
        let named = key::of_member(&body, &["previous_response_id"])
            .or_else(|| key::of_member(&body, &["conversation"]));
        let snapshot = Rc::clone(&self.snapshot);
        let route = self.route.map(|index| &snapshot.routes[index as usize]);
        if let (Some(id), Some(Target::Chain(chain))) = (named, route.map(|route| &route.target)) {
            self.ask_maker(chain, id, now);
        }
    }

    /// Has the request answered by the server that made the response with this id, if that is known.
    fn ask_maker(&mut self, chain: &Chain, id: u64, now: Instant) {
        let Some(stored) = self.snapshot.stored.clone() else { return };
        let found = chain.links.iter().enumerate().find_map(|(link, at)| {
            let upstream = &self.snapshot.upstreams[at.upstream];
            let maker = stored.maker(id, upstream.stored?, second(now))?;
            stored.is_at(upstream.id, maker).then_some((link, maker))
        });
        if let Some((link, maker)) = found
            && let Some(storing) = &mut self.aside_mut().storing
        {
            storing.maker = Some(maker);
            self.link = link;
        }
    }

    /// Whom to tell under which id the server of this attempt stores its answer, if it may.
    pub(crate) fn note_of_stored(&self) -> Option<Box<dyn StoredNote>> {
        let stored = self.snapshot.stored.as_ref().filter(|_| self.may_be_stored())?;
        let (stored, endpoint) = (Arc::clone(stored), self.tries.endpoint?);
        Some(Box::new(Maker { stored, endpoint, at: self.timeline.moved }))
    }
}

/// The endpoint that makes an answer.
#[derive(Debug)]
struct Maker {
    stored: Arc<StoredResponses>,
    endpoint: EndpointId,
    at: Instant,
}

impl StoredNote for Maker {
    fn is_stored(&self, id: &str) {
        self.stored.remember(hash(id.as_bytes()), self.endpoint, second(self.at));
    }
}

fn second(now: Instant) -> u64 {
    now.as_nanos() / 1_000_000_000
}

/// The id that a path asks for: `/v1/responses/ID`, `/v1/responses/ID/cancel`.
fn id_in(path: &str) -> Option<&str> {
    KINDS.iter().find_map(|kind| {
        let (_, behind) = path.split_once(kind)?;
        let id = behind.strip_prefix('/')?.split('/').next()?;
        (!id.is_empty()).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stands_behind_its_kind() {
        for (path, expected) in [
            ("/v1/responses/resp_1", Some("resp_1")),
            ("/v1/responses/resp_1/cancel", Some("resp_1")),
            ("/openai/v1/responses/resp_1/input_items", Some("resp_1")),
            ("/v1/conversations/conv_1/items", Some("conv_1")),
            ("/v1/responses", None),
            ("/v1/responses/", None),
            ("/v1/responsesx/resp_1", None),
            ("/v1/chat/completions", None),
        ] {
            assert_eq!(id_in(path), expected, "{path}");
        }
    }
}
