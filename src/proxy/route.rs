//! Routing: a request to one route of the snapshot.
//!
//! * Paths are compared in their normal form, [`path::normal`], which is what every server may make
//!   of them; what is forwarded is the path as it came.
//! * A path that a rewrite makes is judged as one that comes.
//! * Where the body decides, by its model or another member, the request goes nowhere before that is known.

mod when;

#[cfg(test)]
mod tests;

use when::Holds;

use crate::config::snapshot::{PathPattern, Rewrite, Route, When};
use crate::http::head::{HeadError, RequestHead};
use crate::http::path;
use crate::service::naming::WantedMembers;

/// The model that a request names in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model<'a> {
    /// The body has not been read so far.
    Unread,
    /// The body names none, or there is no body.
    Unnamed,
    Named(&'a str),
}

/// What the body of a request has said.
#[derive(Clone, Copy, Debug)]
pub struct BodyFacts<'a> {
    pub model: Model<'a>,
    /// The members that routes ask for; `None`: they have not been looked for, or there is no body.
    pub members: Option<&'a WantedMembers>,
}

impl<'a> From<Model<'a>> for BodyFacts<'a> {
    fn from(model: Model<'a>) -> BodyFacts<'a> {
        BodyFacts { model, members: None }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Index into the routes.
    Route(usize),
    /// The body decides about the route at this index, and has not said enough.
    Undecided(usize),
    NotFound,
    /// There are routes for this path and method, but none for this model.
    ModelNotFound,
    /// The path exists, the method does not: the methods that do, as `Allow` wants them
    /// (RFC 9110 §10.2.1).
    MethodNotAllowed {
        allow: String,
    },
}

/// Finds the route of a request. `routes` are in matching order: the first whose path, method and
/// conditions all hold wins. `id` is the request's: a share of the requests is drawn by it.
pub fn find<'a>(
    routes: &[Route],
    head: &RequestHead<'_>,
    body: impl Into<BodyFacts<'a>>,
    id: &[u8],
) -> Match {
    let body = body.into();
    let path = path::normal(head.path);
    let (mut allow, mut for_others) = (String::new(), false);
    for (index, route) in routes.iter().enumerate() {
        if !matches(&route.path, &path) {
            continue;
        }
        let when = route.when.as_deref();
        if !when.is_none_or(|when| when::holds(when, head, id)) {
            continue;
        }
        if route.methods.is_empty() || route.methods.iter().any(|allowed| allowed == head.method) {
            match when.map_or(Holds::Yes, |when| when::body_holds(when, &body)) {
                Holds::Yes => return Match::Route(index),
                Holds::Unknown => return Match::Undecided(index),
                Holds::NotForThisModel => for_others = true,
                Holds::No => {}
            }
            continue;
        }
        for allowed in &route.methods {
            if !allow.split(", ").any(|known| known == allowed) {
                if !allow.is_empty() {
                    allow.push_str(", ");
                }
                allow.push_str(allowed);
            }
        }
    }
    match allow.is_empty() {
        _ if for_others => Match::ModelNotFound,
        true => Match::NotFound,
        false => Match::MethodNotAllowed { allow },
    }
}

/// The routes from `first` on that this request may take, whatever its body says, in matching order: as
/// far as the first that does not ask.
pub fn candidates(routes: &[Route], first: usize, head: &RequestHead<'_>, id: &[u8]) -> Vec<usize> {
    let path = path::normal(head.path);
    let mut found = Vec::new();
    for (index, route) in routes.iter().enumerate().skip(first) {
        let when = route.when.as_deref();
        if matches(&route.path, &path)
            && route.takes_method(head.method)
            && when.is_none_or(|when| when::holds(when, head, id))
        {
            found.push(index);
            if !when.is_some_and(When::asks_body) {
                break;
            }
        }
    }
    found
}

/// Whether the body has said enough to choose one of the `candidates`, or none.
pub fn is_decided(routes: &[Route], candidates: &[usize], body: &BodyFacts<'_>) -> bool {
    let holds = |index: &usize| {
        let when = routes[*index].when.as_deref();
        when.map_or(Holds::Yes, |when| when::body_holds(when, body))
    };
    let known = candidates.iter().map(holds);
    let mut stops = known.filter(|holds| matches!(holds, Holds::Yes | Holds::Unknown));
    stops.next() != Some(Holds::Unknown)
}

/// The routes, with their places, that take requests of this path, host and query, whatever their
/// methods, and whatever they ask of fields and models. In matching order.
pub fn of_target<'r>(routes: &'r [Route], head: &RequestHead<'_>) -> Vec<(usize, &'r Route)> {
    let path = path::normal(head.path);
    let holds = |route: &Route| {
        matches(&route.path, &path)
            && route.when.as_deref().is_none_or(|when| when::target_holds(when, head))
    };
    routes.iter().enumerate().filter(|(_, route)| holds(route)).collect()
}

fn matches(pattern: &PathPattern, path: &str) -> bool {
    match pattern {
        PathPattern::Exact(exact) => exact == path,
        PathPattern::Prefix(prefix) => path.starts_with(prefix.as_str()),
    }
}

/// Every method that some route takes, for `Allow` in the answer to `OPTIONS *`. Empty where a
/// route takes any: the list has no end then.
pub fn methods(routes: &[Route]) -> String {
    if routes.iter().any(|route| route.methods.is_empty()) {
        return String::new();
    }
    let mut methods: Vec<&str> =
        routes.iter().flat_map(|route| &route.methods).map(String::as_str).collect();
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

/// The path the upstream sees, in two parts; `None`: the client's own, which is `path` as it came.
pub fn rewritten<'a>(route: &'a Route, path: &'a str) -> Option<(&'a str, &'a str)> {
    match (&route.rewrite, &route.path) {
        (None, _) => None,
        (Some(Rewrite::Prefix(with)), PathPattern::Prefix(prefix)) => {
            let rest = path::behind(path, prefix);
            // A slash on either side of the seam is one slash. `//host` is another server to some.
            let rest = if with.ends_with('/') { path::without_slash(rest) } else { rest };
            Some((with, rest))
        }
        (Some(Rewrite::Path(with) | Rewrite::Prefix(with)), _) => Some((with, "")),
    }
}

/// Whether the path that the upstream is to see is one that a client could have sent.
pub fn check_rewritten(route: &Route, path: &str) -> Result<(), HeadError> {
    match rewritten(route, path) {
        Some((with, rest)) if !rest.is_empty() => Ok(path::check_joined(with, rest)?),
        _ => Ok(()),
    }
}
