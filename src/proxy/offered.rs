//! Which models clients can ask for: the names that the configuration and the servers give, and that
//! lead somewhere.
//!
//! A request for a name takes the first route that takes the name, and goes to that route's first
//! upstream. So a name is offered by a route that leads to one of the listed upstreams, and it is
//!
//! 1. an alias: a name, not a pattern, in the route's `when.model`, whatever the servers say;
//! 2. the model that the route's first upstream is asked for in place of the client's, if the route
//!    takes that name itself;
//! 3. a name that an upstream of the route has, if the route takes it, does not replace it, and no
//!    upstream in front of that one would refuse it: each of those has the name too, or nobody
//!    knows what it has.
//!
//! Not offered by a route is a name that another route of its path takes before it. A route
//! that takes a share of the requests neither offers nor hides one: the rest decides, for a name that
//! one request in twenty can ask for is none.
//!
//! Aliases and replaced models come first, in the order of the routes, then what the servers have, in
//! the order of the upstreams and of their own lists. Each name comes once.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::config::snapshot::{Chain, Link, ModelSource, Pattern, Route, Snapshot, Target, When};
use crate::service::listing::ModelEntry;

#[cfg(test)]
mod tests;

/// The models of the `listed` upstreams. `learnt` tells what the servers of one have said; `None`:
/// nothing so far.
pub fn offered<'l>(
    snapshot: &Snapshot,
    listed: &[usize],
    learnt: impl Fn(usize) -> Option<&'l [ModelEntry]>,
) -> Vec<ModelEntry> {
    let known = |index: usize| match &snapshot.upstreams[index].models {
        ModelSource::Stated(names) => {
            Some(names.iter().map(|name| ModelEntry::named(name)).collect::<Cow<'l, [_]>>())
        }
        ModelSource::Ask | ModelSource::AskAt(_) => learnt(index).map(Cow::Borrowed),
        ModelSource::Off => None,
    };
    let known: Vec<Option<Known<'_>>> =
        (0..snapshot.upstreams.len()).map(|index| known(index).map(Known::new)).collect();
    let offers = Offers { snapshot, listed, known: &known };
    let mut models: Vec<ModelEntry> = Vec::new();
    let mut told = HashSet::new();
    let mut tell = |model: ModelEntry| {
        if told.insert(model.id.clone()) {
            models.push(model);
        }
    };
    for index in 0..snapshot.routes.len() {
        offers.of_route(index).into_iter().for_each(&mut tell);
    }
    for &upstream in listed {
        let all = known[upstream].iter().flat_map(|known| known.models.iter());
        let named = all.filter(|model| offers.reaches(upstream, &model.id));
        named.map(|model| offers.completed(model.clone(), upstream)).for_each(&mut tell);
    }
    models
}

/// What an upstream has.
struct Known<'l> {
    models: Cow<'l, [ModelEntry]>,
    names: HashSet<String>,
}

impl<'l> Known<'l> {
    fn new(models: Cow<'l, [ModelEntry]>) -> Known<'l> {
        let names = models.iter().map(|model| model.id.clone()).collect();
        Known { models, names }
    }

    fn find(&self, name: &str) -> Option<&ModelEntry> {
        let has = self.names.contains(name);
        self.models.iter().find(|model| has && model.id == name)
    }
}

struct Offers<'o> {
    snapshot: &'o Snapshot,
    listed: &'o [usize],
    /// By the index of the upstream.
    known: &'o [Option<Known<'o>>],
}

impl Offers<'_> {
    /// The aliases of a route, and the model that is asked for in place of others.
    fn of_route(&self, index: usize) -> Vec<ModelEntry> {
        let route = &self.snapshot.routes[index];
        let Some(chain) = chain_of(route) else { return Vec::new() };
        let is_listed = |link: &&Link| self.listed.contains(&link.upstream);
        let Some(link) = chain.links.iter().find(is_listed) else { return Vec::new() };
        let patterns = route.when.iter().flat_map(|when| &when.models);
        let aliases = patterns.map(Pattern::as_str).filter(|name| !name.contains('*'));
        let aliases = aliases.map(|alias| {
            let asked_for = link.model.as_deref().unwrap_or(alias);
            self.entry(alias, asked_for, link.upstream)
        });
        // Of several the first is asked for its own; the others stand in for it.
        let first = chain.links.first().filter(is_listed);
        let replaced = first.and_then(|first| Some((first.model.as_deref()?, first.upstream)));
        let replaced = replaced.filter(|(model, _)| takes(route, model));
        let replaced = replaced.map(|(model, upstream)| self.entry(model, model, upstream));
        let all = aliases.chain(replaced);
        all.filter(|model| !self.is_taken_before(index, &model.id)).collect()
    }

    /// A name, with what is known of the model behind it.
    fn entry(&self, name: &str, asked_for: &str, upstream: usize) -> ModelEntry {
        let known = self.known[upstream].as_ref().and_then(|known| known.find(asked_for));
        let model = match known {
            Some(known) => ModelEntry {
                id: name.to_owned(),
                // It is that of another name.
                display_name: known.display_name.clone().filter(|_| name == asked_for),
                ..known.clone()
            },
            None => ModelEntry::named(name),
        };
        self.completed(model, upstream)
    }

    fn completed(&self, mut model: ModelEntry, upstream: usize) -> ModelEntry {
        if model.owned_by.is_empty() {
            model.owned_by.clone_from(&self.snapshot.upstreams[upstream].name);
        }
        model
    }

    /// Whether a request for a name that this upstream has can get an answer of that model.
    fn reaches(&self, upstream: usize, name: &str) -> bool {
        let routes = self.snapshot.routes.iter().enumerate();
        let mut reaching = routes.filter(|(index, route)| {
            let place = chain_of(route).and_then(|chain| {
                let place = chain.links.iter().position(|link| link.upstream == upstream)?;
                Some(&chain.links[..=place])
            });
            let [before @ .., link] = place.unwrap_or_default() else { return false };
            let refuses = |link: &Link| {
                let known = self.known[link.upstream].as_ref();
                link.model.is_some() || known.is_some_and(|known| !known.names.contains(name))
            };
            link.model.is_none()
                && takes(route, name)
                && !before.iter().any(refuses)
                && !self.is_taken_before(*index, name)
        });
        reaching.next().is_some()
    }

    /// Whether another route takes every request for this model that the route of this index would get.
    fn is_taken_before(&self, index: usize, name: &str) -> bool {
        let (routes, route) = (&self.snapshot.routes[..index], &self.snapshot.routes[index]);
        routes.iter().any(|other| {
            !other.is_share()
                && other.path == route.path
                && takes(other, name)
                && (other.methods.is_empty() || other.methods == route.methods)
                && asks_no_more(other.when.as_deref(), route.when.as_deref())
        })
    }
}

/// The upstreams of a route that a model can be asked of: by a POST, since its name stands in a body,
/// and by each.
fn chain_of(route: &Route) -> Option<&Chain> {
    let posts = route.methods.is_empty() || route.methods.iter().any(|method| method == "POST");
    match &route.target {
        Target::Chain(chain) if posts && !route.is_share() => Some(chain),
        Target::Chain(_) | Target::Service(_) | Target::Models(_) => None,
    }
}

fn takes(route: &Route, name: &str) -> bool {
    route.when.as_ref().is_none_or(|when| when.takes_model(name))
}

/// Whether one asks nothing beside the model that the other does not ask too.
fn asks_no_more(one: Option<&When>, other: Option<&When>) -> bool {
    let Some(one) = one else { return true };
    let nothing = When::default();
    let other = other.unwrap_or(&nothing);
    (one.hosts.is_empty() || one.hosts == other.hosts)
        && one.headers.iter().all(|asked| other.headers.contains(asked))
        && one.query.iter().all(|asked| other.query.contains(asked))
        && one.fields.iter().all(|asked| other.fields.contains(asked))
}
