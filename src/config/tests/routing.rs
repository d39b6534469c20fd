//! `when` and `model` of a route.

use super::super::show::effective;
use super::super::snapshot::{Pattern, Target, When};
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
    let every = r#"when = { host = ["API.example", "*.b", "[::1]"], header = { X-Tier = "gold", b = "*" }, query = { "a b" = "" }, model = "gpt-4*" }"#;
    let loaded = accepted(&routes(&[every]));
    let pattern = |text: &str| Pattern::new(text);
    let pair = |name: &str, text: &str| (name.to_owned(), Pattern::new(text));
    assert_eq!(
        conditions(&loaded),
        [When {
            hosts: ["api.example", "*.b", "[::1]"].map(pattern).to_vec(),
            headers: vec![pair("x-tier", "gold"), pair("b", "*")],
            query: vec![pair("a b", "")],
            models: vec![pattern("gpt-4*")],
        }]
    );
    assert_eq!(told(&loaded.warnings), "");
    let again = accepted(&effective(&loaded.snapshot));
    assert_eq!(content(&loaded), content(&again));
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
fn a_route_that_asks_for_nothing_is_told_so() {
    let loaded = accepted(&routes(&["when = {}"]));
    assert_eq!(
        told(&loaded.warnings),
        "line 12: route[1].when: asks for nothing, so every request is for this route\n"
    );
}
