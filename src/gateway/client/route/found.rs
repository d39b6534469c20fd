//! Where a request goes, by its head and by what its body has said so far.

use crate::config::snapshot::{Route, Snapshot};
use crate::flow::named::Named;
use crate::gateway::record::exchange::Undecided;
use crate::http::body::Framing;
use crate::http::head::RequestHead;
use crate::proxy::cors::{self, Preflight};
use crate::proxy::fault::DownstreamFault;
use crate::proxy::route::{self, Asker, BodyFacts, Model};
use crate::responder::{Responder, preflight};

/// Where a request goes.
pub(crate) enum Routed {
    /// Index into the routes.
    To(usize),
    /// Its body decides: the first route that asks for something in it.
    ByModel(usize),
    /// It is a preflight, which is answered here.
    Preflight(Box<dyn Responder>),
}

impl Undecided {
    /// Whether the body has to say more before a route can be chosen.
    pub(crate) fn waits(&self, watch: &Named, routes: &[Route]) -> bool {
        let Some(naming) = watch.0.as_deref().filter(|naming| naming.members.is_some()) else {
            return watch.is_searched();
        };
        if watch.is_over() {
            return false;
        }
        let named = naming.named_model();
        let model = named.as_deref().map_or(Model::Unread, Model::Named);
        let body = BodyFacts { model, members: watch.members() };
        watch.is_ahead() || !route::is_decided(routes, &self.candidates, &body)
    }
}

impl Snapshot {
    /// Where a request goes, as far as is known of its `model`.
    pub(crate) fn route_of(
        &self,
        head: &RequestHead<'_>,
        model: Model<'_>,
        asker: Asker<'_>,
    ) -> Result<Routed, DownstreamFault> {
        if head.target_is_asterisk {
            return Err(DownstreamFault::MethodNotAllowed { allow: route::methods(&self.routes) });
        }
        match cors::preflight(&self.routes, head) {
            None => {}
            Some(Preflight::Granted(fields)) => {
                return Ok(Routed::Preflight(preflight::granted(&fields)));
            }
            Some(Preflight::Refused(why)) => return Err(DownstreamFault::OriginNotAllowed(why)),
        }
        let found = route::find(&self.routes, head, model, asker);
        let routed = self.routed(found, head, model)?;
        match (head.framing, self.limits.body_bytes) {
            (Framing::Length(length), Some(max)) if length > max => {
                Err(DownstreamFault::BodyTooLarge)
            }
            _ => Ok(routed),
        }
    }

    /// Where a request goes whose body has said so much. The routes in front of the `first` have refused its
    /// head, and the `first` has not.
    pub(super) fn route_by_body(
        &self,
        head: &RequestHead<'_>,
        body: BodyFacts<'_>,
        first: usize,
        asker: Asker<'_>,
    ) -> Result<Routed, DownstreamFault> {
        if route::takes_body(&self.routes[first], head, &body) {
            return self.routed(route::Match::Route(first), head, body.model);
        }
        let found = match route::find(&self.routes[first..], head, body, asker) {
            route::Match::Route(index) => route::Match::Route(first + index),
            route::Match::Undecided(index) => route::Match::Undecided(first + index),
            // Why nobody takes it, the others say too.
            _ => route::find(&self.routes, head, body, asker),
        };
        self.routed(found, head, body.model)
    }

    fn routed(
        &self,
        found: route::Match,
        head: &RequestHead<'_>,
        model: Model<'_>,
    ) -> Result<Routed, DownstreamFault> {
        match found {
            route::Match::Route(index) => {
                let route = &self.routes[index];
                route::check_rewritten(route, head.path).map_err(DownstreamFault::Head)?;
                Ok(Routed::To(index))
            }
            route::Match::Undecided(first) => Ok(Routed::ByModel(first)),
            route::Match::NotFound(unmet) => Err(DownstreamFault::NotFound(unmet)),
            route::Match::ModelNotFound => {
                let model = match model {
                    Model::Named(model) => Some(model.into()),
                    Model::Unread | Model::Unnamed => {
                        route::model_of_none(&self.routes, head).map(Box::from)
                    }
                };
                Err(DownstreamFault::ModelNotFound { model })
            }
            route::Match::MethodNotAllowed { allow } => {
                Err(DownstreamFault::MethodNotAllowed { allow })
            }
        }
    }

    /// The members of its body that routes from `first` on ask for, of those that a request may take.
    pub(super) fn paths_wanted(
        &self,
        first: usize,
        head: &RequestHead<'_>,
        asker: Asker<'_>,
    ) -> Vec<Vec<String>> {
        let fields = |route: &Route| route.when.iter().any(|when| !when.fields.is_empty());
        let mut paths: Vec<Vec<String>> = Vec::new();
        if !self.routes[first..].iter().any(fields) {
            return paths;
        }
        for candidate in route::candidates(&self.routes, first, head, asker) {
            for (path, _) in self.routes[candidate.route].when.iter().flat_map(|when| &when.fields)
            {
                if !paths.contains(path) {
                    paths.push(path.clone());
                }
            }
        }
        paths
    }
}
