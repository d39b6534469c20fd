//! `when` and `model` of a route.

use super::super::show::effective;
use super::super::snapshot::{Pattern, Share, ShareBy, Target, When};
use super::*;

/// Routes of one path, each with these lines.
fn routes(lines: &[&str]) -> String {
    let route =
        |lines: &&str| format!("[[route]]\npath = \"/v1/*\"\nupstream = \"llama\"\n{lines}\n");
    let routes: String = lines.iter().map(route).collect();
    format!("{LEAST}{routes}")
}

fn conditions(loaded: &Loaded) -> Vec<When> {
    loaded
        .snapshot
        .routes
        .iter()
        .skip(1)
        .map(|route| route.when.as_deref().cloned().unwrap_or_default())
        .collect()
}

#[test]
fn a_route_can_ask_for_hosts_fields_parameters_and_models() {
    let every = r#"when = { host = ["API.example", "*.b", "[::1]"], header = { X-Tier = "gold", b = "*" }, query = { "a b" = "" }, field = { user = "u*", "metadata.user_id" = "x", stream = true, n = 2 }, model = "gpt-4*", client_certificate = "agent-*" }"#;
    let loaded = accepted(&routes(&[every]));
    let pattern = |text: &str| Pattern::new(text);
    let pair = |name: &str, text: &str| (name.to_owned(), Pattern::new(text));
    assert_eq!(
        conditions(&loaded),
        [When {
            hosts: ["api.example", "*.b", "[::1]"].map(pattern).to_vec(),
            headers: vec![pair("x-tier", "gold"), pair("b", "*")],
            query: vec![pair("a b", "")],
            fields: vec![
                (vec!["metadata".to_owned(), "user_id".to_owned()], pattern("x")),
                (vec!["n".to_owned()], pattern("2")),
                (vec!["stream".to_owned()], pattern("true")),
                (vec!["user".to_owned()], pattern("u*")),
            ],
            models: vec![pattern("gpt-4*")],
            certificates: vec![pattern("agent-*")],
            share: None,
        }]
    );
    assert!(told(&loaded.warnings).contains("client_certificate holds for nobody"));
    let again = accepted(&effective(&loaded.snapshot));
    assert_eq!(content(&loaded), content(&again));
}

#[test]
fn the_model_of_a_route_may_be_a_name_of_its_path() {
    let route = |path: &str, model: &str| {
        format!("{LEAST}[[route]]\npath = {path:?}\nupstream = \"llama\"\nmodel = {model:?}\n")
    };
    let loaded = accepted(&route("/d/{deployment}/*", "{deployment}"));
    let found = loaded.snapshot.routes.iter().find_map(|route| route.model_in_path.as_deref());
    assert_eq!(found, Some("deployment"));
    let again = accepted(&effective(&loaded.snapshot));
    assert_eq!(content(&loaded), content(&again));
    for (path, model, reason) in [
        ("/d/{deployment}/*", "{model}", "is no name of the path, which has {deployment}"),
        ("/d/*", "{deployment}", "is no name of the path, which has none"),
        ("/d", "{deployment}", "is no name of the path, which has none"),
    ] {
        let problems = refused(&route(path, model));
        assert!(problems.contains(reason), "{path} {model}: {problems}");
    }
    // A model may have braces as any other character.
    let loaded = accepted(&route("/d/*", "a{b}"));
    assert!(loaded.snapshot.routes.iter().all(|route| route.model_in_path.is_none()));
}

#[test]
fn routes_of_one_path_that_ask_for_something_come_first_and_as_they_stand() {
    let asks = |model: &str| format!("when = {{ model = \"{model}\" }}");
    let loaded = accepted(&routes(&["", &asks("b*"), &asks("a*")]));
    let models: Vec<Vec<Pattern>> = conditions(&loaded).into_iter().map(|it| it.models).collect();
    assert_eq!(models, [vec![Pattern::new("b*")], vec![Pattern::new("a*")], vec![]]);
}

#[test]
fn the_model_of_a_route_stands_before_that_of_its_upstreams() {
    let text = routes(&["model = \"its-own\"", "when = { model = \"b\" }"]);
    let text = text.replace("8081\"]\n", "8081\"]\nmodel = \"served\"\n");
    let loaded = accepted(&text);
    let models = loaded.snapshot.routes.iter().map(|route| match &route.target {
        Target::Chain(chain) => chain.links[0].model.clone().expect("it has one"),
        Target::Service(_) | Target::Models(_) => unreachable!("a file names upstreams"),
    });
    assert_eq!(models.collect::<Vec<_>>(), ["served", "served", "its-own"]);
    let again = accepted(&effective(&loaded.snapshot));
    assert_eq!(content(&loaded), content(&again));
}

#[test]
fn what_can_never_hold_is_refused() {
    for (line, expected) in [
        (
            "when = { host = \"a:80\" }",
            "line 12: route[1].when.host: \"a:80\" is no host; write a name, \"*.example.com\" or an \
             address, without a port",
        ),
        ("when = { host = [] }", "line 12: route[1].when.host: must have from 1 to 256 entries"),
        (
            "when = { model = [\"a\", \"a\"] }",
            "line 12: route[1].when.model[1]: is in the list already",
        ),
        (
            "when = { model = \"a b\" }",
            "line 12: route[1].when.model: must have 1 to 256 visible ASCII characters and no space",
        ),
        (
            "when = { header = { \"a b\" = \"c\" } }",
            "line 12: route[1].when.header.\"a b\": \"a b\" is no name of a header field",
        ),
        (
            "when = { header = { a = \"1\", A = \"2\" } }",
            "line 12: route[1].when.header.a: is in the table already; names ignore case",
        ),
        (
            "when = { header = { a = \"\\u0007\" } }",
            "line 12: route[1].when.header.a: must have at most 256 characters, and no control \
             characters",
        ),
        (
            "when = { query = { \"\" = \"\" } }",
            "line 12: route[1].when.query.\"\": \"\" is no name of a parameter",
        ),
        (
            "when = { field = { \"a..b\" = \"c\" } }",
            "line 12: route[1].when.field.\"a..b\": \"a..b\" is no field of a JSON body; write a name, \
             or names with dots between them, as \"metadata.user_id\"",
        ),
        (
            "when = { field = { model = \"c\" } }",
            "line 12: route[1].when.field.model: is when.model",
        ),
        (
            "when = { field = { a = 1.5 } }",
            "line 12: route[1].when.field.a: must be a string, not a fraction",
        ),
        (
            "when = { models = \"a\" }",
            "line 12: route[1].when.models: unknown key; did you mean \"model\"?",
        ),
        ("when = \"a\"", "line 12: route[1].when: must be a table, not a string"),
    ] {
        assert_eq!(refused(&routes(&[line])), format!("{expected}\n"), "{line}");
    }
    let twice = "when = { host = \"a\" }";
    assert_eq!(
        refused(&routes(&[twice, twice])),
        "line 13: route[2]: another route has this path, method and when already (line 9); this one \
         would never match\n"
    );
}

#[test]
fn heads_that_wait_for_a_model_are_counted() {
    use super::super::bounds::worker_memory;

    let with = |limits: &str, lines: &str| {
        worker_memory(&accepted(&format!("[limits]\n{limits}\n{}", routes(&[lines]))).snapshot)
    };
    for (limits, heads) in [
        ("connections = 100\nhead_bytes = \"8KiB\"", (100 * 8) << 10),
        ("connections = 1000\nhead_bytes = \"64KiB\"\nbuffer_bytes = \"16MiB\"", 16 << 20),
    ] {
        let plain = with(limits, "when = { host = \"a\" }");
        assert_eq!(with(limits, "when = { model = \"a\" }"), plain + heads, "{limits}");
    }
}

#[test]
fn a_share_is_a_percentage_and_says_by_what_it_is_drawn() {
    let share = |of_ten_thousand, by, towards: &str| {
        Some(Share { of_ten_thousand, by, towards: towards.into() })
    };
    for (line, expected) in [
        ("share = \"10%\"", share(1_000, ShareBy::Request, "llama ")),
        ("share = \"0%\"", share(0, ShareBy::Request, "llama ")),
        ("share = \"100%\"", share(10_000, ShareBy::Request, "llama ")),
        ("share = \"2.5%\"", share(250, ShareBy::Request, "llama ")),
        ("share = \"0.01%\"", share(1, ShareBy::Request, "llama ")),
        ("share = { of = \"7%\", by = \"key\" }", share(700, ShareBy::Key, "llama ")),
        (
            "share = { of = \"7%\", by = { header = \"X-User\" } }",
            share(700, ShareBy::Header("x-user".into()), "llama "),
        ),
        (
            "share = { of = \"7%\", by = { cookie = \"Sid\" } } }\nmodel = \"m\" #",
            share(700, ShareBy::Cookie("Sid".into()), "llama m"),
        ),
    ] {
        let loaded = accepted(&routes(&[&format!("when = {{ {line} }}"), ""]));
        assert_eq!(conditions(&loaded)[0].share, expected, "{line}");
        assert_eq!(told(&loaded.warnings), "", "{line}");
        let again = accepted(&effective(&loaded.snapshot));
        assert_eq!(content(&loaded), content(&again), "{line}");
    }
}

#[test]
fn what_is_no_share_is_refused() {
    let wrong = |text: &str| {
        format!(
            "line 12: route[1].when.share: \"{text}\" is no share; write a percentage from \"0%\" to \
             \"100%\", as \"2.5%\""
        )
    };
    for text in ["10", "%", "100.01%", "1.%", ".5%", "1.234%", "-1%", "1e1%", "99999999%"] {
        let line = format!("when = {{ share = \"{text}\" }}");
        assert_eq!(refused(&routes(&[&line])), format!("{}\n", wrong(text)), "{text}");
    }
    for (line, expected) in [
        ("{ by = \"key\" }", "when.share.of: is required"),
        (
            "{ of = \"1%\", by = \"kye\" }",
            "when.share.by: must be \"request\" or \"key\", not \"kye\"; did you mean \"key\"?",
        ),
        ("{ of = \"1%\", by = {} }", "when.share.by: needs one of header and cookie"),
    ] {
        let told = refused(&routes(&[&format!("when = {{ share = {line} }}")]));
        assert_eq!(told, format!("line 12: route[1].{expected}\n"), "{line}");
    }
}

#[test]
fn a_share_whose_rest_goes_nowhere_is_told() {
    let warning = "line 9: route[1]: takes a share, and no route behind it takes the rest: who is not in \
                   the share is refused\n";
    let canary = "when = { share = \"5%\" }";
    for (lines, expected) in [
        (&[canary][..], warning),
        (&[canary, ""], ""),
        (&[canary, "when = { host = \"a\" }"], warning),
        (&[canary, "methods = [\"POST\"]"], warning),
        (&["when = { share = \"100%\" }"], ""),
        (&["when = { share = \"5%\", model = \"a\" }", "when = { model = \"a\" }"], ""),
        (&["when = { share = \"5%\", model = \"a\" }", "when = { model = \"b\" }"], warning),
    ] {
        assert_eq!(told(&accepted(&routes(lines)).warnings), expected, "{lines:?}");
    }
}

#[test]
fn a_route_that_asks_for_nothing_is_told_so() {
    let loaded = accepted(&routes(&["when = {}"]));
    assert_eq!(
        told(&loaded.warnings),
        "line 12: route[1].when: asks for nothing, so every request is for this route\n"
    );
}
