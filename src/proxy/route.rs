//! Routing: a method and a path to one route of the snapshot.
//!
//! * Paths are compared in their normal form, [`path::normal`], which is what every server may make
//!   of them; what is forwarded is the path as it came.
//! * A path that a rewrite makes is judged as one that comes.

use crate::config::snapshot::{PathPattern, Rewrite, Route};
use crate::http::head::HeadError;
use crate::http::path;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Index into the routes.
    Route(usize),
    NotFound,
    /// The path exists, the method does not: the methods that do, as `Allow` wants them
    /// (RFC 9110 §10.2.1).
    MethodNotAllowed {
        allow: String,
    },
}

/// Finds the route of a request. `routes` are in matching order: the first whose path and method
/// both match wins. `path` is in its normal form.
pub fn find(routes: &[Route], method: &str, path: &str) -> Match {
    let mut allow = String::new();
    for (index, route) in routes.iter().enumerate() {
        if !matches(&route.path, path) {
            continue;
        }
        if route.methods.is_empty() || route.methods.iter().any(|allowed| allowed == method) {
            return Match::Route(index);
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
    if allow.is_empty() { Match::NotFound } else { Match::MethodNotAllowed { allow } }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::{Chain, CommitAt, ExchangeTimeouts, Progress, Target};

    const OFF: ExchangeTimeouts = ExchangeTimeouts {
        body: None,
        client_write: None,
        connect: None,
        ttft: None,
        response: None,
        progress: Progress::Data,
        inter_event: None,
        total: None,
        tunnel_idle: None,
    };

    fn route(path: PathPattern, methods: &[&str], rewrite: Option<Rewrite>) -> Route {
        Route {
            path,
            methods: methods.iter().map(ToString::to_string).collect(),
            target: Target::Chain(Chain::of_one(0, OFF)),
            rewrite,
            timeouts: OFF,
            commit: CommitAt::FirstEvent,
            heartbeat: None,
            continues: None,
            server_timing: false,
        }
    }

    #[test]
    fn the_first_route_whose_path_and_method_match_wins() {
        let routes = [
            route(PathPattern::Exact("/v1/chat".into()), &["POST"], None),
            route(PathPattern::Exact("/v1/chat".into()), &["GET", "HEAD"], None),
            route(PathPattern::Prefix("/v1/".into()), &["GET", "POST"], None),
            route(PathPattern::Prefix("/any/".into()), &[], None),
        ];
        let not_allowed = |allow: &str| Match::MethodNotAllowed { allow: allow.into() };
        for (method, path, expected) in [
            ("POST", "/v1/chat", Match::Route(0)),
            ("GET", "/v1/chat", Match::Route(1)),
            ("GET", "/v1/models", Match::Route(2)),
            ("GET", "/v1/chat/", Match::Route(2)),
            ("PUT", "/v1/chat", not_allowed("POST, GET, HEAD")),
            ("PUT", "/v1/models", not_allowed("GET, POST")),
            ("BREW", "/any/pot", Match::Route(3)),
            ("GET", "/v1", Match::NotFound),
            ("GET", "/", Match::NotFound),
        ] {
            assert_eq!(find(&routes, method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn the_methods_of_all_routes_are_named_once() {
        let exact = |methods| route(PathPattern::Exact("/".into()), methods, None);
        let some = [exact(&["POST", "GET"]), exact(&["GET", "HEAD"])];
        assert_eq!(methods(&some), "GET, HEAD, POST");
        assert_eq!(methods(&[exact(&["GET"]), exact(&[])]), "");
    }

    #[test]
    fn a_rewrite_replaces_the_path_or_the_prefix() {
        let prefix = || PathPattern::Prefix("/v1/".into());
        let cases = [
            (route(prefix(), &[], None), None),
            (route(prefix(), &[], Some(Rewrite::Prefix("/api/".into()))), Some(("/api/", "chat"))),
            (route(prefix(), &[], Some(Rewrite::Path("/stream".into()))), Some(("/stream", ""))),
        ];
        for (route, expected) in &cases {
            assert_eq!(rewritten(route, "/v1/chat"), *expected);
        }
    }
}
