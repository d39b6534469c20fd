//! Routing: a request to one route of the snapshot.
//!
//! * Paths are compared in their normal form, [`path::normal`], which is what every server may make
//!   of them; what is forwarded is the path as it came.
//! * A path that a rewrite makes is judged as one that comes.
//! * Where the path names the model, nothing else does: the body is not asked.
//! * Where the body decides, by its model or another member, the request goes nowhere before that is known.

mod when;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::OnceCell;

use when::Holds;

use crate::config::snapshot::{PathPattern, PathPiece, Rewrite, Route, When};
use crate::http::head::{HeadError, RequestHead};
use crate::http::path;
use crate::service::naming::WantedMembers;
use crate::service::{Dialect, Setting};

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

/// Who has sent a request, as far as routes ask for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker<'a> {
    /// The id of the request: a share of the requests is drawn by it.
    pub id: &'a [u8],
    /// Who its client has proved to be by a certificate.
    pub certificate: Option<&'a str>,
}

impl<'a> Asker<'a> {
    /// Of a client that has shown no certificate.
    pub fn unproved(id: &'a [u8]) -> Asker<'a> {
        Asker { id, certificate: None }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Index into the routes.
    Route(usize),
    /// The body decides about the route at this index, and has not said enough.
    Undecided(usize),
    NotFound(Unmet),
    /// There are routes for this path and method, but none for this model.
    ModelNotFound,
    /// The path exists, the method does not: the methods that do, as `Allow` wants them
    /// (RFC 9110 §10.2.1).
    MethodNotAllowed {
        allow: String,
    },
}

/// Why no route takes a request, whatever its method and model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// None has its path.
    Path,
    /// All that have it are for other hosts.
    Host,
    /// One that has it asks for something else that the request has not.
    Other,
}

/// Finds the route of a request. `routes` are in matching order: the first whose path, method and
/// conditions all hold wins.
pub fn find<'a>(
    routes: &[Route],
    head: &RequestHead<'_>,
    body: impl Into<BodyFacts<'a>>,
    asker: Asker<'_>,
) -> Match {
    let body = body.into();
    let path = path::normal(head.path);
    let (mut allow, mut for_others) = (String::new(), false);
    // Of all routes that look there it is the same.
    let of_dialect = OnceCell::new();
    let mut of_route;
    for (index, route) in routes.iter().enumerate() {
        if !route.path.matches(&path) {
            continue;
        }
        let when = route.when.as_deref();
        if !when.is_none_or(|when| when::holds(when, head, asker)) {
            continue;
        }
        if route.methods.is_empty() || route.methods.iter().any(|allowed| allowed == head.method) {
            let asks = when.is_some_and(|when| !when.models.is_empty());
            let named = match &route.model_in_path {
                _ if !asks => None,
                None => of_dialect.get_or_init(|| model_of_dialect(head.path)).as_deref(),
                Some(_) => {
                    of_route = model_in_path(route, head.path);
                    of_route.as_deref()
                }
            };
            let holds = |when: &When| when::body_holds(when, &body, named);
            match when.map_or(Holds::Yes, holds) {
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
        true => Match::NotFound(unmet(routes, &path, head)),
        false => Match::MethodNotAllowed { allow },
    }
}

/// What keeps all of the routes from a request that none of them takes.
fn unmet(routes: &[Route], path: &str, head: &RequestHead<'_>) -> Unmet {
    let mut of_path = routes.iter().filter(|route| route.path.matches(path)).peekable();
    if of_path.peek().is_none() {
        return Unmet::Path;
    }
    let is_for_others =
        |route: &Route| route.when.iter().any(|when| !when::host_is_wanted(when, head.authority));
    if of_path.all(is_for_others) { Unmet::Host } else { Unmet::Other }
}

/// The model that the path of a request names, for a route that matches it: under the name that the route
/// says, or where requests of the dialect of this path name it.
pub fn model_in_path<'a>(route: &Route, path: &'a str) -> Option<Cow<'a, str>> {
    let written = match &route.model_in_path {
        None => return model_of_dialect(path),
        Some(wanted) => {
            let (captures, _) = captures(&route.path, path);
            captures.into_iter().find(|(name, _)| name == wanted)?.1
        }
    };
    Some(path::unescaped(written))
}

fn model_of_dialect(path: &str) -> Option<Cow<'_, str>> {
    Dialect::of(Setting::Auto, path).model_in(path).map(path::unescaped)
}

/// The same, where the route asks for it.
fn model_in_path_for<'a>(route: &Route, head: &RequestHead<'a>) -> Option<Cow<'a, str>> {
    let asks = route.when.as_deref().is_some_and(|when| !when.models.is_empty());
    if asks { model_in_path(route, head.path) } else { None }
}

/// The model that its path names, of a request that no route takes.
pub fn model_of_none<'a>(routes: &[Route], head: &RequestHead<'a>) -> Option<Cow<'a, str>> {
    let path = path::normal(head.path);
    let mut of_path = routes.iter().filter(|route| route.path.matches(&path));
    of_path.find_map(|route| model_in_path_for(route, head))
}

/// A route that a request may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossibleRoute {
    /// Index into the routes.
    pub route: usize,
    /// The model that the path names, where the route asks for one.
    model: Option<Box<str>>,
}

/// The routes from `first` on that this request may take, whatever its body says, in matching order: as
/// far as the first that does not ask.
pub fn candidates(
    routes: &[Route],
    first: usize,
    head: &RequestHead<'_>,
    asker: Asker<'_>,
) -> Vec<PossibleRoute> {
    let path = path::normal(head.path);
    let mut found = Vec::new();
    for (index, route) in routes.iter().enumerate().skip(first) {
        let when = route.when.as_deref();
        if route.path.matches(&path)
            && route.takes_method(head.method)
            && when.is_none_or(|when| when::holds(when, head, asker))
        {
            let model = model_in_path_for(route, head).map(Box::from);
            found.push(PossibleRoute { route: index, model });
            if !when.is_some_and(When::asks_body) {
                break;
            }
        }
    }
    found
}

/// Whether a route whose head holds takes a request with this body.
pub fn takes_body(route: &Route, head: &RequestHead<'_>, body: &BodyFacts<'_>) -> bool {
    route.when.as_deref().is_none_or(|when| {
        let in_path = model_in_path_for(route, head);
        when::body_holds(when, body, in_path.as_deref()) == Holds::Yes
    })
}

/// Whether the body has said enough to choose one of the `candidates`, or none.
pub fn is_decided(routes: &[Route], candidates: &[PossibleRoute], body: &BodyFacts<'_>) -> bool {
    let holds = |PossibleRoute { route, model }: &PossibleRoute| {
        let when = routes[*route].when.as_deref();
        when.map_or(Holds::Yes, |when| when::body_holds(when, body, model.as_deref()))
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
        route.path.matches(&path)
            && route.when.as_deref().is_none_or(|when| when::target_holds(when, head))
    };
    routes.iter().enumerate().filter(|(_, route)| holds(route)).collect()
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
pub fn rewritten<'a>(route: &'a Route, path: &'a str) -> Option<(Cow<'a, str>, &'a str)> {
    let rewrite = route.rewrite.as_ref()?;
    // A slash on either side of the seam is one slash. `//host` is another server to some.
    let joined = |with: &str, rest: &'a str| match with.ends_with('/') {
        true => path::without_slash(rest),
        false => rest,
    };
    Some(match (rewrite, &route.path) {
        (Rewrite::Prefix(with), PathPattern::Prefix(prefix)) => {
            (with.into(), joined(with, path::behind(path, prefix)))
        }
        (Rewrite::Path(with) | Rewrite::Prefix(with), _) => (with.into(), ""),
        (Rewrite::Template { pieces, open }, pattern) => {
            let (captures, rest) = captures(pattern, path);
            let named = |name: &str| captures.iter().find(|(known, _)| *known == name);
            let text = |piece: &PathPiece| match piece {
                PathPiece::Text(text) => text.clone(),
                PathPiece::Name(name) => named(name).map_or("", |(_, text)| text).to_owned(),
            };
            let with: String = pieces.iter().map(text).collect();
            let rest = if *open { joined(&with, rest) } else { "" };
            (with.into(), rest)
        }
    })
}

/// What a path that the pattern matches has in the place of each name, and behind all of them, as it came.
fn captures<'p, 'a>(pattern: &'p PathPattern, path: &'a str) -> (Vec<(&'p str, &'a str)>, &'a str) {
    let mut found = Vec::new();
    let mut rest = path;
    match pattern {
        PathPattern::Exact(_) => {}
        PathPattern::Prefix(prefix) => rest = path::behind(path, prefix),
        PathPattern::Template(template) => {
            for piece in &template.pieces {
                match piece {
                    PathPiece::Text(text) => rest = path::behind(rest, text),
                    PathPiece::Name(name) => {
                        let (segment, behind) = path::segment(rest);
                        found.push((name.as_str(), segment));
                        rest = behind;
                    }
                }
            }
        }
    }
    (found, rest)
}

/// Whether the path that the upstream is to see is one that a client could have sent.
pub fn check_rewritten(route: &Route, path: &str) -> Result<(), HeadError> {
    match rewritten(route, path) {
        Some((with, rest)) if !rest.is_empty() || matches!(with, Cow::Owned(_)) => {
            Ok(path::check_joined(&with, rest)?)
        }
        _ => Ok(()),
    }
}
