//! `models`: routes that tell which models there are, and upstreams that have some.

use super::super::show::effective;
use super::super::snapshot::{ModelSource, Snapshot};
use super::*;

const LISTED: &str = r#"[server]
listen = ["127.0.0.1:8080"]
[[upstream]]
name = "llama"
endpoints = ["127.0.0.1:8081"]
[[upstream]]
name = "ollama"
endpoints = ["127.0.0.1:8082"]
[[route]]
path = "/v1/*"
upstream = "llama"
[[route]]
path = "/v1/models"
models = ["ollama", "llama"]
"#;

fn lists(snapshot: &Snapshot) -> Vec<(Option<Vec<usize>>, Vec<usize>)> {
    let routes = snapshot.model_routes();
    routes.map(|route| (route.upstreams.clone(), snapshot.listed(route))).collect()
}

#[test]
fn routes_of_models_name_upstreams_or_all() {
    let more = "[[route]]\npath = \"/v1/models/*\"\nmodels = \"all\"\nmethods = [\"GET\"]\nserver_timing = true\n\
                [[route]]\npath = \"/api/tags\"\nmodels = [\"llama\"]\ntimeouts = { client_write = \"5s\" }\n\
                when = { host = \"x\" }\n";
    let text = LISTED.to_owned() + more;
    let loaded = accepted(&text);
    let lists = lists(&loaded.snapshot);
    assert_eq!(lists[0], (Some(vec![0]), vec![0]), "exact paths come first");
    assert_eq!(lists[1], (Some(vec![1, 0]), vec![1, 0]));
    assert_eq!(lists[2], (None, vec![0, 1]));
    // No route leads to the other one: of what it has nothing can be asked for.
    assert_eq!(loaded.snapshot.asked_for_models(), [0]);
    let again = accepted(&effective(&loaded.snapshot));
    assert_eq!(content(&loaded), content(&again));
    assert_eq!(effective(&loaded.snapshot), effective(&again.snapshot));
}

#[test]
fn nobody_is_asked_without_a_list() {
    let without = LISTED.split("[[route]]\npath = \"/v1/models\"").next().expect("a beginning");
    assert_eq!(accepted(without).snapshot.asked_for_models(), [0; 0]);
    assert_eq!(accepted(LISTED).snapshot.asked_for_models(), [0]);
    // Of those that are not to be asked nobody is.
    for keys in ["models = \"off\"", "models = [\"a\"]", "service = \"none\""] {
        let text = LISTED.replace("8081\"]\n", &format!("8081\"]\n{keys}\n"));
        assert_eq!(accepted(&text).snapshot.asked_for_models(), [0; 0], "{keys}");
    }
}

#[test]
fn an_upstream_says_where_its_models_come_from() {
    for (keys, expected) in [
        ("", ModelSource::Ask),
        ("models = \"ask\"", ModelSource::Ask),
        ("models = \"off\"", ModelSource::Off),
        ("models = { path = \"/api/v1/models\" }", ModelSource::AskAt("/api/v1/models".into())),
        ("models = [\"a\", \"b/c:7b\"]", ModelSource::Stated(vec!["a".into(), "b/c:7b".into()])),
        ("service = \"none\"", ModelSource::Off),
        ("service = \"none\"\nmodels = \"ask\"", ModelSource::Ask),
    ] {
        let loaded = accepted(&LISTED.replace("8081\"]\n", &format!("8081\"]\n{keys}\n")));
        assert_eq!(loaded.snapshot.upstreams[0].models, expected, "{keys}");
        let again = accepted(&effective(&loaded.snapshot));
        assert_eq!(content(&loaded), content(&again));
    }
}

#[test]
fn what_leads_to_no_list_is_refused() {
    let path = "leads to no list: a route with models has a path that ends in /models, /models/* or \
                /api/tags";
    let how = "says how a server is asked, and models is answered here";
    let route = |keys: &str| LISTED.replace("models = [\"ollama\", \"llama\"]", keys);
    let of_path = |path: &str| LISTED.replace("\"/v1/models\"", &format!("{path:?}"));
    let upstream = |keys: &str| LISTED.replace("8081\"]\n", &format!("8081\"]\n{keys}\n"));
    let both = "models = \"all\"\n";
    for (text, expected) in [
        (of_path("/v1/*"), format!("line 13: route[1].path: {path}")),
        (of_path("/v1/models/a"), format!("line 13: route[1].path: {path}")),
        (of_path("/tags"), format!("line 13: route[1].path: {path}")),
        (of_path("/api/tags*"), format!("line 13: route[1].path: {path}")),
        (
            route("models = [\"lama\"]"),
            "line 14: route[1].models[0]: there is no upstream named \"lama\"; did you mean \"llama\"?".into(),
        ),
        (
            route("models = [\"llama\", \"llama\"]"),
            "line 14: route[1].models[1]: is in the list already".into(),
        ),
        (
            route("models = []"),
            "line 14: route[1].models: must name at least one upstream, or be \"all\"".into(),
        ),
        (
            route("models = \"llama\""),
            "line 14: route[1].models: must be \"all\" or a list, not \"llama\"; did you mean \
             \"[\\\"llama\\\"]\"?"
                .into(),
        ),
        (
            route("models = \"everything\""),
            "line 14: route[1].models: must be \"all\" or a list, not \"everything\"".into(),
        ),
        (
            route("models = true"),
            "line 14: route[1].models: must be a string, not true or false".into(),
        ),
        (route(&format!("{both}upstream = \"llama\"")), format!("line 15: route[1].upstream: {how}")),
        (route(&format!("{both}model = \"a\"")), format!("line 15: route[1].model: {how}")),
        (route(&format!("{both}rewrite = \"/a\"")), format!("line 15: route[1].rewrite: {how}")),
        (route(&format!("{both}fallback = {{}}")), format!("line 15: route[1].fallback: {how}")),
        (route(&format!("{both}commit = \"head\"")), format!("line 15: route[1].commit: {how}")),
        (
            route(&format!("{both}when = {{ model = \"a\" }}")),
            "line 15: route[1].when: asks for a body, and a list is asked for without one".into(),
        ),
        (
            route(&format!("{both}when = {{ share = \"5%\" }}")),
            "line 15: route[1].when: draws a share, and who asks for a list twice is to be told the \
             same"
                .into(),
        ),
        (
            route(&format!("{both}model_list = 1")),
            "line 15: route[1].model_list: unknown key; known here are path, methods, when, models, \
             response_headers, timeouts, server_timing, cors, keys"
                .into(),
        ),
        (
            upstream("models = []"),
            "line 6: upstream[0].models: must have from 1 to 2048 names; for none, write \"off\"".into(),
        ),
        (
            upstream("models = \"of\""),
            "line 6: upstream[0].models: must be \"ask\" or \"off\", not \"of\"; did you mean \"off\"?"
                .into(),
        ),
        (
            upstream("models = [\"a b\"]"),
            "line 6: upstream[0].models[0]: must have 1 to 256 visible ASCII characters and no space"
                .into(),
        ),
        (
            upstream("models = [\"a\", \"a\"]"),
            "line 6: upstream[0].models[1]: is in the list already".into(),
        ),
        (
            LISTED.replace("8080\"]\n", "8080\"]\nlist_models = \"off\"\n"),
            "line 3: server.list_models: cannot be \"off\": this limit always holds".into(),
        ),
        (
            LISTED.replace("8080\"]\n", "8080\"]\nlist_models = \"10ms\"\n"),
            "line 3: server.list_models: must be from \"100ms\" to \"1h\", not \"10ms\"".into(),
        ),
    ] {
        assert_eq!(refused(&text), format!("{expected}\n"), "{text}");
    }
}

#[test]
fn a_list_of_one_that_is_in_none_is_seldom_meant() {
    let text = LISTED.replace("8082\"]\n", "8082\"]\nmodels = \"off\"\n");
    let loaded = accepted(&text);
    let said = told(&loaded.warnings);
    assert!(
        said.contains(
            "line 15: route[1].models[0]: none of its models are listed: they are \"off\" there, as \
             where service is \"none\"\n"
        ),
        "{said}"
    );
}
