use super::*;
use crate::config::snapshot::{
    Chain, CommitAt, ExchangeTimeouts, HeaderRules, Pattern, Target, When,
};
use crate::http::head::{FieldSlots, HeadLimits, parse_request};

fn route(path: PathPattern, methods: &[&str], rewrite: Option<Rewrite>) -> Route {
    Route {
        path,
        when: None,
        request_headers: HeaderRules::default(),
        response_headers: HeaderRules::default(),
        methods: methods.iter().map(ToString::to_string).collect(),
        target: Target::Chain(Chain::of_one(0, ExchangeTimeouts::OFF)),
        rewrite,
        timeouts: ExchangeTimeouts::OFF,
        commit: CommitAt::FirstEvent,
        heartbeat: None,
        continues: None,
        server_timing: false,
        cors: None,
    }
}

/// What becomes of a request with this head.
fn found(routes: &[Route], text: &str, model: Model<'_>) -> Match {
    let limits = HeadLimits { bytes: 4096, fields: 100 };
    let mut slots = FieldSlots::new();
    let head = parse_request(text.as_bytes(), &mut slots, &limits).unwrap().unwrap();
    find(routes, &head, model)
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
        let text = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(found(&routes, &text, Model::Unread), expected, "{method} {path}");
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

/// Routes of one path, each with its conditions.
fn conditional(conditions: &[When]) -> Vec<Route> {
    let path = || PathPattern::Prefix("/v1/".into());
    let with =
        |when: &When| Route { when: Some(Box::new(when.clone())), ..route(path(), &[], None) };
    conditions.iter().map(with).collect()
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(*text)).collect()
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, Pattern)> {
    pairs.iter().map(|(name, text)| (name.to_string(), Pattern::new(*text))).collect()
}

#[test]
fn a_route_takes_the_requests_that_it_asks_for() {
    let hosts = |texts| When { hosts: patterns(texts), ..When::default() };
    let headers = |pairs| When { headers: named(pairs), ..When::default() };
    let query = |pairs| When { query: named(pairs), ..When::default() };
    for (when, target, fields, expected) in [
        (hosts(&["api.example"]), "/v1/x", "Host: api.example\r\n", true),
        (hosts(&["api.example"]), "/v1/x", "Host: API.Example.:8080\r\n", true),
        (hosts(&["api.example"]), "/v1/x", "Host: api.example.evil\r\n", false),
        (hosts(&["*.example", "b"]), "/v1/x", "Host: a.example\r\n", true),
        (hosts(&["*.example", "b"]), "/v1/x", "Host: b:1\r\n", true),
        (hosts(&["*.example"]), "/v1/x", "Host: example\r\n", false),
        (hosts(&["[::1]"]), "/v1/x", "Host: [::1]:8080\r\n", true),
        (hosts(&["a"]), "http://a/v1/x", "Host: a\r\n", true),
        (headers(&[("x-tier", "gold")]), "/v1/x", "Host: a\r\nX-Tier: gold\r\n", true),
        (headers(&[("x-tier", "gold")]), "/v1/x", "Host: a\r\nX-Tier: Gold\r\n", false),
        (headers(&[("x-tier", "gold")]), "/v1/x", "Host: a\r\n", false),
        (headers(&[("x-tier", "*")]), "/v1/x", "Host: a\r\nX-Tier:\r\n", true),
        (
            headers(&[("x-tier", "gold")]),
            "/v1/x",
            "Host: a\r\nX-Tier: gold\r\nx-tier: lead\r\n",
            false,
        ),
        (headers(&[("a", "1"), ("b", "2")]), "/v1/x", "Host: a\r\nA: 1\r\nB: 2\r\n", true),
        (headers(&[("a", "1"), ("b", "2")]), "/v1/x", "Host: a\r\nA: 1\r\n", false),
        (query(&[("beta", "true")]), "/v1/x?beta=true", "Host: a\r\n", true),
        (query(&[("beta", "true")]), "/v1/x?a=b&%62eta=%74rue", "Host: a\r\n", true),
        (query(&[("beta", "true")]), "/v1/x?beta=true&beta=false", "Host: a\r\n", false),
        (query(&[("beta", "a b")]), "/v1/x?beta=a+b", "Host: a\r\n", true),
        (query(&[("beta", "")]), "/v1/x?beta", "Host: a\r\n", true),
        (query(&[("beta", "%zz")]), "/v1/x?beta=%zz", "Host: a\r\n", true),
        (query(&[("beta", "*")]), "/v1/x", "Host: a\r\n", false),
    ] {
        let routes = conditional(&[when]);
        let expected = if expected { Match::Route(0) } else { Match::NotFound };
        let text = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(found(&routes, &text, Model::Unread), expected, "{text}");
    }
}

#[test]
fn the_model_decides_once_it_is_known() {
    let models = |texts| When { models: patterns(texts), ..When::default() };
    let mut routes = conditional(&[models(&["gpt-4o", "o1*"]), models(&["llama*"])]);
    let post = "POST /v1/chat HTTP/1.1\r\nHost: a\r\n\r\n";
    for (model, expected) in [
        (Model::Unread, Match::Undecided),
        (Model::Named("gpt-4o"), Match::Route(0)),
        (Model::Named("o1-mini"), Match::Route(0)),
        (Model::Named("llama-70b"), Match::Route(1)),
        (Model::Named("gpt-4o-mini"), Match::ModelNotFound),
        (Model::Unnamed, Match::ModelNotFound),
    ] {
        assert_eq!(found(&routes, post, model), expected, "{model:?}");
    }
    routes.push(route(PathPattern::Prefix("/".into()), &["POST"], None));
    for (model, expected) in [
        (Model::Unread, Match::Undecided),
        (Model::Named("gpt-4o"), Match::Route(0)),
        (Model::Named("gpt-4o-mini"), Match::Route(2)),
        (Model::Unnamed, Match::Route(2)),
    ] {
        assert_eq!(found(&routes, post, model), expected, "{model:?}");
    }
    routes.swap(0, 2);
    assert_eq!(found(&routes, post, Model::Unread), Match::Route(0), "nobody asks for the model");
}
