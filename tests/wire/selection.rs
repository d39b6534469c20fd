//! Which route a request goes to by what it says beside its path: its host, its fields, its query, and the
//! model that its body names.

use std::time::Duration;

use crate::harness::chat::{chunked, expect_code, head, sized};
use crate::harness::{Gateway, Message, Upstream, whoever_is_asked};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const JSON: &str = "Content-Type: application/json\r\n";
const MIB: usize = 1 << 20;

/// A gateway with an upstream for each name, and routes of these lines.
fn gateway(upstreams: &[(&str, &Upstream)], limits: &str, routes: &[&str]) -> Gateway {
    let upstream = |(name, upstream): &(&str, &Upstream)| {
        let address = upstream.address();
        format!("[[upstream]]\nname = \"{name}\"\nendpoints = [\"{address}\"]\n")
    };
    let upstreams: String = upstreams.iter().map(upstream).collect();
    let routes: String = routes.iter().map(|lines| format!("[[route]]\n{lines}\n")).collect();
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n{limits}\n\
         {upstreams}{routes}"
    ))
}

/// What the server reads as one request, answered with `ok`.
fn serve(upstream: &Upstream) -> Message {
    let mut server = upstream.accept();
    let request = server.read_request();
    server.send(OK);
    request
}

#[test]
fn a_request_goes_by_its_host_its_fields_and_its_query() {
    let (gold, beta, other, rest) =
        (Upstream::listen(), Upstream::listen(), Upstream::listen(), Upstream::listen());
    let gateway = gateway(
        &[("gold", &gold), ("beta", &beta), ("other", &other), ("rest", &rest)],
        "",
        &[
            "path = \"/v1/*\"\nupstream = \"rest\"",
            "path = \"/v1/*\"\nupstream = \"gold\"\nwhen = { header = { x-tier = \"gold\" } }",
            "path = \"/v1/*\"\nupstream = \"beta\"\nwhen = { query = { beta = \"true\" } }",
            "path = \"/*\"\nupstream = \"other\"\nwhen = { host = \"*.other.example\" }",
        ],
    );
    let ask = |target: &str, fields: &str| {
        let mut client = gateway.connect();
        client.send(format!("GET {target} HTTP/1.1\r\n{fields}\r\n"));
        client
    };
    for (target, fields, upstream) in [
        ("/v1/a", "Host: own\r\n", &rest),
        ("/v1/a", "Host: own\r\nX-Tier: gold\r\n", &gold),
        ("/v1/a?beta=true", "Host: own\r\nX-Tier: gold\r\n", &gold),
        ("/v1/a?beta=true", "Host: own\r\n", &beta),
        ("/v1/a?beta=true&beta=false", "Host: own\r\n", &rest),
        // The longer path stands before the host.
        ("/v1/a", "Host: a.other.example\r\n", &rest),
        ("/a", "Host: A.Other.example:8080\r\n", &other),
    ] {
        let mut client = ask(target, fields);
        assert_eq!(serve(upstream).start, format!("GET {target} HTTP/1.1"));
        assert_eq!(client.read_response().text(), "ok", "{target} {fields}");
    }
    let mut client = ask("/a", "Host: own:8080\r\n");
    let answer = client.read_response();
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (404, &"no_route".into()));
    assert!(answer.text().contains("for other hosts"), "{}", answer.text());
}

/// Two routes by model, one of which replaces it, and whatever else there is.
fn by_model<'u>(big: &'u Upstream, small: &'u Upstream, limits: &str, more: &[&str]) -> Gateway {
    let routes = [
        "path = \"/v1/*\"\nupstream = \"big\"\nwhen = { model = [\"gpt-4o\", \"o1*\"] }\nmodel = \"llama-70b\"",
        "path = \"/v1/*\"\nupstream = \"small\"\nwhen = { model = \"llama-*\" }",
    ];
    gateway(&[("big", big), ("small", small)], limits, &[&routes[..], more].concat())
}

#[test]
fn a_request_goes_by_its_model_wherever_the_body_names_it() {
    let (big, small) = (Upstream::listen(), Upstream::listen());
    let gateway = by_model(&big, &small, "", &[]);
    let body = |model: &str, first: bool, length: usize| {
        let rest = format!(r#""messages":[{{"model":"gpt-4o","x":"{}"}}]"#, "x".repeat(length));
        match first {
            true => format!(r#"{{"model":"{model}",{rest}}}"#),
            false => format!(r#"{{{rest},"model":"{model}"}}"#),
        }
    };
    let mut client = gateway.connect();
    for (first, length) in
        [(true, 0), (false, 0), (true, 40_000), (false, 40_000), (true, 3 * MIB), (false, 3 * MIB)]
    {
        for (model, upstream, sent) in [
            ("gpt-4o", &big, "llama-70b"),
            ("o1-mini", &big, "llama-70b"),
            ("llama-8b", &small, "llama-8b"),
        ] {
            let text = body(model, first, length);
            for message in [sized(JSON, &text), chunked(JSON, &text, 10_007)] {
                // One connection for all: nothing of a request is left for the next one's route.
                let sender = std::thread::spawn(move || {
                    client.send(message);
                    client
                });
                let request = serve(upstream);
                client = sender.join().expect("it was sent");
                assert!(request.text() == body(sent, first, length), "{model} {first} {length}");
                assert_eq!(request.start, "POST /v1/chat/completions HTTP/1.1");
                assert_eq!(client.read_response().text(), "ok");
            }
        }
    }
    let part = "------b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nllama-1b\r\n------b--\r\n";
    client.send(sized("Content-Type: multipart/form-data; boundary=----b\r\n", part));
    assert_eq!(serve(&small).text(), part);
    assert_eq!(client.read_response().text(), "ok");
}

#[test]
fn a_body_goes_on_to_its_route_as_soon_as_its_model_is_here() {
    let (big, small) = (Upstream::listen(), Upstream::listen());
    let gateway = by_model(&big, &small, "", &[]);
    let (start, rest) = (r#"{"stream":true,"model":"llama-8b","#, r#""messages":[]}"#);
    let length = start.len() + rest.len();
    let mut client = gateway.connect();
    client.send(head(&format!("Content-Length: {length}\r\nExpect: 100-continue\r\n")) + "\r\n");
    assert_eq!(client.read_response().status(), 100);
    client.send(start);
    let mut server = small.accept();
    server.read_until(r#""model":"llama-8b","#);
    client.send(rest);
    server.read_until(r#""messages":[]}"#);
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
    big.expect_nobody();
}

#[test]
fn a_model_that_no_route_takes_is_refused_unless_a_route_takes_every_one() {
    let (big, small, rest) = (Upstream::listen(), Upstream::listen(), Upstream::listen());
    let strict = by_model(&big, &small, "", &[]);
    let mut client = strict.connect();
    for body in [r#"{"model":"gpt-4o-mini"}"#, r#"{"messages":[]}"#, r#"{"model":null}"#, ""] {
        for message in [sized(JSON, body), chunked(JSON, body, 5)] {
            client.send(message);
            expect_code(&mut client, 404, "model_not_found");
        }
    }
    client.send("GET /v1/models HTTP/1.1\r\nHost: own\r\n\r\n");
    expect_code(&mut client, 404, "model_not_found");
    client.send("GET /v2/models HTTP/1.1\r\nHost: own\r\n\r\n");
    expect_code(&mut client, 404, "no_route");
    big.expect_nobody();
    small.expect_nobody();

    let address = rest.address();
    let text = format!("[[upstream]]\nname = \"rest\"\nendpoints = [\"{address}\"]");
    let lenient = by_model(&big, &small, &text, &["path = \"/*\"\nupstream = \"rest\""]);
    let mut client = lenient.connect();
    for body in [r#"{"model":"gpt-4o-mini"}"#, r#"{"messages":[]}"#, "no JSON"] {
        for message in [sized("", body), chunked("", body, 5)] {
            client.send(message);
            assert_eq!(serve(&rest).text(), body);
            assert_eq!(client.read_response().text(), "ok");
        }
    }
    client.send("GET /v1/models HTTP/1.1\r\nHost: own\r\n\r\n");
    serve(&rest);
    assert_eq!(client.read_response().text(), "ok");
    client.send(sized(JSON, r#"{"model":"gpt-4o"}"#));
    assert_eq!(serve(&big).text(), r#"{"model":"llama-70b"}"#);
    assert_eq!(client.read_response().text(), "ok");
}

#[test]
fn the_refusal_of_a_model_names_it() {
    let (big, small) = (Upstream::listen(), Upstream::listen());
    let gateway = gateway(
        &[("big", &big), ("small", &small)],
        "",
        &[
            "path = \"/*\"\nupstream = \"big\"\nwhen = { model = \"a\" }",
            "path = \"/*\"\nupstream = \"small\"\nwhen = { model = \"b\" }",
        ],
    );
    let mut client = gateway.connect();
    let body = r#"{"model":"claude"}"#;
    client.send(format!(
        "POST /v1/messages HTTP/1.1\r\nHost: own\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = client.read_response();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    let message = answer.json()["error"]["message"].as_str().expect("a text").to_owned();
    assert!(message.contains("claude"), "{message}");
}

#[test]
fn who_names_two_models_is_sent_to_nobody() {
    let (big, small) = (Upstream::listen(), Upstream::listen());
    let gateway = by_model(&big, &small, "model_search_bytes = \"64KiB\"", &[]);
    for (body, status, code) in [
        (r#"{"model":"gpt-4o","model":"llama-8b"}"#.to_owned(), 400, "model_ambiguous"),
        (r#"{"mod\u0065l":"gpt-4o"}"#.to_owned(), 400, "model_ambiguous"),
        (format!(r#"{{"x":"{}","model":"gpt-4o"}}"#, "x".repeat(300_000)), 413, "model_too_late"),
    ] {
        let mut client = gateway.connect();
        client.send(sized(JSON, &body));
        expect_code(&mut client, status, code);
    }
    let mut client = gateway.connect();
    client.send(sized("Content-Encoding: gzip\r\n", "12345"));
    expect_code(&mut client, 400, "body_undecodable");
    let mut client = gateway.connect();
    client.send(sized("Content-Encoding: gzip, br\r\n", "12345"));
    expect_code(&mut client, 415, "body_encoded");
    big.expect_nobody();
    small.expect_nobody();
    // A second one far behind the first breaks the request off.
    let late = format!(r#"{{"model":"llama-8b","x":"{}","model":"b"}}"#, "x".repeat(2 * MIB));
    let mut client = gateway.connect();
    let sender = std::thread::spawn(move || {
        client.send(sized(JSON, &late));
        client
    });
    let mut server = small.accept();
    server.read_until("llama-8b");
    server.read_end();
    let got = String::from_utf8_lossy(server.received()).into_owned();
    assert!(!got.contains(r#""b""#) && !got.ends_with('}'), "the server has no whole request");
    expect_code(&mut sender.join().expect("it was sent"), 400, "model_ambiguous");
}

#[test]
fn a_request_goes_by_its_model_wherever_its_bytes_are_cut() {
    let (big, small) = (Upstream::listen(), Upstream::listen());
    let gateway = by_model(&big, &small, "", &[]);
    let mut client = gateway.connect();
    for message in [
        sized(JSON, r#"{"a":"model","model":"llama-8b"}"#),
        chunked(JSON, r#"{"a":"model","model":"llama-8b"}"#, 5),
    ] {
        for cut in 1..message.len() {
            client.send(&message[..cut]);
            std::thread::sleep(Duration::from_millis(1));
            client.send(&message[cut..]);
            assert_eq!(serve(&small).text(), r#"{"a":"model","model":"llama-8b"}"#, "{cut}");
            assert_eq!(client.read_response().text(), "ok");
        }
    }
    big.expect_nobody();
}

#[test]
fn a_client_that_stops_before_its_model_is_told_so_and_nobody_is_asked() {
    let (big, small) = (Upstream::listen(), Upstream::listen());
    let gateway = by_model(&big, &small, "[timeouts]\nbody = \"300ms\"", &[]);
    let half = head("Content-Length: 100\r\n") + "\r\n{\"messages\":[";
    let mut silent = gateway.connect();
    silent.send(&half);
    expect_code(&mut silent, 408, "body_timeout");
    let mut gone = gateway.connect();
    gone.send(&half);
    gone.finish();
    gone.read_end();
    big.expect_nobody();
    small.expect_nobody();
}

#[test]
fn a_share_of_the_clients_goes_to_the_canary_and_stays_there() {
    let (canary, stable) = (Upstream::listen(), Upstream::listen());
    let gateway = gateway(
        &[("canary", &canary), ("stable", &stable)],
        "",
        &[
            "path = \"/v1/*\"\nupstream = \"canary\"\nmodel = \"next\"\n\
             when = { model = \"m\", share = { of = \"30%\", by = \"key\" } }",
            "path = \"/v1/*\"\nupstream = \"stable\"\nwhen = { model = \"m\" }",
        ],
    );
    let ask = |key: usize| {
        let mut client = gateway.connect();
        let fields = format!("Authorization: Bearer sk-{key}\r\n{JSON}");
        client.send(sized(&fields, r#"{"messages":[],"model":"m"}"#));
        let (at, mut server) = whoever_is_asked([&canary, &stable]);
        let model = ["next", "m"][at];
        assert_eq!(server.read_request().text(), format!(r#"{{"messages":[],"model":"{model}"}}"#));
        server.send(OK);
        assert_eq!(client.read_response().text(), "ok");
        at
    };
    let first: Vec<usize> = (0..40).map(ask).collect();
    let again: Vec<usize> = (0..40).map(ask).collect();
    assert_eq!(first, again);
    let drawn = first.iter().filter(|at| **at == 0).count();
    // The draw depends on the keys alone: it is the same in every run.
    assert!((6..=18).contains(&drawn), "30 % of 40: {drawn}");
}

#[test]
fn requests_of_one_user_go_to_one_endpoint_wherever_the_body_names_it() {
    let (one, two) = (Upstream::listen(), Upstream::listen());
    for (route, model) in [("", "m"), ("model = \"its-own\"", "its-own")] {
        let gateway = Gateway::start(&format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
             [[upstream]]\nname = \"u\"\nendpoints = [\"{}\", \"{}\"]\n\
             balance = {{ hash = {{ field = \"metadata.user_id\" }} }}\n\
             [[route]]\npath = \"/*\"\nupstream = \"u\"\n{route}\n",
            one.address(),
            two.address(),
        ));
        let mut homes = [false; 2];
        // The ports decide who lives where: users come until somebody lives at each.
        for user in 0..100 {
            let user = format!(r#""metadata":{{"user_id":"user-{user}"}}"#);
            let talk = |length: usize| format!(r#""messages":["{}"]"#, "x".repeat(length));
            let mut home = None;
            for (first, second, piece) in [
                (user.clone(), talk(10), usize::MAX),
                (talk(200_000), user.clone(), 50_000),
                (talk(30), user.clone(), 20),
            ] {
                let body = |model: &str| format!(r#"{{"model":"{model}",{first},{second}}}"#);
                let (asked, mut client) = (body("m"), gateway.connect());
                client.send(format!("{}Content-Length: {}\r\n\r\n", head(JSON), asked.len()));
                for bytes in asked.as_bytes().chunks(piece) {
                    client.send(bytes);
                }
                let (at, mut server) = whoever_is_asked([&one, &two]);
                assert_eq!(server.read_request().text(), body(model));
                server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
                assert_eq!(client.read_response().status(), 200);
                assert_eq!(*home.get_or_insert(at), at, "{user} in pieces of {piece}");
            }
            homes[home.expect("it was asked")] = true;
            if user.contains("-5") && homes == [true; 2] {
                break;
            }
        }
        assert_eq!(homes, [true; 2], "a hundred users lived at one endpoint");
    }
}

/// A route for the streams of one user, one for a model, and one for whatever is left.
fn by_field<'u>(gold: &'u Upstream, model: &'u Upstream, rest: &'u Upstream) -> Gateway {
    gateway(
        &[("gold", gold), ("model", model), ("rest", rest)],
        "model_search_bytes = \"64KiB\"",
        &[
            "path = \"/v1/*\"\nupstream = \"gold\"\nwhen = { field = { \"metadata.user_id\" = \"g*\", stream = true } }",
            "path = \"/v1/*\"\nupstream = \"model\"\nwhen = { model = \"a\" }\nmodel = \"written\"",
            "path = \"/v1/*\"\nupstream = \"rest\"",
        ],
    )
}

#[test]
fn a_request_goes_by_members_of_its_body() {
    let (gold, model, rest) = (Upstream::listen(), Upstream::listen(), Upstream::listen());
    let gateway = by_field(&gold, &model, &rest);
    let mut client = gateway.connect();
    let long = format!("\"messages\":[\"{}\"]", "x".repeat(40_000));
    for (body, upstream, sent) in [
        (r#"{"stream":true,"metadata":{"user_id":"g1"},"model":"a"}"#, &gold, None),
        (r#"{"model":"a","metadata":{"user_id":"g1"},LONG,"stream":true}"#, &gold, None),
        (r#"{"stream":true,"metadata":{"user_id":"h1"},LONG,"n":1}"#, &rest, None),
        (r#"{"stream":false,"model":"a",LONG}"#, &model, Some("written")),
        (r#"{"stream":false,LONG,"model":"a"}"#, &model, Some("written")),
        (r#"{"metadata":{"user_id":"g1"},LONG,"model":"a"}"#, &model, Some("written")),
        (r#"{"metadata":"g1","stream":"true"}"#, &rest, None),
        ("{}", &rest, None),
        ("no JSON", &rest, None),
    ] {
        let body = body.replace("LONG", &long);
        let sent = match sent {
            Some(name) => body.replace("\"model\":\"a\"", &format!("\"model\":\"{name}\"")),
            None => body.clone(),
        };
        let media = if body == "no JSON" { "Content-Type: text/plain\r\n" } else { JSON };
        for message in [sized(media, &body), chunked(media, &body, 10_007)] {
            client.send(message);
            assert!(serve(upstream).text() == sent, "{body:.60}");
            assert_eq!(client.read_response().text(), "ok");
        }
    }
    // Without a body there is nothing to ask.
    client.send("GET /v1/models HTTP/1.1\r\nHost: own\r\n\r\n");
    serve(&rest);
    assert_eq!(client.read_response().text(), "ok");
}

#[test]
fn a_body_goes_on_as_soon_as_its_members_have_decided() {
    let (gold, model, rest) = (Upstream::listen(), Upstream::listen(), Upstream::listen());
    let gateway = by_field(&gold, &model, &rest);
    let start = r#"{"metadata":{"user_id":"g1"},"stream":true,"#;
    let (middle, end) = ("\"x\":1,\"model\":\"b\",", format!("\"y\":\"{}\"}}", "x".repeat(MIB)));
    let mut client = gateway.connect();
    let length = start.len() + middle.len() + end.len();
    client.send(head(&format!("Content-Length: {length}\r\n")) + "\r\n" + start);
    let mut server = gold.accept();
    server.read_until(r#""stream":true,"#);
    // What comes behind, the model too, changes nothing.
    client.send(middle);
    server.read_until(r#""model":"b","#);
    let sender = std::thread::spawn(move || {
        client.send(end);
        client
    });
    server.read_until("x\"}");
    server.send(OK);
    assert_eq!(sender.join().expect("it was sent").read_response().text(), "ok");
}

#[test]
fn a_field_that_comes_twice_or_too_late_is_sent_to_nobody() {
    let (gold, model, rest) = (Upstream::listen(), Upstream::listen(), Upstream::listen());
    let gateway = by_field(&gold, &model, &rest);
    let late = format!(r#"{{"x":"{}","stream":true}}"#, "x".repeat(300_000));
    for (body, status, code) in [
        (r#"{"stream":true,"stream":false}"#, 400, "field_ambiguous"),
        (r#"{"stream":true,"metadata":{"user_id":"a","User_id":"g"}}"#, 400, "field_ambiguous"),
        (r#"{"\u0073tream":true}"#, 400, "field_ambiguous"),
        (late.as_str(), 413, "field_too_late"),
    ] {
        for message in [sized(JSON, body), chunked(JSON, body, 10_007)] {
            let mut client = gateway.connect();
            client.send(message);
            expect_code(&mut client, status, code);
        }
    }
    let mut client = gateway.connect();
    client.send(sized("Content-Encoding: gzip\r\n", "12345"));
    expect_code(&mut client, 400, "body_undecodable");
    for upstream in [&gold, &model, &rest] {
        upstream.expect_nobody();
    }
}
