use super::*;
use crate::config::snapshot::{
    AcceptEncoding, Chain, CommitAt, ExchangeTimeouts, HeaderRules, KeyMode, Pattern, Share,
    ShareBy, Target, Template, When,
};
use crate::http::head::{FieldSlots, HeadLimits, parse_request};
use crate::http::request_id::RequestId;
use crate::service::naming::WantedMembers;

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
        decode_requests: false,
        model_in_path: None,
        server_timing: false,
        accept_encoding: AcceptEncoding::Client,
        include_usage: false,
        cors: None,
        keys: KeyMode::Off,
    }
}

/// What becomes of a request with this head.
fn found(routes: &[Route], text: &str, model: Model<'_>) -> Match {
    let limits = HeadLimits { bytes: 4096, fields: 100 };
    let mut slots = FieldSlots::new();
    let head = parse_request(text.as_bytes(), &mut slots, &limits).unwrap().unwrap();
    find(routes, &head, model, Asker::default())
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
        ("GET", "/v1", Match::NotFound(Unmet::Path)),
        ("GET", "/", Match::NotFound(Unmet::Path)),
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
        let expected = expected.map(|(with, rest)| (Cow::from(with), rest));
        assert_eq!(rewritten(route, "/v1/chat"), expected);
    }
}

#[test]
fn names_of_a_path_stand_in_what_it_is_rewritten_to() {
    let name = |name: &str| PathPiece::Name(name.into());
    let text = |text: &str| PathPiece::Text(text.into());
    let pieces = vec![text("/d/"), name("a"), text("/"), name("b"), text("/x/")];
    let with = |pieces| Some(Rewrite::Template { pieces, open: true });
    let routes = [route(
        PathPattern::Template(Template { pieces, open: true }),
        &[],
        with(vec![text("/m/"), name("b"), text("/"), name("a"), text("/")]),
    )];
    for (path, expected) in [
        ("/d/1/2/x/y/z", Some("/m/2/1/y/z")),
        ("/d/1/2/x/", Some("/m/2/1/")),
        // Escapes stay as they came, and a slash on either side of the seam is one.
        ("/%64/a%20b/%3F/x//y%2fz", Some("/m/%3F/a%20b/y%2fz")),
        ("//d///1//2/x/y", Some("/m/2/1/y")),
        ("/d/1%2f2/x/y", Some("/m/2/1/y")),
        ("/d/1/x/y", None),
        ("/d//x/", None),
    ] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let matched = found(&routes, &text, Model::Unread) == Match::Route(0);
        let seen = rewritten(&routes[0], path).filter(|_| matched);
        let seen = seen.map(|(with, rest)| [&*with, rest].concat());
        assert_eq!(seen.as_deref(), expected, "{path}");
        assert!(!matched || check_rewritten(&routes[0], path).is_ok(), "{path}");
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
        let is_for_hosts = !when.hosts.is_empty();
        let routes = conditional(&[when]);
        let text = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
        let found = found(&routes, &text, Model::Unread);
        assert_eq!(found == Match::Route(0), expected, "{text}: {found:?}");
        // Only a host is told: what else a route asks for may be known to nobody.
        let by_host = found == Match::NotFound(Unmet::Host);
        assert_eq!(by_host, !expected && is_for_hosts, "{text}: {found:?}");
    }
}

#[test]
fn the_model_decides_once_it_is_known() {
    let models = |texts| When { models: patterns(texts), ..When::default() };
    let mut routes = conditional(&[models(&["gpt-4o", "o1*"]), models(&["llama*"])]);
    let post = "POST /v1/chat HTTP/1.1\r\nHost: a\r\n\r\n";
    for (model, expected) in [
        (Model::Unread, Match::Undecided(0)),
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
        (Model::Unread, Match::Undecided(0)),
        (Model::Named("gpt-4o"), Match::Route(0)),
        (Model::Named("gpt-4o-mini"), Match::Route(2)),
        (Model::Unnamed, Match::Route(2)),
    ] {
        assert_eq!(found(&routes, post, model), expected, "{model:?}");
    }
    routes.swap(0, 2);
    assert_eq!(found(&routes, post, Model::Unread), Match::Route(0), "nobody asks for the model");
}

#[test]
fn members_of_the_body_decide_as_soon_as_they_are_known() {
    let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let fields = |pairs: &[(&str, &str)]| When {
        fields: pairs.iter().map(|(name, text)| (path(name), Pattern::new(*text))).collect(),
        ..When::default()
    };
    let vip = fields(&[("user", "vip-*")]);
    let streamed = fields(&[("stream", "true"), ("metadata.user_id", "u")]);
    let models = When { models: patterns(&["llama*"]), ..When::default() };
    let mut routes = conditional(&[vip, streamed, models]);
    let post = "POST /v1/chat HTTP/1.1\r\nHost: a\r\n\r\n";
    let limits = HeadLimits { bytes: 4096, fields: 100 };
    let mut slots = FieldSlots::new();
    let head = parse_request(post.as_bytes(), &mut slots, &limits).unwrap().unwrap();
    let all = candidates(&routes, 0, &head, Asker::default());
    assert_eq!(all.iter().map(|one| one.route).collect::<Vec<_>>(), [0, 1, 2]);
    for (body, model, expected) in [
        ("{", Model::Unread, Match::Undecided(0)),
        (r#"{"user":"vip-1","#, Model::Unread, Match::Route(0)),
        (r#"{"user":"u","#, Model::Unread, Match::Undecided(1)),
        (r#"{"user":"u","stream":false,"#, Model::Unread, Match::Undecided(2)),
        (r#"{"user":"u","stream":false,"#, Model::Named("llama"), Match::Route(2)),
        // The route in front of the model's may be this request's.
        (r#"{"user":"u","stream":true,"#, Model::Named("llama"), Match::Undecided(1)),
        (r#"{"stream":true,"metadata":{"user_id":"u"}}"#, Model::Unread, Match::Route(1)),
        (r#"{"stream":true,"metadata":{"user_id":"U"}}"#, Model::Unnamed, Match::ModelNotFound),
        (r#"{"user":["vip-1"],"metadata":1}"#, Model::Named("gpt"), Match::ModelNotFound),
    ] {
        let paths = ["user", "stream", "metadata.user_id"].map(path);
        let mut members = WantedMembers::new(paths.to_vec());
        members.feed(body.as_bytes());
        let body = BodyFacts { model, members: Some(&members) };
        let found = find(&routes, &head, body, Asker::default());
        let decided = !matches!(found, Match::Undecided(_));
        assert_eq!(found, expected, "{members:?} {model:?}");
        assert_eq!(is_decided(&routes, &all, &body), decided, "{members:?} {model:?}");
    }
    // Without a body nothing of it holds, and that is known at once.
    routes.truncate(2);
    assert_eq!(
        find(&routes, &head, Model::Unnamed, Asker::default()),
        Match::NotFound(Unmet::Other)
    );
}

#[test]
fn where_the_path_names_the_model_the_body_is_not_asked() {
    let models = |texts| When { models: patterns(texts), ..When::default() };
    let mut routes = conditional(&[models(&["gemini-2*", "iris"]), models(&["llama*"])]);
    routes.iter_mut().for_each(|route| route.path = PathPattern::Prefix("/".into()));
    for (path, expected) in [
        ("/v1beta/models/gemini-2.5-flash:generateContent", Match::Route(0)),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", Match::Route(0)),
        ("/v1beta/models/gemini%2D2:generateContent", Match::Route(0)),
        ("/v2/models/llama/versions/2/infer", Match::Route(1)),
        ("/v2/models/llama/generate_stream", Match::Route(1)),
        ("/v2/models/iris/generate", Match::Route(0)),
        ("/v2/models/other/infer", Match::ModelNotFound),
        // It is no path of theirs.
        ("/v2/models/iris/ready", Match::Undecided(0)),
        ("/v1/chat/completions", Match::Undecided(0)),
    ] {
        let post = format!("POST {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(found(&routes, &post, Model::Unread), expected, "{path}");
        if expected != Match::Undecided(0) {
            assert_eq!(found(&routes, &post, Model::Named("llama")), expected, "{path}");
        }
    }
    // A name in the path of a route, which says that it stands for the model.
    let deployments = || {
        let pieces = vec![
            PathPiece::Text("/openai/deployments/".into()),
            PathPiece::Name("deployment".into()),
            PathPiece::Text("/".into()),
        ];
        PathPattern::Template(Template { pieces, open: true })
    };
    for route in &mut routes {
        route.path = deployments();
        route.model_in_path = Some("deployment".into());
    }
    routes[0].when.as_mut().unwrap().models = patterns(&["gpt 4*"]);
    for (name, expected) in [
        ("gpt%204o", Match::Route(0)),
        ("llama", Match::Route(1)),
        ("gpt-4o", Match::ModelNotFound),
    ] {
        let post =
            format!("POST /openai/deployments/{name}/chat/completions HTTP/1.1\r\nHost: a\r\n\r\n");
        for model in [Model::Unread, Model::Unnamed, Model::Named("gpt 4")] {
            assert_eq!(found(&routes, &post, model), expected, "{name} {model:?}");
        }
    }
    // A member of the body may be asked for beside it.
    let user = (vec!["user".to_owned()], Pattern::new("u"));
    routes[1].when.as_mut().unwrap().fields = vec![user];
    let post = "POST /openai/deployments/llama/x HTTP/1.1\r\nHost: a\r\n\r\n";
    let limits = HeadLimits { bytes: 4096, fields: 100 };
    let mut slots = FieldSlots::new();
    let head = parse_request(post.as_bytes(), &mut slots, &limits).unwrap().unwrap();
    assert_eq!(find(&routes, &head, Model::Unread, Asker::default()), Match::Undecided(1));
    let all = candidates(&routes, 0, &head, Asker::default());
    for (body, decided, expected) in [
        ("{\"a\":1,", false, Match::Undecided(1)),
        ("{\"user\":\"u\",", true, Match::Route(1)),
        ("{\"user\":\"v\",", true, Match::ModelNotFound),
    ] {
        let mut members = WantedMembers::new(vec![vec!["user".to_owned()]]);
        members.feed(body.as_bytes());
        let body = BodyFacts { model: Model::Unread, members: Some(&members) };
        assert_eq!(is_decided(&routes, &all, &body), decided, "{members:?}");
        assert_eq!(find(&routes, &head, body, Asker::default()), expected, "{members:?}");
    }
}

/// How many of `all` requests, with these fields and an id of their own, the first of two routes takes.
fn drawn(routes: &[Route], all: usize, fields: impl Fn(usize) -> String) -> usize {
    let limits = HeadLimits { bytes: 4096, fields: 100 };
    let takes = |number: &usize| {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(*number));
        let mut slots = FieldSlots::new();
        let head = parse_request(text.as_bytes(), &mut slots, &limits).unwrap().unwrap();
        let id = RequestId::made(7, *number as u32);
        let first = find(routes, &head, Model::Unnamed, Asker::unproved(id.as_bytes()));
        assert_eq!(
            first,
            find(routes, &head, Model::Unnamed, Asker::unproved(id.as_bytes())),
            "drawn once"
        );
        first == Match::Route(0)
    };
    (0..all).filter(takes).count()
}

fn share(of_ten_thousand: u16, by: ShareBy, towards: &str) -> [Route; 2] {
    let path = || PathPattern::Prefix("/".into());
    let share = Some(Share { of_ten_thousand, by, towards: towards.into() });
    let when = Some(Box::new(When { share, ..When::default() }));
    [Route { when, ..route(path(), &[], None) }, route(path(), &[], None)]
}

#[test]
fn a_share_takes_its_part_of_the_requests() {
    for (of_ten_thousand, expected) in
        [(0, 0..=0), (1_000, 900..=1_100), (5_000, 4_800..=5_200), (10_000, 10_000..=10_000)]
    {
        let taken =
            drawn(&share(of_ten_thousand, ShareBy::Request, "a "), 10_000, |_| String::new());
        assert!(expected.contains(&taken), "{of_ten_thousand}: {taken}");
    }
}

#[test]
fn who_has_the_same_key_falls_into_the_same_part() {
    let header = ShareBy::Header("x-user".into());
    let cookie = ShareBy::Cookie("sid".into());
    for (by, field) in [
        (ShareBy::Key, "Authorization: Bearer sk-"),
        (ShareBy::Key, "x-api-key: sk-"),
        (header.clone(), "X-User: u"),
        (cookie.clone(), "Cookie: a=b; sid=s"),
    ] {
        let routes = share(3_000, by.clone(), "a ");
        for user in 0..20 {
            let taken = drawn(&routes, 50, |_| format!("{field}{user}\r\n"));
            assert!(matches!(taken, 0 | 50), "{by:?} {user}: {taken}");
        }
        let taken = drawn(&routes, 10_000, |number| format!("{field}{number}\r\n"));
        assert!((2_800..=3_200).contains(&taken), "{by:?}: {taken}");
    }
    for by in [ShareBy::Key, header, cookie] {
        let taken = drawn(&share(3_000, by.clone(), "a "), 10_000, |_| String::new());
        assert!((2_800..=3_200).contains(&taken), "who has none is drawn alone, {by:?}: {taken}");
    }
}

#[test]
fn a_share_that_grows_keeps_whom_it_had_and_others_draw_apart() {
    let users = |of_ten_thousand, towards| -> Vec<bool> {
        let routes = share(of_ten_thousand, ShareBy::Key, towards);
        let one = |user| drawn(&routes, 1, |_| format!("x-api-key: {user}\r\n")) == 1;
        (0..1_000).map(one).collect()
    };
    let (small, large, other) = (users(1_000, "a "), users(2_000, "a "), users(1_000, "b "));
    assert!(small.iter().zip(&large).all(|(small, large)| !small || *large));
    let both = small.iter().zip(&other).filter(|(one, other)| **one && **other).count();
    assert!(both < 30, "of a hundred each, ten or so are in both: {both}");
}
