//! Prospects: which endpoints and upstreams could answer, if the server that is asked does not.

use crate::gateway::Gateway;
use crate::gateway::record::exchange::Exchange;
use crate::proxy::endpoints::{self, Tried};
use crate::reactor::net::Net;
use crate::reactor::turn::Cx;

impl<N: Net> Gateway<N> {
    /// What the search for an endpoint has to know of an exchange.
    pub(crate) fn in_search<'t>(
        &self,
        exchange: &Exchange,
        tried: &'t Tried,
        cx: &Cx<N>,
    ) -> endpoints::Search<'t> {
        let chain = exchange.chain();
        let others = self.has_others(exchange, tried, cx);
        let predefined = chain.is_some_and(|chain| chain.fallback.is_some());
        endpoints::Search {
            tried,
            key: exchange.key(),
            last_resort: !others && !predefined,
            degrades: !others && predefined,
            unheard: exchange.tries.at_upstream == 1,
            only: exchange.maker(),
        }
    }

    /// Whether an upstream further on in the route could answer now, besides those that were tried.
    fn has_others(&self, exchange: &Exchange, tried: &Tried, cx: &Cx<N>) -> bool {
        let links = exchange.chain().map_or(&[][..], |chain| &chain.links[..]);
        (exchange.link + 1..links.len()).any(|link| {
            let upstream = &exchange.snapshot.upstreams[links[link].upstream];
            let endpoints = &self.groups[upstream.id].endpoints;
            exchange.can_be_asked(link) && endpoints.has_anybody_but(tried, cx.now)
        })
    }

    /// Whether an exchange whose upstream loads its model is answered sooner further on in its route.
    pub(crate) fn answers_further_on(&self, exchange: &Exchange, cx: &Cx<N>) -> bool {
        self.next_link(exchange, cx).is_some()
            && self.has_others(exchange, &exchange.tries.tried, cx)
    }

    /// The next upstream of the route that an exchange could go to. Where the client has a part of the
    /// answer, that has to take the text so far.
    pub(crate) fn next_link(&self, exchange: &Exchange, cx: &Cx<N>) -> Option<usize> {
        if exchange.aside.as_ref().is_some_and(|aside| aside.came_back) {
            return None;
        }
        let next = exchange.link + 1;
        let links = exchange.chain()?.links.len();
        match exchange.is_continuing() || exchange.commit.is_passed() {
            false => (next..links).find(|link| exchange.can_be_asked(*link)),
            true => (next..links)
                .find(|link| self.takes_text(exchange, *link, cx) && exchange.can_be_asked(*link)),
        }
    }

    /// The upstream that an exchange could come back to when the last one of its route has not heard
    /// it: one that was passed over, since its endpoints are asked only when nobody else could answer.
    pub(crate) fn link_left(
        &self,
        exchange: &Exchange,
        tried: &Tried,
        cx: &Cx<N>,
    ) -> Option<usize> {
        let chain = exchange.chain()?;
        let came_back = exchange.aside.as_ref().is_some_and(|aside| aside.came_back);
        let begun = exchange.is_continuing() || exchange.commit.is_passed();
        if came_back || begun || chain.fallback.is_some() {
            return None;
        }
        let (last_resort, unheard) = (true, true);
        let request = endpoints::Search {
            tried,
            key: None,
            last_resort,
            degrades: false,
            unheard,
            only: exchange.maker(),
        };
        (0..exchange.link).find(|link| {
            let upstream = &exchange.snapshot.upstreams[chain.links[*link].upstream];
            let endpoints = &self.groups[upstream.id].endpoints;
            exchange.can_be_asked(*link) && endpoints.prospects(&request, None, cx.now).0
        })
    }

    /// Whether an upstream of the route takes the text so far.
    pub(crate) fn takes_text(&self, exchange: &Exchange, link: usize, cx: &Cx<N>) -> bool {
        let link = exchange.chain().and_then(|chain| chain.links.get(link));
        let upstream = link.map(|link| &exchange.snapshot.upstreams[link.upstream]);
        match (upstream, exchange.dialect.continued_by()) {
            (Some(upstream), Some(needed)) => {
                upstream.prefill >= needed && self.groups[upstream.id].refuses_prefill <= cx.now
            }
            _ => false,
        }
    }
}
