//! `cors` of a route.

use std::time::Duration;

use super::super::show::effective;
use super::super::snapshot::{Cors, Pattern};
use super::super::{bounds, defaults};
use super::*;

fn route(line: &str) -> String {
    format!("{LEAST}{line}\n")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_route_says_whose_pages_may_call_it() {
    let default = Cors {
        origins: vec![Pattern::new("*")],
        credentials: defaults::CORS_CREDENTIALS,
        headers: None,
        expose: names(&defaults::CORS_EXPOSE),
        max_age: defaults::CORS_MAX_AGE,
    };
    let origins = |texts: &[&str]| texts.iter().map(|text| Pattern::new(*text)).collect();
    for (line, expected) in [
        ("cors = { origins = [\"*\"] }", Some(default.clone())),
        ("cors = \"off\"", None),
        (
            r#"cors = { origins = ["https://App.Example", "https://*.corp.example:8443", "null"], headers = ["Authorization"], expose = ["X-A"], max_age = "0s" }"#,
            Some(Cors {
                origins: origins(&["https://app.example", "https://*.corp.example:8443", "null"]),
                headers: Some(names(&["authorization"])),
                expose: names(&["x-a"]),
                max_age: Duration::ZERO,
                ..default.clone()
            }),
        ),
        (
            r#"cors = { origins = ["http://localhost:*", "http://[::1]:3000", "chrome-extension://*"], headers = [], expose = ["*"] }"#,
            Some(Cors {
                origins: origins(&[
                    "http://localhost:*",
                    "http://[::1]:3000",
                    "chrome-extension://*",
                ]),
                headers: Some(vec![]),
                expose: names(&["*"]),
                ..default.clone()
            }),
        ),
        (
            r#"cors = { origins = ["https://app-*.corp.example", "https://*.intern"], credentials = true, expose = [], max_age = "24h" }"#,
            Some(Cors {
                origins: origins(&["https://app-*.corp.example", "https://*.intern"]),
                credentials: true,
                expose: vec![],
                max_age: Duration::from_secs(86_400),
                ..default
            }),
        ),
    ] {
        let loaded = accepted(&route(line));
        assert_eq!(loaded.snapshot.routes[0].cors.as_deref(), expected.as_ref(), "{line}");
        assert_eq!(told(&loaded.warnings), "", "{line}");
        let again = accepted(&effective(&loaded.snapshot));
        assert_eq!(content(&loaded), content(&again));
    }
    assert_eq!(
        bounds::worker_memory(&accepted(LEAST).snapshot),
        bounds::worker_memory(&accepted(&route("cors = { origins = [\"*\"] }")).snapshot)
    );
}

#[test]
fn what_would_let_in_strangers_or_nobody_is_refused() {
    let origin = |text: &str| format!("cors = {{ origins = [\"{text}\"] }}");
    let form = |text: &str| {
        format!(
            "cors.origins[0]: {text:?} is no origin; write \"https://app.example\", \
             \"https://*.corp.example\", \"http://localhost:*\" or \"*\""
        )
    };
    let strangers = |text: &str| {
        format!(
            "cors.origins[0]: {text:?} takes in strangers' hosts: a star stands in front of a name that \
             is written out, as in \"https://*.corp.example\" or \"https://app-*.corp.example\""
        )
    };
    for text in [
        "",
        "app.example",
        "https://",
        "://a",
        "*://a",
        "https*://a",
        "https://a b",
        "https://a:0",
        "https://a:x",
        "https://a:99999",
        "https://a?b",
        "https://a@b",
        "https://a.",
        "https://[::x]",
        "https://[::*]",
        "https://\u{e9}.example",
        "**",
    ] {
        assert_eq!(
            refused(&route(&origin(text))),
            format!("line 9: route[0].{}\n", form(text)),
            "{text}"
        );
    }
    for text in [
        "https://*corp.example",
        "https://app.*",
        "https://app*",
        "https://app.example*",
        "https://a.*b.example",
        "https://a*.example:*",
    ] {
        let expected = format!("line 9: route[0].{}\n", strangers(text));
        assert_eq!(refused(&route(&origin(text))), expected, "{text}");
    }
    let many = format!("cors = {{ origins = [\"*\"], headers = [{}] }}", "\"a\", ".repeat(65));
    for (line, expected) in [
        (
            origin("https://a.example/"),
            "cors.origins[0]: \"https://a.example/\" has a path, and an origin has none; did you mean \
             \"https://a.example\"?",
        ),
        (
            origin("https://a.example:443"),
            "cors.origins[0]: \"https://a.example:443\" never matches: a browser leaves out a scheme's \
             own port; did you mean \"https://a.example\"?",
        ),
        ("cors = {}".into(), "cors.origins: is required"),
        ("cors = true".into(), "cors: must be a table or \"off\", not true or false"),
        (
            "cors = { origins = [] }".into(),
            "cors.origins: must have from 1 to 256 entries; \"*\" is every page",
        ),
        ("cors = { origins = \"*\" }".into(), "cors.origins: must be a list, [ … ], not a string"),
        (
            "cors = { origins = [\"https://A\", \"https://a\"] }".into(),
            "cors.origins[1]: is in the list already",
        ),
        (
            "cors = { origins = [\"https://a\", \"*\"], credentials = true }".into(),
            "cors.credentials: excludes the origin \"*\": a browser takes no wildcard for an answer to a \
             request with credentials; name the origins",
        ),
        (
            "cors = { origins = [\"https://*\"], credentials = true }".into(),
            "cors.credentials: excludes the origin \"https://*\": that may be anybody's page, and it \
             would act for whoever looks at it; name the origins",
        ),
        (
            "cors = { origins = [\"null\"], credentials = true }".into(),
            "cors.credentials: excludes the origin \"null\": that may be anybody's page, and it would \
             act for whoever looks at it; name the origins",
        ),
        (
            "cors = { origins = [\"*\"], headers = [\"*\"] }".into(),
            "cors.headers[0]: leave it out: then every field that a page asks for may be sent",
        ),
        (
            "cors = { origins = [\"https://a\"], credentials = true, expose = [\"*\"] }".into(),
            "cors.expose[0]: where there are credentials, a browser takes no \"*\": name the fields",
        ),
        (
            "cors = { origins = [\"*\"], expose = [\"a b\"] }".into(),
            "cors.expose[0]: \"a b\" is no name of a header field",
        ),
        (
            "cors = { origins = [\"*\"], max_age = \"25h\" }".into(),
            "cors.max_age: must be from \"0us\" to \"24h\", not \"25h\"",
        ),
        (
            "cors = { origins = [\"*\"], max_age = \"1500ms\" }".into(),
            "cors.max_age: must be whole seconds: the field counts in them",
        ),
        (
            "cors = { origin = [\"*\"], origins = [\"*\"] }".into(),
            "cors.origin: unknown key; did you mean \"origins\"?",
        ),
        (
            "cors = { origins = [\"*\"] }\n\
             response_headers = { set = { Access-Control-Allow-Origin = \"*\" } }"
                .into(),
            "cors: and response_headers both say access-control-allow-origin; leave it to cors",
        ),
        (
            "cors = { origins = [\"*\"] }\n\
             fallback = { text = \"a\", headers = { access_control_max_age = \"1\" } }"
                .into(),
            "cors: and fallback.headers both say access_control_max_age; leave it to cors",
        ),
    ] {
        assert_eq!(refused(&route(&line)), format!("line 9: route[0].{expected}\n"), "{line}");
    }
    assert!(refused(&route(&many)).contains("cors.headers: must have at most 64 fields\n"));
}

#[test]
fn routes_that_a_preflight_cannot_tell_apart_are_told_of() {
    let any = "cors = { origins = [\"*\"] }";
    let with = |lines: &[(&str, &str)]| {
        let route = |(path, lines): &(&str, &str)| {
            format!("[[route]]\npath = \"{path}\"\nupstream = \"llama\"\n{lines}\n")
        };
        let routes: String = lines.iter().map(route).collect();
        told(&accepted(&format!("{LEAST}{routes}")).warnings)
    };
    let asks = |lines: &str| format!("when = {{ model = \"a\" }}\n{lines}");
    let (has, has_not) = (asks(any), asks(""));
    let behind =
        "a preflight carries neither field nor model, so it may be for either, and is refused\n";
    for (lines, expected) in [
        (
            vec![("/v1/*", &*has), ("/*", "")],
            format!("line 9: route[1]: has cors and route[2] (line 14) has no cors: {behind}"),
        ),
        (
            vec![("/v1/x", &*has_not), ("/v1/*", any)],
            format!("line 9: route[1]: has no cors and route[2] (line 14) has cors: {behind}"),
        ),
        (vec![("/v1/*", &*has), ("/*", any)], String::new()),
        (vec![("/v1/*", &*has), ("/v2/*", "")], String::new()),
        (vec![("/v1/*", &*has), ("/v1/*", any), ("/*", "")], String::new()),
        (vec![("/v1/*", any), ("/*", "")], String::new()),
        (
            vec![
                ("/v1/*", &*asks(&format!("{any}\nmethods = [\"POST\"]"))),
                ("/*", "methods = [\"GET\"]"),
            ],
            String::new(),
        ),
    ] {
        assert_eq!(with(&lines), expected, "{lines:?}");
    }
}
