//! Whose page may call from within a browser, and what the browser is told (Fetch standard, "CORS
//! protocol").
//!
//! A preflight asks ahead of a request, by its target and its method alone. So of the routes that take
//! such a target and method, in their order, each one may be the request's, up to the first that asks for
//! neither a field nor a model: that one takes it in any case. A page may call where it may call all of
//! them, and is told what all of them allow.
//!
//! * Where none of them has `cors`, a preflight is a request as any other.
//! * A preflight for a method that nobody takes is told which methods are taken; by the routes with `cors`.
//! * An answer that is the same for every page does not depend on `Origin`, and has no `Vary`.
//! * A preflight opens nothing to a page of another network: `Access-Control-Request-Private-Network` gets
//!   no answer.

use std::borrow::Cow;

use crate::config::snapshot::{Cors, Route};
use crate::http::cors;
use crate::http::head::RequestHead;
use crate::proxy::route;

#[cfg(test)]
mod tests;

/// Whose page waits for an answer, and by which rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskingPage {
    /// A route with `cors`: index into the routes.
    route: u32,
    /// Its origin, where it may read the answer and the answer has to say so.
    origin: Option<Box<str>>,
}

/// What a preflight is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preflight {
    /// The fields of a 204.
    Granted(Box<[(Cow<'static, str>, String)]>),
    Refused(OriginRefused),
}

/// Why a page may not call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRefused {
    /// The page's, as far as it is one.
    pub origin: Option<Box<str>>,
    /// A route without `cors` may be the request's too.
    pub mixed: bool,
}

/// What becomes of a request that may be a preflight. `None`: it is none, or none of ours.
#[inline]
pub fn preflight(routes: &[Route], head: &RequestHead<'_>) -> Option<Preflight> {
    if head.method == "OPTIONS" && any_has_cors(routes) { judge(routes, head) } else { None }
}

fn judge(routes: &[Route], head: &RequestHead<'_>) -> Option<Preflight> {
    head.field("origin")?;
    let asked = cors::asked_method(head)?;
    let here = route::of_target(routes, head);
    let taking = taking(&here, asked);
    let judged: Vec<&Route> = match taking.is_empty() {
        true => here.iter().map(|(_, route)| *route).filter(|route| route.cors.is_some()).collect(),
        false => taking.iter().map(|(_, route)| *route).collect(),
    };
    if !any_has_cors(judged.iter().copied()) {
        return None;
    }
    let origin = cors::origin(head);
    let Some(policies) = policies(&judged, origin) else {
        let mixed = judged.iter().any(|route| route.cors.is_none());
        return Some(Preflight::Refused(OriginRefused { origin: origin.map(Into::into), mixed }));
    };
    let also = |method: &str| {
        let taking: Vec<&Route> =
            self::taking(&here, method).iter().map(|(_, route)| *route).collect();
        self::policies(&taking, origin).is_some()
    };
    let named = judged.iter().flat_map(|route| &route.methods).map(String::as_str);
    let taken = Some(asked).filter(|_| !taking.is_empty());
    let mut methods: Vec<&str> = Vec::new();
    for method in named.chain(taken) {
        if !methods.contains(&method) && (taken == Some(method) || also(method)) {
            methods.push(method);
        }
    }
    Some(Preflight::Granted(grant(&policies, origin, &methods, head)))
}

/// The fields that say what all the `policies` allow.
fn grant(
    policies: &[&Cors],
    origin: Option<&str>,
    methods: &[&str],
    head: &RequestHead<'_>,
) -> Box<[(Cow<'static, str>, String)]> {
    let any = policies.iter().all(|cors| cors.takes_any());
    let origin = origin.filter(|_| !any).unwrap_or(Cors::ANY);
    let mut fields = vec![("Access-Control-Allow-Origin", origin.to_owned())];
    if policies.iter().all(|cors| cors.credentials) {
        fields.push(("Access-Control-Allow-Credentials", "true".to_owned()));
    }
    if !methods.is_empty() {
        fields.push(("Access-Control-Allow-Methods", methods.join(", ")));
    }
    let listed: Vec<&Vec<String>> =
        policies.iter().filter_map(|cors| cors.headers.as_ref()).collect();
    let names = match listed.split_first() {
        // Named one by one: `*` means no `Authorization`, and nothing where there are credentials.
        None => cors::asked_names(head).unwrap_or_default(),
        Some((first, others)) => {
            let everywhere = |name: &&String| others.iter().all(|names| names.contains(name));
            first.iter().filter(everywhere).cloned().collect()
        }
    };
    if !names.is_empty() {
        fields.push(("Access-Control-Allow-Headers", names.join(", ")));
    }
    let max_age = policies.iter().map(|cors| cors.max_age.as_secs()).min().unwrap_or_default();
    fields.push(("Access-Control-Max-Age", max_age.to_string()));
    let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    fields.push(("Vary", vary.to_owned()));
    fields.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

/// The routes of a target that may get a request with this method.
fn taking<'r>(here: &[(usize, &'r Route)], method: &str) -> Vec<(usize, &'r Route)> {
    let mut taking = Vec::new();
    for &(index, route) in here.iter().filter(|(_, route)| route.takes_method(method)) {
        taking.push((index, route));
        if route.is_told_by_target() {
            break;
        }
    }
    taking
}

/// What these routes say of CORS, if a page of this origin may call all of them.
fn policies<'r>(routes: &[&'r Route], origin: Option<&str>) -> Option<Vec<&'r Cors>> {
    let cors = |route: &&'r Route| route.cors.as_deref().filter(|cors| allows(cors, origin));
    routes.iter().map(cors).collect()
}

fn any_has_cors<'r>(routes: impl IntoIterator<Item = &'r Route>) -> bool {
    routes.into_iter().any(|route| route.cors.is_some())
}

/// The page that asks, where its request has taken the route with this index, which has `cors`.
pub fn page(index: usize, cors: &Cors, head: &RequestHead<'_>) -> AskingPage {
    let origin = cors::origin(head).filter(|origin| !cors.takes_any() && cors.takes(origin));
    AskingPage { route: index as u32, origin: origin.map(Into::into) }
}

/// The same of a request that has taken no route, so that its page can read why: by a route that may have
/// been its own and does not allow the page, else by the first. `None`: one of them has no `cors`.
pub fn page_without_route(routes: &[Route], head: &RequestHead<'_>) -> Option<AskingPage> {
    if !any_has_cors(routes) {
        return None;
    }
    let here = route::of_target(routes, head);
    let taking = taking(&here, head.method);
    let judged = if taking.is_empty() { here } else { taking };
    let all = judged.iter().map(|(index, route)| Some((*index, route.cors.as_deref()?)));
    let all = all.collect::<Option<Vec<(usize, &Cors)>>>()?;
    let origin = cors::origin(head);
    let (index, cors) = all.iter().find(|(_, cors)| !allows(cors, origin)).or(all.first())?;
    Some(page(*index, cors, head))
}

fn allows(cors: &Cors, origin: Option<&str>) -> bool {
    cors.takes_any() || origin.is_some_and(|origin| cors.takes(origin))
}

impl AskingPage {
    /// The lines that an answer to it has in the place of all others about CORS. `routes`: those that it
    /// was made with.
    pub fn lines(&self, routes: &[Route]) -> Vec<u8> {
        let mut lines = String::new();
        let route = routes.get(self.route as usize);
        let Some(cors) = route.and_then(|route| route.cors.as_deref()) else {
            return Vec::new();
        };
        let any = cors.takes_any();
        let origin = if any { Some(Cors::ANY) } else { self.origin.as_deref() };
        let mut line = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                lines.push_str(part);
            }
        };
        if let Some(origin) = origin {
            line("Access-Control-Allow-Origin", origin);
            if cors.credentials {
                line("Access-Control-Allow-Credentials", "true");
            }
            if !cors.expose.is_empty() {
                line("Access-Control-Expose-Headers", &cors.expose.join(", "));
            }
        }
        if !any {
            line("Vary", "Origin");
        }
        lines.into_bytes()
    }
}
