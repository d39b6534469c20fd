use std::time::Duration;

use super::*;
use crate::config::snapshot::{
    AcceptEncoding, Chain, CommitAt, ExchangeTimeouts, HeaderRules, KeyMode, PathPattern, Pattern,
    Target, When,
};
use crate::http::head::{FieldSlots, HeadLimits, parse_request};

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(*text)).collect()
}

fn names(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn of(origins: &[&str]) -> Cors {
    Cors {
        origins: patterns(origins),
        credentials: false,
        headers: None,
        expose: names(&["x-request-id", "retry-after"]),
        max_age: Duration::from_secs(600),
    }
}

fn route(path: &str, methods: &[&str], cors: Option<Cors>) -> Route {
    Route {
        path: match path.strip_suffix('*') {
            Some(prefix) => PathPattern::Prefix(prefix.into()),
            None => PathPattern::Exact(path.into()),
        },
        when: None,
        request_headers: HeaderRules::default(),
        response_headers: HeaderRules::default(),
        methods: names(methods),
        target: Target::Chain(Chain::of_one(0, ExchangeTimeouts::OFF)),
        rewrite: None,
        timeouts: ExchangeTimeouts::OFF,
        commit: CommitAt::FirstEvent,
        heartbeat: None,
        continues: None,
        decode_requests: false,
        model_in_path: None,
        server_timing: false,
        accept_encoding: AcceptEncoding::Client,
        include_usage: false,
        cors: cors.map(Box::new),
        keys: KeyMode::Off,
    }
}

fn when(when: When, route: Route) -> Route {
    Route { when: Some(Box::new(when)), ..route }
}

fn model(model: &str) -> When {
    When { models: patterns(&[model]), ..When::default() }
}

fn with_head<T>(text: &str, judge: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let limits = HeadLimits { bytes: 64 << 10, fields: 100 };
    let mut slots = FieldSlots::new();
    judge(&parse_request(text.as_bytes(), &mut slots, &limits).unwrap().unwrap())
}

/// What a preflight is told, one field a line without the two that are the same for all; or why not.
fn told(routes: &[Route], target: &str, fields: &str) -> String {
    let text = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    match with_head(&text, |head| preflight(routes, head)) {
        None => "none of ours".to_owned(),
        Some(Preflight::Refused(OriginRefused { origin, mixed })) => {
            format!("refused: {origin:?} {mixed}")
        }
        Some(Preflight::Granted(fields)) => {
            let (vary, rest) = fields.split_last().unwrap();
            assert_eq!(vary.0, "Vary");
            let short = |(name, value): &(Cow<'static, str>, String)| {
                format!("{}: {value}", name.trim_start_matches("Access-Control-"))
            };
            rest.iter().map(short).collect::<Vec<_>>().join("; ")
        }
    }
}

const APP: &str = "Origin: https://app.example\r\n";
const POST: &str = "Access-Control-Request-Method: POST\r\n";

#[test]
fn a_preflight_is_told_what_its_route_allows() {
    let app = || of(&["https://app.example", "https://*.corp.example", "http://localhost:*"]);
    let routes = [
        route("/v1/chat", &["POST", "GET"], Some(app())),
        route("/any/*", &[], Some(of(&["*"]))),
        route(
            "/listed",
            &["POST"],
            Some(Cors {
                credentials: true,
                headers: Some(names(&["authorization", "content-type"])),
                max_age: Duration::ZERO,
                ..app()
            }),
        ),
        route("/bare", &["POST"], Some(Cors { headers: Some(vec![]), ..app() })),
        route("/closed", &[], None),
    ];
    let chat = "Allow-Origin: https://app.example; Allow-Methods: POST, GET";
    for (target, fields, expected) in [
        ("/v1/chat", format!("{APP}{POST}"), format!("{chat}; Max-Age: 600")),
        (
            "/v1/chat",
            format!("{APP}{POST}Access-Control-Request-Headers: authorization,X-Stainless-Os\r\n"),
            format!("{chat}; Allow-Headers: authorization, x-stainless-os; Max-Age: 600"),
        ),
        (
            "/v1/chat",
            format!("{APP}{POST}Access-Control-Request-Headers: a b\r\n"),
            format!("{chat}; Max-Age: 600"),
        ),
        // What nobody takes is not listed; the browser says so.
        (
            "/v1/chat",
            format!("{APP}Access-Control-Request-Method: DELETE\r\n"),
            format!("{chat}; Max-Age: 600"),
        ),
        (
            "/v1/chat",
            format!("Origin: HTTPS://App.Example\r\n{POST}"),
            "Allow-Origin: HTTPS://App.Example; Allow-Methods: POST, GET; Max-Age: 600".to_owned(),
        ),
        (
            "/v1/chat",
            format!("Origin: https://a.b.corp.example\r\n{POST}"),
            "Allow-Origin: https://a.b.corp.example; Allow-Methods: POST, GET; Max-Age: 600"
                .to_owned(),
        ),
        (
            "/v1/chat",
            format!("Origin: http://localhost:3000\r\n{POST}"),
            "Allow-Origin: http://localhost:3000; Allow-Methods: POST, GET; Max-Age: 600"
                .to_owned(),
        ),
        (
            "/v1/chat",
            format!("{APP}{POST}Access-Control-Request-Private-Network: true\r\n"),
            format!("{chat}; Max-Age: 600"),
        ),
        (
            "/any/x",
            format!("{APP}Access-Control-Request-Method: BREW\r\n"),
            "Allow-Origin: *; Allow-Methods: BREW; Max-Age: 600".to_owned(),
        ),
        (
            "/any/x",
            format!("Origin: null\r\n{POST}"),
            "Allow-Origin: *; Allow-Methods: POST; Max-Age: 600".to_owned(),
        ),
        (
            "/listed",
            format!("{APP}{POST}Access-Control-Request-Headers: x-more\r\n"),
            "Allow-Origin: https://app.example; Allow-Credentials: true; Allow-Methods: POST; \
             Allow-Headers: authorization, content-type; Max-Age: 0"
                .to_owned(),
        ),
        (
            "/bare",
            format!("{APP}{POST}Access-Control-Request-Headers: x-more\r\n"),
            "Allow-Origin: https://app.example; Allow-Methods: POST; Max-Age: 600".to_owned(),
        ),
    ] {
        assert_eq!(told(&routes, target, &fields), expected, "{target} {fields}");
    }
    let refused = |origin: Option<&str>| format!("refused: {origin:?} false");
    for (target, fields, expected) in [
        ("/v1/chat", "Origin: https://evil.example\r\n", refused(Some("https://evil.example"))),
        ("/v1/chat", "Origin: http://app.example\r\n", refused(Some("http://app.example"))),
        (
            "/v1/chat",
            "Origin: https://app.example:8443\r\n",
            refused(Some("https://app.example:8443")),
        ),
        ("/v1/chat", "Origin: https://corp.example\r\n", refused(Some("https://corp.example"))),
        ("/v1/chat", "Origin: null\r\n", refused(Some("null"))),
        ("/v1/chat", "Origin: https://evil.example/.corp.example\r\n", refused(None)),
        (
            "/v1/chat",
            "Origin: https://app.example\r\nOrigin: https://app.example\r\n",
            refused(None),
        ),
        ("/closed", APP, "none of ours".to_owned()),
        ("/nowhere", APP, "none of ours".to_owned()),
        ("/v1/chat", "", "none of ours".to_owned()),
    ] {
        assert_eq!(
            told(&routes, target, &format!("{fields}{POST}")),
            expected,
            "{target} {fields}"
        );
    }
    for no_preflight in ["", "Access-Control-Request-Method: P ST\r\n", &format!("{POST}{POST}")] {
        let fields = format!("{APP}{no_preflight}");
        assert_eq!(told(&routes, "/v1/chat", &fields), "none of ours", "{no_preflight}");
    }
    let text = format!("POST /v1/chat HTTP/1.1\r\nHost: a\r\n{APP}{POST}\r\n");
    assert_eq!(with_head(&text, |head| preflight(&routes, head)), None, "not OPTIONS");
}

#[test]
fn where_a_preflight_cannot_tell_all_routes_have_to_allow_it() {
    let (app, both) = (of(&["https://app.example"]), of(&["https://app.example", "https://b"]));
    let grants = "Allow-Origin: https://app.example; Allow-Methods: POST; Max-Age: 600";
    let refuses = |mixed| format!("refused: Some(\"https://app.example\") {mixed}");
    let field =
        || When { headers: vec![("x-tier".into(), Pattern::new("gold"))], ..When::default() };
    let host = |host: &str| When { hosts: patterns(&[host]), ..When::default() };
    let query = || When { query: vec![("beta".into(), Pattern::new("1"))], ..When::default() };
    let post = |cors: Option<&Cors>| route("/v1/*", &["POST"], cors.cloned());
    let rest = |cors: Option<&Cors>| route("/*", &[], cors.cloned());
    for (name, routes, expected) in [
        ("one", vec![when(model("a"), post(Some(&app)))], grants.to_owned()),
        (
            "all",
            vec![when(model("a"), post(Some(&app))), when(field(), post(Some(&both)))],
            grants.to_owned(),
        ),
        (
            "one of two allows it",
            vec![when(model("a"), post(Some(&app))), post(Some(&of(&["https://b"])))],
            refuses(false),
        ),
        ("one of two has it", vec![when(model("a"), post(Some(&app))), post(None)], refuses(true)),
        ("and the other", vec![when(field(), post(None)), rest(Some(&app))], refuses(true)),
        ("none has it", vec![when(model("a"), post(None)), post(None)], "none of ours".to_owned()),
        // What takes it in any case stands before those that would not allow it.
        (
            "certain",
            vec![post(Some(&app)), when(model("a"), rest(None)), rest(None)],
            grants.to_owned(),
        ),
        ("another host", vec![when(host("b"), post(None)), post(Some(&app))], grants.to_owned()),
        ("its host", vec![when(host("a"), post(Some(&app))), rest(None)], grants.to_owned()),
        ("no query", vec![when(query(), post(None)), post(Some(&app))], grants.to_owned()),
        // Another method's route is not this request's.
        (
            "another method",
            vec![route("/v1/*", &["GET"], None), post(Some(&app)), rest(None)],
            grants.to_owned(),
        ),
    ] {
        assert_eq!(told(&routes, "/v1/x", &format!("{APP}{POST}")), expected, "{name}");
    }
}

#[test]
fn several_routes_allow_what_all_of_them_allow() {
    let cors = |headers: Option<&[&str]>, credentials, age| Cors {
        credentials,
        headers: headers.map(names),
        max_age: Duration::from_secs(age),
        ..of(&["https://app.example"])
    };
    let fields = format!("{APP}{POST}Access-Control-Request-Headers: a\r\n");
    let any = of(&["*"]);
    for (first, second, expected) in [
        (
            cors(Some(&["a", "b"]), true, 60),
            cors(Some(&["b", "c"]), true, 30),
            "https://app.example; Allow-Credentials: true; Allow-Methods: POST, GET; \
             Allow-Headers: b; Max-Age: 30",
        ),
        (
            cors(None, true, 60),
            cors(Some(&["c"]), false, 90),
            "https://app.example; Allow-Methods: POST, GET; Allow-Headers: c; Max-Age: 60",
        ),
        (
            any.clone(),
            cors(None, false, 600),
            "https://app.example; Allow-Methods: POST, GET; Allow-Headers: a; Max-Age: 600",
        ),
        (any.clone(), any, "*; Allow-Methods: POST, GET; Allow-Headers: a; Max-Age: 600"),
    ] {
        let routes = [
            when(model("a"), route("/v1/*", &["POST"], Some(first))),
            route("/v1/*", &["POST", "GET"], Some(second)),
            route("/v1/*", &["PUT"], None),
        ];
        assert_eq!(told(&routes, "/v1/x", &fields), format!("Allow-Origin: {expected}"));
    }
    // A method of theirs that leads to a route without cors is not listed.
    let routes = [
        when(model("a"), route("/v1/*", &["POST", "GET"], Some(of(&["*"])))),
        when(model("b"), route("/v1/*", &["GET"], None)),
    ];
    let expected = "Allow-Origin: *; Allow-Methods: POST; Allow-Headers: a; Max-Age: 600";
    assert_eq!(told(&routes, "/v1/x", &fields), expected);
}

/// What an answer to a request with these fields says of CORS.
fn answered(cors: &Cors, fields: &str) -> String {
    let routes = [route("/other", &[], None), route("/v1/*", &["POST"], Some(cors.clone()))];
    let text = format!("POST /v1/x HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let page = with_head(&text, |head| page(1, cors, head));
    String::from_utf8(page.lines(&routes)).unwrap().replace("\r\n", "; ")
}

#[test]
fn an_answer_says_who_may_read_it() {
    let app = of(&["https://*.example", "null"]);
    let expose = "Access-Control-Expose-Headers: x-request-id, retry-after; ";
    let with = Cors { credentials: true, expose: vec![], ..app.clone() };
    for (cors, fields, expected) in [
        (
            &app,
            APP,
            format!("Access-Control-Allow-Origin: https://app.example; {expose}Vary: Origin; "),
        ),
        (
            &app,
            "Origin: null\r\n",
            format!("Access-Control-Allow-Origin: null; {expose}Vary: Origin; "),
        ),
        (
            &with,
            APP,
            "Access-Control-Allow-Origin: https://app.example; \
             Access-Control-Allow-Credentials: true; Vary: Origin; "
                .to_owned(),
        ),
        (&app, "", "Vary: Origin; ".to_owned()),
        (&app, "Origin: https://evil\r\n", "Vary: Origin; ".to_owned()),
        (
            &app,
            "Origin: https://a.example\r\nOrigin: https://b.example\r\n",
            "Vary: Origin; ".to_owned(),
        ),
        (&of(&["*"]), APP, format!("Access-Control-Allow-Origin: *; {expose}")),
        (&of(&["*"]), "", format!("Access-Control-Allow-Origin: *; {expose}")),
        (
            &of(&["https://a", "*"]),
            "Origin: x y\r\n",
            format!("Access-Control-Allow-Origin: *; {expose}"),
        ),
    ] {
        assert_eq!(answered(cors, fields), expected, "{cors:?} {fields}");
    }
}

#[test]
fn without_a_route_a_page_reads_why_if_it_may_call_all_that_may_have_been_it() {
    let app = of(&["https://app.example"]);
    let shared = [
        when(model("a"), route("/v1/*", &["POST"], Some(app.clone()))),
        when(model("b"), route("/v1/*", &["POST"], Some(app.clone()))),
    ];
    let mixed = [shared[0].clone(), when(model("b"), route("/v1/*", &["POST"], None))];
    let (yes, no) = ("Access-Control-Allow-Origin: https://app.example\r\n", "Vary: Origin\r\n");
    let any = when(model("c"), route("/v1/*", &["POST"], Some(of(&["*"]))));
    let first_any = [any, shared[0].clone()];
    for (routes, line, origin, expected) in [
        (&shared, "POST /v1/x", "https://app.example", Some(yes)),
        (&shared, "PUT /v1/x", "https://app.example", Some(yes)),
        (&shared, "POST /v1/x", "https://evil.example", Some(no)),
        (&first_any, "POST /v1/x", "https://evil.example", Some(no)),
        (&shared, "POST /v2", "https://app.example", None),
        (&mixed, "POST /v1/x", "https://app.example", None),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n");
        let page = with_head(&text, |head| page_without_route(routes, head));
        let lines = page.map(|page| String::from_utf8(page.lines(routes)).unwrap());
        assert_eq!(lines.is_some(), expected.is_some(), "{line} {origin}");
        if let (Some(lines), Some(expected)) = (lines, expected) {
            assert!(lines.starts_with(expected), "{line} {origin}: {lines}");
        }
    }
}
