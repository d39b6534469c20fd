//! Routing: a request to one route of the snapshot.
//!
//! * Paths are compared in their normal form, [`path::normal`], which is what every server may make
//!   of them; what is forwarded is the path as it came.
//! * A path that a rewrite makes is judged as one that comes.
//! * Where the model of the body decides, the request goes nowhere before the model is known.

mod when;

#[cfg(test)]
mod tests;

use crate::config::snapshot::{PathPattern, Rewrite, Route};
use crate::http::head::{HeadError, RequestHead};
use crate::http::path;

/// The model that a request names in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model<'a> {
    /// The body has not been read so far.
    Unread,
    /// The body names none, or there is no body.
    Unnamed,
    Named(&'a str),
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Index into the routes.
    Route(usize),
    /// The model decides, and it is not known yet.
    Undecided,
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
pub fn find(routes: &[Route], head: &RequestHead<'_>, model: Model<'_>, id: &[u8]) -> Match {
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
            match (when, model) {
                (None, _) => return Match::Route(index),
                (Some(when), _) if when.models.is_empty() => return Match::Route(index),
                (Some(_), Model::Unread) => return Match::Undecided,
                (Some(when), Model::Named(name)) if when.takes_model(name) => {
                    return Match::Route(index);
                }
                (Some(_), Model::Named(_) | Model::Unnamed) => for_others = true,
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
