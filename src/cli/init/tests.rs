//! Which APIs are known, and what is written for them.

use super::configuration::{Plan, PlannedServer};
use super::{apis, clients, in_place_of_servers, located};
use crate::config::{self, Environment};

fn plan(servers: &[&str]) -> Plan {
    Plan {
        listen: ([127, 0, 0, 1], 8080).into(),
        admin: ([127, 0, 0, 1], 9090).into(),
        key_env: None,
        servers: servers.iter().map(|text| PlannedServer::unasked(text)).collect(),
        spare: Vec::new(),
    }
}

/// What `check` would say: a key is set, and the names need no address.
fn accepted(text: &str) {
    let variable = |_: &str| Some("a-key".to_owned());
    let environment = Environment { variable, ..Environment::current() };
    let text = text.replace("https://", "https://127.0.0.1/");
    let read = config::parse(&text, &environment);
    assert!(read.is_ok(), "{:?}\n{text}", read.err());
}

#[test]
fn an_api_is_known_by_its_host_and_nothing_else() {
    for (text, name) in [
        ("https://api.anthropic.com", Some("anthropic")),
        ("https://api.anthropic.com/v1/", Some("anthropic")),
        ("api.anthropic.com:443", Some("anthropic")),
        ("https://API.OpenAI.com", Some("openai")),
        ("https://api.groq.com/openai/v1", Some("groq")),
        ("https://openrouter.ai", Some("openrouter")),
        ("https://generativelanguage.googleapis.com/v1beta", Some("gemini")),
        // Another dialect stands below these.
        ("https://generativelanguage.googleapis.com/v1beta/openai", None),
        ("https://api.deepseek.com/anthropic", None),
        ("https://api.anthropic.com.example.org", None),
        ("https://api.anthropic.com:8443", None),
        ("http://api.anthropic.com", None),
        ("https://nobody.invalid/v1", None),
        ("127.0.0.1:8000", None),
    ] {
        assert_eq!(apis::at(text).map(|api| api.name), name, "{text}");
    }
}

#[test]
fn each_known_api_gets_its_dialect_and_its_key() {
    let all = apis::with_key(|_| true);
    for api in &all {
        let plan = plan(&[&api.url()]);
        let text = plan.text();
        accepted(&text);
        let key = format!("api_key = {{ env = \"{}\" }}", api.variable);
        for part in [&key, &format!("endpoints = [\"{}\"]", api.url())] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("did not answer"), "{text}");
    }
    let text = plan(&["https://api.anthropic.com"]).text();
    assert!(text.contains("\nservice = \"anthropic\"\ntranslate_to = \"anthropic\"\n"), "{text}");
    let text = plan(&["https://generativelanguage.googleapis.com"]).text();
    assert!(text.contains("\nservice = \"gemini\"\ntranslate_to = \"gemini\"\n"), "{text}");
    assert!(text.contains("path = \"/v1beta/*\""), "{text}");
    // Of a host that is not known nothing is said.
    let text = plan(&["https://nobody.invalid/v1"]).text();
    assert!(!text.contains("service =") && !text.contains("api_key"), "{text}");
    assert!(text.contains("# Nothing is known of it"), "{text}");
}

#[test]
fn several_apis_are_told_apart_by_the_models_names() {
    let text = plan(&["https://api.openai.com", "https://api.anthropic.com"]).text();
    accepted(&text);
    let part = "when = { model = [\"claude-*\"] }\nupstream = \"anthropic\"";
    assert!(text.contains(part), "{text}");
}

#[test]
fn an_api_with_a_key_stands_in_for_servers_or_beside_them_as_a_comment() {
    let set = apis::with_key(|name| ["ANTHROPIC_API_KEY", "GROQ_API_KEY"].contains(&name));
    let name = |key_env| in_place_of_servers(&[], &set, key_env).map(|api| api.name);
    assert_eq!(name(None), Some("anthropic"));
    assert_eq!(name(Some("GROQ_API_KEY")), Some("groq"));
    // It is the key of somebody else.
    assert_eq!(name(Some("MY_KEY")), None);
    let servers = [PlannedServer::unasked("127.0.0.1:8000")];
    assert_eq!(in_place_of_servers(&servers, &set, None), None);

    let beside = Plan { spare: apis::with_key(|_| true), ..plan(&["127.0.0.1:8000"]) };
    let text = beside.text();
    accepted(&text);
    let (_, comments) = text.split_once("\n# OPENAI_API_KEY is set.").expect("it is told");
    assert!(comments.lines().skip(1).all(|line| line.is_empty() || line.starts_with("# ")));
    // Without the marks it is part of the configuration.
    let marks = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with("[[") || rest.contains(" = ") => format!("{rest}\n"),
        _ => String::new(),
    };
    let taken: String = comments.lines().skip(1).map(marks).collect();
    let whole = format!("{}\n{taken}", text.split_once("\n# OPENAI_API_KEY").expect("it is").0);
    assert!(whole.contains("\n[[upstream]]\nname = \"together\"\n"), "{whole}");
    accepted(&whole);
}

#[test]
fn the_examples_fit_what_is_written() {
    let file = std::path::Path::new("gate.toml");
    let guide = clients::guide(&plan(&["https://api.anthropic.com"]), file);
    assert!(guide.contains("MODEL stands for the name of a model"), "{guide}");
    assert!(!guide.contains("with translate_to"), "{guide}");
    let guide = clients::guide(&plan(&["https://api.openai.com"]), file);
    assert!(guide.contains("(with translate_to = \"openai\" in its upstream)"), "{guide}");
}

#[test]
fn a_place_is_http_or_https() {
    let plain = located("http://127.0.0.1/base/").expect("a place");
    assert_eq!((plain.address.port(), plain.tls.is_some(), &*plain.base), (80, false, "/base"));
    // A machine without a list of authorities says so.
    if let Ok(sealed) = located("https://127.0.0.1") {
        assert_eq!((sealed.address.port(), sealed.tls.is_some()), (443, true));
    }
    let why = located("ftp://127.0.0.1").err();
    assert_eq!(why.as_deref(), Some("ftp:// is neither http:// nor https://"));
}
