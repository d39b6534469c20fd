//! `[[route]]`: which request goes where.

use std::collections::HashMap;

use super::super::defaults;
use super::super::file::{Field, Section};
use super::super::problem::{Location, Mistake, Report};
use super::super::snapshot::{
    AcceptEncoding, CommitAt, HeaderRules, PathPattern, Rewrite, Route, Target, When,
};
use super::upstream::{Draft, Given};
use super::{
    Overrides, chain, cors, fallback, gate, headers, is_token, models, path, plugins, unique, when,
};
use crate::service::Setting;
use crate::service::naming::WANTED_MAX;

/// All routes in matching order.
pub(super) fn all(
    sections: Vec<Section<'_>>,
    upstreams: &[Draft],
    given: &Given<'_>,
    report: &mut Report,
) -> Vec<Route> {
    let mut routes: Vec<(Route, Location)> = Vec::with_capacity(sections.len());
    let mut known: HashMap<(PathPattern, Option<Box<When>>), Methods> = HashMap::new();
    for section in sections {
        let place = section.place().clone();
        let Some(route) = one(section, upstreams, given, report) else {
            continue;
        };
        let methods = known.entry((route.path.nameless(), route.when.clone())).or_default();
        if let Some(twin) = methods.claim(&route, &place) {
            let line = twin.line.map_or(String::new(), |line| format!(" (line {line})"));
            report.error(
                &place,
                format!(
                    "another route has this path, method and when already{line}; \
                     this one would never match"
                ),
            );
        }
        routes.push((route, place));
    }
    // Stable: routes of one path that ask for something keep the order of the file.
    routes.sort_by_key(|(route, _)| (route.path.order(), route.when.is_none()));
    for (index, (route, place)) in routes.iter().enumerate() {
        let behind = || routes[index + 1..].iter().map(|(route, _)| route);
        if route.is_share() && !behind().any(|other| takes_the_rest(other, route)) {
            report.warn(
                place,
                Mistake::new(
                    "takes a share, and no route behind it takes the rest: who is not in the share \
                     is refused",
                ),
            );
        }
    }
    let mut fields: Vec<&Vec<String>> = Vec::new();
    for (route, place) in &routes {
        for (path, _) in route.when.iter().flat_map(|when| &when.fields) {
            if !fields.contains(&path) {
                fields.push(path);
            }
        }
        if fields.len() > WANTED_MAX {
            let reason = format!("asks for one field more than the {WANTED_MAX} that all may have");
            report.error(place, reason);
            break;
        }
    }
    cors::warn_of_mixed(&routes, report);
    routes.into_iter().map(|(route, _)| route).collect()
}

/// Whether every request that `route` would take, were it not for its share, is one for `other`.
fn takes_the_rest(other: &Route, route: &Route) -> bool {
    let asks = |route: &Route| {
        let when = route.when.as_deref().cloned().unwrap_or_default();
        When { share: None, ..when }
    };
    let path = other.path.covers(&route.path);
    let methods = other.methods.is_empty()
        || !route.methods.is_empty() && route.methods.iter().all(|it| other.methods.contains(it));
    let conditions = asks(other) == When::default() || asks(other) == asks(route);
    !other.is_share() && path && methods && conditions
}

/// The methods that the routes of one path take, and where the first of them stands that takes it.
#[derive(Default)]
struct Methods {
    first: Option<Location>,
    every: Option<Location>,
    some: HashMap<String, Location>,
}

impl Methods {
    /// Adds another route of this path. Returns where an earlier one stands that takes one of its
    /// methods.
    fn claim(&mut self, route: &Route, place: &Location) -> Option<Location> {
        let every = route.methods.is_empty();
        let named = route.methods.iter().filter_map(|method| self.some.get(method));
        let twin = match every {
            true => self.first.clone(),
            false => self.every.iter().chain(named).min_by_key(|place| place.line).cloned(),
        };
        self.first.get_or_insert_with(|| place.clone());
        if every {
            self.every.get_or_insert_with(|| place.clone());
        }
        for method in &route.methods {
            self.some.entry(method.clone()).or_insert_with(|| place.clone());
        }
        twin
    }
}

/// `None` if the path or an upstream is not known: nothing can be compared with it then.
fn one(
    mut section: Section<'_>,
    upstreams: &[Draft],
    given: &Given<'_>,
    report: &mut Report,
) -> Option<Route> {
    let pattern = section.require("path", report);
    let pattern = pattern.and_then(|field| field.parsed(report, path::pattern));
    let methods = section.take("methods").and_then(|field| methods(&field, report));
    let mut when = when::when(&mut section, given.server, report);
    if let Some(field) = section.take("models") {
        let asked = Asked { pattern, methods, when };
        return of_models(section, &field, asked, upstreams, given, report);
    }
    let (model, model_in_path) = model(&mut section, pattern.as_ref(), report);
    let target = section.require("upstream", report);
    let overrides = Overrides::read(section.table("timeouts", report), report);
    let environment = given.environment;
    let request_headers = headers::rules(&mut section, "request_headers", environment, report);
    let of_route = chain::OfRoute {
        overrides: &overrides,
        model: model.as_deref(),
        request_headers: request_headers.rules.clone(),
    };
    let links = target.and_then(|field| chain::links(&field, &of_route, upstreams, report));
    if let Some(links) = &links {
        let first = &upstreams[links[0].upstream].upstream;
        let towards = model.as_deref().or(model_in_path.as_deref());
        tell_share_apart(when.as_deref_mut(), &first.name, towards);
    }
    let larger = chain::larger(&mut section, links.as_deref(), upstreams, report);
    let rewrite = rewrite(&mut section, pattern.as_ref(), report);
    let response_headers = headers::rules(&mut section, "response_headers", environment, report);
    let (commit, accept_encoding, [server_timing, decode_requests]) = answers(&mut section, report);
    let heartbeat = chain::heartbeat(&mut section, links.as_deref(), report);
    let continues =
        chain::continues(&mut section, links.as_deref(), upstreams, given.limits, report);
    let include_usage = include_usage(&mut section, continues.is_some(), report);
    let streams = links.as_ref().is_some_and(|links| {
        links.iter().any(|link| upstreams[link.upstream].upstream.service != Setting::None)
    });
    let fallback = fallback::fallback(&mut section, streams, given.environment, report);
    let plugins = plugins::of_route(&mut section, given.plugins, report);
    let place = section.place_of("cors");
    let cors = cors::cors(&mut section, report);
    let keys = section.choice("keys", &gate::MODES, given.keys, report);
    section.finish(report);
    let target = Target::Chain(chain::compiled(links?, larger, fallback, plugins, upstreams));
    cors::check_answers(cors.as_deref(), &place, &response_headers, &target, report);
    Some(Route {
        path: pattern?,
        methods: methods.unwrap_or_default(),
        when,
        target,
        rewrite,
        request_headers,
        response_headers,
        timeouts: overrides.over(&given.timeouts.exchange),
        commit,
        heartbeat,
        continues,
        server_timing,
        accept_encoding,
        include_usage,
        decode_requests,
        model_in_path,
        cors,
        keys,
    })
}

/// `model`: the one that requests are given, or the name in this path that stands for theirs.
fn model(
    section: &mut Section<'_>,
    pattern: Option<&PathPattern>,
    report: &mut Report,
) -> (Option<String>, Option<String>) {
    let Some(field) = section.take("model") else { return (None, None) };
    let in_braces = |text: &str| {
        let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        name.filter(|name| !name.contains(['{', '}'])).map(str::to_owned)
    };
    let parsed = field.parsed(report, |text| {
        let Some(name) = in_braces(text) else {
            return fallback::model_name(text).map(|model| (Some(model), None));
        };
        match pattern {
            Some(PathPattern::Template(template))
                if !template.names().any(|known| known == name) =>
            {
                let known: Vec<_> = template.names().map(|name| format!("{{{name}}}")).collect();
                let mistake = format!("is no name of the path, which has {}", known.join(", "));
                Err(Mistake::new(mistake))
            }
            Some(PathPattern::Exact(_) | PathPattern::Prefix(_)) => {
                Err(Mistake::new("is no name of the path, which has none"))
            }
            Some(PathPattern::Template(_)) | None => Ok((None, Some(name))),
        }
    });
    parsed.unwrap_or_default()
}

/// `rewrite`, of a route with this path.
fn rewrite(
    section: &mut Section<'_>,
    pattern: Option<&PathPattern>,
    report: &mut Report,
) -> Option<Rewrite> {
    let field = section.take("rewrite")?;
    // With a broken path there is nothing to compare with: be content with either form.
    let assumed = PathPattern::Prefix(String::new());
    field.parsed(report, |text| path::rewrite(text, pattern.unwrap_or(&assumed)))
}

/// Says to a share where its route leads: those that lead elsewhere are drawn apart.
fn tell_share_apart(when: Option<&mut When>, upstream: &str, model: Option<&str>) {
    if let Some(share) = when.and_then(|when| when.share.as_mut()) {
        share.towards = [upstream, model.unwrap_or_default()].join(" ");
    }
}

/// `include_usage`. `continues`: the route has `continue`.
fn include_usage(section: &mut Section<'_>, continues: bool, report: &mut Report) -> bool {
    let place = section.place_of("include_usage");
    let asks = section.boolean("include_usage", defaults::INCLUDE_USAGE, report);
    if asks && continues {
        report.error(&place, "cannot stand beside continue: what is hidden is not continued");
    }
    asks
}

/// `commit`, `accept_encoding`, and the switches `server_timing` and `decode_requests`.
fn answers(
    section: &mut Section<'_>,
    report: &mut Report,
) -> (CommitAt, AcceptEncoding, [bool; 2]) {
    let commit = [("first_event", CommitAt::FirstEvent), ("head", CommitAt::Head)];
    let encodings = [("client", AcceptEncoding::Client), ("identity", AcceptEncoding::Identity)];
    let commit = section.choice("commit", &commit, defaults::COMMIT, report);
    let accepted = defaults::ACCEPT_ENCODING;
    let accept_encoding = section.choice("accept_encoding", &encodings, accepted, report);
    let server_timing = section.boolean("server_timing", defaults::SERVER_TIMING, report);
    let decode_requests = section.boolean("decode_requests", defaults::DECODE_REQUESTS, report);
    (commit, accept_encoding, [server_timing, decode_requests])
}

/// What a route asks of a request.
struct Asked {
    pattern: Option<PathPattern>,
    methods: Option<Vec<String>>,
    when: Option<Box<When>>,
}

/// A route that tells which models there are.
fn of_models(
    mut section: Section<'_>,
    field: &Field<'_>,
    Asked { pattern, methods, when }: Asked,
    upstreams: &[Draft],
    given: &Given<'_>,
    report: &mut Report,
) -> Option<Route> {
    let asked = (pattern.as_ref(), when.as_deref());
    let models = models::route(field, &mut section, asked, upstreams, report);
    let environment = given.environment;
    let response_headers = headers::rules(&mut section, "response_headers", environment, report);
    let overrides = Overrides::read(section.table("timeouts", report), report);
    let server_timing = section.boolean("server_timing", defaults::SERVER_TIMING, report);
    let place = section.place_of("cors");
    let cors = cors::cors(&mut section, report);
    let keys = section.choice("keys", &gate::MODES, given.keys, report);
    section.finish(report);
    let target = Target::Models(models?);
    cors::check_answers(cors.as_deref(), &place, &response_headers, &target, report);
    Some(Route {
        path: pattern?,
        methods: methods.unwrap_or_default(),
        when,
        target,
        rewrite: None,
        request_headers: HeaderRules::default(),
        response_headers,
        timeouts: overrides.over(&given.timeouts.exchange),
        commit: CommitAt::Head,
        heartbeat: None,
        continues: None,
        server_timing,
        accept_encoding: defaults::ACCEPT_ENCODING,
        include_usage: false,
        decode_requests: defaults::DECODE_REQUESTS,
        model_in_path: None,
        cors,
        keys,
    })
}

fn methods(field: &Field<'_>, report: &mut Report) -> Option<Vec<String>> {
    let fields = field.list(report)?;
    if fields.is_empty() {
        report.error(
            field.place(),
            "must name at least one method; leave it out to accept every method",
        );
    }
    unique(&fields, report, |field, report| field.parsed(report, method))
}

/// A method as it stands in a request: a token (RFC 9110 section 5.6.2), and methods are
/// case-sensitive (section 9.1), so `post` would never match.
fn method(text: &str) -> Result<String, Mistake> {
    if !is_token(text) {
        return Err(Mistake::new(format!("{text:?} is no method")));
    }
    let upper = text.to_ascii_uppercase();
    if upper == "CONNECT" {
        return Err(Mistake::new(
            "CONNECT is never forwarded: this is a gateway, not a forward proxy",
        ));
    }
    if upper != text {
        return Err(Mistake::new("methods are case-sensitive and written in capitals").meant(upper));
    }
    Ok(upper)
}
